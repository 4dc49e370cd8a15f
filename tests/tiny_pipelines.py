"""Tiny pipelines of further families, with random weights and random prompt embeddings in place of text encoders."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from unittest.mock import patch

import diffusers
import torch
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.pipelines.omnigen import pipeline_omnigen
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

HEIGHT, WIDTH, FRAMES = 64, 96, 9  # 4 x 6 tokens of 2 x 2 latents
TEXT = 8  # channels of prompt embeddings
IMAGE_CALL = {"height": HEIGHT, "width": WIDTH}
VIDEO_CALL = {**IMAGE_CALL, "num_frames": FRAMES}
BUILD: dict[str, Callable[[], tuple[dict, dict]]] = {}


def builds(*names: str) -> Callable:
    """Register a function that returns the components of these pipeline classes, and the arguments of their call."""

    def register(function: Callable) -> Callable:
        BUILD.update(dict.fromkeys(names, function))
        return function

    return register


def tiny_pipeline(name: str, scheduler: object) -> tuple[diffusers.DiffusionPipeline, dict]:
    """Build a pipeline of the class `name` with this scheduler, and what its call takes; the same every time."""
    torch.manual_seed(0)
    cls = getattr(diffusers, name)
    parts, call = BUILD[name]()
    required = [key for key, value in inspect.signature(cls).parameters.items() if value.default is value.empty]
    with patch.object(pipeline_omnigen, "OmniGenMultiModalProcessor", OmniGenProcessor, create=True):
        pipe = cls(**{**dict.fromkeys(required), **parts, "scheduler": scheduler})
    pipe.set_progress_bar_config(disable=True)
    for method, result in ENCODED.get(name, {}).items():  # what these compute from words or images
        setattr(pipe, method, result)
    if name == "HiDreamImagePipeline":
        pipe.default_sample_size = HEIGHT // 8  # it generates images of this area alone
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return pipe, {"output_type": "latent", **call}


class Autoencoder(torch.nn.Module):
    """What pipelines read from an autoencoder that spans `factor` pixels; it encodes and decodes to zeros."""

    dtype, device = torch.float32, torch.device("cpu")

    def __init__(self, factor: int = 8, temporal: int = 4) -> None:
        super().__init__()
        levels = (8,) * factor.bit_length()
        self.spatial_compression_ratio, self.temporal_compression_ratio = factor, temporal
        self.temperal_downsample = [False, True, True]
        self.latents_mean, self.latents_std = torch.zeros(4), torch.ones(4)
        self.bn = torch.nn.BatchNorm2d(16)  # of FLUX.2, over latents in patches of 2 x 2
        self.config = SimpleNamespace(
            block_out_channels=levels,
            encoder_block_out_channels=levels,
            scaling_factor=1.0,
            shift_factor=0.0,
            batch_norm_eps=1e-5,
            latent_channels=4,
            z_dim=4,
            spatial_compression_ratio=factor,
            temporal_compression_ratio=temporal,
            scale_factor_spatial=factor,
            scale_factor_temporal=temporal,
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        )

    def encode(self, images: torch.Tensor) -> SimpleNamespace:
        *_, height, width = images.shape
        frames = [(size - 1) // self.temporal_compression_ratio + 1 for size in images.shape[2:-2]]
        factor = self.spatial_compression_ratio
        latents = torch.zeros(len(images), 4, *frames, height // factor, width // factor)
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: latents, sample=lambda *_, **__: latents))

    def decode(self, latents: torch.Tensor, **_: object) -> DecoderOutput:
        *_, height, width = latents.shape
        frames = [(size - 1) * self.temporal_compression_ratio + 1 for size in latents.shape[2:-2]]
        factor = self.spatial_compression_ratio
        return DecoderOutput(sample=torch.zeros(len(latents), 3, *frames, height * factor, width * factor))


def text(length: int = 4, channels: int = TEXT) -> torch.Tensor:
    return torch.randn(1, length, channels)


def mask(length: int = 4, dtype: torch.dtype = torch.long) -> torch.Tensor:
    return torch.ones(1, length, dtype=dtype)


def prompts(masked: str | None = None, dtype: torch.dtype = torch.long) -> dict:
    """Embeddings of a prompt and a negative prompt; `masked` names the argument of their masks."""
    call = {"prompt_embeds": text(), "negative_prompt_embeds": text()}
    if masked:
        call |= {masked: mask(dtype=dtype), f"negative_{masked}": mask(dtype=dtype)}
    return call


NO_WORDS = {"negative_prompt": None}  # some pipelines have "" by default and then refuse embeddings
NO_BINNING = {"use_resolution_binning": False}


class TextEncoder:
    """What pipelines read from a text encoder that they need not call."""

    dtype, device = torch.float32, torch.device("cpu")


@builds("QwenImagePipeline")
def qwen_image() -> tuple[dict, dict]:
    network = diffusers.QwenImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        joint_attention_dim=TEXT,
        axes_dims_rope=(8, 4, 4),
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts("prompt_embeds_mask")}


@builds("WanPipeline", "SkyReelsV2Pipeline")
def wan() -> tuple[dict, dict]:
    sizes = {"num_attention_heads": 2, "attention_head_dim": 12, "text_dim": TEXT, "freq_dim": 8, "ffn_dim": 8}
    network = diffusers.WanTransformer3DModel(**sizes, in_channels=4, out_channels=4, num_layers=1, rope_max_seq_len=32)
    return {"transformer": network, "vae": Autoencoder()}, {**VIDEO_CALL, **prompts()}


@builds("LTXPipeline", "LTXConditionPipeline")
def ltx() -> tuple[dict, dict]:
    network = diffusers.LTXVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=1,
        caption_channels=TEXT,
    )
    return {"transformer": network, "vae": Autoencoder(32, 8)}, {**VIDEO_CALL, **prompts("prompt_attention_mask")}


@builds("Flux2Pipeline")
def flux2() -> tuple[dict, dict]:
    parts, call = flux2_klein()
    del call["negative_prompt_embeds"]
    return parts, call


@builds("Flux2KleinPipeline")
def flux2_klein() -> tuple[dict, dict]:
    network = diffusers.Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        joint_attention_dim=TEXT,
        timestep_guidance_channels=8,
        axes_dims_rope=(4, 4, 4, 4),
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts()}


@builds("ZImagePipeline")
def z_image() -> tuple[dict, dict]:
    network = diffusers.ZImageTransformer2DModel(
        in_channels=4,
        dim=16,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=1,
        n_kv_heads=1,
        cap_feat_dim=TEXT,
        axes_dims=[8, 4, 4],
        axes_lens=[64, 32, 32],
    )
    torch.nn.init.zeros_(network.x_pad_token)
    torch.nn.init.zeros_(network.cap_pad_token)
    call = {"prompt_embeds": [text()[0]], "negative_prompt_embeds": [text()[0]]}
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **call}


@builds("HunyuanVideoPipeline")
def hunyuan_video() -> tuple[dict, dict]:
    network = diffusers.HunyuanVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        text_embed_dim=TEXT,
        pooled_projection_dim=TEXT,
        rope_axes_dim=(2, 4, 4),
    )
    call = {"prompt_embeds": text(), "pooled_prompt_embeds": torch.randn(1, TEXT), "prompt_attention_mask": mask()}
    return {"transformer": network, "vae": Autoencoder()}, {**VIDEO_CALL, **call}


@builds("CogView4Pipeline")
def cogview4() -> tuple[dict, dict]:
    network = diffusers.CogView4Transformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        text_embed_dim=TEXT,
        time_embed_dim=8,
        condition_dim=4,
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts()}


@builds("CogView3PlusPipeline")
def cogview3() -> tuple[dict, dict]:
    network = diffusers.CogView3PlusTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        text_embed_dim=TEXT,
        time_embed_dim=8,
        condition_dim=4,
        pos_embed_max_size=8,
        sample_size=8,
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts()}


@builds("MochiPipeline")
def mochi() -> tuple[dict, dict]:
    network = diffusers.MochiTransformer3DModel(
        in_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        pooled_projection_dim=8,
        text_embed_dim=TEXT,
        time_embed_dim=4,
        max_sequence_length=16,
    )
    call = {**IMAGE_CALL, "num_frames": 7, **prompts("prompt_attention_mask")}
    return {"transformer": network, "vae": Autoencoder()}, call


def sana_network(**more: object) -> torch.nn.Module:
    return diffusers.SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=4,
        num_cross_attention_heads=2,
        cross_attention_head_dim=4,
        cross_attention_dim=8,
        caption_channels=TEXT,
        sample_size=8,
        **more,
    )


@builds("SanaPipeline")
def sana() -> tuple[dict, dict]:
    parts = {"transformer": sana_network(), "vae": Autoencoder(32)}
    return parts, {**IMAGE_CALL, **NO_BINNING, **NO_WORDS, **prompts("prompt_attention_mask")}


@builds("SanaSprintPipeline")
def sana_sprint() -> tuple[dict, dict]:
    parts = {"transformer": sana_network(guidance_embeds=True), "vae": Autoencoder(32)}
    call = {"prompt_embeds": text(), "prompt_attention_mask": mask()}
    return parts, {**IMAGE_CALL, **NO_BINNING, "intermediate_timesteps": None, **call}


@builds("Lumina2Pipeline")
def lumina2() -> tuple[dict, dict]:
    network = diffusers.Lumina2Transformer2DModel(
        sample_size=8,
        in_channels=16,  # as in the published model: the pipeline computes its shift from this number
        hidden_size=8,
        num_layers=1,
        num_refiner_layers=1,
        num_attention_heads=1,
        num_kv_heads=1,
        multiple_of=16,
        axes_dim_rope=(4, 2, 2),
        axes_lens=(64, 32, 32),
        cap_feat_dim=TEXT,
    )
    call = prompts("prompt_attention_mask", torch.bool)
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **call}


@builds("LuminaPipeline")
def lumina() -> tuple[dict, dict]:
    network = diffusers.LuminaNextDiT2DModel(
        sample_size=8,
        in_channels=4,
        hidden_size=8,
        num_layers=1,
        num_attention_heads=1,
        num_kv_heads=1,
        multiple_of=16,
        cross_attention_dim=TEXT,
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts("prompt_attention_mask")}


@builds("AuraFlowPipeline")
def aura_flow() -> tuple[dict, dict]:
    network = diffusers.AuraFlowTransformer2DModel(
        sample_size=8,
        in_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_projection_dim=16,
        joint_attention_dim=TEXT,
        out_channels=4,
        pos_embed_max_size=64,
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts("prompt_attention_mask")}


@builds("PixArtAlphaPipeline", "PixArtSigmaPipeline")
def pixart() -> tuple[dict, dict]:
    network = diffusers.PixArtTransformer2DModel(
        sample_size=8,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_channels=TEXT,
        in_channels=4,
        cross_attention_dim=16,
        out_channels=8,
        norm_type="ada_norm_single",
        use_additional_conditions=False,
    )
    call = {**prompts("prompt_attention_mask"), **NO_BINNING, **NO_WORDS}
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **call}


@builds("HiDreamImagePipeline")
def hidream() -> tuple[dict, dict]:
    network = diffusers.HiDreamImageTransformer2DModel(
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_channels=[TEXT, TEXT],
        text_emb_dim=TEXT,
        num_routed_experts=2,
        num_activated_experts=1,
        axes_dims_rope=(4, 2, 2),
        max_resolution=(128, 128),  # the pipeline computes its shift from this size, whatever the image's
        llama_layers=(0, 1),
    )
    call = {}
    for negative in ("", "negative_"):
        call[f"{negative}prompt_embeds_t5"] = text()
        call[f"{negative}prompt_embeds_llama3"] = torch.randn(2, 1, 4, TEXT)
        call[f"{negative}pooled_prompt_embeds"] = torch.randn(1, TEXT)
    square = {"height": HEIGHT, "width": HEIGHT}  # others are padded to the largest size
    return {"transformer": network, "vae": Autoencoder()}, {**square, **call}


@builds("CogVideoXPipeline")
def cogvideox() -> tuple[dict, dict]:
    network = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=TEXT,
        num_layers=1,
        sample_width=WIDTH // 8,
        sample_height=HEIGHT // 8,
        sample_frames=FRAMES,
        max_text_seq_length=4,
    )
    call = {**VIDEO_CALL, **prompts(), "max_sequence_length": 4}
    return {"transformer": network, "vae": Autoencoder()}, call


@builds("AllegroPipeline")
def allegro() -> tuple[dict, dict]:
    network = diffusers.AllegroTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        cross_attention_dim=24,
        sample_width=WIDTH // 8,
        sample_height=HEIGHT // 8,
        sample_frames=3,
        caption_channels=TEXT,
    )
    call = {**VIDEO_CALL, **prompts("prompt_attention_mask"), **NO_WORDS}
    return {"transformer": network, "vae": Autoencoder()}, call


@builds("LattePipeline")
def latte() -> tuple[dict, dict]:
    network = diffusers.LatteTransformer3DModel(
        sample_size=8,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_channels=TEXT,
        in_channels=4,
        cross_attention_dim=16,
        out_channels=8,
        norm_type="ada_norm_single",
        video_length=2,
    )
    call = {**prompts(), "height": HEIGHT, "width": HEIGHT, "video_length": 2, **NO_WORDS}
    return {"transformer": network, "vae": Autoencoder()}, call


@builds("StableVideoDiffusionPipeline")
def stable_video_diffusion() -> tuple[dict, dict]:
    network = diffusers.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=TEXT,
        num_attention_heads=2,
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
        num_frames=2,
    )
    vision = CLIPVisionConfig(
        hidden_size=8,
        intermediate_size=8,
        projection_dim=TEXT,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=HEIGHT,
        patch_size=16,
    )
    parts = {
        "unet": network,
        "vae": diffusers.AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * 2, block_out_channels=(32, 32), latent_channels=4
        ),
        "image_encoder": CLIPVisionModelWithProjection(vision),
        "feature_extractor": CLIPImageProcessor(),
    }
    return parts, {"height": HEIGHT, "width": HEIGHT, "image": torch.rand(1, 3, HEIGHT, HEIGHT), "num_frames": 2}


@builds("ChromaPipeline")
def chroma_image() -> tuple[dict, dict]:
    network = diffusers.ChromaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        joint_attention_dim=TEXT,
        axes_dims_rope=(4, 4, 8),
        approximator_hidden_dim=8,
        approximator_layers=1,
        approximator_num_channels=16,
    )
    return {"transformer": network, "vae": Autoencoder()}, {
        **IMAGE_CALL,
        **prompts("prompt_attention_mask", torch.bool),
    }


class OmniGenProcessor:
    """Encodes every prompt as the same three tokens; the class of diffusers needs torchvision."""

    max_image_size = 1024

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(self, *_: object, **__: object) -> dict:
        length = 3 + 1 + (HEIGHT // 16) * (WIDTH // 16)  # text, time, image
        return {
            "input_ids": torch.ones(2, 3, dtype=torch.long),
            "attention_mask": torch.ones(2, length, length),
            "position_ids": torch.arange(length).expand(2, -1),
            "input_pixel_values": [],
            "input_image_sizes": {},
        }


@builds("OmniGenPipeline")
def omnigen() -> tuple[dict, dict]:
    network = diffusers.OmniGenTransformer2DModel(
        hidden_size=16,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=16,
        num_layers=1,
        in_channels=4,
        time_step_dim=4,
        rope_scaling={"long_factor": [1, 2], "short_factor": [1, 2]},
        pad_token_id=0,
        vocab_size=8,
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, "prompt": "a"}


def cascade_unet(**more: object) -> torch.nn.Module:
    return diffusers.StableCascadeUNet(
        conditioning_dim=8,
        block_out_channels=(8, 8),
        num_attention_heads=(2, 2),
        down_num_layers_per_block=(1, 1),
        up_num_layers_per_block=(1, 1),
        down_blocks_repeat_mappers=(1, 1),
        up_blocks_repeat_mappers=(1, 1),
        block_types_per_layer=(("SDCascadeResBlock", "SDCascadeTimestepBlock"),) * 2,
        clip_text_pooled_in_channels=TEXT,
        **more,
    )


CASCADE_PROMPTS = ("prompt_embeds_pooled", "negative_prompt_embeds_pooled")


@builds("StableCascadePriorPipeline")
def cascade_prior() -> tuple[dict, dict]:
    network = cascade_unet(
        in_channels=4, out_channels=4, clip_text_in_channels=TEXT, clip_image_in_channels=TEXT, switch_level=(False,)
    )
    call = {**prompts(), **{key: torch.randn(1, 1, TEXT) for key in CASCADE_PROMPTS}}
    return {"prior": network, "text_encoder": TextEncoder()}, {**call, "height": 128, "width": 256, "output_type": "pt"}


@builds("StableCascadeDecoderPipeline")
def cascade_decoder() -> tuple[dict, dict]:
    network = cascade_unet(in_channels=4, out_channels=4, effnet_in_channels=4, patch_size=2)
    call = {**prompts(), **{key: torch.randn(1, 1, TEXT) for key in CASCADE_PROMPTS}}
    return {"decoder": network, "text_encoder": TextEncoder()}, {**call, "image_embeddings": torch.randn(1, 4, 4, 4)}


TOKENS = (HEIGHT // 16) * (WIDTH // 16)


def text_and_positions(**_: object) -> tuple[torch.Tensor, torch.Tensor]:
    return text(), torch.zeros(4, 3)


def packed_prompt(**_: object) -> tuple[torch.Tensor, ...]:
    """Text and image in one sequence: features, positions, segments, and which of them are text (3) or image (2)."""
    length = 4 + TOKENS
    roles = torch.tensor([[3] * 4 + [2] * TOKENS])
    return text(length), torch.zeros(1, length, 3, dtype=torch.long), torch.ones_like(roles), roles


def kandinsky_prompt(*_: object) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Embeddings of prompt and negative prompt, for each as a whole and by token."""
    return torch.randn(2, TEXT), torch.randn(2, 4, TEXT), torch.ones(2, 4)


