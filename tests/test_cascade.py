"""A cascade of exact predictors is the exact predictor, and each ablation of Fig 6 fails (Eqs 22, 24)."""

import numpy as np
import pytest
import torch

from chroma.chromatography import intensity, level_log_snr
from chroma.exact import EmpiricalPredictor, GaussianPredictor
from chroma.predictors import cascade, residual_part
from chroma.process import add_noise, predict_x0, scales
from chroma.pyramid import band_energy, band_sizes, downsample, upsample
from chroma.sampling import ddim

SIZE = 32
POWER = 4.0 ** np.arange(6) * np.array([0.02, 0.03, 0.05, 0.06, 0.08, 0.3])  # not quite 1/f^2
MEAN = torch.linspace(-0.5, 0.5, 3 * SIZE * SIZE, dtype=torch.float64).reshape(3, SIZE, SIZE)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(m=0):
    """The exact predictor of D^m of the data: a coefficient of band m + j is 2^m times smaller there."""
    return GaussianPredictor(downsample(MEAN, m), POWER[m:] / 4.0**m)


def levels(count):
    """`count` exact predictors, finest first, all but the last of residuals."""
    return [*(residual_part(gaussian(m)) for m in range(count - 1)), gaussian(count - 1)]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("log_snr", [-9.0, -4.0, 0.0, 5.0])
def test_a_cascade_of_exact_predictors_of_a_gaussian_is_its_exact_predictor(count, log_snr):
    x0 = gaussian().sample(4, generator())
    x = add_noise(x0, torch.randn(x0.shape, generator=generator(1), dtype=torch.float64), log_snr)
    error = cascade(levels(count))(x, log_snr) - gaussian()(x, log_snr)
    # band by band, at double precision: no approximation is left
    assert (band_energy(error).sqrt() < 1e-12 * band_energy(x).sqrt().amax()).all()


def test_two_levels_are_eq_22_to_the_letter():
    x = torch.randn((2, 3, SIZE, SIZE), generator=generator(), dtype=torch.float64)
    log_snr = -2.0
    alpha = scales(log_snr)[0] ** 2
    low = gaussian(1)(2 / (1 + 3 * alpha) ** 0.5 * downsample(x), log_snr + np.log(4))
    fine = residual_part(gaussian())
    torch.testing.assert_close(cascade([fine, gaussian(1)])(x, log_snr), upsample(low) / 2 + fine(x, log_snr))


def sampled_power(predictor):
    """Band power of the samples over that of the data, from the same noise."""
    noise = torch.randn((16, 3, SIZE, SIZE), generator=generator(2), dtype=torch.float64)
    *_, last = ddim(predictor, noise, np.linspace(-14, 14, 100))
    energy = band_energy(last.x0 - MEAN).mean(0).numpy()
    return energy / (band_sizes((3, SIZE, SIZE)) * POWER)


@pytest.fixture(scope="module")
def right():
    return sampled_power(cascade(levels(2)))


def test_without_time_adjustment_noise_is_left_just_below_and_signal_is_missing_further_down(right):
    # the paper: "an inability to remove noise". So it is in band 1; but the coarse bands come out too weak
    ratio = sampled_power(cascade(levels(2), adjust_time=False)) / right
    assert ratio[0] == pytest.approx(1)  # the residual predictor is never adjusted
    assert ratio[1] > 2
    assert (ratio[3:] < 0.7).all()


def test_without_intensity_rescaling_an_exact_predictor_leaves_noise_in_every_band_below(right):
    # the paper, of a trained network with clamping: noise is removed and variance reduced. A linear predictor that is
    # shown too weak an input predicts too little noise, and what it leaves is amplified by 1/sqrt(alpha)
    ratio = sampled_power(cascade(levels(2), adjust_intensity=False)) / right
    assert ratio[0] == pytest.approx(1)
    assert (ratio[1:] > 10).all()


def test_on_data_whose_bands_depend_on_one_another_the_cascade_is_an_approximation():
    # the coarse predictor cannot use what fine detail tells it: its error grows, never falls
    images = torch.randn((30, 3, 8, 8), generator=generator(), dtype=torch.float64).clamp(-1, 1)
    complete, coarse = EmpiricalPredictor(images), EmpiricalPredictor(downsample(images))
    log_snr = -4.0
    x0 = images.repeat(20, 1, 1, 1)
    x = add_noise(x0, torch.randn(x0.shape, generator=generator(1), dtype=torch.float64), log_snr)
    errors = [
        (predict_x0(x, predictor(x, log_snr), log_snr) - x0).square().mean((1, 2, 3))
        for predictor in (cascade([residual_part(complete), coarse]), complete)
    ]
    worse = errors[0] - errors[1]
    assert worse.mean() > 5 * worse.std() / len(worse) ** 0.5


def test_each_level_is_asked_on_its_own_clock_with_its_own_intensity():
    asked = []

    def spy(x, log_snr):
        asked.append((x.shape[-1], log_snr, float(x.std())))
        return x

    x = torch.randn((4, 3, 16, 16), generator=generator())
    cascade([spy, spy, spy])(x, -1.0)
    assert [size for size, _, _ in asked] == [16, 8, 4]
    np.testing.assert_allclose([z for _, z, _ in asked], level_log_snr(-1.0, np.arange(3)))
    expected = [float(intensity(-1.0, m)) * float(downsample(x, m).std()) for m in range(3)]
    np.testing.assert_allclose([spread for _, _, spread in asked], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: cascade([]), "predictors must be at least one"),
        (lambda x: cascade([lambda x, z: x] * 3)(x, 0.0), "x must be of a size that 2\\^2 = 4 divides"),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call(torch.zeros(1, 3, 32, 34))
