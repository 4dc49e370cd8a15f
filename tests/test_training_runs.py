"""A training run refuses what it cannot do before it starts, stops when it diverges, and overwrites nothing."""

import dataclasses
import errno
import io
import json
import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from chroma import _provenance, data, training
from chroma._ownership import owned
from chroma.recipes import Recipe

CONTENTS = ["broccoli", "butterfly", "lion", "scarf"]
CHECKPOINT = "checkpoint.safetensors"
TINY = Recipe(
    size=8,
    block_out_channels=(16, 32),
    layers_per_block=(1, 1),
    batch_size=4,
    num_samples=4 * 6,
    lr_warmup_steps=2,
    mixed_precision="no",
)
SHORT = dataclasses.replace(TINY, num_samples=4)


@pytest.fixture(scope="module")
def images():
    return data.drawings(8, styles="fluent_3d", contents=CONTENTS).images


@pytest.fixture
def trained(images, tmp_path):
    """The folder of a finished run of SHORT."""
    training.train(SHORT, images, CONTENTS, tmp_path / "trained")
    return tmp_path / "trained"


def contents(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# ---- what is in the folder already


def test_a_finished_model_is_not_overwritten_once_its_checkpoint_is_deleted(trained, images, capsys):
    (trained / CHECKPOINT).unlink()
    before = contents(trained)
    with pytest.raises(ValueError, match="trained holds a finished model, which would be overwritten: choose another"):
        training.train(TINY, images, CONTENTS, trained)
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        training.main(["emoji-8", "--out", str(trained)])
    assert re.fullmatch("python -m chroma.training: error: .* holds a finished model, .*\n", capsys.readouterr().err)
    assert contents(trained) == before


def test_a_finished_run_that_is_called_again_leaves_its_files_as_they_are(trained, images):
    before = contents(trained)
    pipe = training.train(SHORT, images, CONTENTS, trained)
    assert contents(trained) == before  # the commit, the date and the minutes of its card too
    saved = load_file(trained / "unet/diffusion_pytorch_model.safetensors")
    assert all(torch.equal(weight, saved[name]) for name, weight in pipe.unet.state_dict().items())


@pytest.mark.parametrize("name", ["model_index.json", "unet/config.json"])
def test_a_model_of_another_program_is_not_overwritten(tmp_path, images, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match="holds a model that is not of this run"):
        training.train(TINY, images, CONTENTS, tmp_path)
    assert list(contents(tmp_path).values()) == [b"{}"]


def test_a_file_that_only_has_the_name_of_a_checkpoint_is_refused_and_kept(tmp_path, images):
    save_file({"weight": torch.zeros(1)}, tmp_path / CHECKPOINT)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="is not a checkpoint of a training run"):
        training.train(TINY, images, CONTENTS, tmp_path)
    assert contents(tmp_path) == before


def test_a_folder_that_another_process_trains_in_is_refused_and_its_owner_named(tmp_path, images):
    with (
        owned(tmp_path, tmp_path / "training.lock"),
        pytest.raises(ValueError, match=f"is in use by process {os.getpid()} on {socket.gethostname()}"),
    ):
        training.train(TINY, images, CONTENTS, tmp_path)


# ---- numbers that are no longer of use


def poison(monkeypatch, harm):
    """Let `harm(trainer, loss)` change what a step returns or leaves."""
    train_step = training._Trainer.train_step
    monkeypatch.setattr(training._Trainer, "train_step", lambda trainer: harm(trainer, train_step(trainer)))


def test_a_run_that_diverges_stops_at_its_step_and_keeps_the_checkpoint_before(tmp_path, images, monkeypatch):
    poison(monkeypatch, lambda trainer, loss: loss * float("nan") if trainer.step == 5 else loss)
    with pytest.raises(ValueError, match=rf"the loss is not finite at step 5 of 6; .*{CHECKPOINT} is kept as it was"):
        training.train(TINY, images, CONTENTS, tmp_path, checkpoint_every=4)
    assert [file.name for file in tmp_path.iterdir()] == [CHECKPOINT]
    with safe_open(tmp_path / CHECKPOINT, "pt") as file:
        assert json.loads(file.metadata()["record"])["step"] == 4


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 1e6])  # half precision ends at 65504
def test_weights_that_cannot_be_saved_stop_the_run(tmp_path, images, monkeypatch, weight):
    def harm(trainer, loss):
        trainer.weights[-1].data[0] = weight
        return loss

    poison(monkeypatch, harm)
    with pytest.raises(ValueError, match="a weight is not finite in half precision at step 1 of 6; train with"):
        training.train(TINY, images, CONTENTS, tmp_path / "new", checkpoint_every=1)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.5, -200.0])
