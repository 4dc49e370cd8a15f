"""The files that hold the project together agree with one another."""

from __future__ import annotations

import ast
import functools
import graphlib
import hashlib
import importlib
import importlib.metadata as metadata
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import chroma

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [Requirement(line) for lines in (PROJECT["dependencies"], *EXTRAS.values()) for line in lines]
TOP_LEVEL = {
    "book",
    "chroma",
    "tests",
    "_config.yml",
    "_toc.yml",
    "environment.yml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "MANIFEST.in",
    "CITATION.cff",
    "pyproject.toml",
    "requirements.lock",
    "Makefile",
}
HIDDEN = {
    ".ci",
    ".editorconfig",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".prettierrc.json",
    ".zenodo.json",
}
NOT_PACKED = {"chroma/explorer/jsconfig.json"}  # for the editor and the type checker of a contributor


def pins(lines) -> dict[str, Version]:
    """{canonical name: version} of lines like ``name==1.2``."""
    requirements = [line.strip() for line in lines]
    split = [line.split("==") for line in requirements if line and not line.startswith(("#", "-"))]
    return {canonicalize_name(name): Version(version) for name, version in split}


LOCK = pins((ROOT / "requirements.lock").read_text().splitlines())
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
ENVIRONMENT = next(entry["pip"] for entry in CONDA if isinstance(entry, dict))


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_the_lock_holds_every_direct_requirement_at_a_version_it_allows(requirement):
    locked = LOCK[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(locked, prereleases=True)


def test_the_lock_holds_everything_that_the_locked_packages_themselves_require():
    """As seen from Linux, where the lock is made: other systems may add a package or two of their own."""
    installed = {canonicalize_name(item.name): Version(item.version).public for item in metadata.distributions()}
    if any(installed.get(name) != version.public for name, version in LOCK.items()):
        pytest.skip("the installed versions are not those of requirements.lock")
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": ""}
    missing = set()
    for name in LOCK:
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker and not needed.marker.evaluate(linux):
                continue
            # PyTorch's CUDA packages differ from build to build; pip takes those of the build it chose
            if not canonicalize_name(needed.name).startswith(("nvidia-", "cuda-", "triton")):
                missing |= {canonicalize_name(needed.name)} - LOCK.keys()
    assert missing == set()


def test_the_conda_environment_pins_what_the_lock_pins():
    pinned = pins(ENVIRONMENT)
    assert pinned == {name: LOCK[name] for name in pinned}


def test_the_conda_environment_has_the_core_and_all_that_the_book_imports():
    wanted = [Requirement(line) for line in [*PROJECT["dependencies"], *EXTRAS["torch"], *EXTRAS["book"]]]
    assert {canonicalize_name(requirement.name) for requirement in wanted} == pins(ENVIRONMENT).keys()
    assert "--editable ." in ENVIRONMENT
    assert "python=3.11" in CONDA


def test_the_lock_names_no_graphics_card_and_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert "nvidia" not in text
    assert "://" not in text
    assert "+cpu" not in text


def test_the_top_level_is_exactly_as_agreed():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in listed.splitlines()}
    assert {name for name in top if not name.startswith(".")} == TOP_LEVEL
    assert {name for name in top if name.startswith(".")} == HIDDEN


