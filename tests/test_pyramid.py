"""D and U, and the orthogonal bands they split an image into."""

import numpy as np
import pytest
import pywt
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from chroma.pyramid import band_energy, band_sizes, band_split, bands, depth, downsample, residual, upsample

seeds = st.integers(0, 2**31)


def image(seed, batch=2, size=16):
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("times", [0, 1, 2])
def test_downsample_is_average_pooling_and_upsample_is_nearest(factor, times):
    x = image(0)
    pooled = F.avg_pool2d(x, factor**times)
    torch.testing.assert_close(downsample(x, times, factor), pooled)
    torch.testing.assert_close(upsample(x, times, factor), F.interpolate(x, scale_factor=factor**times, mode="nearest"))


def test_numpy_and_torch_give_the_same_numbers_and_keep_their_kind():
    x = image(1)
    for function in (downsample, upsample, residual, band_energy):
        array, tensor = function(x.numpy()), function(x)
        assert isinstance(array, np.ndarray)
        np.testing.assert_allclose(array, tensor.numpy(), rtol=1e-12)
    assert downsample(x.half()).dtype == torch.float16


@given(seeds)
def test_averaging_what_was_repeated_changes_nothing(seed):
    x = image(seed)
    torch.testing.assert_close(downsample(upsample(x)), x)  # DU = I


@given(seeds)
def test_repeating_the_average_is_an_orthogonal_projection(seed):
    x, y = image(seed), image(seed + 1)
    project = lambda v: upsample(downsample(v))  # noqa: E731
    torch.testing.assert_close(project(project(x)), project(x))
    torch.testing.assert_close((project(x) * y).sum(), (x * project(y)).sum())


@given(seeds)
def test_bands_sum_to_the_image_and_are_orthogonal(seed):
    x = image(seed)
    parts = bands(x)
    assert len(parts) == 5
    torch.testing.assert_close(sum(parts), x)
    gram = torch.stack([torch.stack([(a * b).sum() for a in parts]) for b in parts])
    torch.testing.assert_close(gram, torch.diag(gram.diag()), atol=1e-9, rtol=0)


@given(seeds)
def test_band_energies_add_up_to_the_total(seed):
    x = image(seed)
    energy = band_energy(x)
    assert energy.shape == (2, 5)
    torch.testing.assert_close(energy.sum(1), (x**2).sum((1, 2, 3)))
    torch.testing.assert_close(energy, torch.stack([(part**2).sum((1, 2, 3)) for part in bands(x)], 1))


def test_band_energies_are_those_of_the_haar_wavelet():
    x = image(2, batch=1)
    mean, *details = pywt.wavedec2(x.numpy(), "haar", level=4)  # coarsest first
    expected = [sum((part**2).sum() for part in level) for level in reversed(details)] + [(mean**2).sum()]
    np.testing.assert_allclose(band_energy(x)[0], expected, rtol=1e-10)


def test_averaging_n_by_n_pixels_divides_the_noise_by_n():
    noise = torch.randn(64, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for n, times in ((2, 1), (4, 2), (8, 3)):
        # the standard deviation of a standard deviation over N values is 1/sqrt(2N) of it: N >= 12,288; five of them
        assert downsample(noise, times).std() * n == pytest.approx(1, abs=5 / np.sqrt(2 * 64 * 3 * 64))


def test_white_noise_has_three_quarters_of_a_quarter_to_the_m_in_each_band():
    sizes = band_sizes((3, 64, 64))
    assert sizes.sum() == 3 * 64 * 64
    np.testing.assert_allclose(sizes[:-1] / sizes.sum(), 0.75 * 0.25 ** np.arange(6))
    noise = torch.randn(500, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    # band energy is chi-square with N_m degrees of freedom: relative error sqrt(2 / (500 N_m)); five of them
    energy = band_energy(noise).mean(0).numpy()
    np.testing.assert_array_less(np.abs(energy / sizes - 1), 5 * np.sqrt(2 / (500 * sizes)))


def test_a_size_that_stops_halving_keeps_its_coarsest_rest():
    x = torch.randn(1, 1, 12, 24, dtype=torch.float64)
    assert depth(x.shape) == 2
    assert [tuple(part.shape[-2:]) for part in bands(x)] == [(12, 24)] * 3
    assert band_sizes((1, 12, 24)).tolist() == [216, 54, 18]
    torch.testing.assert_close(band_energy(x).sum(), (x**2).sum())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: downsample(torch.zeros(1, 3, 7, 8)), "x must be of a size that 2\\^1 = 2 divides; got 7 x 8 pixels"),
        (lambda: downsample(torch.zeros(1, 3, 8, 8), 4), "x must be of a size that 2\\^4 = 16 divides"),
        (lambda: downsample(np.zeros(8)), r"x must be an array or tensor of shape \(..., H, W\); got shape \(8,\)"),
        (lambda: downsample(np.zeros((8, 8)), -1), "times must be a whole number >= 0; got -1"),
        (lambda: upsample(np.zeros((8, 8)), 1, 1), "factor must be a whole number >= 2; got 1"),
        (lambda: downsample(np.zeros((8, 8), np.uint8)), "x must be floating-point: .*; got dtype uint8"),
        (lambda: band_energy(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)), "x must be floating-point"),
        (lambda: band_energy(torch.zeros(3, 8, 8)), "x must be a batch of images"),
    ],
)
def test_bad_input_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_energy_along_a_reference_grows_with_its_amplitude_and_the_rest_with_the_noise():
    rng = np.random.default_rng(0)
    reference, noise = rng.standard_normal((2, 400, 3, 16, 16))
    along, beside = band_split(0.5 * reference + 0.2 * noise, reference)
    energy, sizes = band_energy(reference), band_sizes((3, 16, 16))
    np.testing.assert_allclose(along + beside, band_energy(0.5 * reference + 0.2 * noise), rtol=1e-9)
    # of the noise, one of N_m coefficients lies along the reference
    np.testing.assert_allclose(along.mean(0), (0.25 * energy + 0.04).mean(0), rtol=0.05)
    np.testing.assert_allclose(beside.mean(0), 0.04 * (sizes - 1), rtol=0.1)
    scaled = [part for amplitude in (1.0, -2.0) for part in band_split(amplitude * reference, reference)]
    np.testing.assert_allclose(scaled[2], 4 * scaled[0])
    np.testing.assert_allclose(scaled[1] / energy, 0, atol=1e-12)


def test_a_reference_with_an_empty_band_is_refused():
    x = np.ones((1, 3, 4, 4))
    with pytest.raises(ValueError, match="reference must be images with something in every band"):
        band_split(x, x)
    with pytest.raises(ValueError, match="reference must be of the images' shape"):
        band_split(x, x[:, :1])
