"""What an image file says about its pixels: depth, range, transparency, colour space, orientation, frames."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from chroma.data._colour import ADOBE, BT2020, DISPLAY_P3, SRGB, ColourError, display_profile
from chroma.data._formats import open_image

if TYPE_CHECKING:
    from PIL import Image, ImageFile

WIDE = 2**16 - 1  # white in 16 bits
FRAMED = {"AVIF", "DCX", "FLI", "GIF", "MPO", "PNG", "TIFF", "WEBP"}  # formats of several frames or pages
SRGB_GAMMA, ADOBE_GAMMA = 0.45455, 256 / 563  # pixels are light to this power, nearly and exactly

# The tags of TIFF and EXIF that are read
BITS, PHOTOMETRIC, ORIENTATION, PLANES, COLOUR_MAP, SAMPLE_FORMAT, DNG_VERSION = 258, 262, 274, 284, 320, 339, 50706
EXIF_IFD, COLOUR_SPACE, INTEROPERABILITY_IFD, INTEROPERABILITY = 0x8769, 0xA001, 0xA005, 1
WHITE_IS_ZERO, SEPARATE, SIGNED, SRGB_COLOURS = 0, 2, 2, 1  # values of PHOTOMETRIC, PLANES, SAMPLE_FORMAT, COLOUR_SPACE

# Code points of ITU-T H.273, in AVIF and in the chunk cICP of PNG
CODED_PRIMARIES = {9: BT2020, 12: DISPLAY_P3}  # 1 is sRGB, and 2 means unspecified
LINEAR, PERCEPTUAL_QUANTISER, HYBRID_LOG_GAMMA = 8, 16, 18  # the curves that differ from that of sRGB

JPEG2000_SPACES = {None, 0, 12, 15, 16, 17, 18}  # not stated, black and white, CMYK, sRGB, grey and its YCC


@dataclass
class Source:
    """What a file says about its pixels.

    Attributes:
        white: the largest number of a grey image that Pillow does not convert to bytes; None if it is not known.
        inverted: whether 0 is white in such an image.
        shift: the number of low bits in which Pillow has put zeros.
        profile: the ICC profile; None for sRGB.
        most: the largest number that was met in such an image.
        visible: whether a pixel was met that is not wholly transparent.
        remarks: keys of the sentences in `folders.REMARKS` that apply to the image.
    """

    white: int | None = None
    inverted: bool = False
    shift: int = 0
    profile: bytes | None = None
    most: int = 0
    visible: bool = False
    remarks: set[str] = field(default_factory=set)


def describe_pixels(file: ImageFile.ImageFile, path: Path) -> Source:
    """Read what a file says about its pixels.

    Args:
        file: opened by Pillow, and not loaded.
        path: of the file.

    Returns:
        The description.

    Raises:
        ValueError: for pixels whose meaning is not known.
    """
    readers: dict[str | None, Callable[[Any, Source], None]] = {
        "AVIF": _read_avif,
        "PNG": _read_png,
        "TIFF": _read_tiff,
        "JPEG": _read_jpeg,
        "JPEG2000": _read_jpeg2000,
        "PPM": lambda file, source: setattr(source, "white", WIDE),  # Pillow stretches all others to 16 bits
    }
    source = Source(profile=file.info.get("icc_profile") or None)
    if file.format in readers:
        readers[file.format](file, source)
    if file.format in FRAMED and _has_frames(file, path):
        source.remarks.add("frames")
    return source


def _has_frames(file: Any, path: Path) -> bool:
    """Whether there are several frames or pages."""
    with suppress(Exception):  # later frames may be damaged; it is the first that is used
        if file.format not in ("GIF", "TIFF"):
            return bool(file.is_animated)
        with open_image(path) as again:  # Pillow counts the frames of these by reading them
            return bool(getattr(again, "is_animated", False))
    return False


def _read_avif(file: Any, source: Source) -> None:
    position = file.fp.tell()
    file.fp.seek(0)
    head = file.fp.read(4096)
    file.fp.seek(position)
    place = head.find(b"colrnclx") + 8
    if 8 <= place <= len(head) - 4:
        _set_coding(source, *struct.unpack(">2H", head[place : place + 4]))


def _set_coding(source: Source, primaries: int, curve: int) -> None:
    """Apply the code points of ITU-T H.273."""
    if curve in (PERCEPTUAL_QUANTISER, HYBRID_LOG_GAMMA):
        raise ValueError("high dynamic range, which is not converted to sRGB")
    if source.profile is None and (primaries in CODED_PRIMARIES or curve == LINEAR):
        _set_profile(source, 1.0 if curve == LINEAR else None, CODED_PRIMARIES.get(primaries, SRGB))


def _read_png(file: Any, source: Source) -> None:
    source.white = WIDE
    if coding := _png_coding(file.fp):  # goes before all others
        source.profile = None
        _set_coding(source, *coding)
        file.info.pop("gamma", None), file.info.pop("chromaticity", None)
    key, depth = file.info.get("transparency"), str(file.tile[0][3]) if file.tile else ""
    if file.mode == "L" and isinstance(key, int):  # Pillow stretches the pixels of 2 and 4 bits, not the key
        largest = 2 ** int(depth.partition(";")[2] or 8) - 1
        file.info["transparency"] = (key & largest) * 255 // largest
    if source.profile is None and "srgb" not in file.info and file.info.keys() & {"gamma", "chromaticity"}:
        gamma, chromaticities = file.info.get("gamma"), file.info.get("chromaticity", SRGB)
        usual = gamma is None or abs(gamma / SRGB_GAMMA - 1) < 0.05
        if not (usual and np.allclose(chromaticities, SRGB, atol=0.005)):
            _set_profile(source, gamma, chromaticities, grey=file.mode in ("1", "L", "LA", "I;16"))


def _png_coding(file: IO[bytes]) -> tuple[int, int] | None:
    """Read the primaries and the curve of the chunk cICP, which Pillow does not read."""
    position, start = file.tell(), 8
    try:
        while start < position:
            file.seek(start)
            length, kind = struct.unpack(">I4s", file.read(8))
            if kind == b"cICP" and length == 4:
                return file.read(1)[0], file.read(1)[0]
            start += 12 + length
        return None
    finally:
        file.seek(position)


def _set_profile(source: Source, gamma: float | None, chromaticities: tuple[float, ...], grey: bool = False) -> None:
    try:
        source.profile = display_profile(gamma, chromaticities, grey)
    except ColourError:
        source.remarks.add("unconverted")


def _read_tiff(file: Any, source: Source) -> None:
    tags = file.tag_v2
    if DNG_VERSION in tags:
        raise ValueError("camera raw, which Pillow does not read")
    if SIGNED in np.atleast_1d(tags.get(SAMPLE_FORMAT, 1)):
        raise ValueError("pixels that are signed numbers, whose range is not known")
    planes = tags.get(PLANES) == SEPARATE and file.tile and file.tile[0][0] == "raw"
    if planes and np.max(tags.get(BITS, 1)) > 8:
        raise ValueError("planes of more than 8 bits per channel, which Pillow scrambles")
    if file.mode == "P" and max(tags[COLOUR_MAP]) < 256:  # bytes, where Pillow expects numbers of 16 bits
        from PIL import ImagePalette

        file.palette = ImagePalette.raw("RGB;L", bytes(tags[COLOUR_MAP]))
    if file.mode.startswith("I;16"):
        source.white = 2 ** int(np.max(tags.get(BITS, 16))) - 1
        source.inverted = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO


def _read_jpeg(file: Any, source: Source) -> None:
    if file.mode == "CMYK" and "adobe" not in file.info:
        source.remarks.add("ink")


def _read_jpeg2000(file: Any, source: Source) -> None:
    position = file.fp.tell()
    try:
        depths, profile, space = _jpeg2000_header(file.fp)
    except (IndexError, struct.error) as error:
        raise ValueError("a damaged header of JPEG 2000") from error
    finally:
        file.fp.seek(position)
    source.profile = source.profile or profile
    depth, most = max(depths), 16 if file.mode == "I;16" else 8
    if depth > most:  # 4095 of 4095 is rounded up to 256 of 255, which is 0
        raise ValueError(f"JPEG 2000 of {depth} bits per channel, of which Pillow makes white black")
    if min(depths) != depth:
        raise ValueError(f"channels of {min(depths)} and {depth} bits")
    if space not in JPEG2000_SPACES:
        raise ValueError(f"colour space {space} of JPEG 2000, which Pillow does not read")
    source.white = 2**depth - 1
    if file.mode not in ("P", "PA"):
        source.shift = most - depth


def _jpeg2000_header(file: IO[bytes]) -> tuple[list[int], bytes | None, int | None]:
    """Read a JPEG 2000 file's bits per channel, ICC profile and colour space (ISO 15444-1, Annexes A.5 and I)."""
    file.seek(0)
    start, profile, space = 0, None, None
    if file.read(2) != b"\xff\x4f":  # boxes around the code stream
        end = file.seek(0, 2)
        while start + 8 <= end:
            file.seek(start)
            length, kind = struct.unpack(">I4s", file.read(8))
            head = 8
            if length == 1:
                length, head = *struct.unpack(">Q", file.read(8)), 16
            if kind == b"colr" and profile is None and space is None:
                method = file.read(3)[0]
                if method == 1:
                    (space,) = struct.unpack(">I", file.read(4))
                else:
                    profile = file.read(length - head - 3)
            if kind == b"jp2c":
                start += head
                break
            start += head if kind == b"jp2h" else (max(length, head) if length else end)
    file.seek(start + 40)  # after the markers SOC and SIZ and the geometry
    (channels,) = struct.unpack(">H", file.read(2))
    return [(bits & 127) + 1 for bits in file.read(3 * channels)[::3]], profile, space


def orientation(file: ImageFile.ImageFile, source: Source) -> Image.Transpose | None:
    """Read how an image is to be turned, and whether EXIF says that its colours are those of Adobe RGB.

    Args:
        file: the loaded image.
        source: to which a profile and a remark are added.

    Returns:
        The operation; None for upright images, and for damaged EXIF data.
    """
    from PIL.Image import Transpose

    turns = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270"}
    turns |= {7: "TRANSVERSE", 8: "ROTATE_90"}
    try:
        exif = file.getexif()
        name = turns.get(exif.get(ORIENTATION, 1))
        if file.format == "JPEG" and file.mode == "RGB" and source.profile is None and EXIF_IFD in exif:
            details = exif.get_ifd(EXIF_IFD)
            index = exif.get_ifd(INTEROPERABILITY_IFD).get(INTEROPERABILITY, "")
            if details.get(COLOUR_SPACE) not in (None, SRGB_COLOURS) and str(index).startswith("R03"):
                _set_profile(source, ADOBE_GAMMA, ADOBE)
    except Exception:  # damaged EXIF data can raise almost anything
        source.remarks.add("exif")
        return None
    return Transpose[name] if name else None
