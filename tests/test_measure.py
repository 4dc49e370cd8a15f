"""Streaming measurements equal those of the whole batch, and known spectra come out as they are."""

import numpy as np
import pytest
import torch

from chroma.measure import BandPower, Mean, radial_psd
from chroma.pyramid import band_energy, band_sizes


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def coloured(slope, count=200, side=64):
    """Noise whose power spectral density is |f|^slope, |f| in cycles per image."""
    frequency = np.fft.fftfreq(side, 1 / side)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    radius[0, 0] = 1
    spectrum = torch.fft.fft2(noise(count, 1, side, side)) * torch.from_numpy(radius ** (slope / 2))
    return torch.fft.ifft2(spectrum).real


def test_a_stream_has_the_mean_and_standard_error_of_the_whole():
    samples = noise(101, 7) + 1e6  # an offset that a sum of squares would not survive
    mean = Mean()
    for part in samples.split([1, 30, 50, 20]):
        mean.update(part)
    result = mean.result()
    assert result.count == 101
    np.testing.assert_allclose(result.value, samples.mean(0), rtol=1e-14)
    np.testing.assert_allclose(result.standard_error, samples.std(0) / np.sqrt(101), rtol=1e-9)


def test_white_noise_has_density_one_at_every_frequency():
    psd = radial_psd(noise(300, 3, 32, 32))
    assert psd.shape == (300, 16)
    error = psd.std(0) / 300**0.5
    assert ((psd.mean(0) - 1).abs() < 5 * error).all()


@pytest.mark.parametrize("slope", [-1.0, -2.0, -3.0])
def test_a_power_law_comes_back_with_its_slope(slope):
    psd = radial_psd(coloured(slope)).mean(0).numpy()
    k = np.arange(1, 33)
    # a ring of width 1 around k is not a circle: its mean power is off by (slope/k)^2-like terms, hence k >= 6
    fit = np.polyfit(np.log(k[5:]), np.log(psd[5:]), 1)[0]
    assert fit == pytest.approx(slope, abs=0.05)


def test_parseval_one_wave_has_all_its_power_in_its_ring():
    x = torch.cos(2 * torch.pi * 5 * torch.arange(32) / 32).expand(1, 1, 32, 32).double()
    psd = radial_psd(x)[0]
    assert psd.argmax() == 4
    assert psd.sum() == pytest.approx(float(psd[4]))


def test_band_power_of_white_noise_is_one_in_every_band():
    power = BandPower()
    for seed in range(4):
        power.update(noise(100, 3, 16, 16, seed=seed))
    result = power.result()
    assert result.count == 400
    assert (np.abs(result.value - 1) < 5 * result.standard_error).all()


def test_band_power_of_a_one_over_f_squared_spectrum_grows_fourfold_a_level():
    power = BandPower()
    power.update(coloured(-2.0))
    # 4 a level in the continuum; Haar bands of a 64-pixel grid leak, within a fifth from the second band on
    np.testing.assert_allclose(power.result().value[2:5] / power.result().value[1:4], 4, rtol=0.2)


def test_band_power_is_energy_over_the_number_of_coefficients():
    x = noise(10, 3, 16, 16)
    power = BandPower()
    power.update(x)
    np.testing.assert_allclose(
        power.result().value, (band_energy(x) / torch.from_numpy(band_sizes((3, 16, 16)))).mean(0).numpy()
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Mean().result(), "count must be at least 2 samples"),
        (lambda: Mean().update(torch.zeros(0, 3)), "samples must be at least one; got an empty batch"),
        (lambda: radial_psd(torch.zeros(2, 3, 8, 16)), "x must be a batch of square images"),
        (lambda: BandPower().update(torch.zeros(3, 8, 8)), "x must be a batch of images"),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_nan_is_refused_when_the_result_is_read():
    power = BandPower()
    power.update(torch.full((3, 1, 8, 8), float("nan")))
    with pytest.raises(ValueError, match="samples must be finite"):
        power.result()


def test_batches_of_another_shape_are_refused():
    power = BandPower()
    power.update(noise(3, 1, 8, 8))
    with pytest.raises(ValueError, match=r"x must be a batch of shape \(B, 1, 8, 8\) as before"):
        power.update(noise(3, 1, 16, 16))
