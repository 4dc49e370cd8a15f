"""The book in LaTeX: every equation has its number and every figure is there. Only the PDF needs TeX Live."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_site import SOURCES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def latex(site, tmp_path_factory):
    """The LaTeX of the whole book, from what was executed for the site."""
    out = tmp_path_factory.mktemp("printed")
    shutil.copytree(ROOT / "_build" / ".jupyter_cache", out / "_build" / ".jupyter_cache")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ROOT, "--path-output", out]
    built = subprocess.run([*command, "--builder", "latex", "-W", "--keep-going"], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "Executing notebook" not in built.stdout + built.stderr
    return (out / "_build" / "latex" / "resolution-chromatography.tex").read_text(encoding="utf-8")


def test_every_equation_keeps_the_papers_number(latex):
    assert {int(number) for number in re.findall(r"\\tag\{(\d+)\}", latex)} == set(range(1, 38))
    equations = re.findall(r"\\begin\{split\}.*?\\end\{split\}", latex, re.S)
    assert [equation for equation in equations if r"\tag" in equation] == []  # where LaTeX refuses it


def test_every_figure_is_there(latex):
    glued = sum(source.read_text(encoding="utf-8").count("```{glue:figure}") for source in SOURCES)
    assert len(re.findall(r"\\begin\{figure\}", latex)) >= glued > 0
    assert len(re.findall(r"\\sphinxincludegraphics", latex)) >= glued


def test_a_table_wider_than_a_page_has_columns_of_given_width(latex):
    assert r"\X{46}{100}" in latex  # the ledger
    credits = re.split(r"\\(?:sub)*section\{Photographs\}", latex)[1]
    assert credits.index(r"\X{") < credits.index(r"\endhead")
    assert credits.count(r"\sphinxurl{") > 100  # addresses, which LaTeX may break


def test_the_explorer_is_its_still_picture(latex):
    assert "VBox(" not in latex
    assert "on paper it stands still" in latex
