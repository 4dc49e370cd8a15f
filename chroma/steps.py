"""The log-SNRs that a scheduler visits: of a diffusers scheduler as it stands, or foretold from its configuration
alone.

A configuration is what diffusers saves as ``scheduler_config.json``: a dictionary with its ``_class_name``. `plan`
needs NumPy alone, and follows the classes named in `SPACINGS` and the flow-matching and EDM ones; `visited` reads any
scheduler after its ``set_timesteps``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chroma._check import refuse, whole
from chroma.schedules import EDM, Discrete, RectifiedFlow, Schedule, flow_shift


@dataclass(frozen=True)
class Plan:
    """The steps of an inference, noisy to clean: what the network is told, and the log-SNR of what it sees, both
    (steps,).

    The first log-SNR is -inf for a flow that begins at pure noise, or with zero terminal SNR.
    """

    timesteps: np.ndarray
    log_snrs: np.ndarray


# how each class spreads its timesteps: DDIM's way, its way with repeats, k-diffusion's, or DPM-Solver's
SPACINGS = {
    "DDIMScheduler": "plain",
    "DDPMScheduler": "plain",
    "PNDMScheduler": "plain",  # it evaluates its second step twice; the plan has it once
    "EulerDiscreteScheduler": "fractional",
    "EulerAncestralDiscreteScheduler": "fractional",
    "LMSDiscreteScheduler": "fractional",
    "DPMSolverMultistepScheduler": "one more",
    "UniPCMultistepScheduler": "one more",
    "LCMScheduler": "distilled",
}


_KNOWN = "of a class that is known without diffusers"
_UNREAD = ("use_flow_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "shift_terminal")


def visited(scheduler) -> np.ndarray:
    """The log-SNRs of the steps that a diffusers scheduler was set to (``set_timesteps``), noisy to clean, (steps,).

    >>> from diffusers import DDIMScheduler
    >>> scheduler = DDIMScheduler(beta_schedule="squaredcos_cap_v2")
    >>> scheduler.set_timesteps(4)
    >>> visited(scheduler).round(2)  # as foretold by `plan`
    array([-1.79, -0.03,  1.7 , 10.09])
    """
    config, count = scheduler.config, len(scheduler.timesteps)
    if hasattr(scheduler, "sigmas"):
        sigmas = _host(scheduler.sigmas[:count]).astype(np.float64)
        flow = "FlowMatch" in type(scheduler).__name__ or config.get("use_flow_sigmas")
        return of_flow(sigmas) if flow else -2 * np.log(sigmas)
    alphas = _host(scheduler.alphas_cumprod).astype(np.float64)[_host(scheduler.timesteps).astype(int)]
    return _log_snr(alphas)


def _host(tensor) -> np.ndarray:
    """A scheduler's tensor, some of which live where the model does, or an array, as an array."""
    return np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor)


def of_flow(sigmas) -> np.ndarray:
    """The log-SNR of (1 - sigma) x0 + sigma eps.

    >>> of_flow([1.0, 0.5])
    array([-inf,   0.])
    """
    with np.errstate(divide="ignore"):
        return 2 * (np.log1p(-np.asarray(sigmas, dtype=np.float64)) - np.log(sigmas))


def _log_snr(alphas) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(alphas) - np.log1p(-alphas)


def alphas_of(config: Mapping) -> np.ndarray:
    """``alphas_cumprod`` of a configuration with betas, (T,): what diffusers computes, in double precision.

    >>> alphas_of({"trained_betas": [0.5, 0.5]})
    array([0.5 , 0.25])
    """
    count = config.get("num_train_timesteps", 1000)
    start, end, kind = (
        config.get("beta_start", 1e-4),
        config.get("beta_end", 0.02),
        config.get("beta_schedule", "linear"),
    )
    if config.get("trained_betas") is not None:
        betas = np.array(config["trained_betas"], dtype=np.float64)
    elif kind == "linear":
        betas = np.linspace(start, end, count)
    elif kind == "scaled_linear":
        betas = np.linspace(start**0.5, end**0.5, count) ** 2
    elif kind == "squaredcos_cap_v2":
        cosines = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - cosines[1:] / cosines[:-1], 0.999)
    else:
        raise refuse("beta_schedule", kind, "'linear', 'scaled_linear' or 'squaredcos_cap_v2', or pass trained_betas")
    alphas = np.cumprod(1 - betas)
    if config.get("rescale_betas_zero_snr"):  # Lin et al. 2024, Algorithm 1
        root = np.sqrt(alphas)
        alphas = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return alphas


