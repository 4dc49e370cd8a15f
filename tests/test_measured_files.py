"""The files of a measuring run belong to it alone, and what it refuses it names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
from tiny import tiny

from chroma import _fingerprint, measure, models
from chroma._measured_files import differences, own, part_file, parts_folder, save

PROMPTS = ["a", "b"]
GIVEN = {"steps": 2, "seeds": 2}


def run(pipe, out, prompts=PROMPTS, **changed):
    return measure.measure_prompts(pipe, "tiny", prompts, out, **{**GIVEN, **changed})


def negate(module):
    with torch.no_grad():
        for weight in module.parameters():
            weight.neg_()


def permute(module):
    with torch.no_grad():
        module.bias.copy_(module.bias.flip(0) + torch.arange(len(module.bias)))
        module.weight.copy_(module.weight.flip(0))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda pipe: negate(pipe.text_encoder), "text_encoder"),
        (lambda pipe: pipe.scheduler.register_to_config(prediction_type="sample"), "scheduler"),
        (lambda pipe: negate(pipe.unet.conv_out), "unet"),
        (lambda pipe: permute(pipe.unet.conv_out), "unet"),
        (lambda pipe: negate(pipe.vae), "vae"),
        (lambda pipe: setattr(pipe.tokenizer, "model_max_length", 5), "tokenizer"),
    ],
)
def test_a_changed_component_is_named(tmp_path, change, named):
    pipe, images = tiny("StableDiffusionPipeline"), torch.zeros(2, 3, 16, 16)
    out = tmp_path / "out.safetensors"
    before = run(pipe, out, images=images)
    change(pipe)
    with pytest.raises(ValueError, match=rf"a different run, which differs in the model \(its {named}\); delete it"):
        run(pipe, out, images=images)
    assert measure.load(out).run == before.run


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"prompts": ["a", "a b"]}, r"prompts \(number 2 is 'b' there and 'a b' here\)"),
        ({"prompts": ["a", "b", "a b"]}, r"prompts \(2 there and 3 here\)"),
        ({"steps": 3}, r"steps \(2 there and 3 here\)"),
        ({"seeds": 3}, r"seeds \(2 there and 3 here\)"),
        ({"scale": 5.0}, r"scale \(4.0 there and 5.0 here\)"),
    ],
)
def test_a_changed_argument_is_named_for_results_and_for_parts(tmp_path, monkeypatch, changed, named):
    pipe, out = tiny("IFPipeline"), tmp_path / "out.safetensors"
    with monkeypatch.context() as patch:  # ends before the parts are joined
        patch.setattr(measure, "_join_parts", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(pipe, out)
    with pytest.raises(ValueError, match=rf"partial results of a different run, which differs in {named}; delete"):
        run(pipe, out, **changed)
    run(pipe, out)
    with pytest.raises(ValueError, match=rf"result of a different run, which differs in {named}; delete"):
        run(pipe, out, **changed)


def test_results_of_an_earlier_edition_are_loaded_but_not_taken_for_new_ones(tmp_path):
    pipe, out = tiny("IFPipeline"), tmp_path / "out.safetensors"
    new = run(pipe, out)
    from safetensors.numpy import save_file

    record = {key: value for key, value in asdict(new.run).items() if key != "components"} | {"weights": "0123abcd"}
    save_file({key: getattr(new, key) for key in ("log_snrs", "energy", "weights")}, out, {"run": json.dumps(record)})
    old = measure.load(out)
    assert old.run.components is None and np.array_equal(old.result().value, new.result().value)
    with pytest.raises(ValueError, match="the model, whose fingerprint an earlier edition of chroma computed"):
        run(pipe, out)


def test_equal_records_do_not_differ():
    record = {"model": "m", "prompts": ["a"], "weights": "1", "components": {"unet": "1"}}
    assert differences(record, {**record, "prompts": ("a",)}) == ""
    assert differences(record, {"model": "m"}) == ""


def test_what_is_the_user_s_in_the_folder_of_parts_stays(tmp_path):
    out, parts = tmp_path / "out.safetensors", tmp_path / "out.safetensors.parts"
    (parts / ".ipynb_checkpoints").mkdir(parents=True)
    (parts / "notes.txt").write_text("mine")
    (parts / "draft.partial").write_text("mine")
    (parts / f"1.safetensors.{'0' * 32}.partial").write_text("left by a killed process")
    run(tiny("IFPipeline"), out)
    assert sorted(item.name for item in parts.iterdir()) == [".ipynb_checkpoints", "draft.partial", "notes.txt"]


def test_one_process_at_a_time_measures_into_a_file(tmp_path):
    out = tmp_path / "out.safetensors"
    with own(out), pytest.raises(ValueError, match=rf"{out} is in use by process {os.getpid()}"):
        run(tiny("IFPipeline"), out)
    run(tiny("IFPipeline"), out)
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_run_killed_in_its_last_moment_left_goes_with_the_next(tmp_path):
    pipe, out = tiny("IFPipeline"), tmp_path / "out"
    before = run(pipe, out)
    parts_folder(out).mkdir()
    save(part_file(parts_folder(out), 0), asdict(before.run), {"energy": before.energy[0], "weights": before.weights})
    (tmp_path / "out.lock").write_text("")
    run(pipe, out)
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    parts_folder(out).mkdir()
    save(part_file(parts_folder(out), 0), {**asdict(before.run), "seeds": 9}, {"energy": before.energy[0]})
    run(pipe, out)
    assert part_file(parts_folder(out), 0).exists()  # of another run, which may go on elsewhere


def test_a_second_measurement_of_a_folder_does_not_read_its_weights_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tiny("IFPipeline").save_pretrained(tmp_path / "model")
    (tmp_path / "prompts.txt").write_text("a\nb\n")
    given = ["--model", str(tmp_path / "model"), "--prompts", str(tmp_path / "prompts.txt"), "--steps", "2"]
    measure.main([*given, "--out", str(tmp_path / "first")])
    monkeypatch.setattr(_fingerprint, "identify", lambda pipe: pytest.fail("the weights were read"))
    measure.main([*given, "--out", str(tmp_path / "second")])
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_prompts_without_guidance_are_refused(tmp_path, monkeypatch):
    pipe = tiny("IFPipeline")
    monkeypatch.setattr(measure, "check_distinguishable", lambda pipe, prompts: [])
    same = measure.encode
    monkeypatch.setattr(measure, "encode", lambda pipe, prompt: same(pipe, ""))
    with pytest.raises(ValueError, match="the guidance of prompt 0, 'a', must be other than 0"):
        run(pipe, tmp_path / "out.safetensors")


def test_prompts_that_the_model_cannot_tell_apart_are_refused(tmp_path):
    with pytest.raises(ValueError, match="texts that the model can read; got 'zyx', of which it knows no word"):
        measure.measure_prompts(models.load("emoji-8"), "emoji-8", ["a flat drawing of owl", "zyx"], tmp_path / "out")


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Runs the command line with options; a model that is loaded is a fault."""
    (tmp_path / "prompts.txt").write_text("a flat drawing of owl\na line drawing of ox\n")
    (tmp_path / "file").write_text("")

    def loaded(*given):
        raise AssertionError("the model was loaded")

    def command_line(*options):
        monkeypatch.setattr(models, "load", loaded)
        capsys.readouterr()  # progress bars
        given = {"--model": "emoji-8", "--prompts": tmp_path / "prompts.txt", "--out": tmp_path / "out"}
        given |= dict(zip(options[::2], options[1::2], strict=True))
        with pytest.raises(SystemExit) as ended:
            measure.main([str(one) for option in given.items() for one in option])
        (said,) = capsys.readouterr().err.splitlines()
        assert ended.value.code == 2
        return said.removeprefix("python -m chroma.measure: error: ")

    return command_line


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--seeds", "0", "seeds must be a whole number >= 1; got 0"),
        ("--steps", "0", "steps must be a whole number >= 1; got 0"),
        ("--batch-size", "0", "batch_size must be a whole number >= 1; got 0"),
        ("--scale", "nan", "scale must be a finite number; got nan"),
        ("--scale", "inf", "scale must be a finite number; got inf"),
        ("--device", "gpu", "device must be one that this machine has, such as cpu; got gpu"),
        ("--device", "meta", "device must be one that this machine has, such as cpu; got meta"),
        ("--prompts", "none.txt", "none.txt does not exist; use a text file with one prompt per line"),
        ("--images", "none.txt", "none.txt does not exist; use a text file with one path of an image per line"),
        ("--out", ".", ". is a folder; choose the name of a file, NAME.safetensors, as --out"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_model_is_loaded(command, option, value, words):
    assert command(option, value) == words


def test_places_that_cannot_be_written_are_refused_before_a_model_is_loaded(command, tmp_path):
    assert "choose another --out" in command("--out", tmp_path / "file" / "out")
    assert "is not a whole result of chroma.measure" in command("--out", tmp_path / "file")
    with own(tmp_path / "out"):
        assert "is in use by process" in command("--out", tmp_path / "out")
    (tmp_path / "out.parts").write_text("mine")
    assert "out.parts, the folder in which finished prompts wait, is a file" in command("--out", tmp_path / "out")


def test_another_run_is_refused_before_a_model_is_loaded(command, tmp_path):
    run(tiny("IFPipeline"), tmp_path / "out")
    said = command("--out", tmp_path / "out", "--seeds", 5)
    assert "a different run, which differs in model ('tiny' there and 'emoji-8' here); prompts (" in said


def test_an_unknown_model_is_one_sentence(tmp_path, capsys):
    (tmp_path / "prompts.txt").write_text("a\nb\n")
    given = ["--model", "emoji-9", "--prompts", str(tmp_path / "prompts.txt"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as ended:
        measure.main(given)
    (said,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and "emoji-9" in said
    assert not (tmp_path / "out.lock").exists()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_files_of_windows_are_read_and_the_report_is_printed_in_any_encoding(tmp_path, encoding):
    (tmp_path / "prompts.txt").write_bytes("a flat drawing\u2028of owl\r\na line drawing of ox\r\n".encode("utf-16"))
    options = ["--model", "emoji-8", "--prompts", "prompts.txt", "--out", "out", "--steps", "2", "--seeds", "2"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "chroma.measure", *options]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"+/-" in done.stdout and b"4 samples: 2 prompts" in done.stdout
    assert len(measure.load(tmp_path / "out").run.prompts) == 2


@pytest.mark.parametrize("images", [torch.full((2, 3, 8, 8), 200.0), torch.full((2, 3, 8, 8), float("nan"))])
def test_images_out_of_range_are_refused_before_anything_is_measured(tmp_path, images):
    with pytest.raises(ValueError, match=r"images must be floats in \[-1, 1\]"):
        measure.measure_prompts(
            models.load("emoji-8"),
            "emoji-8",
            ["a line drawing of owl", "a line drawing of ox"],
            tmp_path / "out",
            images=images,
        )
    assert not list(tmp_path.iterdir())
