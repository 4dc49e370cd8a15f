r"""Bundled and pretrained pipelines behind one loader, and one view of what a pipeline is.

Small models have names (`BUNDLED`), each a ``diffusers.IFPipeline``, the paper's class of model. Some travel inside the
wheel, all of them in the repository; `load` fetches the others once, from the release, and verifies them. A name gives
the side of the images in pixels; models called residual predict what one downsampling loses (Eqs 21 and 23) and are
parts of a cascade. Those called emoji memorise 512 drawings; photos-32 learns photographs in three styles, some of
which are held out (`chroma.data.scenes`); dead-leaves-2.0 and the like learn discs of 32 x 32 pixels whose spectral
slope is in the name (`chroma.data.dead_leaves`). The card of each says how it was trained.
"""

from __future__ import annotations

import importlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from chroma._check import invalid_argument
from chroma._fingerprint import fingerprint
from chroma._hub import download_pipeline
from chroma._inputs import check_inputs
from chroma._names import find_named
from chroma._weights import files_of, verified_folder
from chroma.schedulers.config import from_scheduler
from chroma.schedules import Schedule

BUNDLED = (
    "emoji-64",
    "emoji-64-residual",
    "emoji-32",
    "emoji-32-residual",
    "emoji-16-residual",
    "emoji-8",
    "photos-32",
    "dead-leaves-2.0",
    "dead-leaves-2.4",
)


class DiffusersPipeline(Protocol):
    """What this package needs of every ``diffusers.DiffusionPipeline``; its network is found by `Pipeline`."""

    scheduler: Any
    config: Any

    def encode_prompt(self, *args: Any, **kwargs: Any) -> Any:
        """Encode prompts as the class of pipeline does."""
        ...


@dataclass(frozen=True)
class Pipeline:
    """A diffusers pipeline seen once: its network, what that denoises, and where.

    Attributes:
        pipe: the ``diffusers`` pipeline.

    >>> view = Pipeline(load("emoji-8"))
    >>> type(view.network).__name__, view.family, view.shape, view.image_size, view.schedule().domain
    ('UNet2DConditionModel', 'if', (3, 8, 8), 8, (0.0, 999.0))
    """

    pipe: DiffusersPipeline

    @cached_property
    def network(self) -> Any:
        """The network that denoises: the pipeline's transformer, else its UNet.

        Raises:
            ValueError: if it has neither.
        """
        network = getattr(self.pipe, "transformer", None) or getattr(self.pipe, "unet", None)
        if network is None:
            raise invalid_argument(
                "pipe", type(self.pipe).__name__, "a diffusers pipeline with a UNet or a transformer"
            )
        return network

    @cached_property
    def family(self) -> str:
        """The kind of conditioning: "unconditional", "if", "stable-diffusion", "sdxl", "sd3", "flux" or "unknown"."""
        kind = type(self.network).__name__
        if kind == "UNet2DConditionModel":
            if self.network.config.addition_embed_type == "text_time":
                return "sdxl"
            return "if" if type(self.pipe).__name__.startswith("IF") else "stable-diffusion"
        families = {"UNet2DModel": "unconditional", "SD3Transformer2DModel": "sd3", "FluxTransformer2DModel": "flux"}
        return families.get(kind, "unknown")

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what the network denoises at the size it was trained for: pixels, or latents."""
        config = self.network.config
        if self.family == "flux":  # one token is 2 x 2 latents
            side = getattr(self.pipe, "default_sample_size")  # noqa: B009, of Flux alone
            return (config.in_channels // 4, side, side)
        side = config.sample_size
        if side is None:
            must = "one whose network has a sample_size, the side for which it was trained"
            raise invalid_argument("pipe", type(self.pipe).__name__, must)
        height, width = (side, side) if isinstance(side, int) else side
        return (config.in_channels, height, width)

    @cached_property
    def image_size(self) -> int:
        """The side in pixels of the images that the pipeline generates at the size it was trained for."""
        vae = getattr(self.pipe, "vae", None)
        return self.shape[-1] * (2 ** (len(vae.config.block_out_channels) - 1) if vae else 1)

    def check_inputs(self) -> None:
        """Refuse a pipeline whose network takes more than an image, a time and a prompt.

        Inpainting, depth and edit models with channels of their own, class-conditional models, SDXL's refiner,
        ControlNets and IP-Adapters predict something else without what they are given beside a prompt.

        Raises:
            ValueError: naming the component, setting or channels that this package does not pass to a network.

        >>> Pipeline(load("emoji-8")).check_inputs()
        """
        check_inputs(self.pipe, self.network, self.family)

    @property
    def device(self) -> torch.device:
        """The device that the pipeline computes on, offloaded or not."""
        return getattr(self.pipe, "_execution_device", None) or self.network.device

    def schedule(self, shape: tuple[int, int, int] | None = None) -> Schedule:
        """Read the noise schedule that the network was trained with.

        Args:
            shape: (C, H, W) of the images or latents, on which a flow's shift may depend; `shape` by default.

        Returns:
            The schedule.
        """
        _, height, width = shape or self.shape
        return from_scheduler(self.pipe.scheduler, tokens=height * width // 4)

    def latents(self, images: torch.Tensor) -> torch.Tensor:
        """Convert images to what the network denoises: themselves, or the scaled latents of the pipeline's VAE.

        Args:
            images: (B, 3, H, W) in [-1, 1].

        Returns:
            (B, C, H', W').

        >>> images = torch.zeros(1, 3, 8, 8)
        >>> Pipeline(load("emoji-8")).latents(images) is images  # a model of pixels
        True
        """
        vae = getattr(self.pipe, "vae", None)
        if vae is None:
            return images
        dtype = vae.dtype
        if dtype == torch.float16 and getattr(
            vae.config, "force_upcast", False
        ):  # SDXL's VAE overflows in half precision
            vae.to(torch.float32)
        with torch.no_grad():
            modes = [_mode(vae.encode(image.to(self.device, vae.dtype))) for image in images.split(1)]
        if vae.dtype != dtype:
            vae.to(dtype)
        return _normalised(torch.cat(modes), vae.config).to(images)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that name all weights, the tokenizers and the scheduler's configuration."""
        return fingerprint(self.pipe)


