"""The files that hold the project together agree with one another."""

from __future__ import annotations

import hashlib
import importlib.metadata as metadata
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import chroma

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [Requirement(line) for lines in (PROJECT["dependencies"], *EXTRAS.values()) for line in lines]
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
    "CITATION.cff",
    "pyproject.toml",
    "requirements.lock",
    "Makefile",
}


def pins(lines) -> dict[str, Version]:
    """{canonical name: version} of lines like ``name==1.2``."""
    requirements = [line.strip() for line in lines]
    split = [line.split("==") for line in requirements if line and not line.startswith(("#", "-"))]
    return {canonicalize_name(name): Version(version) for name, version in split}


LOCK = pins((ROOT / "requirements.lock").read_text().splitlines())
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
ENVIRONMENT = next(entry["pip"] for entry in CONDA if isinstance(entry, dict))


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_the_lock_holds_every_direct_requirement_at_a_version_it_allows(requirement):
    locked = LOCK[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(locked, prereleases=True)


def test_the_lock_holds_everything_that_the_locked_packages_themselves_require():
    """As seen from Linux, where the lock is made: other systems may add a package or two of their own."""
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
    assert {name for name in top if name.startswith(".")} == {".ci", ".github", ".gitignore"}


def test_the_wheel_holds_every_module_script_and_picture_of_the_package(tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "chroma").symlink_to(ROOT / "chroma")
    build = "from setuptools import build_meta; build_meta.build_wheel('.')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    wheel = next(tmp_path.glob("resolution_chromatography-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("chroma/")}
    on_disk = (file for file in (ROOT / "chroma").rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    assert packed == {file.relative_to(ROOT).as_posix() for file in on_disk}
    assert wheel.name.split("-")[1] == chroma.__version__


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
    assert PROJECT["license"] == "MIT"


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


def test_what_differs_from_the_lock_is_told_by_name_however_that_is_spelt(tmp_path):
    (tmp_path / "locked").write_text("# made by hand\nJinja2==3.1\ntorch==2.13.0\nruamel.yaml==1.0\nsame==1\ngone==4\n")
    (tmp_path / "newest").write_text("jinja2==3.1\ntorch==2.14.0+cpu\nruamel-yaml==1.1\nsame==1\nnvidia-cublas==13\n")
    report = 'source .ci/newest; differences "$0/locked" "$0/newest"'
    told = subprocess.run(["bash", "-c", report, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split() for line in told.stdout.splitlines()] == [
        ["gone", "4", "-"],
        ["ruamel-yaml", "1.0", "1.1"],
        ["torch", "2.13.0", "2.14.0"],
    ]
