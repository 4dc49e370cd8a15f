"""What a command line prints arrives on every terminal, and what it cannot do it says in one sentence."""

import argparse
import io
import subprocess
import sys

import pytest

from chroma._terminal import CommandLine, file_path, number, one_sentence, print_text, whole_number

REPORT = "total variation from the paper's rₘ: 0.125±0.004, log-SNR -∞, 64×64"


def printed(monkeypatch, encoding, text=REPORT):
    """What arrives on a terminal of some encoding."""
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    print_text(text)
    return terminal.buffer.getvalue().decode(encoding).rstrip("\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "gb18030"])
def test_a_terminal_with_all_characters_shows_them(monkeypatch, encoding):
    assert printed(monkeypatch, encoding) == REPORT


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "latin-1", "shift_jis", "koi8-r"])
def test_a_terminal_without_some_characters_shows_the_text_in_ascii(monkeypatch, encoding):
    ascii_report = "total variation from the paper's r_m: 0.125+/-0.004, log-SNR -inf, 64x64"
    assert printed(monkeypatch, encoding) == ascii_report


def test_characters_without_a_replacement_are_escaped(monkeypatch):
    assert printed(monkeypatch, "ascii", "an owl, 梟") == r"an owl, \u689f"
    assert printed(monkeypatch, "utf-8", "file \udcff.png") == r"file \udcff.png"  # a name that is not UTF-8


def test_a_closed_output_does_not_end_a_finished_run(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    print_text(REPORT)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    print_text(REPORT)


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
@pytest.mark.parametrize("shell", ["{} | true", "{} >&-", "{} > /dev/full"])
def test_an_output_that_cannot_be_written_does_not_end_a_finished_run(shell):
    program = f"{sys.executable} -c 'from chroma._terminal import print_text as p; [p(str(i)) for i in range(20000)]'"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell.format(program)}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("steps must be\na whole number >= 1; got 0"), 2, "error: steps must be a whole number >= 1; got 0"),
        (PermissionError(13, "Permission denied", "/out"), 2, "error: /out: Permission denied"),
        (ImportError("no module named sentencepiece"), 2, "error: no module named sentencepiece"),
        (MemoryError(), 2, "error: there is not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 2, "error: there is not enough memory"),
        (KeyboardInterrupt(), 130, "prog: interrupted"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_an_exit_code(capsys, error, code, words):
    with pytest.raises(SystemExit) as ended, one_sentence(argparse.ArgumentParser(prog="prog")):
        raise error
    assert ended.value.code == code
    text = capsys.readouterr().err
    assert text.startswith("prog: ") and words in text and text.count("\n") == 1


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="shapes"), one_sentence(argparse.ArgumentParser()):
        raise RuntimeError("shapes do not match")


def refused(capsys, *options):
    """What a command line with some options says when it refuses the others."""
    parser = CommandLine(prog="prog")
    parser.add_argument("--lr-warmup-steps", type=whole_number)
    parser.add_argument("--sigmas", type=number, nargs="+")
    parser.add_argument("--out", type=file_path)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(options)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--lr-warmup", "5"), "unrecognized arguments: --lr-warmup 5"),
        (("--sigmas", "1.0,0.5"), "'1.0,0.5' is not a number; separate numbers with spaces alone"),
        (("--sigmas", "[1.0", "0.5]"), "'[1.0' is not a number"),
        (("--lr-warmup-steps", "1e5"), "'1e5' is not a whole number"),
        (("--lr-warmup-steps", "9" * 9999), "is not a whole number"),
        (("--out", ""), "the path is empty; write ./ for the current folder"),
        (("--out",), "expected one argument"),
    ],
)
def test_a_command_line_refuses_unclear_options_in_one_short_line(capsys, options, words):
    said = refused(capsys, *options)
    assert words in said and said.startswith("prog: error: ") and said.count("\n") == 1 and len(said) < 200


@pytest.mark.parametrize("text", ["-1e-4", "-1", "-.5", "-2.E+3", "-inf"])
def test_a_negative_number_is_not_the_name_of_an_option(text):
    parser = CommandLine()
    parser.add_argument("--scale", type=number)
    assert parser.parse_args(["--scale", text]).scale == float(text)


BAR = """
import argparse, sys
from tqdm import tqdm
from chroma._terminal import one_sentence
with one_sentence(argparse.ArgumentParser()):
    for _ in tqdm(range(3), file=sys.stderr, mininterval=0):
        print("a warning", file=sys.stderr, flush=True)
    open("finished", "w").close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
@pytest.mark.parametrize("shell", ["{} 2> /dev/full", "{} 2> >(true)"])
def test_progress_that_cannot_be_written_does_not_end_a_run(shell, tmp_path):
    done = subprocess.run(
        ["bash", "-c", shell.format(f"{sys.executable} -c '{BAR}'")], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0 and (tmp_path / "finished").exists()
