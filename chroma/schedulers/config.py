"""The one reader of diffusers' scheduler configurations: noise schedules, alpha tables, shifts of flows.

A configuration is what diffusers saves as ``scheduler_config.json``, a dictionary with its ``_class_name``.
`from_scheduler` reads a scheduler object; `schedule_from_config` reads a configuration with NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chroma._check import check_int, invalid_argument
from chroma.schedulers.mixture import mixes_like_flow, setting
from chroma.schedulers.settings import FOLLOWED, followed_settings
from chroma.schedules import EDM, Discrete, RectifiedFlow, Schedule

_OF_MU = ("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len")


def flow_mu(config: Mapping, tokens: int | None = None) -> float:
    r"""Compute the :math:`\mu` of a flow whose shift depends on the size of the image.

    It is linear in the number of tokens, as in FluxPipeline; with ``time_shift_type`` "linear" it grows with the root
    of that number, as in CogView4Pipeline.

    Args:
        config: the configuration; what it leaves out is as in Flux (and diffusers).
        tokens: of the image (Flux: height x width in latents / 4).

    Returns:
        :math:`\mu`.

    Raises:
        ValueError: if no number of tokens is given.

    >>> flow_mu({"base_shift": 0.5, "max_shift": 1.15}, tokens=4096)
    1.15
    """
    if tokens is None:
        must = "passed with the number of tokens of its image (tokens=height * width // 4, in latents), or with mu"
        raise invalid_argument("scheduler", "one with use_dynamic_shifting", must)
    tokens = check_int("tokens", tokens, 1)
    defaults = FOLLOWED["FlowMatchEulerDiscreteScheduler"]
    settings = {key: config.get(key, defaults[key]) for key in _OF_MU}
    try:
        if config.get("time_shift_type") == "linear":
            root = float(np.sqrt(tokens / settings["base_image_seq_len"]))
            return float(root * settings["max_shift"] + settings["base_shift"])
        low, high = settings["base_image_seq_len"], settings["max_image_seq_len"]
        slope = (settings["max_shift"] - settings["base_shift"]) / (high - low)
        return float(slope * (tokens - low) + settings["base_shift"])
    except (TypeError, ZeroDivisionError) as error:
        must = f"one whose {', '.join(_OF_MU)} are numbers and give a line"
        raise invalid_argument("scheduler", str(settings), must) from error


def flow_shift(config: Mapping, tokens: int | None = None) -> float:
    r"""Read SD3's `shift` from a flow-matching configuration.

    Where it depends on the size of the image (``use_dynamic_shifting``), it is :math:`e^\mu`, with the :math:`\mu` of
    `flow_mu`, or with ``time_shift_type`` "linear" :math:`\mu` itself.

    Args:
        config: the configuration.
        tokens: of the image (Flux: height x width in latents / 4).

    Returns:
        The shift.

    Raises:
        ValueError: if the shift depends on the number of tokens and none is given, and for an unknown time shift.

    >>> flow_shift({"shift": 3.0})
    3.0
    """
    if not config.get("use_dynamic_shifting"):
        return config.get("shift", 1.0)
    kind = config.get("time_shift_type", "exponential")
    if kind not in ("exponential", "linear"):
        raise invalid_argument("time_shift_type", kind, "'exponential' or 'linear'")
    mu = flow_mu(config, tokens)
    return mu if kind == "linear" else float(np.exp(mu))


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
    if setting(scheduler, "invert_sigmas"):
        raise invalid_argument("scheduler", f"{name} with invert_sigmas", "one whose time runs from clean to noisy")
    if mixes_like_flow(scheduler):
        return _flow(_shift_of(scheduler, tokens))
    if setting(scheduler, "sigma_schedule") is not None:
        return _edm(name, config)
    if hasattr(scheduler, "alphas_cumprod"):
        alphas = scheduler.alphas_cumprod
        alphas = np.array(alphas.numpy(force=True) if hasattr(alphas, "numpy") else alphas, dtype=np.float64)
        if setting(scheduler, "rescale_betas_zero_snr"):
            alphas[-1] = 0.0  # some schedulers keep 2^-24 here, lest their sigma be infinite
        return _discrete(name, alphas)
    raise _unreadable(name)


def _discrete(name: str, alphas: np.ndarray) -> Discrete:
    try:
        return Discrete(alphas)
    except ValueError as error:
        must = "one whose alphas_cumprod fall from 1 towards 0"
        raise invalid_argument("scheduler", f"{name} with alphas_cumprod that do not", must) from error


def _shift_of(scheduler: Any, tokens: int | None) -> Any:
    """The shift of a scheduler that mixes like a flow."""
    if setting(scheduler, "use_dynamic_shifting"):
        return flow_shift({**scheduler.config, "use_dynamic_shifting": True}, tokens)
    if setting(scheduler, "use_flow_sigmas") and setting(scheduler, "flow_shift") is not None:
        return setting(scheduler, "flow_shift")  # of multistep solvers lent to flow-matching models
    if setting(scheduler, "shift") is None:
        raise _unreadable(type(scheduler).__name__)
    return getattr(scheduler, "shift", scheduler.config["shift"])  # set_shift changes the attribute alone


def _unreadable(name: str) -> ValueError:
    must = "a scheduler with alphas_cumprod, an EDM or a flow-matching one, or pass a Schedule"
    return invalid_argument("scheduler", name, must)


def _flow(shift: Any) -> RectifiedFlow:
    try:
        return RectifiedFlow(float(shift))
    except TypeError as error:
        raise invalid_argument("shift", shift, "a finite number > 0") from error


def _edm(name: str, config: Mapping) -> EDM:
    sigma_schedule = config.get("sigma_schedule", "karras")
    if sigma_schedule != "karras":
        raise invalid_argument("scheduler", f"{name} with sigma_schedule={sigma_schedule!r}", "one with 'karras'")
    return EDM(config.get("sigma_min", 0.002), config.get("sigma_max", 80.0), config.get("rho", 7.0))


def alphas_cumprod_from_config(config: Mapping) -> np.ndarray:
    """Compute the ``alphas_cumprod`` of a configuration with betas as diffusers does, in float32 where it does.

    Args:
        config: the configuration.

    Returns:
        (T,) float64, from clean to noisy, which are the numbers of diffusers to the last digit (with zero terminal SNR,
        to four digits).

    Raises:
        ValueError: for an unknown ``beta_schedule``, and for betas that are not numbers.

    >>> alphas_cumprod_from_config({"trained_betas": [0.5, 0.5]})
    array([0.5 , 0.25])
    """
    defaults = FOLLOWED.get(config.get("_class_name", ""), FOLLOWED["DDPMScheduler"])
    settings = {**defaults, **config}
    count, start, end = settings["num_train_timesteps"], settings["beta_start"], settings["beta_end"]
    beta_schedule = settings["beta_schedule"]
    if settings["trained_betas"] is not None:
        betas = _numbers("trained_betas", settings["trained_betas"]).astype(np.float32)
    elif beta_schedule == "linear":
        betas = _float32_line(start, end, count)
    elif beta_schedule == "scaled_linear":
        betas = _float32_line(start**0.5, end**0.5, count) ** 2
    elif beta_schedule == "squaredcos_cap_v2":
        cosines = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - cosines[1:] / cosines[:-1], 0.999).astype(np.float32)
    else:
        must = "'linear', 'scaled_linear' or 'squaredcos_cap_v2', or pass trained_betas"
        raise invalid_argument("beta_schedule", beta_schedule, must)
    alphas = _float32_products(1 - betas)
    if settings.get("rescale_betas_zero_snr"):  # Lin et al. 2024, Algorithm 1
        root = np.sqrt(alphas)
        alphas = ((root - root[-1]) * (root[0] / (root[0] - root[-1]))) ** 2
        alphas = _float32_products(np.append(alphas[:1], 1 - (1 - alphas[1:] / alphas[:-1])))
    return alphas.astype(np.float64)


def _float32_line(start: float, end: float, count: int) -> np.ndarray:
    """``torch.linspace``: a step in float32, counted from the nearer end."""
    first, last = np.float32(start), np.float32(end)
    step = np.float64((last - first) / np.float32(max(count - 1, 1)))
    index = np.arange(count)
    line = np.where(index < count // 2, first + step * index, last - step * (count - 1 - index))
    return line.astype(np.float32) if count > 1 else np.array([first])


def _float32_products(factors: np.ndarray) -> np.ndarray:
    """``torch.cumprod``: products in double precision, each rounded to float32."""
    return np.cumprod(factors, dtype=np.float64).astype(np.float32)


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise invalid_argument(name, values, "a list of numbers") from error
    if numbers.ndim != 1 or not numbers.size:
        raise invalid_argument(name, values, "a list of at least one number")
    return numbers


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
    settings, name = followed_settings(config), config["_class_name"]
    if settings.get("invert_sigmas"):
        raise invalid_argument("scheduler", f"{name} with invert_sigmas", "one whose time runs from clean to noisy")
    if "shift" in settings:
        return _flow(flow_shift(settings, tokens))
    if settings.get("use_flow_sigmas"):
        return _flow(settings["flow_shift"])
    if "rho" in settings:
        return _edm(name, settings)
    if "beta_start" not in settings:
        raise _unreadable(name)
    with np.errstate(all="ignore"):
        return _discrete(name, alphas_cumprod_from_config(settings))
