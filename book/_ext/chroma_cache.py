"""Sphinx extension: the execution cache follows everything that the outputs of a page depend on.

jupyter-cache identifies a notebook by its code cells alone, so an edited package would leave old figures in place.
Here the cache *folder* is named by a fingerprint of everything else that the outputs depend on.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from importlib.metadata import distributions
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

log = logging.getLogger(__name__)

PACKAGE = "chroma"
MAX_CACHES = 4  # the current one and the latest others, so that going back to an earlier state costs nothing


def fingerprint(root: Path) -> str:
    """Hash everything that the outputs of all notebooks depend on, apart from the notebooks themselves.

    The hash covers the package with its data and scripts, the version of Python, the version of every installed
    distribution, and the environment variables that select another model or data set (CHROMA_*). It does not cover
    the dates of files.

    Args:
        root: The folder that holds the package.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    files = (file for file in (root / PACKAGE).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    for file in sorted(files):
        digest.update(f"{file.relative_to(root).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    installed = sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()})
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("CHROMA_"))
    digest.update(repr([platform.python_version(), installed, settings]).encode())
    return digest.hexdigest()[:16]


def choose_cache(app: Sphinx, config: Config) -> None:
    """Name the execution cache by the fingerprint, and let the notebooks import the package that was hashed."""
    root = Path(app.srcdir)
    folder = Path(app.outdir).parent / ".jupyter_cache" / fingerprint(root)
    config["nb_execution_cache_path"] = str(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    os.environ["BUILDING_BOOK"] = "yes"  # a figure appears where the page places it, not below its cell as well
    log.info("execution cache: %s", folder)


def prune_caches(app: Sphinx, exception: Exception | None) -> None:
    """Keep the caches that were used last and delete older ones."""
    current = Path(app.config["nb_execution_cache_path"])
    if exception or not current.is_dir():
        return
    os.utime(current)
    newest_first = sorted(current.parent.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in newest_first[MAX_CACHES:]:
        shutil.rmtree(folder)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx, after the extensions whose settings are changed here."""
    app.connect("config-inited", choose_cache, priority=900)
    app.connect("build-finished", prune_caches, priority=901)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
