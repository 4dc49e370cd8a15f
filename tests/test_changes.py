"""How far a band has come from one image to another, on data for which it is known in closed form."""

import numpy as np
import pytest
import torch

from chroma.changes import BandChanges
from chroma.chromatography import resolved_fraction
from chroma.estimates import half_way
from chroma.exact import GaussianPredictor
from chroma.sampling import ddpm, sdedit

VARIANCE = [0.05, 0.3, 2.0, 8.0]
COUNT = 800


def edited(sampler):
    """SDEdit on Gaussian data from log-SNR 0: images given, others sampled from noise, and those edited."""
    generator = torch.Generator().manual_seed(0)
    predictor = GaussianPredictor(torch.zeros((3, 8, 8), dtype=torch.float64), VARIANCE)
    given, resampled = predictor.sample(COUNT, generator), predictor.sample(COUNT, generator)
    noise = torch.randn(given.shape, generator=generator, dtype=torch.float64)
    *_, last = sampler(predictor, given, noise, np.linspace(0, 12, 160), generator)
    return BandChanges(given, resampled, [last.x0])


def test_a_sampler_that_adds_noise_keeps_what_was_resolved():
    def stochastic(predictor, given, noise, log_snrs, generator):
        return ddpm(predictor, (given + noise) / 2**0.5, log_snrs, generator=generator)

    changed = edited(stochastic).fractions()
    expected = 1 - resolved_fraction(0.0, VARIANCE)
    # four standard errors, and the error of 160 steps
    assert (np.abs(changed.value[:, 0] - expected) < 4 * changed.standard_error[:, 0] + 0.01).all()


def test_ddim_keeps_the_square_root_of_what_was_resolved():
    changed = edited(lambda predictor, given, noise, log_snrs, _: sdedit(predictor, given, noise, log_snrs)).fractions()
    expected = 1 - np.sqrt(resolved_fraction(0.0, VARIANCE))
    assert (np.abs(changed.value[:, 0] - expected) < 4 * changed.standard_error[:, 0] + 0.01).all()


def test_the_error_is_over_images_and_shrinks_with_their_number():
    first, second, between = (torch.randn(400, 1, 4, 4, generator=torch.Generator().manual_seed(i)) for i in range(3))
    all_of_them = BandChanges(first, second, [between]).fractions()
    some = BandChanges(first[:100], second[:100], [between[:100]]).fractions()
    assert all_of_them.count == 400
    assert some.standard_error / all_of_them.standard_error == pytest.approx(np.full((3, 1), 2.0), rel=0.3)


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"images must be of shape \(2, 1, 4, 4\)"):
        BandChanges(torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4), [torch.zeros(2, 1, 8, 8)])


def test_half_way_is_where_a_straight_line_crosses_and_nan_where_nothing_does():
    x = np.linspace(0, 1, 11)
    curves = np.stack([x, x**2, np.full(11, 0.4), np.full(11, 0.6)])
    found = half_way(x, curves)
    assert found[0] == pytest.approx(0.5)
    assert found[1] == pytest.approx(0.5**0.5, abs=2e-3)  # a chord of the parabola
    assert np.isnan(found[2:]).all()
