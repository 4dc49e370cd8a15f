"""Whatever is typed, a command line does what was asked or says in one sentence, with exit code 2, why it cannot."""

import dataclasses
import io
import json
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from chroma import measure, models, training
from chroma.ask.__main__ import main as ask
from chroma.recipes import RECIPES, Recipe
from chroma.schedulers import atlas
from chroma.schedulers.published import PUBLISHED

pytestmark = pytest.mark.slow
EXAMPLES = settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

INTEGERS = st.integers(-3, 40).map(str)
FLOATS = st.floats(allow_nan=True, allow_infinity=True).map(repr) | st.floats(-2, 20).map("{:.3g}".format)
ODD = st.sampled_from(
    [
        *("", " ", "-", "--", "0x10", "1_0", "1e3", "1e400", "1,5", "٣", "nan", "inf", "-0", "None", "true", "9" * 30),
        *("\udcff", "a\nb", "~", ".", "/", "/dev/null", "/nowhere/at/all", "*", "é", "hub:", "hub:a/b/c", "-h"),
    ]
)
TEXTS = ODD | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


class Reached(Exception):
    """Everything was accepted: from here on the work begins."""


def reached(*given, **named):
    raise Reached


def outcome(main, arguments, program):
    """Run a command line; returns what it printed, once it is sure that it ended as it should."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            main(arguments)
    except Reached:
        return None
    except SystemExit as ended:
        last = err.getvalue().rstrip("\n").rsplit("\n", 1)[-1]
        assert ended.code in (0, 2), (arguments, ended.code)
        if ended.code:
            # argparse puts its usage before the sentence, and values with line breaks into it
            assert f"{program}: error: " in err.getvalue() and last, (arguments, err.getvalue())
            assert "Traceback" not in err.getvalue()
        return None
    return out.getvalue()


@contextmanager
def replaced(*places):
    patch = pytest.MonkeyPatch()
    try:
        for place, name in places:
            patch.setattr(place, name, reached)
        yield
    finally:
        patch.undo()


def spelt(options):
    """Options with their values as arguments, some with a space and some with a sign of equality."""
    arguments = []
    for name, value, joined in options:
        if value is None:
            arguments.append(name)
        elif isinstance(value, list):
            arguments += [name, *value]
        else:
            arguments += [f"{name}={value}"] if joined else [name, value]
    return arguments


def option(name, values):
    return st.tuples(st.just(name), values, st.booleans())


# ---- the atlas

NUMBERS = st.lists(st.floats(-1, 1000).map("{:.4g}".format) | ODD, max_size=6)
FALLING = st.lists(st.floats(0.001, 1), min_size=1, max_size=6, unique=True).map(
    lambda numbers: [f"{number:.4f}" for number in sorted(numbers, reverse=True)]
)
ATLAS = st.lists(
    st.one_of(
        option("--steps", INTEGERS | TEXTS),
        option("--size", st.sampled_from(["64", "512", "768", "1024"]) | INTEGERS | TEXTS),
        option("--width", st.sampled_from(["512", "1360"]) | INTEGERS | TEXTS),
        option("--frames", INTEGERS | TEXTS),
        option("--latent-factor", st.sampled_from(["1", "8", "16", "32"]) | INTEGERS | TEXTS),
        option("--pipeline", st.sampled_from(["FluxPipeline", "StableDiffusionXLPipeline", "WanPipeline"]) | TEXTS),
        option("--sigmas", FALLING | NUMBERS),
        option("--timesteps", FALLING.map(lambda ts: [str(1000 * float(t)) for t in ts]) | NUMBERS),
        option("--json", st.none()),
    ),
    max_size=3,
)


@EXAMPLES
@given(st.sampled_from(sorted(PUBLISHED)) | TEXTS, ATLAS)
def test_the_atlas_charts_what_it_is_asked_for_or_says_why_not(name, options):
    printed = outcome(atlas.main, [name, *spelt(options)], "python -m chroma.atlas")
    if printed is None or "--json" not in [option for option, *_ in options]:
        return
    for row in json.loads(printed):
        assert sum(row["share"].values()) == pytest.approx(1, abs=1e-6)


# ---- questions

SIDES = st.sampled_from(["1", "2x2", "8", "16x16", "32×32", "64", "90x90", "7", "300", "²", "٣", "4x2"]) | TEXTS
QUESTIONS = {
    "experts": [option("--ratio", FLOATS)],
    "shift": [option("--scale", FLOATS), option("--frames-scale", FLOATS)],
    "strength": [option("--keep", SIDES), option("--strength", FLOATS)],
    "restart": [option("--scale", FLOATS)],
    "switch": [option("--at", SIDES)],
    "window": [
        option("--from", SIDES),
        option("--until", SIDES),
        option("--sigmas", st.lists(FLOATS, min_size=2, max_size=2)),
    ],
    "detail": [option("--keep", SIDES), option("--amount", FLOATS)],
    "train": [option("--from", SIDES), option("--until", SIDES)],
    "refiner": [option("--denoising-end", FLOATS)],
    "grow": [option("--scales", st.lists(FLOATS, min_size=1, max_size=2)), option("--delta", FLOATS)],
}
COMMON = [
    option("--steps", st.sampled_from(["1", "2", "20", "30", "1000"]) | INTEGERS),
    option("--size", st.sampled_from(["512", "1024", "2048"]) | INTEGERS),
    option("--shift", FLOATS),
    option("--curve", st.sampled_from(["levels", "photographs", "spectrum"])),
    option("--json", st.none()),
]


@st.composite
def questions(chosen):
    name = chosen(st.sampled_from(sorted(QUESTIONS)))
    options = [chosen(own) for own in QUESTIONS[name] if chosen(st.integers(0, 4))]
    return [name, chosen(st.sampled_from(sorted(PUBLISHED)))], options + chosen(st.lists(st.one_of(COMMON), max_size=2))


@EXAMPLES
@given(questions())
def test_a_question_is_answered_or_refused_in_one_sentence(question):
    command, options = question
    printed = outcome(ask, [*command, *spelt(options)], f"python -m chroma.ask {command[0]}")
    if printed is None:
        return
    assert "nan" not in printed
    if "--json" in [name for name, *_ in options]:
        assert json.loads(printed)["answer"].endswith((".", "!"))


# ---- measuring

TEXT_FILES = st.one_of(
    st.just(b"a line drawing of owl\na line drawing of ox\n"),
    st.just("a line drawing of owl\n\n".encode("utf-16")),
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
MEASURE = st.lists(
    st.one_of(
        option("--steps", INTEGERS | TEXTS),
        option("--seeds", INTEGERS | TEXTS),
        option("--batch-size", INTEGERS | TEXTS),
        option("--scale", FLOATS | TEXTS),
        option("--dtype", st.sampled_from(["float32", "float16", "float64"]) | TEXTS),
        option("--device", st.sampled_from(["cpu", "cuda:7", "meta"]) | TEXTS),
        option("--offload", st.sampled_from(["model", "sequential"]) | TEXTS),
        option("--images", st.sampled_from(["drawings", "prompts.txt"]) | TEXTS),
        option("--model", st.sampled_from(["emoji-8", "emoji-9", "a/b"]) | TEXTS),
        option("--out", st.sampled_from(["out", "new/out", "prompts.txt", "folder"]) | TEXTS),
        option("--prompts", st.sampled_from(["folder", "none.txt"]) | TEXTS),
        option("--compile", st.none()),
        option("--unknown", TEXTS),
    ),
    max_size=4,
)


def files(folder):
    return sorted((str(path.relative_to(folder)), path.is_dir() or path.read_bytes()) for path in folder.rglob("*"))


@EXAMPLES
@given(MEASURE, TEXT_FILES)
def test_measuring_begins_or_says_why_not_and_writes_nothing_before(tmp_path_factory, options, content):
    home = tmp_path_factory.mktemp("measure")
    (home / "folder").mkdir()
    (home / "prompts.txt").write_bytes(content)
    before = files(home)
    required = ["--model", "emoji-8", "--prompts", "prompts.txt", "--out", "out"]
    with pytest.MonkeyPatch.context() as patch, replaced((models, "load")):
        patch.chdir(home)
        assert outcome(measure.main, required + spelt(options), "python -m chroma.measure") is None
    assert files(home) == before


# ---- training

FIELDS = {field.name: field.default for field in dataclasses.fields(Recipe)}


def field_values(default):
    if isinstance(default, bool):
        return st.none() | TEXTS
    if isinstance(default, tuple):
        return st.lists(st.sampled_from(["0", "1", "2", "8", "16"]) | ODD, max_size=4)
    if isinstance(default, int):
        return INTEGERS | TEXTS
    if isinstance(default, float):
        return FLOATS | st.floats(0, 1).map(repr) | TEXTS
    return st.sampled_from(["no", "bf16", "scenes", "drawings", "folder", "pictures"]) | TEXTS


TRAINING = st.lists(
    st.one_of(
        *(option(f"--{name.replace('_', '-')}", field_values(default)) for name, default in FIELDS.items()),
        option("--checkpoint-every", INTEGERS | TEXTS),
        option("--data", st.sampled_from(["folder", "pictures", "file", "none", "", " ", "é", "a\nb", "\udcff"])),
        option("--out", st.sampled_from(["new/out", "folder", "pictures", "file"]) | TEXTS),
    ),
    max_size=4,
)


@EXAMPLES
@given(st.sampled_from(["emoji-8", "emoji-8-residual"] * 5 + sorted(RECIPES)) | TEXTS, TRAINING)
def test_training_begins_or_says_why_not_and_writes_nothing_before(tmp_path_factory, recipe, options):
    home = tmp_path_factory.mktemp("training")
    for folder in ("folder", "pictures"):
        (home / folder).mkdir()
    (home / "file").write_text("mine")
    Image.fromarray(np.full((9, 9, 3), 90, np.uint8)).save(home / "pictures" / "a.png")
    before = files(home)
    with pytest.MonkeyPatch.context() as patch, replaced((training, "_Trainer")):
        patch.chdir(home)
        arguments = [recipe, "--data", "pictures", "--out", "out", *spelt(options)]
        assert outcome(training.main, arguments, "python -m chroma.training") is None
    assert files(home) == before
