"""The tools of a contributor: the browser for the tests, the markers, the hooks, and the workflows."""

from __future__ import annotations

import ast
import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import conftest
import pytest
import yaml
from packaging.version import Version

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MACHINE = ("bash", "cat", "dirname", "env", "mkdir")  # what .ci/browser needs of every system


class Machine:
    """A folder that is the whole PATH of a script; each command that it runs leaves a line in a log."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        for name in MACHINE:
            real = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
            (folder / name).symlink_to(real)

    def command(self, name: str, script: str = "") -> Path:
        """Add the command `name`, which writes its arguments to the log and then runs `script`."""
        path = self.folder / name
        path.write_text(f'#!{self.folder}/bash\necho "{name} $*" >> {self.log}\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def installs(self, name: str) -> str:
        """Return a script that puts the command `name` on this machine; it works as a browser does."""
        return f'printf "#!{self.folder}/bash\\n" > {self.folder}/{name}; /bin/chmod +x {self.folder}/{name}'

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run .ci/browser on this machine, with a Python that is one of its commands."""
        python = self.folder / "python"
        if not python.exists():
            self.command("python", "exit 1")
        environment = {"PATH": str(self.folder), "PYTHON": str(python), "HOME": str(self.folder)}
        command = [self.folder / "bash", ROOT / ".ci/browser", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def ran(self, words: str) -> bool:
        """Return whether a command whose line begins with `words` was run."""
        return any(line.startswith(words) for line in self.log.read_text().splitlines())


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_an_installed_browser_is_taken_and_nothing_is_installed(machine, name):
    browser = machine.command(name)
    machine.command("apt-get")
    done = machine.run()
    assert (done.returncode, done.stdout.strip()) == (0, str(browser))
    assert not machine.ran("apt-get")


def test_root_gets_the_browser_of_debian(machine):
    machine.command("id", "echo 0")
    machine.command("apt-get", f'[ "$1" != install ] || {{ {machine.installs("chromium")}; }}')
    done = machine.run()
    assert (done.returncode, done.stdout.strip()) == (0, str(machine.folder / "chromium"))
    assert machine.ran("apt-get update") and machine.ran("apt-get install")


def test_without_a_password_free_sudo_playwright_downloads_its_own_browser(machine):
    machine.command("id", "echo 1000")
    machine.command("sudo", "exit 1")
    machine.command("apt-get")
    own = machine.folder / "own-chromium"
    install = f'[ "$2" != playwright ] || {{ {machine.installs(own.name)}; exit 0; }}'
    machine.command("python", f'{install}\n[ -x {own} ] && echo "{own}"')
    done = machine.run()
    assert (done.returncode, done.stdout.strip()) == (0, str(own))
    assert machine.ran("sudo -n apt-get") and machine.ran("python -m playwright install chromium")
    assert not machine.ran("apt-get")


@pytest.mark.parametrize("broken", [False, True], ids=["nothing installs", "what is installed does not start"])
def test_where_no_browser_can_be_installed_one_sentence_says_what_to_install(machine, broken):
    machine.command("id", "echo 0")
    empty = f'printf "#!{machine.folder}/bash\\nexit 1" > {machine.folder}/chromium; /bin/chmod +x {machine.folder}/*'
    machine.command("apt-get", f'[ "$1" != install ] || {{ {empty}; }}' if broken else "exit 100")
    done = machine.run()
    assert done.returncode == 1
    announced, sentence = done.stderr.strip().splitlines()
    assert announced.startswith("There is no browser yet")
    assert sentence.startswith("The tests of the built pages need Chromium")
    assert "sudo apt-get install chromium" in sentence


def test_a_search_for_the_browser_installs_nothing(machine):
    machine.command("id", "echo 0")
    machine.command("apt-get")
    done = machine.run("--find")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert not machine.ran("apt-get")


def test_without_a_browser_the_test_run_ends_with_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "index.html").touch()
    monkeypatch.setattr(conftest, "SITE", tmp_path)
    monkeypatch.setattr(conftest, "find_browser", lambda: None)
    assert conftest.missing({"site"}) is None
    assert "no Chromium" in conftest.missing({"site", "browser"})
    monkeypatch.setattr(conftest, "SITE", tmp_path / "nowhere")
    assert "no site" in conftest.missing({"site"})
    assert conftest.missing({"tmp_path"}) is None


def test_the_sentence_comes_before_the_first_test_of_a_run(tmp_path):
    """In a project of its own, whose site is not built: 200 tests need it, and one line says so."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (folder / "test_pages.py").write_text(
        "import pytest\n\n@pytest.mark.parametrize('page', range(200))\ndef test_page(site, page):\n    pass\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    site\n    slow\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert (done.stdout + done.stderr).count("There is no site in _build/html") == 1
    assert " error" not in done.stdout


def test_every_name_on_the_list_of_slow_tests_is_that_of_a_test():
    names = set()
    for file in (ROOT / "tests").glob("test_*.py"):
        names |= {
            node.name for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)
        }
    stale = [part for part in conftest.SLOW if not any(name.startswith("test_") and part in name for name in names)]
    assert stale == []
    assert names >= conftest.SLOW_FIXTURES
    assert all((ROOT / "tests" / file).is_file() for file in conftest.SLOW_FILES)


def test_each_tool_of_the_hooks_has_the_version_of_the_lock():
    locked = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().split() if "==" in line)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    pins = {pin for hook in hooks for pin in hook.get("additional_dependencies", [])}
    assert all(re.search(r"[=@][\w.]+$", pin) for pin in pins)
    ours = {name: version for name, version in (pin.split("==") for pin in pins if "==" in pin) if name in locked}
    assert ours == {name: locked[name] for name in ours}
    assert "ruff" in ours


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.stem)
def test_each_action_is_pinned_by_its_full_commit_with_the_version_beside_it(workflow):
    used = re.findall(r"uses: (.+)", workflow.read_text())
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d[\w.]*", line)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.stem)
def test_each_command_of_a_workflow_exists(workflow):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    text = workflow.read_text()
    assert set(re.findall(r"\bmake ([a-z]+)", re.sub("#.*", "", text))) <= targets
    for script in re.findall(r"(?:\.ci|book)/[\w./-]+", re.sub("#.*", "", text)):
        assert (ROOT / script).is_file(), script


def test_the_matrix_has_the_first_and_the_last_python_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]
    matrix = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())["jobs"]["check"]["strategy"]["matrix"]
    assert matrix["python"] == [min(named, key=Version), max(named, key=Version)]
    assert project["requires-python"] == f">={matrix['python'][0]}"


def test_the_lowest_versions_are_the_lower_bounds():
    script = "source .ci/lowest; constraints"
    environment = os.environ | {"PYTHON": sys.executable, "TORCH": ""}
    lines = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    lowest = dict(line.split("==") for line in lines.stdout.split())
    text = (ROOT / "pyproject.toml").read_text()
    assert {"numpy", "torch", "matplotlib", "pytest"} <= lowest.keys()
    assert all(f'"{name}>={version}' in text for name, version in lowest.items())


def test_the_record_at_zenodo_has_the_title_the_authors_and_the_paper_of_the_citation():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    record = json.loads((ROOT / ".zenodo.json").read_text())
    assert record["title"] == citation["title"]
    assert [author["name"] for author in record["creators"]] == [author["name"] for author in citation["authors"]]
    assert record["license"] == citation["license"]
    paper = citation["preferred-citation"]["identifiers"][0]["value"]
    assert [entry["identifier"] for entry in record["related_identifiers"]] == [paper]
