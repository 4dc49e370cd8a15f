"""The bundled photographs: random crops, single photographs, and their authors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chroma._check import check_int, invalid_argument
from chroma.data.store import FOLDER, area_mean, centre_square, check_known, decode_image, read_bundle, row_of

BLANK = 4 / 127.5  # standard deviation of brightness below which a crop is empty sky, [-1, 1]
MAX_REDRAWS = 20  # crops of which the least blank is used if all are blank
DEFAULT_PHOTOGRAPH = "wildlife/kingfisher"


@dataclass(frozen=True)
class Photographs:
    """Square crops of photographs, each a k x k mean of the pixels in its box.

    Attributes:
        images: (N, 3, size, size) float32 in [-1, 1].
        names: of the photographs, (N,) str: "animals/hedgehog" (`credit` of a name has the full credit).
        boxes: (N, 4) int: left, top, right, bottom in the stored photograph, in pixels.
        authors: (N,) str.
        licences: (N,) str.
    """

    images: np.ndarray
    names: np.ndarray
    boxes: np.ndarray
    authors: np.ndarray
    licences: np.ndarray


def photographs(size: int = 64, crops: int = 1000, seed: int = 0) -> Photographs:
    """Sample square crops of the bundled photographs.

    The photographs take turns, each round in a new random order. The side of a crop is k `size` with k >= 2,
    log-uniform up to the largest that fits. Each image is therefore an exact k x k mean, in which the artefacts of JPEG
    at the finest pixels are averaged away. Crops of blank sky are replaced by new ones.

    Args:
        size: the side of the images in pixels.
        crops: their number; crop j does not depend on how many follow.
        seed: of the crops.

    Returns:
        The crops.

    Raises:
        ValueError: for a size that is more than half the shorter side of every photograph.

    >>> crops = photographs(size=8, crops=3, seed=0)
    >>> crops.images.shape
    (3, 3, 8, 8)
    """
    check_int("size", size, 1), check_int("crops", crops, 1), check_int("seed", seed, 0)
    store = read_bundle(FOLDER, "photographs.npz")
    short = store["shape"].min(1)
    if 2 * size > short.max():
        raise invalid_argument("size", size, f"at most {short.max() // 2}: half a photograph's shorter side")
    fitting = np.flatnonzero(short >= 2 * size)
    rounds = -(-crops // len(fitting))
    # two families of random streams under one seed: orders, and crops
    orders = [np.random.default_rng([seed, 0, i]).permutation(fitting) for i in range(rounds)]
    rows = np.concatenate(orders)[:crops]
    images, boxes = np.empty((crops, 3, size, size), np.float32), np.empty((crops, 4), int)
    for row in np.unique(rows).tolist():
        pixels = decode_image(store, row)
        for j in np.flatnonzero(rows == row).tolist():
            images[j], boxes[j] = _crop(pixels, size, np.random.default_rng([seed, 1, j]))
    return Photographs(images, store["name"][rows], boxes, store["author"][rows], store["licence"][rows])


def photograph(name: str = DEFAULT_PHOTOGRAPH, size: int = 256) -> np.ndarray:
    """Load one photograph: the k x k mean of its centre square of side k `size`, for the largest k that fits.

    Args:
        name: of the photograph (`photograph_names` lists them).
        size: the side of the image in pixels, at most the shorter side of the photograph (256 for most).

    Returns:
        The image, (3, size, size) float32 in [-1, 1].

    Raises:
        ValueError: for an unknown name, and for a larger size.

    >>> picture = photograph("wildlife/kingfisher", size=64)
    >>> picture.shape, bool(np.abs(picture).max() <= 1)
    ((3, 64, 64), True)
    """
    store = read_bundle(FOLDER, "photographs.npz")
    pixels = decode_image(store, row_of(store, name))
    height, width, _ = pixels.shape
    if check_int("size", size, 1) > min(height, width):
        raise invalid_argument("size", size, f"at most {min(height, width)}, the shorter side of {name}")
    times, (left, top, right, bottom) = centre_square(width, height, size)
    return area_mean(pixels[top:bottom, left:right], times)


def photograph_names() -> list[str]:
    """List the names of the bundled photographs.

    Returns:
        The names, as "collection/file".

    >>> len(photograph_names()), photograph_names()[0]
    (180, 'wildlife/bee')
    """
    return read_bundle(FOLDER, "photographs.npz")["name"].tolist()


def credit(name: str) -> str:
    """Look up the author and the licence of a photograph or of a style of drawing, and a photograph's source.

    Args:
        name: of the photograph (`photograph_names`) or of the style ("fluent_3d").

    Returns:
        The credit, in one line.

    Raises:
        ValueError: for an unknown name.

    >>> credit("fluent_3d")
    'Fluent Emoji, (c) Microsoft Corporation, MIT'
    """
    drawings, store = read_bundle(FOLDER, "drawings.npz"), read_bundle(FOLDER, "photographs.npz")
    styles, photographs = drawings["style"].tolist(), store["name"].tolist()
    check_known("photograph or style", name, [*styles, *photographs], "chroma.data.photograph_names()")
    if name in styles:
        i = styles.index(name)
        return f"{drawings['credit'][i]}, {drawings['licence'][i]}"
    i = photographs.index(name)
    return ", ".join(str(store[field][i]) for field in ("author", "licence", "source"))


def _crop(pixels: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Sample a crop that is not blank, or else the least blank of `MAX_REDRAWS`, and its box."""
    height, width, _ = pixels.shape
    largest = min(height, width) // size
    candidates = []
    for _ in range(MAX_REDRAWS):
        times = int(np.exp(rng.uniform(np.log(2), np.log(largest + 1))))
        side = times * size
        left, top = (int(rng.integers(length - side + 1)) for length in (width, height))
        image = area_mean(pixels[top : top + side, left : left + side], times)
        contrast = float(image.mean(0).std())
        candidates.append((contrast, image, (left, top, left + side, top + side)))
        if contrast >= BLANK:
            break
    _, image, box = max(candidates, key=lambda candidate: candidate[0])
    return image, box
