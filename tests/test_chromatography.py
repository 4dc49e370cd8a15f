"""In log-SNR one level down is `+ log 4`, and resolution chromatography is a softmax."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from chroma import (
    Cosine,
    Linear,
    Natural,
    RectifiedFlow,
    ScaledLinear,
    adjusted_time,
    chromatogram,
    data,
    intensity,
    level_log_snr,
)
from chroma.chromatography import (
    coloured_guidance_power,
    generation_weights,
    guidance_power,
    level_variance,
    resolved_fraction,
)
from chroma.pyramid import band_energy, band_sizes, downsample
from chroma.schedules import Schedule

log_snrs = st.floats(-1e4, 1e4)
levels = st.integers(1, 12)


@given(log_snrs, levels)
def test_shares_are_finite_and_sum_to_one(z, count):
    r = chromatogram(z, count)
    assert r.shape == (count,)
    assert np.isfinite(r).all()
    assert (r >= 0).all()
    assert r.sum() == pytest.approx(1, abs=1e-12)


@given(st.floats(-30, 30), levels)
def test_shares_are_eq_34_in_the_natural_schedules_time(z, count):
    t = np.log1p(np.exp(-z))
    m = np.arange(count)
    rate = 4.0**m * np.exp(t) / (np.exp(t) + 4.0**m - 1) ** 2
    np.testing.assert_allclose(chromatogram(z, count), rate / rate.sum(), atol=1e-9)


def test_shares_are_the_rates_of_change_of_alpha_at_the_adjusted_times():
    # Eq 18 itself, by central differences in the schedule's own time (error of order h^2)
    schedule, h = Cosine(), 1e-5
    t = np.linspace(0.05, 0.95, 19)
    rate = np.array(
        [
            schedule.alpha(adjusted_time(schedule, t + h, m)) - schedule.alpha(adjusted_time(schedule, t - h, m))
            for m in range(6)
        ]
    )
    np.testing.assert_allclose(chromatogram(schedule.log_snr(t), 6), rate / rate.sum(0), atol=1e-6)


class Warped(Schedule):
    """The cosine schedule on a random monotone clock: t -> (1 - w) t^p + w t."""

    def __init__(self, power, straight):
        self.clock = np.linspace(0, 1, 20_001)
        self.warp = (1 - straight) * self.clock**power + straight * self.clock

    def _log_snr(self, t):
        return Cosine().log_snr(np.interp(t, self.clock, self.warp))

    def _time(self, z):
        return np.interp(Cosine().time(z), self.warp, self.clock)


positive = st.floats(0.05, 20)
random_schedules = st.one_of(
    st.builds(Linear, positive, positive),
    st.builds(ScaledLinear, positive, positive),
    st.builds(Cosine, st.floats(0.001, 0.3)),
    st.builds(RectifiedFlow, st.floats(0.2, 10)),
    st.builds(Warped, st.floats(0.5, 3), st.floats(0.2, 1)),
)


@given(random_schedules, st.floats(0.05, 0.95))
def test_theorem_1_the_rates_of_any_schedule_in_its_own_clock_are_one_function_of_log_snr(schedule, t):
    # Eq 18 to the letter, by central differences in the schedule's own time; the warped clock is linear in steps of
    # 5e-5, so the difference is taken inside one of them
    h, level = 1e-6, np.arange(7)
    t = np.floor(t * 20_000) / 20_000 + 2.5e-5
    rates = schedule.alpha(adjusted_time(schedule, t + h, level)) - schedule.alpha(
        adjusted_time(schedule, t - h, level)
    )
    shares = chromatogram(schedule.log_snr(t), 7)
    # where all but 1e-8 of the signal is there, or none, alpha's 16 digits leave no rate to measure
    if np.abs(rates.sum()) > 1e-8:
        np.testing.assert_allclose(rates / rates.sum(), shares, atol=2e-4)


@given(st.floats(0.01, 0.99), st.sampled_from([Cosine(), Linear(), Natural()]))
def test_coarser_levels_are_ahead_eq_17(t, schedule):
    taus = adjusted_time(schedule, t, np.arange(8))
    assert taus[0] == pytest.approx(t, abs=1e-12)
    assert (np.diff(taus) < 0).all()


@given(st.floats(0.01, 20), st.integers(0, 8))
def test_adjusted_time_of_the_natural_schedule_is_eq_32(t, m):
    expected = np.log(np.exp(t) + 4.0**m - 1) - m * np.log(4)
    assert adjusted_time(Natural(), t, m) == pytest.approx(expected, abs=1e-9)


@given(st.floats(-30, 30), st.integers(0, 8))
def test_intensity_is_eq_16(z, m):
    alpha = 1 / (1 + np.exp(-z))
    assert intensity(z, m) == pytest.approx(2**m / np.sqrt(1 + (4**m - 1) * alpha), rel=1e-12)


def test_intensity_at_the_ends_is_one_for_images_and_the_kernel_for_noise():
    np.testing.assert_allclose(intensity([np.inf, -np.inf, 1e4, -1e4], 3), [1, 8, 1, 8])
    assert intensity(-np.inf, 1, factor=4) == pytest.approx(4)


def test_a_kernel_of_four_is_two_levels_of_two():
    z = np.linspace(-10, 10, 21)
    np.testing.assert_allclose(level_log_snr(z, 1, factor=4), level_log_snr(z, 2))
    np.testing.assert_allclose(intensity(z, 1, factor=4), intensity(z, 2))
    np.testing.assert_allclose(chromatogram(z, 3, factor=4), chromatogram(z, 5)[::2] / chromatogram(z, 5)[::2].sum(0))


def test_shares_tend_to_powers_of_four_at_both_ends():
    m = np.arange(7)
    noise, image = chromatogram(np.array([-np.inf, np.inf]), 7).T
    np.testing.assert_allclose(noise, 4.0**m / (4.0**m).sum())
    np.testing.assert_allclose(image, 4.0**-m / (4.0**-m).sum())


def test_band_power_four_to_the_m_is_the_papers_curve_and_other_powers_shift_it():
    z, m = np.linspace(-20, 20, 41), np.arange(5)
    np.testing.assert_allclose(chromatogram(z, 5, log_band_variance=m * np.log(4)), chromatogram(z, 5), atol=1e-15)
    np.testing.assert_allclose(
        chromatogram(z, 5, log_band_variance=m * np.log(4) - 3.0), chromatogram(z - 3.0, 5), atol=1e-12
    )


@given(st.lists(st.floats(-20, 20), min_size=4, max_size=4), st.floats(-50, 50))
def test_spectrum_aware_shares_are_a_softmax_of_the_resolved_fractions_rates(log_band_variance, z):
    deeper = z + np.array(log_band_variance)
    score = -np.logaddexp(0, deeper) - np.logaddexp(0, -deeper)
    np.testing.assert_allclose(chromatogram(z, 4, log_band_variance=log_band_variance), softmax(score), atol=1e-12)


def test_any_shape_is_kept():
    assert chromatogram(np.zeros((2, 3)), 5).shape == (5, 2, 3)
    assert level_log_snr(np.zeros((4, 1)), np.arange(3)).shape == (4, 3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: chromatogram(np.nan, 3), "log_snr must be free of NaN"),
        (lambda: chromatogram(0.0, 0), "levels must be a whole number >= 1; got 0"),
        (lambda: chromatogram(0.0, 2.5), "levels must be a whole number >= 1; got 2.5"),
        (
            lambda: chromatogram(0.0, 3, log_band_variance=[0.0, 1.0]),
            r"log_band_variance must be finite, of shape \(3,\)",
        ),
        (lambda: chromatogram(0.0, 1, log_band_variance=[np.nan]), "log_band_variance must be free of NaN"),
        (lambda: level_log_snr(0.0, -1), "level must be >= 0"),
        (lambda: level_log_snr(0.0, 1, factor=1), "factor must be a whole number >= 2; got 1"),
        (lambda: intensity(np.nan, 1), "log_snr must be free of NaN"),
    ],
)
def test_bad_input_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_with_one_covariance_and_no_colours_the_power_of_the_guidance_is_the_scalar_formula():
    z, total, between = np.linspace(-40, 40, 17), np.array([0.3, 2.0, 5.0]), np.array([0.0, 1.0, 5.0])
    within = (total - between)[None, :, None, None] * np.eye(3)
    found = coloured_guidance_power(z, np.repeat(within, 2, 0), between[:, None, None] * np.eye(3), [0.2, 0.8])
    np.testing.assert_allclose(found, guidance_power(z, total, between), rtol=1e-9, atol=1e-30)


def test_matrices_that_are_no_covariances_are_refused_by_name():
    good, wrong = np.eye(3)[None], np.array([[[1.0, 2.0], [2.0, 1.0]]])
    with pytest.raises(ValueError, match="between must be positive semi-definite; got an eigenvalue of -1"):
        coloured_guidance_power(0.0, np.eye(2)[None, None], wrong)
    with pytest.raises(ValueError, match="within must be finite and symmetric"):
        coloured_guidance_power(0.0, np.triu(np.ones((3, 3)))[None, None], good)
    with pytest.raises(ValueError, match=r"between must be of shape \(1, 2, 2\), as within has it"):
        coloured_guidance_power(0.0, np.eye(2)[None, None], good)
    with pytest.raises(ValueError, match="weights must be >= 0, one for each of the 1 prompts"):
        coloured_guidance_power(0.0, good[None], good, [-1.0])


def test_the_variance_of_a_level_is_that_of_the_averaged_images():
    images = data.load("photographs", size=64, crops=200, seed=0).images.astype(float)
    images -= images.mean()
    bands = band_energy(images).mean(0) / band_sizes((3, 64, 64))
    levels = [np.square(downsample(images, m)).mean() for m in range(7)]
    np.testing.assert_allclose(level_variance(bands, (3, 64, 64)), levels, rtol=1e-12)
    # Section 3.1: averaging changes the intensity of photographs little, and takes away 3/4 of white noise's
    assert levels[1] > 0.9 * levels[0]


def test_levels_of_the_paper_s_unit_variance_give_the_paper_s_chromatogram():
    # all of the variance in the mean: every level has the same, as Section 3.1 assumes
    flat = level_variance([0.0, 0.0, 0.0, 64.0], (1, 8, 8))
    z = np.linspace(-9, 5, 8)
    offsets = np.log(flat) + np.arange(4) * np.log(4)
    np.testing.assert_allclose(chromatogram(z, 4, offsets), chromatogram(z, 4), rtol=1e-12)


@pytest.mark.parametrize("schedule", [Cosine(), Linear(), RectifiedFlow(3.0)])
def test_a_mean_weighted_by_what_is_generated_is_the_same_under_every_schedule(schedule):
    variance = 4.0 ** np.arange(4) * 0.05
    z = schedule.uniform_log_snrs(4000)
    weights = generation_weights(z, variance)
    assert weights.sum() == pytest.approx(1)
    # the mean of log-SNR over the logistic distributions around -log V_m; the tails beyond the schedule's ends are cut
    assert weights @ z == pytest.approx(-np.log(variance).mean(), abs=0.02)
    assert resolved_fraction(z[0], variance).max() < 0.01


def test_weights_need_log_snrs_in_order():
    with pytest.raises(ValueError, match="log_snrs must be at least 2, strictly increasing"):
        generation_weights([1.0, 0.0], [1.0])
    with pytest.raises(ValueError, match="band_variance must be one for each of the 3 bands"):
        level_variance([1.0], (3, 4, 4))
