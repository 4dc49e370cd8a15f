"""Dead leaves have the spectrum that the radii of their discs imply, and are no Gaussian images."""

import numpy as np
import pytest
import torch

from chroma import data
from chroma.accumulators import BandVariance
from chroma.data.leaves import COLOUR_VARIANCE
from chroma.spectra import radial_psd

SLOPES = (1.6, 2.0, 2.4)


@pytest.mark.parametrize("slope", SLOPES)
def test_the_band_variances_of_generated_images_are_those_of_the_closed_form(slope):
    band_variance = BandVariance()
    band_variance.update(torch.from_numpy(data.dead_leaves(32, 500, slope, seed=1)).float())
    measured, expected = band_variance.result(), data.dead_leaves_variance(32, slope)
    assert (np.abs(measured.value - expected) < 4 * measured.standard_error).all()
    # 500 images determine the slope to 0.02
    assert data.spectral_slope(measured.value) == pytest.approx(slope, abs=0.1)
    assert data.spectral_slope(expected) == pytest.approx(slope, abs=1e-6)


def test_the_radial_power_spectrum_falls_with_the_slope_too():
    for slope in SLOPES:
        density = radial_psd(torch.from_numpy(data.dead_leaves(32, 300, slope)).double()).mean(0).numpy()
        k = np.arange(1, 9)  # up to half of the highest frequency
        fitted = -np.polyfit(np.log(k), np.log(density[:8]), 1)[0]
        # pixels are means over squares: times sinc^2 in both directions, the spectrum is steeper by up to 0.2
        assert fitted == pytest.approx(slope, abs=0.2)


def test_all_of_an_image_is_covered_and_neighbouring_points_share_a_colour_or_are_independent():
    images = data.dead_leaves(32, 200, 2.0).astype(float)
    assert np.abs(images).max() <= 1
    # the mean of four points varies less than a single one, whose colour is uniform in [-1, 1]
    assert 0.8 * COLOUR_VARIANCE < images.var() < COLOUR_VARIANCE
    steps = np.diff(images, axis=-1)
    # a Gaussian image has a kurtosis of 3; flat discs with sharp edges have mostly steps of 0, and some large ones
    assert (steps**4).mean() / (steps**2).mean() ** 2 > 8


def test_images_are_a_function_of_the_seed_and_of_their_place():
    few, many = (data.dead_leaves(8, count, 2.0, seed=3) for count in (2, 5))
    np.testing.assert_array_equal(few, many[:2])
    assert not np.array_equal(few, data.dead_leaves(8, 2, 2.0, seed=4))
    assert len(np.unique(many.reshape(5, -1), axis=0)) == 5


def test_a_size_or_a_slope_that_cannot_be_had_is_refused():
    with pytest.raises(ValueError, match="size must be a power of 2; got 12"):
        data.dead_leaves(12, 1)
    with pytest.raises(ValueError, match=r"slope must be between 0\.\d+ and 2\.\d+ at 32 x 32 pixels; got 3"):
        data.dead_leaves(32, 1, slope=3.0)
    with pytest.raises(ValueError, match="slope must be a finite number"):
        data.dead_leaves(32, 1, slope=float("nan"))
