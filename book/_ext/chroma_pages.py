"""Parts of pages that the build writes: provenance, claims, status, excerpts, links to equations and figures.

What they show is on record in the executed pages (`records`) or known to the build alone (the commit, the versions).
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import records
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from chroma.palette import resolution_colour
from chroma.settings import SETTINGS, Settings

log = logging.getLogger(__name__)

MENTION = re.compile(r"\b(Eqs?|Figures?|Figs?)(\s+)(B?\d+[ab]?(?:(?:, |–| and | or |, and )B?\d+[ab]?)*)\b")
ELSEWHERE = re.compile(r"\d{4}\)?,\s*$")  # "Song et al. 2021, Eq 33" is an equation of theirs
NUMBER = re.compile(r"(B?\d+)[ab]?")
TAG = re.compile(r"\\tag\{(B?\d+)\}")
RESOLUTION = re.compile(r"(\d+)×\1")
SHOWN = ("numpy", "torch", "diffusers", "transformers", "matplotlib", "jupyter-book", "jupytext", "ipywidgets")


def commit(root: Path) -> str:
    """The commit that `root` is at, and whether files differ from it; without a repository, the package's version."""
    git = ["git", "-C", str(root)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short=9", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return f"version {version('resolution-chromatography')}"
    return f"commit {name.stdout.strip()}" + (" with changes" if changed.stdout.strip() else "")


def built() -> datetime:
    """Now, or the moment named by SOURCE_DATE_EPOCH, for builds that are to be the same twice."""
    return datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", datetime.now(UTC).timestamp())), UTC)


# by the reader's clock: a page that was built long ago does not know it
AGE = """<script>
  for (const age of document.querySelectorAll(".book-age")) {
    const days = Math.floor((Date.now() - Date.parse(age.dataset.built)) / 864e5);
    age.textContent = days < 1 ? " (today)" : ` (${days} day${days > 1 ? "s" : ""} ago)`;
  }
</script>"""


class Part(SphinxDirective):
    """A directive whose words are Markdown."""

    def words(self, *lines: str) -> list[nodes.Node]:
        """Nodes of some lines of Markdown."""
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, self.env.doc2path(self.env.docname)), self.content_offset, holder)
        return holder.children


class Provenance(Part):
    """The line below a figure: what it was drawn by, in words, then what made it, from the record of that name."""

    required_arguments = 1
    has_content = True

    def run(self):
        """The container with both."""
        made = f"Made with: {{glue:text}}`made {self.arguments[0]}`; {self.config.chroma_commit}."
        return [nodes.container("", *self.words(*self.content, "", made), classes=["provenance"])]


class Claims(Part):
    """The ledger as a table. Values are filled in once every page has been executed."""

    def run(self):
        """One row a claim, its value a placeholder."""
        table, body = nodes.table(classes=["claims"]), nodes.tbody()
        group = nodes.tgroup("", cols=4)
        group += [nodes.colspec(colwidth=width) for width in (46, 14, 18, 22)]
        names = ("claim, and its place in the paper", "expected", "measured", "verdict")
        group += [nodes.thead("", self.row(*([nodes.paragraph("", name)] for name in names))), body]
        for entry in records.ledger():
            place = f"*{entry['where']}*"
            about = self.words(entry["claim"], "", place, *(["", entry["note"]] if "note" in entry else []))
            within = f" ± {entry['tolerance']:g}" if entry["tolerance"] else ""
            sign, _ = records.VERDICTS[entry["verdict"]]
            verdict = f"{sign} {entry['verdict'].replace('-', ' ')}"
            link = self.words(f"[{entry['page']}]({entry['page']}.md)") if entry.get("page") else []
            body += self.row(
                about,
                [nodes.paragraph("", f"{entry['expected']}{within}")],
                [Measured(name=entry["id"])],
                [nodes.paragraph("", verdict, classes=["verdict", entry["verdict"]]), *link],
            )
            body.children[-1]["ids"].append(f"claim-{entry['id']}")
        table += group
        counts = Counter(entry["verdict"] for entry in records.ledger())
        totals = ", ".join(f"**{counts[verdict]}** {words}" for verdict, (_, words) in records.VERDICTS.items())
        told = [f"Of {sum(counts.values())}, {totals}."]
        if Settings() != SETTINGS:
            told = ["**This book was built with settings of its own: the verdicts are not about these values.**"]
        return [*self.words(*told), table]

    def row(self, *cells) -> nodes.row:
        """A row of a table, a list of nodes each cell."""
        return nodes.row("", *(nodes.entry("", *cell) for cell in cells))