def fibo_prompt(**_: object) -> tuple:
    """Embeddings of prompt and negative prompt, with those of the layers of the text encoder."""
    return text(), text(), torch.zeros(1, 4, 3), mask(), mask(), [text()], [text()]


ENCODED = {
    "BriaFiboPipeline": {"encode_prompt": fibo_prompt},
    "KandinskyPipeline": {"_encode_prompt": kandinsky_prompt},
    "HunyuanVideoFramepackPipeline": {"encode_image": lambda *_, **__: text()},
    "Ideogram4Pipeline": {"encode_prompt": packed_prompt},
    "LongCatImagePipeline": {"encode_prompt": text_and_positions},
}


@builds("Krea2Pipeline")
def krea2() -> tuple[dict, dict]:
    network = diffusers.Krea2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=16,
        timestep_embed_dim=8,
        text_hidden_dim=TEXT,
        num_text_layers=3,
        text_num_attention_heads=2,
        text_num_key_value_heads=1,
        text_intermediate_size=8,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 2, 2),
    )
    call = {key: torch.randn(1, 4, 3, TEXT) for key in ("prompt_embeds", "negative_prompt_embeds")}
    call |= {"prompt_embeds_mask": mask(dtype=torch.bool), "negative_prompt_embeds_mask": mask(dtype=torch.bool)}
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **call}


