"""The pages as Jupyter notebooks, for Colab and Binder: ``python book/_ext/notebooks.py owner/name v0.1.0 notebooks``.

Writes <folder>/<page>.ipynb for every executable page, with a first cell that installs the package at that release
where it is not there yet. The publishing workflow commits them, together with the tree they belong to, to the branch
that the launch buttons name (`branch`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
from nbformat.v4 import new_code_cell

REPOSITORY_ONLY = {"speed"}  # pages that run scripts of the repository, which Colab does not have
BOOK = Path(__file__).parents[1]
FIRST = """\
# On Colab: installs this book's package at its release and leaves Colab's own Jupyter as it is.
# Elsewhere it is there already.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "resolution-chromatography[torch] @ git+https://github.com/{repository}@{release}"
    %pip install --quiet myst-nb anywidget"""


def branch(release: str) -> str:
    """The branch with the notebooks of a release."""
    return f"notebooks-{release}"


def notebook(page: Path, repository: str, release: str):
    """A page as a notebook, its first cell the installation."""
    read = jupytext.read(page)
    cell = new_code_cell(FIRST.format(repository=repository, release=release))
    cell["id"] = "install"  # not a random one: the same page gives the same file
    read.cells.insert(0, cell)
    for number, one in enumerate(read.cells[1:]):
        one["id"] = f"cell-{number}"
    return read


def pages() -> list[Path]:
    """The pages that have code to run."""
    return [page for page in sorted(BOOK.glob("*.md")) if "\nkernelspec:" in page.read_text(encoding="utf-8")]


def main(repository: str, release: str, folder: str) -> None:
    """Write them all."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for page in pages():
        jupytext.write(notebook(page, repository, release), Path(folder) / f"{page.stem}.ipynb")


if __name__ == "__main__":
    main(*sys.argv[1:])