def schedule_of(config: Mapping, tokens: int | None = None) -> Schedule:
    """The noise schedule of a configuration: `chroma.from_scheduler` without diffusers.

    tokens: see `plan`. Raises ValueError for a class that is not known, naming it.

    >>> schedule_of({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0})
    RectifiedFlow(shift=3.0)
    """
    name = config.get("_class_name", "")
    unread = [key for key in _UNREAD if config.get(key)]
    if config.get("sigma_schedule", "karras") != "karras":
        unread.append("sigma_schedule")
    if "FlowMatch" in name and config.get("use_karras_sigmas"):
        unread.append("use_karras_sigmas")
    if "Euler" in name and config.get("use_karras_sigmas") and config.get("timestep_spacing", "linspace") != "linspace":
        unread.append("use_karras_sigmas with timestep_spacing")
    if unread:
        raise refuse("scheduler", f"{name} with {', '.join(unread)}", f"{_KNOWN}, without what changes its steps")
    if name == "FlowMatchEulerDiscreteScheduler":
        return RectifiedFlow(flow_shift(config, tokens))
    if name.startswith("EDM"):
        return EDM(config.get("sigma_min", 0.002), config.get("sigma_max", 80.0), config.get("rho", 7.0))
    if name == "PNDMScheduler" and not config.get("skip_prk_steps"):
        raise refuse("scheduler", "PNDMScheduler without skip_prk_steps", "one whose steps are a plain list")
    if name in SPACINGS:
        return Discrete(alphas_of(config))
    known = ", ".join([*SPACINGS, "FlowMatchEulerDiscreteScheduler", "EDM..."])
    raise refuse("scheduler", name or "one without _class_name", f"{_KNOWN}: {known}")


def plan(config: Mapping, steps: int, tokens: int | None = None) -> Plan:
    """The timesteps and log-SNRs of `steps` steps, as the scheduler of this configuration would set them.

    tokens: of the image, needed where a flow's shift depends on its size. Raises ValueError for a class that is not
    known.

    >>> plan({"_class_name": "DDIMScheduler"}, steps=4).timesteps
    array([750., 500., 250.,   0.])
    """
    whole("steps", steps, 1)
    schedule = schedule_of(config, tokens)
    count = config.get("num_train_timesteps", 1000)
    if isinstance(schedule, RectifiedFlow):
        return _flow(config, schedule.shift, count, steps)
    if isinstance(schedule, EDM):
        low, high = schedule.sigma_min ** (1 / schedule.rho), schedule.sigma_max ** (1 / schedule.rho)
        sigmas = np.linspace(high, low, steps) ** schedule.rho
        return Plan(0.25 * np.log(sigmas), -2 * np.log(sigmas))
    timesteps = _timesteps(config, SPACINGS[config["_class_name"]], count, steps)
    if config.get("use_karras_sigmas"):
        edges = schedule.log_snr(np.array([count - 1.0, 0.0]))
        high, low = np.exp(-edges / 2) ** (1 / 7)
        log_snrs = -2 * 7 * np.log(np.linspace(high, low, steps))
        return Plan(schedule.time(log_snrs), log_snrs)
    if SPACINGS[config["_class_name"]] == "fractional":
        sigmas = np.interp(timesteps, np.arange(count), np.exp(-schedule.log_snr(np.arange(count)) / 2))
        return Plan(timesteps, -2 * np.log(sigmas))
    return Plan(timesteps, schedule.log_snr(timesteps))


def _flow(config: Mapping, shift: float, count: int, steps: int) -> Plan:
    shifted = lambda sigma: shift * sigma / (1 + (shift - 1) * sigma)  # noqa: E731
    if config.get("use_dynamic_shifting"):  # the pipeline passes equal steps down to 1 / steps
        sigmas = shifted(np.linspace(1, 1 / steps, steps))
    else:  # from the largest sigma to the smallest, which is shifted already
        sigmas = shifted(np.linspace(1, shifted(1 / count), steps))
    return Plan(sigmas * count, of_flow(sigmas))


def _timesteps(config: Mapping, spacing: str, count: int, steps: int) -> np.ndarray:
    """The timesteps of a scheduler with a table, noisy to clean, as its class spreads them."""
    way, offset = config.get("timestep_spacing", _DEFAULT.get(config["_class_name"], "leading")), 0
    if spacing == "distilled":
        original = config.get("original_inference_steps", 50)
        taught = (np.arange(1, original + 1) * (count // original) - 1)[::-1]
        if steps > original:
            raise refuse("steps", steps, f"at most {original}, those that the model was distilled to")
        return taught[np.floor(np.linspace(0, len(taught), steps, endpoint=False)).astype(int)].astype(float)
    if way == "trailing":
        return np.round(np.arange(count, 0, -count / steps))[:steps] - 1.0
    offset = config.get("steps_offset", 0) if way == "leading" else 0
    if spacing == "one more":  # spread over one step more, the last of which is left out
        if way == "linspace":
            return np.linspace(0, count - 1, steps + 1).round()[::-1][:-1]
        return (np.arange(steps + 1) * (count // (steps + 1)))[::-1][:-1] + float(offset)
    if way == "linspace":
        even = np.linspace(0, count - 1, steps)[::-1]
        return even if spacing == "fractional" else even.round()
    return (np.arange(steps) * (count // steps))[::-1] + float(offset)


_DEFAULT = dict.fromkeys(
    (
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "LMSDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "UniPCMultistepScheduler",
    ),
    "linspace",
)
