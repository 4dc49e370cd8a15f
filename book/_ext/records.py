"""Read the values that executed pages recorded (`chroma.notebook.record`), and the ledger of claims.

No extension in itself: the extensions and the scripts in ``book/_tools`` import it.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "book" / "claims.yml"
EXECUTED = ROOT / "_build" / "jupyter_execute"


class Verdict(NamedTuple):
    """A verdict on a claim: its sign in the table, and the verb in "25 hold"."""

    sign: str
    verb: str


VERDICTS = {
    "holds": Verdict("✓", "hold"),
    "caveat": Verdict("≈", "hold with a caveat"),
    "fails": Verdict("✗", "fail"),
    "needs-model": Verdict("?", "need a model"),
}
MEASURED = ("value", "stderr", "count")


def values(file: Path) -> dict[str, Any]:
    """Read what an executed page glued, apart from pictures.

    Args:
        file: The <page>.glue.json that MyST-NB wrote.

    Returns:
        The values by their names.
    """
    outputs = {name: output["data"] for name, output in json.loads(file.read_text(encoding="utf-8")).items()}
    return {name: ast.literal_eval(data["text/plain"]) for name, data in outputs.items() if "image/png" not in data}


def glued(folder: Path, kind: str) -> dict[str, tuple[str, str]]:
    """Read all records of one kind.

    Args:
        folder: Where the executed pages are.
        kind: "claim", "data" (behind a figure) or "made" (what made a figure).

    Returns:
        The page and the text of each record by its name.

    Raises:
        ValueError: Two pages recorded the same name.
    """
    records: dict[str, tuple[str, str]] = {}
    for file in sorted(folder.rglob("*.glue.json")):
        page = file.name.split(".")[0]
        for key, value in values(file).items():
            if not key.startswith(f"{kind} "):
                continue
            name = key.removeprefix(f"{kind} ")
            if name in records:
                raise ValueError(f"{kind} {name!r} is recorded by two pages, {records[name][0]} and {page}: rename one")
            records[name] = page, value
    return records


def numbers(folder: Path, kind: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Read the records of the kinds "claim" or "data" as numbers: the page and the numbers of each by its name."""
    return {name: (page, json.loads(text)) for name, (page, text) in glued(folder, kind).items()}


def ledger() -> list[dict[str, Any]]:
    """Read the entries of book/claims.yml in their order."""
    return yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))


def with_values(entries: list[dict[str, Any]], executed: Path) -> list[dict[str, Any]]:
    """Return the entries of the ledger with the values that the pages executed into `executed` recorded."""
    claims = numbers(executed, "claim")
    return [entry | {key: claims.get(entry["id"], ("", {}))[1].get(key) for key in MEASURED} for entry in entries]


def meets(entry: dict[str, Any]) -> bool:
    """Return whether the value of a claim is as expected within its tolerance.

    Args:
        entry: An entry of the ledger, whose `expected` is a number or a bound: "4", "< 0.1" or "> 2".

    Raises:
        ValueError: `expected` has another form.
    """
    match = re.fullmatch(r"([<>]?)\s*(-?[\d.]+(?:e-?\d+)?)", str(entry["expected"]))
    if match is None:
        raise ValueError(f"{entry['id']}: expected is {entry['expected']!r}; use a number or a bound such as '< 0.1'")
    value, expected, tolerance = entry["value"], float(match[2]), entry["tolerance"]
    match match[1]:
        case "<":
            return value < expected + tolerance
        case ">":
            return value > expected - tolerance
        case _:
            return abs(value - expected) <= tolerance
