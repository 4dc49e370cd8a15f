"""Write the pages as Jupyter notebooks: ``python book/_tools/notebooks.py owner/name v0.1.0 notebooks``.

Writes <folder>/<page>.ipynb for every executable page of the book that was just built, with a first cell that installs
the package at that release on Colab. The text is plain Markdown, which Colab and GitHub render as Jupyter does, and its
numbers are those of the build. The publishing workflow commits the notebooks, together with the tree they belong to, to
the branch that the launch buttons name (`releases.notebook_branch`).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupytext
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from pybtex.database import parse_file

sys.path.append(str(Path(__file__).parents[1] / "_ext"))

import neighbours
import records

BOOK = Path(__file__).parents[1]
INSTALLATION = """\
# On Colab: installs this book's package at its release and leaves Colab's own Jupyter as it is.
# Elsewhere it is there already.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "resolution-chromatography[torch] @ git+https://github.com/{repository}@{release}"
    %pip install --quiet myst-nb anywidget"""
INTRODUCTION = (
    "*A page of [the book]({site}/{page}.html), {release}. "
    "The numbers in the text are the book's; run the cells for your own.*"
)
DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{(?P<kind>[\w:-]+)\} *(?P<title>.*)\n(?P<body>(?:.*\n)*?)\1$", re.M)


def site(repository: str) -> str:
    """Return where GitHub publishes the book's pages."""
    owner, name = repository.split("/")
    return f"https://{owner.lower()}.github.io/{name}/book"


def quoted(title: str, body: str) -> str:
    """Return a block quotation, which is what plain Markdown has for an admonition."""
    return "\n".join(f"> {line}".rstrip() for line in (f"**{title}**", "", *body.splitlines()))


def plain_block(match: re.Match[str]) -> str:
    """Convert a MyST directive to plain Markdown; only the caption remains of a figure, which its cell shows.

    Args:
        match: A match of `DIRECTIVE`.

    Raises:
        ValueError: There is no conversion for the directive.
    """
    kind, title = match["kind"], match["title"]
    body = re.sub(r"\A(:[\w-]+:.*\n)*\n*", "", match["body"]).strip()  # without the options
    match kind:
        case "admonition":
            return quoted(title, body)
        case "dropdown":
            return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
        case "glue:figure" | "provenance":
            return body
        case "neighbours":
            entries = [entry for entry in neighbours.ledger() if entry["topic"] == title]
            rows = [
                f"| {entry['claim']} | {neighbours.expectation(entry)} | {neighbours.measurement(entry)} "
                f"| {entry['verdict']} |"
                for entry in entries
            ]
            return "\n".join(["| claim | expected | computed | verdict |", "| --- | --- | --- | --- |", *rows])
        case "button-ref":
            return f"[{body}]({title}.md)"
        case "grid":  # of cards, each a link with a line of text
            cards = re.findall(r"\{grid-item-card\} (.*)\n:link: (\S+)\n:link-type: doc\n(.*)", body)
            return "\n".join(f"- [{name}]({page}.md): {words}" for name, page, words in cards)
        case "div":  # the picture that stands on paper for the explorer, which a notebook runs
            return ""
    raise ValueError(f"the directive {kind!r} has no plain Markdown yet: add it to `plain_block`")


def cited(kind: str, key: str) -> str:
    """Return a citation as text, in the sentence (kind "t") or in parentheses (kind "p")."""
    entry = parse_file(BOOK / "references.bib").entries[key]
    names = [" ".join(person.last_names) for person in entry.persons["author"]]
    authors = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
    year = entry.fields["year"]
    return f"{authors} ({year})" if kind == "t" else f"({authors}, {year})"


def plain(text: str, values: dict[str, object], home: str) -> str:
    """Convert the Markdown of a page to plain Markdown.

    Args:
        text: MyST Markdown.
        values: What the page glued, by name.
        home: The address of the book's pages, for links to them.
    """
    text = DIRECTIVE.sub(plain_block, text)
    text = re.sub(r"\{glue:text\}`([^:`]+):?([^`]*)`", lambda m: format(values[m[1]], m[2]), text)
    text = re.sub(r"\{cite:(\w)\}`(\w+)`", lambda m: f"[{cited(m[1], m[2])}]({home}/references.html)", text)
    return re.sub(r"\]\((?!https?:)([\w/-]+)\.md(#[\w-]+)?\)", lambda m: f"]({home}/{m[1]}.html{m[2] or ''})", text)


def notebook(page: Path, repository: str, release: str) -> NotebookNode:
    """Convert a page to a notebook that says where it is from and whose first code cell is the installation.

    Args:
        page: The source of an executable page of the book that was just built.
        repository: owner/name on GitHub.
        release: The release's tag.
    """
    converted, home = jupytext.read(page), site(repository)
    values = records.values(records.EXECUTED / "book" / f"{page.stem}.glue.json")
    for cell in converted.cells:
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, values, home)
        elif "hide-cell" in cell.metadata.get("tags", []):
            cell.metadata["jupyter"] = {"source_hidden": True}  # JupyterLab's word for it
    introduction = new_markdown_cell(INTRODUCTION.format(site=home, page=page.stem, release=release))
    installation = new_code_cell(INSTALLATION.format(repository=repository, release=release))
    converted.cells = [introduction, installation, *converted.cells]
    for number, cell in enumerate(converted.cells):
        cell["id"] = f"cell-{number}"  # not a random one: the same page gives the same file
    return converted


def pages() -> list[Path]:
    """Return the pages that have code to run."""
    return [page for page in sorted(BOOK.glob("*.md")) if "\nkernelspec:" in page.read_text(encoding="utf-8")]


def main(repository: str, release: str, folder: str) -> None:
    """Write all notebooks into a folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for page in pages():
        jupytext.write(notebook(page, repository, release), Path(folder) / f"{page.stem}.ipynb")


if __name__ == "__main__":
    main(*sys.argv[1:])
