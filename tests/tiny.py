"""Pipelines of each class that the project reads, of a few thousand random weights, built on the spot."""

from __future__ import annotations

import diffusers
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)


def unet(cls, up, down, channels, **conditions):
    return cls(
        sample_size=8,
        in_channels=channels[0],
        out_channels=channels[1],
        layers_per_block=1,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", down),
        up_block_types=(up, "UpBlock2D"),
        **conditions,
    )


CONDITIONAL = diffusers.UNet2DConditionModel, "CrossAttnUpBlock2D", "CrossAttnDownBlock2D"


def clip(cls=CLIPTextModel):
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    sizes = {"vocab_size": 4, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "projection_dim": 8}
    return cls(CLIPTextConfig(**sizes, num_attention_heads=2, **special))


def clip_tokenizer():
    vocab = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "b</w>": 3}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def t5():
    return T5EncoderModel(T5Config(vocab_size=128, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))


def t5_tokenizer():
    return T5Tokenizer(vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("▁b", -1.0)])


def vae(channels, **config):
    return diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=channels, **config)


def ddpm():  # as google/ddpm-celebahq-256
    return diffusers.DDPMPipeline(unet(diffusers.UNet2DModel, "UpBlock2D", "DownBlock2D", (3, 3)), DDPMScheduler())


def stable_diffusion(prediction="epsilon"):
    return diffusers.StableDiffusionPipeline(
        vae(4),
        clip(),
        clip_tokenizer(),
        unet(*CONDITIONAL, (4, 4), cross_attention_dim=8, attention_head_dim=2),
        DDIMScheduler(clip_sample=False, steps_offset=1, prediction_type=prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_2():
    return stable_diffusion("v_prediction")


def sdxl():
    conditioning = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 32,
    }
    return diffusers.StableDiffusionXLPipeline(
        vae(4),
        clip(),
        clip(CLIPTextModelWithProjection),
        clip_tokenizer(),
        clip_tokenizer(),
        unet(*CONDITIONAL, (4, 4), cross_attention_dim=16, attention_head_dim=2, **conditioning),
        DDIMScheduler(clip_sample=False, steps_offset=1),
        add_watermarker=False,
    )


def sd3():
    network = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        caption_projection_dim=16,
        pooled_projection_dim=16,
        out_channels=4,
    )
    return diffusers.StableDiffusion3Pipeline(
        network,
        FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae(4, shift_factor=0.0609),
        clip(CLIPTextModelWithProjection),
        clip_tokenizer(),
        clip(CLIPTextModelWithProjection),
        clip_tokenizer(),
        None,
        None,
    )


def flux():
    network = diffusers.FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=8,
        pooled_projection_dim=8,
        guidance_embeds=True,
        axes_dims_rope=(2, 2, 4),
    )
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    return diffusers.FluxPipeline(
        scheduler, vae(4, shift_factor=0.1), clip(), clip_tokenizer(), t5(), t5_tokenizer(), network
    )


def deepfloyd():
    return diffusers.IFPipeline(
        t5_tokenizer(),
        t5(),
        unet(*CONDITIONAL, (3, 6), encoder_hid_dim=8, cross_attention_dim=8, attention_head_dim=2),
        DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range"),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


BUILD = {
    "DDPMPipeline": ddpm,
    "StableDiffusionPipeline": stable_diffusion,
    "StableDiffusion2": stable_diffusion_2,
    "IFPipeline": deepfloyd,
    "StableDiffusionXLPipeline": sdxl,
    "StableDiffusion3Pipeline": sd3,
    "FluxPipeline": flux,
}


def tiny(kind: str):
    """A pipeline of the class `kind`, the same at every call."""
    torch.manual_seed(0)
    pipe = BUILD[kind]()
    pipe.set_progress_bar_config(disable=True)
    for module in pipe.components.values():
        if isinstance(module, torch.nn.Module):
            module.eval()  # as loaded from a folder: without dropout
    return pipe
