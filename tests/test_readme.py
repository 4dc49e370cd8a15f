"""What the README promises is there: its commands, its code, its figure."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chroma import Cosine, adjusted_time
from chroma.recipes import RECIPES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_make_target_named_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert {"book", "test"} <= named <= targets


def test_the_code_runs_and_gives_the_number_it_states(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # it saves a picture
    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.S))
    scope = {}
    exec(code, scope)
    stated = float(re.search(r"16x16 picture inside: ([\d.]+)", code)[1])
    assert round(float(scope["adjusted_time"](scope["Cosine"](), 0.8, level=2)), 3) == stated
    assert Image.open("owl.png").size == (256, 256)
    assert scope["predictor"](torch.zeros(1, 3, 64, 64), 0.0).shape == (1, 3, 64, 64)


def test_the_training_commands_name_recipes_that_there_are():
    named = re.findall(r"-m chroma\.training ([\w-]+)", README)
    assert named and set(named) <= RECIPES.keys()


def test_the_times_given_for_the_figure_are_those_of_its_levels():
    stated = re.search(r"the adjusted time below each falls from (\d\.\d+) to (\d\.\d+)", README)
    first, last = adjusted_time(Cosine(), float(stated[1]), [0, 4])
    assert [f"{first:.2f}", f"{last:.2f}"] == [stated[1], stated[2]]


def test_every_path_in_the_table_exists():
    for path in re.findall(r"^\| `([^|]*?)` \|", README, re.M):
        for part in path.split("`, `"):
            assert (ROOT / part).exists(), part


@pytest.mark.usefixtures("site")
def test_the_figure_is_the_first_one_of_the_built_book():
    folder = ROOT / "_build/html/book"
    page = (folder / "intro.html").read_text(encoding="utf-8")
    built = folder / re.search(r'id="fig-idea".*?<img[^>]*? src="([^"]+)"', page, re.S)[1]
    kept = ROOT / "book/_assets/idea.png"
    pictures = [np.asarray(Image.open(file).convert("RGB"), dtype=float) for file in (built, kept)]
    assert pictures[0].shape == pictures[1].shape, f"copy {built} to {kept}"
    # fonts are rasterised alike everywhere but for a level or two
    assert np.abs(pictures[0] - pictures[1]).mean() < 2, f"copy {built} to {kept}"