@builds("OvisImagePipeline")
def ovis() -> tuple[dict, dict]:
    network = diffusers.OvisImageTransformer2DModel(
        in_channels=16,
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        joint_attention_dim=TEXT,
        axes_dims_rope=(4, 4, 8),
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts(), **NO_WORDS}


@builds("LongCatImagePipeline")
def longcat() -> tuple[dict, dict]:
    network = diffusers.LongCatImageTransformer2DModel(
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        joint_attention_dim=TEXT,
        pooled_projection_dim=TEXT,
        axes_dims_rope=(4, 4, 8),
    )
    call = {**IMAGE_CALL, "prompt": "a", "enable_prompt_rewrite": False}
    return {"transformer": network, "vae": Autoencoder()}, call


@builds("Kandinsky5T2IPipeline")
def kandinsky5() -> tuple[dict, dict]:
    network = diffusers.Kandinsky5Transformer3DModel(
        in_visual_dim=4,
        in_text_dim=TEXT,
        in_text_dim2=TEXT,
        time_dim=8,
        out_visual_dim=4,
        model_dim=16,
        ff_dim=16,
        num_text_blocks=1,
        num_visual_blocks=1,
        axes_dims=(4, 6, 6),
        attention_type="regular",
    )
    call = {}
    for negative in ("", "negative_"):
        call[f"{negative}prompt_embeds_qwen"] = text()
        call[f"{negative}prompt_embeds_clip"] = torch.randn(1, TEXT)
        call[f"{negative}prompt_cu_seqlens"] = torch.tensor([0, 4], dtype=torch.int32)
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **call}


