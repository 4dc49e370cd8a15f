"""What the executed pages put on record (`chroma.record`), read back; and the stored values that it is compared with.

    python book/_ext/records.py     after a build whose changes have been looked at: store its values (make reference)

Writes the values into book/claims.yml, and the data behind each figure into tests/reference/<figure>.json.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from pathlib import Path

import yaml

from chroma.settings import SETTINGS, Settings

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "book" / "claims.yml"
REFERENCE = ROOT / "tests" / "reference"
EXECUTED = ROOT / "_build" / "jupyter_execute"

KEYS = ("id", "where", "claim", "expected", "value", "stderr", "count", "tolerance", "verdict", "page", "note")
# verdict: (its sign, how a number of such claims is told)
VERDICTS = {
    "holds": ("✓", "hold"),
    "caveat": ("≈", "hold with a caveat"),
    "fails": ("✗", "fail"),
    "needs-model": ("?", "need a model"),
}
MEASURED = ("value", "stderr", "count")
RELATIONS = {"": lambda x, y, t: abs(x - y) <= t, "<": lambda x, y, t: x < y + t, ">": lambda x, y, t: x > y - t}


def values(file: Path) -> dict[str, object]:
    """{name: value} of what an executed page glued, as its <page>.glue.json has it: all but pictures."""
    outputs = {name: output["data"] for name, output in json.loads(file.read_text(encoding="utf-8")).items()}
    return {name: ast.literal_eval(data["text/plain"]) for name, data in outputs.items() if "image/png" not in data}


@functools.cache
def glued(folder: Path, kind: str) -> dict[str, tuple[str, str]]:
    """{name: (page, text)} of all records of a kind, "claim", "data" or "made", in the pages executed into `folder`."""
    found = {}
    for file in sorted(folder.rglob("*.glue.json")):
        for key, value in values(file).items():
            if key.startswith(f"{kind} "):
                name, page = key.removeprefix(f"{kind} "), file.name.split(".")[0]
                if name in found:
                    raise ValueError(
                        f"{kind} {name!r} must be recorded by one page; it is by {found[name][0]} and {page}"
                    )
                found[name] = page, value
    return found


def numbers(folder: Path, kind: str) -> dict[str, tuple[str, dict]]:
    """{name: (page, numbers)} of the claims, or of the data behind figures."""
    return {name: (page, json.loads(text)) for name, (page, text) in glued(folder, kind).items()}


def ledger() -> list[dict]:
    """The entries of book/claims.yml, in its order."""
    return yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))


def with_values(entries: list[dict], executed: Path) -> list[dict]:
    """The entries with the values that the pages executed into `executed` put on record."""
    claims = numbers(executed, "claim")
    return [entry | {key: claims.get(entry["id"], ("", {}))[1].get(key) for key in MEASURED} for entry in entries]


def meets(entry: dict) -> bool:
    """Whether a claim's value is what is expected: "4", "< 0.1" or "> 2", to within its tolerance."""
    match = re.fullmatch(r"([<>]?)\s*(-?[\d.]+(?:e-?\d+)?)", str(entry["expected"]))
    if match is None:
        raise ValueError(
            f"expected of {entry['id']} must be a number or a bound such as '< 0.1', got {entry['expected']!r}"
        )
    relation, bound = match.groups()
    return RELATIONS[relation](entry["value"], float(bound), entry["tolerance"])


def rounded(number: float | None) -> float | None:
    """A number to five significant digits, for the files that are kept."""
    return None if number is None else float(f"{number:.5g}")


def store(executed: Path = EXECUTED) -> None:
    """Write what was measured into book/claims.yml and tests/reference; the rest of the ledger stays as it is.

    Raises ValueError where CHROMA_* variables ask for another run than the book's own.
    """
    if Settings() != SETTINGS:
        raise ValueError(f"CHROMA_* variables must not be set, to store the book's own values; they say {SETTINGS}")
    head = re.match(r"(#.*\n)*", CLAIMS.read_text(encoding="utf-8"))[0]
    entries = with_values(ledger(), executed)
    for entry in entries:
        entry |= {"value": rounded(entry["value"]), "stderr": rounded(entry["stderr"])}
    ordered = [{key: entry[key] for key in KEYS if key in entry} for entry in entries]
    text = "\n".join(yaml.safe_dump([one], sort_keys=False, allow_unicode=True, width=110) for one in ordered)
    CLAIMS.write_text(f"{head}\n{text}", encoding="utf-8")
    REFERENCE.mkdir(exist_ok=True)
    for stale in REFERENCE.glob("*.json"):
        stale.unlink()
    for name, (page, data) in numbers(executed, "data").items():
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(values)}" for key, values in data.items())
        (REFERENCE / f"{name}.json").write_text(f'{{\n  "page": "{page}",\n{lines}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    store()
