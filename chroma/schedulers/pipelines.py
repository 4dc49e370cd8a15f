r"""Steps of a pipeline: what each pipeline class of diffusers hands to its scheduler, and the plan that follows.

The same scheduler takes different steps in different pipelines. FluxPipeline always hands over sigmas 1, .., 1/N;
StableDiffusion3Pipeline lets the scheduler choose its own; Flux2Pipeline, QwenImagePipeline and CogView4Pipeline differ
in the shift :math:`\mu`, which follows the size of the image. `PIPELINES` has one rule per class of diffusers 0.42;
tests compare every rule with the source of its pipeline. Needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from chroma._check import check_int, invalid_argument
from chroma.schedulers import _pipeline_rules as rules
from chroma.schedulers._given import check_accepted
from chroma.schedulers._pipeline_rules import Inputs, empirical_mu, even_sigmas, linear_quadratic_sigmas
from chroma.schedulers.handover import plan_steps
from chroma.schedulers.published import PublishedScheduler
from chroma.schedulers.steps import Plan, check_given

__all__ = [
    "PIPELINES",
    "REFUSED",
    "Inputs",
    "Rule",
    "empirical_mu",
    "even_sigmas",
    "linear_quadratic_sigmas",
    "pipeline_inputs",
    "pipeline_plan",
    "pipeline_rule",
    "published_plan",
    "scheduler_config",
]


@dataclass(frozen=True)
class Rule:
    """How a pipeline class sets its scheduler.

    Attributes:
        inputs: what it hands over, given the call.
        latent_factor: pixels that a latent spans in each direction, unless the autoencoder's configuration is known.
        temporal_factor: the same in time.
        patch: latents that a token spans in each direction.
        frames: that a video has unless the caller gives another number; 1 where the steps do not depend on it.
        sized: whether the steps depend on the size of the image.
        patch_of_network: whether the pipeline reads `patch` from the ``patch_size`` of its network's configuration.
    """

    inputs: Callable[[rules.Call], Inputs]
    latent_factor: int = 8
    temporal_factor: int = 4
    patch: int = 2
    frames: int = 1
    sized: bool = False
    patch_of_network: bool = False


PLAIN, PIXELS = Rule(rules.plain), Rule(rules.plain, latent_factor=1)
FLUX = Rule(rules.flux, sized=True)
_TABLE: tuple[tuple[Rule, str], ...] = (
    (
        PLAIN,
        """AllegroPipeline AnimateDiffControlNetPipeline AnimateDiffPAGPipeline AnimateDiffPipeline
        AnimateDiffSDXLPipeline AnimateDiffSparseControlNetPipeline AnimateDiffVideoToVideoControlNetPipeline
        AnimateDiffVideoToVideoPipeline AnyFlowPipeline AuraFlowPipeline BlipDiffusionControlNetPipeline
        ChronoEditPipeline CogVideoXFunControlPipeline CogVideoXImageToVideoPipeline CogVideoXPipeline
        CogVideoXVideoToVideoPipeline CogView3PlusPipeline ConsisIDPipeline Cosmos2_5_PredictBasePipeline
        Cosmos2_5_TransferPipeline CosmosTextToWorldPipeline CosmosVideoToWorldPipeline DiTPipeline
        HunyuanDiTControlNetPipeline HunyuanDiTPAGPipeline HunyuanDiTPipeline JoyImageEditPipeline
        JoyImageEditPlusPipeline Kandinsky3Img2ImgPipeline Kandinsky3Pipeline Kandinsky5I2IPipeline
        Kandinsky5I2VPipeline Kandinsky5T2IPipeline Kandinsky5T2VPipeline Kandinsky6TI2VAPipeline
        KandinskyCombinedPipeline KandinskyImg2ImgCombinedPipeline KandinskyImg2ImgPipeline
        KandinskyInpaintCombinedPipeline KandinskyInpaintPipeline KandinskyPipeline KandinskyV22CombinedPipeline
        KandinskyV22ControlnetImg2ImgPipeline KandinskyV22ControlnetPipeline KandinskyV22Img2ImgCombinedPipeline
        KandinskyV22Img2ImgPipeline KandinskyV22InpaintCombinedPipeline KandinskyV22InpaintPipeline
        KandinskyV22Pipeline KolorsImg2ImgPipeline KolorsPAGPipeline KolorsPipeline LDMTextToImagePipeline
        LatentConsistencyModelPipeline LattePipeline LucyEditPipeline LuminaPipeline MarigoldDepthPipeline
        MarigoldIntrinsicsPipeline MarigoldNormalsPipeline PRXPipeline PixArtAlphaPipeline PixArtSigmaPAGPipeline
        PixArtSigmaPipeline SanaImageToVideoPipeline SanaVideoPipeline SkyReelsV2ImageToVideoPipeline
        SkyReelsV2Pipeline StableDiffusion3ControlNetInpaintingPipeline StableDiffusion3ControlNetPipeline
        StableDiffusion3PAGImg2ImgPipeline StableDiffusion3PAGPipeline StableDiffusionAdapterPipeline
        StableDiffusionControlNetImg2ImgPipeline StableDiffusionControlNetInpaintPipeline
        StableDiffusionControlNetPAGInpaintPipeline StableDiffusionControlNetPAGPipeline
        StableDiffusionControlNetPipeline StableDiffusionDepth2ImgPipeline StableDiffusionImageVariationPipeline
        StableDiffusionImg2ImgPipeline StableDiffusionInpaintPipeline StableDiffusionInstructPix2PixPipeline
        StableDiffusionLatentUpscalePipeline StableDiffusionPAGImg2ImgPipeline StableDiffusionPAGInpaintPipeline
        StableDiffusionPAGPipeline StableDiffusionPipeline StableDiffusionXLAdapterPipeline
        StableDiffusionXLControlNetImg2ImgPipeline StableDiffusionXLControlNetInpaintPipeline
        StableDiffusionXLControlNetPAGImg2ImgPipeline StableDiffusionXLControlNetPAGPipeline
        StableDiffusionXLControlNetPipeline StableDiffusionXLControlNetUnionImg2ImgPipeline
        StableDiffusionXLControlNetUnionInpaintPipeline StableDiffusionXLControlNetUnionPipeline
        StableDiffusionXLImg2ImgPipeline StableDiffusionXLInpaintPipeline StableDiffusionXLInstructPix2PixPipeline
        StableDiffusionXLPAGImg2ImgPipeline StableDiffusionXLPAGInpaintPipeline StableDiffusionXLPAGPipeline
        StableDiffusionXLPipeline StableUnCLIPImg2ImgPipeline StableUnCLIPPipeline StableVideoDiffusionPipeline
        WanAnimatePipeline WanImageToVideoPipeline WanPipeline WanVACEPipeline WanVideoToVideoPipeline""",
    ),
    (
        PIXELS,
        """ConsistencyModelPipeline DDIMPipeline DDPMPipeline IFImg2ImgPipeline IFImg2ImgSuperResolutionPipeline
        IFInpaintingPipeline IFInpaintingSuperResolutionPipeline IFPipeline IFSuperResolutionPipeline
        PRXPixelPipeline""",
    ),
    (
        Rule(rules.plain, latent_factor=4),
        """LDMSuperResolutionPipeline StableCascadeCombinedPipeline StableCascadeDecoderPipeline
        StableDiffusionUpscalePipeline""",
    ),
    (Rule(rules.plain, latent_factor=42), "StableCascadePriorPipeline"),  # 42.67: 1024 pixels are 24 latents
    (Rule(rules.plain, latent_factor=16), "Kandinsky6SRPipeline"),
    (
        Rule(rules.plain, latent_factor=32, temporal_factor=8),
        "SanaControlNetPipeline SanaPAGPipeline SanaPipeline SanaWMPipeline",
    ),
    (Rule(rules.sana_sprint, latent_factor=32), "SanaSprintImg2ImgPipeline SanaSprintPipeline"),
    (
        FLUX,
        """ChromaImg2ImgPipeline ChromaInpaintPipeline ChromaPipeline FluxControlImg2ImgPipeline
        FluxControlInpaintPipeline FluxControlNetImg2ImgPipeline FluxControlNetInpaintPipeline FluxControlNetPipeline
        FluxControlPipeline FluxFillPipeline FluxImg2ImgPipeline FluxInpaintPipeline FluxKontextInpaintPipeline
        FluxKontextPipeline LongCatImageEditPipeline LongCatImagePipeline NucleusMoEImagePipeline
        QwenImageControlNetInpaintPipeline QwenImageControlNetPipeline QwenImageEditInpaintPipeline
        QwenImageEditPipeline QwenImageEditPlusPipeline QwenImageImg2ImgPipeline QwenImageInpaintPipeline
        QwenImagePipeline ZImageControlNetInpaintPipeline ZImageControlNetPipeline ZImageImg2ImgPipeline
        ZImageInpaintPipeline ZImageOmniPipeline ZImagePipeline""",
    ),
    (Rule(rules.flux, sized=True, patch_of_network=True), "BriaFibo2Pipeline"),
    (Rule(rules.flux_or_flow_sigmas, sized=True), "FluxPipeline OvisImagePipeline"),
    (Rule(rules.flux2, sized=True), "Flux2KleinInpaintPipeline Flux2KleinKVPipeline Flux2KleinPipeline Flux2Pipeline"),
    (Rule(rules.flux, latent_factor=16, patch=1, sized=True), "BriaFiboEditPipeline BriaFiboPipeline"),
    (Rule(rules.bria, sized=True), "BriaPipeline"),
    (Rule(rules.krea2, sized=True), "Krea2Pipeline"),
    (Rule(rules.qwen21, latent_factor=16, patch=1, sized=True), "QwenImage21Pipeline"),
    (Rule(rules.qwen_layered, sized=True), "QwenImageLayeredPipeline"),
    (Rule(rules.dreamlite, sized=True), "DreamLiteMobilePipeline DreamLitePipeline"),
    (Rule(rules.lumina2), "Lumina2Pipeline"),
    (
        Rule(rules.sd3, sized=True, patch_of_network=True),
        "StableDiffusion3Img2ImgPipeline StableDiffusion3InpaintPipeline StableDiffusion3Pipeline",
    ),
    (
        Rule(rules.even),
        """HunyuanSkyreelsImageToVideoPipeline HunyuanVideoImageToVideoPipeline HunyuanVideoPipeline
        OmniGenPipeline""",
    ),
    (
        Rule(rules.even, latent_factor=16),
        """ErnieImagePipeline HunyuanImageRefinerPipeline HunyuanVideo15ImageToVideoPipeline HunyuanVideo15Pipeline""",
    ),
    (Rule(rules.even, latent_factor=32), "HunyuanImagePipeline"),
    (Rule(rules.framepack, sized=True, patch_of_network=True), "HunyuanVideoFramepackPipeline"),
    (Rule(rules.helios, sized=True, patch_of_network=True), "HeliosPipeline"),
    (
        Rule(rules.flux, latent_factor=32, temporal_factor=8, patch=1, frames=161, sized=True),
        "LTXImageToVideoPipeline LTXPipeline",
    ),
    (Rule(rules.ltx_condition, latent_factor=32, temporal_factor=8, patch=1), "LTXConditionPipeline"),
    (
        Rule(rules.ltx2, latent_factor=32, temporal_factor=8, patch=1, frames=121, sized=True, patch_of_network=True),
        "LTX2ConditionPipeline LTX2HDRPipeline LTX2ImageToVideoPipeline LTX2InContextPipeline LTX2Pipeline",
    ),
    (
        Rule(rules.flux, frames=121, sized=True, patch_of_network=True),
        "MotifVideoImage2VideoPipeline MotifVideoPipeline",
    ),
    (Rule(rules.cogview4, sized=True, patch_of_network=True), "CogView4ControlPipeline CogView4Pipeline"),
    (Rule(rules.glm, sized=True, patch_of_network=True), "GlmImagePipeline"),
    (Rule(rules.mochi, temporal_factor=6), "MochiPipeline"),
    (Rule(rules.hidream), "HiDreamImagePipeline"),
    (Rule(rules.easyanimate), "EasyAnimateControlPipeline EasyAnimateInpaintPipeline EasyAnimatePipeline"),
    (Rule(rules.cosmos3, latent_factor=16), "Cosmos3OmniPipeline"),
    (Rule(rules.ideogram4, sized=True), "Ideogram4Pipeline"),
)
PIPELINES: dict[str, Rule] = {name: rule for rule, names in _TABLE for name in names.split()}

_REFUSALS: tuple[tuple[str, str], ...] = (
    (
        "generates audio",
        """AceStepPipeline AudioLDM2Pipeline LongCatAudioDiTPipeline StableAudio3AudioToAudioPipeline
        StableAudio3InpaintPipeline StableAudio3Pipeline StableAudioPipeline""",
    ),
    (
        "generates an embedding of an image",
        """FluxPriorReduxPipeline KandinskyPriorPipeline KandinskyV22PriorEmb2EmbPipeline
        KandinskyV22PriorPipeline""",
    ),
    ("generates text", "DiffusionGemmaPipeline LLaDA2Pipeline"),
    ("generates proteins", "RFD4ProteinaPipeline"),
    ("generates three-dimensional shapes", "ShapEPipeline ShapEImg2ImgPipeline"),
    ("mixes image and noise in a way of its own", "Cosmos2TextToImagePipeline Cosmos2VideoToWorldPipeline"),
    (
        "gives each frame a noise level of its own",
        """AnyFlowFARPipeline SkyReelsV2DiffusionForcingImageToVideoPipeline SkyReelsV2DiffusionForcingPipeline
        SkyReelsV2DiffusionForcingVideoToVideoPipeline""",
    ),
    (
        "generates in several passes, each with steps of its own",
        """HeliosPyramidPipeline LTX2DFRPipeline LTX2DFRTemporalRefinePipeline LTXI2VLongMultiPromptPipeline
        VisualClozeGenerationPipeline VisualClozePipeline""",
    ),
    ("spreads its steps according to its strength", "LatentConsistencyModelImg2ImgPipeline"),
    (
        "takes no steps of a scheduler",
        "LTX2LatentUpsamplePipeline LTX2VideoDiffusionDecodePipeline LTXLatentUpsamplePipeline",
    ),
)
REFUSED: dict[str, str] = {name: reason for reason, names in _REFUSALS for name in names.split()}


def pipeline_rule(pipeline: str) -> Rule:
    """Look up how a pipeline class sets its scheduler.

    Args:
        pipeline: the name of the class in diffusers.

    Returns:
        The rule.

    Raises:
        ValueError: for a class that is not in `PIPELINES`, saying why or which name is similar.

    >>> pipeline_rule("SanaPipeline").latent_factor
    32
    """
    if pipeline in PIPELINES:
        return PIPELINES[pipeline]
    must = "a pipeline class whose steps are known"
    if pipeline in REFUSED:
        raise invalid_argument("pipeline", pipeline, f"{must}: this one {REFUSED[pipeline]}")
    similar = get_close_matches(pipeline, PIPELINES, 1)
    hint = f"did you mean {similar[0]}? If not, " if similar else ""
    must = f"{must} ({hint}name a class that samples alike, or leave it out for the scheduler's own steps)"
    raise invalid_argument("pipeline", pipeline, must)


def scheduler_config(scheduler: Any) -> Mapping[str, Any]:
    """Read the configuration of a scheduler, with its class as ``_class_name``.

    Args:
        scheduler: a diffusers scheduler, or its configuration.

    Returns:
        The configuration.
    """
    if isinstance(scheduler, Mapping):
        return scheduler
    return {**dict(scheduler.config), "_class_name": type(scheduler).__name__}


def pipeline_inputs(
    pipeline: str | Mapping[str, Any],
    scheduler: Any,
    steps: int,
    *,
    width: int,
    height: int,
    frames: int | None = None,
    latent_factor: int | None = None,
    temporal_factor: int | None = None,
    patch_size: int | None = None,
) -> Inputs:
    """Compute what a pipeline hands to the ``set_timesteps`` of its scheduler.

    Args:
        pipeline: the name of its class in diffusers, or what is in its ``model_index.json``.
        scheduler: a diffusers scheduler, or its configuration.
        steps: of the inference.
        width: of the images in pixels.
        height: of the images in pixels.
        frames: of a video; by default what the pipeline generates by default.
        latent_factor: pixels that a latent spans in each direction; by default that of the pipeline's usual models.
        temporal_factor: frames that a latent spans; by default likewise.
        patch_size: of the network's configuration, which some pipelines read; by default likewise.

    Returns:
        The sigmas, timesteps and shift, each None if it is left to the scheduler.

    Raises:
        ValueError: for a pipeline whose steps are not known, or sizes that are no whole numbers.

    >>> config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True}
    >>> round(pipeline_inputs("FluxPipeline", config, 4, width=1024, height=1024).mu, 4)
    1.15
    """
    options = pipeline if isinstance(pipeline, Mapping) else {}
    rule = pipeline_rule(_name_of(pipeline))
    frames = check_int("frames", rule.frames if frames is None else frames, 1)
    temporal = check_int("temporal_factor", rule.temporal_factor if temporal_factor is None else temporal_factor, 1)
    call = rules.Call(
        steps=check_int("steps", steps, 1),
        config=scheduler_config(scheduler),
        options=options,
        width=check_int("width", width, 1),
        height=check_int("height", height, 1),
        latent_factor=check_int("latent_factor", latent_factor or rule.latent_factor, 1),
        latent_frames=(frames - 1) // temporal + 1 if rule.frames > 1 else 1,
        patch=_patch(rule, options, patch_size),
    )
    return rule.inputs(call)


def _name_of(pipeline: str | Mapping[str, Any]) -> str:
    return str(pipeline.get("_class_name")) if isinstance(pipeline, Mapping) else str(pipeline)


def _patch(rule: Rule, options: Mapping[str, Any], patch_size: int | None) -> int:
    """Latents that a token spans: fixed by most pipelines, else a setting of the pipeline or of its network."""
    if rule.inputs is rules.krea2:
        return check_int("patch_size", options.get("patch_size", rule.patch), 1)
    if rule.patch_of_network and patch_size is not None:
        return check_int("patch_size", patch_size, 1)
    return rule.patch


def pipeline_plan(
    pipeline: str | Mapping[str, Any],
    scheduler: Any,
    steps: int,
    *,
    width: int,
    height: int,
    frames: int | None = None,
    latent_factor: int | None = None,
    temporal_factor: int | None = None,
    patch_size: int | None = None,
    sigmas: Sequence[float] | None = None,
    timesteps: Sequence[float] | None = None,
) -> Plan:
    """Compute the steps that a pipeline takes for images of one size.

    Image-to-image and inpainting variants take the last of these steps, as many as their ``strength`` leaves.

    Args:
        pipeline: the name of its class in diffusers, or what is in its ``model_index.json``.
        scheduler: a diffusers scheduler, or its configuration.
        steps: of the inference.
        width: of the images in pixels.
        height: of the images in pixels.
        frames: of a video; by default what the pipeline generates by default.
        latent_factor: pixels that a latent spans in each direction; by default that of the pipeline's usual models.
        temporal_factor: frames that a latent spans; by default likewise.
        patch_size: of the network's configuration, which some pipelines read; by default likewise.
        sigmas: the caller's own, in place of the pipeline's.
        timesteps: the caller's own, in place of the pipeline's.

    Returns:
        The plan.

    Raises:
        ValueError: for a pipeline whose steps are not known, for lists that it does not take from its caller, and for
            what its scheduler does not accept.

    >>> schnell = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 1.0}
    >>> pipeline_plan("FluxPipeline", schnell, 4, width=1024, height=1024).timesteps
    array([1000.,  750.,  500.,  250.])
    """
    check_accepted(_name_of(pipeline), sigmas, timesteps)
    sizes = {"latent_factor": latent_factor, "temporal_factor": temporal_factor, "patch_size": patch_size}
    inputs = pipeline_inputs(pipeline, scheduler, steps, width=width, height=height, frames=frames, **sizes)
    if sigmas is not None or timesteps is not None:
        inputs = Inputs(_optional(sigmas), _optional(timesteps), inputs.mu)
    config = scheduler_config(scheduler)
    if config.get("_class_name") == "SCMScheduler" and inputs.timesteps is not None:
        return _trigflow_plan(inputs.timesteps.tolist(), config.get("num_train_timesteps", 1000))
    if config.get("use_dynamic_shifting") and inputs.mu is None and "FlowMatch" in str(config.get("_class_name")):
        must = f"one without use_dynamic_shifting: {_name_of(pipeline)} hands no shift to it"
        raise invalid_argument("scheduler", str(config.get("_class_name")), must)
    count = steps if inputs.sigmas is None and inputs.timesteps is None else None
    return plan_steps(
        scheduler, count, mu=inputs.mu, sigmas=_listed(inputs.sigmas), timesteps=_listed(inputs.timesteps)
    )


def published_plan(published: PublishedScheduler, steps: int) -> Plan:
    """Compute the steps of a published model in its own pipeline, or of a paper's schedule by itself.

    Args:
        published: of `chroma.schedulers.published.PUBLISHED`.
        steps: of the inference.

    Returns:
        The plan.

    Raises:
        ValueError: for a number of steps that the model does not allow.

    >>> from chroma.schedulers.published import PUBLISHED
    >>> published_plan(PUBLISHED["flux-schnell"], 4).timesteps
    array([1000.,  750.,  500.,  250.])
    """
    if published.pipeline is None:
        side = published.size // published.latent_factor
        return plan_steps(published.config, steps, max(1, side * side // 4))
    return pipeline_plan(
        published.pipeline,
        published.config,
        steps,
        width=published.size,
        height=published.size,
        frames=published.frames,
        latent_factor=published.latent_factor,
    )


def _trigflow_plan(angles: list[float], most: int) -> Plan:
    """The steps of Sana Sprint, whose times are angles: cos(t) times the image plus sin(t) times the noise."""
    check_given(None, None, angles)
    angles = angles[: len(angles) - (angles[-1] == 0)]  # the pipeline leaves out the last, the clean image
    if not angles or angles[0] > rules.LARGEST_ANGLE:
        raise invalid_argument("timesteps", angles, f"angles from {rules.LARGEST_ANGLE} down, more than 0")
    if len(angles) > most:
        raise invalid_argument("steps", len(angles), f"at most {most}, the scheduler's num_train_timesteps")
    times = np.array(angles)
    return Plan(times, -2 * np.log(np.abs(np.tan(times))))


def _optional(values: Sequence[float] | None) -> np.ndarray | None:
    return None if values is None else np.asarray(values, dtype=float)


def _listed(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else values.tolist()
