"""Prompts that change at a resolution, in the pipelines of stock diffusers.

    pipe(**switch_prompts(pipe, ["an HD photo of times square", "an oil painting of times square"], ["8x8"], steps=30))

A pipeline calls ``callback_on_step_end`` after step i and uses what it returns in step i + 1, so the callback looks one
step ahead: a prompt whose moment lies between the log-SNRs of steps i and i + 1 is there in step i + 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch

from chroma import models
from chroma._check import refuse
from chroma.prompts import encode
from chroma.steps import visited
from chroma.switching import moment


def switch_prompts(
    pipe, prompts: Sequence[str], at: Sequence[str | float], steps: int = 30, share: float = 0.5, guidance_scale=None
) -> dict:
    """Keyword arguments for one call of a StableDiffusion, SDXL, SD3 or Flux pipeline that goes through `prompts` in
    turn.

    at: where each next prompt begins, one less than there are prompts: a resolution of the latents, "8x8" (the moment
    at which `share` of that band has been generated, by the paper's r_m), or a log-SNR. guidance_scale: as the
    pipeline takes it; None leaves its default. Flux's pooled embedding, a second and coarser reading of the prompt,
    stays that of the first prompt in use: its pipeline has no way to change it. Raises ValueError for another class
    of pipeline, naming it, and if moments are not increasing or do not fit the prompts.
    """
    kind = type(pipe).__name__
    if kind not in _TENSORS:
        raise refuse("pipe", kind, f"one of {', '.join(_TENSORS)} (for IF, use chroma.predictors.composed)")
    if len(at) != len(prompts) - 1:
        raise refuse("at", at, f"{len(prompts) - 1} moments, one less than the prompts")
    size = models.shape(pipe)[-1]
    moments = [one if isinstance(one, float) else moment(at=one, size=size, share=share) for one in at]
    if sorted(moments) != moments:
        raise refuse("at", at, "in the order of generation, coarse resolutions first")
    told = [encode(pipe, prompt) for prompt in prompts]

    def now(log_snr: float) -> int:
        return sum(log_snr >= one for one in moments)

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

    first = now(float(_first(pipe, steps)))
    arguments = {
        "prompt": prompts[first],
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


def _first(pipe, steps: int) -> float:
    """The log-SNR of the first of `steps` steps."""
    scheduler = deepcopy(pipe.scheduler)
    try:
        scheduler.set_timesteps(steps)
    except ValueError:  # a flow whose shift depends on the size of the image starts at pure noise whatever it is
        return -float("inf")
    return float(visited(scheduler)[0])