@builds("PRXPipeline")
def prx() -> tuple[dict, dict]:
    network = diffusers.PRXTransformer2DModel(
        in_channels=4, context_in_dim=TEXT, hidden_size=16, mlp_ratio=1.0, num_heads=2, depth=1, axes_dim=[4, 4]
    )
    call = {**prompts("prompt_attention_mask", torch.bool), **NO_BINNING, **NO_WORDS}
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **call}


@builds("HunyuanDiTPipeline")
def hunyuan_dit() -> tuple[dict, dict]:
    network = diffusers.HunyuanDiT2DModel(
        sample_size=8,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=2,
        in_channels=4,
        hidden_size=16,
        cross_attention_dim=TEXT,
        cross_attention_dim_t5=TEXT,
        pooled_projection_dim=TEXT,
        text_len=4,
        text_len_t5=4,
    )
    call = {}
    for negative in ("", "negative_"):
        for encoder in ("", "_2"):
            call[f"{negative}prompt_embeds{encoder}"] = text()
            call[f"{negative}prompt_attention_mask{encoder}"] = mask()
    parts = {"transformer": network, "vae": Autoencoder(), "requires_safety_checker": False}
    parts |= {"text_encoder": TextEncoder(), "text_encoder_2": TextEncoder()}
    return parts, {"height": HEIGHT, "width": HEIGHT, **NO_BINNING, **call}


