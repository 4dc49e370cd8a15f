"""The bundled model is the one on record, draws what it is asked for, and needs this project for none of it."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny

from chroma import _weights, from_scheduler, models
from chroma.data import (
    SCENE_STYLES,
    checksum,
    dead_leaves,
    dead_leaves_variance,
    prompt,
    scenes,
    training_drawings,
)
from chroma.exact import GaussianPredictor
from chroma.losses import noise_loss
from chroma.predictors import Guided, UNetPredictor, cascade, from_pipeline, residual_part
from chroma.process import add_noise, predict_x0
from chroma.pyramid import band_energy
from chroma.quality import nearest
from chroma.recipes import RECIPES, Recipe
from chroma.sampling import ddim
from chroma.threshold import thresholded

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def pipe():
    return models.load("emoji-32")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A copy of the weights that a test may spoil."""
    shutil.copytree(_weights.WEIGHTS, tmp_path / "weights")
    monkeypatch.setattr(_weights, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "weights"


KINDS = ["DDPMPipeline", "StableDiffusionPipeline", "IFPipeline"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a tiny pipeline of each kind in it."""
    folder = tmp_path_factory.mktemp("pipelines")
    for kind in KINDS:
        tiny(kind).save_pretrained(folder / kind)
    return folder


@pytest.fixture
def copied(saved, tmp_path):
    """What copies a tiny pipeline into a folder that a test may spoil."""
    return lambda kind: Path(shutil.copytree(saved / kind, tmp_path / kind))


def embeddings(pipe, prompt):
    return pipe.encode_prompt(prompt, do_classifier_free_guidance=False)[0]


def test_it_is_an_if_pipeline_with_a_learned_variance_beside_the_noise(pipe):
    assert type(pipe).__name__ == "IFPipeline"
    assert pipe.unet.config.out_channels == 2 * pipe.unet.config.in_channels
    predictor = UNetPredictor(pipe.unet, from_scheduler(pipe.scheduler), embeddings(pipe, ""))
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert predictor(x, -1.0).shape == x.shape


def drawn(predictor, size, count):
    """`count` images of a predictor, from one seed, clamped level by level."""
    schedule = from_scheduler(models.load("emoji-8").scheduler)  # all bundled models have this one
    noise = torch.randn((count, 3, size, size), generator=torch.Generator().manual_seed(1))
    *_, last = ddim(thresholded(predictor), noise, schedule.log_snr(np.linspace(996, 0, 20)))
    return last.x0.numpy()


@pytest.mark.parametrize("name", ["emoji-64", "emoji-32", "emoji-8"])
def test_a_model_draws_what_it_is_asked_for(name):
    pipe = models.load(name)
    size = pipe.unet.config.sample_size
    known, prompts = training_drawings(size)
    rows = np.arange(0, 512, 64)
    predictor = Guided(from_pipeline(pipe, [prompts[i] for i in rows]), from_pipeline(pipe), 3.0)
    assert (nearest(drawn(predictor, size, len(rows)), known.images) == rows).sum() >= 6  # of 8; by chance 0.02


@pytest.mark.parametrize(
    "names", [["emoji-64-residual", "emoji-32"], [f"emoji-{size}-residual" for size in (64, 32, 16)] + ["emoji-8"]]
)
def test_a_cascade_of_bundled_models_draws_what_it_is_asked_for_with_the_right_detail(names):
    known, prompts = training_drawings(64)
    rows = np.arange(20, 512, 64)
    *fine, low = (from_pipeline(models.load(name), [prompts[i] for i in rows]) for name in names)
    images = drawn(cascade([*map(residual_part, fine), low]), 64, len(rows))
    right = nearest(images, known.images) == rows
    assert right.sum() >= 6  # of 8
    # the finest band is that of the drawing asked for: nearer to it than no detail at all
    asked = known.images[rows[right]]
    assert band_energy(images[right] - asked)[:, 0].mean() < band_energy(asked)[:, 0].mean()


@pytest.mark.parametrize("name", models.BUNDLED)
def test_a_card_says_how_a_model_was_trained_and_by_which_recipe(name):
    card = models.card(name)
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in card["recipe"].items()}
    assert Recipe(**fields) == RECIPES[name]
    assert card["images_seen"] == RECIPES[name].num_samples
    if RECIPES[name].dataset == "drawings":
        known, prompts = training_drawings(RECIPES[name].size)
        assert card["data"] == checksum(known.images, prompts)
    assert card["minutes"] > 0 and card["commit"]
    assert models.num_bytes(name) > 1e6


def test_photos_32_loses_hardly_more_on_held_out_photographs_than_on_those_it_was_trained_on():
    _, trained, held_out = models.card("photos-32")["losses"][-1]
    assert held_out < 1.15 * trained  # 1.14 was measured; the card has the curve


def test_photos_32_knows_styles_of_photographs_that_it_has_never_seen():
    """On held-out photographs the prompt's style brings the prediction nearer, the wrong style takes it away."""
    pipe, held_out = models.load("photos-32"), scenes(32, crops=1, split="held-out")
    x0 = torch.from_numpy(held_out.images.astype(np.float32))
    x = add_noise(x0, torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)), -2.0)
    other = dict(zip(SCENE_STYLES, [*list(SCENE_STYLES)[1:], "photo"], strict=True))
    errors = []
    for style_of in (lambda style: style, other.get):
        prompts = [
            prompt(style_of(style), subject) for style, subject in zip(held_out.styles, held_out.subjects, strict=True)
        ]
        x0_hat = predict_x0(x, from_pipeline(pipe, prompts)(x, -2.0), -2.0)
        errors.append((x0_hat - x0).square().mean((1, 2, 3)).view(-1, 3).mean(1).numpy())  # of each photograph
    gain = errors[1] - errors[0]
    assert gain.mean() > 4 * gain.std() / len(gain) ** 0.5  # standard errors over photographs


