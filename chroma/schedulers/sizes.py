"""Sizes of a model's images and latents, read from the configurations of a saved pipeline.

How many pixels a latent spans follows from the class and the configuration of the autoencoder; the size of the images
from the ``sample_size`` of the network. What is not known is None, never a guess. Needs NumPy alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chroma.schedulers.pipelines import PIPELINES

AUTOENCODERS = ("vae", "movq", "vqvae", "vqgan")  # the folders in which pipelines keep them
NETWORKS = ("transformer", "unet", "decoder")
PIXEL_CHANNELS = (1, 3, 6)  # of networks that work on pixels: 6 with a low-resolution image beside


@dataclass(frozen=True)
class Sizes:
    """What is known of the sizes of a model's images and latents; None is unknown.

    Attributes:
        size: the side of the images in pixels, or their height.
        latent_factor: pixels that a latent spans in each direction; 1 for models of pixels.
        temporal_factor: frames of a video that a latent spans.
        patch_size: of the network's configuration.
        unread: the class of an autoencoder whose latent factor is not known, or whose configuration is missing.
    """

    size: int | None = None
    latent_factor: int | None = None
    temporal_factor: int | None = None
    patch_size: int | None = None
    unread: str | None = None


def _halvings(key: str) -> Callable[[Mapping], tuple[int, int]]:
    """One halving between each two blocks; the temporal factor, if any, is a setting."""
    return lambda config: (2 ** (_count(config, key) - 1), int(config.get("temporal_compression_ratio", 1)))


def _count(config: Mapping, key: str) -> int:
    """The number of blocks of a network, one per entry of a list."""
    if not isinstance(config[key], (list, tuple)) or not config[key]:
        raise ValueError(f"{key} ({config[key]!r} is not a list of channels)")
    return len(config[key])


def _stated(spatial: int, temporal: int, names: str = "compression_ratio") -> Callable[[Mapping], tuple[int, int]]:
    """The factors are settings, with these defaults."""
    keys = ("spatial_compression_ratio", "temporal_compression_ratio")
    keys = keys if names == "compression_ratio" else ("scale_factor_spatial", "scale_factor_temporal")
    return lambda config: (config.get(keys[0], spatial), config.get(keys[1], temporal))


def _wan(config: Mapping) -> tuple[int, int]:
    """Wan 2.1 and Qwen-Image halve once per entry of `temperal_downsample`; Wan 2.2 patches its pixels besides."""
    downsample = config.get("temperal_downsample", [False, True, True])
    spatial = 2 ** len(downsample) * (config.get("patch_size") or 1)
    return config.get("scale_factor_spatial", spatial), config.get("scale_factor_temporal", 2 ** sum(downsample))


def _ltx(config: Mapping) -> tuple[int, int]:
    scaling = config.get("spatio_temporal_scaling", [True, True, True, False])
    spatial, temporal = config.get("spatial_compression_ratio"), config.get("temporal_compression_ratio")
    spatial = spatial or config.get("patch_size", 4) * 2 ** sum(scaling)
    return spatial, temporal or config.get("patch_size_t", 1) * 2 ** sum(scaling)


def _paella(config: Mapping) -> tuple[int, int]:
    return config.get("up_down_scale_factor", 2) ** config.get("levels", 2), 1


_BLOCKS = _halvings("block_out_channels")
_VAES: dict[str, Callable[[Mapping], tuple[int, int]]] = {
    "AsymmetricAutoencoderKL": _halvings("down_block_out_channels"),
    "AutoencoderDC": _halvings("encoder_block_out_channels"),
    "AutoencoderKL": _BLOCKS,
    "AutoencoderKLAllegro": _halvings("block_out_channels"),
    "AutoencoderKLCogVideoX": _halvings("block_out_channels"),
    "AutoencoderKLCosmos": _stated(8, 8),
    "AutoencoderKLFlux2": _BLOCKS,
    "AutoencoderKLHunyuanImage": _stated(32, 1),
    "AutoencoderKLHunyuanImageRefiner": _stated(16, 4),
    "AutoencoderKLHunyuanVideo": _stated(8, 4),
    "AutoencoderKLHunyuanVideo15": _stated(16, 4),
    "AutoencoderKLLTX2Video": _stated(32, 8),
    "AutoencoderKLLTXVideo": _ltx,
    "AutoencoderKLMagvit": lambda config: (
        2 ** (_count(config, "block_out_channels") - 1),
        2 ** max(_count(config, "block_out_channels") - 2, 0),
    ),
    "AutoencoderKLMochi": lambda config: (
        math.prod(config.get("spatial_expansions", (2, 2, 2))),
        math.prod(config.get("temporal_expansions", (1, 2, 3))),
    ),
    "AutoencoderKLQwenImage": _wan,
    "AutoencoderKLQwenImage21": _stated(16, 8, "scale_factor"),
    "AutoencoderKLTemporalDecoder": _BLOCKS,
    "AutoencoderKLWan": _wan,
    "AutoencoderTiny": _halvings("encoder_block_out_channels"),
    "ConsistencyDecoderVAE": _halvings("encoder_block_out_channels"),
    "Kandinsky6SRVAE": _halvings("encoder_block_out_channels"),
    "PaellaVQModel": _paella,
    "VQModel": _BLOCKS,
}


def read_configs(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Read the configurations of a saved pipeline that say what its steps and sizes are.

    Args:
        folder: of the pipeline, or of a scheduler alone.

    Returns:
        "model_index", "scheduler" and the names of the networks and autoencoders -> their configurations, as far as
        there are such files.

    Raises:
        ValueError: for a file that is no JSON object, naming it.
    """
    places = {
        "model_index": ("model_index.json",),
        "scheduler": ("scheduler/scheduler_config.json", "scheduler_config.json"),
        **{name: (f"{name}/config.json",) for name in (*AUTOENCODERS, *NETWORKS)},
    }
    found = {}
    for name, files in places.items():
        for file in files:
            if (folder / file).is_file():
                found[name] = read_config(folder / file)
                break
    return found


