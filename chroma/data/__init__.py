"""The data: bundled drawings, photographs and scenes, dead leaves, and folders of your own images.

Load a data set by its name, or use its own function::

    drawings = load("drawings", size=32, styles=["fluent_3d", "noto_line"])
    crops = load("photographs", size=64, crops=500, seed=0)
    picture = photograph("sea/sea3", size=256)
    windmills = scenes(size=32, crops=10, subjects="a windmill")
    discs = dead_leaves(size=32, count=500, slope=2.0)
    faces = load("img_align_celeba", size=64)  # any folder of images, such as CelebA as it is published

Images are floats in [-1, 1], channels first: float32, or float16 where there can be many (folders, scenes). Every
reduction in size is a plain mean over areas of pixels (D of `chroma.pyramid`), so that the statistics of coarse images
are those of the fine ones and not of a filter. Authors and licences of the bundled images are in
``chroma/bundled/LICENCES.md`` and `credit`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chroma.data.emoji import EMOJI_CONTENTS, EMOJI_STYLES, Drawings, drawings, training_drawings
from chroma.data.folders import Folder, folder, image
from chroma.data.leaves import dead_leaves, dead_leaves_variance, spectral_slope
from chroma.data.photos import DEFAULT_PHOTOGRAPH, Photographs, credit, photograph, photograph_names, photographs
from chroma.data.scenery import SCENE_STYLES, Scenes, partial_prompts, prompt, scenes, subjects
from chroma.data.store import FOLDER

__all__ = [
    "DEFAULT_PHOTOGRAPH",
    "EMOJI_CONTENTS",
    "EMOJI_STYLES",
    "FOLDER",
    "SCENE_STYLES",
    "Drawings",
    "Folder",
    "Photographs",
    "Scenes",
    "checksum",
    "credit",
    "dead_leaves",
    "dead_leaves_variance",
    "drawings",
    "folder",
    "image",
    "load",
    "partial_prompts",
    "photograph",
    "photograph_names",
    "photographs",
    "prompt",
    "scenes",
    "spectral_slope",
    "subjects",
    "training_drawings",
]

_DATA_SETS: dict[str, Callable[..., Drawings | Photographs | Scenes]] = {
    "drawings": drawings,
    "photographs": photographs,
    "scenes": scenes,
}


def load(name: str | Path, size: int = 64, **options: Any) -> Drawings | Photographs | Scenes | Folder:
    """Load a bundled data set by its name, or a folder of images by its path.

    Args:
        name: "drawings", "photographs", "scenes", or the path of a folder. Where the working directory has a folder of
            one of these names, write "./drawings" for the folder, or call `drawings` for the bundled data set.
        size: the side of the images in pixels.
        **options: further arguments of `drawings`, `photographs`, `scenes` or `folder`.

    Returns:
        What that function returns.

    Raises:
        ValueError: for a name that is neither a data set nor a folder, for one that is both, and for what the function
            does not allow.

    >>> load("photographs", size=8, crops=5).images.shape
    (5, 3, 8, 8)
    >>> load("scenes", size=8, crops=1, subjects="a windmill", styles="oil").images.shape
    (10, 3, 8, 8)
    """
    make = _DATA_SETS.get(name) if isinstance(name, str) else None
    if make and os.path.isdir(name):
        raise ValueError(
            f"{name!r} is a bundled data set and a folder here: use './{name}' for the folder, "
            f"or chroma.data.{name}({size}) for the data set"
        )
    if make:
        return make(size, **options)
    if os.path.isfile(name):
        raise ValueError(f"{str(name)!r} is a file: use the path of a folder, or chroma.data.image for one image")
    if not os.path.isdir(name):  # nor is "" one, which pathlib takes for the working directory
        names = ", ".join(map(repr, _DATA_SETS))
        raise ValueError(f"unknown data set {str(name)!r}: use {names} or the path of an image folder")
    return folder(name, size, **options)


def checksum(images: np.ndarray, prompts: Sequence[str]) -> str:
    """Compute the sha256 of a data set, from the bytes of its images and its prompts.

    Args:
        images: any shape.
        prompts: one per image.

    Returns:
        The sha256 in hexadecimal.

    >>> grey = np.zeros((1, 3, 8, 8), np.float32)
    >>> [checksum(grey, ["grey"]) == checksum(grey, [name]) for name in ("grey", "gray")]
    [True, False]
    """
    digest = hashlib.sha256(str((images.dtype, images.shape)).encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(json.dumps(list(prompts)).encode())
    return digest.hexdigest()
