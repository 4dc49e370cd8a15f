"""Scenes: the bundled photographs as text-to-image data, random crops in several styles with their prompts.

The photographs are split into *training* and *held-out* ones. No crop of a held-out photograph is ever used in
training, and every held-out photograph shows a subject that training photographs show as well.

>>> windmills = scenes(32, crops=2, subjects="a windmill")
>>> windmills.prompts[:3]
['an HD photo of a windmill', 'an oil painting of a windmill', 'a pencil drawing of a windmill']
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from chroma._check import check_int, invalid_argument
from chroma.data.rendering import oil_painting, pencil_drawing
from chroma.data.store import FOLDER, check_known, decode_image, read_bundle
from chroma.pyramid import downsample, resolutions

RENDERED = 128  # pixels: images of every size are exact means of images rendered at this size
SMALLEST_CROP = 0.75  # of the shorter side of a photograph
SPLITS = ("training", "held-out")
SCENE_STYLES = {"photo": "an HD photo", "oil": "an oil painting", "pencil": "a pencil drawing"}
RENDERERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "photo": lambda image: image,
    "oil": oil_painting,
    "pencil": pencil_drawing,
}


@dataclass(frozen=True)
class Scenes:
    """Crops of photographs in styles, crop by crop and each crop in every style.

    Attributes:
        images: (N, 3, size, size) float16 in [-1, 1].
        subjects: (N,) str, "a kingfisher".
        styles: (N,) str, keys of `SCENE_STYLES`.
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
        """The prompt of each image, with style and subject: "an oil painting of a kingfisher"."""
        return [prompt(style, subject) for style, subject in zip(self.styles, self.subjects, strict=True)]


def prompt(style: str | None = None, subject: str | None = None) -> str:
    """Write the prompt of a style, a subject, or both.

    Args:
        style: a key of `SCENE_STYLES`.
        subject: words such as "a kingfisher".

    Returns:
        The prompt; "" for neither style nor subject.

    Raises:
        ValueError: for an unknown style.

    >>> prompt("oil", "a kingfisher"), prompt(subject="a kingfisher"), prompt("oil"), prompt()
    ('an oil painting of a kingfisher', 'a kingfisher', 'an oil painting', '')
    """
    if style:
        check_known("style", style, SCENE_STYLES)
    return " of ".join(part for part in (SCENE_STYLES[style] if style else None, subject) if part)


def subjects(split: str = "training") -> dict[str, str]:
    """Look up the subject of every photograph of a split.

    Args:
        split: "training" or "held-out".

    Returns:
        Name of the photograph -> its subject.

    Raises:
        ValueError: if there is no such split.

    >>> len(subjects("training")), len(subjects("held-out")), subjects()["wildlife/bee"]
    (144, 36, 'a bee')
    """
    if split not in SPLITS:
        raise invalid_argument("split", split, "'training' or 'held-out'")
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
    size, so that images at 32 x 32 are exactly the 2 x 2 means of those at 64 x 64, as Eqs 20 to 22 assume.

    Args:
        size: the side of the images in pixels, 128 or 128/2^k.
        crops: their number per photograph; crop j does not depend on how many follow.
        styles: one key of `SCENE_STYLES` or several; all of them by default.
        subjects: one subject or several, of photographs to use; all of them by default.
        split: "training" or "held-out".
        seed: of the crops.

    Returns:
        The scenes, photographs x crops x styles, in this order.

    Raises:
        ValueError: for a size, style, subject or split that does not exist.

    >>> small, large = (scenes(size, crops=1, subjects="a bee").images.astype(float) for size in (32, 64))
    >>> bool(np.allclose(small, downsample(large), atol=2**-11))
    True
    """
    if check_int("size", size, 1) not in resolutions(RENDERED):
        raise invalid_argument("size", size, "128, 64, 32, 16, 8, 4, 2 or 1")
    check_int("crops", crops, 1), check_int("seed", seed, 0)
    subject_of = _subjects(split)
    names = list(subject_of)
    if subjects is not None:
        listed_by = f"chroma.data.subjects({split!r})"
        selected = check_known("subject", subjects, dict.fromkeys(subject_of.values()), listed_by)
        names = [name for name in names if subject_of[name] in selected]
    styles = check_known("style", list(SCENE_STYLES) if styles is None else styles, SCENE_STYLES)

    store = read_bundle(FOLDER, "photographs.npz")
    row = {name: i for i, name in enumerate(store["name"].tolist())}
    count = len(names) * crops
    images = np.empty((count, len(styles), 3, size, size), np.float16)
    boxes, mirrored = np.empty((count, 4)), np.empty(count, bool)
    for i, name in enumerate(names):
        pixels = decode_image(store, row[name])
        for j in range(crops):
            k = i * crops + j
            boxes[k], mirrored[k] = _box(pixels.shape, np.random.default_rng([seed, row[name], j]))
            picture = _reduced(pixels, boxes[k], bool(mirrored[k]))
            for column, style in enumerate(styles):
                image = downsample(RENDERERS[style](picture), RENDERED.bit_length() - size.bit_length())
                images[k, column] = 2 * image - 1
    repeat = functools.partial(np.repeat, repeats=len(styles), axis=0)
    photographs = repeat(np.repeat(names, crops))
    return Scenes(
        images.reshape(-1, 3, size, size),
        np.array([subject_of[name] for name in photographs.tolist()]),
        np.tile(np.array(styles), count),
        photographs,
        repeat(boxes),
        repeat(mirrored),
    )


def partial_prompts(scene: Scenes, style_only: float = 0.1, subject_only: float = 0.1, seed: int = 0) -> list[str]:
    """Write the prompts of scenes with some of their parts left out at random.

    A model that is trained on them learns full prompts, styles alone and subjects alone.

    Args:
        scene: the images whose prompts these are.
        style_only: share of prompts that are a style alone: "an oil painting".
        subject_only: share of prompts that are a subject alone: "a kingfisher".
        seed: of the random choice.

    Returns:
        One prompt per image.

    >>> sorted(set(partial_prompts(scenes(8, crops=30, subjects="a bee", styles="oil"))))
    ['a bee', 'an oil painting', 'an oil painting of a bee']
    """
    numbers = np.random.default_rng([seed, len(scene.images)]).random(len(scene.images))
    return [
        prompt(
            None if style_only <= number < style_only + subject_only else style,
            None if number < style_only else subject,
        )
        for number, style, subject in zip(numbers, scene.styles.tolist(), scene.subjects.tolist(), strict=True)
    ]


_subjects = subjects  # `scenes` has an argument of this name


@functools.cache
def _table() -> list[dict[str, str]]:
    with open(FOLDER / "SUBJECTS.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _box(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Sample a square, as left, top, right, bottom in pixels, and whether to mirror it."""
    height, width = shape[:2]
    short = min(height, width)
    side = rng.uniform(min(max(SMALLEST_CROP * short, RENDERED), short), short)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
    return np.array([left, top, left + side, top + side]), bool(rng.random() < 0.5)


def _reduced(pixels: np.ndarray, box: np.ndarray, mirrored: bool) -> np.ndarray:
    """Average a box of a photograph to 128 x 128 pixels: (3, 128, 128) floats in [0, 1]."""
    from PIL import Image

    picture = Image.fromarray(pixels).resize((RENDERED, RENDERED), Image.Resampling.BOX, box=tuple(box.tolist()))
    image = np.moveaxis(np.asarray(picture), -1, 0) / 255.0
    return image[..., ::-1] if mirrored else image
