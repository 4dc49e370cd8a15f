"""Four numbers that tell samples from data, each with the standard error that repeating the draw would show."""

import numpy as np
import pytest
from scipy import linalg

from chroma import quality
from chroma.pyramid import downsample, upsample

rng = np.random.default_rng(0)
data = rng.standard_normal((400, 3, 8, 8)) * np.linspace(0.5, 1.5, 8)


def test_data_have_the_energy_and_variance_of_data():
    assert quality.band_ratio(data, data).value == pytest.approx(1)
    assert quality.variance(data, data).value == pytest.approx(1)
    assert quality.frechet_distance(data, data).value == pytest.approx(0, abs=1e-9)


def test_noise_left_over_shows_in_the_finest_band_and_blur_as_a_lack_of_it():
    noisy_images = data + 0.5 * rng.standard_normal(data.shape)
    # white noise of variance 1/4 beside a mean variance of 13/12: (13/12 + 1/4) / (13/12), within 3 standard errors
    estimate = quality.band_ratio(noisy_images, data)
    assert estimate.value == pytest.approx(1.23, abs=3 * estimate.standard_error)
    assert quality.band_ratio(upsample(downsample(data)), data).value == pytest.approx(0, abs=1e-12)
    assert quality.band_ratio(upsample(downsample(data)), data, level=1).value == pytest.approx(1)


def test_half_the_contrast_is_a_quarter_of_the_variance_and_half_the_diversity():
    assert quality.variance(data / 2, data).value == pytest.approx(0.25)
    assert quality.diversity(data / 2).value == pytest.approx(quality.diversity(data).value / 2)


def test_diversity_is_the_mean_distance_between_two():
    few = data[:5]
    far = [np.sqrt(np.mean((few[i] - few[j]) ** 2)) for i in range(5) for j in range(i)]
    assert quality.diversity(few).value == pytest.approx(np.mean(far))
    assert quality.diversity(np.repeat(few[:1], 5, 0)).value == pytest.approx(0, abs=1e-6)


def test_the_frechet_distance_is_scipys_in_the_principal_components():
    samples = 1.2 * data[:100] + 0.3
    flat = data.reshape(400, -1)
    _, _, basis = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    a, b = (x.reshape(len(x), -1) @ basis[:6].T for x in (samples, data))
    s, t = np.cov(a.T), np.cov(b.T)
    distance = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s + t - 2 * linalg.sqrtm(s @ t).real)
    assert quality.frechet_distance(samples, data, 6).value == pytest.approx(distance / np.trace(t))


def test_the_nearest_image_is_the_one_that_was_disturbed():
    rows = np.array([7, 3, 399])
    np.testing.assert_array_equal(quality.nearest(data[rows] + 0.1, data), rows)


@pytest.mark.parametrize("number", [quality.band_ratio, quality.variance, quality.frechet_distance])
def test_the_standard_error_is_the_spread_over_fresh_draws(number):
    # off by a constant, since the error of a distance is too large where the distance is next to none
    draws = [number(data[rng.choice(400, 50, replace=False)] + 0.5, data) for _ in range(60)]
    spread = np.std([draw.value for draw in draws], ddof=1)
    # without replacement the spread is sqrt(1 - 50/400) = 0.94 of it; 60 draws know it to 9 %: within a third
    assert np.mean([draw.standard_error for draw in draws]) == pytest.approx(spread / 0.94, rel=0.33)
    assert draws[0].count == 50


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: quality.variance(data[:2], data), "samples must be at least 3 images"),
        (lambda: quality.band_ratio(data, data[..., :4]), r"samples must be of the size of the data, \(3, 8, 4\)"),
        (lambda: quality.band_ratio(data, data, 4), r"level must be at most 3 for images of \(8, 8\); got 4"),
        (lambda: quality.frechet_distance(data, data[:9], 16), "components must be at most 8; got 16"),
        (lambda: quality.diversity(np.full((4, 3, 8, 8), np.nan)), "samples: some values are NaN"),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
