"""Read the claims of other works (book/neighbours.yml) and the values that their page computed.

No extension in itself: `chroma_neighbours` and the scripts in ``book/_tools`` import it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import records
import yaml

LEDGER = records.ROOT / "book" / "neighbours.yml"
PAGE = "neighbours"


def ledger() -> list[dict[str, Any]]:
    """Read the entries of book/neighbours.yml in their order."""
    return yaml.safe_load(LEDGER.read_text(encoding="utf-8"))


def with_values(entries: list[dict[str, Any]], executed: Path) -> list[dict[str, Any]]:
    """Return the entries with the values that the page executed into `executed` recorded, or None without one."""
    measured = records.numbers(executed, "neighbour")
    empty: tuple[str, dict[str, Any]] = ("", {})
    return [
        entry | {key: measured.get(entry["id"], empty)[1].get(key) for key in records.MEASURED} for entry in entries
    ]


def expectation(entry: dict[str, Any]) -> str:
    """Write what a claim leads one to expect, such as "2 ± 0.1"."""
    tolerance = f" ± {entry['tolerance']:g}" if entry["tolerance"] else ""
    return f"{entry['expected']}{tolerance}"


def measurement(entry: dict[str, Any]) -> str:
    """Write the computed value of a claim, such as "0.953 ± 0.011 (n = 500)"; a dash without a value."""
    value = entry["value"]
    if value is None:
        return "—"
    if abs(value) < 1e-9:
        return "0"
    error = f" ± {entry['stderr']:.2g}" if entry["stderr"] else ""
    count = f" (n = {entry['count']:,})" if entry["count"] else ""
    return f"{value:.3g}{error}{count}"
