"""Builds the bundled images, and everything said about them, from published packages.

    python -m chroma.bundled.build OUT

Needs the network, Debian 12 with npm, and ``pip install resolution-chromatography[dev]``. OUT receives exactly the
files that `chroma.data` reads and checks, and the texts beside them; the fetched packages are thrown away.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from chroma._check import record
from chroma.bundled import drawings, licences, photographs, sources
from chroma.bundled.photographs import Photograph
from chroma.pyramid import residual

JPEG = {"format": "JPEG", "quality": 92, "subsampling": "4:4:4", "optimize": True, "progressive": True}
WEBP = {"format": "WEBP", "lossless": True, "quality": 100, "method": 4}  # 6 saves 1 % and takes twenty times as long


def encoded(pixels: np.ndarray, options: dict) -> bytes:
    """One image file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return file.getvalue()


def save(path: Path, files: list[bytes], **fields: np.ndarray) -> None:
    """Writes image i as data[offset[i] : offset[i + 1]], and what is known of the images; no pickle."""
    offset = np.cumsum([0, *map(len, files)])
    np.savez_compressed(path, data=np.frombuffer(b"".join(files), np.uint8), offset=offset, **fields)


def coding_loss(pictures: list[np.ndarray], files: list[bytes], times: int) -> tuple[float, float]:
    """What JPEG does to the finest band of 64 x 64 images that are means over times x times pixels.

    (relative change of the band's energy, energy of the error in it / the band's energy), over all photographs'
    upper left corners.
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
    """Writes drawings.npz; says what is in it."""
    names, categories, images, left_out = drawings.draw(folders)
    files = [encoded(image, WEBP) for content in images for image in content]
    styles = licences.STYLES
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
    """Writes photographs.npz; says what is in it and what its coding lost."""
    gathered = photographs.gather(folders)
    pictures = [photograph.pixels for photograph in gathered]
    files = [encoded(picture, JPEG) for picture in pictures]
    texts = {
        field: np.array([getattr(photograph, field) for photograph in gathered])
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
        gathered,
    )


def build(out: Path) -> None:
    """Fetches the sources and writes the bundle into the folder `out`, which must be empty or new."""
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise SystemExit(f"{out} is not empty: give a new folder")
    with tempfile.TemporaryDirectory() as downloads:
        folders = sources.fetch(Path(downloads))
        contents = [build_drawings(folders, out)]
        about, gathered = build_photographs(folders, out)
        licences.write(out, folders, gathered, [*contents, about])
    record(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the bundled images from published packages.")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder")
    build(parser.parse_args().out)
