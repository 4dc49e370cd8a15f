"""Vendor the browser assets of the book: ``python book/_tools/vendor.py`` (needs npm; the book's build does not).

Fetches the packages pinned below, copies what the pages load into ``book/_vendor`` with each licence, and writes
``VERSIONS.json`` with the version, licence and SHA-256 of everything copied. anywidget's script is taken from
the installed Python package, so that the two halves of a widget always agree.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from importlib.metadata import files as distribution_files
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).parents[1] / "_vendor"

ICONS = "1551f4f60c37af51121f.woff2"  # html-manager's build of Font Awesome

# npm package: (version, [(path in the package, path in _vendor)]); a folder is copied whole
PACKAGES = {
    "requirejs": ("2.3.8", [("require.js", "widgets/require.js")]),  # its licence is kept by hand: npm has none
    "@jupyter-widgets/html-manager": (
        "1.0.15",
        [
            ("dist/embed-amd.js", "widgets/embed-amd.js"),
            # html-manager and its controls each look for a copy of their own
            (f"dist/{ICONS}", f"widgets/@jupyter-widgets/html-manager/dist/{ICONS}"),
            (f"dist/{ICONS}", f"widgets/@jupyter-widgets/{ICONS}"),
            ("dist/embed.js.LICENSE.txt", "licences/html-manager-bundles.txt"),
        ],
    ),
    "mathjax": (
        "3.2.2",
        [
            ("es5/tex-chtml.js", "mathjax/tex-chtml.js"),
            ("es5/output/chtml/fonts/woff-v2", "mathjax/output/chtml/fonts/woff-v2"),
            ("es5/input/tex/extensions", "mathjax/input/tex/extensions"),
            ("LICENSE", "licences/mathjax.txt"),
        ],
    ),
    # the CPU alone, one thread; its licence is kept by hand: npm has none
    "onnxruntime-web": (
        "1.30.0",
        [
            ("dist/ort.wasm.min.mjs", "onnxruntime/ort.wasm.min.mjs"),
            ("dist/ort-wasm-simd-threaded.mjs", "onnxruntime/ort-wasm-simd-threaded.mjs"),
            ("dist/ort-wasm-simd-threaded.wasm", "onnxruntime/ort-wasm-simd-threaded.wasm"),
        ],
    ),
}

# AMD modules of html-manager that only widgets of ipywidgets 7 ask for: a quarter of its weight
OBSOLETE = ("@jupyter-widgets/base7", "@jupyter-widgets/controls7")


def fetch(package: str, number: str, folder: Path) -> Path:
    """Download and unpack one npm package.

    Args:
        package: The name of the package.
        number: Its version.
        folder: Where it is unpacked.

    Returns:
        The folder with its package.json.
    """
    command = ["npm", "pack", "--silent", f"{package}@{number}", "--pack-destination", str(folder)]
    archive = folder / subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    target = folder / archive.stem
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target / "package"


def licence(distribution: str) -> Path:
    """Return the licence file of an installed Python package."""
    files_of_package = distribution_files(distribution) or []
    return next(Path(str(file.locate())) for file in files_of_package if file.name == "LICENSE")


def copy(source: Path, target: Path) -> None:
    """Copy a file or a whole folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def without(script: str, modules: tuple[str, ...]) -> str:
    """Remove modules from an AMD bundle.

    Args:
        script: The bundle.
        modules: The names of the modules to remove.

    Returns:
        The bundle without them.

    Raises:
        ValueError: A module is not in the bundle.
    """
    parts = re.split(r'^(?=define\("@jupyter-widgets/)', script, flags=re.MULTILINE)
    retained = [part for part in parts if not part.startswith(tuple(f'define("{name}"' for name in modules))]
    if len(retained) != len(parts) - len(modules):
        raise ValueError(f"not all of {modules} are in the bundle: update the list of modules to remove")
    return "".join(retained)


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every vendored file by its path; VERSIONS.json itself is left out."""
    vendored = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "VERSIONS.json")
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in vendored}


def main() -> None:
    """Rebuild ``book/_vendor``."""
    for folder in ("mathjax", "onnxruntime", "widgets"):
        shutil.rmtree(VENDOR / folder, ignore_errors=True)
    packages: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for package, (number, paths) in PACKAGES.items():
            source = fetch(package, number, Path(scratch))
            for path, target in paths:
                copy(source / path, VENDOR / target)
            metadata = json.loads((source / "package.json").read_text())
            packages[package] = {"version": number, "licence": metadata["license"], "from": "npm"}
    bundle = VENDOR / "widgets/embed-amd.js"
    bundle.write_text(without(bundle.read_text(encoding="utf-8"), OBSOLETE), encoding="utf-8")
    packages["@jupyter-widgets/html-manager"]["left out"] = OBSOLETE
    copy(Path(str(files("anywidget") / "nbextension/index.js")), VENDOR / "widgets/anywidget.js")
    copy(licence("anywidget"), VENDOR / "licences/anywidget.txt")
    copy(licence("ipywidgets"), VENDOR / "licences/html-manager.txt")  # one repository, one licence
    packages["anywidget"] = {"version": version("anywidget"), "licence": "MIT", "from": "PyPI"}
    record = {"packages": packages, "sha256": checksums(VENDOR)}
    (VENDOR / "VERSIONS.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
