"""Prompts that change at a resolution, in the pipelines of stock diffusers::

    pipe(**switch_prompts(pipe, ["an HD photo of times square", "an oil painting of times square"], ["8x8"], steps=30))

A pipeline calls ``callback_on_step_end`` after step i and uses what it returns in step i + 1, so the callback looks one
step ahead: a prompt whose moment lies between the log-SNRs of steps i and i + 1 is there in step i + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch

from chroma import models
from chroma._check import refuse
from chroma.prompts import encode
from chroma.steps import visited
from chroma.switching import moment


def switch_prompts(
    pipe,
    prompts: Sequence[str],
    at: Sequence[str | float],
    steps: int = 30,
    share: float = 0.5,
    guidance_scale: float | None = None,
    size: int | None = None,
) -> dict:
    """Keyword arguments for one call of a StableDiffusion, SDXL, SD3 or Flux pipeline that goes through `prompts` in
    turn.

    at: where each next prompt begins, one less than there are prompts: a resolution of the latents, "8x8" (the moment
    at which `share` of that band has been generated, by the paper's r_m), or a number, a log-SNR. steps: of the call.
    guidance_scale: as the pipeline takes it; None leaves its default. size: the side of the latents, if the call asks
    for another size than the model's own. Flux's pooled embedding, a second and coarser reading of the prompt, stays
    that of the first prompt in use: its pipeline has no way to change it. Raises ValueError for another class of
    pipeline, naming it, if moments are not increasing or do not fit the prompts, and if a prompt would get no step at
    all.

    >>> from diffusers import DDIMScheduler, StableDiffusionPipeline
    >>> owl = models.load("emoji-8")  # a small stand-in, without VAE: where Stable Diffusion has latents, it has pixels
    >>> parts = owl.text_encoder, owl.tokenizer, owl.unet, DDIMScheduler(steps_offset=1, clip_sample=False)
    >>> pipe = StableDiffusionPipeline(None, *parts, None, None, requires_safety_checker=False)
    >>> told = switch_prompts(pipe, ["a flat drawing of owl", "a line drawing of owl"], ["4x4"], steps=20)
    >>> told["prompt"], told["num_inference_steps"], told["callback_on_step_end_tensor_inputs"]
    ('a flat drawing of owl', 20, ['prompt_embeds'])
    """
    kind = type(pipe).__name__
    if kind not in _TENSORS:
        raise refuse("pipe", kind, f"one of {', '.join(_TENSORS)} (for IF, use chroma.predictors.composed)")
    if not all(isinstance(prompt, str) for prompt in prompts):
        raise refuse("prompts", prompts, "a list of texts, one for each part of the generation")
    if len(at) != len(prompts) - 1:
        raise refuse("at", at, f"{len(prompts) - 1} moments, one less than the prompts")
    size = size or models.shape(pipe)[-1]
    moments = [
        moment(at=one, size=size, share=share) if isinstance(one, str) else moment(log_snr=float(one)) for one in at
    ]
    if sorted(moments) != moments:
        raise refuse("at", at, "in the order of generation, coarse resolutions first")

    def now(log_snr: float) -> int:
        return sum(log_snr >= one for one in moments)

    foretold = _steps_of(pipe, steps)
    if foretold is not None:
        turns = [now(log_snr) for log_snr in foretold]
        # an infinite moment says that a prompt is not meant to be heard
        if np.isfinite(moments).all() and len(set(turns)) < len(prompts):
            heard = ", ".join(str(turns.count(i)) for i in range(len(prompts)))
            raise refuse("at", f"{at}, which gives the prompts {heard} of {steps} steps", "such that each gets one")
    told = [encode(pipe, prompt) for prompt in prompts]

    def at_step_end(running, i, timestep, tensors):
        steps_ahead = visited(running.scheduler)
        if i + 1 == len(steps_ahead):
            return {}
        before, after = now(steps_ahead[i]), now(steps_ahead[i + 1])
        if before == after:
            return {}
        # with guidance the pipeline holds negative and positive prompts in one tensor, the positive ones last
        changed = {}
        for name, key in _TENSORS[kind].items():
            held, next_one = tensors[name], told[after][key].to(tensors[name])
            positive = next_one.repeat_interleave(len(held) // (2 if _guided(running) else 1), 0)
            changed[name] = torch.cat([held[: len(held) - len(positive)], positive])
        return changed

    arguments = {
        "prompt": prompts[now(-np.inf if foretold is None else foretold[0])],
        "num_inference_steps": steps,
        "callback_on_step_end": at_step_end,
        "callback_on_step_end_tensor_inputs": list(_TENSORS[kind]),
    }
    return arguments | ({} if guidance_scale is None else {"guidance_scale": guidance_scale})


# the tensors that each pipeline lets a callback change, and what `chroma.prompts.encode` calls them
_TENSORS = {
    "StableDiffusionPipeline": {"prompt_embeds": "encoder_hidden_states"},
    "StableDiffusionXLPipeline": {"prompt_embeds": "encoder_hidden_states", "add_text_embeds": "text_embeds"},
    "StableDiffusion3Pipeline": {
        "prompt_embeds": "encoder_hidden_states",
        "pooled_prompt_embeds": "pooled_projections",
    },
    "FluxPipeline": {"prompt_embeds": "encoder_hidden_states"},
}


def _guided(pipe) -> bool:
    return bool(getattr(pipe, "do_classifier_free_guidance", False))


def _steps_of(pipe, steps: int) -> np.ndarray | None:
    """The log-SNRs of the call to come; None for a flow whose shift depends on the image: it begins at pure noise."""
    if pipe.scheduler.config.get("use_dynamic_shifting"):
        return None
    scheduler = deepcopy(pipe.scheduler)
    scheduler.set_timesteps(steps)
    return visited(scheduler)