class Measured(nodes.General, nodes.Element):
    """Where the value of the claim `name` will stand."""


class Excerpt(Part):
    """A figure of another page, with its caption: ``{excerpt} page figure``."""

    required_arguments = 2

    def run(self):
        """A placeholder, filled once that page has been executed."""
        page, figure = self.arguments
        return [Borrowed(page=f"book/{page}", figure=figure)]


class Borrowed(nodes.General, nodes.Element):
    """Where the figure `figure` of the page `page` will stand."""


class Status(Part):
    """When, from what and with what the book was built."""

    def run(self):
        """Two short paragraphs; the age is told by the reader's clock."""
        when = built()
        age = f'<span class="book-age" data-built="{when.isoformat()}"></span>'
        packages = ", ".join(f"{name} {version(name)}" for name in SHOWN)
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        lines = (
            f"Built on {when.day} {when:%B %Y, %H:%M} UTC{age}, from {self.config.chroma_commit}.",
            "",
            f"Python {platform.python_version()} on {machine}; {packages}.",
        )
        return [*self.words(*lines), nodes.raw("", AGE, format="html")]


def told(number: dict) -> str:
    """A measured value in words: "0.953 ± 0.011 (n = 500)"."""
    if number["value"] is None:
        return "—"
    error = f" ± {number['stderr']:.2g}" if number["stderr"] else ""
    count = f" (n = {number['count']:,})" if number["count"] else ""
    value = number["value"]
    digits = 4 if value == 0 or abs(value) >= 1e-3 else 1  # of what is next to nothing, how little
    return f"{value:.{digits}g}{error}{count}"


def fill(app, doctree, docname) -> None:
    """Put values and borrowed figures in the places that were kept for them."""
    for place in list(doctree.findall(Measured)):
        entry = next(entry for entry in app.chroma_ledger if entry["id"] == place["name"])
        place.replace_self(nodes.paragraph("", told(entry)))
    for place in list(doctree.findall(Borrowed)):
        figures = app.env.get_doctree(place["page"]).findall(nodes.figure)
        figure = next((figure for figure in figures if place["figure"] in figure["ids"]), None)
        if figure is None:
            log.warning("%s has no figure %s to show", place["page"], place["figure"], location=docname)
            place.parent.remove(place)
            continue
        copy = figure.deepcopy()
        for words in list(copy.findall(nodes.literal_block)):  # what a notebook shows where it cannot show pictures
            words.parent.remove(words)
        copy["ids"] = [f"excerpt-{place['figure']}"]
        place.replace_self(copy)


def read_ledger(app, env) -> None:
    """Once all pages have been executed: the claims with their values; a warning for each that is not as it must be."""
    executed = Path(env.mystnb_config.output_folder)
    app.chroma_ledger = records.with_values(records.ledger(), executed)
    known = {entry["id"]: entry for entry in app.chroma_ledger}
    for name, (page, _) in records.glued(executed, "claim").items():
        if name not in known or known[name]["page"] != page:
            log.warning("%s records the claim %s: book/claims.yml needs an entry of that id and page", page, name)