def _mode(encoded: Any) -> torch.Tensor:
    """The most probable latents; a tiny autoencoder has no others."""
    return encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents


def _normalised(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Latents as the network denoises them: shifted and scaled, in some models channel by channel."""
    mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is not None and std is not None:
        mean, std = (torch.tensor(values).to(latents)[:, None, None] for values in (mean, std))
        return (latents - mean) * config.scaling_factor / std
    return (latents - (getattr(config, "shift_factor", None) or 0.0)) * config.scaling_factor


def load(
    name_or_folder: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32, offload: str | None = None
) -> Any:
    """Load a diffusers pipeline.

    Measurements are best made in float32: guidance is a difference of near-equal predictions, and the rounding of half
    precision looks like white noise.

    Args:
        name_or_folder: a bundled model's name, the folder of a saved pipeline, or a hub's "owner/name". Where a name
            may be two of these, "bundled:NAME", "./FOLDER" or "hub:OWNER/NAME" says which.
        device: where to put it, "cpu", "cuda", ...
        dtype: the precision of its weights.
        offload: for a GPU too small for the pipeline: "model" keeps only the component at work on it, "sequential" only
            the layer at work (diffusers' ``enable_model_cpu_offload`` and ``enable_sequential_cpu_offload``).

    Returns:
        The ``diffusers.DiffusionPipeline``.

    Raises:
        ValueError: for a name that is none of the three or may be two, bundled weights that are not those on record, a
            pipeline that does not load (naming the file or component at fault), and an unknown `offload`.
        FileNotFoundError: if a bundled file is missing, naming it.
        OSError: if the hub, or the release that has the files of a model, cannot be reached.

    >>> type(load("emoji-8")).__name__
    'IFPipeline'
    """
    if offload not in (None, "model", "sequential"):
        raise invalid_argument("offload", offload, "None, 'model' or 'sequential'")
    if offload and torch.device(device).type == "cpu":
        raise invalid_argument("offload", offload, "None on the CPU, where the weights are already")
    kind, found = find_named("name_or_folder", name_or_folder, BUNDLED, "a folder with model_index.json")
    folder = download_pipeline(found) if kind == "hub" else Path(found)
    if kind == "path" and not (folder / "model_index.json").is_file():
        raise invalid_argument("name_or_folder", str(name_or_folder), "a folder with model_index.json in it")
    with _quiet():
        pipe = _bundled(found, dtype) if kind == "bundled" else _saved(folder, dtype)
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
    if hasattr(pipe, "unet"):
        pipe.unet.to(memory_format=torch.channels_last)  # the layout in which convolutions are fastest
    return pipe


def card(name: str) -> dict:
    """Read the card of a bundled model: its recipe, the images seen, its accuracy.

    Args:
        name: one of `BUNDLED`.

    Returns:
        What its card.json holds.

    Raises:
        ValueError: if no bundled model has this name.

    >>> card("emoji-8")["recipe"]["size"], card("emoji-8")["images_seen"]
    (8, 120000)
    """
    if name not in BUNDLED:
        raise invalid_argument("name", name, f"one of {', '.join(map(repr, BUNDLED))}")
    return json.loads((verified_folder(name) / "card.json").read_text(encoding="utf-8"))


def training_cost(name: str) -> tuple[int, float]:
    """Count the images seen and the minutes spent in training a bundled model and the run that it continued.

    Args:
        name: one of `BUNDLED`.

    Returns:
        Images, with repetition, and minutes.

    >>> [training_cost(name)[0] for name in ("emoji-8", "emoji-32")]  # the second in two runs
    [120000, 180000]
    """
    cards = [card(name)]
    while "init_from" in cards[-1]:
        cards.append(cards[-1]["init_from"])
    return sum(run["images_seen"] for run in cards), sum(run["minutes"] for run in cards)


def num_bytes(name: str) -> int:
    """Count the bytes that a bundled model's files take.

    Args:
        name: one of `BUNDLED`.

    Returns:
        Bytes.

    >>> num_bytes("emoji-8") // 10**6  # megabytes
    9
    """
    return sum(entry["bytes"] for entry in files_of(name).values())


def _bundled(name: str, dtype: torch.dtype) -> Any:
    from diffusers import IFPipeline

    # no safety checker nor watermark was ever part of it
    absent = dict.fromkeys(("safety_checker", "feature_extractor", "watermarker"))
    return IFPipeline.from_pretrained(verified_folder(name), dtype=dtype, requires_safety_checker=False, **absent)


@contextmanager
def _quiet():
    """Neither progress bars nor advice on optional packages while weights are read from disk: pages show both."""
    from diffusers.utils import logging as diffusers
    from transformers.utils import logging as transformers

    verbosity, bars = transformers.get_verbosity(), transformers.is_progress_bar_enabled()
    transformers.set_verbosity_error()
    transformers.disable_progress_bar()
    diffusers.disable_progress_bar()
    try:
        yield
    finally:
        transformers.set_verbosity(verbosity)
        if bars:
            transformers.enable_progress_bar()
            diffusers.enable_progress_bar()


def _saved(folder: Path, dtype: torch.dtype) -> Any:
    """The pipeline in `folder`, refused with the file or the component at fault if it does not load whole."""
    from diffusers import DiffusionPipeline
    from safetensors import SafetensorError

    try:
        pipe = DiffusionPipeline.from_pretrained(folder, dtype=dtype)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise _broken(folder, _fault(folder) or str(error)) from error
    for component, module in pipe.components.items():
        if isinstance(module, torch.nn.Module):
            for name, weight in module.named_parameters():
                if weight.is_meta:  # diffusers leaves what it did not find without values
                    raise _broken(folder, f"its {component} lacks the weights {name}")
    return pipe


def _broken(folder: Path, fault: str) -> ValueError:
    return ValueError(f"the pipeline in {folder} does not load: {fault}")


def _fault(folder: Path) -> str | None:
    """What is wrong with a pipeline that did not load: the first file or component that does not load by itself."""
    from diffusers import pipelines
    from safetensors import SafetensorError, safe_open

    for file in sorted(folder.rglob("*.safetensors")):
        try:
            with safe_open(file, "pt"):
                pass
        except SafetensorError as error:
            return f"its file {file.relative_to(folder).as_posix()} is corrupt ({error})"
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except ValueError as error:
        return f"its file model_index.json is corrupt ({error})"
    for component, kind in index.items():
        if not isinstance(kind, list) or kind[0] is None:
            continue  # a setting, or a component that there is not
        if not (folder / component).is_dir():
            return f"its {component} is missing"
        # as in diffusers: some classes live beside a pipeline, "deepfloyd_if" or "stable_diffusion"
        library = getattr(pipelines, kind[0], None) or importlib.import_module(kind[0])
        try:
            getattr(library, kind[1]).from_pretrained(folder / component)
        except Exception as error:
            reason = str(error).strip().split(". ")[0]  # what follows is advice for other callers
            return f"its {component} is not the {kind[1]} that it should be ({reason})"
    return None