@builds("BriaPipeline")
def bria() -> tuple[dict, dict]:
    network = diffusers.BriaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=TEXT,
        axes_dims_rope=(0, 4, 4),
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts()}


@builds("GlmImagePipeline")
def glm() -> tuple[dict, dict]:
    network = diffusers.GlmImageTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        text_embed_dim=TEXT,
        time_embed_dim=8,
        condition_dim=4,
        prior_vq_quantizer_codebook_size=8,
    )
    tokens = torch.zeros(1, TOKENS, dtype=torch.long)
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts(), "prior_token_ids": tokens}


@builds("HunyuanImagePipeline")
def hunyuan_image() -> tuple[dict, dict]:
    network = diffusers.HunyuanImageTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        text_embed_dim=TEXT,
        text_embed_2_dim=TEXT,
        rope_axes_dim=(4, 4),
    )
    parts = {"transformer": network, "vae": Autoencoder(32), "guider": diffusers.ClassifierFreeGuidance()}
    parts |= {"ocr_guider": diffusers.ClassifierFreeGuidance()}
    return parts, {**IMAGE_CALL, **two_prompts()}


def two_prompts() -> dict:
    """Embeddings by two text encoders with their masks, of a prompt and a negative prompt."""
    call = {}
    for negative in ("", "negative_"):
        for encoder in ("", "_2"):
            call[f"{negative}prompt_embeds{encoder}"] = text()
            call[f"{negative}prompt_embeds_mask{encoder}"] = mask()
    return call


