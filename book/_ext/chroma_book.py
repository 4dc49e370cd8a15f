"""What the book adds to Jupyter Book: outputs that are never stale, pages that ask no other host, images that speak.

1. The execution cache. jupyter-cache knows a notebook by its code cells alone, so an edited package would leave
   old figures in place. Here the cache *folder* is named by a fingerprint of everything else the outputs depend on.
2. Nothing from outside. Scripts that call other hosts are dropped, and a page that would load one is a warning.
3. Every image has alternative text, every internal link and anchor leads somewhere: else a warning.

The book is built with warnings as errors.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from html.parser import HTMLParser
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

log = logging.getLogger(__name__)

PACKAGE = "chroma"
CACHES_KEPT = 4  # the present one and the latest others: going back to an earlier state costs nothing
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


def fingerprint(root: Path) -> str:
    """A hash of what every notebook's outputs depend on, apart from the notebook itself.

    The package with its data and scripts, the Python version, every installed distribution's version, and the
    environment variables by which a reader points the package elsewhere (CHROMA_*). Not the files' dates.
    """
    digest = hashlib.sha256()
    sources = (f for f in (root / PACKAGE).rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    for file in sorted(sources):
        digest.update(f"{file.relative_to(root).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    installed = sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()})
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("CHROMA_"))
    digest.update(repr([platform.python_version(), installed, settings]).encode())
    return digest.hexdigest()[:16]


def choose_cache(app, config) -> None:
    """Name the execution cache by the fingerprint, and let the notebooks import the package that was hashed."""
    root = Path(app.srcdir)
    folder = Path(app.outdir).parent / ".jupyter_cache" / fingerprint(root)
    config.nb_execution_cache_path = str(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    os.environ["BUILDING_BOOK"] = "yes"  # figures stand where the page says, not below their cells as well
    log.info("execution cache: %s", folder)


def leave_figures_unnumbered(app, config) -> None:
    """Figures carry the paper's numbers in their titles; Jupyter Book's LaTeX half switches others on."""
    config.numfig = False


def prune_caches(app, exception) -> None:
    """Keep the caches used last; delete older ones."""
    present = Path(app.config.nb_execution_cache_path)
    if exception or not present.is_dir():
        return
    os.utime(present)
    by_age = sorted(present.parent.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in by_age[CACHES_KEPT:]:
        shutil.rmtree(folder)


def drop_thebe(app, pagename, templatename, context, doctree) -> None:
    """Jupyter Book always adds sphinx-thebe: a script on another host, declared twice, for kernels the book has not."""

    def is_thebe(script) -> bool:
        body = (getattr(script, "attributes", None) or {}).get("body") or ""
        return "THEBE_JS_URL" in body or str(getattr(script, "filename", script)).endswith("sphinx-thebe.js")

    context["script_files"] = [script for script in context.get("script_files", []) if not is_thebe(script)]


class Page(HTMLParser):
    """One built page: its anchors, where its links lead, what it loads, and its images without a word."""

    def __init__(self, html: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.silent: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors.update(given[key] for key in ("id", "name") if given.get(key))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get(LOADS.get(tag)) and given.get("rel") not in ("canonical", "author", "license"):
            self.loads.append(given[LOADS[tag]])
        # docutils puts the file's name where the author wrote nothing
        if tag == "img" and given.get("alt", "").strip() in ("", given.get("src"), Path(given.get("src", "")).name):
            self.silent.append(given.get("src", "?"))


def leads_outside(url: str) -> bool:
    """Whether `url` names another host (data: and blob: are part of the page)."""
    return bool(urlsplit(url).netloc)


def faults(pages: dict[Path, Page]) -> list[tuple[Path, str]]:
    """What is wrong with the built pages: (file, complaint) pairs, empty for a good site."""
    found = []
    for file, page in pages.items():
        found += [(file, f"image without alternative text: {src}") for src in page.silent]
        found += [(file, f"loads from another host: {url}") for url in page.loads if leads_outside(url)]
        for url in page.links + page.loads:
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            anchor = unquote(parts.fragment)
            if not target.exists():
                found.append((file, f"dead link: {url}"))
            elif anchor and target in pages and anchor not in pages[target].anchors:
                found.append((file, f"link to a missing anchor: {url}"))
    return found


def check_pages(app, exception) -> None:
    """Warn of every fault of the site just built."""
    if exception or app.builder.format != "html":
        return
    site = Path(app.outdir).resolve()
    files = (file for file in sorted(site.rglob("*.html")) if "_static" not in file.parts)  # there: templates
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in files}
    for file, complaint in faults(pages):
        log.warning("%s: %s", file.relative_to(site), complaint)


def setup(app):
    """Register with Sphinx; late, so that other extensions have had their say."""
    app.connect("config-inited", choose_cache, priority=900)
    app.connect("config-inited", leave_figures_unnumbered, priority=900)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", check_pages, priority=900)
    app.connect("build-finished", prune_caches, priority=901)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
