"""In stock pipelines of every class a prompt changes on the step that was asked for."""

import numpy as np
import pytest
import torch
from tiny import tiny

from chroma import models
from chroma.callbacks import switch_prompts
from chroma.predictors import Guided, PromptSchedule, from_pipeline
from chroma.prompts import encode
from chroma.sampling import ddim
from chroma.schedulers.steps import step_log_snrs

KINDS = ["StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline", "FluxPipeline"]


@pytest.fixture
def conditionings(request):
    """A tiny pipeline, and what its network is conditionings at each step of a call."""
    pipe = tiny(request.param)
    if request.param == "FluxPipeline":
        pipe.default_sample_size = 8
    seen = []
    models.Pipeline(pipe).network.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["encoder_hidden_states"][-1].clone()), with_kwargs=True
    )
    return pipe, seen


@pytest.mark.parametrize("conditionings", KINDS, indirect=True)
@pytest.mark.parametrize("steps", [5, 8])
def test_each_step_is_conditioned_on_its_prompt(conditionings, steps):
    pipe, seen = conditionings
    words = [encode(pipe, prompt)["encoder_hidden_states"][0] for prompt in ("a", "b")]
    size = {"height": 8, "width": 8} if "Flux" in type(pipe).__name__ else {}
    pipe(**switch_prompts(pipe, ["a", "b"], ["4x4"], steps), **size, output_type="latent")
    z = step_log_snrs(pipe.scheduler)
    half = -np.log(4)  # 4x4 is the level below 8x8
    assert len(seen) == steps and 0 < (z >= half).sum() < steps
    for now, step_conditioning in zip(z, seen, strict=True):
        assert torch.equal(step_conditioning, words[int(now >= half)])


@pytest.mark.parametrize("conditionings", KINDS, indirect=True)
def test_a_switch_before_the_first_step_or_after_the_last_is_the_single_prompt(conditionings):
    pipe, seen = conditionings
    size = {"height": 8, "width": 8} if "Flux" in type(pipe).__name__ else {}
    words = [encode(pipe, prompt)["encoder_hidden_states"][0] for prompt in ("a", "b")]
    for at, index in ((-float("inf"), 1), (float("inf"), 0)):
        seen.clear()
        pipe(**switch_prompts(pipe, ["a", "b"], [at], 3), **size, output_type="latent")
        assert all(torch.equal(one, words[index]) for one in seen)


def test_it_draws_what_the_project_s_own_loop_draws():
    pipe = tiny("StableDiffusionPipeline")
    start = torch.randn((1, *models.Pipeline(pipe).shape), generator=torch.Generator().manual_seed(0))
    arguments = switch_prompts(pipe, ["a", "b"], ["4x4"], 6, guidance_scale=3.0)
    drawn = pipe(**arguments, latents=start, output_type="latent").images
    changing = PromptSchedule([from_pipeline(pipe, "a"), from_pipeline(pipe, "b")], [-np.log(4)])
    *_, last = ddim(Guided(changing, from_pipeline(pipe), 3.0), start.double(), step_log_snrs(pipe.scheduler))
    torch.testing.assert_close(last.x0.float(), drawn, atol=2e-4, rtol=1e-4)


def test_several_images_of_a_prompt_change_together():
    pipe = tiny("StableDiffusionPipeline")
    arguments = switch_prompts(pipe, ["a", "b"], ["4x4"], 4)
    assert pipe(**arguments, num_images_per_prompt=3, output_type="latent").images.shape[0] == 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: switch_prompts(tiny(KINDS[0]), [["a"], ["b"]], ["4x4"]), "prompts must be a list of texts"),
        (lambda: switch_prompts(tiny(KINDS[0]), ["a", "b"], [float("nan")]), "log_snr must be free of NaN"),
        (
            lambda: switch_prompts(tiny(KINDS[0]), ["a", "b"], [-20], 5),
            "prompt 1, 'a', would get no step: with at=.* and steps=5",
        ),
        (
            lambda: switch_prompts(tiny("IFPipeline"), ["a", "b"], ["4x4"]),
            "pipe must be a StableDiffusion, .*; got IFPipeline",
        ),
        (lambda: switch_prompts(tiny(KINDS[0]), ["a", "b"], []), "at must be of length 1, one less than the prompts"),
        (lambda: switch_prompts(tiny(KINDS[0]), ["a", "b"], ["3x3"]), "resolution must be one of 8x8, 4x4"),
        (
            lambda: switch_prompts(tiny(KINDS[0]), ["a", "b", "a"], ["8x8", "4x4"]),
            "at must be in the order of generation",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_scheduler_that_lives_on_another_device_can_be_read():
    class Elsewhere(torch.Tensor):
        """As on a GPU: NumPy cannot read it before it is brought to the host."""

        def __array__(self, *_, **__):
            raise TypeError("can't convert cuda device type tensor to numpy")

        def cpu(self):
            return self.as_subclass(torch.Tensor)

    for kind in ("StableDiffusionPipeline", "StableDiffusion3Pipeline"):
        scheduler = tiny(kind).scheduler
        scheduler.set_timesteps(4)
        here = step_log_snrs(scheduler)
        for name in ("timesteps", "sigmas", "alphas_cumprod"):
            if hasattr(scheduler, name):
                setattr(scheduler, name, getattr(scheduler, name).as_subclass(Elsewhere))
        np.testing.assert_array_equal(step_log_snrs(scheduler), here)


def test_a_call_of_another_size_has_its_grids_elsewhere():
    pipe = tiny("StableDiffusionPipeline")
    seen = []
    models.Pipeline(pipe).network.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["encoder_hidden_states"][-1].clone()), with_kwargs=True
    )
    arguments = switch_prompts(pipe, ["a", "b"], ["4x4"], 8, size=16)
    pipe(**arguments, height=16, width=16, output_type="latent")
    words = [encode(pipe, prompt)["encoder_hidden_states"][0] for prompt in ("a", "b")]
    for now, conditionings in zip(step_log_snrs(pipe.scheduler), seen, strict=True):
        assert torch.equal(conditionings, words[int(now >= -2 * np.log(4))])
