"""Sphinx extension: details of the pages that Jupyter Book, MyST-NB and docutils leave to be improved."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata

from chroma.palette import resolution_colour

RESOLUTION = re.compile(r"(\d+)×\1")


class ResolutionSwatches(SphinxPostTransform):
    """Put the colour of a resolution before its name in tables."""

    default_priority = 970  # after all cells have their final contents
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Insert a swatch into each cell that holds a resolution alone."""
        for entry in self.document.findall(nodes.entry):
            paragraph = entry.next_node(nodes.paragraph)
            match = RESOLUTION.fullmatch(entry.astext().strip())
            if paragraph is not None and match:
                colour = resolution_colour(int(match[1]))
                swatch = f'<span class="swatch" style="background: {colour}" aria-hidden="true"></span>'
                paragraph.insert(0, nodes.raw("", swatch, format="html"))


class PlainCheckMarks(SphinxPostTransform):
    """Replace the emoji by which MyST-NB's table of executions marks success with a sign that every font has."""

    default_priority = 970

    def run(self, **kwargs: Any) -> None:
        """Replace each text that is the emoji."""
        for text in list(self.document.findall(nodes.Text)):
            if text == "✅" and text.parent is not None:
                text.parent.replace(text, nodes.Text("✓"))


def remove_list_role(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Remove the role "list" from a bibliography: docutils gives it no list items, which confuses screen readers."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


def name_toggles(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Name the buttons that show the pages below another one in the sidebar: the theme gives them an icon alone."""
    generate = context.get("generate_toctree_html")
    if generate is not None:
        context["generate_toctree_html"] = lambda *arguments, **options: str(generate(*arguments, **options)).replace(
            "<summary>", '<summary aria-label="Pages below this one">'
        )


def drop_thebe(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Drop sphinx-thebe, which Jupyter Book always adds: a script on another host, for kernels the book has not."""

    def is_thebe(script: Any) -> bool:
        body = (getattr(script, "attributes", None) or {}).get("body") or ""
        return "THEBE_JS_URL" in body or str(getattr(script, "filename", script)).endswith("sphinx-thebe.js")

    context["script_files"] = [script for script in context.get("script_files", []) if not is_thebe(script)]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx; the theme and other extensions come first, whose work the last two change."""
    app.add_post_transform(ResolutionSwatches)
    app.add_post_transform(PlainCheckMarks)
    app.connect("html-page-context", remove_list_role)
    app.connect("html-page-context", name_toggles, priority=900)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
