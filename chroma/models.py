"""Bundled and pretrained pipelines behind one loader.

Six small models travel inside the package (`BUNDLED`), each a ``diffusers.IFPipeline``, the paper's class of model.
They know 128 contents in four styles by heart. Their names say how many pixels they draw; those called residual predict
what one downsampling loses (Eqs 21 and 23) and are parts of a cascade. Each card says how the model was trained.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from contextlib import contextmanager
from pathlib import Path

import torch

from chroma._check import recorded, refuse
from chroma.schedules import Schedule, from_scheduler

FOLDER = Path(__file__).parent / "weights"
BUNDLED = ("emoji-64", "emoji-64-residual", "emoji-32", "emoji-32-residual", "emoji-16-residual", "emoji-8")


def load(
    name_or_folder: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32, offload: str | None = None
):
    """A diffusers pipeline on `device`: a bundled model's name, a saved pipeline's folder, or a hub's "owner/name".

    A GPU too small for the pipeline holds only the component at work with `offload` "model", only the layer at work
    with "sequential" (diffusers' ``enable_model_cpu_offload`` and ``enable_sequential_cpu_offload``).
    Measurements are best made in float32: guidance is a difference of near-equal predictions, and the rounding of half
    precision looks like white noise. Raises ValueError for a name that is none of the three, for bundled weights that
    are not those on record, for a pipeline that does not load (naming the file or the component at fault) and for an
    `offload` there is not; FileNotFoundError, naming the file, if a bundled one is missing; OSError, in one sentence
    that says what to do, if the hub cannot be reached.

    >>> type(load("emoji-8")).__name__
    'IFPipeline'
    """
    if offload not in (None, "model", "sequential"):
        raise refuse("offload", offload, "None, 'model' or 'sequential'")
    if offload and torch.device(device).type == "cpu":
        raise refuse("offload", offload, "None on the CPU, where the weights are already")
    if name_or_folder in BUNDLED or (Path(name_or_folder) / "model_index.json").is_file():
        folder = name_or_folder
    elif str(name_or_folder).count("/") == 1 and not Path(name_or_folder).exists():
        folder = _downloaded(str(name_or_folder))
    else:
        known = ", ".join(map(repr, BUNDLED))
        raise refuse(
            "name_or_folder", name_or_folder, f"{known}, a folder with model_index.json, or a hub's owner/name"
        )
    with _quiet():
        pipe = _bundled(folder, dtype) if folder in BUNDLED else _saved(Path(folder), dtype)
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
    if hasattr(pipe, "unet"):
        pipe.unet.to(memory_format=torch.channels_last)  # the layout in which convolutions are fastest
    return pipe


def network(pipe) -> torch.nn.Module:
    """What denoises in a pipeline: its transformer, else its UNet.

    >>> type(network(load("emoji-8"))).__name__
    'UNet2DConditionModel'
    """
    found = getattr(pipe, "transformer", None) or getattr(pipe, "unet", None)
    if found is None:
        raise refuse("pipe", type(pipe).__name__, "a diffusers pipeline with a UNet or a transformer")
    return found


def shape(pipe) -> tuple[int, int, int]:
    """(C, H, W) of what a pipeline denoises at the size it was trained for: pixels, or latents.

    >>> shape(load("emoji-8"))
    (3, 8, 8)
    """
    config = network(pipe).config
    packed = type(network(pipe)).__name__.startswith("Flux")  # 2 x 2 latents a token
    side = pipe.default_sample_size if packed else config.sample_size
    return (config.in_channels // 4 if packed else config.in_channels, side, side)


def pixels(pipe) -> int:
    """The side in pixels of the images that a pipeline draws at the size it was trained for.

    >>> pixels(load("emoji-8"))
    8
    """
    vae = getattr(pipe, "vae", None)
    return shape(pipe)[-1] * (2 ** (len(vae.config.block_out_channels) - 1) if vae else 1)


def latents(pipe, images: torch.Tensor) -> torch.Tensor:
    """Images (B, 3, H, W) in [-1, 1] as what the pipeline denoises: themselves, or its VAE's scaled latents.

    >>> images = torch.zeros(1, 3, 8, 8)
    >>> latents(load("emoji-8"), images) is images  # a model of pixels
    True
    """
    vae = getattr(pipe, "vae", None)
    if vae is None:
        return images
    given = vae.dtype
    if given == torch.float16 and vae.config.force_upcast:  # SDXL's overflows in half precision
        vae.to(torch.float32)
    with torch.no_grad():
        modes = [vae.encode(image.to(device(pipe), vae.dtype)).latent_dist.mode() for image in images.split(1)]
    if vae.dtype != given:
        vae.to(given)
    return ((torch.cat(modes) - (vae.config.shift_factor or 0.0)) * vae.config.scaling_factor).to(images)


def fingerprint(pipe) -> str:
    """A short name for the weights of a pipeline's network: another one for other weights, the same on every device."""
    sizes = [
        f"{name} {tuple(p.shape)} {float(p.detach().float().abs().mean()):.3e}"
        for name, p in network(pipe).named_parameters()
    ]
    return hashlib.sha256("\n".join(sizes).encode()).hexdigest()[:16]


def schedule(pipe, shape: tuple[int, int, int]) -> Schedule:
    """The noise schedule of a pipeline for images (or latents) of `shape`, on which a flow's shift may depend.

    >>> pipe = load("emoji-8")
    >>> schedule(pipe, shape(pipe)).domain
    (0.0, 999.0)
    """
    return from_scheduler(pipe.scheduler, tokens=shape[1] * shape[2] // 4)


def device(pipe) -> torch.device:
    """Where a pipeline computes, offloaded or not."""
    return pipe._execution_device if hasattr(pipe, "_execution_device") else network(pipe).device


def card(name: str) -> dict:
    """The run card of a bundled model: its contents and phrases, its recipe, the images seen, its accuracy.

    >>> card("emoji-8")["recipe"]["size"], card("emoji-8")["images_seen"]
    (8, 120000)
    """
    if name not in BUNDLED:
        raise refuse("name", name, f"one of {', '.join(map(repr, BUNDLED))}")
    return json.loads((_verified(name) / "card.json").read_text(encoding="utf-8"))


def spent(name: str) -> tuple[int, float]:
    """The images seen and the minutes spent in training a bundled model, with those of the run it went on from.

    >>> [spent(name)[0] for name in ("emoji-8", "emoji-32")]  # the second in two runs
    [120000, 180000]
    """
    cards = [card(name)]
    while "start" in cards[-1]:
        cards.append(cards[-1]["start"])
    return sum(one["images_seen"] for one in cards), sum(one["minutes"] for one in cards)


def size(name: str) -> int:
    """The bytes that a bundled model's files take.

    >>> size("emoji-8") // 10**6  # megabytes
    9
    """
    record = json.loads((FOLDER / "CHECKSUMS.json").read_text(encoding="utf-8"))
    return sum(entry["bytes"] for file, entry in record.items() if file.startswith(f"{name}/"))


def _verified(name: str) -> Path:
    """The folder of a bundled model, once each of its files has been found to be the one on record."""
    record = json.loads((FOLDER / "CHECKSUMS.json").read_text(encoding="utf-8"))
    for file in record:
        if file.startswith(f"{name}/"):
            recorded(FOLDER, file, "reinstall the package")
    return FOLDER / name


def _bundled(name: str, dtype: torch.dtype):
    from diffusers import IFPipeline

    # no safety checker nor watermark was ever part of it
    absent = dict.fromkeys(("safety_checker", "feature_extractor", "watermarker"))
    return IFPipeline.from_pretrained(_verified(name), dtype=dtype, requires_safety_checker=False, **absent)


@contextmanager
def _quiet():
    """Neither progress bars nor advice on optional packages while weights are read from disk: pages show both."""
    from diffusers.utils import logging as diffusers
    from transformers.utils import logging as transformers

    verbosity, bars = transformers.get_verbosity(), transformers.is_progress_bar_enabled()
    transformers.set_verbosity_error(), transformers.disable_progress_bar(), diffusers.disable_progress_bar()
    try:
        yield
    finally:
        transformers.set_verbosity(verbosity)
        if bars:
            transformers.enable_progress_bar(), diffusers.enable_progress_bar()


def _downloaded(name: str) -> Path:
    """The folder in the hub's cache that holds the pipeline `name`, downloaded if it is not there yet."""
    from diffusers import DiffusionPipeline

    try:
        return Path(DiffusionPipeline.download(name))
    except Exception as error:  # the hub's client has kinds of its own for a connection that breaks off
        raise OSError(
            f"{name} is not on this machine and could not be downloaded: connect to the network (and log in, "
            "if the model asks for it), or pass a folder that holds the saved pipeline"
        ) from error


def _saved(folder: Path, dtype: torch.dtype):
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
