"""The ledger of claims: each verdict agrees with its value, and each value is the one that its page measures."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import records

ROOT = Path(__file__).parents[1]

LEDGER = records.ledger()
BY_ID = {entry["id"]: entry for entry in LEDGER}
EXECUTED = records.EXECUTED
MEASURED = [entry for entry in LEDGER if entry["verdict"] != "needs-model"]

# A value that a network generates may differ between processors, because every step of a trajectory is rounded. The
# value has to be within four standard errors of the stored one or, if there is no error, within a tenth of it.
MAX_ERRORS, MAX_RELATIVE = 4.0, 0.1


def entry_id(entry):
    return entry["id"]


@cache
def measured():
    """The entries of the ledger, by id, with the values of the book that was just built."""
    return {entry["id"]: entry for entry in records.with_values(LEDGER, EXECUTED)}


def test_the_ledger_has_at_least_25_claims_with_all_keys_and_unique_ids():
    assert len(LEDGER) >= 25
    assert len(BY_ID) == len(LEDGER)
    wanted = {"id", "where", "claim", "expected", "value", "stderr", "count", "tolerance", "verdict", "page"}
    for entry in LEDGER:
        assert wanted <= entry.keys() <= wanted | {"note"}, entry["id"]
        assert entry["verdict"] in records.VERDICTS, entry["id"]
        assert entry["tolerance"] >= 0, entry["id"]
        assert (ROOT / "book" / f"{entry['page']}.md").is_file(), entry["id"]


@pytest.mark.parametrize("entry", MEASURED, ids=entry_id)
def test_a_verdict_agrees_with_the_stored_value(entry):
    is_met = records.meets(entry)
    assert is_met == (entry["verdict"] in ("holds", "caveat")), f"{entry['value']} for {entry['expected']}"
    assert entry["verdict"] != "caveat" or entry.get("note"), "a caveat needs a note"
    # a bound is met, or missed, by more than two standard errors
    if entry["stderr"] and str(entry["expected"])[0] in "<>":
        bound = float(str(entry["expected"])[1:])
        assert abs(entry["value"] - bound) > 2 * entry["stderr"]


@pytest.mark.parametrize("entry", [e for e in LEDGER if e["verdict"] == "needs-model"], ids=entry_id)
def test_what_needs_a_model_has_no_value(entry):
    assert entry["value"] is None and entry["stderr"] is None and entry["count"] is None


@pytest.mark.usefixtures("site")
def test_every_claim_is_measured_on_the_page_that_it_names_and_no_other_is():
    recorded = records.glued(EXECUTED, "claim")
    assert {name: page for name, (page, _) in recorded.items()} == {e["id"]: e["page"] for e in MEASURED}


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("entry", MEASURED, ids=entry_id)
def test_the_book_just_built_measured_the_stored_value(entry):
    new = measured()[entry["id"]]
    assert records.meets(new) == records.meets(entry), new
    leeway = MAX_ERRORS * entry["stderr"] if entry["stderr"] else MAX_RELATIVE * abs(entry["value"])
    advice = f"the book measured {new['value']} (n = {new['count']}); if that is intended, `make reference` stores it"
    # differences of rounding errors mean nothing below the tolerance
    assert abs(new["value"] - entry["value"]) <= max(leeway, entry["tolerance"]), advice
    assert new["count"] == entry["count"], advice


@pytest.mark.usefixtures("site")
def test_the_page_of_claims_publishes_every_one_with_its_verdict():
    html = (ROOT / "_build/html/book/claims.html").read_text(encoding="utf-8")
    for entry in LEDGER:
        row = re.search(rf'<tr[^>]*id="claim-{re.escape(entry["id"])}".*?</tr>', html, re.S)
        assert row, entry["id"]
        assert entry["verdict"].replace("-", " ") in row[0], entry["id"]
        assert "—" not in row[0] or entry["verdict"] == "needs-model", entry["id"]


@pytest.mark.parametrize(
    ("expected", "value", "tolerance", "met"),
    [
        (4, 4.009, 0.01, True),
        (4, 4.02, 0.01, False),
        (0, 1e-12, 1e-9, True),
        ("< 0.1", 0.09, 0.0, True),
        ("< 0.1", 0.11, 0.0, False),
        ("> -2", -1.0, 0.0, True),
        ("> 1", 0.95, 0.1, True),
    ],
)
def test_what_is_expected_is_a_number_or_a_bound(expected, value, tolerance, met):
    assert records.meets({"expected": expected, "value": value, "tolerance": tolerance}) == met
