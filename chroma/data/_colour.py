"""Colour spaces other than sRGB: embedded ICC profiles, the gamma of PNGs, and CIELAB."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image, ImageCms

SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # of white, red, green and blue, as in a PNG's cHRM
ADOBE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
DISPLAY_P3 = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
BT2020 = (0.3127, 0.3290, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of the white of ICC profiles
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # of pixels p: (a p + b)^g from d on, and c p below
NO_OPTIMISATION = 0x0100  # LittleCMS's cmsFLAGS_NOOPTIMIZE: its tables are too coarse for the dark end of a grey curve


class ColourError(ValueError):
    """A profile cannot be read, or is not for pixels of this kind."""


def to_srgb(picture: Image.Image, profile: bytes) -> tuple[Image.Image, bool]:
    """Convert an image from the colour space of a profile to sRGB, by LittleCMS and with perceptual intent.

    Args:
        picture: of mode L, RGB or CMYK.
        profile: an ICC profile.

    Returns:
        The image in mode RGB, and whether the profile differs from sRGB by more than rounding.

    Raises:
        ColourError: if the profile is broken, or for other pixels than those of `picture`.
    """
    space = _space(profile)
    if picture.mode == "L" and space == "GRAY":
        table = np.rint(grey_table(profile)).astype(int)
        return picture.convert("RGB").point(table.T.ravel().tolist()), not _is_identity(table, np.arange(256)[:, None])
    if picture.mode == "L":  # grey pixels beside a profile for colours
        picture = picture.convert("RGB")
    if picture.mode != space:
        raise ColourError(f"it is for {space} pixels, not {picture.mode}")
    transform = _transform(profile, space)
    return (picture, False) if transform is None else (transform.apply(picture), True)


@functools.lru_cache(maxsize=64)
def grey_table(profile: bytes) -> np.ndarray:
    """Compute what the 256 bytes of a profile for grey pixels are in sRGB.

    Args:
        profile: an ICC profile.

    Returns:
        (256, 3) float64, from 0 to 255.

    Raises:
        ColourError: if the profile is broken, or not for grey pixels.
    """
    from PIL import Image

    if (space := _space(profile)) not in ("GRAY", "RGB"):
        raise ColourError(f"it is for {space} pixels, not grey ones")
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    if space == "RGB":
        return np.asarray(to_srgb(ramp, profile)[0], np.float64)[0]
    transform = _transform(profile, space)
    assert transform is not None
    return np.asarray(transform.apply(ramp), np.float64)[0]


@functools.lru_cache(maxsize=64)
def _space(profile: bytes) -> str:
    """Read which pixels a profile is for: "RGB", "GRAY", "CMYK", ..."""
    from PIL import ImageCms

    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except Exception as error:  # damaged bytes, or Pillow was built without LittleCMS
        raise ColourError("it cannot be read") from error


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, space: str) -> ImageCms.ImageCmsTransform | None:
    """Build the transform from a profile to sRGB; None if it changes no byte by more than 1, as for sRGB itself."""
    from PIL import Image, ImageCms

    mode, flags = ("L", NO_OPTIMISATION) if space == "GRAY" else (space, 0)
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, mode, "RGB", flags=ImageCms.Flags(flags))
        if space != "RGB":
            return transform
        values = np.linspace(0, 255, 18).astype(np.uint8)
        sample = np.stack(np.meshgrid(values, values, values), -1).reshape(18, -1, 3)
        return None if _is_identity(np.asarray(transform.apply(Image.fromarray(sample))), sample) else transform
    except Exception as error:  # LittleCMS finds what is wrong with a profile only here
        raise ColourError("it cannot be used") from error


def _is_identity(converted: np.ndarray, original: np.ndarray) -> bool:
    return bool(np.abs(converted.astype(int) - original.astype(int)).max() <= 1)


def lab_to_srgb(picture: Image.Image) -> Image.Image:
    """Convert an image from CIELAB, whose white is D50, to sRGB.

    Args:
        picture: of mode LAB.

    Returns:
        The image in mode RGB.
    """
    from PIL import ImageCms

    source, target = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
    assert converted is not None
    return converted


@functools.lru_cache(maxsize=64)
def display_profile(gamma: float | None, chromaticities: Sequence[float], grey: bool = False) -> bytes:
    """Write the ICC profile of a display, from what the chunks gAMA and cHRM of a PNG state.

    Args:
        gamma: of the image: pixels are light to this power, 0.45455 for most; None for the curve of sRGB.
        chromaticities: x and y of white, red, green and blue.
        grey: whether it is for grey pixels.

    Returns:
        The profile, as in an image file.

    Raises:
        ColourError: if there is no display with these numbers.
    """
    if gamma is not None and not 0.01 < gamma < 100:
        raise ColourError(f"a gamma of {gamma:g} has no meaning")
    tags = {b"wtpt": _xyz_tag(D50)}
    kind, numbers = (3, SRGB_CURVE) if gamma is None else (0, (1 / gamma,))
    curve = b"para" + struct.pack(f">4xH2x{len(numbers)}i", kind, *(round(number * 65536) for number in numbers))
    if grey:
        tags[b"kTRC"] = curve
    else:
        for name, column in zip((b"r", b"g", b"b"), _primaries(np.array(chromaticities, np.float64)).T, strict=True):
            tags[name + b"XYZ"] = _xyz_tag(column)
            tags[name + b"TRC"] = curve
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">2I", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4xI", start + len(body), 0x04300000) + b"mntr" + (b"GRAY" if grey else b"RGB ") + b"XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + _xyz_tag(D50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz_tag(xyz: np.ndarray) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *(round(value * 65536) for value in xyz.tolist()))


def _primaries(chromaticities: np.ndarray) -> np.ndarray:
    """Compute XYZ of red, green and blue, in columns, adapted to the white of profiles (Bradford)."""
    x, y = chromaticities.reshape(4, 2).T
    if not (y > 0).all():
        raise ColourError("the chromaticities have no meaning")
    white, *primaries = np.stack([x / y, np.ones(4), (1 - x - y) / y], -1)
    columns = np.stack(primaries, -1)
    if abs(np.linalg.det(columns)) < 1e-6:
        raise ColourError("the chromaticities have no meaning")
    columns *= np.linalg.solve(columns, white)
    adapted = np.linalg.solve(BRADFORD, ((BRADFORD @ D50) / (BRADFORD @ white))[:, None] * (BRADFORD @ columns))
    if not np.abs(adapted).max() < 16:
        raise ColourError("the chromaticities have no meaning")
    return adapted
