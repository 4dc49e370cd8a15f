"""Outputs are executed again when what they depend on changes: a book of one page, built by the real configuration."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import chroma_cache
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


def test_what_a_page_depends_on_executes_it_again_and_nothing_else_does(book):
    package = book.folder / "chroma"
    (package / "other.py").write_text("unused = 1\n")
    assert (book.published(), book.runs) == (1, 1)
    assert (book.published(), book.runs) == (1, 1)  # unchanged

    os.utime(package / "__init__.py", (0, 0))
    assert (book.published(), book.runs) == (1, 1)  # touched, not changed

    (package / "other.py").write_text("unused = 2\n")  # the page does not import it
    assert (book.published(), book.runs) == (1, 1)

    book.set_number(2)
    assert (book.published(), book.runs) == (2, 2)

    (package / "data.bin").write_bytes(b"new data")
    assert (book.published(), book.runs) == (2, 3)

    (package / "data.bin").unlink()
    book.set_number(1)
    assert (book.published(), book.runs) == (1, 3)  # as it was at first

    (package / "__init__.py").write_text("from chroma.other import NUMBER\n")
    (package / "other.py").write_text("NUMBER = 4\n")
    assert (book.published(), book.runs) == (4, 4)
    (package / "other.py").write_text("NUMBER = 5\n")  # by way of another module
    assert (book.published(), book.runs) == (5, 5)

    assert (book.published(CHROMA_IMAGES="elsewhere"), book.runs) == (5, 6)


def test_every_import_that_happens_is_one_that_is_found():
    """A module loads only modules that its source names, however it is written: all of them, in one interpreter."""
    program = """
import builtins, importlib, json, pathlib, sys
edges, original = set(), builtins.__import__

def noting(name, globals=None, locals=None, fromlist=(), level=0):
    before = set(sys.modules)
    module = original(name, globals, locals, fromlist, level)
    importer = (globals or {}).get("__name__", "")
    if importer.startswith("chroma"):
        found = importlib.util.resolve_name("." * level + name, (globals or {}).get("__package__")) if level else name
        inner = [f"{found}.{one}" for one in fromlist or () if f"{found}.{one}" in sys.modules]
        edges.update((importer, one) for one in [found, *inner] if one.startswith("chroma"))
    return module

builtins.__import__ = noting
for file in sorted(pathlib.Path("chroma").rglob("*.py")):
    if file.stem != "__main__":
        importlib.import_module(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
print(json.dumps(sorted(edges)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    edges = json.loads(done.stdout.splitlines()[-1])
    assert len(edges) > 200
    for importer, imported in edges:
        assert imported in chroma_cache.page_modules(ROOT, CELL.format(importer)), (importer, imported)


CELL = """```{{code-cell}} ipython3
import {}
```
"""


def test_a_page_depends_on_what_its_cells_import():
    designing = chroma_cache.page_modules(ROOT, CELL.format("chroma.design"))
    assert {"chroma", "chroma.design", "chroma.schedules"} <= designing
    assert not {"chroma.training", "chroma.explorer", "chroma.measure"} & designing
    lazily = chroma_cache.page_modules(
        ROOT, CELL.replace("import {}", "from chroma import {}").format("Linear, plotting")
    )
    assert {"chroma.schedules", "chroma.plotting.style", "chroma.plotting.paper"} <= lazily
    everything = chroma_cache.page_modules(ROOT, CELL.format("chroma\n%timeit 1"))
    assert {"chroma.training", "chroma.explorer", "chroma.measure"} <= everything


def data_of(source):
    files = chroma_cache._data_files(ROOT, chroma_cache.page_modules(ROOT, source), source)
    return {file.relative_to(ROOT / "chroma").as_posix() for file in files}


def test_the_options_of_a_cell_hide_none_of_its_code():
    for options in (":tags: [hide-input]\n:name: one\n", "---\ntags: [hide-input]\n---\n", ""):
        cell = f"```{{code-cell}} ipython3\n{options}\nfrom chroma import design\n\nlambda x: x\n```\n"
        assert chroma_cache.code_cells(cell)[0].strip() == "from chroma import design\n\nlambda x: x"


def test_every_page_that_imports_the_package_depends_on_it():
    for page in (ROOT / "book").rglob("*.md"):
        source = page.read_text(encoding="utf-8")
        if re.search(
            r"^(import|from) chroma\b", "\n".join(re.findall(r"^```\{code-cell\}.*?^```", source, re.M | re.S)), re.M
        ):
            assert "chroma" in chroma_cache.page_modules(ROOT, source), page.name


def test_scripts_of_the_explorer_count_for_its_pages_alone():
    designing, exploring = (data_of(CELL.format(module)) for module in ("chroma.design", "chroma.explorer"))
    assert not any(name.endswith(".js") for name in designing)
    assert any(name.endswith(".js") for name in exploring)


def test_weights_count_for_the_pages_that_name_their_model_and_for_those_that_go_through_all():
    def models(source):
        return {name.split("/")[1] for name in data_of(source) if name.startswith("weights/") and name.count("/") > 1}

    named = {"photos-32"}
    assert models(CELL.format("chroma.models") + "`photos-32`") == named
    assert models(CELL.format("chroma.models\nchroma.models.BUNDLED")) > named
    by_default = models(CELL.format("chroma.notebook.settings"))  # whose default is one of the emoji models
    assert "emoji-32" in by_default and "photos-32" not in by_default


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
