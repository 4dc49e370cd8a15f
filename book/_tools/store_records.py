"""Store what the last build of the book measured: ``python book/_tools/store_records.py``, or ``make reference``.

Run it once every change has been looked at. The values of the claims go to book/claims.yml, those of the claims of
other works to book/neighbours.yml, and the data behind each figure goes to tests/reference/<figure>.json.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import yaml

from chroma.notebook.settings import SETTINGS, Settings

sys.path.append(str(Path(__file__).parents[1] / "_ext"))

import neighbours
import records

REFERENCE = records.ROOT / "tests" / "reference"
KEYS = (
    *("id", "type", "where", "claim", "expected", "value", "stderr", "count", "tolerance", "verdict", "page"),
    *("because", "note"),
)


def rounded(number: float | None) -> float | None:
    """Round a number to five significant digits."""
    return None if number is None else float(f"{number:.5g}")


def store_claims(executed: Path) -> None:
    """Write the measured values into book/claims.yml; the rest of the ledger stays as it is."""
    comments = re.match(r"(#.*\n)*", records.CLAIMS.read_text(encoding="utf-8"))
    entries = records.with_values(records.ledger(), executed)
    for entry in entries:
        entry |= {"value": rounded(entry["value"]), "stderr": rounded(entry["stderr"])}
    ordered = [{key: entry[key] for key in KEYS if key in entry} for entry in entries]
    text = "\n".join(yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=110) for entry in ordered)
    records.CLAIMS.write_text(f"{comments[0] if comments else ''}\n{text}", encoding="utf-8")


def store_neighbours(executed: Path) -> None:
    """Write the values of the claims of other works into book/neighbours.yml, if their page was executed."""
    if not records.glued(executed, "neighbour"):
        return
    comments = re.match(r"(#.*\n)*", neighbours.LEDGER.read_text(encoding="utf-8"))
    entries = neighbours.with_values(neighbours.ledger(), executed)
    for entry in entries:
        entry |= {"value": rounded(entry["value"]), "stderr": rounded(entry["stderr"])}
    text = "\n".join(yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=110) for entry in entries)
    neighbours.LEDGER.write_text(f"{comments[0] if comments else ''}\n{text}", encoding="utf-8")


def store_figure_data(executed: Path) -> None:
    """Write the data behind each figure into tests/reference, in place of what is there."""
    REFERENCE.mkdir(exist_ok=True)
    for stale in REFERENCE.glob("*.json"):
        stale.unlink()
    for name, (page, data) in records.numbers(executed, "data").items():
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(series)}" for key, series in data.items())
        (REFERENCE / f"{name}.json").write_text(f'{{\n  "page": "{page}",\n{lines}\n}}\n', encoding="utf-8")


def store(executed: Path = records.EXECUTED) -> None:
    """Store the values of the claims, also of other works, and the data behind the figures.

    Args:
        executed: The folder of the executed pages.

    Raises:
        ValueError: CHROMA_* variables select other settings than the book's own.
    """
    if Settings() != SETTINGS:
        raise ValueError(f"CHROMA_* variables select {SETTINGS}: unset them, build the book and store its own values")
    store_claims(executed)
    store_neighbours(executed)
    store_figure_data(executed)


if __name__ == "__main__":
    store()
