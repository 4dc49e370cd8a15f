"""Sphinx extension: a figure of the book is shown in the layout for the width of the screen.

`chroma.notebook.record.figure` records each figure twice, for a page and for a phone. A page shows the first. Here its
image becomes a ``<picture>``, from which a browser loads the layout that suits the screen, and no other.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from binascii import a2b_base64
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata

MEDIA = "screen and (max-width: 40rem)"
PHONE = "phone "


class Picture(nodes.General, nodes.Element):
    """Hold an image, and in `phone` the address of its layout for phones."""


@cache
def layouts(file: Path, changed: int) -> dict[str, tuple[str, bytes]]:
    """Read the figures that an executed page recorded in two layouts.

    Args:
        file: The <page>.glue.json that MyST-NB wrote.
        changed: When, so that a new state of the file is read again.

    Returns:
        The SHA-256 digest of the picture for a page, which is its name as a file -> the name of the figure, and its
        picture for a phone.
    """
    glued = {name: output["data"] for name, output in json.loads(file.read_text(encoding="utf-8")).items()}
    pictures = {name: a2b_base64(data["image/png"]) for name, data in glued.items() if "image/png" in data}
    return {
        hashlib.sha256(pictures[name.removeprefix(PHONE)]).hexdigest(): (name.removeprefix(PHONE), picture)
        for name, picture in pictures.items()
        if name.startswith(PHONE)
    }


def all_layouts(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Read the figures in two layouts of all pages that were executed into a folder, as `layouts` does."""
    files = sorted(folder.rglob("*.glue.json"))
    return {digest: of for file in files for digest, of in layouts(file, file.stat().st_mtime_ns).items()}


class PhoneLayouts(SphinxPostTransform):
    """Wrap each image that has a layout for phones in a `Picture`."""

    default_priority = 960  # after MyST-NB has chosen among the formats of an output
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Write the pictures for phones beside those for pages, and wrap the images."""
        folder = Path(self.app.outdir).parent / "jupyter_execute"
        found = all_layouts(folder)
        for image in list(self.document.findall(nodes.image)):
            _, phone = found.get(Path(image["uri"]).stem, ("", b""))
            if phone:
                file = folder / f"{hashlib.sha256(phone).hexdigest()}.png"
                file.write_bytes(phone)
                address = Path(os.path.relpath(file, self.app.srcdir)).as_posix()
                self.env.images.add_file(self.env.docname, address)
                self.app.builder.images[address] = self.env.images[address][1]
                picture = Picture(phone=self.env.images[address][1])
                image.replace_self(picture)
                picture += image


def visit_picture(translator: Any, node: Picture) -> None:
    """Open the element with the source for phones; the image inside is for pages."""
    address = posixpath.join(translator.builder.imgpath, quote(node["phone"]))
    translator.body.append(f'<picture><source media="{MEDIA}" srcset="{address}" />')


def depart_picture(translator: Any, node: Picture) -> None:
    """Close the element."""
    translator.body.append("</picture>")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_node(Picture, html=(visit_picture, depart_picture))
    app.add_post_transform(PhoneLayouts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
