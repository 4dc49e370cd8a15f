"""The models that `chroma.schedulers.published` has besides its first fifteen schedulers, one row per model.

Values are those of the repository's ``scheduler_config.json``, or of the instructions of its authors where these
exchange the scheduler, as far as the steps depend on them.
"""

from __future__ import annotations

import math
from typing import Any

LATENT_BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
FLUX: dict[str, Any] = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}
PNDM: dict[str, Any] = {"skip_prk_steps": True, "steps_offset": 1, "set_alpha_to_one": False}
_QWEN: dict[str, Any] = {**FLUX, "shift": 1.0, "max_shift": 0.9, "max_image_seq_len": 8192}
_LTX: dict[str, Any] = {
    **FLUX,
    "shift": 1.0,
    "base_shift": 0.95,
    "max_shift": 2.05,
    "base_image_seq_len": 1024,
    "shift_terminal": 0.1,
}
_LIGHTNING: dict[str, Any] = {**_QWEN, "base_shift": math.log(3), "max_shift": math.log(3)}
_COGVIEW4: dict[str, Any] = {
    **FLUX,
    "shift": 1.0,
    "base_shift": 0.25,
    "max_shift": 0.75,
    "time_shift_type": "linear",
}


def _flow(shift: float, **options: Any) -> dict[str, Any]:
    name = "FlowMatchEulerDiscreteScheduler"
    return {"_class_name": name, "num_train_timesteps": 1000, "shift": shift, **options}


def _lent(name: str, shift: float) -> dict[str, Any]:
    """A multistep solver that is lent to a flow."""
    flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": shift}
    return {"_class_name": name, "num_train_timesteps": 1000, **flow}


def _table(name: str, **options: Any) -> dict[str, Any]:
    return {"_class_name": name, "num_train_timesteps": 1000, **options}


def _latent(name: str, **options: Any) -> dict[str, Any]:
    return _table(name, **{**LATENT_BETAS, **options})


def _cog(shift_scale: float) -> dict[str, Any]:
    zero = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    return _latent("CogVideoXDDIMScheduler", snr_shift_scale=shift_scale, set_alpha_to_one=True, **zero)


_SVD: dict[str, Any] = {
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
}
_EDM: dict[str, Any] = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5, "rho": 7.0}
_LINEAR: dict[str, Any] = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
_LEADING: dict[str, Any] = {"timestep_spacing": "leading", "steps_offset": 1}
_TRAILING: dict[str, Any] = {"timestep_spacing": "trailing", "steps_offset": 1}
_UNIPC, _LCM = "UniPCMultistepScheduler", "FlowMatchLCMScheduler"
_BFL = "black-forest-labs"

Row = tuple[str, dict[str, Any], int, int, str, str, int | None]


def _model(
    title: str, config: dict[str, Any], size: int, factor: int, source: str, pipeline: str, frames: int | None = None
) -> Row:
    """What a `PublishedScheduler` has, in its order."""
    return title, config, size, factor, source, pipeline, frames


