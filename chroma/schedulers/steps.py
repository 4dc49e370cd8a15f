"""The steps of an inference: those that a diffusers scheduler was set to, or a plan from its configuration alone.

`plan` needs NumPy alone; `step_log_snrs` reads any scheduler after its ``set_timesteps``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chroma._check import check_int, invalid_argument
from chroma.schedulers.config import SPACINGS, schedule_from_config
from chroma.schedules import EDM, RectifiedFlow, alpha_log_snr, flow_log_snr

LINSPACE_BY_DEFAULT = {
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "LMSDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
}
KARRAS_RHO = 7  # diffusers' own, whatever the scheduler


@dataclass(frozen=True)
class Plan:
    """The steps of an inference, from noisy to clean.

    Attributes:
        timesteps: what the network is given as time, (steps,).
        log_snrs: of the images that it is given, (steps,). The first is -inf for a flow that starts at pure noise, or
            with zero terminal SNR.
    """

    timesteps: np.ndarray
    log_snrs: np.ndarray


def step_log_snrs(scheduler: Any) -> np.ndarray:
    """Read the log-SNRs of the steps that a diffusers scheduler was set to (``set_timesteps``).

    Args:
        scheduler: a diffusers scheduler with ``sigmas`` or ``alphas_cumprod``.

    Returns:
        (steps,), from noisy to clean.

    >>> from diffusers import DDIMScheduler
    >>> scheduler = DDIMScheduler(beta_schedule="squaredcos_cap_v2")
    >>> scheduler.set_timesteps(4)
    >>> step_log_snrs(scheduler).round(2)  # as by `plan`
    array([-1.79, -0.03,  1.7 , 10.09])
    """
    config, count = scheduler.config, len(scheduler.timesteps)
    if hasattr(scheduler, "sigmas"):
        sigmas = _to_host(scheduler.sigmas[:count]).astype(np.float64)
        flow = "FlowMatch" in type(scheduler).__name__ or config.get("use_flow_sigmas")
        return flow_log_snr(sigmas) if flow else -2 * np.log(sigmas)
    alphas = _to_host(scheduler.alphas_cumprod).astype(np.float64)
    return alpha_log_snr(alphas[_to_host(scheduler.timesteps).astype(int)])


def _to_host(tensor: Any) -> np.ndarray:
    """A scheduler's tensor, some of which live where the model does, or an array, as an array."""
    return np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor)


def plan(config: Mapping, steps: int, tokens: int | None = None) -> Plan:
    """Compute the steps as the scheduler of a configuration would set them.

    Args:
        config: what diffusers saves as ``scheduler_config.json``, with its ``_class_name``.
        steps: how many, at least 1.
        tokens: of the image, where a flow's shift depends on its size.

    Returns:
        The plan.

    Raises:
        UnknownScheduler: for a class, or settings of one, whose steps are not known without diffusers.
        ValueError: for fewer than one step, and for a shift that needs the number of tokens.

    >>> plan({"_class_name": "DDIMScheduler"}, steps=4).timesteps
    array([750., 500., 250.,   0.])
    """
    check_int("steps", steps, 1)
    schedule = schedule_from_config(config, tokens)
    count = config.get("num_train_timesteps", 1000)
    if isinstance(schedule, RectifiedFlow):
        return _flow_plan(config, schedule.shift, count, steps)
    if isinstance(schedule, EDM):
        low, high = schedule.sigma_min ** (1 / schedule.rho), schedule.sigma_max ** (1 / schedule.rho)
        sigmas = np.linspace(high, low, steps) ** schedule.rho
        return Plan(0.25 * np.log(sigmas), -2 * np.log(sigmas))
    spacing = SPACINGS[config["_class_name"]]
    timesteps = _timesteps(config, spacing, count, steps)
    if config.get("use_karras_sigmas"):
        edges = schedule.log_snr(np.array([count - 1.0, 0.0]))
        high, low = np.exp(-edges / 2) ** (1 / KARRAS_RHO)
        log_snrs = -2 * KARRAS_RHO * np.log(np.linspace(high, low, steps))
        return Plan(schedule.time(log_snrs), log_snrs)
    if spacing == "fractional":
        sigmas = np.interp(timesteps, np.arange(count), np.exp(-schedule.log_snr(np.arange(count)) / 2))
        return Plan(timesteps, -2 * np.log(sigmas))
    return Plan(timesteps, schedule.log_snr(timesteps))


def _flow_plan(config: Mapping, shift: float, count: int, steps: int) -> Plan:
    def shifted(sigma):
        return shift * sigma / (1 + (shift - 1) * sigma)

    if config.get("use_dynamic_shifting"):  # the pipeline passes equal steps down to 1 / steps
        sigmas = shifted(np.linspace(1, 1 / steps, steps))
    else:  # from the largest sigma to the smallest, which is shifted already
        sigmas = shifted(np.linspace(1, shifted(1 / count), steps))
    return Plan(sigmas * count, flow_log_snr(sigmas))


def _timesteps(config: Mapping, spacing: str, count: int, steps: int) -> np.ndarray:
    """The timesteps of a scheduler with a table, noisy to clean, as its class spreads them."""
    default = "linspace" if config["_class_name"] in LINSPACE_BY_DEFAULT else "leading"
    timestep_spacing = config.get("timestep_spacing", default)
    if spacing == "distilled":
        return _distilled_timesteps(config, count, steps)
    if timestep_spacing == "trailing":
        return np.round(np.arange(count, 0, -count / steps))[:steps] - 1.0
    offset = config.get("steps_offset", 0) if timestep_spacing == "leading" else 0
    if spacing == "last_dropped":  # spread over one step more, the last of which is left out
        if timestep_spacing == "linspace":
            return np.linspace(0, count - 1, steps + 1).round()[::-1][:-1]
        return (np.arange(steps + 1) * (count // (steps + 1)))[::-1][:-1] + float(offset)
    if timestep_spacing == "linspace":
        even = np.linspace(0, count - 1, steps)[::-1]
        return even if spacing == "fractional" else even.round()
    return (np.arange(steps) * (count // steps))[::-1] + float(offset)


def _distilled_timesteps(config: Mapping, count: int, steps: int) -> np.ndarray:
    """An even choice among the timesteps that the model was distilled to."""
    original = config.get("original_inference_steps", 50)
    if steps > original:
        raise invalid_argument("steps", steps, f"at most {original}, those that the model was distilled to")
    distilled = (np.arange(1, original + 1) * (count // original) - 1)[::-1]
    return distilled[np.floor(np.linspace(0, len(distilled), steps, endpoint=False)).astype(int)].astype(float)
