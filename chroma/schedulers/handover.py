"""The steps of any scheduler: from its configuration alone where that is enough, else set by diffusers itself."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from chroma._check import check_finite, check_int, invalid_argument
from chroma.schedulers.config import flow_mu
from chroma.schedulers.mixture import setting
from chroma.schedulers.settings import UnknownScheduler
from chroma.schedulers.steps import Plan, check_given, distinct_steps, pipeline_lists, plan, step_log_snrs


def plan_steps(
    scheduler: Mapping | Any,
    steps: int | None,
    tokens: int | None = None,
    *,
    mu: float | None = None,
    sigmas: Sequence[float] | None = None,
    timesteps: Sequence[float] | None = None,
) -> Plan:
    r"""Find the steps that a scheduler takes: by `plan` where it can, else by a copy of diffusers' own scheduler.

    Args:
        scheduler: a diffusers scheduler, which stays as it is, or a configuration with its ``_class_name``.
        steps: how many, at least 1; None where `sigmas` or `timesteps` are given.
        tokens: of the image, where a flow's shift depends on its size (``use_dynamic_shifting``). They give Flux's
            :math:`\mu`, and sigmas from 1 to 1 / steps in equal parts.
        mu: what a pipeline computes from the size of the image, in place of `tokens`.
        sigmas: what a pipeline hands to ``set_timesteps``.
        timesteps: what a pipeline hands to ``set_timesteps``.

    Returns:
        The plan, one entry per evaluation of the network at another log-SNR. PNDM, Heun and KDPM2 ancestral evaluate
        the network twice at some log-SNRs: the plan has these once. KDPM2 and DPM-Solver SDE evaluate it at log-SNRs
        between two steps: the plan has them too.

    Raises:
        ValueError: for what diffusers refuses, for a scheduler that does not mix an image with noise, and for steps
            that go back towards noise.

    >>> plan_steps({"_class_name": "KDPM2DiscreteScheduler"}, steps=3).timesteps.round()
    array([999., 779., 500.,  55.,   0.])
    """
    check_given(steps, sigmas, timesteps)
    if isinstance(scheduler, Mapping):
        try:
            return plan(scheduler, steps, tokens, mu=mu, sigmas=sigmas, timesteps=timesteps)
        except UnknownScheduler as unknown:
            own = _built(scheduler, unknown)
    else:
        own = deepcopy(scheduler)
    name = type(own).__name__
    if not hasattr(own, "set_timesteps") or not hasattr(own, "config"):
        raise invalid_argument("scheduler", name, "a diffusers scheduler (with set_timesteps and config)")
    if mu is not None:
        mu = check_finite("mu", mu)
    arguments: dict[str, Any] = {"mu": mu, "sigmas": sigmas, "timesteps": timesteps}
    if setting(own, "use_dynamic_shifting") and mu is None:
        arguments["mu"] = flow_mu(own.config, tokens)
        # pipelines leave the sigmas to the solvers that can be lent to flows
        if sigmas is None and timesteps is None and setting(own, "use_flow_sigmas") is None:
            arguments["sigmas"], arguments["timesteps"] = pipeline_lists(own.config, check_int("steps", steps, 1))
    _set_timesteps(own, steps, {key: value for key, value in arguments.items() if value is not None})
    given = sigmas if sigmas is not None else timesteps
    asked = steps if given is None else len(given)
    return distinct_steps(_times(own), step_log_snrs(own), asked, name)


def _built(config: Mapping, unknown: UnknownScheduler) -> Any:
    """Diffusers' scheduler of a configuration."""
    name = str(config.get("_class_name"))
    try:
        import diffusers
    except ImportError as error:
        raise ValueError(f"{unknown}; install diffusers to have it set up by diffusers itself") from error
    try:
        kind: Any = getattr(diffusers, name, object)
        if not _is_scheduler(kind):
            raise unknown
        return kind.from_config(dict(config))
    except UnknownScheduler:
        raise
    except Exception as error:  # whatever the configuration makes diffusers stumble over
        raise _refusal(name, "cannot be set up with this configuration", error) from error


def _is_scheduler(kind: Any) -> bool:
    """Whether it is a scheduler's class, or the stand-in of one that needs another library (torchsde)."""
    from diffusers import SchedulerMixin

    return isinstance(kind, type) and (issubclass(kind, SchedulerMixin) or hasattr(kind, "_backends"))


def _set_timesteps(scheduler: Any, steps: int | None, arguments: dict[str, Any]) -> None:
    name = type(scheduler).__name__
    accepted = inspect.signature(type(scheduler).set_timesteps).parameters
    for key in arguments:
        if key not in accepted:
            raise ValueError(f"{name} does not accept {key}: leave {key} out, or use another scheduler")
    if "sigmas" in arguments:  # of its own: UniPC computes with the array, and changes it
        arguments["sigmas"] = np.array(arguments["sigmas"], dtype=np.float64)
    if "timesteps" in arguments:
        arguments["timesteps"] = list(arguments["timesteps"])
    if "sigmas" not in arguments and "timesteps" not in arguments:
        arguments["num_inference_steps"] = steps
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy, about diffusers
            type(scheduler).set_timesteps(scheduler, **arguments)  # not a wrapper that somebody put in its place
    except Exception as error:  # assertions, index errors, missing libraries: all become one sentence
        raise _refusal(name, "cannot set these steps", error) from error


def _refusal(name: str, what: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or "no reason given"
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return ValueError(f"diffusers' {name} {what} ({kind}{reason}); use other settings, or another scheduler")


def _times(scheduler: Any) -> np.ndarray:
    timesteps = scheduler.timesteps
    return np.asarray(timesteps.cpu() if hasattr(timesteps, "cpu") else timesteps, dtype=float)