MODELS: dict[str, Row] = {
    # videos: the size is their shorter side
    "wan21-480p": _model(
        "Wan 2.1 at 480p", _lent(_UNIPC, 3.0), 480, 8, "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "WanPipeline", 81
    ),
    "wan21-720p": _model(
        "Wan 2.1 at 720p", _lent(_UNIPC, 5.0), 720, 8, "Wan-AI/Wan2.1-T2V-14B-Diffusers", "WanPipeline", 81
    ),
    "wan22": _model("Wan 2.2 A14B", _lent(_UNIPC, 3.0), 720, 8, "Wan-AI/Wan2.2-T2V-A14B-Diffusers", "WanPipeline", 81),
    "wan22-5b": _model(
        "Wan 2.2 5B", _lent(_UNIPC, 5.0), 704, 16, "Wan-AI/Wan2.2-TI2V-5B-Diffusers", "WanPipeline", 121
    ),
    "skyreels2": _model(
        "SkyReels-V2",
        _lent(_UNIPC, 8.0),
        544,
        8,
        "Skywork/SkyReels-V2-T2V-14B-540P-Diffusers",
        "SkyReelsV2Pipeline",
        97,
    ),
    "ltx": _model("LTX-Video", _LTX, 512, 32, "Lightricks/LTX-Video", "LTXPipeline", 161),
    "ltx2": _model("LTX-2", _LTX, 512, 32, "Lightricks/LTX-2", "LTX2Pipeline", 121),
    "hunyuan-video": _model(
        "HunyuanVideo", _flow(7.0), 720, 8, "hunyuanvideo-community/HunyuanVideo", "HunyuanVideoPipeline", 129
    ),
    "hunyuan-video15": _model(
        "HunyuanVideo 1.5 at 480p",
        _flow(5.0),
        480,
        16,
        "hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-480p_t2v",
        "HunyuanVideo15Pipeline",
        121,
    ),
    "cogvideox-2b": _model("CogVideoX 2B", _cog(3.0), 480, 8, "zai-org/CogVideoX-2b", "CogVideoXPipeline", 49),
    "cogvideox-5b": _model("CogVideoX 5B", _cog(1.0), 480, 8, "zai-org/CogVideoX-5b", "CogVideoXPipeline", 49),
    "mochi": _model("Mochi 1", _flow(1.0, invert_sigmas=True), 480, 8, "genmo/mochi-1-preview", "MochiPipeline", 19),
    "svd": _model(
        "Stable Video Diffusion XT",
        _latent("EulerDiscreteScheduler", **_SVD),
        576,
        8,
        "stabilityai/stable-video-diffusion-img2vid-xt",
        "StableVideoDiffusionPipeline",
        25,
    ),
    "animatediff": _model(
        "AnimateDiff",
        _latent("DDIMScheduler", beta_schedule="linear", timestep_spacing="linspace", steps_offset=1),
        512,
        8,
        "guoyww/animatediff-motion-adapter-v1-5-2",
        "AnimateDiffPipeline",
        16,
    ),
    "animatelcm": _model(
        "AnimateLCM",
        _latent("LCMScheduler", beta_schedule="linear", original_inference_steps=50),
        512,
        8,
        "wangfuyun/AnimateLCM",
        "AnimateDiffPipeline",
        16,
    ),
    # images, flows
    "qwen-image": _model(
        "Qwen-Image", {**_QWEN, "shift_terminal": 0.02}, 1328, 8, "Qwen/Qwen-Image", "QwenImagePipeline"
    ),
    "qwen-image-edit": _model(
        "Qwen-Image-Edit", {**_QWEN, "shift_terminal": 0.02}, 1024, 8, "Qwen/Qwen-Image-Edit", "QwenImageEditPipeline"
    ),
    "qwen-image-lightning": _model(
        "Qwen-Image-Lightning", _LIGHTNING, 1328, 8, "lightx2v/Qwen-Image-Lightning", "QwenImagePipeline"
    ),
    "z-image-turbo": _model("Z-Image-Turbo", _flow(3.0), 1024, 8, "Tongyi-MAI/Z-Image-Turbo", "ZImagePipeline"),
    "flux2-dev": _model("FLUX.2 dev", FLUX, 1024, 8, f"{_BFL}/FLUX.2-dev", "Flux2Pipeline"),
    "flux2-klein": _model("FLUX.2 klein 4B", FLUX, 1024, 8, f"{_BFL}/FLUX.2-klein-4B", "Flux2KleinPipeline"),
    "flux-kontext": _model("FLUX.1 Kontext", FLUX, 1024, 8, f"{_BFL}/FLUX.1-Kontext-dev", "FluxKontextPipeline"),
    "flux-fill": _model("FLUX.1 Fill", FLUX, 1024, 8, f"{_BFL}/FLUX.1-Fill-dev", "FluxFillPipeline"),
    "flux-krea": _model("FLUX.1 Krea", FLUX, 1024, 8, f"{_BFL}/FLUX.1-Krea-dev", "FluxPipeline"),
    "sd35-large": _model(
        "Stable Diffusion 3.5 Large",
        _flow(3.0),
        1024,
        8,
        "stabilityai/stable-diffusion-3.5-large",
        "StableDiffusion3Pipeline",
    ),
    "sd35-turbo": _model(
        "Stable Diffusion 3.5 Large Turbo",
        _flow(3.0),
        1024,
        8,
        "stabilityai/stable-diffusion-3.5-large-turbo",
        "StableDiffusion3Pipeline",
    ),
    "sd35-medium": _model(
        "Stable Diffusion 3.5 Medium",
        _flow(3.0),
        1024,
        8,
        "stabilityai/stable-diffusion-3.5-medium",
        "StableDiffusion3Pipeline",
    ),
    "cogview4": _model("CogView4", _COGVIEW4, 1024, 8, "zai-org/CogView4-6B", "CogView4Pipeline"),
    "lumina2": _model("Lumina-Image 2.0", _flow(6.0), 1024, 8, "Alpha-VLLM/Lumina-Image-2.0", "Lumina2Pipeline"),
    "auraflow": _model("AuraFlow 0.3", _flow(1.73), 1024, 8, "fal/AuraFlow-v0.3", "AuraFlowPipeline"),
    "omnigen": _model(
        "OmniGen",
        _flow(1.0, num_train_timesteps=1, invert_sigmas=True),
        1024,
        8,
        "Shitao/OmniGen-v1-diffusers",
        "OmniGenPipeline",
    ),
    "hidream-full": _model(
        "HiDream-I1 Full", _lent(_UNIPC, 3.0), 1024, 8, "HiDream-ai/HiDream-I1-Full", "HiDreamImagePipeline"
    ),
    "hidream-dev": _model(
        "HiDream-I1 Dev", _table(_LCM, shift=6.0), 1024, 8, "HiDream-ai/HiDream-I1-Dev", "HiDreamImagePipeline"
    ),
    "hidream-fast": _model(
        "HiDream-I1 Fast", _table(_LCM, shift=3.0), 1024, 8, "HiDream-ai/HiDream-I1-Fast", "HiDreamImagePipeline"
    ),
    "sana": _model(
        "Sana 1.6B",
        _lent("DPMSolverMultistepScheduler", 3.0),
        1024,
        32,
        "Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers",
        "SanaPipeline",
    ),
    "sana-sprint": _model(
        "Sana Sprint 1.6B",
        _table("SCMScheduler", prediction_type="trigflow", sigma_data=0.5),
        1024,
        32,
        "Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers",
        "SanaSprintPipeline",
    ),
    # images, other schedules
    "sd21-base": _model(
        "Stable Diffusion 2.1 base",
        _latent("PNDMScheduler", **PNDM),
        512,
        8,
        "stabilityai/stable-diffusion-2-1-base",
        "StableDiffusionPipeline",
    ),
    "sd-turbo": _model(
        "SD Turbo",
        _latent("EulerDiscreteScheduler", **_TRAILING),
        512,
        8,
        "stabilityai/sd-turbo",
        "StableDiffusionPipeline",
    ),
    "sdxl-turbo": _model(
        "SDXL Turbo",
        _latent("EulerAncestralDiscreteScheduler", **_TRAILING),
        512,
        8,
        "stabilityai/sdxl-turbo",
        "StableDiffusionXLPipeline",
    ),
    "sdxl-lightning": _model(
        "SDXL Lightning",
        _latent("EulerDiscreteScheduler", **_TRAILING),
        1024,
        8,
        "ByteDance/SDXL-Lightning",
        "StableDiffusionXLPipeline",
    ),
    "hyper-sd": _model(
        "Hyper-SD for SDXL",
        _latent("DDIMScheduler", **_TRAILING),
        1024,
        8,
        "ByteDance/Hyper-SD",
        "StableDiffusionXLPipeline",
    ),
    "lcm-sdxl": _model(
        "LCM for SDXL",
        _latent("LCMScheduler", original_inference_steps=50),
        1024,
        8,
        "latent-consistency/lcm-sdxl",
        "StableDiffusionXLPipeline",
    ),
    "playground25": _model(
        "Playground v2.5",
        _table("EDMDPMSolverMultistepScheduler", **_EDM),
        1024,
        8,
        "playgroundai/playground-v2.5-1024px-aesthetic",
        "StableDiffusionXLPipeline",
    ),
    "kolors": _model(
        "Kolors",
        _latent("EulerDiscreteScheduler", num_train_timesteps=1100, beta_end=0.014, **_LEADING),
        1024,
        8,
        "Kwai-Kolors/Kolors-diffusers",
        "KolorsPipeline",
    ),
    "pixart-alpha": _model(
        "PixArt-alpha",
        _table("DPMSolverMultistepScheduler", **_LINEAR),
        1024,
        8,
        "PixArt-alpha/PixArt-XL-2-1024-MS",
        "PixArtAlphaPipeline",
    ),
    "pixart-sigma": _model(
        "PixArt-Sigma",
        _table("DPMSolverMultistepScheduler", **_LINEAR),
        1024,
        8,
        "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
        "PixArtSigmaPipeline",
    ),
    "hunyuan-dit": _model(
        "Hunyuan-DiT 1.1",
        _latent("DDPMScheduler", beta_end=0.03, prediction_type="v_prediction", **_LEADING),
        1024,
        8,
        "Tencent-Hunyuan/HunyuanDiT-v1.1-Diffusers",
        "HunyuanDiTPipeline",
    ),
    "kandinsky21": _model(
        "Kandinsky 2.1",
        _latent("DDPMScheduler", beta_schedule="linear"),
        512,
        8,
        "kandinsky-community/kandinsky-2-1",
        "KandinskyPipeline",
    ),
    "kandinsky3": _model(
        "Kandinsky 3",
        _latent("DDPMScheduler", beta_schedule="squaredcos_cap_v2", **_LEADING),
        1024,
        8,
        "kandinsky-community/kandinsky-3",
        "Kandinsky3Pipeline",
    ),
    "cogview3-plus": _model("CogView3-Plus", _cog(4.0), 1024, 8, "zai-org/CogView3-Plus-3B", "CogView3PlusPipeline"),
    "cascade-decoder": _model(
        "Stable Cascade decoder",
        {"_class_name": "DDPMWuerstchenScheduler", "scaler": 1.0, "s": 0.008},
        1024,
        4,
        "stabilityai/stable-cascade",
        "StableCascadeDecoderPipeline",
    ),
    "dit": _model(
        "DiT-XL/2 at 256", _table("DDIMScheduler", **_LINEAR), 256, 8, "facebook/DiT-XL-2-256", "DiTPipeline"
    ),
}
