"""Aligned drawings: the contents of Unicode's emoji list, each drawn in five styles, 64 x 64 on white."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path

import numpy as np
import resvg_py
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont, features

SIDE, FIT = 64, 60  # the image, and the drawing's longer side inside it
RENDERED = 512  # pixels at which vector drawings are rendered before they are reduced
Source = Callable[[str], Image.Image | None]  # code points "1f431" or "1f3f4-200d-2620" -> RGBA, None if not drawn

SKIN_TONES = {f"1f3f{digit}" for digit in "bcdef"}
# signs and flags are graphics already, and a country's flag is no picture of a thing
LEFT_OUT_GROUPS = {"Symbols", "Component"}
LEFT_OUT_SUBGROUPS = {"country-flag", "subdivision-flag"}
# man, woman and person are nearly the same drawing; so are families
LEFT_OUT_NAMES = ("man ", "woman ", "men ", "women ", "man:", "woman:", "family:")


def code_points(text: str) -> str:
    """One spelling of a sequence: lower case, joined by "-", without the variation selector U+FE0F."""
    return "-".join(part for part in re.split("[-_ ]", text.lower()) if part and part != "fe0f")


def named_contents(emoji_test: str) -> Iterator[tuple[str, str, str]]:
    """(code points, CLDR short name, category) of the contents considered, in the order of Unicode's emoji-test.txt."""
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
    """Drawings kept as one image file per sequence of code points."""
    files = {code_points(path.stem): path for path in sorted(folder.glob("*.webp"))}
    return lambda key: Image.open(files[key]).convert("RGBA") if key in files else None


def _rendered(icon: dict, defaults: dict) -> Image.Image:
    """An Iconify icon as an RGBA image."""
    left, top, width, height = (
        icon.get(field, defaults.get(field, fallback))
        for field, fallback in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}">{icon["body"].replace("currentColor", "#000")}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, width=RENDERED, height=RENDERED)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def iconify(folder: Path) -> Source:
    """Drawings kept as an Iconify set: SVG bodies by name, aliases (perhaps mirrored), names by code points."""
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
    """Drawings kept as glyphs of a font; a sequence counts only if the font joins it into one glyph."""
    if not features.check("raqm"):
        raise RuntimeError("Pillow was built without libraqm, which joins sequences into one glyph")
    face = ImageFont.truetype(path, pixels, layout_engine=ImageFont.Layout.RAQM)
    covered = set(TTFont(path, lazy=True).getBestCmap())
    one_glyph = face.getlength("\N{GRINNING FACE}")

    def source(key: str) -> Image.Image | None:
        points = [int(point, 16) for point in key.split("-")]
        text = "".join(map(chr, points))
        if not covered.issuperset(points) or face.getlength(text) > 1.25 * one_glyph:
            return None
        ink = Image.new("L", (2 * pixels, 2 * pixels))
        ImageDraw.Draw(ink).text((pixels // 3, pixels // 3), text, font=face, fill=255)
        image = Image.new("RGBA", ink.size, (0, 0, 0, 0))
        image.putalpha(ink)
        return image

    return source


def framed(image: Image.Image) -> np.ndarray:
    """An RGBA drawing as (64, 64, 3) uint8: its visible part on white, Lanczos to 60 pixels, centred."""
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
    """(names, categories, (contents, 5, 64, 64, 3) uint8, how many contents were left out and why).

    Kept are the contents that all five styles draw, less those whose drawing in some style is, pixel for pixel, that
    of an earlier content: with them, a style and a content would no longer determine each other.
    """
    sources = [
        image_files(folders["fluent_3d"] / "assets"),
        iconify(folders["fluent_flat"]),
        iconify(folders["fluent_hc"]),
        iconify(folders["noto"]),
        font(folders["noto_line"] / "400Regular" / "NotoEmoji_400Regular.ttf"),
    ]
    emoji_test = folders["unicode-data"] / "usr/share/unicode/emoji/emoji-test.txt"
    names, categories, kept = [], [], []
    seen: set[tuple[int, bytes]] = set()
    left_out = {"not drawn in every style": 0, "drawn exactly as another in some style": 0}
    for key, name, category in named_contents(emoji_test.read_text(encoding="utf8")):
        images = [source(key) for source in sources]
        if any(image is None for image in images):
            left_out["not drawn in every style"] += 1
            continue
        drawn = np.stack([framed(image) for image in images])
        exact = {(style, pixels.tobytes()) for style, pixels in enumerate(drawn)}
        if exact & seen:
            left_out["drawn exactly as another in some style"] += 1
            continue
        seen |= exact
        names.append(name)
        categories.append(category)
        kept.append(drawn)
    return names, categories, np.stack(kept), left_out
