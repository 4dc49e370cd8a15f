"""The information in a noised image grows as its error says, and implies where a finite set collapses to one image."""

import numpy as np
import pytest
import torch

from chroma import data
from chroma.accumulators import BandVariance
from chroma.chromatography import resolved_fraction
from chroma.exact import EmpiricalPredictor
from chroma.information import collapse_log_snr, gaussian_information
from chroma.process import add_noise
from chroma.pyramid import band_sizes

VARIANCE, SHAPE = [0.02, 0.1, 0.5, 2.0], (3, 8, 8)


def test_the_information_grows_by_half_of_the_mean_square_error():
    # Guo, Shamai and Verdu (2005): dI / dSNR = MMSE / 2, and the error of a band is N V (1 - rho)
    z, step = np.linspace(-6, 4, 11), 1e-4
    slope = (
        (gaussian_information(z + step, VARIANCE, SHAPE) - gaussian_information(z - step, VARIANCE, SHAPE)) / step / 2
    )
    unresolved = (1 - resolved_fraction(z, VARIANCE)) * np.array(VARIANCE)[:, None]
    np.testing.assert_allclose(slope, np.exp(z) * (band_sizes(SHAPE) @ unresolved) / 2, rtol=1e-6)
    assert gaussian_information(-np.inf, VARIANCE, SHAPE) == 0


@pytest.mark.parametrize("count", [16, 64, 256, 1024, 5915])
def test_band_variances_alone_say_where_a_set_of_drawings_collapses(count):
    generator = torch.Generator().manual_seed(0)
    drawings = torch.from_numpy(data.load("drawings", size=32).images)
    some = drawings[torch.randperm(len(drawings), generator=generator)[:count]]
    band_variance = BandVariance()
    band_variance.update(some - some.mean(0))
    predicted = collapse_log_snr(count, band_variance.result().value, (3, 32, 32))
    exact, own = EmpiricalPredictor(some), torch.arange(256) % count
    noise = torch.randn((256, 3, 32, 32), generator=generator)
    log_snrs = predicted + np.linspace(-0.6, 0.6, 5)
    probability = []
    for z in log_snrs.tolist():
        of_all = exact.posterior(add_noise(some[own], noise, z), z)
        probability.append(float(of_all[torch.arange(256), own].mean()))
    assert (np.diff(probability) > 0).all()
    # nothing is fitted; the standard error of the log-SNR found is 0.05 (256 drawings, over a collapse 2.5 units wide)
    assert np.interp(0.5, probability, log_snrs) == pytest.approx(predicted, abs=0.4)


def test_one_image_and_images_without_variance_are_refused():
    with pytest.raises(ValueError, match="count must be a whole number >= 2; got 1"):
        collapse_log_snr(1, VARIANCE, SHAPE)
    with pytest.raises(ValueError, match="band_variance must be > 0 in one band at least"):
        collapse_log_snr(10, [0.0] * 4, SHAPE)
    with pytest.raises(ValueError, match="band_variance must be finite and >= 0, one for each of the 4 bands"):
        gaussian_information(0.0, [1.0], SHAPE)
