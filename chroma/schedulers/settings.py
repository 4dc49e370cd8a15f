"""The settings of each scheduler class that `chroma.schedulers.steps.plan` follows, with diffusers' defaults.

A list of what is followed, not of what is not: a setting that nobody thought of is left to diffusers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from chroma._check import invalid_argument


class UnknownScheduler(ValueError):
    """A scheduler whose steps only diffusers itself knows."""


_BETAS = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
}
_LATENT_BETAS = {**_BETAS, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_LEADING = {"timestep_spacing": "leading", "steps_offset": 0}
_LINSPACE = {"timestep_spacing": "linspace", "steps_offset": 0}
_ZERO_SNR = {"rescale_betas_zero_snr": False}
_KARRAS = {"use_karras_sigmas": False}
_LENT = {"use_flow_sigmas": False, "flow_shift": 1.0}
_CONTINUOUS = {"sigma_min": None, "sigma_max": None, "timestep_type": "discrete", "prediction_type": "epsilon"}
_EDM = {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0, "sigma_schedule": "karras"}
_FLOW = {
    "num_train_timesteps": 1000,
    "shift": 1.0,
    "use_dynamic_shifting": False,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
    "time_shift_type": "exponential",
    "shift_terminal": None,
    "invert_sigmas": False,
}
# what each class's steps are computed from, and what diffusers takes where a configuration leaves it out
FOLLOWED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "DDIMScheduler": {**_BETAS, **_LEADING, **_ZERO_SNR},
        "DDPMScheduler": {**_BETAS, **_LEADING, **_ZERO_SNR},
        "PNDMScheduler": {**_BETAS, **_LEADING, "skip_prk_steps": False},
        "EulerDiscreteScheduler": {**_BETAS, **_LINSPACE, **_ZERO_SNR, **_KARRAS, **_CONTINUOUS},
        "EulerAncestralDiscreteScheduler": {**_BETAS, **_LINSPACE, **_ZERO_SNR},
        "LMSDiscreteScheduler": {**_BETAS, **_LINSPACE, **_KARRAS},
        "DPMSolverMultistepScheduler": {**_BETAS, **_LINSPACE, **_ZERO_SNR, **_KARRAS, **_LENT},
        "UniPCMultistepScheduler": {**_BETAS, **_LINSPACE, **_ZERO_SNR, **_KARRAS, **_LENT},
        "LCMScheduler": {**_LATENT_BETAS, **_ZERO_SNR, "original_inference_steps": 50},
        "EDMEulerScheduler": _EDM,
        "EDMDPMSolverMultistepScheduler": _EDM,
        "FlowMatchEulerDiscreteScheduler": _FLOW,
        "FlowMatchLCMScheduler": _FLOW,
        "DDPMWuerstchenScheduler": {"scaler": 1.0, "s": 0.008},
    }
)
# of the followed settings, the values that are followed; numbers and lists are checked where they are used
_FOLLOWED_VALUES: dict[str, tuple[Any, ...]] = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "timestep_spacing": ("leading", "linspace", "trailing"),
    "rescale_betas_zero_snr": (False, True),
    "use_karras_sigmas": (False, True),
    "use_flow_sigmas": (False, True),
    "timestep_type": ("discrete", "continuous"),
    "prediction_type": ("epsilon", "v_prediction", "sample"),
    "use_dynamic_shifting": (False, True),
    "invert_sigmas": (False, True),
    "skip_prk_steps": (True,),  # the steps of Runge and Kutta are left to diffusers
    "sigma_schedule": ("karras",),
    "time_shift_type": ("exponential", "linear"),
}
_COUNTS = ("num_train_timesteps", "original_inference_steps", "base_image_seq_len", "max_image_seq_len")
_POSITIVE = ("sigma_min", "sigma_max", "rho", "shift", "flow_shift", "scaler", "s")
_NUMBERS = (*_COUNTS, *_POSITIVE, "beta_start", "beta_end", "steps_offset", "base_shift", "max_shift")
# the settings that change what a step computes, not where it is, whatever their value ...
_NEUTRAL = {
    "clip_sample",
    "clip_sample_range",
    "dynamic_thresholding_ratio",
    "flow_shift",  # of solvers lent to flows, which follow it
    "sample_max_value",
    "set_alpha_to_one",
    "sigma_data",
    "skip_prk_steps",  # of PNDM, which follows it, and of no other class
    "scale_factors",  # of FlowMatchLCM: at which steps the image grows
    "stochastic_sampling",
    "thresholding",
    "timestep_scaling",
    "upscale_mode",
    "variance_type",
}
# ... and those that must have one of the values that diffusers accepts: another one is left to diffusers to refuse
_NEUTRAL_VALUES: dict[str, tuple[Any, ...]] = {
    "algorithm_type": ("dpmsolver++", "sde-dpmsolver++"),
    "disable_corrector": ([], ()),
    "euler_at_final": (False, True),
    "final_sigmas_type": ("zero", "sigma_min"),
    "lower_order_final": (False, True),
    "predict_x0": (False, True),
    "prediction_type": ("epsilon", "v_prediction", "sample", "flow_prediction"),
    "solver_order": (1, 2, 3),
    "solver_p": (None,),
    "solver_type": ("midpoint", "heun", "bh1", "bh2"),
}
# diffusers' defaults of settings that are followed for no class, or not for every class that has them
_DEFAULTS: dict[str, Any] = {
    "interpolation_type": "linear",
    "lambda_min_clipped": float("-inf"),
    "num_train_timesteps": 1000,
    "shift_terminal": None,
    "sigma_max": None,
    "sigma_min": None,
    "time_shift_type": "exponential",
    "timestep_type": "discrete",
    "use_beta_sigmas": False,
    "use_dynamic_shifting": False,
    "use_exponential_sigmas": False,
    "use_flow_sigmas": False,
    "use_karras_sigmas": False,
    "use_lu_lambdas": False,
}


def followed_settings(config: Mapping) -> dict[str, Any]:
    """Read the settings that the steps of a configuration depend on, with diffusers' defaults where it has none.

    Args:
        config: what diffusers saves as ``scheduler_config.json``, with its ``_class_name``.

    Returns:
        The settings of the class in `FOLLOWED`.

    Raises:
        UnknownScheduler: for another class, and where a setting that is not followed is not at its default.

    >>> followed_settings({"_class_name": "EDMEulerScheduler", "sigma_max": 50})
    {'sigma_min': 0.002, 'sigma_max': 50, 'rho': 7.0, 'sigma_schedule': 'karras'}
    """
    name = config.get("_class_name")
    if not isinstance(name, str) or name not in FOLLOWED:
        raise unknown_scheduler(str(name or "one without _class_name"), f"such as {', '.join(FOLLOWED)}")
    defaults, left = FOLLOWED[name], config.get("_use_default_values") or ()
    given = {key: value for key, value in config.items() if key[:1] != "_" and key not in left}
    settings = {**defaults, **{key: value for key, value in given.items() if key in defaults}}
    unread = [key for key, value in given.items() if key not in defaults and not _is_neutral(key, value)]
    unread += [key for key, value in settings.items() if not _is_followed(key, value, defaults[key])]
    if unread:
        raise unknown_scheduler(f"{name} with {', '.join(f'{key}={config.get(key)!r}' for key in unread)}", "")
    return settings


def _is_neutral(key: str, value: Any) -> bool:
    if key in _NEUTRAL_VALUES:
        return any(_same(value, allowed) for allowed in _NEUTRAL_VALUES[key])
    return key in _NEUTRAL or (key in _DEFAULTS and _same(value, _DEFAULTS[key]))


def _is_followed(key: str, value: Any, default: Any) -> bool:
    if key in _FOLLOWED_VALUES:
        return any(_same(value, allowed) for allowed in _FOLLOWED_VALUES[key])
    if value is None and key in ("sigma_min", "sigma_max"):
        return default is None
    if key in _NUMBERS:
        integer = isinstance(value, int) and not isinstance(value, bool)
        if not (integer or (isinstance(value, float) and key not in _COUNTS)):
            return False
        return value > 0 or key not in (*_COUNTS, *_POSITIVE)
    if key == "shift_terminal":
        return value is None or (isinstance(value, float) and 0 < value < 1)
    return True


def _same(value: Any, other: Any) -> bool:
    return isinstance(value, type(other)) and bool(value == other)


def unknown_scheduler(scheduler: str, which: str) -> UnknownScheduler:
    """Build the error to raise for a scheduler that is not followed here.

    Args:
        scheduler: what was passed.
        which: what is followed, to come after the refusal.

    Returns:
        The error; the caller raises it.
    """
    must = f"one whose steps are known without diffusers{', ' if which else ''}{which}"
    return UnknownScheduler(str(invalid_argument("scheduler", scheduler, must)))