@builds("HunyuanVideo15Pipeline")
def hunyuan_video_15() -> tuple[dict, dict]:
    network = diffusers.HunyuanVideo15Transformer3DModel(
        in_channels=9,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_refiner_layers=1,
        text_embed_dim=TEXT,
        text_embed_2_dim=TEXT,
        image_embed_dim=TEXT,
        rope_axes_dim=(2, 2, 4),
        target_size=HEIGHT,
        task_type="t2v",
    )
    parts = {"transformer": network, "vae": Autoencoder(16), "guider": diffusers.ClassifierFreeGuidance()}
    return parts, {**VIDEO_CALL, **two_prompts()}


class SafetyChecker:
    """Accepts every prompt and video; a Cosmos pipeline needs a safety checker."""

    def to(self, *_: object) -> SafetyChecker:
        return self

    def check_text_safety(self, _: str) -> bool:
        return True

    def check_video_safety(self, video: object) -> object:
        return video


@builds("CosmosTextToWorldPipeline")
def cosmos() -> tuple[dict, dict]:
    network = diffusers.CosmosTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=1,
        text_embed_dim=TEXT,
        adaln_lora_dim=4,
        max_size=(4, 32, 32),
        concat_padding_mask=False,  # else torchvision is needed
    )
    parts = {"transformer": network, "vae": Autoencoder(), "safety_checker": SafetyChecker()}
    return parts, {**VIDEO_CALL, **prompts()}


@builds("EasyAnimatePipeline")
def easy_animate() -> tuple[dict, dict]:
    network = diffusers.EasyAnimateTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        patch_size=2,
        time_embed_dim=2,
        text_embed_dim=TEXT,
        num_layers=1,
        mmdit_layers=1,
        sample_width=WIDTH // 8,
        sample_height=HEIGHT // 8,
    )
    parts = {"transformer": network, "vae": Autoencoder(), "text_encoder": TextEncoder()}
    return parts, {**VIDEO_CALL, **prompts("prompt_attention_mask")}


@builds("MotifVideoPipeline")
def motif_video() -> tuple[dict, dict]:
    network = diffusers.MotifVideoTransformer3DModel(
        in_channels=9,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=1,
        num_single_layers=1,
        mlp_ratio=1.0,
        text_embed_dim=TEXT,
        rope_axes_dim=(4, 4, 4),
    )
    parts = {"transformer": network, "vae": Autoencoder(), "guider": diffusers.ClassifierFreeGuidance()}
    return parts, {**VIDEO_CALL, **prompts("prompt_attention_mask")}


@builds("SanaVideoPipeline")
def sana_video() -> tuple[dict, dict]:
    network = diffusers.SanaVideoTransformer3DModel(
        in_channels=16,
        out_channels=16,
        num_attention_heads=2,
        attention_head_dim=12,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=12,
        cross_attention_dim=24,
        caption_channels=TEXT,
        sample_size=8,
        rope_max_seq_len=32,
    )
    call = {**IMAGE_CALL, "frames": FRAMES, **prompts("prompt_attention_mask"), **NO_BINNING, **NO_WORDS}
    return {"transformer": network}, call


@builds("DDIMPipeline", "DDPMPipeline")
def pixels() -> tuple[dict, dict]:
    network = diffusers.UNet2DModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    return {"unet": network}, {"output_type": "np"}


@builds("Ideogram4Pipeline")
def ideogram4() -> tuple[dict, dict]:
    network = diffusers.Ideogram4Transformer2DModel(
        in_channels=16,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        intermediate_size=16,
        adaln_dim=8,
        llm_features_dim=TEXT,
        mrope_section=(4, 2, 2),
    )
    call = {**IMAGE_CALL, "prompt": "a", "guidance_scale": 2.0, "guidance_schedule": None, "max_sequence_length": 4}
    return {"transformer": network, "unconditional_transformer": network, "vae": Autoencoder()}, call


