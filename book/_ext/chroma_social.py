"""Sphinx extension: what other sites show of a link to a page, its title, its first sentences and a picture."""

from __future__ import annotations

import os
import re
from html import escape, unescape
from textwrap import shorten
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

CARD = "_static/card.png"  # made by book/_tools/social_card.py
CARD_TEXT = "A noisy photograph of a kingfisher, averaged to fewer and fewer pixels: the bird appears."
LENGTH = 200  # characters of a description that sites show at most


def site_address() -> str:
    """Return where the site is published, or nothing for a build that is not published.

    The address follows from GITHUB_REPOSITORY (owner/name), which the workflow sets.
    """
    owner, _, name = os.environ.get("GITHUB_REPOSITORY", "").partition("/")
    return f"https://{owner}.github.io/{name}/" if name else ""


def description(doctree: nodes.document | None) -> str:
    """Return the first paragraph of a page, shortened; nothing for a page without one."""
    if doctree is None:
        return ""
    paragraphs = (node for node in doctree.findall(nodes.paragraph) if isinstance(node.parent, nodes.section))
    first = next(paragraphs, None)
    # formulas come as LaTeX
    words = "" if first is None else re.sub(r"\\([a-zA-Z]+)|[{}]", r"\1", first.astext())
    return shorten(words, LENGTH, placeholder=" …")


def add_card(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add the description and the card to the head of a page. Without a published address the picture is relative."""
    site = site_address()
    words = description(doctree) or app.config.project
    tags = {
        "og:type": "article",
        "og:site_name": app.config.project,
        "og:title": unescape(re.sub(r"<[^>]+>", "", context.get("title", app.config.project))),
        "og:description": words,
        "og:image": site + CARD if site else context["pathto"](CARD, 1),
        "og:image:alt": CARD_TEXT,
        "twitter:card": "summary_large_image",
    }
    if site:
        tags["og:url"] = f"{site}{pagename}.html"
    lines = [f'<meta name="description" content="{escape(words)}" />']
    lines += [f'<meta property="{name}" content="{escape(content)}" />' for name, content in tags.items()]
    context["metatags"] = context.get("metatags", "") + "\n".join(lines)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.connect("html-page-context", add_card)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
