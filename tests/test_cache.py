"""Outputs are executed anew when what they depend on changes: a book of one page, built by the real configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each build of a book takes seconds

ROOT = Path(__file__).parents[1]

# The page shows a number of the package, and counts its own executions in a file beside it.
PAGE = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# One page

```{code-cell} ipython3
from pathlib import Path

import chroma

runs = Path("runs.txt")
runs.write_text((runs.read_text() if runs.exists() else "") + "x")
print(f"the package says {chroma.NUMBER}")
```
"""


class Book:
    """A book of one page in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("_config.yml", "book/_ext", "book/_assets", "book/references.bib", "book/claims.yml"):
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
        (folder / "book/_vendor/mathjax").mkdir(parents=True)
        (folder / "book/_vendor/mathjax/tex-chtml.js").touch()
        (folder / "_toc.yml").write_text("format: jb-book\nroot: book/page\n")
        (folder / "book/page.md").write_text(PAGE)
        (folder / "chroma").mkdir()
        self.set_number(1)

    def set_number(self, number: int) -> None:
        (self.folder / "chroma/__init__.py").write_text(f"NUMBER = {number}\n")

    def build(self, **environment: str) -> subprocess.CompletedProcess:
        shutil.rmtree(self.folder / "_build/html", ignore_errors=True)
        shutil.rmtree(self.folder / "_build/.doctrees", ignore_errors=True)
        main = "from jupyter_book.cli.main import main; main()"
        command = [sys.executable, "-c", main, "build", ".", "-W", "--keep-going"]
        return subprocess.run(command, cwd=self.folder, env=os.environ | environment, capture_output=True, text=True)

    def published(self, **environment: str) -> int:
        """The number on the page after a build."""
        completed = self.build(**environment)
        assert completed.returncode == 0, completed.stdout + completed.stderr
        html = (self.folder / "_build/html/book/page.html").read_text()
        return int(re.search(r"the package says (\d+)", html)[1])

    @property
    def runs(self) -> int:
        return len((self.folder / "book/runs.txt").read_text())


@pytest.fixture
def book(tmp_path):
    return Book(tmp_path)


def test_an_edit_of_the_package_executes_its_notebooks_again_and_undoing_it_does_not(book):
    assert (book.published(), book.runs) == (1, 1)
    assert (book.published(), book.runs) == (1, 1)  # unchanged

    package = book.folder / "chroma/__init__.py"
    os.utime(package, (0, 0))
    assert (book.published(), book.runs) == (1, 1)  # touched, not changed

    book.set_number(2)
    assert (book.published(), book.runs) == (2, 2)

    (book.folder / "chroma/data.bin").write_bytes(b"new data")
    assert (book.published(), book.runs) == (2, 3)

    (book.folder / "chroma/data.bin").unlink()
    book.set_number(1)
    assert (book.published(), book.runs) == (1, 3)  # as it was at first

    assert (book.published(CHROMA_IMAGES="elsewhere"), book.runs) == (1, 4)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("![](_assets/logo.svg)", "without alternative text"),
        ('<img src="_assets/logo.svg">', "without alternative text"),
        ('<a href="nowhere.html">there</a>', "dead link"),
        ('<a href="#nowhere">there</a>', "missing anchor"),
        ('<script src="https://example.org/a.js"></script>', "another host"),
        ("[there](nowhere.md)", "cross-reference target not found"),
        ("```{code-cell} ipython3\n1 / 0\n```", "ZeroDivisionError"),
    ],
)
def test_a_fault_on_a_page_fails_the_build_and_is_named(book, fault, complaint):
    page = book.folder / "book/page.md"
    page.write_text(PAGE + "\n" + fault + "\n")
    completed = book.build()
    assert completed.returncode != 0
    assert complaint in completed.stdout + completed.stderr


def test_only_the_latest_caches_are_kept(book):
    caches = book.folder / "_build/.jupyter_cache"
    for age in range(5):
        (caches / f"{age} days old").mkdir(parents=True)
        os.utime(caches / f"{age} days old", (1e9 - 86400 * age, 1e9 - 86400 * age))
    book.published()
    folders = {folder.name for folder in caches.iterdir()}
    assert len(folders) == 4
    assert {"0 days old", "1 days old", "2 days old"} < folders
