"""The steps planned from a configuration are those that diffusers' own scheduler takes."""

import diffusers
import numpy as np
import pytest

from chroma import from_scheduler
from chroma.schedulers.config import schedule_from_config
from chroma.schedulers.published import FLUX, PUBLISHED, latent_diffusion
from chroma.schedulers.settings import FOLLOWED, UnknownScheduler
from chroma.schedulers.steps import plan, step_log_snrs

# the steps of the others depend on their pipeline: test_published.py compares these
PLAIN = list(PUBLISHED)[:15]
TABLES = [
    latent_diffusion(name, timestep_spacing=way, steps_offset=offset, skip_prk_steps=True)
    for name, followed in FOLLOWED.items()
    if "timestep_spacing" in followed
    for way in ("linspace", "leading", "trailing")
    for offset in (0, 1)
]
KARRAS = [
    latent_diffusion(name, use_karras_sigmas=True) for name in ("EulerDiscreteScheduler", "UniPCMultistepScheduler")
]


def scheduler_of(config, tokens, steps):
    made = getattr(diffusers, config["_class_name"]).from_config({k: v for k, v in config.items() if k[0] != "_"})
    if config.get("use_dynamic_shifting"):
        from diffusers.pipelines.flux.pipeline_flux import calculate_shift

        mu = calculate_shift(tokens, *(config[key] for key in _SHIFT))
        made.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
    else:
        made.set_timesteps(steps)
    return made


_SHIFT = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")


def agree(config, tokens, steps):
    made = scheduler_of(config, tokens, steps)
    planned = plan(config, steps, tokens)
    keep = np.sort(np.unique(np.asarray(made.timesteps), return_index=True)[1])  # PNDM evaluates one step twice
    assert len(planned.timesteps) == len(keep) == steps
    np.testing.assert_allclose(planned.timesteps, np.asarray(made.timesteps, dtype=float)[keep], atol=0.51, rtol=0)
    # diffusers' tables are float32: of alpha near 1, 1 - alpha has five digits left
    np.testing.assert_allclose(planned.log_snrs, step_log_snrs(made)[keep], atol=2e-3, rtol=2e-4)


@pytest.mark.parametrize("steps", [4, 30])
@pytest.mark.parametrize("name", PLAIN)
def test_published_schedulers_step_as_planned(name, steps):
    published = PUBLISHED[name]
    agree(published.config, (published.size // published.latent_factor // 2) ** 2, steps)


@pytest.mark.parametrize("config", TABLES + KARRAS, ids=lambda config: config["_class_name"])
def test_every_way_of_spacing_is_diffusers(config):
    agree(config, None, 20)


@pytest.mark.parametrize("name", PLAIN)
def test_the_schedule_of_a_configuration_is_that_of_its_scheduler(name):
    published = PUBLISHED[name]
    tokens = (published.size // published.latent_factor // 2) ** 2
    ours = schedule_from_config(published.config, tokens)
    theirs = from_scheduler(scheduler_of(published.config, tokens, 10), tokens=tokens)
    first, last = theirs.domain
    times = np.linspace(first, last, 50)[1:-1]
    np.testing.assert_allclose(ours.log_snr(times), theirs.log_snr(times), atol=2e-3, rtol=2e-4)


@pytest.mark.parametrize(
    "config",
    [
        {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True, "use_karras_sigmas": True},
        {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_karras_sigmas": True},
        {"_class_name": "DDIMScheduler", "beta_schedule": "sigmoid"},
        {"_class_name": "EDMEulerScheduler", "sigma_schedule": "exponential"},
    ],
)
def test_settings_that_it_does_not_follow_are_left_to_diffusers(config):
    with pytest.raises(UnknownScheduler, match="scheduler must be one whose steps are known without diffusers"):
        plan(config, 10)


def test_a_class_that_is_not_known_is_named():
    with pytest.raises(UnknownScheduler, match=r"such as DDIMScheduler.* got WuerstchenScheduler"):
        plan({"_class_name": "WuerstchenScheduler"}, 10)
    with pytest.raises(ValueError, match="steps must be at most 50"):
        plan(PUBLISHED["lcm"].config, 51)
    with pytest.raises(ValueError, match="scheduler must be passed with the number of tokens"):
        plan(FLUX, 10)
