"""Prompts that change at a resolution, in the pipelines of stock diffusers.

::

    pipe(**switch_prompts(pipe, ["an HD photo of times square", "an oil painting of times square"], ["8x8"], steps=30))

A pipeline calls ``callback_on_step_end`` after each evaluation of its network and uses what it returns in the next one,
so the callback looks one step ahead: a prompt whose switch lies between the log-SNRs of two evaluations is used from
the second on.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from chroma._check import invalid_argument
from chroma._encoding import READING, Encoding, encode_texts, follow_call
from chroma._planned import default_of, image_size, planned_log_snrs
from chroma.models import DiffusersPipeline, Pipeline
from chroma.prompts import NEGATIVE
from chroma.schedulers.steps import step_log_snrs
from chroma.switching import switch_log_snr

# the tensors of the prompt that the callback of each pipeline can change
_PROMPT, _SDXL, _SD3 = (
    ("prompt_embeds",),
    ("prompt_embeds", "add_text_embeds"),
    ("prompt_embeds", "pooled_prompt_embeds"),
)
_CLASSES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        _PROMPT,
        """StableDiffusionPipeline StableDiffusionImg2ImgPipeline StableDiffusionInpaintPipeline
        StableDiffusionDepth2ImgPipeline StableDiffusionControlNetPipeline StableDiffusionControlNetImg2ImgPipeline
        StableDiffusionControlNetInpaintPipeline StableDiffusionPAGPipeline StableDiffusionPAGImg2ImgPipeline
        StableDiffusionPAGInpaintPipeline StableDiffusionControlNetPAGPipeline
        StableDiffusionControlNetPAGInpaintPipeline LatentConsistencyModelPipeline
        LatentConsistencyModelImg2ImgPipeline
        StableDiffusionXLControlNetInpaintPipeline StableDiffusionXLControlNetUnionInpaintPipeline
        StableDiffusionXLControlNetPAGPipeline StableDiffusionXLControlNetPAGImg2ImgPipeline
        StableDiffusion3Img2ImgPipeline StableDiffusion3InpaintPipeline StableDiffusion3ControlNetPipeline
        StableDiffusion3ControlNetInpaintingPipeline StableDiffusion3PAGPipeline StableDiffusion3PAGImg2ImgPipeline
        FluxPipeline FluxImg2ImgPipeline FluxInpaintPipeline FluxFillPipeline FluxKontextPipeline
        FluxKontextInpaintPipeline FluxControlPipeline FluxControlImg2ImgPipeline FluxControlInpaintPipeline
        FluxControlNetPipeline FluxControlNetImg2ImgPipeline FluxControlNetInpaintPipeline""",
    ),
    (
        _SDXL,
        """StableDiffusionXLPipeline StableDiffusionXLImg2ImgPipeline StableDiffusionXLInpaintPipeline
        StableDiffusionXLControlNetPipeline StableDiffusionXLControlNetImg2ImgPipeline
        StableDiffusionXLControlNetUnionPipeline StableDiffusionXLControlNetUnionImg2ImgPipeline
        StableDiffusionXLPAGPipeline StableDiffusionXLPAGImg2ImgPipeline StableDiffusionXLPAGInpaintPipeline""",
    ),
    (_SD3, "StableDiffusion3Pipeline"),
)
TENSORS = {name: tensors for tensors, names in _CLASSES for name in names.split()}
_EMBEDDING = {"add_text_embeds": "pooled_prompt_embeds"}  # what `pipeline_embeddings` calls it
_SCALED = ("cross_attention_kwargs", "joint_attention_kwargs", "attention_kwargs")  # hold the scale of a LoRA
_OWN = {
    "prompt",
    "prompt_embeds",
    "pooled_prompt_embeds",
    "num_inference_steps",
    "callback_on_step_end",
    "callback_on_step_end_tensor_inputs",
}


def switch_prompts(
    pipe: DiffusersPipeline,
    prompts: Sequence[str],
    at: Sequence[str | float],
    steps: int = 30,
    fraction: float = 0.5,
    size: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Make the keyword arguments for one call of a pipeline that goes through prompts in turn.

    All prompts are encoded here, with the options given here; from now on the ``encode_prompt`` of the pipeline encodes
    them again if the call itself has others. Some tensors no callback can change, and these stay those of the first
    prompt in use: the pooled embedding (a second and coarser encoding of the prompt), in Flux, in variants of SD3 and
    in ControlNets of SDXL with inpainting or PAG; and all that a ControlNet itself is given, in variants of SD3 and
    with PAG.

    Args:
        pipe: a StableDiffusion, latent consistency, SDXL, SD3 or Flux pipeline: text-to-image, image-to-image,
            inpainting, ControlNet, PAG or Kontext.
        prompts: in the order of their use.
        at: where each next prompt begins, one less than the prompts: a resolution of the latents, "8x8" (where
            `fraction` of that band is generated, by the paper's levels), or a number, a log-SNR.
        steps: of the call.
        fraction: of a band, for switches given as a resolution.
        size: the side of the latents that a resolution refers to; by default that of the call's height, or the model's.
        options: whatever else the call takes, such as guidance_scale, height and width, strength, timesteps or sigmas,
            negative_prompt, clip_skip, max_sequence_length. prompt_2 and prompt_3 are one text, or one per prompt.

    Returns:
        Keyword arguments for ``pipe(**...)``, `options` among them.

    Raises:
        ValueError: for another class of pipeline, an option that it does not have, switches that are not increasing or
            do not fit the prompts, prompts that the model cannot distinguish, and a prompt that would get no step. The
            call itself raises it after its first step if it is not the call that was planned.

    >>> from diffusers import DDIMScheduler, StableDiffusionPipeline
    >>> from chroma import models
    >>> owl = models.load("emoji-8")  # a small stand-in, without VAE: where Stable Diffusion has latents, it has pixels
    >>> parts = owl.text_encoder, owl.tokenizer, owl.unet, DDIMScheduler(steps_offset=1, clip_sample=False)
    >>> pipe = StableDiffusionPipeline(None, *parts, None, None, requires_safety_checker=False)
    >>> call = switch_prompts(pipe, ["a flat drawing of owl", "a line drawing of owl"], ["4x4"], 20, guidance_scale=3.0)
    >>> call["prompt_embeds"].shape, call["num_inference_steps"], call["guidance_scale"]
    (torch.Size([1, 77, 128]), 20, 3.0)
    """
    kind = type(pipe).__name__
    if kind not in TENSORS:
        must = "a StableDiffusion, LatentConsistencyModel, SDXL, SD3 or Flux pipeline whose callback changes prompts"
        raise invalid_argument("pipe", kind, f"{must} (for IF, use chroma.predictors.composed)")
    _check_options(pipe, options)
    resolutions = any(isinstance(place, str) for place in at)
    square, size = size is None, (size or _latent_side(pipe, options)) if resolutions else None
    switch = _Switch(tuple(prompts), tuple(at), _switches(prompts, at, fraction, size), size, square)
    planned = planned_log_snrs(pipe, steps, options)
    first = switch.index(planned[0])
    switch.check_steps(planned, f"steps={steps}")
    reading = {name: options.get(name, default_of(pipe, name)) for name in READING} | {"lora_scale": _lora(options)}
    texts = _texts(prompts, options)
    encoding = Encoding(texts, first, reading, encode_texts(pipe, texts, reading))
    _check_distinct(prompts, encoding.embeddings)
    follow_call(pipe)
    given = {name: value for name, value in options.items() if name not in (*NEGATIVE, "prompt_2", "prompt_3")}
    # refused above, and by Python if it is given to the call later
    given |= {name: None for name in ("skip_guidance_layers",) if name in _arguments(pipe)}
    return {
        **given,
        **encoding.handed(),
        "num_inference_steps": steps,
        "callback_on_step_end": _Callback(switch, encoding, TENSORS[kind]),
        "callback_on_step_end_tensor_inputs": ["latents", *TENSORS[kind]],
    }


