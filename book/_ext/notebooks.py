"""The pages as Jupyter notebooks, for Colab and Binder: ``python book/_ext/notebooks.py owner/name v0.1.0 notebooks``.

Writes <folder>/<page>.ipynb for every executable page of the book just built, with a first cell that installs the
package at that release where it is not there yet. The words are plain Markdown, which Colab and GitHub read as Jupyter
does, and their numbers are those of the build. The publishing workflow commits the notebooks, together with the tree
they belong to, to the branch that the launch buttons name (`branch`).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupytext
import records
from nbformat.v4 import new_code_cell, new_markdown_cell
from pybtex.database import parse_file

REPOSITORY_ONLY = {"speed"}  # pages that run scripts of the repository, which Colab does not have
BOOK = Path(__file__).parents[1]
FIRST = """\
# On Colab: installs this book's package at its release and leaves Colab's own Jupyter as it is.
# Elsewhere it is there already.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "resolution-chromatography[torch] @ git+https://github.com/{repository}@{release}"
    %pip install --quiet myst-nb anywidget"""
ABOUT = (
    "*A page of [the book]({site}/{page}.html), {release}. "
    "The numbers between the words are the book's; run the cells for your own.*"
)
DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{(?P<kind>[\w:-]+)\} *(?P<title>.*)\n(?P<body>(?:.*\n)*?)\1$", re.M)


def branch(release: str) -> str:
    """The branch with the notebooks of a release."""
    return f"notebooks-{release}"


def site(repository: str) -> str:
    """Where GitHub publishes the book's pages."""
    owner, name = repository.split("/")
    return f"https://{owner.lower()}.github.io/{name}/book"


def quoted(title: str, body: str) -> str:
    """A block quotation, which is what plain Markdown has for an admonition."""
    return "\n".join(f"> {line}".rstrip() for line in (f"**{title}**", "", *body.splitlines()))


def plain_block(match: re.Match) -> str:
    """A MyST directive in plain Markdown; a figure is its caption, for its cell shows it."""
    kind, title = match["kind"], match["title"]
    body = re.sub(r"\A(:[\w-]+:.*\n)*\n*", "", match["body"]).strip()  # without the options
    match kind:
        case "admonition":
            return quoted(title, body)
        case "dropdown":
            return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
        case "glue:figure" | "provenance":
            return body
        case "button-ref":
            return f"[{body}]({title}.md)"
        case "div":  # what stands on paper for the explorer, which a notebook runs
            return ""
    raise ValueError(f"directive must be one that notebooks.py can tell in plain Markdown, got {kind!r}")


def cited(kind: str, key: str) -> str:
    """A citation in words, in the sentence ("t") or beside it ("p")."""
    entry = parse_file(BOOK / "references.bib").entries[key]
    names = [" ".join(person.last_names) for person in entry.persons["author"]]
    who = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
    year = entry.fields["year"]
    return f"{who} ({year})" if kind == "t" else f"({who}, {year})"


def plain(text: str, values: dict[str, object], home: str) -> str:
    """A page's words in plain Markdown, `values` in place of the glue and links to the pages of the book at `home`."""
    text = DIRECTIVE.sub(plain_block, text)
    text = re.sub(r"\{glue:text\}`([^:`]+):?([^`]*)`", lambda m: format(values[m[1]], m[2]), text)
    text = re.sub(r"\{cite:(\w)\}`(\w+)`", lambda m: f"[{cited(m[1], m[2])}]({home}/references.html)", text)
    return re.sub(r"\]\((?!https?:)([\w/-]+)\.md(#[\w-]+)?\)", lambda m: f"]({home}/{m[1]}.html{m[2] or ''})", text)


def notebook(page: Path, repository: str, release: str):
    """A page as a notebook that says where it is from, and whose first code cell is the installation."""
    read, home = jupytext.read(page), site(repository)
    values = records.values(records.EXECUTED / "book" / f"{page.stem}.glue.json")
    for cell in read.cells:
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, values, home)
        elif "hide-cell" in cell.metadata.get("tags", []):
            cell.metadata["jupyter"] = {"source_hidden": True}  # JupyterLab's word for it
    about = new_markdown_cell(ABOUT.format(site=home, page=page.stem, release=release))
    read.cells = [about, new_code_cell(FIRST.format(repository=repository, release=release)), *read.cells]
    for number, cell in enumerate(read.cells):
        cell["id"] = f"cell-{number}"  # not a random one: the same page gives the same file
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
