"""The Sphinx extensions in book/_ext, on a book of a few small pages: its second build and its parallel build."""

from __future__ import annotations

import hashlib
import io
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import chroma_claims
import chroma_figures
import chroma_references
import chroma_social
import pytest
import records
import yaml
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

ROOT = Path(__file__).parents[1]
EXTENSIONS = list(yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["sphinx"]["local_extensions"])

EQUATION = """$$
a = b^{number} \\tag{{{number}}}
$$
"""
PAGES = {
    "index": "# Index\n\n```{toctree}\n:glob:\nbook/*\n```\n",
    "book/equations": "# All equations\n\n" + EQUATION.format(number=1) + "\n" + EQUATION.format(number=2),
    "book/figure-1": (
        "# One\n\n" + EQUATION.format(number=1) + "\nEq 1, Eqs 1 and 2, Figure 1, Figure 2, Ho et al. 2020, Eq 9.\n\n"
        ":::{figure} picture.png\n:name: fig-1\n:alt: A point\n\nSee Eq 2 and [the equations](equations.md).\n:::\n"
    ),
    "book/figure-2": "# Two\n\nBy Eq 1 (Figure 1). `Eq 1` in code stays.\n\n| size |\n|---|\n| 8×8 |\n",
    "book/excerpt": "# Excerpt\n\n:::{excerpt} figure-1 fig-1\n:::\n",
    "book/claims": "# Claims\n\n:::{claims-summary}\n:::\n\n:::{claims} re-run\n:::\n\n:::{claims} erratum\n:::\n",
    "book/status": "# Status\n\n:::{status}\n:::\n",
    "book/last": "# Last\n\nNothing.\n",
}
LEDGER = [
    {
        "id": "mean",
        "type": "re-run",
        "where": "Eq 1",
        "claim": "The mean.",
        "expected": "< 1",
        "tolerance": 0.1,
        "verdict": "not reproduced",
        "page": "figure-1",
        "because": "It is a mean.",
    },
    {
        "id": "sum",
        "type": "erratum",
        "where": "Eq 2",
        "claim": "The sum.",
        "expected": 1,
        "tolerance": 0.0,
        "verdict": "contradicted",
        "page": "figure-2",
    },
]
PIXEL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\2\0\1H\xaf\xa4q\0\0\0\0"
    b"IEND\xaeB`\x82"
)


class SmallBook:
    """A book in a folder of its own, built with the extensions of the real one."""

    def __init__(self, folder: Path):
        self.source, self.site = folder / "source", folder / "_build" / "html"
        for name, text in PAGES.items():
            self.write(name, text)
        (self.source / "book/picture.png").write_bytes(PIXEL)
        (self.source / "static").mkdir()
        (self.source / "static/mathjax.js").touch()

    def write(self, name: str, text: str) -> None:
        file = self.source / f"{name}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def build(self, parallel: int = 1) -> tuple[Sphinx, str]:
        """Build what changed; return the application and its warnings."""
        config = {
            "extensions": ["myst_nb", *EXTENSIONS],
            "myst_enable_extensions": ["colon_fence", "dollarmath"],
            "nb_execution_mode": "off",
            "html_theme": "basic",
            "html_static_path": ["static"],
            "mathjax_path": "mathjax.js",
        }
        warnings = io.StringIO()
        folders = (self.source, None, self.site, self.site.with_name(".doctrees"))
        with docutils_namespace():
            app = Sphinx(*folders, "html", config, status=None, warning=warnings, parallel=parallel)
            app.build()
        return app, re.sub(r"\x1b\[[\d;]*m", "", warnings.getvalue())

    def html(self, name: str) -> str:
        return (self.site / f"{name}.html").read_text(encoding="utf-8")


@contextmanager
def small_book(folder: Path) -> Iterator[SmallBook]:
    """A small book with a ledger of two claims, and the record of an executed page that measured one of them."""
    glued = folder / "_build/jupyter_execute/book/figure-1.glue.json"
    glued.parent.mkdir(parents=True)
    claim = repr(json.dumps({"value": 0.25, "stderr": 0.01, "count": 1000}))
    glued.write_text(json.dumps({"claim mean": {"data": {"text/plain": claim}}}))
    claims = folder / "claims.yml"
    claims.write_text(yaml.safe_dump(LEDGER), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "CLAIMS", claims)
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        for name in ("PYTHONPATH", "BUILDING_BOOK"):  # a build sets them, and they must not outlast the test
            patch.setenv(name, "")
        yield SmallBook(folder)


