"""Which pipelines take steps from their caller: their arguments ``sigmas`` and ``timesteps`` in diffusers 0.42."""

from __future__ import annotations

from collections.abc import Sequence

from chroma._check import invalid_argument

# some have an argument that they refuse whatever it is, since they always hand over sigmas too: it counts as none
_SIGMAS_ALONE = """
    AuraFlowPipeline ChromaImg2ImgPipeline ChromaInpaintPipeline ChromaPipeline DreamLiteMobilePipeline
    DreamLitePipeline Flux2KleinInpaintPipeline Flux2KleinKVPipeline Flux2KleinPipeline Flux2Pipeline
    FluxControlImg2ImgPipeline FluxControlInpaintPipeline FluxControlNetImg2ImgPipeline
    FluxControlNetInpaintPipeline FluxControlNetPipeline FluxControlPipeline FluxFillPipeline
    FluxImg2ImgPipeline FluxInpaintPipeline FluxKontextInpaintPipeline FluxKontextPipeline FluxPipeline
    HeliosPipeline HiDreamImagePipeline HunyuanImagePipeline HunyuanImageRefinerPipeline
    HunyuanSkyreelsImageToVideoPipeline HunyuanVideo15ImageToVideoPipeline HunyuanVideo15Pipeline
    HunyuanVideoFramepackPipeline HunyuanVideoImageToVideoPipeline HunyuanVideoPipeline Krea2Pipeline
    LongCatImageEditPipeline LongCatImagePipeline Lumina2Pipeline LuminaPipeline NucleusMoEImagePipeline
    OvisImagePipeline QwenImage21Pipeline QwenImageControlNetInpaintPipeline QwenImageControlNetPipeline
    QwenImageEditInpaintPipeline QwenImageEditPipeline QwenImageEditPlusPipeline QwenImageImg2ImgPipeline
    QwenImageInpaintPipeline QwenImageLayeredPipeline QwenImagePipeline
    StableDiffusion3ControlNetInpaintingPipeline StableDiffusion3ControlNetPipeline
    StableDiffusion3Img2ImgPipeline StableDiffusion3InpaintPipeline StableDiffusion3PAGImg2ImgPipeline
    StableDiffusion3PAGPipeline StableDiffusion3Pipeline StableVideoDiffusionPipeline
    ZImageControlNetInpaintPipeline ZImageControlNetPipeline ZImageImg2ImgPipeline ZImageInpaintPipeline
    ZImageOmniPipeline ZImagePipeline
"""
_TIMESTEPS_ALONE = """
    AllegroPipeline CogVideoXFunControlPipeline CogVideoXImageToVideoPipeline CogVideoXPipeline
    CogVideoXVideoToVideoPipeline CogView3PlusPipeline ConsistencyModelPipeline EasyAnimateControlPipeline
    EasyAnimateInpaintPipeline EasyAnimatePipeline IFImg2ImgPipeline IFImg2ImgSuperResolutionPipeline
    IFInpaintingPipeline IFInpaintingSuperResolutionPipeline IFPipeline IFSuperResolutionPipeline
    LTXConditionPipeline LatentConsistencyModelPipeline LattePipeline PRXPipeline PRXPixelPipeline
    SanaSprintImg2ImgPipeline SanaSprintPipeline StableCascadePriorPipeline WanVideoToVideoPipeline
"""
_NEITHER = """
    AnimateDiffControlNetPipeline AnimateDiffPAGPipeline AnimateDiffPipeline AnimateDiffSparseControlNetPipeline
    BlipDiffusionControlNetPipeline BriaFibo2Pipeline BriaFiboEditPipeline BriaFiboPipeline BriaPipeline
    ChronoEditPipeline ConsisIDPipeline Cosmos2_5_PredictBasePipeline Cosmos2_5_TransferPipeline
    Cosmos3OmniPipeline CosmosTextToWorldPipeline CosmosVideoToWorldPipeline DDIMPipeline DDPMPipeline
    DiTPipeline ErnieImagePipeline HunyuanDiTControlNetPipeline HunyuanDiTPAGPipeline HunyuanDiTPipeline
    Ideogram4Pipeline Kandinsky3Img2ImgPipeline Kandinsky3Pipeline Kandinsky5I2IPipeline Kandinsky5I2VPipeline
    Kandinsky5T2IPipeline Kandinsky5T2VPipeline KandinskyCombinedPipeline KandinskyImg2ImgCombinedPipeline
    KandinskyImg2ImgPipeline KandinskyInpaintCombinedPipeline KandinskyInpaintPipeline KandinskyPipeline
    KandinskyV22CombinedPipeline KandinskyV22ControlnetImg2ImgPipeline KandinskyV22ControlnetPipeline
    KandinskyV22Img2ImgCombinedPipeline KandinskyV22Img2ImgPipeline KandinskyV22InpaintCombinedPipeline
    KandinskyV22InpaintPipeline KandinskyV22Pipeline LDMSuperResolutionPipeline LDMTextToImagePipeline
    LTXImageToVideoPipeline LTXPipeline LucyEditPipeline MarigoldDepthPipeline MarigoldIntrinsicsPipeline
    MarigoldNormalsPipeline MochiPipeline MotifVideoImage2VideoPipeline MotifVideoPipeline OmniGenPipeline
    SanaWMPipeline SkyReelsV2ImageToVideoPipeline SkyReelsV2Pipeline StableCascadeCombinedPipeline
    StableCascadeDecoderPipeline StableDiffusionControlNetImg2ImgPipeline
    StableDiffusionControlNetInpaintPipeline StableDiffusionControlNetPAGInpaintPipeline
    StableDiffusionDepth2ImgPipeline StableDiffusionImageVariationPipeline
    StableDiffusionInstructPix2PixPipeline StableDiffusionLatentUpscalePipeline StableDiffusionUpscalePipeline
    StableDiffusionXLControlNetImg2ImgPipeline StableDiffusionXLControlNetInpaintPipeline
    StableDiffusionXLControlNetPAGImg2ImgPipeline StableDiffusionXLControlNetUnionImg2ImgPipeline
    StableDiffusionXLControlNetUnionInpaintPipeline StableDiffusionXLInstructPix2PixPipeline
    StableUnCLIPImg2ImgPipeline StableUnCLIPPipeline WanAnimatePipeline WanImageToVideoPipeline WanPipeline
    WanVACEPipeline
"""
TAKE_SIGMAS_ALONE, TAKE_TIMESTEPS_ALONE, TAKE_NEITHER = (
    frozenset(names.split()) for names in (_SIGMAS_ALONE, _TIMESTEPS_ALONE, _NEITHER)
)
TAKE_BOTH_AT_ONCE = frozenset(("CogView4ControlPipeline", "CogView4Pipeline", "GlmImagePipeline"))


def check_accepted(pipeline: str, sigmas: Sequence[float] | None, timesteps: Sequence[float] | None) -> None:
    """Refuse steps that a pipeline does not take from its caller.

    Args:
        pipeline: the name of its class in diffusers.
        sigmas: the caller's own, or None.
        timesteps: the caller's own, or None.

    Raises:
        ValueError: naming the argument that the pipeline has instead, if any.

    >>> check_accepted("FluxPipeline", [1.0, 0.5], None)
    """
    for name, values, instead in (
        ("sigmas", sigmas, TAKE_TIMESTEPS_ALONE),
        ("timesteps", timesteps, TAKE_SIGMAS_ALONE),
    ):
        if values is not None and pipeline in instead | TAKE_NEITHER:
            other = "timesteps" if name == "sigmas" else "sigmas"
            remedy = f"pass {other}" if pipeline in instead else "chart its scheduler without it"
            raise ValueError(f"{pipeline} takes no {name} from its caller: {remedy}")
    if sigmas is not None and timesteps is not None and pipeline not in TAKE_BOTH_AT_ONCE:
        raise invalid_argument("timesteps", "both", f"left out where sigmas are given: {pipeline} takes one of them")
