"""The settings of the book are read once from the environment, and errors name the variable."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from chroma import models
from chroma.notebook import settings
from chroma.notebook.settings import Settings, read

ROOT = Path(__file__).parents[1]
ROWS = re.findall(r"^\| CHROMA_(\w+) \|", settings.__doc__, re.M)  # the one place where the variables are described
PAGES = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "book").glob("*.md")}
READS = {  # how a page reads each variable
    "MODEL": r"SETTINGS\.model",
    "DEVICE": r"SETTINGS\.device",
    "DTYPE": r"SETTINGS\.(torch_)?dtype",
    "SAMPLES": r"SETTINGS\.samples",
    "FACES": r"SETTINGS\.faces",
}


def test_without_variables_or_with_empty_ones_the_book_runs_a_bundled_model_on_the_cpu_in_single_precision():
    defaults = Settings("emoji-32", "cpu", "float32", None, None)
    assert read({}) == defaults
    assert read({"CHROMA_MODEL": "", "CHROMA_SAMPLES": " ", "CHROMA_FACES": "", "HOME": "/root"}) == defaults
    assert defaults.model in models.BUNDLED


def test_each_variable_sets_its_own_field(tmp_path):
    environ = {
        "CHROMA_MODEL": "DeepFloyd/IF-I-XL-v1.0",
        "CHROMA_DEVICE": "cuda:1",
        "CHROMA_DTYPE": "bfloat16",
        "CHROMA_SAMPLES": "500",
        "CHROMA_FACES": str(tmp_path),
    }
    assert read(environ) == Settings("DeepFloyd/IF-I-XL-v1.0", "cuda:1", "bfloat16", 500, tmp_path)


def test_each_figure_has_its_own_number_of_samples_unless_one_is_set():
    assert read({}).samples_or(64) == 64
    assert read({"CHROMA_SAMPLES": "5"}).samples_or(64) == 5


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_the_precision_is_the_pytorch_type_of_that_name(name):
    assert str(read({"CHROMA_DTYPE": name}).torch_dtype) == f"torch.{name}"


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:3", "mps", "xpu"])
def test_devices_of_pytorch_are_accepted(device):
    assert str(torch.device(read({"CHROMA_DEVICE": device}).device)) == device


@pytest.mark.parametrize(
    ("variable", "value", "must"),
    [
        ("CHROMA_DEVICE", "cuda:first", "a device such as cpu, cuda or cuda:1"),
        ("CHROMA_DEVICE", "GPU 1", "a device such as cpu, cuda or cuda:1"),
        ("CHROMA_DTYPE", "fp16", "float32, float16 or bfloat16"),
        ("CHROMA_SAMPLES", "0", "a whole number >= 1"),
        ("CHROMA_SAMPLES", "-4", "a whole number >= 1"),
        ("CHROMA_SAMPLES", "1e3", "a whole number >= 1"),
        ("CHROMA_SAMPLES", "2.5", "a whole number >= 1"),
        ("CHROMA_FACES", "no/such/folder", "a folder that exists"),
    ],
)
def test_an_error_for_an_invalid_value_names_the_variable(variable, value, must):
    with pytest.raises(ValueError, match=f"^{variable} must be {must}; got {value}$"):
        read({variable: value})


def test_a_file_is_not_accepted_as_the_folder_of_faces(tmp_path):
    (tmp_path / "faces.zip").touch()
    with pytest.raises(ValueError, match=r"CHROMA_FACES must be a folder that exists; got .*faces\.zip"):
        read({"CHROMA_FACES": str(tmp_path / "faces.zip")})


def test_the_environment_is_read_at_import_and_without_pytorch():
    program = "import sys; from chroma.notebook.settings import SETTINGS; print(SETTINGS.model, 'torch' in sys.modules)"
    environ = {"CHROMA_MODEL": "emoji-64"}
    process = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "emoji-64 False"


def test_the_table_of_variables_has_one_row_per_setting():
    assert [row.lower() for row in ROWS] == list(Settings.__dataclass_fields__)


def test_every_variable_that_the_repository_mentions_is_in_the_table():
    files = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile")]
    files += [*(ROOT / "book").glob("*.md"), *(ROOT / "chroma").rglob("*.py")]
    named = {
        (file.relative_to(ROOT).as_posix(), name)
        for file in files
        for name in re.findall(r"\bCHROMA_([A-Z0-9][A-Z0-9_]*)", file.read_text(encoding="utf-8"))
    }
    assert ("book/full-scale.md", "FACES") in named
    assert {(file, name) for file, name in named if name not in ROWS} == set()


def test_the_page_on_full_scale_lists_the_variables_that_each_page_reads():
    listed = {}
    for cells, variables in re.findall(r"^\| (\[.*?\)) \| (none|[A-Z, ]+) \|", PAGES["full-scale.md"], re.M):
        for page in re.findall(r"\(([\w-]+\.md)\)", cells):
            listed[page] = set() if variables == "none" else set(variables.split(", "))
    assert {f"figure-{number}.md" for number in range(1, 10)} <= listed.keys()
    used = {page: {name for name in ROWS if re.search(READS[name], text)} for page, text in PAGES.items()}
    assert listed == {page: used[page] for page in listed}
    assert {page for page, names in used.items() if names} <= listed.keys()
