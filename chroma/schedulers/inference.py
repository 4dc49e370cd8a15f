"""What a model's inference is: the steps of its pipeline, the size of what it denoises, and how they were found.

A model is a name of `chroma.schedulers.published`, a bundled model, a folder, a ``scheduler_config.json``, a hub's
owner/name, or a scheduler of diffusers. The atlas and `chroma.ask` begin here. Needs NumPy alone for the schedulers
that `chroma.schedulers.steps.plan` knows; others are set up by diffusers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chroma._check import check_finite, check_int, invalid_argument
from chroma._files import WEIGHTS
from chroma._hub import download_configs
from chroma._names import find_named
from chroma.schedulers.config import flow_shift
from chroma.schedulers.curves import SPECTRA, SPECTRUM_OF, LatentSpectrum, band_variances, spectrum_of_autoencoder
from chroma.schedulers.handover import plan_steps
from chroma.schedulers.pipelines import PIPELINES, pipeline_inputs, pipeline_plan, pipeline_rule, scheduler_config
from chroma.schedulers.published import PUBLISHED
from chroma.schedulers.sizes import AUTOENCODERS, Sizes, read_config, read_configs, sizes_of
from chroma.schedulers.steps import Plan

_VIDEO = re.compile("Video|Wan|LTX|Mochi|Animate|SkyReels|Allegro|Latte|ConsisID|ChronoEdit|Helios|WorldPipe|Lucy")


@dataclass(frozen=True)
class Inference:
    """The steps that a pipeline takes, or a scheduler by itself, for images of one size.

    Attributes:
        title: of the model, or how it was named.
        config: of its scheduler.
        pipeline: the class of diffusers that runs it, or what is in its ``model_index.json``; None if unknown.
        side: of what is denoised, in pixels or latents: the side of a square, or the height.
        latent_factor: pixels that a latent spans; 1 for models of pixels.
        plan: the steps.
        shift: of a flow, as the pipeline sets it for this size; None for other schedules.
        video: whether the pipeline generates videos.
        spectrum: that somebody published for its latents, or None.
        notes: what a reader should know.
    """

    title: str
    config: Mapping[str, Any]
    pipeline: str | Mapping[str, Any] | None
    side: int
    latent_factor: int
    plan: Plan
    shift: float | None = None
    video: bool = False
    spectrum: LatentSpectrum | None = None
    notes: tuple[str, ...] = ()

    def band_variances(self, curve: str, sides: Sequence[float] | None = None) -> np.ndarray:
        """Compute the variances of bands by one of the curves, in what is denoised.

        Args:
            curve: one of `chroma.schedulers.curves.CURVES`.
            sides: of the resolutions; by default those of the pyramid, finest first.

        Returns:
            V, (sides,).

        Raises:
            ValueError: for another curve, or a spectrum that nobody has published.
        """
        latent = self.latent_factor > 1
        variances = band_variances(curve, self.side, sides, latent=latent, spectrum=self.spectrum)
        if latent and str(self.config.get("_class_name")).startswith("EDM"):
            return variances * self.config.get("sigma_data", 0.5) ** 2  # EDM scales latents to this deviation
        return variances


@dataclass(frozen=True)
class _Source:
    """A scheduler, the pipeline that runs it, and the sizes of its images, as far as they are known."""

    scheduler: Any
    pipeline: str | Mapping[str, Any] | None = None
    sizes: Sizes = field(default_factory=Sizes)
    frames: int | None = None
    title: str = ""
    spectrum: LatentSpectrum | None = None


def inference(
    scheduler: str | Path | Mapping | Any,
    steps: int | None = 30,
    size: int | None = None,
    latent_factor: int | None = None,
    *,
    pipeline: str | None = None,
    width: int | None = None,
    frames: int | None = None,
    sigmas: Sequence[float] | None = None,
    timesteps: Sequence[float] | None = None,
    shift: float | None = None,
) -> Inference:
    """Find out the steps that a pipeline takes, or a scheduler by itself.

    Args:
        scheduler: a name of `chroma.schedulers.published.PUBLISHED`, a bundled model's name, the folder of a pipeline
            or of a scheduler, a ``scheduler_config.json`` or what is in it, a hub's owner/name, or a diffusers
            scheduler.
        steps: of the inference; ignored where `sigmas` or `timesteps` are given.
        size: the side of the images in pixels, or their height; by default what is known of the model.
        latent_factor: pixels that a latent spans in each direction, 1 for models of pixels; by default what is known.
        pipeline: the class of diffusers that runs the scheduler, whose steps depend on it; by default that of
            ``model_index.json`` or of the published model.
        width: of the images in pixels, unless they are square.
        frames: of a video; by default what its pipeline generates by default.
        sigmas: the caller's own, as the pipeline's ``sigmas`` argument takes them.
        timesteps: the caller's own, likewise.
        shift: of a flow, in place of the model's own.

    Returns:
        The steps and what belongs to them.

    Raises:
        ValueError: naming what is unknown and what to pass.
        OSError: if the hub cannot be reached.

    >>> sdxl = inference("sdxl", steps=30)
    >>> sdxl.side, sdxl.plan.timesteps[:3]
    (128, array([958., 925., 892.]))
    """
    source = _find(scheduler)
    if shift is not None:
        source = replace(source, scheduler=shifted_config(source.scheduler, shift))
    config = scheduler_config(source.scheduler)
    runs = source.pipeline if pipeline is None else pipeline
    if runs is not None:
        pipeline_rule(_class_name(runs))
    side, factor = _latents(source, config, runs, size, latent_factor)
    _check_patches(source.sizes, runs, factor, height=side * factor, width=width)
    given = sigmas if sigmas is not None else timesteps
    count = len(given) if given is not None else check_int("steps", steps, 1)
    tokens = max(1, side * side // 4)
    mu = None
    if runs is None:
        own = None if given is not None else count
        plan = plan_steps(source.scheduler, own, tokens, sigmas=sigmas, timesteps=timesteps)
    else:
        call: dict[str, Any] = {
            "width": width or side * factor,
            "height": side * factor,
            "frames": source.frames if frames is None else frames,
            "latent_factor": factor,
            "temporal_factor": source.sizes.temporal_factor,
            "patch_size": source.sizes.patch_size,
        }
        plan = pipeline_plan(runs, source.scheduler, count, **call, sigmas=sigmas, timesteps=timesteps)
        mu = pipeline_inputs(runs, source.scheduler, count, **call).mu
    return Inference(
        source.title or str(config.get("_class_name")),
        config,
        runs,
        side,
        factor,
        plan,
        _shift(config, mu, tokens),
        source.frames is not None or (runs is not None and _VIDEO.search(_class_name(runs)) is not None),
        source.spectrum,
        _notes(config, runs, factor if latent_factor is None and source.sizes.latent_factor is None else None),
    )


def shifted_config(scheduler: Any, shift: float) -> dict[str, Any]:
    """Give the configuration of a flow another shift, the same for all sizes.

    Args:
        scheduler: a diffusers scheduler, or its configuration.
        shift: the shift.

    Returns:
        The configuration.

    Raises:
        ValueError: for a scheduler that has no shift.

    >>> shifted_config({"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True}, 8.0)["flow_shift"]
    8.0
    """
    config = scheduler_config(scheduler)
    shift = check_finite("shift", shift, above=0)
    if config.get("use_flow_sigmas"):
        return {**config, "flow_shift": shift}
    if "FlowMatch" not in str(config.get("_class_name")):
        raise invalid_argument("shift", shift, f"left out: {config.get('_class_name')} is no scheduler of a flow")
    return {**config, "shift": shift, "use_dynamic_shifting": False}


def _shift(config: Mapping, mu: float | None, tokens: int) -> float | None:
    """The shift of a flow for this size of image."""
    if config.get("use_flow_sigmas"):
        return float(config.get("flow_shift", 1.0))
    if "FlowMatch" not in str(config.get("_class_name")):
        return None
    if config.get("use_dynamic_shifting") and mu is not None:
        return mu if config.get("time_shift_type") == "linear" else float(np.exp(mu))
    return float(flow_shift(config, tokens))


def _notes(config: Mapping, pipeline: object, assumed_factor: int | None) -> tuple[str, ...]:
    """What a reader should know."""
    notes = []
    if pipeline is None and "FlowMatch" in str(config.get("_class_name")):
        steps = "with the sigmas and the shift of FluxPipeline" if config.get("use_dynamic_shifting") else "by itself"
        notes.append(
            f"These are the steps of the scheduler {steps}. Pipelines of flow matching hand sigmas of their own to it: "
            "name the pipeline's class (--pipeline) to have its steps."
        )
    if pipeline is None and assumed_factor == 1:
        notes.append(
            "Nothing is known of an autoencoder, so the resolutions are those of pixels: for a model of latents, name "
            "the pipeline's class (--pipeline) or the pixels that a latent spans (--latent-factor)."
        )
    return tuple(notes)


def _latents(
    source: _Source, config: Mapping, pipeline: object, size: int | None, latent_factor: int | None
) -> tuple[int, int]:
    """The side of what is denoised, and how many pixels one of it spans."""
    rule = pipeline_rule(_class_name(pipeline)) if pipeline is not None else None
    factor = latent_factor if latent_factor is not None else source.sizes.latent_factor
    if factor is None and source.sizes.unread is not None:
        must = f"given: the pixels that a latent of its autoencoder, {source.sizes.unread}, spans are not known"
        raise invalid_argument("latent_factor", latent_factor, must)
    if factor is None and rule is not None:
        factor = rule.latent_factor
    if factor is None:
        if _of_latents(config):
            must = (
                "given, or the pipeline's class: the scheduler is one of latents, and nothing is known of its "
                "autoencoder (8 for Stable Diffusion 3 and Flux)"
            )
            raise invalid_argument("latent_factor", latent_factor, must)
        factor = 1
    size = source.sizes.size if size is None else size
    if size is None:
        raise invalid_argument("size", size, "given: nothing is known of the images of this scheduler")
    if check_int("size", size, 1) % check_int("latent_factor", factor, 1):
        raise invalid_argument("latent_factor", factor, f"a divisor of the size, {size}")
    return size // factor, factor


def _check_patches(sizes: Sizes, pipeline: object, factor: int, *, height: int, width: int | None) -> None:
    """Refuse images that do not divide into the network's patches: pipelines refuse them too, or cut them to size."""
    rule = PIPELINES[_class_name(pipeline)] if pipeline is not None else None
    patch = sizes.patch_size or 1
    if rule is not None and rule.sized and not (rule.patch_of_network and sizes.patch_size):
        patch = rule.patch
    for name, side in (("size", height), ("width", width)):
        if side is not None and check_int(name, side, 1) % (factor * patch):
            must = f"a multiple of {factor * patch} ({factor} pixels per latent, {patch} latents per patch)"
            raise invalid_argument(name, side, must)


def _class_name(pipeline: object) -> str:
    return str(pipeline.get("_class_name")) if isinstance(pipeline, Mapping) else str(pipeline)


def _of_latents(config: Mapping) -> bool:
    """Whether a configuration is one of flow matching, whose published models all are of latents."""
    return "FlowMatch" in str(config.get("_class_name")) or bool(config.get("use_flow_sigmas"))


def _find(scheduler: Any) -> _Source:
    """The scheduler or its configuration, its pipeline, and the sizes that go with it, if known."""
    if isinstance(scheduler, Mapping) or hasattr(scheduler, "set_timesteps"):
        return _Source(scheduler)
    models = [folder.name for folder in sorted(WEIGHTS.iterdir()) if folder.is_dir()]
    needs = "a folder of a pipeline or a scheduler, or a scheduler_config.json,"
    kind, name = find_named("scheduler", scheduler, [*PUBLISHED, *models], needs)
    if kind == "bundled" and name in PUBLISHED:
        published = PUBLISHED[name]
        sizes = Sizes(published.size, published.latent_factor)
        spectrum = SPECTRA.get(SPECTRUM_OF.get(name, ""))
        return _Source(published.config, published.pipeline, sizes, published.frames, published.title, spectrum)
    folder = WEIGHTS / name if kind == "bundled" else download_configs(name) if kind == "hub" else Path(name)
    if folder.is_file():
        return _Source(read_config(folder), title=folder.name)
    configs = read_configs(folder)
    if "scheduler" not in configs:
        must = "a folder that holds scheduler/scheduler_config.json or scheduler_config.json"
        raise invalid_argument("scheduler", str(scheduler), must)
    index = configs.get("model_index")
    autoencoder = next((configs[key] for key in AUTOENCODERS if key in configs), {})
    return _Source(
        configs["scheduler"],
        index if index and index.get("_class_name") else None,
        sizes_of(configs),
        title=str(name),
        spectrum=spectrum_of_autoencoder(autoencoder),
    )