def build(folder: Path, kind: str) -> Path:
    """The wheel or the source distribution ("sdist") of the package, built in a folder."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    for name in ("chroma", "tests"):
        (folder / name).symlink_to(ROOT / name)
    command = f"from setuptools import build_meta; build_meta.build_{kind}('.')"
    subprocess.run([sys.executable, "-c", command], cwd=folder, check=True, capture_output=True)
    return next(folder.glob("resolution_chromatography-*.whl" if kind == "wheel" else "*.tar.gz"))


PACKED_WEIGHTS = ("photos-32", "photos-64-residual", "emoji-32", "emoji-8")  # at most 60 MB; others are fetched


def packed_files() -> set[str]:
    """The files of the package that a wheel holds."""
    on_disk = (file for file in (ROOT / "chroma").rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    weights = {folder.name for folder in (ROOT / "chroma/weights").iterdir() if folder.is_dir()}
    fetched = {f"chroma/weights/{name}" for name in weights.difference(PACKED_WEIGHTS)}
    names = {file.relative_to(ROOT).as_posix() for file in on_disk} - NOT_PACKED
    return {name for name in names if "/".join(name.split("/")[:3]) not in fetched}


def test_the_wheel_holds_every_module_script_and_picture_of_the_package_and_60_megabytes_of_weights(tmp_path):
    wheel = build(tmp_path, "wheel")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("chroma/")}
        licences = {name.partition("/licenses/")[2] for name in archive.namelist() if "/licenses/" in name}
        metadata = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    assert packed == packed_files()
    assert sum((ROOT / name).stat().st_size for name in packed if name.startswith("chroma/weights/")) < 60e6
    assert wheel.name.split("-")[1] == chroma.__version__
    texts = {file.relative_to(ROOT).as_posix() for file in (ROOT / "chroma/bundled/licences").iterdir()}
    assert licences == {"LICENSE", "chroma/bundled/LICENCES.md", "chroma/bundled/CREDITS.tsv", *texts}
    assert f"License-Expression: {PROJECT['license']}\n" in metadata


@pytest.mark.slow
def test_the_source_distribution_holds_the_package_and_no_tests_that_cannot_run_in_it(tmp_path):
    with tarfile.open(build(tmp_path, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert not any(name.startswith("tests") for name in names)
    listed = subprocess.run(["git", "ls-files", "chroma"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(listed.split()) & packed_files() <= names


def test_importing_the_package_loads_neither_torch_nor_matplotlib():
    heavy = "{'torch', 'matplotlib', 'diffusers', 'ipywidgets', 'scipy'}"
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, chroma; print(sorted({heavy} & set(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == "[]"


def test_the_licences_say_what_they_cover():
    licence = (ROOT / "LICENSE").read_text()
    assert licence.startswith("MIT License")
    assert "CC BY 4.0" in licence.split("-" * 80)[1]
    bundled = (ROOT / "chroma" / "bundled" / "LICENCES.md").read_text(encoding="utf-8")
    drawings = re.findall(r"\| \[([\w.-]+)\]\(licences/", bundled)
    photographs = re.findall(r"^- ([\w.-]+) \(\d+\): ", bundled, re.M)
    photographs = [{"Public-Domain": "LicenseRef-Public-Domain"}.get(name, name) for name in photographs]
    # the names of emoji have the notice of Unicode that SPDX calls DFS-2015
    assert set(PROJECT["license"].split(" AND ")) == {"MIT", "Unicode-DFS-2015", *drawings, *photographs}


def test_the_citation_names_this_version_and_prefers_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == chroma.__version__
    paper = citation["preferred-citation"]
    assert paper["title"] == "Resolution Chromatography of Diffusion Models"
    assert [author["family-names"] for author in paper["authors"]] == ["Hwang", "Park", "Jo"]


def test_the_vendored_browser_assets_are_those_on_record_each_with_its_licence():
    vendor = ROOT / "book" / "_vendor"
    record = json.loads((vendor / "VERSIONS.json").read_text())
    files = (file for file in vendor.rglob("*") if file.is_file() and file.name != "VERSIONS.json")
    sums = {file.relative_to(vendor).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert sums == record["sha256"]
    licences = {file.stem for file in (vendor / "licences").iterdir()}
    assert {name.split("/")[-1] for name in record["packages"]} <= licences


def test_the_vendored_half_of_anywidget_has_the_version_of_the_locked_half():
    record = json.loads((ROOT / "book" / "_vendor" / "VERSIONS.json").read_text())
    assert Version(record["packages"]["anywidget"]["version"]) == LOCK["anywidget"]


def test_what_differs_from_the_lock_is_listed_by_name_however_that_is_spelt(tmp_path):
    (tmp_path / "locked").write_text("# made by hand\nJinja2==3.1\ntorch==2.13.0\nruamel.yaml==1.0\nsame==1\ngone==4\n")
    (tmp_path / "newest").write_text("jinja2==3.1\ntorch==2.14.0+cpu\nruamel-yaml==1.1\nsame==1\nnvidia-cublas==13\n")
    report = 'source .ci/newest; differences "$0/locked" "$0/newest"'
    done = subprocess.run(["bash", "-c", report, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["gone", "4", "-"],
        ["ruamel-yaml", "1.0", "1.1"],
        ["torch", "2.13.0", "2.14.0"],
    ]


# --- the modules of the package, and how they depend on one another ---------------------------------------------------

PACKAGE = ROOT / "chroma"
SOURCES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted(PACKAGE.rglob("*.py"))
}
PACKAGES = {name for name, file in SOURCES.items() if file.name == "__init__.py"}
TREES = {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in SOURCES.items()}
BOOK_SOURCES = sorted(file for folder in ("_ext", "_tools") for file in (ROOT / "book" / folder).glob("*.py"))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING"


def imports_of(node: ast.AST, everywhere: bool, types: bool = True) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements below `node`: those that run when the module is imported, or those in functions too.

    Args:
        node: A module or a part of one.
        everywhere: Whether statements inside functions count.
        types: Whether those below ``if TYPE_CHECKING:`` count.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif is_type_checking(child) and not types:
            for other in child.orelse:
                yield from imports_of(other, everywhere, types)
        elif everywhere or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports_of(child, everywhere, types)


def origins(statement: ast.Import | ast.ImportFrom, module: str) -> Iterator[tuple[str, str]]:
    """(module, name) of each name that a statement in `module` imports; the name is "" where it is a whole module."""
    if isinstance(statement, ast.Import):
        yield from ((alias.name, "") for alias in statement.names)
        return
    source = statement.module or ""
    if statement.level:
        package = module if module in PACKAGES else module.rpartition(".")[0]
        parents = package.split(".")[: len(package.split(".")) - statement.level + 1]
        source = ".".join([*parents, *filter(None, [statement.module])])
    for alias in statement.names:
        whole_module = f"{source}.{alias.name}" in SOURCES
        yield (f"{source}.{alias.name}", "") if whole_module else (source, alias.name)


def dependencies(types: bool) -> dict[str, set[str]]:
    """{module: the modules of the package that are imported with it}, with the packages that contain them.

    A package that contains the importing module does not count: Python has already begun to import it.
    """
    graph = {}
    for module, tree in TREES.items():
        needed = set()
        for statement in imports_of(tree, everywhere=False, types=types):
            for source, _ in origins(statement, module):
                parts = source.split(".")
                parents = {".".join(parts[:count]) for count in range(2, len(parts))}
                needed |= {source, *(parent for parent in parents if not f"{module}.".startswith(f"{parent}."))}
        graph[module] = (needed & SOURCES.keys()) - {module}
    return graph


@pytest.mark.parametrize("types", [False, True], ids=["at run time", "with the imports for type checkers"])
def test_no_modules_import_one_another_in_a_circle(types):
    try:
        graphlib.TopologicalSorter(dependencies(types)).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])), pytrace=False)


def test_no_private_name_is_imported_from_another_module():
    """A private module, such as chroma._check, belongs to its package, and to the scripts of this repository."""
    sources = TREES | {file.stem: ast.parse(file.read_text(encoding="utf-8")) for file in BOOK_SOURCES}
    found = []
    for module, tree in sources.items():
        for statement in imports_of(tree, everywhere=True):
            for source, name in origins(statement, module):
                if not f"{source}.".startswith("chroma."):
                    continue
                parts = [*source.split("."), *filter(None, [name])]
                private = next((i for i, part in enumerate(parts) if re.match(r"_(?!_)", part)), None)
                owner = None if private is None else ".".join(parts[:private])
                of_a_package = owner in PACKAGES and f"{owner}.{parts[private]}" in SOURCES
                inside = f"{module}.".startswith(f"{owner}.") or module not in SOURCES
                if private is not None and not (of_a_package and inside):
                    found.append(f"{module}, line {statement.lineno}: {'.'.join(parts)}")
    assert found == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_no_name_of_a_package_hides_one_of_its_modules(package):
    below = {name for name in SOURCES if name.rpartition(".")[0] == package and not name.endswith("__main__")}
    holder = importlib.import_module(package)
    for name in sorted(below):
        short = name.rpartition(".")[2]
        assert isinstance(getattr(holder, short, ModuleType("")), ModuleType), f"{name} is hidden before its import"
        assert importlib.import_module(name) is getattr(holder, short), f"{name} is hidden after its import"


# --- the reference ----------------------------------------------------------------------------------------------------


def public_names(module: str) -> list[str]:
    """The functions and classes that a module defines under a name without an underscore."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in TREES[module].body if isinstance(node, kinds) and not node.name.startswith("_")]


