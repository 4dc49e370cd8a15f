"""Scenes are exact means of one another, reproducible, and never mix training with held-out photographs."""

import numpy as np
import pytest

from chroma import data
from chroma.data import SCENE_STYLES, partial_prompts, prompt, scenes, subjects
from chroma.data.rendering import oil_painting, pencil_drawing
from chroma.pyramid import downsample
from chroma.quality import nearest

FEW = ["a kingfisher", "a windmill"]


def test_every_photograph_has_a_subject_and_is_in_one_split():
    training, held_out = subjects("training"), subjects("held-out")
    assert sorted([*training, *held_out]) == sorted(data.photograph_names())
    assert not set(training) & set(held_out)
    assert len(held_out) >= 30


def test_every_held_out_subject_is_that_of_a_training_photograph():
    assert set(subjects("held-out").values()) <= set(subjects("training").values())


def test_subjects_are_one_to_five_plain_words():
    for subject in {**subjects("training"), **subjects("held-out")}.values():
        words = subject.split()
        assert 1 <= len(words) <= 5 and all(word.isalpha() for word in words)


@pytest.mark.parametrize("size", [128, 32, 8])
def test_a_size_is_the_exact_mean_of_a_larger_one_for_the_cascade(size):
    """Eqs 20 to 22 take low-resolution images to be D x0 of the others; 2^-11 is the rounding of half precision."""
    reference = scenes(64, crops=2, subjects=FEW, seed=3).images.astype(float)
    images = scenes(size, crops=2, subjects=FEW, seed=3).images.astype(float)
    larger, smaller = (images, reference) if size > 64 else (reference, images)
    times = int(np.log2(larger.shape[-1] // smaller.shape[-1]))
    np.testing.assert_allclose(downsample(larger, times), smaller, atol=2**-11)


def test_the_same_seed_gives_the_same_scenes_and_more_crops_keep_the_first():
    short, long = scenes(16, crops=1, subjects=FEW), scenes(16, crops=3, subjects=FEW)
    again, other = scenes(16, crops=1, subjects=FEW), scenes(16, crops=1, subjects=FEW, seed=1)
    assert np.array_equal(short.images, again.images)
    assert not np.array_equal(short.images, other.images)
    per_photograph = len(SCENE_STYLES)
    assert np.array_equal(short.images[:per_photograph], long.images[:per_photograph])
    second = long.images[3 * per_photograph : 4 * per_photograph]
    assert np.array_equal(short.images[per_photograph : 2 * per_photograph], second)


def test_a_crop_lies_in_its_photograph_and_is_three_quarters_to_all_of_its_shorter_side():
    scene = scenes(8, crops=4, styles="photo")
    sides = scene.boxes[:, 2] - scene.boxes[:, 0]
    np.testing.assert_allclose(sides, scene.boxes[:, 3] - scene.boxes[:, 1])
    assert (scene.boxes[:, :2] >= 0).all() and (sides <= 256).all() and (sides >= 128).all()
    assert 0.4 < scene.mirrored.mean() < 0.6


def test_styles_share_the_layout_and_a_pencil_drawing_is_grey():
    scene = scenes(32, crops=1, subjects=FEW)
    photo, oil, pencil = (scene.images[scene.styles == style].astype(float) for style in SCENE_STYLES)
    assert np.abs(downsample(photo, 3) - downsample(oil, 3)).mean() < 0.3
    assert np.array_equal(pencil[:, 0], pencil[:, 1]) and np.array_equal(pencil[:, 0], pencil[:, 2])
    assert pencil.mean() > photo.mean() + 0.3  # most of the paper stays white


def test_an_oil_painting_flattens_texture_and_keeps_edges():
    rng = np.random.default_rng(0)
    image = np.where(np.arange(64) < 32, 0.2, 0.8) + 0.05 * rng.normal(size=(3, 64, 64))
    painted = oil_painting(np.clip(image, 0, 1))
    assert painted[:, :, :24].std() < 0.6 * image[:, :, :24].std()
    assert painted[:, :, 40:].mean() - painted[:, :, :24].mean() > 0.5


def test_a_pencil_drawing_of_a_disc_is_its_outline():
    y, x = np.mgrid[:64, :64] - 31.5
    radius = np.hypot(x, y)
    drawing = pencil_drawing(np.where(radius < 20, 0.3, 0.9)[None].repeat(3, 0))
    assert drawing[0][(radius > 15) & (radius < 20)].mean() < drawing[0][radius < 5].mean() - 0.1
    assert drawing[0][radius > 28].mean() > 0.9


def test_no_held_out_photograph_nor_a_near_duplicate_is_trained_on():
    """The centres at 32 x 32: each held-out photograph is as far from its nearest training photograph as those are
    from one another. Two scans of one photograph would differ by less than 0.1 (root mean square per value)."""
    training, held_out = (
        np.stack([data.photograph(name, size=32) for name in subjects(split)]) for split in ("training", "held-out")
    )
    flipped = np.concatenate([training, training[..., ::-1]])
    rows = nearest(held_out, flipped)
    distance = np.sqrt(np.square(held_out - flipped[rows]).mean((1, 2, 3)))
    assert distance.min() > 0.1


def test_prompts_of_three_strengths_come_at_the_rates_asked_for():
    scene = scenes(8, crops=50, subjects=FEW)
    partial = partial_prompts(scene, style_only=0.2, subject_only=0.1)
    style_only = np.mean([text in SCENE_STYLES.values() for text in partial])
    subject_only = np.mean([text in FEW for text in partial])
    error = 4 * np.sqrt(0.2 * 0.8 / len(partial))  # four standard errors of a share
    assert abs(style_only - 0.2) < error and abs(subject_only - 0.1) < error
    full = [text for text, full in zip(partial, scene.prompts, strict=True) if text == full]
    assert len(full) > 0.6 * len(partial)
    assert prompt("photo", "a bee") == "an HD photo of a bee"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: scenes(48), "size must be 128, 64, 32"),
        (lambda: scenes(8, crops=0), "crops must be a whole number >= 1"),
        (lambda: scenes(8, styles="crayon"), "crayon"),
        (lambda: scenes(8, subjects="a unicorn"), "a unicorn"),
        (lambda: scenes(8, split="test"), "split must be 'training' or 'held-out'; got test"),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
