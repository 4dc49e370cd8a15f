"""Build the bundled images from published packages, with their licences, credits and checksums.

    python book/_tools/build_images.py OUT

Needs the network, Debian 12 with npm, and ``pip install resolution-chromatography[dev]``. OUT receives exactly the
files of ``chroma/bundled``, so that it can take its place. SUBJECTS.tsv is written by hand and copied from there.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import emoji_drawings
import image_licences
import image_sources
import licensed_photographs
import numpy as np
from licensed_photographs import Photograph
from PIL import Image

from chroma._files import record_checksums
from chroma.data.store import FOLDER
from chroma.pyramid import residual

SUBJECTS = "SUBJECTS.tsv"
JPEG = {"format": "JPEG", "quality": 92, "subsampling": "4:4:4", "optimize": True, "progressive": True}
WEBP = {"format": "WEBP", "lossless": True, "quality": 100, "method": 4}  # 6 saves 1 % and takes twenty times as long


def encoded(pixels: np.ndarray, options: dict[str, Any]) -> bytes:
    """Encode an image as a file with the given options of Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file.getvalue()


def save(path: Path, files: list[bytes], **fields: np.ndarray) -> None:
    """Write images into one archive without pickles.

    Args:
        path: The archive.
        files: The encoded images; image i becomes data[offset[i] : offset[i + 1]].
        **fields: What is known of the images.
    """
    arrays: dict[str, Any] = {
        "data": np.frombuffer(b"".join(files), np.uint8),
        "offset": np.cumsum([0, *map(len, files)]),
        **fields,
    }
    np.savez_compressed(path, **arrays)


def coding_loss(pictures: list[np.ndarray], files: list[bytes], times: int) -> tuple[float, float]:
    """Measure what JPEG does to the finest band of 64 x 64 images, over the upper left corners of all photographs.

    Args:
        pictures: The photographs, (H, W, 3) uint8.
        files: The same photographs as JPEG files.
        times: Each of the 64 x 64 pixels is the mean of times x times pixels.

    Returns:
        The relative change of the band's energy, and the energy of the error relative to the band's energy.
    """
    before, after, error = 0.0, 0.0, 0.0
    for picture, file in zip(pictures, files, strict=True):
        side = 64 * times
        fine = []
        for pixels in (picture, np.asarray(Image.open(io.BytesIO(file)))):
            square = np.asarray(pixels[:side, :side], np.float64)
            small = square.reshape(64, times, 64, times, 3).mean((1, 3))
            fine.append(residual(np.moveaxis(small, -1, 0)))
        before += float(np.square(fine[0]).sum())
        after += float(np.square(fine[1]).sum())
        error += float(np.square(fine[1] - fine[0]).sum())
    return after / before - 1, error / before


def build_drawings(folders: dict[str, Path], out: Path) -> str:
    """Write drawings.npz.

    Args:
        folders: The unpacked sources by name.
        out: The folder of the bundle.

    Returns:
        A sentence for LICENCES.md on what the file holds.
    """
    names, categories, images, left_out = emoji_drawings.draw(folders)
    files = [encoded(image, WEBP) for content in images for image in content]
    styles = image_licences.STYLES
    save(
        out / "drawings.npz",
        files,
        content=np.array(names),
        category=np.array(categories),
        style=np.array([style.name for style in styles]),
        phrase=np.array([style.phrase for style in styles]),
        licence=np.array([style.licence for style in styles]),
        credit=np.array([style.credit for style in styles]),
    )
    reasons = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
    return (
        f"`drawings.npz`: {len(names)} contents x {len(styles)} styles = {len(files)} drawings, 64 x 64 on white, "
        f"lossless WebP, content by content. Left out of those considered: {reasons}."
    )


def build_photographs(folders: dict[str, Path], out: Path) -> tuple[str, list[Photograph]]:
    """Write photographs.npz.

    Args:
        folders: The unpacked sources by name.
        out: The folder of the bundle.

    Returns:
        A sentence for LICENCES.md on what the file holds and what its coding lost, and the photographs.
    """
    photographs = licensed_photographs.gather(folders)
    pictures = [photograph.pixels for photograph in photographs]
    files = [encoded(picture, JPEG) for picture in pictures]
    texts = {
        field: np.array([getattr(photograph, field) for photograph in photographs])
        for field in ("name", "author", "licence", "source", "package")
    }
    save(out / "photographs.npz", files, shape=np.array([picture.shape[:2] for picture in pictures]), **texts)
    losses = []
    for times in (1, 2):
        change, error = coding_loss(pictures, files, times)
        losses.append(f"for {times} x {times} means {change:+.2%}, with an error of {error:.2%} of it")
    return (
        f"`photographs.npz`: {len(files)} photographs, short side at most 256 pixels, long side at most 384, as JPEG "
        f"(quality 92, full chroma). JPEG changes the energy of the finest band of 64 x 64 crops: {'; '.join(losses)}.",
        photographs,
    )


def copy_subjects(out: Path, names: list[str], source: Path = FOLDER / SUBJECTS) -> None:
    """Copy the hand-written table of the photographs' subjects into the bundle.

    Args:
        out: The folder of the bundle.
        names: The names of the photographs.
        source: The table.

    Raises:
        FileNotFoundError: There is no table.
        ValueError: The table lists other photographs.
    """
    if not source.is_file():
        raise FileNotFoundError(f"{source} is missing: it is written by hand, take it from the repository")
    with open(source, newline="", encoding="utf-8") as file:
        listed = {row["name"] for row in csv.DictReader(file, delimiter="\t")}
    if difference := listed.symmetric_difference(names):
        raise ValueError(f"{source} and the photographs differ in {', '.join(sorted(difference))}: update the table")
    shutil.copyfile(source, out / SUBJECTS)


def build(out: Path) -> None:
    """Fetch the sources and write the bundle into the folder `out`, which must be empty or new."""
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise SystemExit(f"{out} is not empty: give a new folder")
    with tempfile.TemporaryDirectory() as downloads:
        folders = image_sources.fetch(Path(downloads))
        about_drawings = build_drawings(folders, out)
        about_photographs, photographs = build_photographs(folders, out)
        copy_subjects(out, [photograph.name for photograph in photographs])
        image_licences.write(out, folders, photographs, [about_drawings, about_photographs])
    record_checksums(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the bundled images from published packages.")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder")
    build(parser.parse_args().out)
