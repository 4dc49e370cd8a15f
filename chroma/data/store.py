"""The bundled files: verify them against their checksums, read them once, and decode their images."""

from __future__ import annotations

import difflib
import functools
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from chroma._files import read_verified

FOLDER = Path(__file__).parents[1] / "bundled"
REBUILD = "python book/_tools/build_images.py OUT"
SHORT_LIST = 10  # names that an error message lists in full


@functools.cache
def read_bundle(folder: Path, file: str) -> dict[str, np.ndarray]:
    """Read the arrays of a bundled file, after verifying it against its checksum.

    Args:
        folder: where the file and CHECKSUMS.json are.
        file: its name, such as "drawings.npz".

    Returns:
        Name -> array. The result is cached: do not write to it.

    Raises:
        FileNotFoundError: if the file is missing, naming it.
        ValueError: if the file is corrupt, naming it.
    """
    content = read_verified(folder, file, f"reinstall the package, or run {REBUILD}")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def decode_image(store: dict[str, np.ndarray], i: int) -> np.ndarray:
    """Decode an image of a bundled file.

    Args:
        store: the file's arrays (`read_bundle`).
        i: the number of the image.

    Returns:
        The pixels, (H, W, 3) uint8.
    """
    from PIL import Image  # here, so that importing this module needs NumPy alone

    file = store["data"][store["offset"][i] : store["offset"][i + 1]]
    return np.asarray(Image.open(io.BytesIO(file.tobytes())).convert("RGB"))


def centre_square(width: int, height: int, size: int) -> tuple[int, tuple[int, int, int, int]]:
    """Find the centre square of side k `size`, for the largest k that fits.

    Args:
        width: of the image in pixels.
        height: of the image in pixels.
        size: the side that the square is to be reduced to.

    Returns:
        k, and the square's left, top, right and bottom in pixels.
    """
    times = min(width, height) // size
    left, top = (width - times * size) // 2, (height - times * size) // 2
    return times, (left, top, left + times * size, top + times * size)


def area_mean(pixels: np.ndarray, times: int) -> np.ndarray:
    """Average squares of pixels, and convert 0 ... 255 to -1 ... 1. Sums of bytes are exact.

    Args:
        pixels: (k h, k w, 3) uint8, or floats from 0 to 255.
        times: k, the side of the averaged square.

    Returns:
        The means, (3, h, w) float32 in [-1, 1].
    """
    if times == 1:
        return np.moveaxis(pixels, -1, 0).astype(np.float32) / np.float32(127.5) - 1
    height, width = pixels.shape[0] // times, pixels.shape[1] // times
    exact = pixels.dtype == np.uint8 and times <= 256  # 256 bytes fit into 16 bits, and 256^2 into float32
    rows = pixels[::times].astype("uint16" if exact else "float64")
    for i in range(1, times):
        rows += pixels[i::times]
    rows = rows.reshape(height, width, times * 3)
    image = np.empty((3, height, width), "float32" if exact else "float64")
    for channel in range(3):
        image[channel] = rows[..., channel]
        for j in range(1, times):
            image[channel] += rows[..., 3 * j + channel]
    return (image / np.float32(times**2) / np.float32(127.5) - 1).astype(np.float32, copy=False)


def check_known(kind: str, names: str | Iterable[str], available: Iterable[str], listed_by: str = "") -> list[str]:
    """Convert one name or several to a list, and check that all of them exist.

    Args:
        kind: what they are names of, for the message.
        names: one name, or several.
        available: the names that exist.
        listed_by: the call that lists them, for the message where they are many.

    Returns:
        `names` as a list.

    Raises:
        ValueError: for a name that does not exist, with a suggestion.

    >>> check_known("style", "oil", ["oil", "photo"])
    ['oil']
    >>> check_known("style", ["oil", "ink"], ["oil", "photo"])
    Traceback (most recent call last):
    ValueError: unknown style 'ink': use 'oil' or 'photo'
    """
    names, available = [names] if isinstance(names, str) else list(names), list(available)
    for name in names:
        if name not in available:
            raise ValueError(f"unknown {kind} {str(name)!r}: {_suggestion(str(name), available, listed_by)}")
    return names


def _suggestion(name: str, available: Sequence[str], listed_by: str) -> str:
    """Suggest all names that exist if they are few, else those that are similar to an unknown one."""
    if len(available) <= SHORT_LIST:
        return f"use {_alternatives(available)}"
    similar = difflib.get_close_matches(name, available, n=5)
    if similar:
        return f"did you mean {_alternatives(similar)}?"
    return f"use one of the {len(available)} that {listed_by} lists"


def _alternatives(names: Sequence[str]) -> str:
    *others, last = map(repr, map(str, names))
    return f"{', '.join(others)} or {last}" if others else last


def row_of(store: dict[str, np.ndarray], name: str) -> int:
    """Look up the row of a photograph.

    Args:
        store: the arrays of "photographs.npz" (`read_bundle`).
        name: of the photograph, "collection/file".

    Returns:
        The row.

    Raises:
        ValueError: if there is no photograph of this name.
    """
    names = store["name"].tolist()
    check_known("photograph", name, names, "chroma.data.photograph_names()")
    return names.index(name)
