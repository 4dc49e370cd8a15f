"""Sphinx extension: the claims of other works about one topic as a table (``{neighbours} topic``).

A value is known only after the page has been executed. Until then a placeholder stands in its cell, which a
post-transform replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import neighbours
import records
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

log = logging.getLogger(__name__)

COLUMNS = {"claim, and its place": 52, "expected": 13, "computed here": 17, "verdict": 18}  # title: width


class ComputedValue(nodes.General, nodes.Element):
    """Stand where the computed value of the claim `claim` is inserted."""


class Neighbours(SphinxDirective):
    """Show the claims about one topic as a table, one row per claim."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.env.note_dependency(str(neighbours.LEDGER))
        self.env.note_reread()  # its values change with the execution of the page
        topic = self.arguments[0]
        entries = [entry for entry in neighbours.ledger() if entry["topic"] == topic]
        if not entries:
            raise self.error(f"book/neighbours.yml has no claim of the topic {topic!r}")
        group = nodes.tgroup("", cols=len(COLUMNS))
        group += [nodes.colspec(colwidth=width) for width in COLUMNS.values()]
        group += nodes.thead("", _row(*([nodes.paragraph("", title)] for title in COLUMNS)))
        group += nodes.tbody("", *(self.claim_row(entry) for entry in entries))
        return [nodes.table("", group, classes=["claims"])]

    def claim_row(self, entry: dict[str, Any]) -> nodes.row:
        """Return the row of one claim, with a placeholder for its value."""
        unseen = "" if entry["confirmed"] else " (place not confirmed)"
        place = f"{{cite:t}}`{entry['work']}`, {entry['place']}{unseen}. Here: {entry['ours']}."
        bound = f"Tolerance: {entry['because']}" if entry["tolerance"] else f"Bound: {entry['because']}"
        parts = [entry["claim"], place, bound, *([entry["note"]] if "note" in entry else [])]
        verdict = records.VERDICTS[entry["verdict"]]
        classes = ["verdict", entry["verdict"].replace(" ", "-")]
        row = _row(
            self.parse_text_to_nodes("\n\n".join(parts)),
            [nodes.paragraph("", neighbours.expectation(entry))],
            [ComputedValue(claim=entry["id"])],
            [nodes.paragraph("", f"{verdict.sign} {verdict.name}", classes=classes)],
        )
        row["ids"].append(f"neighbour-{entry['id']}")
        return row


def _row(*cells: Sequence[nodes.Node]) -> nodes.row:
    """Return a row of a table."""
    return nodes.row("", *(nodes.entry("", *cell) for cell in cells))


class ComputedValues(SphinxPostTransform):
    """Replace each placeholder by the value that the page computed."""

    default_priority = 3  # before cross-references are resolved

    def run(self, **kwargs: Any) -> None:
        """Read the values if the document has placeholders, and insert them."""
        placeholders = list(self.document.findall(ComputedValue))
        if not placeholders:
            return
        entries = neighbours.with_values(neighbours.ledger(), _executed(self.env))
        values = {entry["id"]: neighbours.measurement(entry) for entry in entries}
        for placeholder in placeholders:
            placeholder.replace_self(nodes.paragraph("", values[placeholder["claim"]]))


def check_ledger(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each value that a page records for a claim of another work that book/neighbours.yml does not list."""
    recorded = records.glued(_executed(env), "neighbour")
    if not recorded:
        return
    listed = {entry["id"] for entry in neighbours.ledger()}
    for claim, (page, _) in recorded.items():
        if claim not in listed:
            log.warning("%s records the claim %s of another work: book/neighbours.yml needs an entry", page, claim)


def _executed(env: BuildEnvironment) -> Path:
    """Return the folder into which MyST-NB writes the executed pages."""
    return Path(env.mystnb_config.output_folder)  # type: ignore[attr-defined]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_node(ComputedValue)
    app.add_directive("neighbours", Neighbours)
    app.add_post_transform(ComputedValues)
    app.connect("env-updated", check_ledger)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
