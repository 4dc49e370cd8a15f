r"""What a pipeline hands to its scheduler: sigmas, timesteps, and the shift :math:`\mu`.

One function per rule, from a call of a pipeline to its `Inputs`. `chroma.schedulers.pipelines` lists which class of
diffusers follows which rule. Needs NumPy alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from chroma._check import check_int, invalid_argument

# the defaults of the scheduler classes that have such settings; a configuration may leave them out
SHIFT_DEFAULTS = {"base_image_seq_len": 256, "max_image_seq_len": 4096, "base_shift": 0.5, "max_shift": 1.15}
SHIFT_CLASSES = {"FlowMatchEulerDiscreteScheduler", "FlowMatchLCMScheduler"}


LARGEST_ANGLE = 1.5708  # of Sana Sprint: pure noise, but for the rounding


@dataclass(frozen=True)
class Inputs:
    """What a pipeline hands to the ``set_timesteps`` of its scheduler, besides the number of steps.

    Attributes:
        sigmas: (steps,), or None if the scheduler chooses.
        timesteps: (steps,), or None if the scheduler chooses.
        mu: the shift that depends on the size of the image, or None.
    """

    sigmas: np.ndarray | None = None
    timesteps: np.ndarray | None = None
    mu: float | None = None


@dataclass(frozen=True)
class Call:
    """A call of a pipeline, as far as its steps depend on it; `options` are those of its ``model_index.json``."""

    steps: int
    config: Mapping[str, Any]
    options: Mapping[str, Any]
    width: int
    height: int
    latent_factor: int
    latent_frames: int
    patch: int

    @property
    def tokens(self) -> int:
        """How many patches of latents the network sees."""
        cell = self.latent_factor * self.patch
        return max(1, (self.height // cell) * (self.width // cell) * self.latent_frames)

    def setting(self, key: str, default: float) -> float:
        """A setting of the scheduler: its configuration's, its class's, or else the pipeline's own default."""
        if self.config.get("_class_name") in SHIFT_CLASSES:
            default = SHIFT_DEFAULTS.get(key, default)
        value = self.config.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise invalid_argument(key, value, "a number in the scheduler's configuration")
        return value


def even_sigmas(steps: int) -> np.ndarray:
    """Compute the sigmas of Flux and its kin, from 1 down to one step above 0.

    Args:
        steps: of the inference.

    Returns:
        (steps,), 1, (steps - 1) / steps, .., 1 / steps.

    >>> even_sigmas(4)
    array([1.  , 0.75, 0.5 , 0.25])
    """
    return np.linspace(1, 1 / steps, steps)


def empirical_mu(tokens: int, steps: int) -> float:
    """Compute the shift of FLUX.2: linear in the tokens, and between two fits in the number of steps.

    Args:
        tokens: of the image.
        steps: of the inference.

    Returns:
        The shift mu.

    >>> round(empirical_mu(4096, 50), 4), round(empirical_mu(4096, 4), 4)
    (2.0234, 2.2912)
    """
    at_200 = 0.00016927 * tokens + 0.45666666
    if tokens > 4300:
        return at_200
    at_10 = 8.73809524e-05 * tokens + 1.89833333
    slope = (at_200 - at_10) / 190
    return slope * steps + at_200 - 200 * slope


def linear_quadratic_sigmas(steps: int, threshold: float = 0.025) -> np.ndarray:
    """Compute the sigmas of Mochi and of LTX with conditions: half of the steps down to 1 - `threshold`, then faster.

    Args:
        steps: of the inference, at least 2.
        threshold: how far the first half gets.

    Returns:
        (steps,), from 1 down.

    Raises:
        ValueError: for fewer than two steps.

    >>> linear_quadratic_sigmas(4).round(4)
    array([1.    , 0.9875, 0.975 , 0.725 ])
    """
    linear = check_int("steps", steps, 2) // 2
    quadratic = steps - linear
    rest = linear - threshold * steps
    i = np.arange(linear, steps)
    curve = rest / (linear * quadratic**2)
    slope = threshold / linear - 2 * rest / quadratic**2
    return 1 - np.append(np.arange(linear) * threshold / linear, curve * i**2 + slope * i + curve * linear**2)


def linear_mu(
    call: Call, tokens: int, between: tuple[int, int] = (256, 4096), shifts: tuple[float, float] = (0.5, 1.15)
) -> float:
    """The shift of Flux, linear in the number of tokens (``calculate_shift`` in most pipelines)."""
    least, most = call.setting("base_image_seq_len", between[0]), call.setting("max_image_seq_len", between[1])
    low, high = call.setting("base_shift", shifts[0]), call.setting("max_shift", shifts[1])
    if most == least:
        raise invalid_argument("max_image_seq_len", most, "another number than base_image_seq_len")
    slope = (high - low) / (most - least)
    return float(tokens * slope + low - slope * least)


def plain(call: Call) -> Inputs:
    return Inputs()


def even(call: Call) -> Inputs:
    return Inputs(even_sigmas(call.steps))


def flux(call: Call) -> Inputs:
    return Inputs(even_sigmas(call.steps), mu=linear_mu(call, call.tokens))


def flux_or_flow_sigmas(call: Call) -> Inputs:
    """As `flux`, but a scheduler with ``use_flow_sigmas`` chooses its own sigmas."""
    sigmas = None if call.config.get("use_flow_sigmas") else even_sigmas(call.steps)
    return Inputs(sigmas, mu=linear_mu(call, call.tokens))


