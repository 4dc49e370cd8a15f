"""What the numbers in an image file mean: any depth, transparency and colour space becomes sRGB on white."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chroma.data._colour import ColourError, grey_table, lab_to_srgb, to_srgb
from chroma.data._formats import open_image
from chroma.data._source import WIDE, Source, describe_pixels, orientation
from chroma.data.store import area_mean, centre_square

if TYPE_CHECKING:
    from PIL import Image, ImageFile

STRIP = 2**18  # pixels that are converted at a time
BYTE_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV"}


@dataclass(frozen=True)
class Picture:
    """An image that was read.

    Attributes:
        original_size: width and height of the upright image in pixels.
        grey: whether its channels are equal.
        remarks: keys of the sentences in `folders.REMARKS` that apply to the image.
    """

    original_size: tuple[int, int]
    grey: bool
    remarks: frozenset[str]


def decode(path: Path, out: np.ndarray, reserve: Callable[[int], AbstractContextManager[None]]) -> Picture:
    """Read an image file and reduce its centre square.

    Args:
        path: of the file.
        out: (3, size, size) floating-point, for the result in [-1, 1].
        reserve: entered with the number of pixels while these are in memory.

    Returns:
        What was found.

    Raises:
        Exception: of any kind, for a damaged file and one that cannot be used; its message is the reason.
    """
    size = out.shape[-1]
    with open_image(path) as file:
        width, height = file.size
        if min(width, height) < size:
            raise ValueError(f"{width} x {height} pixels, smaller than {size} x {size}")
        source = describe_pixels(file, path)
        with reserve(width * height):
            pixels, original_size = _read_square(file, path, size, source)
            file.close()  # its pixels are free before the next image begins
    out[:] = pixels
    source.remarks |= set() if source.visible else {"transparent"}
    source.remarks |= {"dim"} if source.white == WIDE and 0 < source.most < 2**12 else set()
    grey = bool((pixels[0] == pixels[1]).all() and (pixels[0] == pixels[2]).all())
    return Picture(original_size, grey, frozenset(source.remarks))


def _read_square(
    file: ImageFile.ImageFile, path: Path, size: int, source: Source
) -> tuple[np.ndarray, tuple[int, int]]:
    """Read the pixels of an image, and reduce its centre square; return also the size of the upright image."""
    picture = _load(file, path)
    turn = orientation(file, source)
    if turn is not None:
        picture = picture.transpose(turn)
    times, (left, top, right, bottom) = centre_square(*picture.size, size)
    rows = max(1, STRIP // ((right - left) * times)) * times
    strips = []
    for start in range(top, bottom, rows):
        box = (left, start, right, min(start + rows, bottom))
        strip = picture if box == (0, 0, *picture.size) else picture.crop(box)
        strips.append(area_mean(_rgb(strip, source), times))
    return strips[0] if len(strips) == 1 else np.concatenate(strips, axis=1), picture.size


def _load(file: Any, path: Path) -> Image.Image:
    """Read the pixels; the transparent colour of an RGB image of 16 bits, of which Pillow keeps 8, becomes alpha."""
    key, depth = file.info.get("transparency"), file.tile[0][3] if file.format == "PNG" and file.tile else None
    file.load()
    if depth != "RGB;16B" or key is None:
        return file
    with open_image(path) as low:
        low.tile = [low.tile[0]._replace(args="RGB;16L")]  # the low bytes, in place of the high ones
        low_bytes = np.asarray(low)
    opaque = ((np.asarray(file).astype(np.uint16) << 8 | low_bytes) != key).any(-1)
    from PIL import Image

    del file.info["transparency"]
    file.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return file


def _rgb(picture: Image.Image, source: Source) -> np.ndarray:
    """Convert a part of an image to sRGB on white, (H, W, 3), from 0 to 255."""
    if picture.mode in BYTE_MODES:
        return np.asarray(_bytes_to_rgb(picture, source))
    if not picture.mode.startswith("I") or source.white is None:
        raise ValueError(f"pixels of mode {picture.mode}, whose range is not known")
    numbers = np.asarray(picture).astype(np.int32)  # of either byte order, to one that has room for differences
    source.visible = True
    source.most = max(source.most, int(numbers.max()))
    transparent = numbers == picture.info.get("transparency", -1)
    numbers >>= source.shift
    grey = (source.white - numbers if source.inverted else numbers) * (255 / source.white)
    table = None
    if source.profile is not None:
        try:
            table = grey_table(source.profile)
            source.remarks.add("converted")
        except ColourError:
            source.remarks.add("unconverted")
    channels = [grey] * 3 if table is None else [np.interp(grey, range(256), column) for column in table.T]
    rgb = np.stack(channels, -1).astype(np.float32)
    rgb[transparent] = 255
    return rgb


def _bytes_to_rgb(picture: Image.Image, source: Source) -> Image.Image:
    """Convert an image of bytes to sRGB on white."""
    from PIL import Image

    if source.shift:  # the few bits of some JPEG 2000 files: white is 240 rather than 255
        largest = 2 ** (8 - source.shift) - 1
        table = [round((value >> source.shift) * 255 / largest) for value in range(256)]
        picture = picture.point(table * len(picture.getbands()))
    if picture.mode == "LAB":
        source.visible = True
        source.remarks.add("converted")
        return lab_to_srgb(picture)
    colours, alpha = _split(picture)
    if source.profile is not None:
        try:
            colours, converted = to_srgb(colours, source.profile)
            source.remarks |= {"converted"} if converted else set()
        except ColourError:
            source.remarks.add("unconverted")
    elif colours.mode == "CMYK":
        source.remarks.add("print")
    colours = colours if colours.mode == "RGB" else colours.convert("RGB")
    if alpha is None:
        source.visible = True
        return colours
    source.visible |= alpha.getextrema() != (0, 0)
    colours.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", colours.size, "white"), colours).convert("RGB")


def _split(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Split an image into its colours, of mode L, RGB or CMYK, and its alpha, None if it is opaque."""
    if picture.mode in ("La", "RGBa"):  # multiplied by alpha
        picture = picture.convert(picture.mode.upper())
    alpha = None
    if "A" in picture.getbands() or "transparency" in picture.info:
        with_alpha = picture.convert("RGBA")
        picture.info.pop("transparency", None)
        alpha = with_alpha.getchannel("A")
        alpha = None if alpha.getextrema()[0] == 255 else alpha
        picture = picture if picture.mode in ("1", "L", "LA") else with_alpha
    if picture.mode == "LA":
        return picture.getchannel("L"), alpha
    mode = {"1": "L", "L": "L", "CMYK": "CMYK"}.get(picture.mode, "RGB")
    return (picture if picture.mode == mode else picture.convert(mode)), alpha