def test_images_out_of_range_are_refused_those_of_the_monitor_too(tmp_path, images, value):
    wrong = images.copy()
    wrong[2, 1, 3, 3] = value
    with pytest.raises(ValueError, match=r"^images must be floats in \[-1, 1\]"):
        training.train(TINY, wrong, CONTENTS, tmp_path)
    good, bad = (images, CONTENTS), (wrong, CONTENTS)
    for name, monitor in {"trained": training.Monitor(bad, good), "held_out": training.Monitor(good, bad)}.items():
        with pytest.raises(ValueError, match=rf"^monitor.{name} must be floats in \[-1, 1\]"):
            training.train(TINY, *good, tmp_path, monitor=monitor)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "size": (0, -8, 8.0, True),
        "num_samples": (0, 1e6),
        "batch_size": (0, -4, 2.5),
        "learning_rate": (-1e-3, float("nan"), float("inf"), "fast"),
        "lr_warmup_steps": (-3,),
        "ema_decay": (2, -0.1, float("nan")),
        "cond_drop_prob": (7, float("nan")),
        "high_noise_fraction": (-1,),
        "seed": (-1, 2**64, 0.5),
        "mixed_precision": ("fp16", "bf32"),
        "dataset": ("drawing",),
        "residual": (1, "no"),
        "block_out_channels": ((), 16, (16.0, 32), (0, 32)),
        "layers_per_block": ((), (1, -1)),
        "init_from": ("",),
    }.items(),
)
def test_a_field_that_no_training_can_have_is_refused_by_its_name(field, values):
    for value in values:
        with pytest.raises(ValueError, match=f"^{field} must be "):
            dataclasses.replace(TINY, **{field: value})


def test_fields_may_be_numbers_and_paths_of_other_types_and_are_stored_as_json_has_them(tmp_path):
    recipe = dataclasses.replace(TINY, batch_size=np.int64(8), learning_rate=np.float32(0.5), init_from=tmp_path)
    stored = json.loads(json.dumps(dataclasses.asdict(recipe)))
    assert (stored["init_from"], stored["batch_size"], stored["learning_rate"]) == (str(tmp_path), 8, 0.5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--checkpoint-every 0", "checkpoint_every must be a whole number >= 1; got 0"),
        ("--num-samples 8", "num_samples must be at least one batch of 32; got 8"),
        ("--block-out-channels 16 16", "block_out_channels must be at most 4 numbers, and as many as layers_per_block"),
        ("--init-from nowhere", "init_from must be the folder of a finished run, with its card.json; got nowhere"),
        ("--ema-decay 2", "ema_decay must be a number from 0 to 1; got 2.0"),
    ],
)
def test_the_command_line_refuses_in_one_sentence_before_it_reads_any_data(options, words, capsys, monkeypatch):
    monkeypatch.setattr(training, "_load_data", None)
    with pytest.raises(SystemExit, match="2"):
        training.main(["emoji-8", "--out", "somewhere", *options.split()])
    error = capsys.readouterr().err
    assert error.startswith(f"python -m chroma.training: error: {words}") and error.count("\n") == 1
    assert not os.path.exists("somewhere")


# ---- what a run ends with


def test_a_run_ends_with_its_card_where_git_is_not_installed(tmp_path, images, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    training.train(SHORT, images, CONTENTS, tmp_path / "new")
    assert json.loads((tmp_path / "new/card.json").read_text())["commit"] is None
    assert not (tmp_path / "new/training.lock").exists()


def test_the_commit_is_that_of_this_project_and_never_of_one_that_it_is_installed_in(tmp_path, monkeypatch):
    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        return subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    git("init", "-q")
    (tmp_path / "chroma").mkdir()
    (tmp_path / "chroma/__init__.py").write_text("")
    git("add", "chroma")
    git("commit", "-q", "-m", "a")
    monkeypatch.setattr(_provenance, "CHECKOUT", tmp_path)
    assert _provenance.commit() is None  # a project that has copied the package into its own repository
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "resolution-chromatography"\n')
    assert _provenance.commit() == git("rev-parse", "HEAD").strip()
    monkeypatch.setattr(_provenance, "CHECKOUT", tmp_path / ".venv/lib/site-packages")
    assert _provenance.commit() is None


def test_a_terminal_that_goes_away_does_not_end_a_run(tmp_path, images, monkeypatch):
    class Terminal(io.StringIO):
        def write(self, text):
            if self.tell() > 40:
                raise OSError(errno.EIO, "Input/output error")
            return super().write(text)

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    monitor = training.Monitor((images, CONTENTS), (images, CONTENTS))
    recipe = dataclasses.replace(TINY, num_samples=8)
    training.train(recipe, images, CONTENTS, tmp_path / "new", monitor=monitor)
    assert len(json.loads((tmp_path / "new/card.json").read_text())["losses"]) == 2