@builds("NucleusMoEImagePipeline")
def nucleus() -> tuple[dict, dict]:
    network = diffusers.NucleusMoEImageTransformer2DModel(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        joint_attention_dim=TEXT,
        axes_dims_rope=(8, 4, 4),
        mlp_ratio=1.0,
        moe_enabled=False,
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts("prompt_embeds_mask")}


@builds("ErnieImagePipeline")
def ernie() -> tuple[dict, dict]:
    network = diffusers.ErnieImageTransformer2DModel(
        hidden_size=16,
        num_attention_heads=1,
        num_layers=1,
        ffn_hidden_size=16,
        in_channels=16,
        out_channels=16,
        text_in_dim=TEXT,
        rope_axes_dim=(8, 4, 4),
    )
    call = {**IMAGE_CALL, "prompt_embeds": [text()[0]], "negative_prompt_embeds": [text()[0]]}
    return {"transformer": network, "vae": Autoencoder()}, call


@builds("SanaPAGPipeline")
def sana_pag() -> tuple[dict, dict]:
    parts, call = sana()
    return parts, call


@builds("PixArtSigmaPAGPipeline")
def pixart_pag() -> tuple[dict, dict]:
    parts, call = pixart()
    return {**parts, "pag_applied_layers": "blocks.0"}, call


IMAGE = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
MASK = torch.ones(1, 1, HEIGHT, WIDTH)


@builds("QwenImageImg2ImgPipeline")
def qwen_img2img() -> tuple[dict, dict]:
    parts, call = qwen_image()
    return parts, {**call, "image": IMAGE}


@builds("QwenImageInpaintPipeline")
def qwen_inpaint() -> tuple[dict, dict]:
    parts, call = qwen_image()
    return parts, {**call, "image": IMAGE, "mask_image": MASK}


@builds("ZImageImg2ImgPipeline")
def z_image_img2img() -> tuple[dict, dict]:
    parts, call = z_image()
    return parts, {**call, "image": IMAGE}


@builds("ChromaImg2ImgPipeline")
def chroma_img2img() -> tuple[dict, dict]:
    parts, call = chroma_image()
    return parts, {**call, "image": IMAGE}


@builds("LTXImageToVideoPipeline")
def ltx_image_to_video() -> tuple[dict, dict]:
    parts, call = ltx()
    return parts, {**call, "image": IMAGE}


@builds("WanImageToVideoPipeline")
def wan_image_to_video() -> tuple[dict, dict]:
    sizes = {"num_attention_heads": 2, "attention_head_dim": 12, "text_dim": TEXT, "freq_dim": 8, "ffn_dim": 8}
    network = diffusers.WanTransformer3DModel(
        **sizes, in_channels=12, out_channels=4, num_layers=1, rope_max_seq_len=32
    )
    return {"transformer": network, "vae": Autoencoder()}, {**VIDEO_CALL, **prompts(), "image": IMAGE}


@builds("Kandinsky3Pipeline")
def kandinsky3() -> tuple[dict, dict]:
    network = diffusers.Kandinsky3UNet(
        time_embedding_dim=4,
        groups=2,
        attention_head_dim=4,
        block_out_channels=(8, 8),
        cross_attention_dim=4,
        encoder_hid_dim=TEXT,
    )
    parts = {"unet": network, "movq": Autoencoder(), "text_encoder": TextEncoder()}
    call = {**prompts(), "attention_mask": mask(), "negative_attention_mask": mask()}
    return parts, {**IMAGE_CALL, **call}


@builds("AnimateDiffPipeline")
def animate_diff() -> tuple[dict, dict]:
    network = diffusers.UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT,
        attention_head_dim=2,
    )
    adapter = diffusers.MotionAdapter(
        block_out_channels=(8, 8), motion_layers_per_block=1, motion_norm_num_groups=2, motion_num_attention_heads=2
    )
    parts = {"unet": network, "motion_adapter": adapter, "vae": Autoencoder(), "text_encoder": TextEncoder()}
    return parts, {**VIDEO_CALL, **prompts(), "num_frames": 2}


@builds("HunyuanVideoFramepackPipeline")
def framepack() -> tuple[dict, dict]:
    network = diffusers.HunyuanVideoFramepackTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        text_embed_dim=TEXT,
        pooled_projection_dim=TEXT,
        rope_axes_dim=(2, 4, 4),
        has_image_proj=True,
        image_proj_dim=TEXT,
        has_clean_x_embedder=True,
    )
    _, call = hunyuan_video()
    return {"transformer": network, "vae": Autoencoder()}, {**call, "image": IMAGE}


