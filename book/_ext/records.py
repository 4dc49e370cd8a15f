"""Read the values that executed pages recorded (`chroma.notebook.record`), and the ledger of claims.

No extension in itself: the extensions and the scripts in ``book/_tools`` import it.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "book" / "claims.yml"
EXECUTED = ROOT / "_build" / "jupyter_execute"


class Verdict(NamedTuple):
    """A verdict on a claim: its sign and name in the table, and the predicates in "1 holds" and "25 hold"."""

    sign: str
    name: str
    of_one: str
    of_many: str

    def predicate(self, count: int) -> str:
        """Return the number of rows with this verdict and the predicate, such as "25 hold"."""
        return f"{count or 'none'} {self.of_many if count > 1 else self.of_one}"


VERDICTS = {
    "holds": Verdict("✓", "holds", "holds", "hold"),
    "caveat": Verdict("≈", "holds with a caveat", "holds with a caveat", "hold with a caveat"),
    "contradicted": Verdict("✗", "contradicted", "is contradicted", "are contradicted"),
    "not reproduced": Verdict("≠", "not reproduced", "is not reproduced", "are not reproduced"),
    "needs-model": Verdict("?", "needs a model", "needs a model", "need a model"),
}
MET = ("holds", "caveat")  # the verdicts on a value that is as expected

TYPES = {  # type of a row: what one and many of them are called in a sentence
    "re-run": ("repeated experiment", "repeated experiments"),
    "ours": ("question of the book", "questions of the book"),
    "algebra": ("derivation", "derivations"),
    "package check": ("check of the code", "checks of the code"),
    "erratum": ("misprint", "misprints"),
}
EVIDENCE = ("re-run", "ours")  # a measurement decides these; the others cannot come out otherwise
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


def summary(entries: list[dict[str, Any]]) -> str:
    """Return two sentences: the verdicts on the rows of evidence, and the numbers of the other rows.

    Args:
        entries: Entries of the ledger.
    """
    types = Counter(entry["type"] for entry in entries)
    verdicts = Counter(entry["verdict"] for entry in entries if entry["type"] in EVIDENCE)
    total = sum(verdicts.values())
    found = _listed([verdict.predicate(verdicts[name]) for name, verdict in VERDICTS.items()])
    others = _listed([f"{types[name]} {TYPES[name][types[name] != 1]}" for name in TYPES if name not in EVIDENCE])
    return (
        f"Of {total} row{'s' if total != 1 else ''} of evidence, {found} that this book does not have. "
        f"The ledger also has {others}, which no measurement decides and which do not count as evidence."
    )


def _listed(parts: list[str]) -> str:
    """Join the parts of a list in a sentence."""
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


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
