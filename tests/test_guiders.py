"""The guider of diffusers' modular pipelines guides each band with its scale, at the log-SNRs of its window."""

import diffusers
import pytest
import torch
from diffusers.modular_pipelines.stable_diffusion_xl import StableDiffusionXLAutoBlocks
from tiny import tiny

from chroma.guiders import ResolutionGuidance
from chroma.pyramid import bands
from chroma.schedulers.steps import step_log_snrs

SHAPE = (2, 4, 8, 8)
COND, UNCOND = (torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))


def modular(guider):
    """A modular SDXL pipeline of a few thousand random weights."""
    own = tiny("StableDiffusionXLPipeline")
    pipe = StableDiffusionXLAutoBlocks().init_pipeline()
    kept = {name: part for name, part in own.components.items() if name in pipe.components and part is not None}
    pipe.update_components(**kept, guider=guider)
    return pipe


def generate(guider):
    pipe = modular(guider)
    seen = []
    pipe.unet.register_forward_hook(lambda *given: seen.append(1))
    latents = pipe(
        prompt="b",
        negative_prompt="a",
        num_inference_steps=6,
        height=16,
        width=16,
        generator=torch.Generator().manual_seed(0),
        output="latents",
    )
    return latents, len(seen)


def test_one_scale_for_all_bands_is_classifier_free_guidance():
    ours = ResolutionGuidance(5.0).forward(COND, UNCOND).pred
    theirs = diffusers.ClassifierFreeGuidance(guidance_scale=5.0).forward(COND, UNCOND).pred
    torch.testing.assert_close(ours, theirs)


def test_each_band_moves_by_its_own_scale():
    guided = ResolutionGuidance(2.0, {"8x8": 9.0, "2x2": 0.0}).forward(COND, UNCOND).pred
    for part, difference, scale in zip(bands(guided - UNCOND), bands(COND - UNCOND), (9.0, 2.0, 0.0, 2.0), strict=True):
        torch.testing.assert_close(part, scale * difference)


def test_a_band_is_guided_inside_its_window_of_log_snr_alone():
    guider = ResolutionGuidance(5.0, windows={"8x8": [-1.0, 1.0]}, log_snrs=[-3.0, -1.0, 0.0, 1.0])
    scales = []
    for step in range(4):
        guider.set_state(step, 4, torch.tensor(0))
        scales.append((guider.scale_of(8), guider.scale_of(4)))
    assert scales == [(1.0, 5.0), (5.0, 5.0), (5.0, 5.0), (1.0, 5.0)]


def test_a_step_outside_all_windows_needs_no_unconditional_prediction():
    guider = ResolutionGuidance(1.0, {"8x8": 6.0}, {"8x8": [-1.0, 1.0]}, [-3.0, 0.0])
    needed = []
    for step in range(2):
        guider.set_state(step, 2, torch.tensor(0))
        needed.append(guider.num_conditions)
    assert needed == [1, 2]


def test_a_guider_survives_being_saved(tmp_path):
    guider = ResolutionGuidance(3.0, {"8x8": 6.0}, {"8x8": [-1.0, 1.0]}, [-3.0, 0.0])
    guider.save_pretrained(tmp_path)
    read = ResolutionGuidance.from_pretrained(tmp_path)
    assert (read.scales, read.windows, read.log_snrs) == ({8: 6.0}, {8: (-1.0, 1.0)}, [-3.0, 0.0])
    assert guider.new(guidance_scale=4.0).scales == {8: 6.0}


@pytest.mark.slow
def test_it_runs_in_a_modular_pipeline_of_sdxl():
    scheduler = modular(ResolutionGuidance()).scheduler
    scheduler.set_timesteps(6)
    log_snrs = step_log_snrs(scheduler).tolist()
    same, evaluations = generate(ResolutionGuidance(5.0))
    usual, _ = generate(diffusers.ClassifierFreeGuidance(guidance_scale=5.0))
    torch.testing.assert_close(same, usual, atol=1e-4, rtol=1e-4)  # the bands add up to rounding
    middle = [log_snrs[2], log_snrs[4]]
    windows = {f"{side}x{side}": middle for side in (8, 4, 2, 1)}
    other, fewer = generate(ResolutionGuidance(1.0, dict.fromkeys(windows, 5.0), windows, log_snrs))
    assert (evaluations, fewer) == (12, 8) and not torch.allclose(other, usual)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ResolutionGuidance(windows={"8x8": [0, 1]}), "log_snrs must be given with windows"),
        (lambda: ResolutionGuidance(windows={"8x8": [1, 0]}, log_snrs=[0.0]), "the noisier first"),
        (lambda: ResolutionGuidance(scales={"8x4": 1}), "a resolution must be a side such as 64x64"),
        (lambda: ResolutionGuidance(scales={"16x16": 1.0}).forward(COND, UNCOND), "must be those of the latents: 8x8"),
        (lambda: ResolutionGuidance().forward(COND.flatten(2), UNCOND.flatten(2)), "packs its latents into tokens"),
        (lambda: ResolutionGuidance(log_snrs=[0.0]).set_state(0, 2, torch.tensor(0)), "log_snrs must be of length 2"),
    ],
)
def test_what_cannot_be_guided_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
