"""Scenes: the bundled photographs as text-to-image data, each random crop in several styles with its prompt.

>>> windmills = scenes(32, crops=2, subjects="a windmill")
>>> windmills.prompts[:3]
['an HD photo of a windmill', 'an oil painting of a windmill', 'a pencil drawing of a windmill']

The photographs are split into *training* and *held-out* ones. No crop of a held-out photograph is ever trained on, and
every held-out photograph shows a subject that training photographs share.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from chroma._check import refuse, whole
from chroma.data import FOLDER, _decode, _known, _open
from chroma.pyramid import downsample
from chroma.rendering import oil_painting, pencil_drawing

RENDERED = 128  # pixels: every size is an exact mean of pictures rendered at this one
SMALLEST_CROP = 0.75  # of the shorter side of a photograph
SPLITS = ("training", "held-out")
STYLES = {"photo": "an HD photo", "oil": "an oil painting", "pencil": "a pencil drawing"}
RENDERERS = {"photo": lambda image: image, "oil": oil_painting, "pencil": pencil_drawing}


@dataclass(frozen=True)
class Scenes:
    """Crops of photographs in styles: crop by crop, each in every style.

    Attributes:
        images: (N, 3, size, size) float16 in [-1, 1].
        subjects: (N,) str, "a kingfisher".
        styles: (N,) str, keys of `STYLES`.
        photographs: (N,) str, names as in `chroma.data.photograph_names`.
        boxes: (N, 4) float: left, top, right, bottom in the stored photograph, in pixels.
        mirrored: (N,) bool, whether the crop was flipped left to right.
    """

    images: np.ndarray
    subjects: np.ndarray
    styles: np.ndarray
    photographs: np.ndarray
    boxes: np.ndarray
    mirrored: np.ndarray

    @property
    def prompts(self) -> list[str]:
        """The full prompt of each image: "an oil painting of a kingfisher"."""
        return [prompt(style, subject) for style, subject in zip(self.styles, self.subjects, strict=True)]


def prompt(style: str | None = None, subject: str | None = None) -> str:
    """Write the prompt of a style, a subject or both; "" for neither.

    Args:
        style: a key of `STYLES`.
        subject: words such as "a kingfisher".

    >>> prompt("oil", "a kingfisher"), prompt(subject="a kingfisher"), prompt("oil"), prompt()
    ('an oil painting of a kingfisher', 'a kingfisher', 'an oil painting', '')
    """
    return " of ".join(part for part in (STYLES[style] if style else None, subject) if part)


def subjects(split: str = "training") -> dict[str, str]:
    """The subject of every photograph of a split, by the photograph's name.

    Args:
        split: "training" or "held-out".

    Raises:
        ValueError: if there is no such split.

    >>> len(subjects("training")), len(subjects("held-out")), subjects()["wildlife/bee"]
    (144, 36, 'a bee')
    """
    if split not in SPLITS:
        raise refuse("split", split, "'training' or 'held-out'")
    return {row["name"]: row["subject"] for row in _table() if row["split"] == split}


def scenes(
    size: int = 32,
    crops: int = 60,
    styles: str | Iterable[str] | None = None,
    subjects: str | Iterable[str] | None = None,
    split: str = "training",
    seed: int = 0,
) -> Scenes:
    """Render random crops of photographs in styles.

    A crop is a square of 0.75 to 1 of the shorter side, anywhere in the photograph, mirrored or not. It is averaged to
    128 x 128 pixels, rendered in each style there, and averaged again to `size`. The same crops are taken at every
    size, so that pictures at 32 x 32 are exactly the 2 x 2 means of those at 64 x 64, as Eqs 20 to 22 assume.

    Args:
        size: pixels, 128 or 128/2^k.
        crops: crops per photograph; crop j does not depend on how many there are.
        styles: keys of `STYLES`; all of them by default.
        subjects: only photographs that show one of these; all by default.
        split: "training" or "held-out".
        seed: of the crops.

    Returns:
        photographs x crops x styles images, in this order.

    Raises:
        ValueError: if there is no such size, style, subject or split.

    >>> small, large = (scenes(size, crops=1, subjects="a bee").images.astype(float) for size in (32, 64))
    >>> bool(np.allclose(small, downsample(large), atol=2**-11))
    True
    """
    if whole("size", size, 1) not in {RENDERED >> k for k in range(RENDERED.bit_length())}:
        raise refuse("size", size, "128, 64, 32, 16, 8, 4, 2 or 1")
    whole("crops", crops, 1), whole("seed", seed, 0)
    shown = _subjects(split)
    names = list(shown)
    if subjects is not None:
        wanted = _known("subjects", subjects, dict.fromkeys(shown.values()))
        names = [name for name in names if shown[name] in wanted]
    styles = _known("styles", list(STYLES) if styles is None else styles, STYLES)

    store = _open(FOLDER, "photographs.npz")
    row = {name: i for i, name in enumerate(store["name"].tolist())}
    count = len(names) * crops
    images = np.empty((count, len(styles), 3, size, size), np.float16)
    boxes, mirrored = np.empty((count, 4)), np.empty(count, bool)
    for i, name in enumerate(names):
        pixels = _decode(store, row[name])
        for j in range(crops):
            k = i * crops + j
            boxes[k], mirrored[k] = _box(pixels.shape, np.random.default_rng([seed, row[name], j]))
            picture = _reduced(pixels, boxes[k], bool(mirrored[k]))
            for style, rendered in enumerate(styles):
                image = downsample(RENDERERS[rendered](picture), RENDERED.bit_length() - size.bit_length())
                images[k, style] = 2 * image - 1
    repeat = functools.partial(np.repeat, repeats=len(styles), axis=0)
    photographs = repeat(np.repeat(names, crops))
    return Scenes(
        images.reshape(-1, 3, size, size),
        np.array([shown[name] for name in photographs.tolist()]),
        np.tile(np.array(styles), count),
        photographs,
        repeat(boxes),
        repeat(mirrored),
    )


def partial_prompts(scene: Scenes, style_only: float = 0.1, subject_only: float = 0.1, seed: int = 0) -> list[str]:
    """The prompts of scenes with parts dropped at random, so that a model learns prompts of three strengths.

    Args:
        scene: the images whose prompts these are.
        style_only: share of prompts that keep their style alone, "an oil painting".
        subject_only: share of prompts that keep their subject alone, "a kingfisher".
        seed: of the choice.

    Returns:
        One prompt per image.

    >>> sorted(set(partial_prompts(scenes(8, crops=30, subjects="a bee", styles="oil"))))
    ['a bee', 'an oil painting', 'an oil painting of a bee']
    """
    draws = np.random.default_rng([seed, len(scene.images)]).random(len(scene.images))
    return [
        prompt(
            None if style_only <= draw < style_only + subject_only else style,
            None if draw < style_only else subject,
        )
        for draw, style, subject in zip(draws, scene.styles.tolist(), scene.subjects.tolist(), strict=True)
    ]


_subjects = subjects  # `scenes` has an argument of this name


@functools.cache
def _table() -> list[dict[str, str]]:
    with open(FOLDER / "SUBJECTS.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _box(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """A random square, left, top, right, bottom in pixels, and whether to mirror it."""
    height, width = shape[:2]
    short = min(height, width)
    side = rng.uniform(min(max(SMALLEST_CROP * short, RENDERED), short), short)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
    return np.array([left, top, left + side, top + side]), bool(rng.random() < 0.5)


def _reduced(pixels: np.ndarray, box: np.ndarray, mirrored: bool) -> np.ndarray:
    """The area means of a box on 128 x 128 pixels: (3, 128, 128) floats in [0, 1]."""
    from PIL import Image

    picture = Image.fromarray(pixels).resize((RENDERED, RENDERED), Image.Resampling.BOX, box=tuple(box.tolist()))
    image = np.moveaxis(np.asarray(picture), -1, 0) / 255.0
    return image[..., ::-1] if mirrored else image
