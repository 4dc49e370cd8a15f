"""The book as a publication: provenance, cross-references, launch buttons, notebooks and the archive."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import chroma_references
import jupytext
import nbformat
import notebooks
import pytest
import redirects
import releases
from nbclient import NotebookClient
from test_site import CHAPTERS, NOTEBOOKS, PAGES, SOURCES, TOC, opened

ROOT = Path(__file__).parents[1]
SITE = ROOT / "_build" / "html"

READING = [source for source in SOURCES if source.parent.name == "book" and source.stem not in ("intro", "references")]


@pytest.mark.parametrize("source", READING, ids=lambda source: source.stem)
def test_a_page_opens_with_its_time_and_what_to_know_and_closes_with_takeaways(source):
    text = source.read_text(encoding="utf-8")
    opening = f"\n{text}".split("\n# ")[1].split("\n## ")[0]
    assert re.search(r"^\*[^*\n]*(minutes?\b|Play|To look things up)", opening, re.M | re.I), "time to read"
    takeaways = re.split(r"\n## (?:Takeaways|Summary)\n", text)[1]
    assert len(takeaways.split()) > 5
    assert "](" in takeaways, "where to go next"


def test_at_least_six_pages_have_exercises_with_folded_solutions():
    with_exercises = [source for source in NOTEBOOKS if "\n## Exercises\n" in source.read_text(encoding="utf-8")]
    assert len(with_exercises) >= 6
    for source in with_exercises:
        section = re.split(r"\n## (?:Takeaways|Summary)", source.read_text("utf-8").split("\n## Exercises\n")[1])[0]
        solutions = section.count("tags: [hide-cell]")
        assert solutions == len(re.findall(r"^\d+\. ", section, re.M)) > 0, source.stem
        assert solutions == section.count(":::{dropdown} Solution "), source.stem


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_python_is_read_without_scrolling_sideways(source):
    blocks = re.findall(r"^```(?:\{code-cell\} ipython3|python)\n(.*?)^```$", source.read_text("utf-8"), re.M | re.S)
    wide = [line for block in blocks for line in block.splitlines() if len(line) > 77]
    assert wide == []  # 77 characters fit between the two menus on a screen of 1280 pixels


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda source: source.stem)
def test_a_picture_follows_the_question_and_the_answer_within_two_hundred_words(source):
    text = re.split(r"^# .*\n", source.read_text(encoding="utf-8"), maxsplit=1, flags=re.M)[1]
    before = re.split(r"^`{3,}\{glue:figure\}", text, maxsplit=1, flags=re.M)
    words = re.sub(r"^```\{code-cell\}.*?^```$|`[^`]*`", "", before[0], flags=re.M | re.S)
    if len(before) > 1:
        assert len(words.split()) <= 200


CELL_OR_FIGURE = re.compile(r"^```\{(code-cell|glue:figure)\}[^\n]*\n(.*?)^```$", re.M | re.S)
CELL_OPTIONS = re.compile(r"\A\s*(---\n.*?\n---\n|(:.*\n)+)", re.S)


def test_the_book_has_four_parts_and_fewer_than_thirty_entries():
    assert [part["caption"] for part in TOC["parts"]] == [
        "Why coarse to fine?",
        "Does it hold in trained models?",
        "Use it",
        "Reference",
    ]
    assert len(CHAPTERS) < 30


@pytest.mark.parametrize("item", [*(f"[Figure {n}](figure-{n}.md)" for n in range(1, 10)), "appendix-a.md", "slips.md"])
def test_the_index_of_the_paper_leads_to_each_figure_and_appendix(item):
    assert item in (ROOT / "book/equations.md").read_text(encoding="utf-8").split("## Background")[0]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("old", redirects.MOVED)
def test_an_old_address_leads_to_the_page_that_has_its_contents_now(browser, site, old):
    with opened(browser, f"{site}/{old}.html") as (page, _):
        page.wait_for_url(f"{site}/{redirects.MOVED[old]}.html*")


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda source: source.stem)
def test_at_most_twelve_lines_of_code_are_open_before_a_picture(source):
    visible = 0
    for kind, text in CELL_OR_FIGURE.findall(source.read_text(encoding="utf-8")):
        options = CELL_OPTIONS.match(text)
        if kind == "glue:figure":
            assert visible <= 12
            visible = 0
        elif options is None or not re.search(r"(hide|remove)-(input|cell)", options[0]):
            visible += len([line for line in CELL_OPTIONS.sub("", text).splitlines() if line.strip()])


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda source: source.stem)
def test_each_figure_is_followed_by_its_provenance(source):
    html = (SITE / "book" / f"{source.stem}.html").read_text(encoding="utf-8")
    shown = len(re.findall(r"^:::\{provenance\}", source.read_text(encoding="utf-8"), re.M))
    lines = re.findall(r'<div class="provenance.*?</div>', html, re.S)
    assert len(lines) == shown
    for line in lines:
        words = re.sub(r"<[^>]+>", "", line)
        assert re.search(r"(commit [0-9a-f]{7,}|version \d)", words), words
        assert re.search(r"\d s[;.]", words), words
        assert re.search(r"weights [0-9a-f]{16}|no network", words), words
        assert re.search(r"seed|nothing random", words), words


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda source: source.stem)
def test_each_figure_shown_has_a_line_of_provenance(source):
    text = source.read_text(encoding="utf-8")
    shown = [name for name in re.findall(r"^```\{glue:figure\} (\S+)", text, re.M) if not name.startswith("still")]
    assert shown == [name for name in re.findall(r"^:::\{provenance\} (\S+)", text, re.M) if name in shown]


@pytest.mark.parametrize("number", range(1, 10))
def test_each_figure_of_the_paper_says_how_it_differs_from_the_paper_s(number):
    text = (ROOT / f"book/figure-{number}.md").read_text(encoding="utf-8")
    below = re.findall(r"^:::\{provenance\} .*?^:::$", text, re.M | re.S)
    assert "What is smaller than in the paper" in text or any(
        re.search("(as|than) in the paper|the paper's", words, re.I) for words in below
    )


@pytest.mark.usefixtures("site")
def test_a_mention_of_an_equation_or_a_figure_leads_to_it():
    upscaling = (SITE / "book/upscaling.html").read_text(encoding="utf-8")
    assert re.search(r'<a class="reference internal" href="figure-5.html#eq-22">Eq 22</a>', upscaling)
    assert 'id="eq-22"' in (SITE / "book/figure-5.html").read_text(encoding="utf-8")
    assert "#eq-33" not in (SITE / "book/api/mathematics.html").read_text(encoding="utf-8")  # Song et al.'s, not ours
    photographs = (SITE / "book/photographs-and-drawings.html").read_text(encoding="utf-8")
    assert re.search(r'<a class="reference internal" href="figure-4.html">Figure 4</a>', photographs)


def test_mentions_are_found_in_the_forms_that_people_write():
    mentions = {
        m[0] for m in chroma_references.MENTION.finditer("by Eq 16, Eqs 3, 20 and 21; Eq B1. Fig 4, Figures 5 and 6")
    }
    assert mentions == {"Eq 16", "Eqs 3, 20 and 21", "Eq B1", "Fig 4", "Figures 5 and 6"}


@pytest.mark.usefixtures("site")
def test_every_equation_of_the_paper_has_a_place():
    pages = [SITE / f"{page}.html" for page in PAGES]
    anchors = {number for page in pages for number in re.findall(r'id="eq-(\d+)"', page.read_text(encoding="utf-8"))}
    assert anchors == {str(number) for number in range(1, 38)}


def test_every_entry_of_the_bibliography_is_complete_and_every_citation_has_one():
    entries = dict(re.findall(r"^@\w+\{(\S+),\n(.*?)^\}", (ROOT / "book/references.bib").read_text(), re.M | re.S))
    for key, fields in entries.items():
        assert all(re.search(rf"^ *{field} *=", fields, re.M) for field in ("title", "author", "year")), key
    cited = {key for source in SOURCES for key in re.findall(r"\{cite:\w\}`(\w+)`", source.read_text(encoding="utf-8"))}
    assert cited and cited <= entries.keys()


# ---- notebooks and launch buttons ----


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda source: source.stem)
def test_a_page_becomes_a_notebook_that_installs_the_release_and_runs_the_same_code(source):
    notebook = notebooks.notebook(source, "someone/book", "v1.2.3")
    nbformat.validate(notebook)
    first, *others = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert "github.com/someone/book@v1.2.3" in first and "[torch]" in first
    assert others == [cell.source for cell in jupytext.read(source).cells if cell.cell_type == "code"]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda source: source.stem)
def test_the_text_of_a_notebook_is_plain_markdown_with_the_books_numbers(source):
    cells = notebooks.notebook(source, "someone/book", "v1.2.3").cells
    words = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert not re.search(r"^(`{3,}|:{3,})\{", "\n".join(words), re.M)
    text = "\n".join(re.sub(r"```.*?```|`[^`\n]*`", "", cell, flags=re.S) for cell in words)
    assert not re.findall(r"^:::|^:\w+:|\{(?:glue|cite)|\]\([\w/-]+\.md", text, re.M)
    assert "How to read it" not in source.read_text("utf-8") or "> **How to read it**" in text


@pytest.mark.usefixtures("site")
def test_a_notebook_runs_away_from_the_repository_and_shows_its_figure(tmp_path, monkeypatch):
    monkeypatch.delenv("BUILDING_BOOK", raising=False)  # of a reader's Jupyter
    notebook = notebooks.notebook(ROOT / "book" / "figure-3.md", "someone/book", "v1.2.3")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1


def test_a_directive_without_plain_markdown_is_refused_by_name():
    with pytest.raises(ValueError, match="'claims'"):
        notebooks.plain(":::{claims}\n:::", {}, "https://someone.github.io/book/book")


@pytest.mark.usefixtures("site")
def test_the_notebooks_are_those_of_all_pages_with_code_and_the_same_each_time(tmp_path):
    script = ROOT / "book/_tools/notebooks.py"
    for folder in ("one", "two"):
        subprocess.run([sys.executable, script, "someone/book", "v1.2.3", tmp_path / folder], check=True)
    written = {file.stem: file.read_bytes() for file in (tmp_path / "one").iterdir()}
    assert written.keys() == {source.stem for source in NOTEBOOKS}
    assert written == {file.stem: file.read_bytes() for file in (tmp_path / "two").iterdir()}


def test_launch_buttons_lead_to_the_notebook_at_the_release_and_are_there_for_releases_alone(monkeypatch):
    app = SimpleNamespace(
        env=SimpleNamespace(
            metadata={"book/figure-4": {"kernelspec": {}}, "book/speed": {"kernelspec": {}}, "book/tour": {}}
        )
    )

    def buttons(page):
        context = {"header_buttons": []}
        releases.add_buttons(app, page, "page.html", context, None)
        return [button["url"] for group in context["header_buttons"] for button in group["buttons"]]

    for name in ("GITHUB_REPOSITORY", "GITHUB_REF_NAME", "GITHUB_REF_TYPE"):
        monkeypatch.delenv(name, raising=False)
    assert buttons("book/figure-4") == []
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/book")
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    monkeypatch.setenv("GITHUB_REF_TYPE", "branch")
    assert buttons("book/figure-4") == []
    monkeypatch.setenv("GITHUB_REF_NAME", "v1.2.3")
    monkeypatch.setenv("GITHUB_REF_TYPE", "tag")
    assert buttons("book/figure-4") == [
        "https://mybinder.org/v2/gh/someone/book/notebooks-v1.2.3?urlpath=lab/tree/notebooks/figure-4.ipynb",
        "https://colab.research.google.com/github/someone/book/blob/notebooks-v1.2.3/notebooks/figure-4.ipynb",
    ]
    assert buttons("book/tour") == []
    assert len(buttons("book/speed")) == 1  # runs a script of the repository, which Colab does not have


# ---- the archive ----


@pytest.mark.usefixtures("site")
def test_the_archive_has_every_page_and_its_checksum_file_is_right():
    archive = SITE / "resolution-chromatography.zip"
    digest, name = archive.with_suffix(".zip.sha256").read_text().split()
    assert (digest, name) == (hashlib.sha256(archive.read_bytes()).hexdigest(), archive.name)
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        names = set(packed.namelist())
    assert {f"resolution-chromatography/{page}.html" for page in PAGES} <= names
    assert not any(name.endswith((".zip", ".doctree")) for name in names)


def test_the_archive_of_a_site_is_the_same_whenever_it_is_made(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text("one")
    first = releases.pack(tmp_path).read_bytes()
    (tmp_path / "a" / "index.html").touch()
    assert releases.pack(tmp_path).read_bytes() == first


@pytest.mark.usefixtures("site")
def test_the_unpacked_archive_works_from_the_disk_alone(browser, tmp_path):
    with zipfile.ZipFile(SITE / "resolution-chromatography.zip") as packed:
        packed.extractall(tmp_path)
    book = (tmp_path / "resolution-chromatography").as_uri()
    window = browser.new_context(offline=True)
    try:
        page = window.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{book}/{TOC['root']}.html")
        page.wait_for_selector("mjx-container", state="attached")  # the first may be folded
        page.goto(f"{book}/book/explorer.html")
        page.wait_for_selector(".chroma-view canvas")
        page.goto(f"{book}/search.html?q=chromatography")
        page.wait_for_selector("ul.search li a")
        assert errors == []
    finally:
        window.close()


@pytest.mark.usefixtures("site")
def test_the_page_on_running_shows_versions_run_times_and_age(browser, site):
    with opened(browser, f"{site}/book/running.html") as (page, _):
        text = page.locator(".bd-article").inner_text()
        assert re.search(r"Built on \d+ \w+ \d{4}.*\((today|\d+ days? ago)\)", text)
        assert re.search(r"torch \d", text) and re.search(r"jupyter-book \d", text)
        for source in NOTEBOOKS:
            row = page.locator("tr", has=page.get_by_role("link", name=f"book/{source.stem}", exact=True))
            assert re.search(r"\d+\.\d+", row.inner_text()), source.stem  # seconds
