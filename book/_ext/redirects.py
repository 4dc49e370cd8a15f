"""Sphinx extension: the address of a page that was merged into another one leads there."""

from __future__ import annotations

import posixpath
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

MOVED = {"book/status": "book/running"}  # page that was -> page that has its contents
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Moved</title>
<link rel="canonical" href="{new}">
<meta http-equiv="refresh" content="0; url={new}">
</head>
<body><p>This page is now part of <a href="{new}">another page</a>.</p></body>
</html>
"""


def write_redirects(app: Sphinx, exception: Exception | None) -> None:
    """Write a page at each old address that sends the reader on."""
    if exception or app.builder.format != "html":
        return
    for old, new in MOVED.items():
        if old in app.env.found_docs or new not in app.env.found_docs:
            continue  # a page may come back, and a part of the book may be built alone
        file = Path(app.outdir) / f"{old}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(PAGE.format(new=f"{posixpath.relpath(new, posixpath.dirname(old))}.html"), encoding="utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx, before the archive of the site is packed."""
    app.connect("build-finished", write_redirects, priority=100)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
