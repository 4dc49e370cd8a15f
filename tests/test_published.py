"""The steps of every published model are those that its pipeline has diffusers' own scheduler take."""

import diffusers
import numpy as np
import pytest
import torch

from chroma.schedulers.pipelines import pipeline_inputs, pipeline_plan
from chroma.schedulers.published import PUBLISHED

MODELS = [name for name, published in PUBLISHED.items() if published.pipeline]
USUAL_STEPS = {
    "flux-schnell": 4, "lcm": 4, "lcm-sdxl": 4, "animatelcm": 6, "z-image-turbo": 9, "flux2-klein": 4, "flux-dev": 28,
    "flux-kontext": 28, "flux-krea": 28, "sd3": 28, "sd35-large": 28, "sd35-turbo": 4, "sd35-medium": 40,
    "hidream-dev": 28, "hidream-fast": 16, "sana": 20, "sana-sprint": 2, "sd-turbo": 1, "sdxl-turbo": 1,
    "sdxl-lightning": 4, "hyper-sd": 2, "pixart-alpha": 20, "pixart-sigma": 20, "svd": 25, "kandinsky21": 100,
    "kandinsky3": 25, "cascade-decoder": 10, "mochi": 64, "wan22": 40, "ltx2": 40, "lumina2": 30,
}  # fmt: skip
INVERTED = {"mochi", "omnigen"}  # their sigma is the share of the image, not of the noise


def planned(name, steps, function=pipeline_plan):
    published = PUBLISHED[name]
    side, factor = published.size, published.latent_factor
    return function(
        published.pipeline, published.config, steps, width=side, height=side, frames=published.frames,
        latent_factor=factor,
    )  # fmt: skip


def set_by_its_pipeline(name, steps):
    """Diffusers' scheduler, set to what the pipeline hands over."""
    config, inputs = PUBLISHED[name].config, planned(name, steps, pipeline_inputs)
    scheduler = getattr(diffusers, config["_class_name"]).from_config(dict(config))
    if config["_class_name"] == "SCMScheduler":  # as SanaSprintPipeline by default
        scheduler.set_timesteps(steps, max_timesteps=1.57080, intermediate_timesteps=1.3 if steps == 2 else None)
        return scheduler
    given = {key: value for key, value in vars(inputs).items() if value is not None}
    if not given.keys() & {"sigmas", "timesteps"}:
        given["num_inference_steps"] = steps
    scheduler.set_timesteps(**given)
    return scheduler


def noise_shares(name, steps):
    """The variance of the noise over that of image and noise, at each step, from the scheduler's own tables."""
    scheduler = set_by_its_pipeline(name, steps)
    kind = type(scheduler).__name__
    if kind == "SCMScheduler":  # its times are angles between image and noise
        return torch.sin(scheduler.timesteps[:-1].double()).numpy() ** 2
    if kind == "DDPMWuerstchenScheduler":
        return 1 - scheduler._alpha_cumprod(scheduler.timesteps[:-1], "cpu").double().numpy()
    if not hasattr(scheduler, "sigmas"):
        times = scheduler.timesteps.long().unique().flip(0)  # PNDM evaluates one step twice
        return 1 - scheduler.alphas_cumprod.double().numpy()[times]
    sigma = scheduler.sigmas.double().numpy()[: len(scheduler.timesteps)]
    if name in INVERTED:
        sigma = 1 - sigma
    flow = kind.startswith("FlowMatch") or scheduler.config.get("use_flow_sigmas")
    return sigma**2 / (sigma**2 + ((1 - sigma) ** 2 if flow else 1))


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_steps_as_its_pipeline_has_diffusers_step(name):
    for steps in {8, USUAL_STEPS.get(name, 50)}:
        z = planned(name, steps).log_snrs
        assert len(z) == steps and (np.diff(z) > 0).all()
        # sigmas and alphas are float32, whose numbers near 1 are 6e-8 apart
        shares = noise_shares(name, steps)
        np.testing.assert_allclose(1 / (1 + np.exp(z)), shares, atol=1e-6, rtol=0)
        # where little noise is left, 1 - alpha has four digits
        np.testing.assert_allclose(1 / (1 + np.exp(z)), shares, atol=0, rtol=5e-4)


def test_every_published_scheduler_has_a_title_and_a_source_of_its_own():
    titles = [published.title for published in PUBLISHED.values()]
    sources = [
        (published.source, published.size) for published in PUBLISHED.values()
    ]  # FLUX.1 dev is there in two sizes
    assert len(PUBLISHED) >= 60 and len(set(titles)) == len(titles) and len(set(sources)) == len(sources)
    assert all(published.size % published.latent_factor == 0 for published in PUBLISHED.values())


def test_the_shift_of_a_model_follows_the_size_of_its_images():
    at_512, at_1024 = planned("flux-dev-512", 20).log_snrs[1:], planned("flux-dev", 20).log_snrs[1:]
    # mu grows by 0.65 from 256 to 4096 tokens; there are 1024 at a side of 512 pixels
    np.testing.assert_allclose(at_512 - at_1024, 2 * 0.65 * (4096 - 1024) / (4096 - 256), rtol=1e-9)
