"""Sphinx extension: what made each figure (``{provenance}``) and what built the book (``{status}``)."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

PACKAGES = ("numpy", "torch", "diffusers", "transformers", "matplotlib", "jupyter-book", "jupytext", "ipywidgets")

FOLD = ('<details class="provenance-fold"><summary>How it was made</summary>', "</details>")

# by the reader's clock: a page that was built long ago does not know it
AGE_SCRIPT = """<script>
  for (const age of document.querySelectorAll(".book-age")) {
    const days = Math.floor((Date.now() - Date.parse(age.dataset.built)) / 864e5);
    age.textContent = days < 1 ? " (today)" : ` (${days} day${days > 1 ? "s" : ""} ago)`;
  }
</script>"""


def source_version(root: Path) -> str:
    """Describe the state of the sources.

    Args:
        root: A folder of the repository.

    Returns:
        The commit, and whether files differ from it; the version of the package if `root` is in no repository.
    """
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=9", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return f"version {version('resolution-chromatography')}"
    return f"commit {commit.stdout.strip()}" + (" with changes" if changes.stdout.strip() else "")


def build_time() -> datetime:
    """Return the current time, or the one in SOURCE_DATE_EPOCH, which makes two builds of one source identical."""
    return datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", datetime.now(UTC).timestamp())), UTC)


class Provenance(SphinxDirective):
    """Show below a figure how it was plotted, in words, and what made it: ``{provenance} figure``."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return a container with the words of the page and the record of the figure, folded in a browser."""
        record = f"Made with: {{glue:text}}`made {self.arguments[0]}`; {self.config.chroma_commit}."
        contents = self.parse_text_to_nodes("\n".join([*self.content, "", record]))
        fold, end = (nodes.raw("", html, format="html") for html in FOLD)
        return [fold, nodes.container("", *contents, classes=["provenance"]), end]


class Status(SphinxDirective):
    """Show when the book was built, from which sources, and with which versions."""

    def run(self) -> list[nodes.Node]:
        """Return two short paragraphs and the script that fills in the age of the build."""
        self.env.note_reread()  # the time of the build is new in each build
        time = build_time()
        age = f'<span class="book-age" data-built="{time.isoformat()}"></span>'
        packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        lines = (
            f"Built on {time.day} {time:%B %Y, %H:%M} UTC{age}, from {self.config.chroma_commit}.",
            "",
            f"Python {platform.python_version()} on {machine}; {packages}.",
        )
        return [*self.parse_text_to_nodes("\n".join(lines)), nodes.raw("", AGE_SCRIPT, format="html")]


def set_commit(app: Sphinx, config: Config) -> None:
    """Ask for the commit once per build."""
    config["chroma_commit"] = source_version(Path(app.srcdir))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_config_value("chroma_commit", "", "env")
    app.add_directive("provenance", Provenance)
    app.add_directive("status", Status)
    app.connect("config-inited", set_commit)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
