"""The one reader of diffusers' scheduler configurations: noise schedules, alpha tables, shifts of flows.

A configuration is what diffusers saves as ``scheduler_config.json``, a dictionary with its ``_class_name``.
`from_scheduler` reads a scheduler object; `schedule_from_config` reads a configuration with NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chroma._check import invalid_argument
from chroma.schedules import EDM, Discrete, RectifiedFlow, Schedule

# how each class spreads its timesteps; see `chroma.schedulers.steps`
SPACINGS = {
    "DDIMScheduler": "rounded",
    "DDPMScheduler": "rounded",
    "PNDMScheduler": "rounded",  # it evaluates its second step twice; the plan has it once
    "EulerDiscreteScheduler": "fractional",
    "EulerAncestralDiscreteScheduler": "fractional",
    "LMSDiscreteScheduler": "fractional",
    "DPMSolverMultistepScheduler": "last_dropped",
    "UniPCMultistepScheduler": "last_dropped",
    "LCMScheduler": "distilled",
}
_UNREAD = ("use_flow_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "shift_terminal")


class UnknownScheduler(ValueError):
    """A scheduler whose steps only diffusers itself knows."""


def flow_shift(config: Mapping, tokens: int | None = None) -> float:
    r"""Read SD3's `shift` from a flow-matching configuration.

    Where it depends on the size of the image (``use_dynamic_shifting``), it is :math:`e^\mu` with :math:`\mu` linear in
    the number of tokens, as in FluxPipeline.

    Args:
        config: the configuration.
        tokens: of the image (Flux: height x width in latents / 4).

    Returns:
        The shift.

    Raises:
        ValueError: if the shift depends on the number of tokens and none is given, or if the time shift is not
            exponential.

    >>> flow_shift({"shift": 3.0})
    3.0
    """
    if not config.get("use_dynamic_shifting"):
        return config.get("shift", 1.0)
    if tokens is None or config.get("time_shift_type", "exponential") != "exponential":
        must = "passed with the number of tokens of its image, or as RectifiedFlow(shift=exp(mu))"
        raise invalid_argument("scheduler", "one with use_dynamic_shifting", must)
    low, high = config["base_image_seq_len"], config["max_image_seq_len"]
    slope = (config["max_shift"] - config["base_shift"]) / (high - low)
    return float(np.exp(config["base_shift"] + slope * (tokens - low)))


def from_scheduler(scheduler: Any, tokens: int | None = None) -> Schedule:
    """Read the noise schedule of a diffusers scheduler: the one that the network was trained with.

    Any scheduler with an ``alphas_cumprod`` table (DDPM, DDIM, PNDM, Euler, DPM-Solver++, UniPC, LCM, CogVideoX, ...;
    every prediction type; zero terminal SNR) becomes `Discrete`, whose times are its training timesteps; EDM
    schedulers become `EDM`; flow-matching ones become `RectifiedFlow`, times in [0, 1] (their timestep / 1000). The
    choice of inference steps (Karras or exponential sigmas, spacing, a terminal shift) does not change the schedule of
    the training.

    Args:
        scheduler: a diffusers scheduler.
        tokens: of the image (Flux: height x width in latents / 4), where the shift of a flow depends on its size.

    Returns:
        The schedule.

    Raises:
        ValueError: for a scheduler of another kind, naming it and what to pass instead.

    >>> from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
    >>> from_scheduler(DDPMScheduler()).domain
    (0.0, 999.0)
    >>> from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0))
    RectifiedFlow(shift=3.0)
    """
    config, name = getattr(scheduler, "config", None), type(scheduler).__name__
    if config is None:
        raise invalid_argument("scheduler", name, "a diffusers scheduler (an object with .config)")
    if config.get("use_flow_sigmas"):  # multistep solvers lent to flow-matching models
        return RectifiedFlow(config["flow_shift"])
    if config.get("use_dynamic_shifting"):
        return RectifiedFlow(flow_shift(config, tokens))
    if config.get("invert_sigmas"):
        raise invalid_argument("scheduler", f"{name} with invert_sigmas", "one whose time runs from clean to noisy")
    if "FlowMatch" in name and "shift" in config:
        return RectifiedFlow(getattr(scheduler, "shift", config["shift"]))  # set_shift changes the attribute alone
    if name.startswith("EDM"):
        return _edm(name, config)
    if hasattr(scheduler, "alphas_cumprod"):
        alphas = np.asarray(scheduler.alphas_cumprod).astype(np.float64)
        if config.get("rescale_betas_zero_snr"):
            alphas[-1] = 0.0  # some schedulers keep 2^-24 here, lest their sigma be infinite
        return Discrete(alphas)
    must = "a scheduler with alphas_cumprod, an EDM or a flow-matching one, or pass a Schedule"
    raise invalid_argument("scheduler", name, must)


def _edm(name: str, config: Mapping) -> EDM:
    sigma_schedule = config.get("sigma_schedule", "karras")
    if sigma_schedule != "karras":
        raise invalid_argument("scheduler", f"{name} with sigma_schedule={sigma_schedule!r}", "one with 'karras'")
    return EDM(config.get("sigma_min", 0.002), config.get("sigma_max", 80.0), config.get("rho", 7.0))


def alphas_cumprod_from_config(config: Mapping) -> np.ndarray:
    """Compute the ``alphas_cumprod`` of a configuration with betas, as diffusers does, in double precision.

    Args:
        config: the configuration.

    Returns:
        (T,), from clean to noisy.

    Raises:
        ValueError: for an unknown ``beta_schedule``.

    >>> alphas_cumprod_from_config({"trained_betas": [0.5, 0.5]})
    array([0.5 , 0.25])
    """
    count = config.get("num_train_timesteps", 1000)
    start, end = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
    beta_schedule = config.get("beta_schedule", "linear")
    if config.get("trained_betas") is not None:
        betas = np.array(config["trained_betas"], dtype=np.float64)
    elif beta_schedule == "linear":
        betas = np.linspace(start, end, count)
    elif beta_schedule == "scaled_linear":
        betas = np.linspace(start**0.5, end**0.5, count) ** 2
    elif beta_schedule == "squaredcos_cap_v2":
        cosines = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - cosines[1:] / cosines[:-1], 0.999)
    else:
        must = "'linear', 'scaled_linear' or 'squaredcos_cap_v2', or pass trained_betas"
        raise invalid_argument("beta_schedule", beta_schedule, must)
    alphas = np.cumprod(1 - betas)
    if config.get("rescale_betas_zero_snr"):  # Lin et al. 2024, Algorithm 1
        root = np.sqrt(alphas)
        alphas = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return alphas


def schedule_from_config(config: Mapping, tokens: int | None = None) -> Schedule:
    """Read the noise schedule of a configuration: `from_scheduler` without diffusers.

    Args:
        config: the configuration.
        tokens: of the image, where a flow's shift depends on its size.

    Returns:
        The schedule.

    Raises:
        UnknownScheduler: for a class, or settings of one, that is not read here, naming it.

    >>> schedule_from_config({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0})
    RectifiedFlow(shift=3.0)
    """
    name = config.get("_class_name", "")
    if unread := _unread_settings(name, config):
        raise _unknown(f"{name} with {', '.join(unread)}", "without what changes its steps")
    if name == "FlowMatchEulerDiscreteScheduler":
        return RectifiedFlow(flow_shift(config, tokens))
    if name.startswith("EDM"):
        return _edm(name, config)
    if name in SPACINGS:
        return Discrete(alphas_cumprod_from_config(config))
    classes = ", ".join([*SPACINGS, "FlowMatchEulerDiscreteScheduler", "EDM..."])
    raise _unknown(name or "one without _class_name", f"such as {classes}")


def _unread_settings(name: str, config: Mapping) -> list[str]:
    """The settings of a configuration that change its steps in a way that is not followed here."""
    unread = [key for key in _UNREAD if config.get(key)]
    if config.get("sigma_schedule", "karras") != "karras":
        unread.append("sigma_schedule")
    if "FlowMatch" in name and config.get("use_karras_sigmas"):
        unread.append("use_karras_sigmas")
    if "Euler" in name and config.get("use_karras_sigmas") and config.get("timestep_spacing", "linspace") != "linspace":
        unread.append("use_karras_sigmas with timestep_spacing")
    if name == "PNDMScheduler" and not config.get("skip_prk_steps"):
        unread.append("skip_prk_steps off")
    return unread


def _unknown(scheduler: str, which: str) -> UnknownScheduler:
    return UnknownScheduler(f"scheduler must be of a class that is known without diffusers, {which}; got {scheduler}")
