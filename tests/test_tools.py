"""The scripts in book/_tools that are run by hand or by make."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import build_images
import bundle_model
import image_licences
import licensed_photographs
import numpy as np
import pytest
import records
import store_records
import vendor
import yaml

from chroma import data

TOOLS = Path(__file__).parents[1] / "book" / "_tools"


@pytest.mark.parametrize("script", ["build_images.py", pytest.param("bundle_model.py", marks=pytest.mark.slow)])
def test_a_script_says_what_it_does(script, tmp_path):
    """It runs in any folder, without the import paths of the tests."""
    command = [sys.executable, TOOLS / script, "--help"]
    completed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    assert "usage:" in completed.stdout


# ---- the bundled images ----


def test_the_image_script_keeps_the_hand_written_table_of_subjects(tmp_path):
    build_images.copy_subjects(tmp_path, data.photograph_names())
    assert (tmp_path / "SUBJECTS.tsv").read_bytes() == (data.FOLDER / "SUBJECTS.tsv").read_bytes()


def test_the_image_script_names_photographs_without_a_subject(tmp_path):
    with pytest.raises(ValueError, match="differ in a/new-one: update the table"):
        build_images.copy_subjects(tmp_path, [*data.photograph_names(), "a/new-one"])


def test_the_image_script_needs_the_table_of_subjects(tmp_path):
    with pytest.raises(FileNotFoundError, match="take it from the repository"):
        build_images.copy_subjects(tmp_path, [], tmp_path / "SUBJECTS.tsv")


def test_the_image_script_keeps_files_that_are_there(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SystemExit, match="is not empty"):
        build_images.build(tmp_path)


def test_an_archive_of_images_is_read_without_pickles(tmp_path):
    build_images.save(tmp_path / "a.npz", [b"one", b"three"], name=np.array(["x", "y"]))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        start, end = archive["offset"][1:3]
        assert archive["data"][start:end].tobytes() == b"three"
        assert list(archive["name"]) == ["x", "y"]


def test_the_credits_of_the_bundle_are_those_that_the_script_writes():
    rows = [line.split("\t") for line in (data.FOLDER / "CREDITS.tsv").read_text("utf-8").splitlines()[1:]]
    pixels = np.zeros((1, 1, 3), np.uint8)
    photographs = [licensed_photographs.Photograph(*row, pixels=pixels) for row in rows]
    assert image_licences.credits_table(photographs) == (data.FOLDER / "CREDITS.tsv").read_text("utf-8")
    about = (data.FOLDER / "LICENCES.md").read_text("utf-8").split("\n\n")[2:4]
    assert image_licences.notice(photographs, about) == (data.FOLDER / "LICENCES.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Public domain", "Public-Domain"),
        ("CC0", "CC0-1.0"),
        ("cc by 4.0", "CC-BY-4.0"),
        ("CC-BY-SA 3.0", "CC-BY-SA-3.0"),
        ("GPL-3", "GPL-3"),
    ],
)
def test_a_licence_has_one_spelling(text, name):
    assert licensed_photographs.licence_name(text) == name


# ---- the bundled models ----


def test_an_unfinished_run_is_not_bundled(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no card\.json: finish the run"):
        bundle_model.bundle(tmp_path)


# ---- the browser assets ----


def test_modules_are_removed_from_a_bundle_by_their_names():
    script = 'first();\ndefine("@jupyter-widgets/a", 1);\ndefine("@jupyter-widgets/b", 2);\n'
    assert vendor.without(script, ("@jupyter-widgets/a",)) == 'first();\ndefine("@jupyter-widgets/b", 2);\n'
    with pytest.raises(ValueError, match="not all of"):
        vendor.without(script, ("@jupyter-widgets/c",))


# ---- the values that the book recorded ----


@pytest.fixture
def executed(tmp_path, monkeypatch):
    """A ledger of one claim and the records of one executed page, in place of the book's own."""
    ledger = [{"id": "mean", "expected": 0.3, "tolerance": 0.1, "value": 0.2, "verdict": "holds", "page": "page"}]
    monkeypatch.setattr(records, "CLAIMS", tmp_path / "claims.yml")
    records.CLAIMS.write_text("# A comment.\n\n" + yaml.safe_dump(ledger), encoding="utf-8")
    monkeypatch.setattr(store_records, "REFERENCE", tmp_path / "reference")
    contents = {
        "claim mean": json.dumps({"value": 0.123456789, "stderr": 0.01, "count": 10}),
        "data fig": json.dumps({"axes 0, curve 0, x": [0, 1]}),
    }
    glued = {name: {"data": {"text/plain": repr(text)}} for name, text in contents.items()}
    (tmp_path / "page.glue.json").write_text(json.dumps(glued), encoding="utf-8")
    return tmp_path


def test_stored_values_are_those_of_the_executed_pages(executed):
    (executed / "reference").mkdir()
    (executed / "reference" / "stale.json").touch()
    store_records.store(executed)
    assert records.CLAIMS.read_text("utf-8").startswith("# A comment.\n")
    assert [(entry["value"], entry["stderr"], entry["count"]) for entry in records.ledger()] == [(0.12346, 0.01, 10)]
    assert [file.name for file in (executed / "reference").iterdir()] == ["fig.json"]
    stored = json.loads((executed / "reference" / "fig.json").read_text("utf-8"))
    assert stored == {"page": "page", "axes 0, curve 0, x": [0, 1]}


def test_values_measured_with_other_settings_are_not_stored(executed, monkeypatch):
    monkeypatch.setattr(store_records, "SETTINGS", store_records.Settings(samples=3))
    before = records.CLAIMS.read_bytes()
    with pytest.raises(ValueError, match=r"CHROMA_.* variables select .*samples=3"):
        store_records.store(executed)
    assert records.CLAIMS.read_bytes() == before


def test_a_record_of_two_pages_is_refused(executed):
    shutil.copyfile(executed / "page.glue.json", executed / "other.glue.json")
    with pytest.raises(ValueError, match="claim 'mean' is recorded by two pages, other and page"):
        records.glued(executed, "claim")
