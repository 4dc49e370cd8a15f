"""The log-SNRs of the steps that a call of a pipeline is going to take."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import numpy as np

from chroma._check import invalid_argument
from chroma.models import Pipeline
from chroma.schedulers.pipelines import pipeline_inputs
from chroma.schedulers.steps import distinct_steps, step_log_snrs


def default_of(pipe: Any, name: str) -> Any:
    """The default of an argument of the pipeline's call; None if it has no such argument."""
    parameter = inspect.signature(type(pipe).__call__).parameters.get(name)
    return None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default


def planned_log_snrs(pipe: Any, steps: int, options: Mapping[str, Any]) -> np.ndarray:
    """The log-SNRs that the network will see, one per evaluation, in a call with these options.

    Raises:
        ValueError: for steps that go back towards noise, and for options that the scheduler does not accept.
    """
    scheduler = deepcopy(pipe.scheduler)
    own = next((options[name] for name in ("timesteps", "sigmas") if options.get(name) is not None), None)
    steps = steps if own is None else len(own)  # a list of one's own is as long as it is
    _set(pipe, scheduler, steps, options)
    log_snrs, times = step_log_snrs(scheduler), scheduler.timesteps.cpu().numpy()
    distinct_steps(times, log_snrs, steps, type(scheduler).__name__)
    start = _start(pipe, scheduler, steps, options)
    return log_snrs[start : _stop(scheduler, start, options)]


def _set(pipe: Any, scheduler: Any, steps: int, options: Mapping[str, Any]) -> None:
    """Set the timesteps as the pipeline does."""
    accepted = inspect.signature(scheduler.set_timesteps).parameters
    arguments = _inputs(pipe, scheduler, steps, options)
    for name in ("original_inference_steps", "strength"):  # of latent consistency models
        value = options.get(name, default_of(pipe, name))
        if _spreads(pipe) and value is not None:
            arguments[name] = value
    for name in arguments:
        if name not in accepted and options.get(name) is not None:
            must = f"left out: {type(scheduler).__name__} does not accept it"
            raise invalid_argument(name, options[name], must)
    arguments = {name: value for name, value in arguments.items() if name in accepted}
    own = arguments.get("timesteps") is not None or arguments.get("sigmas") is not None
    try:
        scheduler.set_timesteps(**({} if own else {"num_inference_steps": steps}), **arguments)
    except Exception as error:  # assertions and missing attributes too: the pipeline would stumble over the same
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        must = f"one that {type(pipe).__name__} can set to {steps} steps"
        raise invalid_argument("scheduler", f"{type(scheduler).__name__} ({reason})", must) from error


def _inputs(pipe: Any, scheduler: Any, steps: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the pipeline hands to ``set_timesteps`` beside the number of steps, the caller's own values first."""
    given = {name: options[name] for name in ("timesteps", "sigmas", "mu") if options.get(name) is not None}
    if _spreads(pipe):
        return given
    height, width = image_size(pipe, options)
    inputs = pipeline_inputs(
        type(pipe).__name__,
        scheduler,
        steps,
        width=width,
        height=height,
        latent_factor=pipe.vae_scale_factor,
        patch_size=getattr(Pipeline(pipe).network.config, "patch_size", None),
    )
    if "timesteps" not in given and "sigmas" not in given:
        given |= {"timesteps": inputs.timesteps, "sigmas": inputs.sigmas}
    given.setdefault("mu", inputs.mu)
    return {name: value for name, value in given.items() if value is not None}


def _spreads(pipe: Any) -> bool:
    """Whether the pipeline is of latent consistency: its steps are spread over what ``strength`` leaves."""
    return type(pipe).__name__.startswith("LatentConsistency")


def image_size(pipe: Any, options: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width in pixels of the images of a call with these options."""
    defaults = (side * pipe.vae_scale_factor for side in Pipeline(pipe).shape[1:])
    height, width = (options.get(name) or side for name, side in zip(("height", "width"), defaults, strict=True))
    area = options.get("max_area", default_of(pipe, "max_area"))
    if area is None:
        return height, width
    unit = 2 * pipe.vae_scale_factor  # Kontext keeps the proportions alone, at an area of its own
    sides = round((area * height / width) ** 0.5), round((area * width / height) ** 0.5)
    return sides[0] // unit * unit, sides[1] // unit * unit


def _start(pipe: Any, scheduler: Any, steps: int, options: Mapping[str, Any]) -> int:
    """How many steps an image-to-image or inpainting pipeline leaves out, by its own rule."""
    strength = options.get("strength", default_of(pipe, "strength"))
    if strength is None or _spreads(pipe) or not hasattr(pipe, "get_timesteps"):
        return 0
    from_share = {} if options.get("denoising_start") is None else {"denoising_start": options["denoising_start"]}
    times = type(pipe).get_timesteps(SimpleNamespace(scheduler=scheduler), steps, strength, None, **from_share)[0]
    return len(scheduler.timesteps) - len(times)


def _stop(scheduler: Any, start: int, options: Mapping[str, Any]) -> int:
    """Where SDXL's denoising_end ends the steps."""
    end = options.get("denoising_end")
    if not isinstance(end, float) or not 0 < end < 1:
        return len(scheduler.timesteps)
    count = scheduler.config.num_train_timesteps
    cutoff = round(count - end * count)
    return start + int((np.asarray(scheduler.timesteps.cpu())[start:] >= cutoff).sum())
