"""Sphinx extension: a figure of another page, with its caption (``{excerpt} page figure``).

The figure is known only after its page has been executed. Until then a placeholder stands in its place, which a
post-transform replaces.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

log = logging.getLogger(__name__)


class BorrowedFigure(nodes.General, nodes.Element):
    """Stand where the figure `figure` of the page `page` is inserted."""


class Excerpt(SphinxDirective):
    """Show a figure of another page; the arguments are the name of the page and the name of the figure."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return a placeholder."""
        self.env.note_reread()  # the figure changes with its page
        page, figure = self.arguments
        return [BorrowedFigure(page=f"book/{page}", figure=figure)]


class BorrowedFigures(SphinxPostTransform):
    """Replace each placeholder by a copy of its figure, or warn and remove it if there is no such figure."""

    default_priority = 3  # before MyST-NB chooses among the formats of an output (4)

    def run(self, **kwargs: Any) -> None:
        """Insert the figures."""
        for placeholder in list(self.document.findall(BorrowedFigure)):
            figure = self.find_figure(placeholder["page"], placeholder["figure"])
            if figure is None:
                page, name = placeholder["page"], placeholder["figure"]
                log.warning("%s has no figure %s to show", page, name, location=self.env.docname)
                placeholder.parent.remove(placeholder)
            else:
                placeholder.replace_self(figure)

    def find_figure(self, page: str, name: str) -> nodes.figure | None:
        """Return a copy of a figure with an id of its own, or None if the page has no such figure."""
        if page not in self.env.found_docs:
            return None
        figures = self.env.get_doctree(page).findall(nodes.figure)
        original = next((figure for figure in figures if name in figure["ids"]), None)
        if original is None:
            return None
        figure = original.deepcopy()
        figure["ids"] = [f"excerpt-{name}"]
        return figure


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_node(BorrowedFigure)
    app.add_directive("excerpt", Excerpt)
    app.add_post_transform(BorrowedFigures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
