r"""Sphinx extension: "Eq 16" and "Figure 4" in running text are links to what they name.

A displayed equation that has one of the paper's numbers (``\tag{16}``) gets an anchor, and a collector keeps the
numbers of each page in the build environment. The links are made once all pages have been read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors import EnvironmentCollector
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

log = logging.getLogger(__name__)

MENTION = re.compile(r"\b(Eqs?|Figures?|Figs?)(\s+)(B?\d+[ab]?(?:(?:, |–| and | or |, and )B?\d+[ab]?)*)\b")
OF_ANOTHER_PAPER = re.compile(r"\d{4}\)?,\s*$")  # "Song et al. 2021, Eq 33" is an equation of theirs
NUMBER = re.compile(r"(B?\d+)[ab]?")
TAG = re.compile(r"\\tag\{(B?\d+)\}")
LIST_OF_EQUATIONS = "book/equations"
NO_LINKS_WITHIN = (
    nodes.reference,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.title,
    nodes.raw,
    nodes.comment,
)


def equations_by_page(env: BuildEnvironment) -> dict[str, list[str]]:
    """Return the numbers of the equations on each page, as kept in the build environment."""
    return vars(env).setdefault("chroma_equations", {})


class EquationCollector(EnvironmentCollector):
    """Give each numbered equation an anchor and keep its number in the build environment."""

    def clear_doc(self, app: Sphinx, env: BuildEnvironment, docname: str) -> None:
        """Forget the equations of a page that is removed or read again."""
        equations_by_page(env).pop(docname, None)

    def merge_other(self, app: Sphinx, env: BuildEnvironment, docnames: Set[str], other: BuildEnvironment) -> None:
        """Take over the equations of the pages that a parallel process has read."""
        pages = equations_by_page(other)
        equations_by_page(env).update({docname: pages[docname] for docname in docnames if docname in pages})

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        """Give the equations of a page their anchors; a number that stands twice leads to the first."""
        numbers: list[str] = []
        for block in doctree.findall(nodes.math_block):
            for number in TAG.findall(block.astext()):
                if number not in numbers:
                    numbers.append(number)
                    block["ids"].append(f"eq-{number}")
        if numbers:
            equations_by_page(app.env)[app.env.docname] = numbers


class MentionLinks(SphinxPostTransform):
    """Replace each mention of an equation or a figure in running text by a link."""

    default_priority = 980  # after all text is in place and every other reference is a link

    def run(self, **kwargs: Any) -> None:
        """Replace the texts that hold mentions."""
        for text in list(self.document.findall(nodes.Text)):
            if text.parent is None or any(isinstance(node, NO_LINKS_WITHIN) for node in _ancestors(text)):
                continue
            pieces = self.linked(text)
            if len(pieces) > 1:
                text.parent.replace(text, pieces)

    def linked(self, text: str) -> list[nodes.Node]:
        """Split a text into links and the texts between them; one piece if there is nothing to link."""
        pieces: list[nodes.Node] = []
        end_of_last = 0
        for start, end, address in self.find_links(text):
            pieces.append(nodes.Text(text[end_of_last:start]))
            pieces.append(nodes.reference("", text[start:end], refuri=address, internal=True))
            end_of_last = end
        return [*pieces, nodes.Text(text[end_of_last:])]

    def find_links(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield the start, the end and the address of each link; the word belongs to the first number of a list."""
        for mention in MENTION.finditer(text):
            if OF_ANOTHER_PAPER.search(text[: mention.start()]):
                continue
            for number in NUMBER.finditer(mention[3]):
                address = self.address(mention[1], number[1])
                if address is not None:
                    start = mention.start() if number.start() == 0 else mention.start(3) + number.start()
                    yield start, mention.start(3) + number.end(), address

    def address(self, kind: str, number: str) -> str | None:
        """Return the address of an equation or a figure as seen from this page.

        Args:
            kind: The word before the number, such as "Eqs" or "Figure".
            number: A number of the paper, such as "16" or "B1".

        Returns:
            A relative address, or None for the page's own figure and for what this book does not have.
        """
        docname = self.env.docname
        if kind.startswith("Fig"):
            page = f"book/figure-{number}"
            has_link = page in self.env.found_docs and page != docname
            return self.app.builder.get_relative_uri(docname, page) if has_link else None
        pages = [page for page, numbers in equations_by_page(self.env).items() if number in numbers]
        if not pages:
            log.warning("Eq %s is on no page", number, location=docname)
            return None
        anchor = f"#eq-{number}"
        if docname in pages:
            return anchor
        # the page that explains the equation, rather than the one that lists them all
        page = min(pages, key=lambda page: (page == LIST_OF_EQUATIONS, page))
        return self.app.builder.get_relative_uri(docname, page) + anchor


def _ancestors(node: nodes.Node) -> Iterator[nodes.Node]:
    """Yield the parent of a node, its parent, and so on."""
    while node.parent is not None:
        node = node.parent
        yield node


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_env_collector(EquationCollector)
    app.add_post_transform(MentionLinks)
    return {"version": "1", "env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}
