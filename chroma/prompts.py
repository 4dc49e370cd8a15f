"""What a prompt is to a network: tensors, one dictionary for each class of diffusers pipeline::

    told = encode(pipe, ["a red bus", "an owl"])
    safetensors.torch.save_file(told, "prompts.safetensors")  # text encoders are large: encode once, then drop them

The names are those that the network's ``forward`` gives to its arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from chroma._check import refuse

FLUX_GUIDANCE = 3.5  # what FluxPipeline tells its guidance-distilled network unless asked otherwise


@torch.no_grad()
def encode(pipe, prompt: str | Sequence[str] = "") -> dict[str, torch.Tensor]:
    """The tensors that stand for `prompt` (B prompts, or one for all images) in the pipeline's network.

    IF and Stable Diffusion 1 and 2: encoder_hidden_states, (B, tokens, width). SDXL: and text_embeds, time_ids. SD3:
    encoder_hidden_states and pooled_projections; Flux: and guidance. "" is what the pipeline itself takes for no
    prompt. A pipeline without text encoder has no tensors. Raises ValueError for an empty list, and for a class of
    pipeline that is none of these.

    >>> from chroma import models
    >>> told = encode(models.load("emoji-8"), ["a flat drawing of owl", "a line drawing of ox"])
    >>> {name: tuple(tensor.shape) for name, tensor in told.items()}
    {'encoder_hidden_states': (2, 77, 128)}
    """
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts or not all(isinstance(one, str) for one in prompts):
        raise refuse("prompt", prompt, "words, or a list of at least one prompt")
    network = getattr(pipe, "transformer", None) or getattr(pipe, "unet", None)
    kind = type(network).__name__
    if kind == "UNet2DModel":
        return {}
    if kind == "UNet2DConditionModel" and network.config.addition_embed_type == "text_time":
        return _sdxl(pipe, prompts)
    if kind == "UNet2DConditionModel":
        return {"encoder_hidden_states": _embeddings(pipe, prompts)}
    if kind == "SD3Transformer2DModel":
        words, _, pooled, _ = pipe.encode_prompt(prompts, prompts, prompts, do_classifier_free_guidance=False)
        return {"encoder_hidden_states": words, "pooled_projections": pooled}
    if kind == "FluxTransformer2DModel":
        words, pooled, _ = pipe.encode_prompt(prompts, prompts)
        told = {"encoder_hidden_states": words, "pooled_projections": pooled}
        if network.config.guidance_embeds:
            told["guidance"] = torch.full((len(prompts),), FLUX_GUIDANCE, device=words.device, dtype=words.dtype)
        return told
    raise refuse("pipe", type(pipe).__name__, "of the class of IF, Stable Diffusion 1 or 2, SDXL, SD3 or Flux")


def _embeddings(pipe, prompts: list[str]) -> torch.Tensor:
    if type(pipe).__name__.startswith("IF"):
        words, _ = pipe.encode_prompt(prompts, do_classifier_free_guidance=False)
    else:
        words, _ = pipe.encode_prompt(prompts, pipe._execution_device, 1, do_classifier_free_guidance=False)
    return words


def _sdxl(pipe, prompts: list[str]) -> dict[str, torch.Tensor]:
    words, _, pooled, _ = pipe.encode_prompt(prompts, do_classifier_free_guidance=False)
    if pipe.config.force_zeros_for_empty_prompt:  # SDXL was trained with zeros in place of the embedding of ""
        spoken = torch.tensor([bool(one) for one in prompts], device=words.device)
        words, pooled = words * spoken[:, None, None], pooled * spoken[:, None]
    side = pipe.default_sample_size * pipe.vae_scale_factor
    # original size, crop, target size: an image that was neither scaled nor cropped
    sizes = torch.tensor([[side, side, 0, 0, side, side]], device=words.device, dtype=words.dtype)
    return {"encoder_hidden_states": words, "text_embeds": pooled, "time_ids": sizes.expand(len(prompts), -1)}
