"""Render the emoji of Unicode's list in five styles, aligned, 64 x 64 on white."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont, features

SIDE, FIT = 64, 60  # pixels: the side of the image, and the longer side of the drawing inside it
RENDERED_SIDE = 512  # pixels at which vector drawings are rendered before they are reduced
Source = Callable[[str], Image.Image | None]  # code points "1f431" or "1f3f4-200d-2620" -> RGBA, None if not drawn

SKIN_TONES = {f"1f3f{digit}" for digit in "bcdef"}
# signs and flags are graphics already, and a country's flag is no picture of a thing
LEFT_OUT_GROUPS = {"Symbols", "Component"}
LEFT_OUT_SUBGROUPS = {"country-flag", "subdivision-flag"}
# man, woman and person are nearly the same drawing; so are families
LEFT_OUT_NAMES = ("man ", "woman ", "men ", "women ", "man:", "woman:", "family:")


def code_points(text: str) -> str:
    """Return one spelling of a sequence: lower case, joined by "-", without the variation selector U+FE0F."""
    return "-".join(part for part in re.split("[-_ ]", text.lower()) if part and part != "fe0f")


def named_contents(emoji_test: str) -> Iterator[tuple[str, str, str]]:
    """Yield the contents that are considered, in their order in the list.

    Args:
        emoji_test: The text of Unicode's emoji-test.txt.

    Yields:
        The code points, the CLDR short name and the category of each.
    """
    group = subgroup = ""
    for line in emoji_test.splitlines():
        if line.startswith("# group:"):
            group = line.partition(":")[2].strip()
        elif line.startswith("# subgroup:"):
            subgroup = line.partition(":")[2].strip()
        elif entry := re.match(r"([0-9A-F ]+?)\s*; fully-qualified\s*# \S+ E[\d.]+ (.*)", line):
            key, name = code_points(entry[1]), entry[2].strip()
            left_out = (
                group in LEFT_OUT_GROUPS
                or subgroup in LEFT_OUT_SUBGROUPS
                or name.startswith(LEFT_OUT_NAMES)
                or SKIN_TONES.intersection(key.split("-"))
            )
            if not left_out:
                yield key, name, group


def image_files(folder: Path) -> Source:
    """Return a source of drawings that are stored as one image file per sequence of code points."""
    files = {code_points(path.stem): path for path in sorted(folder.glob("*.webp"))}
    return lambda key: Image.open(files[key]).convert("RGBA") if key in files else None


def _rendered(icon: dict[str, Any], defaults: dict[str, Any]) -> Image.Image:
    """Render an Iconify icon as an RGBA image, with `defaults` for what the icon does not specify."""
    left, top, width, height = (
        icon.get(field, defaults.get(field, fallback))
        for field, fallback in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}">{icon["body"].replace("currentColor", "#000")}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, width=RENDERED_SIDE, height=RENDERED_SIDE)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def iconify(folder: Path) -> Source:
    """Return a source of drawings that are stored as an Iconify set.

    The set has SVG bodies by name, aliases that may be mirrored, and names by code points.
    """
    icons = json.loads((folder / "icons.json").read_text())
    names: dict[str, str] = {}
    for key, name in json.loads((folder / "chars.json").read_text()).items():
        names.setdefault(code_points(key), name)  # a sequence may be listed with and without U+FE0F

    def source(key: str) -> Image.Image | None:
        name, mirrored = names.get(key), False
        while name is not None and name not in icons["icons"]:
            alias = icons.get("aliases", {}).get(name, {})
            if {"rotate", "vFlip"} & alias.keys():
                return None
            name, mirrored = alias.get("parent"), mirrored ^ bool(alias.get("hFlip"))
        if name is None:
            return None
        image = _rendered(icons["icons"][name], icons)
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image

    return source


def font(path: Path, pixels: int = 400) -> Source:
    """Return a source of drawings that are glyphs of a font; it needs a sequence to be joined into one glyph.

    Args:
        path: The font.
        pixels: The size at which glyphs are rendered.

    Raises:
        RuntimeError: Pillow cannot join sequences.
    """
    if not features.check("raqm"):
        raise RuntimeError("Pillow lacks libraqm, which joins sequences into one glyph: install a Pillow with libraqm")
    face = ImageFont.truetype(path, pixels, layout_engine=ImageFont.Layout.RAQM)
    covered = set(TTFont(path, lazy=True).getBestCmap())
    glyph_width = face.getlength("\N{GRINNING FACE}")

    def source(key: str) -> Image.Image | None:
        points = [int(point, 16) for point in key.split("-")]
        text = "".join(map(chr, points))
        if not covered.issuperset(points) or face.getlength(text) > 1.25 * glyph_width:
            return None
        ink = Image.new("L", (2 * pixels, 2 * pixels))
        ImageDraw.Draw(ink).text((pixels // 3, pixels // 3), text, font=face, fill=255)
        image = Image.new("RGBA", ink.size, (0, 0, 0, 0))
        image.putalpha(ink)
        return image

    return source


def framed(image: Image.Image) -> np.ndarray:
    """Centre the visible part of a drawing on white, scaled to 60 pixels by a Lanczos filter.

    Args:
        image: RGBA.

    Returns:
        (64, 64, 3) uint8.
    """
    image = image.crop(image.getchannel("A").point(lambda alpha: 255 if alpha > 8 else 0).getbbox())
    width, height = image.size
    side = SIDE * max(width, height) / FIT  # of the frame, in the drawing's pixels
    # as much white as the frame and the Lanczos filter (3 of its pixels) can reach
    margin = ceil((side - min(width, height)) / 2 + 3 * side / SIDE) + 1
    paper = Image.new("RGBA", (width + 2 * margin, height + 2 * margin), "white")
    paper.alpha_composite(image, (margin, margin))
    left, top = margin + (width - side) / 2, margin + (height - side) / 2
    frame = (left, top, left + side, top + side)
    return np.asarray(paper.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=frame))


def draw(folders: dict[str, Path]) -> tuple[list[str], list[str], np.ndarray, dict[str, int]]:
    """Render the contents that all five styles have.

    A content is left out if its drawing in some style equals, pixel for pixel, the drawing of a content above it in
    the list: a style and a drawing must determine the content.

    Args:
        folders: The unpacked sources by name.

    Returns:
        The names, the categories, the drawings as (contents, 5, 64, 64, 3) uint8, and how many contents were left out
        for which reason.
    """
    sources = [
        image_files(folders["fluent_3d"] / "assets"),
        iconify(folders["fluent_flat"]),
        iconify(folders["fluent_hc"]),
        iconify(folders["noto"]),
        font(folders["noto_line"] / "400Regular" / "NotoEmoji_400Regular.ttf"),
    ]
    emoji_test = folders["unicode-data"] / "usr/share/unicode/emoji/emoji-test.txt"
    names, categories, drawings = [], [], []
    seen: set[tuple[int, bytes]] = set()
    left_out = {"not drawn in every style": 0, "drawn exactly as another in some style": 0}
    for key, name, category in named_contents(emoji_test.read_text(encoding="utf8")):
        images = [image for source in sources if (image := source(key)) is not None]
        if len(images) < len(sources):
            left_out["not drawn in every style"] += 1
            continue
        styles = np.stack([framed(image) for image in images])
        identities = {(style, pixels.tobytes()) for style, pixels in enumerate(styles)}
        if identities & seen:
            left_out["drawn exactly as another in some style"] += 1
            continue
        seen |= identities
        names.append(name)
        categories.append(category)
        drawings.append(styles)
    return names, categories, np.stack(drawings), left_out
