"""A measuring run loses nothing, does not mind being interrupted, and says what is wrong with its input."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny

from chroma import chromatogram, measure, models
from chroma.accumulators import CFGChromatography
from chroma.predictors import Guided, from_pipeline
from chroma.pyramid import band_sizes, white_noise_shares
from chroma.sampling import ddim

PROMPTS = ["a", "b", "a b"]


@pytest.fixture(scope="module")
def pipe():
    return tiny("IFPipeline")


@pytest.fixture(scope="module")
def complete(pipe, tmp_path_factory):
    """A run that nobody disturbed."""
    return measure.measure_prompts(
        pipe, "tiny", PROMPTS, tmp_path_factory.mktemp("whole") / "out.safetensors", steps=4, seeds=3
    )


def same(one, other):
    return one.run == other.run and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("log_snrs", "energy", "weights")
    )


def parts(energy, other):
    """Equal but for float32 sums in another order: guidance is a small difference of predictions."""
    np.testing.assert_allclose(energy, other, rtol=1e-3, atol=1e-5 * other.max())


def test_the_energies_are_those_of_a_loop_by_hand(pipe, complete):
    predictor = Guided(from_pipeline(pipe, PROMPTS[1]), from_pipeline(pipe), 4.0)
    by_hand = CFGChromatography(complete.log_snrs)
    start = torch.stack([measure.seed_noise((3, 8, 8), 1, seed) for seed in range(3)])
    for state in ddim(predictor, start, complete.log_snrs):
        by_hand.update(state.log_snr, predictor.guidance)
    np.testing.assert_allclose(complete.of_prompt(1).value, by_hand.result().value, rtol=1e-6)
    np.testing.assert_allclose(complete.of_prompt(1).standard_error, by_hand.result().standard_error, rtol=1e-5)
    assert complete.result().count == 9
    np.testing.assert_allclose(complete.result().value.sum(0), 1)


def test_errors_are_over_prompts_of_one_prompt(complete):
    energy = complete.energy.mean(1)  # of each prompt
    without = [energy[np.arange(3) != i].sum(0) for i in range(3)]
    share = np.array([one / one.sum(-1, keepdims=True) for one in without])
    error = np.sqrt(2 / 3 * np.square(share - share.mean(0)).sum(0)).T
    np.testing.assert_allclose(complete.result().standard_error, error)


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(pipe, complete, tmp_path, monkeypatch):
    prompt_energy, done = measure._prompt_energy, []

    def stops(*args):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return prompt_energy(*args)

    monkeypatch.setattr(measure, "_prompt_energy", stops)
    out = tmp_path / "out.safetensors"
    with pytest.raises(KeyboardInterrupt):
        measure.measure_prompts(pipe, "tiny", PROMPTS, out, steps=4, seeds=3)
    assert not out.exists()
    done.clear()
    again = measure.measure_prompts(pipe, "tiny", PROMPTS, out, steps=4, seeds=3)
    assert len(done) == 1  # the one prompt that was missing
    assert same(again, complete) and same(measure.load(out), complete)
    assert list(tmp_path.iterdir()) == [out]
    measure.measure_prompts(pipe, "tiny", PROMPTS, out, steps=4, seeds=3)
    assert len(done) == 1  # what is finished is not measured again


def test_batches_do_not_matter(pipe, complete, tmp_path):
    split = measure.measure_prompts(pipe, "tiny", PROMPTS, tmp_path / "out.safetensors", steps=4, seeds=3, batch_size=2)
    parts(split.energy, complete.energy)


def test_another_run_is_not_written_over(pipe, complete, tmp_path):
    out = tmp_path / "out.safetensors"
    measure.measure_prompts(pipe, "tiny", PROMPTS[:2], out, steps=4, seeds=3)
    before = out.read_bytes()
    with pytest.raises(ValueError, match=r"out.safetensors is the result of a different run"):
        measure.measure_prompts(pipe, "tiny", PROMPTS, out, steps=4, seeds=3)
    assert out.read_bytes() == before


def test_what_is_not_finite_is_refused_with_its_prompt_and_the_rest_is_kept(pipe, tmp_path, monkeypatch):
    encode = measure.encode

    def spoilt(pipe, prompt):
        return {name: tensor * (float("nan") if prompt == "b" else 1) for name, tensor in encode(pipe, prompt).items()}

    monkeypatch.setattr(measure, "encode", spoilt)
    out = tmp_path / "out.safetensors"
    with pytest.raises(ValueError, match="the model's prediction for prompt 1, 'b', must be finite; got NaN"):
        measure.measure_prompts(pipe, "tiny", PROMPTS, out, steps=4, seeds=3)
    assert [file.name for file in Path(f"{out}.parts").iterdir()] == ["0.safetensors"]


def test_a_damaged_file_is_refused_by_name(pipe, complete, tmp_path):
    out = tmp_path / "out.safetensors"
    measure.measure_prompts(pipe, "tiny", PROMPTS, out, steps=4, seeds=3)
    out.write_bytes(out.read_bytes()[:-10])
    with pytest.raises(ValueError, match=rf"{out} is not a whole result of chroma.measure .* delete it"):
        measure.load(out)


def test_a_single_prompt_has_its_errors_over_seeds(pipe, tmp_path):
    single = measure.measure_prompts(pipe, "tiny", ["a"], tmp_path / "out.safetensors", steps=4, seeds=3)
    np.testing.assert_allclose(single.result().standard_error, single.of_prompt(0).standard_error)


def test_many_seeds_are_kept_as_32_parts(pipe, tmp_path):
    many = measure.measure_prompts(pipe, "tiny", ["a"], tmp_path / "out.safetensors", steps=1, seeds=40)
    assert many.energy.shape[:2] == (1, 32) and many.weights.tolist() == [2] * 8 + [1] * 24
    assert many.result().count == 40


@pytest.mark.parametrize("kind", ["StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline"])
def test_latent_models_are_measured_on_latents(kind, tmp_path):
    latent = tiny(kind)
    measured = measure.measure_prompts(latent, kind, ["a", "b"], tmp_path / "one.safetensors", steps=3, seeds=2)
    assert measured.run.shape == (4, 8, 8) and np.isfinite(measured.result().value).all()
    side = models.Pipeline(latent).image_size
    images = torch.zeros(2, 3, side, side)
    on_images = measure.measure_prompts(
        latent, kind, ["a", "b"], tmp_path / "two.safetensors", steps=3, seeds=2, images=images
    )
    assert on_images.run.scale is None and len(on_images.run.images) == 64


def test_flux_is_measured_at_the_shift_of_its_size(tmp_path):
    flux = tiny("FluxPipeline")
    flux.default_sample_size = 8
    measured = measure.measure_prompts(flux, "flux", ["a", "b"], tmp_path / "out.safetensors", steps=3, seeds=2)
    assert measured.run.shape == (4, 8, 8)
    assert measured.energy.shape == (2, 2, 3, 4)


def test_no_log_snr_is_infinite_even_with_zero_terminal_snr():
    from diffusers import DDIMScheduler

    from chroma import Cosine, from_scheduler

    for schedule in (Cosine(), from_scheduler(DDIMScheduler(rescale_betas_zero_snr=True))):
        z = schedule.uniform_log_snrs(10)
        assert np.isfinite(z).all() and (np.diff(z) > 0).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompts": []}, r"prompts must be at least one, in words; got \(\)"),
        ({"prompts": ["a"], "seeds": 1}, "seeds must be a whole number >= 2; got 1"),
        ({"seeds": 0}, "seeds must be a whole number >= 1; got 0"),
        ({"steps": 0}, "steps must be a whole number >= 1; got 0"),
        ({"scale": float("nan")}, "scale must be a finite number; got nan"),
        ({"images": torch.zeros(2, 3, 8, 8)}, r"images must be \(3, 3, H, W\), one for each prompt"),
        ({"images": torch.zeros(3, 4, 8, 8)}, r"images must be \(3, 3, H, W\), one for each prompt"),
    ],
)
def test_bad_input_is_refused_by_name(pipe, tmp_path, arguments, words):
    given = {"prompts": PROMPTS, "steps": 4, "seeds": 3, **arguments}
    with pytest.raises(ValueError, match=words):
        measure.measure_prompts(pipe, "tiny", given.pop("prompts"), tmp_path / "out.safetensors", **given)


@pytest.fixture
def saved(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "model")
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS) + "\n\n")
    return tmp_path


def arguments(folder, out, *more):
    given = ["--model", str(folder / "model"), "--prompts", str(folder / "prompts.txt"), "--out", str(folder / out)]
    return [*given, "--steps", "4", "--seeds", "3", "--device", "cpu", *more]


def refused(capsys, given):
    """The one sentence with which the command line ends."""
    with pytest.raises(SystemExit) as ended:
        measure.main(given)
    said = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2 and said.startswith("python -m chroma.measure: error: ")
    return said


def test_the_command_line_measures_and_reports(saved, complete, capsys):
    measure.main(arguments(saved, "out.safetensors"))
    said = capsys.readouterr().out
    assert "total variation from the paper's rₘ, weighted by what is generated: " in said
    assert "9 samples: 3 prompts, 3 seeds each" in said
    measured = measure.load(saved / "out.safetensors")
    parts(measured.energy, complete.energy)  # in the layout that `load` gives a UNet
    distance = measured.mean_distance(chromatogram(measured.log_snrs, 4))
    assert f"{distance.value:.3f}±{distance.standard_error:.3f}" in said
    np.testing.assert_allclose(white_noise_shares(measured.run.shape), band_sizes((3, 8, 8)) / 192)


def test_the_command_line_measures_on_images_of_one_s_own(saved, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    for i in range(3):
        Image.fromarray(np.full((20, 16, 3), 50 * i, np.uint8)).save(saved / f"{i}.png")
    (saved / "images.txt").write_text("".join(f"{saved / f'{i}.png'}\n" for i in range(3)))
    measure.main(arguments(saved, "out.safetensors", "--images", str(saved / "images.txt"), "--compile"))
    assert measure.load(saved / "out.safetensors").run.images
    assert compiled == ["UNet2DConditionModel"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda folder: (folder / "prompts.txt").write_text("\n \n"),
            "prompts.txt is empty; write one prompt per line",
        ),
        (lambda folder: (folder / "prompts.txt").unlink(), "prompts.txt does not exist; use a text file"),
        (lambda folder: (folder / "images.txt").write_text("a.png\n"), "images must be one for each of the 3 prompts"),
        (
            lambda folder: (folder / "images.txt").write_text("a.png\n" * 3),
            "images must be images that exist; got a.png, which is no file",
        ),
    ],
)
def test_the_command_line_says_which_file_is_at_fault(saved, spoil, words, capsys):
    spoil(saved)
    more = ["--images", str(saved / "images.txt")] if (saved / "images.txt").exists() else []
    assert words in refused(capsys, arguments(saved, "out.safetensors", *more))


def test_drawings_are_found_by_their_prompts(saved, capsys):
    said = refused(capsys, arguments(saved, "out.safetensors", "--images", "drawings"))
    assert "prompts must be one of those of the bundled drawings" in said


def test_two_processes_find_the_numbers_of_one(saved, complete):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    launch += ["--num_processes", "2", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_ip", "127.0.0.1", "--main_process_port", str(port), "-m", "chroma.measure"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*launch, *arguments(saved, "two.safetensors")], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("9 samples") == 1  # one of them reports
    two = measure.load(saved / "two.safetensors")
    parts(two.energy, complete.energy)
    assert json.loads(json.dumps(two.run.prompts)) == PROMPTS


def test_other_weights_are_another_run(pipe, complete, tmp_path):
    out = tmp_path / "out.safetensors"
    measure.measure_prompts(pipe, "tiny", PROMPTS, out, steps=4, seeds=3)
    other = tiny("IFPipeline")
    with torch.no_grad():
        other.unet.conv_out.weight *= 1.01
    with pytest.raises(ValueError, match="is the result of a different run"):
        measure.measure_prompts(other, "tiny", PROMPTS, out, steps=4, seeds=3)


def test_a_model_without_prompts_has_no_guidance_to_measure(tmp_path):
    with pytest.raises(ValueError, match=r"pipe must be one that takes prompts: .*; got DDPMPipeline"):
        measure.measure_prompts(tiny("DDPMPipeline"), "ddpm", PROMPTS, tmp_path / "out.safetensors", steps=4, seeds=3)


def test_a_file_of_another_making_is_refused_by_name(complete, tmp_path):
    from safetensors.numpy import save_file

    save_file({"energy": complete.energy}, tmp_path / "x.safetensors", {"run": '{"colour": "red"}'})
    with pytest.raises(ValueError, match=r"is not a result that this version of chroma\.measure reads"):
        measure.load(tmp_path / "x.safetensors")
