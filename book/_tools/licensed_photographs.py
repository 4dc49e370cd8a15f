"""Gather photographs in the public domain, under CC0 or CC-BY, reduced to a short side of at most 256 pixels."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

SHORT, LONG = 256, 384
PERMISSIVE = re.compile(r"Public-Domain|CC0-1\.0|CC-BY-[\d.]+")
# GCompris: (resource file, part of the path inside it, name of the collection here)
GCOMPRIS = [
    ("erase", "", "wildlife"),
    ("explore_monuments", "", "monuments"),
    ("explore_world_animals", "", "animals"),
    ("explore_farm_animals", "", "farm"),
    ("explore_world_music", r"(africa|ireland|america|australia|italy|japan|mexico|orchestra)", "music"),
    ("categorization", "/renewable/", "energy"),
    ("categorization", "/monuments/", "landmarks"),
    ("categorization", "/fishes/", "fishes"),
    ("details", "EilanDonan", "scenery"),
    ("clickgame", "/sea", "sea"),
]
NOT_SURELY_PHOTOGRAPHS = {"fishes/fish4", "fishes/fish8"}  # look painted
# author, licence, source, as the packages' documentation gives them
SKLEARN = {
    "china.jpg": ("danielbuechele", "CC-BY-2.0", "https://www.flickr.com/photos/danielbuechele/6061409035/"),
    "flower.jpg": ("vultilion", "CC-BY-2.0", "https://www.flickr.com/photos/vultilion/6056698931/"),
}
SKIMAGE = {
    "coffee.png": ("Rachel Michetti, courtesy of Pikolo Espresso Bar", "CC0-1.0", "scikit-image, skimage.data.coffee"),
    "chelsea.png": ("Stefan van der Walt", "CC0-1.0", "scikit-image, skimage.data.chelsea"),
    "rocket.jpg": ("SpaceX", "Public-Domain", "https://www.flickr.com/photos/spacexphotos/16511594820/"),
    "astronaut.png": ("NASA", "Public-Domain", "https://flic.kr/p/r9qvLn"),
}


@dataclass(frozen=True)
class Photograph:
    """A photograph as it is stored, and its origin."""

    name: str  # collection/file
    author: str
    licence: str  # Public-Domain, or an SPDX name
    source: str
    package: str
    pixels: np.ndarray  # (H, W, 3) uint8, reduced


def licence_name(text: str) -> str:
    """Return one spelling of a licence: "Public-Domain", "CC0-1.0", "CC-BY-4.0", ...; others stay as they are."""
    label = re.sub("[ _]", "-", text.strip().lower())
    if "public" in label and "domain" in label:
        return "Public-Domain"
    if label.startswith("cc0"):
        return "CC0-1.0"
    if match := re.match(r"cc-by(-sa)?-?([\d.]*)", label):
        return "-".join(["CC-BY"] + ["SA"] * bool(match[1]) + [match[2]] * bool(match[2]))
    return text.strip()


def reduced(image: Image.Image) -> np.ndarray:
    """Reduce a photograph to a short side of at most 256 pixels, and cut the long side to 384 at the centre.

    Args:
        image: An image in RGB. It is reduced by a k x k mean, then by a Lanczos filter.

    Returns:
        (H, W, 3) uint8.
    """
    if (times := min(image.size) // SHORT) > 1:
        image = image.reduce(times)
    if (scale := SHORT / min(image.size)) < 1:
        image = image.resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS)
    width, height = image.size
    left, top = max(0, width - LONG) // 2, max(0, height - LONG) // 2
    return np.asarray(image.crop((left, top, left + min(width, LONG), top + min(height, LONG))))


def resource_files(path: Path) -> dict[str, bytes]:
    """Read a Qt binary resource (.rcc), whose layout is that of Qt's qresource.cpp, with all numbers big-endian.

    Args:
        path: The resource file.

    Returns:
        The contents of the files in it by path.

    Raises:
        ValueError: The file is no Qt resource.
    """
    blob = path.read_bytes()
    magic, version, tree, data, names = struct.unpack_from(">4s4I", blob)
    if magic != b"qres":
        raise ValueError(f"{path.name} is not a Qt resource file")
    node_size = 14 if version == 1 else 22  # later versions append a time stamp
    compressed, directory = 1, 2

    def walk(node: int, folder: PurePosixPath) -> Iterator[tuple[str, bytes]]:
        name_offset, flags = struct.unpack_from(">IH", blob, tree + node * node_size)
        if node:  # the root has no name
            (length,) = struct.unpack_from(">H", blob, names + name_offset)
            start = names + name_offset + 6  # past the length and a hash
            folder /= blob[start : start + 2 * length].decode("utf-16-be")
        if flags & directory:
            count, first = struct.unpack_from(">II", blob, tree + node * node_size + 6)
            for child in range(first, first + count):
                yield from walk(child, folder)
            return
        (offset,) = struct.unpack_from(">I", blob, tree + node * node_size + 10)
        (length,) = struct.unpack_from(">I", blob, data + offset)
        content = blob[data + offset + 4 : data + offset + 4 + length]
        yield str(folder), zlib.decompress(content[4:]) if flags & compressed else content

    return dict(walk(0, PurePosixPath("/")))


def readme_credits(text: str) -> dict[str, tuple[str, str, str]]:
    """Read the paragraphs of a GCompris README.

    Returns:
        Author, licence and source by the name of the file.
    """
    credits = {}
    for paragraph in re.split(r"\n\s*\n", text):

        def field(name: str, paragraph: str = paragraph) -> str:
            line = re.search(rf"^{name}s?:\s*(.*)$", paragraph, re.M)
            return line[1].strip() if line else ""

        credit = field("Copyright"), licence_name(field("License")), field("Source") or field("Comment")
        for file in re.findall(r"^(?:Files?:)?\s*(\S+\.webp)\s*$", paragraph, re.M):  # some lack the word
            credits[file] = credit
    return credits


def _gcompris(folder: Path) -> Iterator[Photograph]:
    """Yield the photographs of gcompris-qt-data that its READMEs credit."""
    for resource, part, collection in GCOMPRIS:
        files = resource_files(folder / f"usr/share/gcompris-qt/rcc/{resource}.rcc")
        credits = {
            str(PurePosixPath(path).parent.joinpath(file)): credit
            for path, content in files.items()
            if PurePosixPath(path).name == "README"
            for file, credit in readme_credits(content.decode("utf8")).items()
        }
        for path in sorted(files):
            if not (path.endswith(".webp") and re.search(part, path) and path in credits):
                continue
            image = Image.open(io.BytesIO(files[path]))
            if image.mode == "RGB":  # transparent ones are cut-outs
                yield Photograph(
                    f"{collection}/{PurePosixPath(path).stem}", *credits[path], "gcompris-qt-data", reduced(image)
                )


def _palapeli(folder: Path) -> Iterator[Photograph]:
    """Yield the photographs of palapeli-data, whose credits are in the .desktop file beside each."""
    for path in sorted((folder / "usr/share/palapeli/collection").glob("*.desktop")):
        fields = dict(line.split("=", 1) for line in path.read_text(encoding="utf8").splitlines() if "=" in line)
        author, licence, source = (fields[f"X-KDE-PluginInfo-{key}"] for key in ("Author", "License", "Website"))
        picture = Image.open(path.with_suffix(".jpg")).convert("RGB")
        yield Photograph(
            f"palapeli/{path.stem}", author, licence_name(licence), source, "palapeli-data", reduced(picture)
        )


def _examples(
    folder: Path, collection: str, package: str, credits: dict[str, tuple[str, str, str]]
) -> Iterator[Photograph]:
    """Yield the photographs of a Python package whose author, licence and source are given by file."""
    for file, credit in credits.items():
        picture = Image.open(folder / file).convert("RGB")
        yield Photograph(f"{collection}/{Path(file).stem}", *credit, package, reduced(picture))


def gather(folders: dict[str, Path]) -> list[Photograph]:
    """Return every photograph with a permissive licence and a known author and source, each source once.

    Args:
        folders: The unpacked sources by name.
    """
    python = "usr/lib/python3/dist-packages"
    candidates = [
        *_gcompris(folders["gcompris-qt-data"]),
        *_palapeli(folders["palapeli-data"]),
        *_examples(
            folders["python3-sklearn"] / python / "sklearn/datasets/images", "sklearn", "python3-sklearn", SKLEARN
        ),
        *_examples(folders["python3-skimage"] / python / "skimage/data", "skimage", "python3-skimage", SKIMAGE),
    ]
    by_source: dict[str, Photograph] = {}
    for photograph in candidates:
        is_credited = photograph.author and photograph.source and PERMISSIVE.fullmatch(photograph.licence)
        if is_credited and photograph.name not in NOT_SURELY_PHOTOGRAPHS:
            by_source.setdefault(photograph.source, photograph)
    return list(by_source.values())