@pytest.mark.parametrize("slope", [2.0, 2.4])
def test_networks_of_dead_leaves_know_more_than_their_spectrum(slope):
    """Edges are no part of a spectrum: the best denoiser that knows it alone is worse on images never seen."""
    images = torch.from_numpy(dead_leaves(32, 128, slope, seed=1)).float()
    spectrum = GaussianPredictor(torch.zeros(3, 32, 32), dead_leaves_variance(32, slope))
    network = from_pipeline(models.load(f"dead-leaves-{slope}"))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    for log_snr in (-2.0, 0.0, 2.0):
        z = torch.full((128,), log_snr)
        gain = noise_loss(spectrum, images, noise, z) - noise_loss(network, images, noise, z)
        assert gain.mean() > 4 * gain.std() / 128**0.5  # standard errors over images


def test_what_a_model_cost_includes_the_run_that_it_started_from():
    card = models.card("emoji-32")
    assert models.training_cost("emoji-32") == (180_000, pytest.approx(card["minutes"] + card["init_from"]["minutes"]))


def test_the_weights_are_half_precision_safetensors_on_record():
    record = json.loads((_weights.WEIGHTS / "CHECKSUMS.json").read_text())
    files = {file.relative_to(_weights.WEIGHTS).as_posix() for file in _weights.WEIGHTS.rglob("*") if file.is_file()}
    assert files == {*record, "CHECKSUMS.json"}
    assert sum(entry["bytes"] for entry in record.values()) < 130e6
    assert not [file for file in files if file.endswith((".bin", ".pt", ".pkl", ".ckpt"))]