def flux2(call: Call) -> Inputs:
    sigmas = None if call.config.get("use_flow_sigmas") else even_sigmas(call.steps)
    return Inputs(sigmas, mu=empirical_mu(call.tokens, call.steps))


def ltx2(call: Call) -> Inputs:
    return Inputs(even_sigmas(call.steps), mu=linear_mu(call, call.tokens, (1024, 4096), (0.95, 2.05)))


def lumina2(call: Call) -> Inputs:
    """Lumina 2 takes the latents' channels for their tokens: ``latents.shape[1]`` of latents that are not packed."""
    return Inputs(even_sigmas(call.steps), mu=linear_mu(call, tokens=16))


def sd3(call: Call) -> Inputs:
    dynamic = call.config.get("use_dynamic_shifting")
    return Inputs(mu=linear_mu(call, call.tokens, shifts=(0.5, 1.16)) if dynamic else None)


def dreamlite(call: Call) -> Inputs:
    return Inputs(even_sigmas(call.steps), mu=linear_mu(call, call.tokens, shifts=(0.5, 1.16)))


def krea2(call: Call) -> Inputs:
    distilled = call.options.get("is_distilled", False)
    return Inputs(even_sigmas(call.steps), mu=1.15 if distilled else linear_mu(call, call.tokens, (256, 6400)))


def qwen21(call: Call) -> Inputs:
    sigmas = call.options.get("sample_sigmas")
    sigmas = even_sigmas(call.steps) if sigmas is None else np.array(sigmas, dtype=float)
    return Inputs(sigmas, mu=linear_mu(call, call.tokens))


def qwen_layered(call: Call) -> Inputs:
    return Inputs(even_sigmas(call.steps), mu=(call.tokens / 256) ** 0.5)


def framepack(call: Call) -> Inputs:
    window = replace(call, latent_frames=9)  # frames are generated in windows of this many latents
    return Inputs(even_sigmas(call.steps), mu=min(linear_mu(call, window.tokens), math.log(7)))


def helios(call: Call) -> Inputs:
    chunk = replace(call, latent_frames=9)  # as `framepack`
    return Inputs(np.linspace(0.999, 0, call.steps + 1)[:-1], mu=linear_mu(call, chunk.tokens))


def cogview4(call: Call) -> Inputs:
    return whole_timesteps(call, call.steps)


def glm(call: Call) -> Inputs:
    return whole_timesteps(call, call.steps + 1)


def whole_timesteps(call: Call, count: int) -> Inputs:
    """Whole timesteps for the network, and the sigmas of these; the scheduler shifts the sigmas alone."""
    train = call.setting("num_train_timesteps", 1000)
    timesteps = np.linspace(train, 1, count)[: call.steps].astype(np.int64).astype(float)
    root = (call.tokens / call.setting("base_image_seq_len", 256)) ** 0.5
    mu = root * call.setting("max_shift", 0.75) + call.setting("base_shift", 0.25)
    return Inputs(timesteps / train, timesteps, mu)


def mochi(call: Call) -> Inputs:
    return Inputs(linear_quadratic_sigmas(call.steps))


def ltx_condition(call: Call) -> Inputs:
    sigmas = linear_quadratic_sigmas(call.steps) if call.steps > 1 else np.ones(1)
    return Inputs(timesteps=1000 * sigmas)


def hidream(call: Call) -> Inputs:
    """The tokens are those of the largest image, 128 x 128 latents, whatever the size."""
    multistep = call.config.get("_class_name") == "UniPCMultistepScheduler"
    return Inputs(mu=None if multistep else 1.15)


def easyanimate(call: Call) -> Inputs:
    return Inputs(mu=1.0 if call.config.get("_class_name") == "FlowMatchEulerDiscreteScheduler" else None)


def bria(call: Call) -> Inputs:
    name, train = call.config.get("_class_name"), call.setting("num_train_timesteps", 1000)
    if name == "FlowMatchEulerDiscreteScheduler" and call.config.get("use_dynamic_shifting"):
        return flux(call)
    if name in ("DDIMScheduler", "EulerAncestralDiscreteScheduler"):
        return Inputs()
    indices = np.linspace(0, train - 1, call.steps).astype(int)
    return Inputs(np.linspace(1, train, int(train))[::-1][indices] / train)


def cosmos3(call: Call) -> Inputs:
    if not call.options.get("use_native_flow_schedule", False):
        return Inputs()
    return Inputs(np.linspace(1 - 1 / call.setting("num_train_timesteps", 1000), 0, call.steps + 1)[:-1])


def ideogram4(call: Call) -> Inputs:
    """Quantiles of a logit-normal distribution, whose mean follows the number of pixels."""
    mean = 0.5 * math.log(call.width * call.height / 512**2)
    normal = [-math.inf, *(NormalDist().inv_cdf(i / call.steps) for i in range(1, call.steps)), math.inf]
    with np.errstate(over="ignore"):
        clean = 1 / (1 + np.exp(mean + 1.5 * np.array(normal)))
    least, most = 1 / (1 + math.exp(9)), 1 / (1 + math.exp(-7.5))
    return Inputs((1 - np.clip(clean, least, most))[::-1][:-1])


def sana_sprint(call: Call) -> Inputs:
    if call.config.get("_class_name") != "SCMScheduler":
        raise invalid_argument(
            "scheduler", str(call.config.get("_class_name")), "an SCMScheduler in a Sana Sprint pipeline"
        )
    times = [LARGEST_ANGLE, 1.3, 0.0] if call.steps == 2 else np.linspace(LARGEST_ANGLE, 0, call.steps + 1)
    return Inputs(timesteps=np.array(times))
