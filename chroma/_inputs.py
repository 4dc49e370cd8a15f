"""Which networks are evaluated exactly as their pipelines evaluate them: those that take nothing unknown.

A network that takes more than an image, a time and a prompt (the mask of an inpainting model, a class, the residuals of
a ControlNet) predicts something else, or nothing, without it. So everything here is a list of what is understood, and a
pipeline with anything else is refused by name.
"""

from __future__ import annotations

from typing import Any

from chroma._check import invalid_argument

_UNET = {"class_embed_type": {None}, "num_class_embeds": {None}}
# what the configuration of a network may say of its inputs
UNDERSTOOD: dict[str, dict[str, set]] = {
    "UNet2DModel": _UNET,
    "UNet2DConditionModel": _UNET
    | {
        "addition_embed_type": {None, "text", "text_time"},  # of the prompt (IF); of the prompt and sizes (SDXL)
        "attention_type": {None, "default"},  # "gated" attends to boxes too
        "class_embeddings_concat": {None, False},
        "encoder_hid_dim_type": {None, "text_proj"},  # the others read images: IP-Adapter, Kandinsky
    },
    "SD3Transformer2DModel": {"encoder_hid_dim_type": {None}},
    "FluxTransformer2DModel": {"encoder_hid_dim_type": {None}},
}
_COMMON = {"scheduler", "safety_checker", "feature_extractor", "image_encoder", "watermarker"}
_TEXT, _SECOND, _THIRD = ({f"text_encoder{n}", f"tokenizer{n}"} for n in ("", "_2", "_3"))
# what the pipelines of each family consist of; a ControlNet or an adapter would be one component more
COMPONENTS: dict[str, set[str]] = {
    "unconditional": {"scheduler", "unet"},
    "if": _COMMON | _TEXT | {"unet"},
    "stable-diffusion": _COMMON | _TEXT | {"unet", "vae"},
    "sdxl": _COMMON | _TEXT | _SECOND | {"unet", "vae"},
    "sd3": _COMMON | _TEXT | _SECOND | _THIRD | {"transformer", "vae"},
    "flux": _COMMON | _TEXT | _SECOND | {"transformer", "vae"},
}
TIME_IDS = 6  # original size, crop and target size of SDXL; its refiner takes five, with an aesthetic score
MOST_PIXEL_CHANNELS = 4  # red, green, blue and opacity


def check_inputs(pipe: Any, network: Any, family: str) -> None:
    """Refuse a pipeline whose network takes anything but an image, a time and a prompt.

    Args:
        pipe: a diffusers pipeline.
        network: its UNet or transformer.
        family: of `COMPONENTS`.

    Raises:
        ValueError: for another family, and naming the component, setting or channels that are not understood.
    """
    if family not in COMPONENTS:
        must = "of the class of IF, Stable Diffusion 1 or 2, SDXL, SD3 or Flux, or a model without prompts"
        raise invalid_argument("pipe", type(pipe).__name__, must)
    reasons = _component(pipe, family), _setting(network), _channels(pipe, network), _sizes(pipe, network)
    found = next(filter(None, reasons), "")
    if found:
        must = "one whose network takes an image, a time and a prompt, and nothing else"
        raise invalid_argument("pipe", f"{type(pipe).__name__}, {found}", must)


def _component(pipe: Any, family: str) -> str | None:
    components = getattr(pipe, "components", {})
    for name, component in components.items():
        if name not in COMPONENTS[family] and component is not None and not isinstance(component, (bool, int, float)):
            return f"which has a component {name}"
    if family != "unconditional" and not hasattr(pipe, "encode_prompt"):
        return "which has no prompts"
    if family in ("sdxl", "flux") and components and "text_encoder_2" not in components:
        return "which has no second text encoder"  # Kolors has SDXL's network and another language model
    return None


def _setting(network: Any) -> str | None:
    config = network.config
    for name, allowed in UNDERSTOOD[type(network).__name__].items():
        value = getattr(config, name, None)
        if value not in allowed:
            return f"whose network has {name}={value!r}"
    projected = "encoder_hid_proj" if getattr(config, "encoder_hid_dim_type", None) is None else "image_proj"
    return None if getattr(network, projected, None) is None else "whose network has an IP-Adapter"


def _channels(pipe: Any, network: Any) -> str | None:
    taken, made = (
        network.config.in_channels,
        getattr(network.config, "out_channels", None) or network.config.in_channels,
    )
    vae = getattr(pipe, "vae", None)
    if vae is None:
        known = taken <= MOST_PIXEL_CHANNELS
    else:
        packed = 4 if type(network).__name__.startswith("Flux") else 1  # one token is 2 x 2 latents
        known = taken == packed * getattr(vae.config, "latent_channels", taken // packed)
    if known and made in (taken, 2 * taken):  # twice as many: with a learned variance
        return None
    return f"whose network takes {taken} channels and predicts {made}"


def _sizes(pipe: Any, network: Any) -> str | None:
    """SDXL's refiner, by its own setting or by the width of what it embeds."""
    if getattr(getattr(pipe, "config", None), "requires_aesthetics_score", False):
        return "which has requires_aesthetics_score=True"
    encoder = getattr(pipe, "text_encoder_2", None)
    if encoder is None or getattr(network.config, "addition_embed_type", None) != "text_time":
        return None
    width = encoder.config.projection_dim + TIME_IDS * network.config.addition_time_embed_dim
    embedded = network.config.projection_class_embeddings_input_dim
    return None if width == embedded else f"whose network embeds {embedded} numbers of prompt and sizes, not {width}"
