"""Your own images: every image file of a folder, or one file, reduced to one size."""

from __future__ import annotations

import logging
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chroma._check import check_int
from chroma.data._formats import COMMON_SUFFIXES, describe_unknown
from chroma.data._pixels import Picture, decode
from chroma.data._walk import describe, first, walk, why_no_file

PIXELS_IN_MEMORY = 2**26  # decoded at a time, by all threads, at 4 to 8 bytes each
THREADS = 8  # more of them wait for one another, and each keeps memory that it has freed
BLOCK = 64  # files that are waiting to be read: an interruption waits for them
MANY = 1000  # a bar shows the progress of more files than these

# What is to be said about images, to follow "have"
REMARKS = {
    "converted": "a colour profile or gamma other than that of sRGB; converted to sRGB",
    "unconverted": "a colour profile or gamma that cannot be used; taken as sRGB",
    "print": "print colours (CMYK) and no colour profile; converted without one",
    "ink": "print colours (CMYK) without Adobe's marker; taken as inverted, as Adobe writes them",
    "transparent": "no pixel that is not transparent; white",
    "dim": "16 bits per pixel but no value above 4095; used as they are, nearly black",
    "exif": "damaged EXIF data; used without turning",
    "frames": "several frames or pages; the first is used",
}


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


def folder(path: str | Path, size: int) -> Folder:
    """Load all images below a folder, sorted by name and reduced to one size.

    Each image is the k x k mean of its centre square of side k `size`, for the largest k that fits. A file is an image
    if it is of a format that Pillow reads, whatever its suffix. Symbolic links are followed; hidden files, and copies
    that systems leave in folders, are left out. Images are turned upright according to their EXIF data, converted to
    sRGB from their colour profile, and put on white where they are transparent. Of several frames or pages the first
    is used. Files that cannot be read and images smaller than `size` are skipped, and listed; the notes count all other
    files. At most 2^26 pixels, or one image, are in memory at a time.

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
    contents = walk(Path(path))
    files, skipped, others = contents.images, list(contents.skipped), contents.describe_others()
    if not files and not skipped:
        count, suffixes = sum(map(len, contents.others.values())), ", ".join(COMMON_SUFFIXES)
        among = f" files, not {others}" if others else ""
        raise ValueError(f"path: none of the {count} files in {path} is an image; use a folder with {suffixes}{among}")
    images = _allocate(len(files), size)
    used: list[tuple[str, Picture]] = []
    for row, result in enumerate(_read_all([Path(path) / name for name in files], images)):
        if isinstance(result, str):
            skipped.append((files[row], result))
            continue
        if row > len(used):
            images[len(used)] = images[row]  # into the place of a file that was skipped
        used.append((files[row], result))
    skipped.sort()
    count, reasons = len(used) + len(skipped), first([f"{name} ({reason})" for name, reason in skipped])
    if not used:
        raise ValueError(
            f"path: none of the {count} images in {path} can be used: {reasons}; "
            "use other images, or a smaller size if they are too small"
        )
    notes = [f"Skipped {len(skipped)} of {count} files: {reasons}."] if skipped else []
    notes += [f"Other files, which are not used: {others}."] if others else []
    notes += _notes(used)
    names = np.array([name for name, _ in used])
    return Folder(images[: len(used)], names, tuple(skipped), tuple(notes))


def _notes(used: Sequence[tuple[str, Picture]]) -> Iterator[str]:
    """Say what a user should know about the images."""
    if len(used) == 1:
        yield "There is only one image: a model can do no more than memorise it."
    if grey := sum(picture.grey for _, picture in used):
        yield f"{grey} of {len(used)} images are grey; they are used with three equal channels."
    sizes = {picture.original_size for _, picture in used}
    if len(sizes) > 1:
        yield f"The images are of {len(sizes)} different sizes; each is cropped to its own centre."
    for key, text in REMARKS.items():
        having = [name for name, picture in used if key in picture.remarks]
        if having:
            listed = f" ({first(having)})" if len(having) < len(used) else ""
            yield f"{len(having)} of {len(used)} images have {text}{listed}."


def _allocate(count: int, size: int) -> np.ndarray:
    """Reserve the memory of all images."""
    try:
        return np.empty((count, 3, size, size), np.float16)
    except (MemoryError, ValueError) as error:
        gib = 6 * count * size**2 / 2**30
        raise ValueError(f"size: {count} images of {size} x {size} take {gib:,.0f} GiB; use a smaller size") from error


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
    check_int("size", size, 1)
    pixels = np.empty((3, size, size), np.float32)
    with _without_warnings():
        result = why_no_file(path) or _read(Path(path), pixels, _Budget(PIXELS_IN_MEMORY))
    if isinstance(result, str):
        must = f"use an image of at least {size} x {size} pixels"
        raise ValueError(f"path: {path} cannot be used ({result}); {must}")
    for key, text in REMARKS.items():
        if key in result.remarks:
            logging.getLogger(__name__).warning("%s has %s", path, text)
    return pixels


class _Budget:
    """So many pixels may be in memory at a time, whatever the number of threads.

    Args:
        pixels: the number; a larger image waits until it is alone.
    """

    def __init__(self, pixels: int):
        self._largest = self._free = pixels
        self._change = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Wait until pixels are free, and take them for the time of a ``with`` block.

        Args:
            pixels: the number.

        Yields:
            Nothing.
        """
        pixels = min(pixels, self._largest)
        with self._change:
            self._change.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._change:
                self._free += pixels
                self._change.notify_all()


def _read_all(paths: Sequence[Path], images: np.ndarray) -> Iterator[Picture | str]:
    """Read each file into its row of `images`, by several threads, and yield what was found in order."""
    progress = None
    if len(paths) > MANY:
        with suppress(ImportError):  # it comes with the extra "torch"
            from tqdm import tqdm

            progress = tqdm(total=len(paths), unit=" images")
    budget, reading = _Budget(PIXELS_IN_MEMORY), deque[Future[Picture | str]]()
    with _without_warnings(), ThreadPoolExecutor(THREADS) as pool:
        for path, out in zip(paths, images, strict=True):
            reading.append(pool.submit(_read, path, out, budget))
            if len(reading) > BLOCK:
                yield reading.popleft().result()
                if progress:
                    progress.update()
        for future in reading:
            yield future.result()
    if progress:
        progress.update(len(reading))
        progress.close()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep Pillow's warnings of damaged metadata from the terminal; they would be errors under ``python -W error``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _read(path: Path, out: np.ndarray, budget: _Budget) -> Picture | str:
    """Read the centre square of an image file into `out`, (3, size, size); return the reason if it cannot be used."""
    from PIL import Image, UnidentifiedImageError

    try:
        return decode(path, out, budget.reserve)
    except UnidentifiedImageError:
        return describe_unknown(path)
    except Image.DecompressionBombError:
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels, the limit of Pillow (Image.MAX_IMAGE_PIXELS)"
    except MemoryError:
        return "too large for the memory"
    except Exception as error:  # a damaged file can raise almost anything
        return describe(error)
