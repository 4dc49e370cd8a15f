"""The bundled model is the one on record, draws what it is asked for, and needs this project for none of it."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from chroma import data, from_scheduler, models
from chroma.predictors import UNetPredictor, guided
from chroma.sampling import ddim

STYLES = {"a glossy 3d render of": "fluent_3d", "a black and white icon of": "fluent_hc"}


@pytest.fixture(scope="module")
def pipe():
    return models.load("emoji-32")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A copy of the weights that a test may spoil."""
    shutil.copytree(models.FOLDER, tmp_path / "weights")
    monkeypatch.setattr(models, "FOLDER", tmp_path / "weights")
    return tmp_path / "weights"


def embeddings(pipe, prompt):
    return pipe.encode_prompt(prompt, do_classifier_free_guidance=False)[0]


def test_it_is_an_if_pipeline_with_a_learned_variance_beside_the_noise(pipe):
    assert type(pipe).__name__ == "IFPipeline"
    assert pipe.unet.config.out_channels == 2 * pipe.unet.config.in_channels
    predictor = UNetPredictor(pipe.unet, from_scheduler(pipe.scheduler), embeddings(pipe, ""))
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert predictor(x, -1.0).shape == x.shape


def test_it_draws_what_it_is_asked_for(pipe):
    schedule = from_scheduler(pipe.scheduler)
    contents = models.card("emoji-32")["contents"][:6]
    known = data.load("drawings", size=32, styles=list(STYLES.values()))
    everything = UNetPredictor(pipe.unet, schedule, embeddings(pipe, ""))
    noise = torch.randn((1, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    log_snrs = schedule.log_snr(np.linspace(998, 0, 25))
    right = []
    for phrase, style in STYLES.items():
        for content in contents:
            asked = UNetPredictor(pipe.unet, schedule, embeddings(pipe, f"{phrase} {content}"))
            *_, last = ddim(guided(asked, everything, 4.0), noise, log_snrs)
            drawn = last.x0.clamp(-1, 1).numpy()
            nearest = np.square(known.images - drawn).sum((1, 2, 3)).argmin()
            right.append((known.contents[nearest].lower(), known.styles[nearest]) == (content, style))
    assert sum(right) >= 10  # of 12; among 1,183 contents in two styles


def test_the_weights_are_half_precision_safetensors_on_record():
    record = json.loads((models.FOLDER / "CHECKSUMS.json").read_text())
    files = {file.relative_to(models.FOLDER).as_posix() for file in models.FOLDER.rglob("*") if file.is_file()}
    assert files == {*record, "CHECKSUMS.json"}
    assert sum(entry["bytes"] for entry in record.values()) < 80e6
    assert not [file for file in files if file.endswith((".bin", ".pt", ".pkl", ".ckpt"))]


def test_it_reloads_in_stock_diffusers_where_this_project_is_not(tmp_path):
    shutil.copytree(models.FOLDER / "emoji-32", tmp_path / "model")
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


def test_an_unreachable_hub_is_told_in_one_sentence(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=r"nobody/nothing is not on this machine and could not be downloaded: connect"):
        models.load("nobody/nothing")


@pytest.mark.parametrize("name", ["emoji-33", "tests/of/nothing"])
def test_a_name_that_is_nothing_is_refused(name):
    with pytest.raises(ValueError, match="name_or_folder must be 'emoji-32', a folder with"):
        models.load(name)


def test_a_batch_of_prompts_is_refused(pipe):
    with pytest.raises(ValueError, match=r"prompt must be embeddings of one prompt, shape \(1, tokens, width\)"):
        UNetPredictor(pipe.unet, from_scheduler(pipe.scheduler), torch.zeros(2, 77, 128))
