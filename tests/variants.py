"""Tiny pipelines of the other classes of the same families: image-to-image, inpainting, ControlNet, PAG, Kontext."""

from __future__ import annotations

import inspect

import diffusers
import torch
from diffusers import FluxTransformer2DModel, SD3Transformer2DModel
from tiny import CONDITIONAL, tiny, unet, vae

SIDE = 8  # of images and latents alike: the autoencoders of `tiny` do not downsample
IMAGE = torch.rand((1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
MASK = torch.ones(1, 1, SIDE, SIDE)
BASE = {
    "StableDiffusionXL": "StableDiffusionXLPipeline",
    "StableDiffusion3": "StableDiffusion3Pipeline",
    "StableDiffusion": "StableDiffusionPipeline",
    "LatentConsistencyModel": "StableDiffusionPipeline",
    "Flux": "FluxPipeline",
}


def like(network, cls=None, **changes):
    """A network of the class `cls` with the settings of another, but for `changes`, and random weights."""
    cls = cls or type(network)
    known = inspect.signature(cls.__init__).parameters
    torch.manual_seed(0)
    return cls(**{key: value for key, value in {**network.config, **changes}.items() if key in known}).eval()


def conditional_unet(channels, **more):
    torch.manual_seed(0)
    return unet(*CONDITIONAL, channels, cross_attention_dim=8, attention_head_dim=2, **more).eval()


def control(name, network):
    """A ControlNet of random weights that fits the network."""
    if isinstance(network, SD3Transformer2DModel):
        return like(network, diffusers.SD3ControlNetModel, extra_conditioning_channels=int("Inpainting" in name))
    if isinstance(network, FluxTransformer2DModel):
        return like(network, diffusers.FluxControlNetModel)
    sizes = {"conditioning_embedding_out_channels": (8,)}
    if "Union" in name:
        sizes |= {"num_trans_channel": 8, "num_trans_head": 2, "num_proj_channel": 8, "num_control_type": 2}
        return like(network, diffusers.ControlNetUnionModel, **sizes)
    return like(network, diffusers.ControlNetModel, **sizes)


def parts_of(name):
    """The components of a pipeline of the class `name`, from those of the text-to-image class of its family."""
    base = tiny(next(base for start, base in BASE.items() if name.startswith(start)))
    parts = {key: value for key, value in base.components.items() if key not in ("image_encoder", "feature_extractor")}
    if BASE["StableDiffusion"] == type(base).__name__:
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if name.startswith("LatentConsistency"):
        parts |= {"scheduler": diffusers.LCMScheduler(), "unet": conditional_unet((4, 4), time_cond_proj_dim=8)}
    if name == "StableDiffusionDepth2ImgPipeline":
        parts |= {"unet": conditional_unet((5, 4)), "depth_estimator": None}
        del parts["safety_checker"], parts["requires_safety_checker"]
    if name in ("StableDiffusion3InpaintPipeline", "StableDiffusion3ControlNetInpaintingPipeline"):
        torch.manual_seed(0)
        parts["transformer"] = like(parts["transformer"], in_channels=16, out_channels=16)
        parts["vae"] = vae(16, shift_factor=0.0609).eval()
    if name.startswith("FluxControl") and "Net" not in name:  # the image of the control is beside the latents
        parts["transformer"] = like(parts["transformer"], in_channels=32, out_channels=16)
    if name == "FluxFillPipeline":  # so are the mask and what it leaves
        parts["transformer"] = like(parts["transformer"], in_channels=36, out_channels=16)
    if "ControlNet" in name:
        parts["controlnet"] = control(name, parts.get("transformer") or parts["unet"])
    if "StableDiffusion3PAG" in name:
        parts["pag_applied_layers"] = "blocks.0"
    return parts


def call_of(name):
    """What the call of a pipeline of the class `name` takes beside prompts."""
    call: dict = {"output_type": "latent"}
    given = inspect.signature(getattr(diffusers, name).__call__).parameters
    if "ControlNet" in name and "control_image" not in given:
        call["image"] = IMAGE
    elif "control_image" in given:
        call["control_image"] = [IMAGE] if "Union" in name else IMAGE
        call |= {"image": IMAGE} if "image" in given else {}
    elif any(word in name for word in ("Img2Img", "Inpaint", "Fill", "Kontext")):
        call["image"] = IMAGE
    call |= {"control_mode": [0]} if "Union" in name else {}
    call |= {"control_mask": MASK} if "control_mask" in given else {}
    call |= {"mask_image": MASK} if "mask_image" in given else {}
    call |= {"depth_map": MASK[0], "image": IMAGE} if "depth_map" in given else {}
    call |= {"strength": 0.8} if "strength" in given else {}
    call |= {"height": SIDE, "width": SIDE} if name.startswith("Flux") else {}
    call |= {"max_area": SIDE**2, "_auto_resize": False} if "Kontext" in name else {}
    return call


def variant(name):
    """A pipeline of the class `name` and what its call takes beside prompts, the same at every call."""
    pipe = getattr(diffusers, name)(**parts_of(name))
    pipe.set_progress_bar_config(disable=True)
    if name.startswith("Flux"):
        pipe.default_sample_size = SIDE
    return pipe, call_of(name)