@pytest.fixture
def book(tmp_path):
    """A small book that a test may change."""
    with small_book(tmp_path) as book:
        yield book


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A small book that was built once."""
    with small_book(tmp_path_factory.mktemp("built")) as book:
        book.app, book.warnings = book.build()
        yield book


def test_the_small_book_builds_without_warnings(built):
    assert built.warnings == ""


def test_a_page_that_is_built_twice_is_listed_once(book):
    app, _ = book.build()
    pages = {"book/equations": ["1", "2"], "book/figure-1": ["1"]}
    assert chroma_references.equations_by_page(app.env) == pages
    book.write("book/figure-1", PAGES["book/figure-1"] + "\nOne more sentence.\n")
    app, _ = book.build()
    assert chroma_references.equations_by_page(app.env) == pages
    assert book.html("book/figure-1").count('id="eq-1"') == 1


def test_an_equation_that_leaves_a_page_is_forgotten(book):
    book.build()
    book.write("book/figure-1", "# One\n")
    app, _ = book.build()
    assert chroma_references.equations_by_page(app.env) == {"book/equations": ["1", "2"]}
    (book.source / "book/equations.md").unlink()
    app, _ = book.build()
    assert chroma_references.equations_by_page(app.env) == {}


def test_every_extension_is_declared_safe_for_parallel_builds(built):
    extensions = [built.app.extensions[name] for name in EXTENSIONS]
    assert [extension.name for extension in extensions if not extension.parallel_read_safe] == []
    assert [extension.name for extension in extensions if not extension.parallel_write_safe] == []


def test_a_parallel_build_gives_the_same_pages(built, book):
    app, warnings = book.build(parallel=2)
    assert app.is_parallel_allowed("read")
    assert len(PAGES) > 5  # Sphinx reads fewer pages one after the other
    assert warnings == ""
    assert chroma_references.equations_by_page(app.env) == chroma_references.equations_by_page(built.app.env)
    assert {name: book.html(name) for name in PAGES} == {name: built.html(name) for name in PAGES}


def test_mentions_link_to_the_page_that_explains_an_equation(built):
    text = built.html("book/figure-1").split("<figure")[0]
    assert re.findall(r'<a class="reference internal" href="([^"]*)">((?:Eq|Fig)[^<]*|\d)</a>', text) == [
        ("#eq-1", "Eq 1"),
        ("#eq-1", "Eqs 1"),
        ("equations.html#eq-2", "2"),
        ("figure-2.html", "Figure 2"),
    ]
    text = built.html("book/figure-2")
    assert '<a class="reference internal" href="figure-1.html#eq-1">Eq 1</a>' in text
    assert text.count("#eq-1") == 1  # not in code


def test_a_mention_of_an_equation_that_no_page_has_is_a_warning(book):
    book.write("book/last", "# Last\n\nBy Eq 36.\n")
    _, warnings = book.build()
    assert "Eq 36 is on no page" in warnings


def test_an_excerpt_shows_the_figure_of_another_page_with_its_links(built):
    figure = re.search(r"<figure.*?</figure>", built.html("book/excerpt"), re.S)[0]
    assert 'id="excerpt-fig-1"' in figure
    assert 'alt="A point"' in figure
    assert 'href="equations.html#eq-2"' in figure and 'href="equations.html"' in figure


@pytest.mark.parametrize("arguments", ["figure-1 fig-9", "figure-9 fig-1"])
def test_an_excerpt_without_a_figure_is_a_warning(book, arguments):
    book.write("book/excerpt", f"# Excerpt\n\n:::{{excerpt}} {arguments}\n:::\n")
    _, warnings = book.build()
    page, figure = arguments.split()
    assert f"book/{page} has no figure {figure} to show" in warnings


def test_a_figure_that_is_recorded_in_two_layouts_is_shown_in_the_one_for_the_screen(book):
    phone = PIXEL + b"\0"
    png = {name: {"data": {"image/png": b64encode(data).decode()}} for name, data in (("a", PIXEL), ("phone a", phone))}
    (book.site.parent / "jupyter_execute/book/last.glue.json").write_text(json.dumps(png))
    digest = hashlib.sha256(PIXEL).hexdigest()
    (book.source / f"book/{digest}.png").write_bytes(PIXEL)
    book.write("book/last", f"# Last\n\n:::{{figure}} {digest}.png\n:name: fig-a\n:alt: A point\n\nA point.\n:::\n")
    book.write("book/excerpt", "# Excerpt\n\n:::{excerpt} last fig-a\n:::\n")
    _, warnings = book.build()
    assert warnings == ""
    for page in ("book/last", "book/excerpt"):
        picture = re.search(r"<picture><source (.*?) /><img (.*?)/>\s*</picture>", book.html(page))
        assert f'media="{chroma_figures.MEDIA}"' in picture[1] and 'alt="A point"' in picture[2]
        shown = [re.search(r'(?:src|srcset)="\.\./(_images/\S+?)"', attributes)[1] for attributes in picture.groups()]
        assert [(book.site / file).read_bytes() for file in shown] == [phone, PIXEL]


def card(html: str) -> dict[str, str]:
    """What a page says of itself to other sites."""
    return dict(re.findall(r'<meta (?:name|property)="([\w:]+)" content="([^"]*)" />', html))


def test_a_link_to_a_page_is_shown_with_its_title_its_first_sentence_and_a_picture(built):
    shown = card(built.html("book/figure-1"))
    assert shown["og:title"] == "One"
    assert shown["description"] == shown["og:description"] == re.sub(r"\s+", " ", shown["description"])
    assert shown["description"].startswith("Eq 1, Eqs 1 and 2, Figure 1")
    assert shown["og:image"] == "../_static/card.png"  # where a site is not published, it has no address


def test_the_picture_of_a_published_page_has_a_full_address(monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/book")
    assert chroma_social.site_address() == "https://someone.github.io/book/"
    with Image.open(ROOT / "book/_assets/card.png") as picture:
        assert picture.size == (1200, 630)


def test_the_table_of_claims_shows_the_values_that_pages_recorded(built):
    row = re.search(r'<tr[^>]* id="claim-mean".*?</tr>', built.html("book/claims"), re.S)[0]
    assert "0.25 ± 0.01 (n = 1,000)" in row
    assert "≠ not reproduced" in row
    assert "Why this tolerance: It is a mean." in row


def test_the_claims_of_each_type_have_a_table_of_their_own(built):
    tables = re.findall(r'<table class="claims.*?</table>', built.html("book/claims"), re.S)
    assert [re.findall(r'id="claim-(\w+)"', table) for table in tables] == [["mean"], ["sum"]]


def test_a_table_of_claims_without_a_type_has_all_of_them(book):
    book.write("book/claims", "# Claims\n\n:::{claims}\n:::\n")
    book.build()
    assert re.findall(r'id="claim-(\w+)"', book.html("book/claims")) == ["mean", "sum"]


def test_a_table_of_claims_of_an_unknown_type_is_a_warning(book):
    book.write("book/claims", "# Claims\n\n:::{claims} slip\n:::\n")
    _, warnings = book.build()
    assert "no rows of the type 'slip'; use one of ['re-run', 'ours'" in warnings


def test_the_summary_of_the_claims_counts_the_evidence_apart(built):
    text = re.sub(r"<[^>]+>", "", built.html("book/claims"))
    assert (
        "Of 1 row of evidence, none holds, none holds with a caveat, none is contradicted, 1 is not reproduced" in text
    )
    assert "0 derivations, 0 checks of the code and 1 misprint" in text


def test_a_recorded_claim_that_the_ledger_does_not_list_is_a_warning(book):
    records.CLAIMS.write_text(yaml.safe_dump([LEDGER[0] | {"page": "figure-2"}]), encoding="utf-8")
    _, warnings = book.build()
    assert "figure-1 records the claim mean" in warnings


def test_a_claim_without_a_value_is_shown_as_a_dash():
    assert chroma_claims.format_value({"value": None, "stderr": None, "count": None}) == "—"


def test_a_resolution_in_a_table_has_its_colour_before_it(built):
    assert re.search(
        r'<td><p><span class="swatch" style="background: #\w+"[^>]*></span>8×8', built.html("book/figure-2")
    )
