"""The ledger of claims: verdicts agree with types and values, and each value is the one that its page measures."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import records
import store_records

ROOT = Path(__file__).parents[1]

LEDGER = records.ledger()
BY_ID = {entry["id"]: entry for entry in LEDGER}
EXECUTED = records.EXECUTED
MEASURED = [entry for entry in LEDGER if entry["verdict"] != "needs-model"]
EVIDENCE = [entry for entry in LEDGER if entry["type"] in records.EVIDENCE]
ERRATA = [entry for entry in LEDGER if entry["type"] == "erratum"]
PROSE = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]
NUMBERS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]

# A value that a network generates may differ between processors, because every step of a trajectory is rounded. The
# value has to be within four standard errors of the stored one or, if there is no error, within a tenth of it.
MAX_ERRORS, MAX_RELATIVE = 4.0, 0.1


def entry_id(entry):
    return entry["id"]


def texts(entry):
    """The words of a row."""
    return [entry["claim"], entry.get("note", ""), entry.get("because", "")]


@cache
def measured():
    """The entries of the ledger, by id, with the values of the book that was just built."""
    return {entry["id"]: entry for entry in records.with_values(LEDGER, EXECUTED)}


def test_the_ledger_has_at_least_25_claims_with_all_keys_and_unique_ids():
    assert len(LEDGER) >= 25
    assert len(BY_ID) == len(LEDGER)
    optional = {"because", "note"}
    for entry in LEDGER:
        assert set(store_records.KEYS) - optional <= entry.keys() <= set(store_records.KEYS), entry["id"]
        assert entry["type"] in records.TYPES, entry["id"]
        assert entry["verdict"] in records.VERDICTS, entry["id"]
        assert entry["tolerance"] >= 0, entry["id"]
        assert (ROOT / "book" / f"{entry['page']}.md").is_file(), entry["id"]


@pytest.mark.parametrize("entry", MEASURED, ids=entry_id)
def test_a_verdict_agrees_with_the_stored_value(entry):
    is_met = records.meets(entry)
    assert is_met == (entry["verdict"] in records.MET), f"{entry['value']} for {entry['expected']}"
    assert entry["verdict"] != "caveat" or entry.get("note"), "a caveat needs a note"
    # a bound is met, or missed, by more than two standard errors
    if entry["stderr"] and str(entry["expected"])[0] in "<>":
        bound = float(str(entry["expected"])[1:])
        assert abs(entry["value"] - bound) > 2 * entry["stderr"]


@pytest.mark.parametrize("entry", LEDGER, ids=entry_id)
def test_only_evidence_can_have_every_verdict(entry):
    if entry["type"] == "erratum":
        assert entry["verdict"] == "contradicted" and entry.get("note"), "a misprint needs its correction as a note"
    elif entry["type"] not in records.EVIDENCE:
        assert entry["verdict"] in records.MET


def test_what_the_paper_found_on_its_own_models_is_not_contradicted_by_other_models():
    contradicted = {entry["id"] for entry in LEDGER if entry["verdict"] == "contradicted"}
    assert [entry["id"] for entry in LEDGER if entry["type"] == "re-run" and entry["id"] in contradicted] == []


def test_no_measurement_is_judged_by_two_rows():
    values = Counter((entry["page"], abs(entry["value"])) for entry in EVIDENCE if entry["value"] is not None)
    assert [key for key, count in values.items() if count > 1] == []


def test_every_measured_row_of_evidence_has_an_error_over_independent_units():
    measured = [entry for entry in EVIDENCE if entry["value"] is not None]
    without = [entry["id"] for entry in measured if not (entry["stderr"] and entry["count"])]
    assert without == [], "give record.claim a standard error and a count of independent units"


@pytest.mark.parametrize("entry", [e for e in EVIDENCE if e["tolerance"]], ids=entry_id)
def test_a_tolerance_of_a_row_of_evidence_has_a_reason(entry):
    assert entry.get("because")


@pytest.mark.parametrize("entry", EVIDENCE, ids=entry_id)
def test_a_bound_other_than_no_change_has_a_reason(entry):
    bound = re.fullmatch(r"[<>] (.*)", str(entry["expected"]))
    assert bound is None or float(bound[1]) in (0, 1) or entry.get("because")


@pytest.mark.parametrize("entry", LEDGER, ids=entry_id)
def test_a_row_does_not_refer_to_a_row_of_another_type(entry):
    before = [e for e in LEDGER[: LEDGER.index(entry)] if e["type"] == entry["type"]]
    refers = re.search(
        r"^The same\b(?! data)|\bas above\b|^As above|^\W*\.\.\.|row above|next row", "\n".join(texts(entry)), re.M
    )
    assert not refers or before or "next row" in refers[0]


@pytest.mark.parametrize("page", sorted({e["page"] for e in EVIDENCE if e["value"] is not None} - {"memory"}))
def test_every_page_with_a_measurement_links_to_what_memory_can_show(page):
    assert "](memory.md)" in (ROOT / "book" / f"{page}.md").read_text(encoding="utf-8")


def test_every_type_and_verdict_is_explained_on_the_page_of_claims():
    text = (ROOT / "book/claims.md").read_text(encoding="utf-8")
    for one, _ in records.TYPES.values():
        assert f"\n| {one} |" in text
    assert re.findall(r"^:::\{claims\} (.*)$", text, re.M) == list(records.TYPES)
    for verdict in records.VERDICTS.values():
        assert f"\n| {verdict.sign} {verdict.name} |" in text


def test_the_page_of_claims_states_that_nothing_is_contradicted_only_while_that_is_so():
    text = (ROOT / "book/claims.md").read_text(encoding="utf-8")
    contradicted = [entry["id"] for entry in EVIDENCE if entry["verdict"] == "contradicted"]
    assert ("No measurement contradicts the paper" in text) == (not contradicted)


def test_the_front_page_of_the_book_gives_the_numbers_of_the_ledger():
    words = " ".join((ROOT / "book/intro.md").read_text(encoding="utf-8").split())
    assert records.summary(LEDGER) in words


def test_the_readme_gives_the_verdicts_on_the_evidence():
    words = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert records.summary(LEDGER).split(". ")[0] + "." in words


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.stem)
def test_the_number_of_misprints_in_the_text_is_that_of_the_ledger(page):
    stated = re.findall(r"\b(\w+) \[?misprints\b", page.read_text(encoding="utf-8"), re.I)
    stated = [word.lower() for word in stated if word.lower() in NUMBERS or word.isdigit()]
    assert set(stated) <= {NUMBERS[len(ERRATA)], str(len(ERRATA))}


def test_the_page_of_misprints_has_a_section_for_each_and_records_no_other():
    text = (ROOT / "book/slips.md").read_text(encoding="utf-8")
    sections = re.split(r"^## \d+\. ", text, flags=re.M)[1:]
    recorded = [
        set(re.findall(r'record\.claim\("([^"]+)"', section)) & {e["id"] for e in ERRATA} for section in sections
    ]
    assert all(len(ids) == 1 for ids in recorded)
    assert set.union(*recorded) == {entry["id"] for entry in ERRATA}
    assert re.findall(r"^## (\d+)\. ", text, re.M) == [str(n + 1) for n in range(len(ERRATA))]


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
        assert records.VERDICTS[entry["verdict"]].name in row[0], entry["id"]
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
