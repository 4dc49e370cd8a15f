"""Prompts that change at a resolution, in the pipelines of stock diffusers.

::

    pipe(**switch_prompts(pipe, ["an HD photo of times square", "an oil painting of times square"], ["8x8"], steps=30))

A pipeline calls ``callback_on_step_end`` after step i and uses what it returns in step i + 1, so the callback looks one
step ahead: a prompt whose switch lies between the log-SNRs of steps i and i + 1 is used from step i + 1 on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from chroma._check import invalid_argument
from chroma.models import DiffusersPipeline, Pipeline
from chroma.prompts import encode
from chroma.schedulers.steps import step_log_snrs
from chroma.switching import switch_log_snr

# the tensors that each pipeline lets a callback change, and what `chroma.prompts.encode` calls them
TENSORS = {
    "StableDiffusionPipeline": {"prompt_embeds": "encoder_hidden_states"},
    "StableDiffusionXLPipeline": {"prompt_embeds": "encoder_hidden_states", "add_text_embeds": "text_embeds"},
    "StableDiffusion3Pipeline": {
        "prompt_embeds": "encoder_hidden_states",
        "pooled_prompt_embeds": "pooled_projections",
    },
    "FluxPipeline": {"prompt_embeds": "encoder_hidden_states"},
}


def switch_prompts(
    pipe: DiffusersPipeline,
    prompts: Sequence[str],
    at: Sequence[str | float],
    steps: int = 30,
    fraction: float = 0.5,
    guidance_scale: float | None = None,
    size: int | None = None,
) -> dict[str, Any]:
    """Make the keyword arguments for one call of a pipeline that goes through prompts in turn.

    Flux's pooled embedding, a second and coarser reading of the prompt, stays that of the first prompt in use: its
    pipeline has no way to change it.

    Args:
        pipe: a StableDiffusion, SDXL, SD3 or Flux pipeline.
        prompts: in the order of their use.
        at: where each next prompt begins, one less than the prompts: a resolution of the latents, "8x8" (where
            `fraction` of that band is generated, by the paper's r_m), or a number, a log-SNR.
        steps: of the call.
        fraction: of a band, for switches given as a resolution.
        guidance_scale: as the pipeline takes it; None leaves its default.
        size: the side of the latents, if the call asks for another size than the model's own.

    Returns:
        Keyword arguments for ``pipe(**...)``.

    Raises:
        ValueError: for another class of pipeline, switches that are not increasing or do not fit the prompts, and a
            prompt that would get no step.

    >>> from diffusers import DDIMScheduler, StableDiffusionPipeline
    >>> from chroma import models
    >>> owl = models.load("emoji-8")  # a small stand-in, without VAE: where Stable Diffusion has latents, it has pixels
    >>> parts = owl.text_encoder, owl.tokenizer, owl.unet, DDIMScheduler(steps_offset=1, clip_sample=False)
    >>> pipe = StableDiffusionPipeline(None, *parts, None, None, requires_safety_checker=False)
    >>> call = switch_prompts(pipe, ["a flat drawing of owl", "a line drawing of owl"], ["4x4"], steps=20)
    >>> call["prompt"], call["num_inference_steps"], call["callback_on_step_end_tensor_inputs"]
    ('a flat drawing of owl', 20, ['prompt_embeds'])
    """
    kind = type(pipe).__name__
    if kind not in TENSORS:
        raise invalid_argument("pipe", kind, f"one of {', '.join(TENSORS)} (for IF, use chroma.predictors.composed)")
    switches = _switches(prompts, at, fraction, size or Pipeline(pipe).shape[-1])

    def prompt_index(log_snr: float) -> int:
        return sum(log_snr >= switch for switch in switches)

    planned = _planned_log_snrs(pipe, steps)
    # an infinite switch means that a prompt is not to be used
    if planned is not None and np.isfinite(switches).all():
        _check_every_prompt_is_used([prompt_index(z) for z in planned], prompts, at, steps)
    arguments = {
        "prompt": prompts[prompt_index(-np.inf if planned is None else planned[0])],
        "num_inference_steps": steps,
        "callback_on_step_end": _callback(TENSORS[kind], [encode(pipe, prompt) for prompt in prompts], prompt_index),
        "callback_on_step_end_tensor_inputs": list(TENSORS[kind]),
    }
    return arguments | ({} if guidance_scale is None else {"guidance_scale": guidance_scale})


def _switches(prompts: Sequence[str], at: Sequence[str | float], fraction: float, size: int) -> list[float]:
    """The log-SNR from which each prompt but the first is used."""
    if not all(isinstance(prompt, str) for prompt in prompts):
        raise invalid_argument("prompts", prompts, "a list of texts, one for each part of the generation")
    if len(at) != len(prompts) - 1:
        raise invalid_argument("at", at, f"of length {len(prompts) - 1}, one less than the prompts")
    switches = [
        switch_log_snr(resolution=place, size=size, fraction=fraction)
        if isinstance(place, str)
        else switch_log_snr(log_snr=float(place))
        for place in at
    ]
    if sorted(switches) != switches:
        raise invalid_argument("at", at, "in the order of generation, coarse resolutions first")
    return switches


def _check_every_prompt_is_used(
    indices: list[int], prompts: Sequence[str], at: Sequence[str | float], steps: int
) -> None:
    for i, prompt in enumerate(prompts):
        if i not in indices:
            raise ValueError(
                f"prompt {i + 1}, {prompt!r}, would get no step: with at={list(at)} and steps={steps} no step lies in "
                "its part of the generation; use another resolution or more steps"
            )


def _callback(
    tensors_of: dict[str, str], conditionings: list[dict[str, torch.Tensor]], prompt_index: Callable[[float], int]
) -> Callable[..., dict]:
    """What the pipeline calls at the end of each step, to put the next prompt's tensors in place."""

    def at_step_end(running, i, timestep, tensors):
        log_snrs = step_log_snrs(running.scheduler)
        if i + 1 == len(log_snrs) or prompt_index(log_snrs[i]) == prompt_index(log_snrs[i + 1]):
            return {}
        conditioning = conditionings[prompt_index(log_snrs[i + 1])]
        # with guidance the pipeline holds negative and positive prompts in one tensor, the positive ones last
        parts = 2 if getattr(running, "do_classifier_free_guidance", False) else 1
        changed = {}
        for name, key in tensors_of.items():
            current, following = tensors[name], conditioning[key].to(tensors[name])
            positive = following.repeat_interleave(len(current) // parts, 0)
            changed[name] = torch.cat([current[: len(current) - len(positive)], positive])
        return changed

    return at_step_end


def _planned_log_snrs(pipe: Any, steps: int) -> np.ndarray | None:
    """The log-SNRs of the call to come; None for a flow whose shift depends on the image: it starts at pure noise."""
    if pipe.scheduler.config.get("use_dynamic_shifting"):
        return None
    scheduler = deepcopy(pipe.scheduler)
    scheduler.set_timesteps(steps)
    return step_log_snrs(scheduler)
