"""Name the owners of the bundled images, and write the texts that must accompany them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import image_sources
from licensed_photographs import Photograph


@dataclass(frozen=True)
class Style:
    """A style of drawing: its name in prompts and its owner."""

    name: str
    phrase: str  # "a flat drawing of {content}"
    licence: str  # SPDX name, and the text's name under licences/
    credit: str


MICROSOFT = "Fluent Emoji, (c) Microsoft Corporation"
STYLES = (
    Style("fluent_3d", "a glossy 3D render of", "MIT", MICROSOFT),
    Style("fluent_flat", "a flat drawing of", "MIT", MICROSOFT),
    Style("fluent_hc", "a black and white icon of", "MIT", MICROSOFT),
    Style("noto", "a shaded cartoon of", "Apache-2.0", "Noto Emoji, Google Inc"),
    Style("noto_line", "a line drawing of", "OFL-1.1", "Noto Emoji font, Copyright 2013 Google LLC"),
)
MIT = """\
MIT License

Copyright (c) Microsoft Corporation.

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
CHANGES = """\
Every drawing was rendered, put on white, scaled to fit 60 x 60 pixels and centred in 64 x 64. The contents' names are
the short names of Unicode's emoji-test.txt 15.0, (c) 2022 Unicode, Inc. The 3D set is packaged by LobeHub, (c) 2023,
MIT; that it is Microsoft's set under Microsoft's MIT licence rests on its packager's word."""
PHOTOGRAPH_LICENCES = {
    "Public-Domain": "no conditions",
    "CC0-1.0": "no conditions: https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
}


def notice(photographs: list[Photograph], about: list[str]) -> str:
    """Return the text of LICENCES.md.

    Args:
        photographs: The photographs.
        about: A sentence on what each file holds.

    Returns:
        Markdown: what the bundle holds, who owns it, what was changed.
    """
    licences = sorted({photograph.licence for photograph in photographs})
    credited = [photograph for photograph in photographs if photograph.licence.startswith("CC-BY")]
    lines = [
        "# The bundled images",
        "Written by `python book/_tools/build_images.py`, together with the files it describes.",
        *about,
        "## Drawings",
        "| style | artwork | licence | package |\n|---|---|---|---|\n"
        + "\n".join(
            f"| {style.name} | {style.credit} | [{style.licence}](licences/{style.licence}.txt) "
            f"| {image_sources.NPM[style.name]} |"
            for style in STYLES
        ),
        CHANGES + " Unicode's notice: [licences/Unicode.txt](licences/Unicode.txt).",
        "## Photographs",
        "Author, licence, source and package of each are in [CREDITS.tsv](CREDITS.tsv) and in `photographs.npz`. All "
        "were reduced in size, some cut at the long ends, and coded anew; crops are made when they are loaded. The "
        "licences are as the packages state them:",
        "\n".join(
            f"- {licence} ({sum(p.licence == licence for p in photographs)}): {PHOTOGRAPH_LICENCES[licence]}"
            for licence in licences
        ),
        "Attribution is a condition for these:",
        "\n".join(f"- {p.name}: {p.author}, {p.licence}, {p.source}" for p in credited),
    ]
    return "\n\n".join(lines) + "\n"


def credits_table(photographs: list[Photograph]) -> str:
    """Return the text of CREDITS.tsv, one line per photograph."""
    fields = ("name", "author", "licence", "source", "package")
    rows = [fields, *([getattr(photograph, field) for field in fields] for photograph in photographs)]
    return "".join("\t".join(row) + "\n" for row in rows)


def write(out: Path, folders: dict[str, Path], photographs: list[Photograph], about: list[str]) -> None:
    """Write LICENCES.md, CREDITS.tsv and the licence texts.

    Args:
        out: The folder of the bundle.
        folders: The unpacked sources by name.
        photographs: The photographs.
        about: A sentence on what each file holds.
    """
    texts = out / "licences"
    texts.mkdir()
    unicode_notice = folders["unicode-data"] / "usr/share/doc/unicode-data/copyright"
    (texts / "MIT.txt").write_text(MIT, encoding="utf8")
    (texts / "Apache-2.0.txt").write_bytes(image_sources.APACHE.read_bytes())
    (texts / "OFL-1.1.txt").write_bytes((folders["noto_line"] / "LICENSE_FONT").read_bytes())
    (texts / "Unicode.txt").write_bytes(unicode_notice.read_bytes())
    (out / "CREDITS.tsv").write_text(credits_table(photographs), encoding="utf8")
    (out / "LICENCES.md").write_text(notice(photographs, about), encoding="utf8")
