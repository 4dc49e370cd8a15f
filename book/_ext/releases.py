"""Sphinx extension: launch buttons on each notebook of a release, and the whole book as one archive.

The buttons appear where a release is published, which the workflow says by GITHUB_REPOSITORY (owner/name) and
GITHUB_REF_NAME (the release's tag); elsewhere there is nowhere for them to lead. The archive is written by every
build, beside the pages, with its SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

ARCHIVE_NAME = "resolution-chromatography"
NEEDS_REPOSITORY = {"speed"}  # pages that run scripts of the repository, which Colab does not have


def notebook_branch(release: str) -> str:
    """Return the branch with the notebooks of a release (``book/_tools/notebooks.py`` writes them)."""
    return f"notebooks-{release}"


def addresses(repository: str, release: str, page: str) -> dict[str, str]:
    """Return where Binder and Colab open the notebook of a page.

    Args:
        repository: owner/name on GitHub.
        release: The release's tag.
        page: The name of the page.

    Returns:
        The address at each place that can run the page.
    """
    branch = notebook_branch(release)
    binder = f"https://mybinder.org/v2/gh/{repository}/{branch}?urlpath=lab/tree/notebooks/{page}.ipynb"
    if page in NEEDS_REPOSITORY:
        return {"Binder": binder}
    colab = f"https://colab.research.google.com/github/{repository}/blob/{branch}/notebooks/{page}.ipynb"
    return {"Binder": binder, "Colab": colab}


def add_buttons(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add a menu of the places that run a page, on the pages that have code to run."""
    repository, release = (os.environ.get(f"GITHUB_{name}", "") for name in ("REPOSITORY", "REF_NAME"))
    is_tag = os.environ.get("GITHUB_REF_TYPE") == "tag"
    if not (repository and release and is_tag and "kernelspec" in app.env.metadata.get(pagename, {})):
        return
    buttons = [
        {"type": "link", "text": place, "tooltip": f"Run this page on {place}", "icon": "fas fa-play", "url": address}
        for place, address in addresses(repository, release, pagename.removeprefix("book/")).items()
    ]
    menu = {"type": "group", "tooltip": "Run this page", "icon": "fas fa-rocket", "buttons": buttons}
    context["header_buttons"].append(menu | {"label": "launch-buttons"})


def pack(site: Path) -> Path:
    """Write all files of a built site into one archive beside them, and the archive's SHA-256.

    Args:
        site: The folder of the built site.

    Returns:
        The archive, whose bytes are the same for the same site.
    """
    archive = site / f"{ARCHIVE_NAME}.zip"
    left_out = {archive, archive.with_suffix(".zip.sha256")}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(file for file in site.rglob("*") if file.is_file() and file not in left_out):
            entry = zipfile.ZipInfo(f"{ARCHIVE_NAME}/{file.relative_to(site).as_posix()}")
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.with_suffix(".zip.sha256").write_text(f"{digest}  {archive.name}\n", encoding="utf-8")
    return archive


def pack_site(app: Sphinx, exception: Exception | None) -> None:
    """Pack the site that was just built."""
    if not exception and app.builder.format == "html":
        pack(Path(app.outdir))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx; the archive is written before the checks, which follow the links to it."""
    app.connect("html-page-context", add_buttons, priority=950)
    app.connect("build-finished", pack_site, priority=800)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
