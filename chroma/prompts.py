"""What a prompt is to a network: tensors, one dictionary for each class of diffusers pipeline.

::

    conditioning = encode(pipe, ["a red bus", "an owl"])
    safetensors.torch.save_file(conditioning, "prompts.safetensors")  # text encoders are large: encode once, then drop

The names are those that the network's ``forward`` gives to its arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from chroma._check import invalid_argument
from chroma.models import DiffusersPipeline, Pipeline

FLUX_GUIDANCE = 3.5  # the guidance that FluxPipeline passes to its guidance-distilled network by default


@torch.no_grad()
def encode(pipe: DiffusersPipeline, prompt: str | Sequence[str] = "") -> dict[str, torch.Tensor]:
    """Encode prompts as the tensors that condition the pipeline's network.

    Args:
        pipe: a diffusers pipeline of the classes of IF, Stable Diffusion 1 and 2, SDXL, SD3 or Flux, or one without
            prompts.
        prompt: one for all images, or one per image, (B,); "" is what the pipeline itself takes for no prompt.

    Returns:
        Name -> tensor, (1 or B, ...). IF and Stable Diffusion 1 and 2 take encoder_hidden_states, (B, tokens, width),
        SDXL also text_embeds and time_ids, SD3 encoder_hidden_states and pooled_projections, Flux also guidance. A
        pipeline without text encoder takes nothing.

    Raises:
        ValueError: for an empty list, and for another class of pipeline.

    >>> from chroma import models
    >>> conditioning = encode(models.load("emoji-8"), ["a flat drawing of owl", "a line drawing of ox"])
    >>> {name: tuple(tensor.shape) for name, tensor in conditioning.items()}
    {'encoder_hidden_states': (2, 77, 128)}
    """
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts or not all(isinstance(text, str) for text in prompts):
        raise invalid_argument("prompt", prompt, "words, or a list of at least one prompt")
    view = Pipeline(pipe)
    encoders = {
        "unconditional": lambda: {},
        "if": lambda: _if(pipe, prompts),
        "stable-diffusion": lambda: _stable_diffusion(pipe, prompts, view.device),
        "sdxl": lambda: _sdxl(pipe, prompts),
        "sd3": lambda: _sd3(pipe, prompts),
        "flux": lambda: _flux(pipe, prompts, view.network.config.guidance_embeds),
    }
    if view.family not in encoders:
        kinds = "of the class of IF, Stable Diffusion 1 or 2, SDXL, SD3 or Flux"
        raise invalid_argument("pipe", type(pipe).__name__, kinds)
    return encoders[view.family]()


def _if(pipe: Any, prompts: list[str]) -> dict[str, torch.Tensor]:
    embeds, _ = pipe.encode_prompt(prompts, do_classifier_free_guidance=False)
    return {"encoder_hidden_states": embeds}


def _stable_diffusion(pipe: Any, prompts: list[str], device: torch.device) -> dict[str, torch.Tensor]:
    embeds, _ = pipe.encode_prompt(prompts, device, 1, do_classifier_free_guidance=False)
    return {"encoder_hidden_states": embeds}


def _sdxl(pipe: Any, prompts: list[str]) -> dict[str, torch.Tensor]:
    embeds, _, pooled, _ = pipe.encode_prompt(prompts, do_classifier_free_guidance=False)
    if pipe.config.force_zeros_for_empty_prompt:  # SDXL was trained with zeros in place of the embedding of ""
        not_empty = torch.tensor([bool(text) for text in prompts], device=embeds.device)
        embeds, pooled = embeds * not_empty[:, None, None], pooled * not_empty[:, None]
    side = pipe.default_sample_size * pipe.vae_scale_factor
    # original size, crop, target size: an image that was neither scaled nor cropped
    sizes = torch.tensor([[side, side, 0, 0, side, side]], device=embeds.device, dtype=embeds.dtype)
    return {"encoder_hidden_states": embeds, "text_embeds": pooled, "time_ids": sizes.expand(len(prompts), -1)}


def _sd3(pipe: Any, prompts: list[str]) -> dict[str, torch.Tensor]:
    embeds, _, pooled, _ = pipe.encode_prompt(prompts, prompts, prompts, do_classifier_free_guidance=False)
    return {"encoder_hidden_states": embeds, "pooled_projections": pooled}


def _flux(pipe: Any, prompts: list[str], guidance_embeds: bool) -> dict[str, torch.Tensor]:
    embeds, pooled, _ = pipe.encode_prompt(prompts, prompts)
    conditioning = {"encoder_hidden_states": embeds, "pooled_projections": pooled}
    if guidance_embeds:
        guidance = torch.full((len(prompts),), FLUX_GUIDANCE, device=embeds.device, dtype=embeds.dtype)
        conditioning["guidance"] = guidance
    return conditioning