@builds("HeliosPipeline")
def helios() -> tuple[dict, dict]:
    network = diffusers.HeliosTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=TEXT,
        freq_dim=8,
        ffn_dim=8,
        num_layers=1,
        rope_dim=(4, 4, 4),
    )
    return {"transformer": network, "vae": Autoencoder()}, {**VIDEO_CALL, **prompts()}


class Connectors:
    """Hands the prompt's embeddings to the network of LTX-2 twice, for the video and for its sound."""

    def __call__(self, embeds: torch.Tensor, mask: torch.Tensor, **_: object) -> tuple[torch.Tensor, ...]:
        return embeds, embeds, mask


class SoundAutoencoder:
    """What LTX-2 reads from the autoencoder of its sound."""

    mel_compression_ratio = temporal_compression_ratio = 4
    latents_mean, latents_std = torch.zeros(4), torch.ones(4)
    config = SimpleNamespace(sample_rate=16000, mel_hop_length=160, mel_bins=8, latent_channels=2)


@builds("LTX2Pipeline")
def ltx2() -> tuple[dict, dict]:
    network = diffusers.LTX2VideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        audio_in_channels=4,
        audio_out_channels=4,
        audio_num_attention_heads=2,
        audio_attention_head_dim=4,
        audio_cross_attention_dim=8,
        num_layers=1,
        caption_channels=TEXT,
        rope_type="split",
        rope_double_precision=False,
    )
    parts = {"transformer": network, "vae": Autoencoder(32, 8), "audio_vae": SoundAutoencoder()}
    one_layer = {"stg_scale": 0.0, "audio_stg_scale": 0.0}  # by default, layer 28 guides
    return {**parts, "connectors": Connectors()}, {**VIDEO_CALL, **prompts("prompt_attention_mask"), **one_layer}


@builds("LTX2ImageToVideoPipeline")
def ltx2_image_to_video() -> tuple[dict, dict]:
    parts, call = ltx2()
    return parts, {**call, "image": IMAGE, "image_crf": 0}


@builds("ZImageInpaintPipeline")
def z_image_inpaint() -> tuple[dict, dict]:
    parts, call = z_image()
    return parts, {**call, "image": IMAGE, "mask_image": MASK}


@builds("QwenImageEditPipeline")
def qwen_edit() -> tuple[dict, dict]:
    parts, call = qwen_image()
    return parts, {**call, "image": Image.new("RGB", (WIDTH, HEIGHT))}


@builds("CogView4ControlPipeline")
def cogview4_control() -> tuple[dict, dict]:
    network = diffusers.CogView4Transformer2DModel(
        in_channels=8,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        text_embed_dim=TEXT,
        time_embed_dim=8,
        condition_dim=4,
    )
    return {"transformer": network, "vae": Autoencoder()}, {**IMAGE_CALL, **prompts(), "control_image": IMAGE}


@builds("DiTPipeline")
def dit() -> tuple[dict, dict]:
    network = diffusers.DiTTransformer2DModel(
        sample_size=8, num_layers=1, attention_head_dim=8, num_attention_heads=2, out_channels=8
    )
    return {"transformer": network, "vae": Autoencoder()}, {"class_labels": [1], "output_type": "np"}


@builds("BriaFiboPipeline")
def bria_fibo() -> tuple[dict, dict]:
    network = diffusers.BriaFiboTransformer2DModel(
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=TEXT,
        text_encoder_dim=TEXT,
        axes_dims_rope=(0, 4, 4),
    )
    return {"transformer": network, "vae": Autoencoder(16)}, {**IMAGE_CALL, "prompt": "a"}


def kandinsky_unet(**conditions: object) -> torch.nn.Module:
    return diffusers.UNet2DConditionModel(
        in_channels=4,
        out_channels=8,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        cross_attention_dim=TEXT,
        attention_head_dim=4,
        resnet_time_scale_shift="scale_shift",
        encoder_hid_dim=TEXT,
        **conditions,
    )


@builds("KandinskyPipeline")
def kandinsky() -> tuple[dict, dict]:
    network = kandinsky_unet(addition_embed_type="text_image", encoder_hid_dim_type="text_image_proj")
    call = {"prompt": "a", "image_embeds": torch.randn(1, TEXT), "negative_image_embeds": torch.randn(1, TEXT)}
    return {"unet": network, "movq": Autoencoder()}, {**IMAGE_CALL, **call, "output_type": "np"}


@builds("KandinskyV22Pipeline")
def kandinsky_22() -> tuple[dict, dict]:
    network = kandinsky_unet(addition_embed_type="image", encoder_hid_dim_type="image_proj")
    call = {"image_embeds": torch.randn(1, TEXT), "negative_image_embeds": torch.randn(1, TEXT)}
    return {"unet": network, "movq": Autoencoder()}, {**IMAGE_CALL, **call}
