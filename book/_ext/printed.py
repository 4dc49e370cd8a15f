"""Sphinx extension: the book as a PDF (``make pdf``), where LaTeX needs something else than a browser does."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata

LINE_LENGTH = 90  # characters of a page's line


class ForLaTeX(SphinxPostTransform):
    """Change a document for LaTeX alone, after it is complete and before mentions become links."""

    default_priority = 960
    formats = ("latex",)


class KeepTags(ForLaTeX):
    r"""Let LaTeX set each \tag: Sphinx puts equations into ``split``, where none may stand."""

    def run(self, **kwargs: Any) -> None:
        """Put each tagged equation into an environment of its own."""
        for block in self.document.findall(nodes.math_block):
            if r"\tag{" in block.astext() and not block.get("nowrap"):
                block.children = [nodes.Text(f"\\begin{{equation*}}\n{block.astext().strip()}\n\\end{{equation*}}")]
                block["nowrap"] = True


class FitTables(ForLaTeX):
    """Give the columns of wide tables a width; LaTeX breaks lines only in columns that have one."""

    def run(self, **kwargs: Any) -> None:
        """Set the widths in proportion to the longest contents."""
        for table in self.document.findall(nodes.table):
            if "colwidths-auto" not in table["classes"]:  # the author gave the widths
                table["classes"].append("colwidths-given")
                continue
            lengths = [[len(entry.astext()) for entry in row.findall(nodes.entry)] for row in table.findall(nodes.row)]
            longest = [max(column) for column in zip(*lengths, strict=True)]
            if sum(longest) > LINE_LENGTH:
                table["classes"] = ["colwidths-given"]
                for column, length in zip(table.findall(nodes.colspec), longest, strict=True):
                    column["colwidth"] = min(max(length, 8), LINE_LENGTH // 2)


class SpellAddresses(ForLaTeX):
    """Show an address as it is, %20 and all: LaTeX breaks an address over lines only if its text is the address."""

    def run(self, **kwargs: Any) -> None:
        """Replace the text of each link whose text is its decoded address."""
        for link in self.document.findall(nodes.reference):
            if "refuri" in link and link.astext() == unquote(link["refuri"]):
                link.children = [nodes.Text(link["refuri"])]


class RemoveExplorer(ForLaTeX):
    """Remove the explorer; the page has a still picture for paper."""

    def run(self, **kwargs: Any) -> None:
        """Remove the cells with the tag `explorer`."""
        for cell in list(self.document.findall(nodes.container)):
            if "tag_explorer" in cell["classes"]:
                cell.parent.remove(cell)


def leave_figures_unnumbered(app: Sphinx, config: Config) -> None:
    """Switch off Sphinx's numbers of figures, which Jupyter Book switches on: titles carry the paper's numbers."""
    config["numfig"] = False


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx; figures are left unnumbered after Jupyter Book has set its own option."""
    for transform in (KeepTags, FitTables, SpellAddresses, RemoveExplorer):
        app.add_post_transform(transform)
    app.connect("config-inited", leave_figures_unnumbered, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
