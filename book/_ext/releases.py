"""What a published book offers to take away: launch buttons on each notebook, and the whole book as one archive.

The buttons appear where a release is published, which the workflow says by GITHUB_REPOSITORY (owner/name) and
GITHUB_REF_NAME (the release's tag); elsewhere there is nowhere for them to lead. The archive is written by every
build, beside the pages, with its SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import notebooks

NAME = "resolution-chromatography"


def addresses(repository: str, release: str, page: str) -> dict[str, str]:
    """Where Binder and Colab open the notebook of a page, at its release."""
    at = notebooks.branch(release)
    binder = f"https://mybinder.org/v2/gh/{repository}/{at}?urlpath=lab/tree/notebooks/{page}.ipynb"
    if page in notebooks.REPOSITORY_ONLY:
        return {"Binder": binder}
    colab = f"https://colab.research.google.com/github/{repository}/blob/{at}/notebooks/{page}.ipynb"
    return {"Binder": binder, "Colab": colab}


def add_buttons(app, pagename, templatename, context, doctree) -> None:
    """A menu of the places that run a page, on the pages that have code to run."""
    repository, release = (os.environ.get(f"GITHUB_{name}", "") for name in ("REPOSITORY", "REF_NAME"))
    tagged = os.environ.get("GITHUB_REF_TYPE") == "tag"
    if not (repository and release and tagged and "kernelspec" in app.env.metadata.get(pagename, {})):
        return
    buttons = [
        {"type": "link", "text": place, "tooltip": f"Run this page on {place}", "icon": "fas fa-play", "url": address}
        for place, address in addresses(repository, release, pagename.removeprefix("book/")).items()
    ]
    menu = {"type": "group", "tooltip": "Run this page", "icon": "fas fa-rocket", "buttons": buttons}
    context["header_buttons"].append(menu | {"label": "launch-buttons"})


def pack(site: Path) -> Path:
    """All files of a built site as one archive beside them, the same for the same site; its SHA-256 is written too."""
    archive = site / f"{NAME}.zip"
    beside = {archive, archive.with_suffix(".zip.sha256")}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(file for file in site.rglob("*") if file.is_file() and file not in beside):
            entry = zipfile.ZipInfo(f"{NAME}/{file.relative_to(site).as_posix()}")
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.with_suffix(".zip.sha256").write_text(f"{digest}  {archive.name}\n", encoding="utf-8")
    return archive


def pack_built(app, exception) -> None:
    """Pack the site that was just built."""
    if not exception and app.builder.format == "html":
        pack(Path(app.outdir))


def setup(app):
    """Register with Sphinx; the archive last but for the checks, which follow its links."""
    app.connect("html-page-context", add_buttons, priority=950)
    app.connect("build-finished", pack_built, priority=800)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