def test_it_reloads_in_stock_diffusers_where_this_project_is_not(tmp_path):
    shutil.copytree(_weights.WEIGHTS / "emoji-32", tmp_path / "model")
    program = """
import sys, torch
sys.modules["chroma"] = None
from diffusers import IFPipeline
none = dict(safety_checker=None, feature_extractor=None, watermarker=None, requires_safety_checker=False)
pipe = IFPipeline.from_pretrained("model", dtype=torch.float32, **none)
print(pipe("a flat drawing of elevator", num_inference_steps=2, output_type="pt").images.shape)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "[1, 3, 32, 32]" in done.stdout


def test_a_saved_pipeline_loads_from_its_folder(pipe, tmp_path):
    folder = tmp_path / "saved"
    pipe.save_pretrained(folder)
    again = models.load(folder)
    for ours, theirs in zip(pipe.unet.parameters(), again.unet.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_pipelines_of_every_kind_load_with_their_weights_in_the_precision_asked_for(saved, kind):
    pipe = models.load(saved / kind, dtype=torch.bfloat16)
    assert type(pipe).__name__ == kind
    assert from_scheduler(pipe.scheduler).log_snr(500) < from_scheduler(pipe.scheduler).log_snr(100)
    stored = load_file(saved / kind / WEIGHTS)
    loaded = pipe.unet.state_dict()
    assert loaded.keys() == stored.keys()
    for name, weight in loaded.items():
        torch.testing.assert_close(weight, stored[name].to(torch.bfloat16), rtol=0, atol=0)


def damaged(path, change):
    """Spoil a file of weights as a download or a wrong upload would."""
    if change in ("truncated", "empty", "a web page"):
        content = {"truncated": path.read_bytes()[:-100], "empty": b"", "a web page": b"<html>404</html>"}[change]
        path.write_bytes(content)
    elif change == "gone":
        path.unlink()
    else:
        tensors = load_file(path)
        name = max(tensors)
        if change == "reshaped":
            tensors[name] = torch.zeros(3, 5)
        else:
            del tensors[name]
        save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("DDPMPipeline", WEIGHTS),
        ("IFPipeline", "text_encoder/model.safetensors"),
        ("StableDiffusionPipeline", "vae/diffusion_pytorch_model.safetensors"),
    ],
)
@pytest.mark.parametrize("change", ["truncated", "empty", "a web page"])
def test_a_file_that_is_damaged_is_refused_by_name(copied, kind, file, change):
    folder = copied(kind)
    damaged(folder / file, change)
    with pytest.raises(ValueError, match=f"the pipeline in {folder} does not load: its file {file} is corrupt"):
        models.load(folder)


@pytest.mark.parametrize(
    ("kind", "component", "cls", "file"),
    [
        ("DDPMPipeline", "unet", "UNet2DModel", WEIGHTS),
        ("IFPipeline", "text_encoder", "T5EncoderModel", "text_encoder/model.safetensors"),
        ("StableDiffusionPipeline", "vae", "AutoencoderKL", "vae/diffusion_pytorch_model.safetensors"),
    ],
)
@pytest.mark.parametrize("change", ["reshaped", "gone"])
def test_weights_that_do_not_fit_are_refused_by_their_component(copied, kind, component, cls, file, change):
    folder = copied(kind)
    damaged(folder / file, change)
    with pytest.raises(ValueError, match=rf"{folder} does not load: its {component} is not the {cls} that it should"):
        models.load(folder)


def test_a_network_that_lacks_a_weight_is_refused_by_its_name(copied):
    folder = copied("DDPMPipeline")
    damaged(folder / WEIGHTS, "incomplete")
    with pytest.raises(ValueError, match=r"its unet lacks the weights up_blocks\.\w+"):
        models.load(folder)


def test_a_component_that_is_missing_or_an_index_that_is_damaged_is_refused_by_name(copied):
    folder = copied("DDPMPipeline")
    shutil.rmtree(folder / "unet")
    with pytest.raises(ValueError, match="does not load: its unet is missing"):
        models.load(folder)
    (folder / "model_index.json").write_text("{")
    with pytest.raises(ValueError, match=r"does not load: its file model_index\.json is corrupt"):
        models.load(folder)


@pytest.mark.parametrize(
    ("offload", "method"),
    [("model", "enable_model_cpu_offload"), ("sequential", "enable_sequential_cpu_offload")],
)
def test_offloading_is_left_to_diffusers_on_the_device_asked_for(saved, monkeypatch, offload, method):
    calls = []
    monkeypatch.setattr(f"diffusers.DDPMPipeline.{method}", lambda pipe, device: calls.append(device))
    pipe = models.load(saved / "DDPMPipeline", device="cuda:1", offload=offload)
    assert calls == ["cuda:1"]
    assert pipe.unet.device.type == "cpu"  # where diffusers wants it to begin with


@pytest.mark.parametrize(
    ("device", "offload", "must"),
    [("cuda", "disk", "None, 'model' or 'sequential'; got disk"), ("cpu", "model", "None on the CPU, where .*; got")],
)
def test_offloading_that_there_is_not_is_refused(device, offload, must):
    with pytest.raises(ValueError, match=f"offload must be {must}"):
        models.load("emoji-32", device=device, offload=offload)


@pytest.mark.parametrize("change", ["corrupt", "truncated"])
def test_weights_that_are_not_those_on_record_are_refused_by_name(weights, change):
    path = weights / "emoji-32/unet/diffusion_pytorch_model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if change == "corrupt" else content[:-100])
    with pytest.raises(ValueError, match=r"diffusion_pytorch_model.safetensors is corrupt: its sha256 must be \w+"):
        models.load("emoji-32")


def test_a_missing_file_is_refused_by_name(weights):
    (weights / "emoji-32/tokenizer/tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"tokenizer.json is missing: reinstall the package"):
        models.load("emoji-32")


UNREACHABLE = r"nobody/nothing is not on this machine and could not be downloaded: connect to the network"


def test_an_unreachable_hub_is_reported_in_one_sentence(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=UNREACHABLE):
        models.load("nobody/nothing")


def test_a_closed_network_is_reported_in_the_same_sentence(monkeypatch):
    def unknown_host(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown_host)
    with pytest.raises(OSError, match=UNREACHABLE):
        models.load("nobody/nothing")


def test_a_connection_that_breaks_off_is_reported_in_the_same_sentence(monkeypatch):
    class ProtocolError(Exception):
        """The hub's client has kinds of its own, which are no OSError."""

    def breaks_off(name):
        raise ProtocolError("server disconnected without sending a response")

    monkeypatch.setattr("diffusers.DiffusionPipeline.download", breaks_off)
    with pytest.raises(OSError, match=UNREACHABLE):
        models.load("nobody/nothing")


def test_a_download_that_is_damaged_is_not_blamed_on_the_network(copied, monkeypatch):
    folder = copied("DDPMPipeline")
    (folder / WEIGHTS).write_bytes(b"<html>404</html>")
    monkeypatch.setattr("diffusers.DiffusionPipeline.download", lambda name: str(folder))
    with pytest.raises(ValueError, match=rf"does not load: its file {WEIGHTS} is corrupt"):
        models.load("nobody/nothing")


@pytest.mark.parametrize("name", ["emoji-33", "tests/of/nothing"])
def test_a_name_that_is_nothing_is_refused(name):
    with pytest.raises(ValueError, match=r"name_or_folder must be .*'emoji-32'.* a folder with"):
        models.load(name)
