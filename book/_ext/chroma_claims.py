"""Sphinx extension: the ledger of claims as tables, with the values that the pages measured.

``{claims} ours`` shows the rows of the type "ours", ``{claims}`` all rows. ``{claims-summary}`` shows in two sentences
how many rows have which verdict.

A value is known only after every page has been executed. Until then a placeholder stands in its cell, which a
post-transform replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import records
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from chroma.notebook.settings import SETTINGS, Settings

log = logging.getLogger(__name__)

COLUMNS = {"claim, and its place in the paper": 46, "expected": 14, "measured": 18, "verdict": 22}  # title: width


class MeasuredValue(nodes.General, nodes.Element):
    """Stand where the measured value of the claim `claim` is inserted."""


class Claims(SphinxDirective):
    """Show the rows of one type, or all rows, as a table."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.env.note_dependency(str(records.CLAIMS))
        self.env.note_reread()  # its values change with other pages
        wanted = self.arguments or list(records.TYPES)
        ledger = [entry for entry in records.ledger() if entry["type"] in wanted]
        if not ledger:
            raise self.error(f"book/claims.yml has no rows of the type {wanted[0]!r}; use one of {list(records.TYPES)}")
        group = nodes.tgroup("", cols=len(COLUMNS))
        group += [nodes.colspec(colwidth=width) for width in COLUMNS.values()]
        group += nodes.thead("", _row(*([nodes.paragraph("", title)] for title in COLUMNS)))
        group += nodes.tbody("", *(self.claim_row(entry) for entry in ledger))
        return [nodes.table("", group, classes=["claims"])]

    def claim_row(self, entry: dict[str, Any]) -> nodes.row:
        """Return the row of one claim, with a placeholder for its value."""
        tolerance = f" ± {entry['tolerance']:g}" if entry["tolerance"] else ""
        parts = [entry["claim"], f"*{entry['where']}*", *([entry["note"]] if "note" in entry else [])]
        if "because" in entry:
            parts.append(f"Why this {'tolerance' if tolerance else 'bound'}: {entry['because']}")
        verdict = records.VERDICTS[entry["verdict"]]
        classes = ["verdict", entry["verdict"].replace(" ", "-")]
        link = self.parse_text_to_nodes(f"[{entry['page']}]({entry['page']}.md)") if entry.get("page") else []
        row = _row(
            self.parse_text_to_nodes("\n\n".join(parts)),
            [nodes.paragraph("", f"{entry['expected']}{tolerance}")],
            [MeasuredValue(claim=entry["id"])],
            [nodes.paragraph("", f"{verdict.sign} {verdict.name}", classes=classes), *link],
        )
        row["ids"].append(f"claim-{entry['id']}")
        return row


def _row(*cells: Sequence[nodes.Node]) -> nodes.row:
    """Return a row of a table."""
    return nodes.row("", *(nodes.entry("", *cell) for cell in cells))


class ClaimsSummary(SphinxDirective):
    """Show how many rows have which verdict.

    A book that was built with other settings than its own does not measure what the verdicts are about, and shows that.
    """

    def run(self) -> list[nodes.Node]:
        """Return the sentences."""
        self.env.note_dependency(str(records.CLAIMS))
        text = records.summary(records.ledger())
        if Settings() != SETTINGS:
            text = "**This book was built with settings of its own: the verdicts are not about these values.**"
        return self.parse_text_to_nodes(text)


def format_value(entry: dict[str, Any]) -> str:
    """Format the measured value of a claim, such as "0.953 ± 0.011 (n = 500)"; a dash if nothing was measured."""
    value = entry["value"]
    if value is None:
        return "—"
    error = f" ± {entry['stderr']:.2g}" if entry["stderr"] else ""
    count = f" (n = {entry['count']:,})" if entry["count"] else ""
    digits = 4 if value == 0 or abs(value) >= 1e-3 else 1  # the order of magnitude of a rounding error is enough
    return f"{value:.{digits}g}{error}{count}"


class MeasuredValues(SphinxPostTransform):
    """Replace each placeholder by the value that a page measured."""

    default_priority = 3  # before cross-references are resolved

    def run(self, **kwargs: Any) -> None:
        """Read the values if the document has placeholders, and insert them."""
        placeholders = list(self.document.findall(MeasuredValue))
        if not placeholders:
            return
        entries = {entry["id"]: entry for entry in records.with_values(records.ledger(), _executed(self.env))}
        for placeholder in placeholders:
            placeholder.replace_self(nodes.paragraph("", format_value(entries[placeholder["claim"]])))


def check_ledger(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each claim that a page records although the ledger has no entry of that name and page."""
    pages = {entry["id"]: entry["page"] for entry in records.ledger()}
    for claim, (page, _) in records.glued(_executed(env), "claim").items():
        if pages.get(claim) != page:
            log.warning("%s records the claim %s: book/claims.yml needs an entry of that id and page", page, claim)


def _executed(env: BuildEnvironment) -> Path:
    """Return the folder into which MyST-NB writes the executed pages."""
    return Path(env.mystnb_config.output_folder)  # type: ignore[attr-defined]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_node(MeasuredValue)
    app.add_directive("claims", Claims)
    app.add_directive("claims-summary", ClaimsSummary)
    app.add_post_transform(MeasuredValues)
    app.connect("env-updated", check_ledger)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
