"""What the README promises is there: its commands, its code, its figure."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chroma import Cosine, adjusted_time, data
from chroma.pyramid import downsample
from chroma.recipes import RECIPES
from chroma.schedulers.published import PUBLISHED

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_make_target_named_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert {"book", "test"} <= named <= targets


def test_the_code_runs_and_prints_the_numbers_it_states(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.S))
    scope = {}
    exec(code, scope)
    stated = re.search(r"^# (\[[\d. ]+\]):", code, re.M)[1]
    assert capsys.readouterr().out.strip() == stated
    assert scope["last"].x0.shape == (1, 3, 32, 32) and torch.isfinite(scope["last"].x0).all()


def test_the_variance_it_states_is_what_the_picture_keeps():
    photograph = torch.from_numpy(data.photograph(size=256))
    mean = photograph.mean((-1, -2), keepdim=True)
    kept = (downsample(photograph, 4) - mean).square().mean() / (photograph - mean).square().mean()
    stated = re.search(r"keeps (\d+) % of its variance, the noise ([\d.]+) %", README)
    assert [f"{100 * kept:.0f}", f"{100 / 256:.1f}"] == [stated[1], stated[2]]


def test_it_can_be_read_in_a_minute():
    assert len(README.splitlines()) <= 90


def test_it_counts_the_published_models():
    assert int(re.search(r"knows (\d+) published models", README)[1]) == len(PUBLISHED)


def test_the_training_commands_name_recipes_that_there_are():
    named = re.findall(r"-m chroma\.training ([\w-]+)", README)
    assert named and set(named) <= RECIPES.keys()


def test_the_times_given_for_the_figure_are_those_of_its_levels():
    stated = re.search(r"the adjusted time below each falls from (\d\.\d+) to (\d\.\d+)", README)
    first, last = adjusted_time(Cosine(), float(stated[1]), [0, 4])
    assert [f"{first:.2f}", f"{last:.2f}"] == [stated[1], stated[2]]


def test_every_path_exists():
    paths = re.findall(r"`((?:book|chroma|tests)/[\w./-]*|[A-Z]+\.\w+|[\w]+\.lock|environment\.yml)`", README)
    assert len(paths) > 10
    for path in paths:
        assert (ROOT / path).exists(), path


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