def read_config(file: Path) -> Mapping[str, Any]:
    """Read a JSON object.

    Args:
        file: its path.

    Returns:
        The object.

    Raises:
        ValueError: for a file that is no JSON object, naming it.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is not a configuration ({error}): use a JSON file that diffusers saved") from error
    if not isinstance(config, dict):
        raise ValueError(f"{file} is not a configuration (it holds no object): use a JSON file that diffusers saved")
    return config


def sizes_of(configs: Mapping[str, Mapping[str, Any]]) -> Sizes:
    """Find out the sizes of a model's images and latents.

    Args:
        configs: of `read_configs`.

    Returns:
        The sizes, None where they are not known.

    Raises:
        ValueError: for an autoencoder whose configuration lacks what its class needs.

    >>> sizes_of({"unet": {"sample_size": 64, "in_channels": 4}, "vae": {"block_out_channels": [128, 256, 512, 512]}})
    Sizes(size=512, latent_factor=8, temporal_factor=1, patch_size=None, unread=None)
    """
    network = next((configs[name] for name in NETWORKS if name in configs), {})
    index = configs.get("model_index", {})
    spatial, temporal = _autoencoder_factors(configs)
    unread = _autoencoder_class(configs) if spatial is None else None
    pipeline = index.get("_class_name")
    if spatial is None and unread is None:
        if isinstance(pipeline, str) and pipeline in PIPELINES:
            spatial = PIPELINES[pipeline].latent_factor  # the decoder of Stable Cascade, say, is another pipeline's
        elif network.get("in_channels") in PIXEL_CHANNELS:
            spatial = 1
    return Sizes(_side(network.get("sample_size"), spatial), spatial, temporal, _patch_size(network), unread)


def _autoencoder_class(configs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The class of the autoencoder, also where ``model_index.json`` alone names it; None if there is none."""
    for name in AUTOENCODERS:
        listed = configs.get("model_index", {}).get(name)
        listed = listed[-1] if isinstance(listed, (list, tuple)) and listed else None
        if name in configs or listed is not None:
            return str(configs.get(name, {}).get("_class_name", listed or "of no named class"))
    return None


def _autoencoder_factors(configs: Mapping[str, Mapping[str, Any]]) -> tuple[int | None, int | None]:
    """Pixels and frames per latent, by the class of the autoencoder; None if there is none, or one not known here."""
    name = next((name for name in AUTOENCODERS if name in configs), None)
    if name is None:
        return None, None
    config = {key: value for key, value in configs[name].items() if value is not None}
    kind = config.get("_class_name", "AutoencoderKL" if "block_out_channels" in config else None)
    if kind not in _VAES:
        return None, None
    try:
        spatial, temporal = map(int, _VAES[kind](config))
        if min(spatial, temporal) < 1:
            raise ValueError(f"its factors: {spatial} pixels and {temporal} frames per latent")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name}/config.json of class {kind} lacks or garbles {error}: use the file as it was saved"
        ) from error
    return spatial, temporal


def _side(sample_size: object, spatial: int | None) -> int | None:
    """The side of the images in pixels, of a ``sample_size`` that is one number, or two that are the same."""
    if isinstance(sample_size, (list, tuple)) and len(set(sample_size)) == 1:
        sample_size = sample_size[0]
    known = isinstance(sample_size, int) and not isinstance(sample_size, bool) and spatial is not None
    return sample_size * spatial if known else None  # type: ignore[operator]


def _patch_size(network: Mapping[str, Any]) -> int | None:
    patch = network.get("patch_size")
    patch = patch[-1] if isinstance(patch, (list, tuple)) and patch else patch
    return patch if isinstance(patch, int) and not isinstance(patch, bool) else None
