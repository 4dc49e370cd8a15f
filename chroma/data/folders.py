"""Your own images: every image file of a folder, or one file, reduced to one size."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chroma._check import check_int, invalid_argument
from chroma.data.store import area_mean

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
BLOCK = 1000  # files decoded at a time: an interruption waits for them


@dataclass(frozen=True)
class Folder:
    """The images of a folder, each the k x k mean of its centre square.

    Attributes:
        images: (N, 3, size, size) float16 in [-1, 1].
        names: (N,) str, paths within the folder: "000001.jpg".
        skipped: the files that could not be used, as (name, reason).
        notes: what a user should know about the images, in sentences.
    """

    images: np.ndarray
    names: np.ndarray
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _File:
    """A file that was read.

    Attributes:
        image: (3, size, size) float32 in [-1, 1], or None if the file cannot be used.
        original_size: width and height in pixels.
        reason: why the file cannot be used.
    """

    image: np.ndarray | None = None
    original_size: tuple[int, int] = (0, 0)
    reason: str = ""


def folder(path: str | Path, size: int) -> Folder:
    """Load all images below a folder, sorted by name and reduced to one size.

    Each image is the k x k mean of its centre square of side k `size`, for the largest k that fits. Images are turned
    upright according to their EXIF data, and transparent ones are put on white. Of a moving image the first frame is
    used. Files that cannot be read and images smaller than `size` are skipped, and listed.

    In float16, CelebA's 202,599 faces take 5 GB at 64 x 64. Values are rounded by at most 2^-12, a 32nd of the 2/255
    between two values of a byte.

    Args:
        path: of the folder.
        size: the side of the images in pixels.

    Returns:
        The images, and which files were skipped.

    Raises:
        ValueError: if `path` is not a folder, or has no images or none that can be used.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as path:
    ...     Image.new("RGB", (20, 16), "white").save(f"{path}/white.png")
    ...     faces = folder(path, size=8)
    >>> faces.names.tolist(), faces.images.shape, float(faces.images.min())
    (['white.png'], (1, 3, 8, 8), 1.0)
    """
    check_int("size", size, 1)
    files = _image_files(Path(path))
    images = np.empty((len(files), 3, size, size), np.float16)
    names: list[str] = []
    skipped: list[tuple[str, str]] = []
    original_sizes: set[tuple[int, int]] = set()
    grey = 0
    for name, file in zip(files, _read_all([Path(path) / name for name in files], size), strict=True):
        if file.image is None:
            skipped.append((name, file.reason))
            continue
        images[len(names)] = file.image
        grey += bool((file.image[0] == file.image[1]).all() and (file.image[0] == file.image[2]).all())
        original_sizes.add(file.original_size)
        names.append(name)
    if not names:
        raise ValueError(
            f"path: none of the {len(files)} images in {path} can be used: {_first(skipped)}; "
            "use other images, or a smaller size if they are too small"
        )

    notes = []
    if skipped:
        notes.append(f"Skipped {len(skipped)} of {len(files)} files: {_first(skipped)}.")
    if len(names) == 1:
        notes.append("There is only one image: a model can do no more than memorise it.")
    if grey:
        notes.append(f"{grey} of {len(names)} images are grey; they are used with three equal channels.")
    if len(original_sizes) > 1:
        notes.append(f"The images are of {len(original_sizes)} different sizes; each is cropped to its own centre.")
    return Folder(images[: len(names)], np.array(names), tuple(skipped), tuple(notes))


def _image_files(path: Path) -> list[str]:
    """List the image files below a folder, sorted, as paths within it."""
    if not path.is_dir():
        raise invalid_argument("path", str(path), "a folder of images")
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    files = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
    if not files:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise ValueError(f"path: none of the {len(names)} files in {path} is an image; use a folder with {suffixes}")
    return files


def _first(skipped: list[tuple[str, str]], count: int = 3) -> str:
    """List the first skipped files with their reasons, and count the others."""
    listed = ", ".join(f"{name} ({reason})" for name, reason in skipped[:count])
    return f"{listed} and {len(skipped) - count} more" if len(skipped) > count else listed


def image(path: str | Path, size: int) -> np.ndarray:
    """Load one image file: the k x k mean of its centre square, as in `folder`.

    Args:
        path: of the file.
        size: the side of the image in pixels.

    Returns:
        The image, (3, size, size) float32 in [-1, 1].

    Raises:
        ValueError: if the file cannot be read or the image is smaller than `size`, naming the file.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as path:
    ...     Image.new("RGB", (20, 16), "black").save(f"{path}/black.png")
    ...     black = image(f"{path}/black.png", size=8)
    >>> black.shape, float(black.max())
    ((3, 8, 8), -1.0)
    """
    file = _read(Path(path), check_int("size", size, 1))
    if file.image is None:
        must = f"use an image of at least {size} x {size} pixels"
        raise ValueError(f"path: {path} cannot be used ({file.reason}); {must}")
    return file.image


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


def _read_all(paths: list[Path], size: int) -> Iterator[_File]:
    """Read each file, in order, by several threads."""
    progress = None
    if len(paths) > BLOCK:
        from tqdm import tqdm

        progress = tqdm(total=len(paths), unit=" images")
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), BLOCK):
            block = paths[start : start + BLOCK]
            yield from pool.map(functools.partial(_read, size=size), block)
            if progress:
                progress.update(len(block))
    if progress:
        progress.close()


def _read(path: Path, size: int) -> _File:
    """Read the centre square of an image file."""
    from PIL import UnidentifiedImageError

    try:
        return _decode(path, size)
    except UnidentifiedImageError:
        return _File(reason="not an image")
    except Exception as error:  # a damaged file can raise almost anything
        return _File(reason=str(error) or type(error).__name__)


def _decode(path: Path, size: int) -> _File:
    """Decode an image file and reduce its centre square; the message of an exception is the reason for skipping it."""
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        picture: Image.Image = ImageOps.exif_transpose(file)
    width, height = picture.size
    if min(width, height) < size:
        raise ValueError(f"{width} x {height} pixels, smaller than {size} x {size}")
    if picture.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {picture.mode}, whose range is not known")
    times, box = centre_square(width, height, size)
    picture = picture.crop(box)
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))  # Pillow would clip it to 255
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    return _File(area_mean(np.asarray(picture.convert("RGB")), times), (width, height))