def note_equations(app, doctree) -> None:
    """Give every equation that has one of the paper's numbers an anchor, and remember on which page it is."""
    if not hasattr(app.env, "chroma_equations"):
        app.env.chroma_equations = {}
    for block in doctree.findall(nodes.math_block):
        for number in TAG.findall(block.astext()):
            app.env.chroma_equations.setdefault(number, []).append(app.env.docname)
            block["ids"].append(f"eq-{number}")


def target(app, docname: str, kind: str, number: str) -> str | None:
    """The address of an equation or figure by its number, as seen from `docname`; None for what this book lacks."""
    if kind.startswith("Fig"):
        page, anchor = f"book/figure-{number}", ""
        if page not in app.env.found_docs or page == docname:
            return None
    else:
        pages = app.env.chroma_equations.get(number, [])
        if not pages:
            log.warning("Eq %s is on no page", number, location=docname)
            return None
        # on this page, else where it is explained, else on the page that lists all of them
        page = docname if docname in pages else min(pages, key=lambda page: page == "book/equations")
        anchor = f"#eq-{number}"
    return (app.builder.get_relative_uri(docname, page) if page != docname else "") + anchor


def link_mentions(app, doctree, docname) -> None:
    """Make each "Eq 16" and "Figure 4" in running text a link to what it names."""
    closed = (nodes.reference, nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.title, nodes.raw)
    for text in list(doctree.findall(nodes.Text)):
        ancestors, node = [], text.parent
        while node is not None:
            ancestors.append(node)
            node = node.parent
        if any(isinstance(ancestor, (*closed, nodes.comment)) for ancestor in ancestors):
            continue
        pieces, last = [], 0
        for mention in MENTION.finditer(text):
            if ELSEWHERE.search(text[: mention.start()]):
                continue
            for number in NUMBER.finditer(mention[3]):
                address = target(app, docname, mention[1], number[1])
                start, end = (mention.start(3) + offset for offset in number.span())
                if address is None:
                    continue
                if number.start() == 0:
                    start = mention.start()  # the word belongs to its first number
                pieces += [
                    nodes.Text(text[last:start]),
                    nodes.reference("", text[start:end], refuri=address, internal=True),
                ]
                last = end
        if pieces:
            text.parent.replace(text, [*pieces, nodes.Text(text[last:])])


def colour_tables(app, doctree, docname) -> None:
    """Put a resolution's colour before its name in tables."""
    for entry in doctree.findall(nodes.entry):
        paragraph = entry.next_node(nodes.paragraph)
        match = RESOLUTION.fullmatch(entry.astext().strip())
        if paragraph is not None and match:
            colour = resolution_colour(int(match[1]))
            swatch = f'<span class="swatch" style="background: {colour}" aria-hidden="true"></span>'
            paragraph.insert(0, nodes.raw("", swatch, format="html"))


def spare_emoji(app, doctree, docname) -> None:
    """MyST-NB's table of executions marks success by a coloured picture; a sign of every font does as well."""
    for text in list(doctree.findall(nodes.Text)):
        if text == "✅":
            text.parent.replace(text, nodes.Text("✓"))


def list_no_citations(app, pagename, templatename, context, doctree) -> None:
    """Docutils calls a bibliography a list, without list items, over which screen readers stumble."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


def know_commit(app, config) -> None:
    """Ask for the commit once."""
    config.chroma_commit = commit(Path(app.srcdir))


def setup(app):
    """Register with Sphinx."""
    app.add_config_value("chroma_commit", "", "env")
    for name, directive in {"provenance": Provenance, "claims": Claims, "excerpt": Excerpt, "status": Status}.items():
        app.add_directive(name, directive)
    for node in (Measured, Borrowed):
        app.add_node(node)
    app.connect("config-inited", know_commit)
    app.connect("doctree-read", note_equations)
    app.connect("env-updated", read_ledger)
    app.connect("doctree-resolved", fill)
    app.connect("doctree-resolved", link_mentions, priority=600)
    app.connect("doctree-resolved", colour_tables)
    app.connect("doctree-resolved", spare_emoji)
    app.connect("html-page-context", list_no_citations)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
