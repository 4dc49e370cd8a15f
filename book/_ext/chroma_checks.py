"""Sphinx extension: a warning for each fault of the built site, and the book is built with warnings as errors.

1. A page requests nothing from another host.
2. Every image has an alternative text.
3. Every internal link leads to a page and an anchor that exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

log = logging.getLogger(__name__)

# element: the attribute with the address of what a browser loads for it
LOADING_ATTRIBUTES = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_LOADED = ("canonical", "author", "license")  # relations of a <link> that a browser does not follow


class Page(HTMLParser):
    """Collect what the checks need of one built page.

    Attributes:
        anchors: The ids and names that a link can lead to.
        links: The targets of links.
        resources: The addresses of what a browser loads with the page.
        images_without_text: The addresses of images without an alternative text.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.resources: list[str] = []
        self.images_without_text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the anchors, the link, the resource or the image of one element."""
        attributes = {name: value or "" for name, value in attrs}
        self.anchors.update(attributes[key] for key in ("id", "name") if attributes.get(key))
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        resource = attributes.get(LOADING_ATTRIBUTES.get(tag, ""))
        if resource and attributes.get("rel") not in NOT_LOADED:
            self.resources.append(resource)
        source = attributes.get("src", "")
        # docutils inserts the name of the file where the author wrote no text
        if tag == "img" and attributes.get("alt", "").strip() in ("", source, Path(source).name):
            self.images_without_text.append(source or "?")


def is_external(url: str) -> bool:
    """Return whether `url` names another host (data: and blob: are part of the page)."""
    return bool(urlsplit(url).netloc)


def faults(pages: dict[Path, Page]) -> list[tuple[Path, str]]:
    """List what is wrong with a built site.

    Args:
        pages: Every page of the site by its file.

    Returns:
        Pairs of a file and a complaint; empty for a good site.
    """
    complaints = []
    for file, page in pages.items():
        complaints += [(file, f"image without alternative text: {source}") for source in page.images_without_text]
        complaints += [(file, f"loads from another host: {url}") for url in page.resources if is_external(url)]
        complaints += [(file, complaint) for complaint in _broken_links(file, pages)]
    return complaints


def _broken_links(file: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Yield a complaint for each internal link of a page that leads nowhere."""
    for url in pages[file].links + pages[file].resources:
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            continue
        target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
        anchor = unquote(parts.fragment)
        if not target.exists():
            yield f"dead link: {url}"
        elif anchor and target in pages and anchor not in pages[target].anchors:
            yield f"link to a missing anchor: {url}"


def check_site(app: Sphinx, exception: Exception | None) -> None:
    """Warn of every fault of the site that was just built."""
    if exception or app.builder.format != "html":
        return
    site = Path(app.outdir).resolve()
    files = (file for file in sorted(site.rglob("*.html")) if "_static" not in file.parts)  # _static has templates
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in files}
    for file, complaint in faults(pages):
        log.warning("%s: %s", file.relative_to(site), complaint)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx; the checks run late, after other extensions have written their files."""
    app.connect("build-finished", check_site, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