def named(path: str) -> object:
    """The module, function or class at a dotted path."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        if (module := ".".join(parts[:count])) in SOURCES:
            return functools.reduce(getattr, parts[count:], importlib.import_module(module))
    raise LookupError(path)


def identity(thing: object) -> str:
    """Where a function or class is defined, whatever the path by which it was reached."""
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', '?')}"


def documented() -> set[str]:
    """The identities of what the pages of the reference describe, by autodoc and autosummary."""
    found = set()
    text = "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "book/api").glob("*.md")))
    directives = re.findall(r"\.\. auto(\w+):: *(\S*)\n((?:[ \t]+\S.*\n|[ \t]*\n)*)", text)
    for kind, path, below in directives:
        options = dict(re.findall(r"^\s+:([\w-]+):[ \t]*(.*)$", below, re.M))
        if kind == "summary":
            current = re.search(r"currentmodule:: *(\S+)", text)
            names = re.findall(r"^\s+~?([A-Za-z_][\w.]*)\s*$", below, re.M)
            found |= {
                identity(named(n if n.startswith("chroma") or not current else f"{current[1]}.{n}")) for n in names
            }
        elif kind != "module":
            found.add(identity(named(path)))
        elif "no-members" not in options:
            module = named(path)
            listed = options.get("members") or ""
            names = re.findall(r"\w+", listed) or getattr(module, "__all__", None) or public_names(path)
            excluded = re.findall(r"\w+", options.get("exclude-members", ""))
            found |= {identity(getattr(module, name)) for name in names if name not in excluded}
    return found


def test_every_public_function_and_class_is_in_the_reference():
    known = documented()
    public = [
        f"{module}.{name}"
        for module in SOURCES
        if not re.search(r"\._", module)
        for name in public_names(module)
        if identity(getattr(importlib.import_module(module), name)) not in known
    ]
    assert public == []


# --- the words of identifiers -----------------------------------------------------------------------------------------

# What the field calls otherwise, or has no need of. The first are retired in every identifier, names of tests too; the
# second are good words inside a longer name (`teacher_forced`, `noisy_image`), and retired as a name of their own.
RETIRED_EVERYWHERE = {
    *("alike", "comb", "combs", "equidistant", "foretold", "heard", "refuse", "shipped", "spoken"),
    *("teeth", "told", "tooth"),
}
RETIRED_ALONE = {
    *("denoised", "direct", "dropout", "forced", "in_turn", "moment", "noisy", "remaining", "silent", "spent"),
    *("switched", "together", "untrained", "visited", "whole"),
}


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of every function, class, argument, assigned variable, attribute and command-line option."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("add_argument"):
            options = (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
            yield from ((node.lineno, option.lstrip("-").replace("-", "_")) for option in options)


def retired(name: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    alone = name.strip("_").lower()
    return alone in RETIRED_ALONE or not RETIRED_EVERYWHERE.isdisjoint(word.lower() for word in words)


def test_retired_words_are_recognised_in_each_style_of_name():
    assert all(map(retired, ["told", "_told", "ToldPrompts", "is_told", "SHIPPED", "Shipped", "moment", "Direct"]))
    assert not any(map(retired, ["teacher_forced", "noisy_image", "momentum", "combine", "directory", "tooltip"]))


def test_no_identifier_is_a_retired_word():
    files = [*SOURCES.values(), *BOOK_SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]
    found = [
        f"{file.relative_to(ROOT)}:{line} {name}"
        for file in files
        for line, name in sorted(set(identifiers(ast.parse(file.read_text(encoding="utf-8")))))
        if retired(name)
    ]
    for file in sorted((PACKAGE / "explorer").glob("*.js")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            declared = re.findall(r"\b(?:const|let|var|function|class)\s+(\w+)", line)
            found += [f"{file.relative_to(ROOT)}:{number} {name}" for name in declared if retired(name)]
    assert found == []