@dataclass(frozen=True)
class _Switch:
    """Which prompt belongs to which log-SNR.

    `log_snrs` are those from which each prompt but the first is used; a resolution is one of latents with a side of
    `size`, which are `square` unless the caller gave their size.
    """

    prompts: tuple[str, ...]
    at: tuple[str | float, ...]
    log_snrs: list[float]
    size: int | None
    square: bool

    def index(self, log_snr: float) -> int:
        return sum(log_snr >= switch for switch in self.log_snrs)

    def check_steps(self, log_snrs: np.ndarray, steps: str) -> None:
        """Refuse steps that leave out a prompt; an infinite switch means that a prompt is not to be used."""
        used = {self.index(z) for z in log_snrs}
        for i, prompt in enumerate(self.prompts):
            if i not in used and np.isfinite(self.log_snrs).all():
                raise ValueError(
                    f"prompt {i + 1}, {prompt!r}, would get no step: with at={list(self.at)} and {steps} no step lies "
                    "in its part of the generation; at must be another resolution, or steps must be more"
                )


def _arguments(pipe: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(type(pipe).__call__).parameters


def _check_options(pipe: Any, options: Mapping[str, Any]) -> None:
    known = _arguments(pipe)
    for name, value in options.items():
        if name in _OWN:
            raise invalid_argument(name, "a value of its own", "left to switch_prompts, which makes it")
        if name not in known:
            must = f"left out: it must be an argument of {type(pipe).__name__}"
            raise invalid_argument(name, value, must)
    for name in NEGATIVE:
        if not isinstance(options.get(name, ""), (str, type(None))):
            raise invalid_argument(name, options[name], "one text, for the whole generation")
    if options.get("skip_guidance_layers") is not None:
        must = "None: what it predicts a second time would stay with the first prompt"
        raise invalid_argument("skip_guidance_layers", options["skip_guidance_layers"], must)


def _lora(options: Mapping[str, Any]) -> float | None:
    return next((options[name].get("scale") for name in _SCALED if options.get(name)), None)


def _latent_side(pipe: Any, options: Mapping[str, Any]) -> int:
    """The side of the latents of the call, where a switch is one of their resolutions."""
    sides = [side // pipe.vae_scale_factor for side in image_size(pipe, options)]
    if sides[0] != sides[1]:
        must = "given: the side of the latents that a resolution refers to, for the latents are not square"
        raise invalid_argument("size", f"{sides[0]} x {sides[1]} latents", must)
    return sides[0]


def _switches(prompts: Sequence[str], at: Sequence[str | float], fraction: float, size: int | None) -> list[float]:
    """The log-SNR from which each prompt but the first is used."""
    if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
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


def _texts(prompts: Sequence[str], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The texts of each prompt: its own, those for further text encoders, and the negative ones, which all share."""
    negative = {name: options[name] for name in NEGATIVE if options.get(name) is not None}
    texts: list[dict[str, Any]] = [{"prompt": prompt, **negative} for prompt in prompts]
    for name in ("prompt_2", "prompt_3"):
        further = options.get(name)
        if further is None:
            continue
        further = [further] * len(prompts) if isinstance(further, str) else list(further)
        if len(further) != len(prompts):
            raise invalid_argument(name, f"{len(further)} texts", f"one text, or {len(prompts)}, one for each prompt")
        for own, text in zip(texts, further, strict=True):
            own[name] = text
    return texts


def _check_distinct(prompts: Sequence[str], embeddings: Sequence[Mapping[str, torch.Tensor]]) -> None:
    for i in range(len(prompts) - 1):
        texts, pair = prompts[i : i + 2], embeddings[i : i + 2]
        if texts[0] != texts[1] and all(torch.equal(pair[0][name], pair[1][name]) for name in pair[0]):
            must = "texts that the model can distinguish"
            raise invalid_argument("prompts", f"{texts[0]!r} and {texts[1]!r}, which it encodes alike", must)


@dataclass
class _Callback:
    """What the pipeline calls at the end of each step, to put the next prompt's tensors in place."""

    switch: _Switch
    encoding: Encoding
    tensors: tuple[str, ...]
    indices: dict[int, int] = field(default_factory=dict, init=False)  # of the prompts, by the scheduler's steps

    def __call__(self, running: Any, i: int, timestep: Any, tensors: Mapping[str, torch.Tensor]) -> dict:
        if i == 0:
            start, log_snrs = _steps_from(running, timestep)
            self._check_call(log_snrs, tensors["latents"])
            self.indices = {start + k: self.switch.index(z) for k, z in enumerate(log_snrs)}
        counted = getattr(running.scheduler, "step_index", None)  # a scheduler that has none takes its steps one by one
        following = min(self.indices) + i + 1 if counted is None else counted
        if self.indices.get(following) in (None, self.indices.get(following - 1)):
            return {}
        embeddings, images = self.encoding.embeddings[self.indices[following]], len(tensors["latents"])
        guided = getattr(running, "do_classifier_free_guidance", False) and Pipeline(running).family != "flux"
        negative = images if guided else 0
        return {
            name: _replaced(tensors[name], negative, embeddings[_EMBEDDING.get(name, name)]) for name in self.tensors
        }

    def _check_call(self, log_snrs: np.ndarray, latents: torch.Tensor) -> None:
        """Refuse a call whose latents or steps differ from those that were planned."""
        if self.switch.size is not None and not _has_side(latents, self.switch.size, self.switch.square):
            must = f"passed to switch_prompts as the side of the latents, in place of {self.switch.size}"
            raise invalid_argument("size", f"latents of shape {tuple(latents.shape)}", must)
        if self.switch.index(log_snrs[0]) != self.encoding.first:
            must = "passed to switch_prompts, for they decide with which prompt the call starts"
            what = "options that change the steps (strength, sigmas, height, ...)"
            raise invalid_argument(what, f"a first step at log-SNR {log_snrs[0]:.3g}", must)
        self.switch.check_steps(log_snrs, f"the {len(log_snrs)} steps of this call")


def _replaced(current: torch.Tensor, negative: int, embedding: torch.Tensor) -> torch.Tensor:
    """With guidance, a tensor holds the negative prompt and then the positive one: once, or twice with PAG."""
    count = len(current) - negative
    return torch.cat([current[:negative], embedding.to(current).expand(count, *embedding.shape[1:])])


def _steps_from(running: Any, timestep: Any) -> tuple[int, np.ndarray]:
    """Where in the scheduler's steps a call started, whose first step has just ended, and the log-SNRs from there."""
    scheduler, log_snrs = running.scheduler, step_log_snrs(running.scheduler)
    count = getattr(running, "num_timesteps", None) or len(log_snrs)
    if getattr(scheduler, "step_index", None) is not None:
        start = scheduler.step_index - 1
    else:
        places = np.flatnonzero(scheduler.timesteps.cpu().numpy() == float(timestep))
        left_out = len(log_snrs) - count
        start = left_out if left_out in places else int(places[0])  # PNDM has one timestep twice
    return start, log_snrs[start : start + count]


def _has_side(latents: torch.Tensor, size: int, square: bool) -> bool:
    """Whether latents, (B, C, H, W) or Flux's tokens of 2 x 2 latents, (B, tokens, C), have `size` as a side."""
    if latents.ndim == 4:
        return set(latents.shape[2:]) == {size} if square else size in latents.shape[2:]
    area = 4 * latents.shape[1]
    return area == size**2 if square else area % size == 0 and 1 / 8 <= area / size**2 <= 8
