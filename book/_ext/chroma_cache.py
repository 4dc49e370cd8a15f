"""Sphinx extension: the execution cache follows everything that the outputs of a page depend on.

jupyter-cache identifies a notebook by its code cells alone, so an edited package would leave old figures in place.
Here the cache *folder* is named by a fingerprint of what all pages depend on (Python, the installed packages, the
environment), and each notebook gets a first cell, which is not shown, with a fingerprint of what this page depends on:
the modules of the package that its cells import, with all modules that these import in turn, the data, and the ledgers
(book/*.yml) that its cells name.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

log = logging.getLogger(__name__)

PACKAGE = "chroma"
MAX_CACHES = 4  # the current one and the latest others, so that going back to an earlier state costs nothing
MAX_NOTEBOOKS = 250  # in a cache: some six states of each page
CODE_CELL = re.compile(r"^(`{3,})\{code-cell\}.*?$(.*?)^\1\s*?$", re.M | re.S)
LEDGER = re.compile(r'"([\w-]+\.yml)"')  # a file beside the page that its cells read
CELL_OPTIONS = re.compile(r"\A\s*(---\n.*?\n---\n|(:[^\n]*\n)+)", re.S)
MARKED = """```{{code-cell}} ipython3
:tags: [remove-cell]

# what this page depends on: {}
```

"""
# data that one part of the package alone reads; all other data, but for weights, counts for every page
OWN_DATA = {"explorer": f"{PACKAGE}.explorer"}
WEIGHTS = "weights"
LISTS = {f"{PACKAGE}.models", f"{PACKAGE}.recipes"}  # modules that name every model and load none by themselves


def environment_fingerprint() -> str:
    """Hash what the outputs of all notebooks depend on outside the repository.

    These are the version of Python, that of every installed distribution, and the environment variables that select
    another model or data set (CHROMA_*).

    Returns:
        16 hexadecimal digits.
    """
    installed = sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()})
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("CHROMA_"))
    return _digest(platform.python_version(), installed, settings)


def page_fingerprint(root: Path, source: str) -> str:
    """Hash what the outputs of one notebook depend on inside the repository, apart from its own cells.

    Args:
        root: The folder that holds the package.
        source: The text of the page.

    Returns:
        16 hexadecimal digits.
    """
    modules = page_modules(root, source)
    files = [_module_file(root, module) for module in sorted(modules)] + list(_data_files(root, modules, source))
    read = {root / "book" / name for cell in code_cells(source) for name in LEDGER.findall(cell)}
    files += sorted(file for file in read if file.is_file())
    return _digest([(file.relative_to(root).as_posix(), _sha256(file, file.stat().st_mtime_ns)) for file in files])


def page_modules(root: Path, source: str) -> set[str]:
    """List the modules of the package that the cells of a page may load: their imports, and the imports of those.

    Args:
        root: The folder that holds the package.
        source: The text of the page.

    Returns:
        Names such as "chroma.models". An import counts wherever it stands, in a function or for a type checker alone.
        Cells that Python cannot parse may load everything.
    """
    try:
        wanted = {name for cell in code_cells(source) for name in _imported(root, ast.parse(cell), PACKAGE)}
    except SyntaxError:  # a line of IPython's own
        files = (root / PACKAGE).rglob("*.py")
        wanted = {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for file in files}
    found: set[str] = set()
    while wanted:
        module = wanted.pop()
        if module not in found:
            found.add(module)
            wanted |= _imports_of(root, module, _module_file(root, module).stat().st_mtime_ns)
    return found


def code_cells(source: str) -> list[str]:
    """List the code cells of a page, without their options.

    Args:
        source: The text of the page, in MyST Markdown.

    Returns:
        The code of each.
    """
    return [CELL_OPTIONS.sub("", cell) for _, cell in CODE_CELL.findall(source)]


def mark(app: Sphinx, name: str, sources: list[str]) -> None:
    """Put a cell with the fingerprint of a page before its first cell."""
    first = CODE_CELL.search(sources[0])
    if first:
        marked = MARKED.format(page_fingerprint(Path(app.srcdir), sources[0]))
        sources[0] = sources[0][: first.start()] + marked + sources[0][first.start() :]


def _imported(root: Path, tree: ast.AST, package: str) -> Iterator[str]:
    """The modules that a syntax tree imports from the package, with the packages that these are in."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == PACKAGE:
                within = (".".join(parts[: i + 1]) for i in range(len(parts)))
                yield from (module for module in within if _module_file(root, module).is_file())


@cache
def _imports_of(root: Path, module: str, changed: int) -> frozenset[str]:
    file = _module_file(root, module)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(_imported(root, ast.parse(file.read_text(encoding="utf-8")), package))


def _module_file(root: Path, module: str) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _data_files(root: Path, modules: set[str], source: str) -> Iterator[Path]:
    """The files of the package that are no modules, and that a page with these modules may read.

    The weights of a model count where the page, or one of its modules, has the start of its name ("emoji-"), and where
    the page goes through all bundled models.
    """
    texts = [source, *(_module_file(root, module).read_text(encoding="utf-8") for module in modules - LISTS)]
    text = "\n".join(texts)
    for file in sorted((root / PACKAGE).rglob("*")):
        if file.is_file() and file.suffix != ".py" and "__pycache__" not in file.parts:
            part, *inner = file.relative_to(root / PACKAGE).parts
            if part == WEIGHTS:
                # beside the folders of the models there are checksums alone, which no output depends on
                if len(inner) > 1 and ("BUNDLED" in source or re.split(r"(?=\d)", inner[0])[0] in text):
                    yield file
            elif OWN_DATA.get(part) is None or OWN_DATA[part] in modules:
                yield file


@cache
def _sha256(file: Path, changed: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def choose_cache(app: Sphinx, config: Config) -> None:
    """Name the execution cache by the environment, and let the notebooks import the package that was hashed."""
    from jupyter_cache import get_cache

    root = Path(app.srcdir)
    folder = Path(app.outdir).parent / ".jupyter_cache" / environment_fingerprint()
    config["nb_execution_cache_path"] = str(folder)
    get_cache(folder).change_cache_limit(MAX_NOTEBOOKS)
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
    app.connect("source-read", mark)
    app.connect("build-finished", prune_caches, priority=901)
    return {"version": "2", "parallel_read_safe": True, "parallel_write_safe": True}
