"""The ledger of claims: each verdict is what the value says, and each value is what its page measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import records

ROOT = Path(__file__).parents[1]

LEDGER = records.ledger()
BY_ID = {entry["id"]: entry for entry in LEDGER}
EXECUTED = records.EXECUTED
MEASURED = [entry for entry in LEDGER if entry["verdict"] != "needs-model"]

# A value that a network drew may differ between processors in the rounding of every step of a trajectory. It has to
# be within four standard errors of the stored one, or, where there is no error, within a tenth of it.
ERRORS, SHARE = 4.0, 0.1


def named(entry):
    return entry["id"]


def test_the_ledger_holds_at_least_twenty_five_claims_each_with_all_its_keys_and_an_id_of_its_own():
    assert len(LEDGER) >= 25
    assert len(BY_ID) == len(LEDGER)
    wanted = {"id", "where", "claim", "expected", "value", "stderr", "count", "tolerance", "verdict", "page"}
    for entry in LEDGER:
        assert wanted <= entry.keys() <= wanted | {"note"}, entry["id"]
        assert entry["verdict"] in records.VERDICTS, entry["id"]
        assert entry["tolerance"] >= 0, entry["id"]
        assert (ROOT / "book" / f"{entry['page']}.md").is_file(), entry["id"]


@pytest.mark.parametrize("entry", MEASURED, ids=named)
def test_a_verdict_is_what_the_stored_value_says(entry):
    met = records.meets(entry)
    assert met == (entry["verdict"] in ("holds", "caveat")), f"{entry['value']} for {entry['expected']}"
    assert entry["verdict"] != "caveat" or entry.get("note"), "a caveat says what it is"
    # met, or missed, by more than chance: two standard errors, for bounds
    if entry["stderr"] and str(entry["expected"])[0] in "<>":
        bound = float(str(entry["expected"])[1:])
        assert abs(entry["value"] - bound) > 2 * entry["stderr"]


@pytest.mark.parametrize("entry", [e for e in LEDGER if e["verdict"] == "needs-model"], ids=named)
def test_what_needs_a_model_has_no_value(entry):
    assert entry["value"] is None and entry["stderr"] is None and entry["count"] is None


@pytest.mark.usefixtures("site")
def test_every_claim_is_measured_on_the_page_that_it_names_and_no_other_is():
    recorded = records.glued(EXECUTED, "claim")
    assert {name: page for name, (page, _) in recorded.items()} == {e["id"]: e["page"] for e in MEASURED}


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("entry", MEASURED, ids=named)
def test_the_book_just_built_found_the_stored_value(entry):
    found = next(one for one in records.with_values([entry], EXECUTED))
    assert records.meets(found) == records.meets(entry), found
    leeway = ERRORS * entry["stderr"] if entry["stderr"] else SHARE * abs(entry["value"])
    # differences of rounding errors mean nothing below the tolerance
    meant = f"the book found {found['value']} (n = {found['count']}); if that is meant, `make reference` stores it"
    assert abs(found["value"] - entry["value"]) <= max(leeway, entry["tolerance"]), meant
    assert found["count"] == entry["count"], meant


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
