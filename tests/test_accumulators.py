"""Streaming measurements equal those of the whole batch, and known spectra come out as they are."""

import numpy as np
import pytest
import torch
from tiny import tiny

from chroma.accumulators import (
    BandVariance,
    CFGChromatography,
    ChangePSD,
    Mean,
    ResolvedFraction,
    energy_shares,
    radial_psd,
)
from chroma.chromatography import chromatogram, guidance_power, resolved_fraction, total_variation
from chroma.estimates import jackknife
from chroma.exact import EmpiricalPredictor, GaussianPredictor
from chroma.predictors import Guided, from_pipeline
from chroma.process import State, add_noise
from chroma.pyramid import band_energy, band_sizes, bands
from chroma.sampling import ddim, teacher_forced

POWER = np.array([0.02, 0.1, 0.5, 1.5, 3.0, 8.0])  # V_m of 32 x 32 pixels
BETWEEN = np.array([0.3, 0.1, 0.6, 0.5, 0.9, 0.8]) * POWER  # w_m, what the prompt decides of it
LOG_SNRS = np.linspace(-8, 8, 9)


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
    power = BandVariance()
    for seed in range(4):
        power.update(noise(100, 3, 16, 16, seed=seed))
    result = power.result()
    assert result.count == 400
    assert (np.abs(result.value - 1) < 5 * result.standard_error).all()


def test_band_power_of_a_one_over_f_squared_spectrum_grows_fourfold_a_level():
    power = BandVariance()
    power.update(coloured(-2.0))
    # 4 a level in the continuum; Haar bands of a 64-pixel grid leak, within a fifth from the second band on
    np.testing.assert_allclose(power.result().value[2:5] / power.result().value[1:4], 4, rtol=0.2)


def test_band_power_is_energy_over_the_number_of_coefficients():
    x = noise(10, 3, 16, 16)
    power = BandVariance()
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
        (lambda: BandVariance().update(torch.zeros(3, 8, 8)), "x must be a batch of images"),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_nan_is_refused_when_the_result_is_read():
    power = BandVariance()
    power.update(torch.full((3, 1, 8, 8), float("nan")))
    with pytest.raises(ValueError, match="samples must be finite"):
        power.result()


def test_batches_of_another_shape_are_refused():
    power = BandVariance()
    power.update(noise(3, 1, 8, 8))
    with pytest.raises(ValueError, match=r"x must be a batch of shape \(B, 1, 8, 8\) as before"):
        power.update(noise(3, 1, 16, 16))


def coloured_bands(power, count, seed):
    white = bands(noise(count, 3, 32, 32, seed=seed))
    return sum(float(v) ** 0.5 * part for v, part in zip(power, white, strict=True))


def gaussian_data(count, seed=0):
    """Images of Gaussian data, each with the mean that its prompt gives it, and what both predictors say of them."""
    meant = coloured_bands(BETWEEN, count, seed)
    x0 = meant + coloured_bands(POWER - BETWEEN, count, seed + 1)
    zero = torch.zeros((3, 32, 32), dtype=torch.float64)
    without = GaussianPredictor(zero, POWER)
    within = GaussianPredictor(zero, POWER - BETWEEN)

    def given(x, log_snr):  # data of one prompt: the same, around their own mean
        return within(x - add_noise(meant, torch.zeros_like(meant), log_snr), log_snr)

    return x0, Guided(given, without, 1.0)


def test_on_gaussian_data_the_guidance_has_the_power_of_the_formula_at_every_level_and_time():
    sizes = band_sizes((3, 32, 32))
    x0, predictor = gaussian_data(400)
    measured = CFGChromatography(LOG_SNRS)
    for state in teacher_forced(predictor, x0, noise(*x0.shape, seed=9), LOG_SNRS):
        measured.update(state.log_snr, predictor.guidance)
    predicted = guidance_power(LOG_SNRS, POWER, BETWEEN) * sizes[:, None]
    energy, result = measured.energy(), measured.result()
    assert energy.count == result.count == 400
    # 54 comparisons, of 9 steps that share their noise: five standard errors
    assert (np.abs(energy.value - predicted) < 5 * energy.standard_error).all()
    assert (np.abs(result.value - predicted / predicted.sum(0)) < 5 * result.standard_error).all()
    # to three digits where there are coefficients enough: a chi-squared mean of 400 x 2304 has an error of 0.15 %
    np.testing.assert_allclose(energy.value[0], predicted[0], rtol=5e-3)


def test_the_paper_s_curve_and_white_noise_are_further_away_than_the_formula():
    x0, predictor = gaussian_data(100)
    measured = CFGChromatography(LOG_SNRS)
    for state in teacher_forced(predictor, x0, noise(*x0.shape, seed=9), LOG_SNRS):
        measured.update(state.log_snr, predictor.guidance)
    predicted = guidance_power(LOG_SNRS, POWER, BETWEEN) * band_sizes((3, 32, 32))[:, None]
    near = measured.mean_distance(predicted / predicted.sum(0))
    far = measured.mean_distance(chromatogram(LOG_SNRS, 6))
    assert near.value < 0.02 and far.value - near.value > 10 * far.standard_error


def test_along_its_own_trajectories_an_exact_model_has_the_same_guidance_as_on_data():
    x0, predictor = gaussian_data(64)
    steps = np.linspace(-8, 6, 141)  # fine enough that the trajectories keep the marginals
    measured = CFGChromatography(steps)
    for state in ddim(predictor, noise(*x0.shape, seed=9), steps):
        measured.update(state.log_snr, predictor.guidance)
    predicted = guidance_power(steps, POWER, BETWEEN) * band_sizes((3, 32, 32))[:, None]
    # guidance of scale 1 samples what the prompt asks for: the states of `teacher_forced`, up to Euler's error
    assert measured.mean_distance(predicted / predicted.sum(0)).value < 0.02


def test_white_noise_has_three_quarters_of_its_guidance_in_the_finest_band():
    measured = CFGChromatography([0.0])
    measured.update(0.0, noise(400, 3, 32, 32))
    result = measured.result()
    expected = [*(0.75 * 0.25**m for m in range(5)), 0.25**5]
    assert (np.abs(result.value[:, 0] - expected) < 4 * result.standard_error[:, 0]).all()
    assert measured.distance(np.array(expected)).value < 0.01


def test_a_stream_of_guidance_has_the_shares_and_the_jackknife_of_the_whole():
    e = noise(30, 1, 8, 8) * torch.linspace(1, 2, 30)[:, None, None, None]
    measured = CFGChromatography([0.0])
    for part in e.split([7, 1, 22]):
        measured.update(0.0, part)
    energy = band_energy(e).numpy()
    without = [energy[np.arange(30) != i].sum(0) for i in range(30)]
    without = np.array([one / one.sum() for one in without])
    np.testing.assert_allclose(measured.result().value[:, 0], energy.sum(0) / energy.sum(), rtol=1e-12)
    error = np.sqrt(29 / 30 * np.square(without - without.mean(0)).sum(0))
    np.testing.assert_allclose(measured.result().standard_error[:, 0], error, rtol=1e-9)


def test_the_standard_error_does_not_depend_much_on_how_many_groups_there_are():
    samples = noise(3000, 2).abs().numpy()

    def ratio(mean):
        return mean[..., 0] / mean[..., 1]

    exact = jackknife(samples, np.ones(3000), ratio)
    grouped = jackknife(samples.reshape(30, 100, 2).mean(1), np.full(30, 100), ratio)
    assert exact.value == pytest.approx(grouped.value) and exact.count == grouped.count == 3000
    assert grouped.standard_error == pytest.approx(exact.standard_error, rel=0.4)  # 1 / sqrt(2 x 29) is 0.13


def test_memory_does_not_grow_with_the_number_of_samples():
    measured, sizes = CFGChromatography([0.0, 1.0]), set()
    for seed in range(5):
        for log_snr in (0.0, 1.0):
            measured.update(log_snr, noise(64, 1, 8, 8, seed=seed))
        sizes.add(sum(tensor.numel() for tensor in vars(measured).values() if isinstance(tensor, torch.Tensor)))
    assert len(sizes) == 1


def gaussian_direct(log_snrs, count=200, seeds=(0,)):
    data = GaussianPredictor(torch.zeros((3, 32, 32), dtype=torch.float64), POWER)
    measured = ResolvedFraction(log_snrs, data.mean)
    for seed in seeds:
        x0 = data.sample(count, torch.Generator().manual_seed(seed))
        for state in teacher_forced(data, x0, noise(*x0.shape, seed=100 + seed), log_snrs):
            measured.update(state, x0)
    return measured


def test_on_gaussian_data_the_direct_measurement_finds_the_resolved_fraction_and_its_rate():
    measured = gaussian_direct(np.linspace(-8, 8, 17), seeds=(0, 1))
    rho, rate = measured.result(), measured.rate()
    assert rho.count == 400
    assert (np.abs(rho.value - resolved_fraction(measured.log_snrs, POWER)) < 5 * rho.standard_error + 1e-12).all()
    slope = np.diff(resolved_fraction(measured.log_snrs, POWER)) / np.diff(measured.log_snrs)
    assert (np.abs(rate.value - slope) < 5 * rate.standard_error + 1e-12).all()
    predicted = slope / slope.sum(0)
    assert (np.abs(measured.shares().value - predicted) < 5 * measured.shares().standard_error + 1e-12).all()
    assert measured.distance(predicted).value.max() < 0.06


def test_the_error_of_the_rate_does_not_grow_as_the_steps_shrink():
    # independent samples at each log-SNR would make it grow in proportion: 16-fold
    errors = [gaussian_direct([-h, h]).rate().standard_error for h in (0.8, 0.05)]
    assert (errors[1] < 1.5 * errors[0]).all()


def test_the_derivative_of_the_resolved_fraction_is_the_spectrum_aware_chromatogram():
    z, h = np.linspace(-10, 10, 41), 1e-5
    rate = (resolved_fraction(z + h, POWER) - resolved_fraction(z - h, POWER)) / (2 * h)
    np.testing.assert_allclose(rate / rate.sum(0), chromatogram(z, 6, np.log(POWER)), atol=1e-8)


def states(x0s, log_snrs):
    return [State(z, x0, x0, x0) for z, x0 in zip(log_snrs, x0s, strict=True)]


def test_changes_between_edges_have_the_spectrum_of_their_difference_batch_by_batch():
    x0 = [noise(6, 3, 16, 16, seed=seed) for seed in range(4)]
    psd = ChangePSD([0.0, 2.0, 3.0])
    for part in (slice(0, 2), slice(2, 6)):
        for state in states([x[part] for x in x0], [0.0, 1.0, 2.0, 3.0]):
            psd.update(state)
    result = psd.result()
    assert result.count == 6
    expected = torch.stack([radial_psd(x0[2] - x0[0]), radial_psd(x0[3] - x0[2])]).mean(1)
    np.testing.assert_allclose(result.value, expected, rtol=1e-12)


def test_the_centroid_of_one_wave_is_its_frequency():
    wave = torch.cos(2 * torch.pi * 5 * torch.arange(32) / 32).expand(4, 1, 32, 32).double()
    psd = ChangePSD([0.0, 1.0])
    for state in states([0 * wave, wave], [0.0, 1.0]):
        psd.update(state)
    assert psd.centroid().value == pytest.approx(5.0)


def test_total_variation_is_zero_for_equals_and_one_for_strangers():
    assert total_variation([0.5, 0.5], [0.5, 0.5]) == 0
    assert total_variation([1.0, 0.0], [0.0, 1.0]) == 1
    np.testing.assert_allclose(energy_shares(np.array([[3.0, 1.0]])), [[0.75], [0.25]])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: CFGChromatography([1.0, 0.0]), "log_snrs must be strictly increasing"),
        (lambda: CFGChromatography([0.0]).update(1.0, noise(1, 1, 8, 8)), "log_snr must be one of the log_snrs that"),
        (lambda: CFGChromatography([0.0]).result(), "count must be at least 1 sample; got 0"),
        (lambda: ChangePSD([0.0]), "edges must be at least two"),
        (
            lambda: ChangePSD([0.0, 1.0]).update(State(1.0, *[noise(1, 1, 8, 8)] * 3)),
            r"state must be at the first edge, log-SNR 0.0, before the others; got log-SNR 1.0",
        ),
        (lambda: guidance_power(0.0, [1.0, 1.0], [0.5, 2.0]), "between_prompt_variance must be at most band_variance"),
        (lambda: guidance_power(0.0, [1.0, 1.0], [0.5]), "between_prompt_variance must be at most band_variance"),
        (lambda: resolved_fraction(0.0, [1.0, -1.0]), "band_variance must be finite and >= 0, of shape"),
        (lambda: total_variation([np.nan], [0.0]), "shares must be free of NaN"),
    ],
)
def test_bad_input_to_an_accumulator_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_missing_step_and_a_nan_are_refused_when_the_result_is_read():
    measured = CFGChromatography([0.0, 1.0])
    measured.update(0.0, noise(2, 1, 8, 8))
    with pytest.raises(ValueError, match="samples must be the same number at each log-SNR; got 0 to 2 per log-SNR"):
        measured.result()
    measured.update(1.0, torch.full((2, 1, 8, 8), float("nan")))
    with pytest.raises(ValueError, match="samples must be finite"):
        measured.result()


def test_a_finite_set_tells_of_itself_as_many_nats_as_the_logarithm_of_its_size():
    # I-MMSE: the integral of the exact predictor's error over SNR is the entropy of which image it is
    images = noise(16, 1, 8, 8, seed=3)
    z = np.linspace(-14, 8, 111)
    measured = ResolvedFraction(z, images.mean(0))
    for seed in range(100):
        for state in teacher_forced(EmpiricalPredictor(images), images, noise(*images.shape, seed=seed), z):
            measured.update(state, images)
    information = measured.information()
    assert information.value[:, 0].max() == 0
    total = measured.total_information()
    assert total.value == pytest.approx(information.value[:, -1].sum())
    assert abs(total.value - np.log(16)) < 3 * total.standard_error and total.standard_error < 0.1


def test_a_finite_set_known_for_certain_has_no_distance_left_to_measure():
    images = noise(4, 1, 8, 8, seed=3)
    measured = ResolvedFraction([-4.0, 0.0, 30.0, 31.0], images.mean(0))
    for state in teacher_forced(EmpiricalPredictor(images), images, noise(*images.shape), measured.log_snrs):
        measured.update(state, images)
    assert np.isfinite(measured.mean_distance(np.full(4, 0.25)).value)


def test_nothing_is_read_off_the_device_while_it_samples_and_measures():
    pipe = tiny("IFPipeline")
    predictor = Guided(from_pipeline(pipe, "a"), from_pipeline(pipe), 3.0)
    measured = CFGChromatography([-2.0, 0.0, 2.0])
    states = ddim(predictor, noise(2, 3, 8, 8).float(), measured.log_snrs)  # checks what it is handed
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for state in states:
            measured.update(state.log_snr, predictor.guidance)
    seen = {event.key for event in profile.key_averages()}
    assert "aten::convolution" in seen  # the profiler did look
    assert not seen & {"aten::item", "aten::_local_scalar_dense", "aten::nonzero"}


def test_samples_of_one_prompt_count_as_one_for_the_standard_error():
    e = noise(40, 1, 8, 8) * torch.linspace(1, 3, 40)[:, None, None, None]
    four_times = e.repeat_interleave(4, 0)
    apart, joint = CFGChromatography([0.0]), CFGChromatography([0.0])
    for part in e.split(1):
        apart.update(0.0, part)
    for part in four_times.split(4):
        joint.update(0.0, part, one_unit=True)
    assert joint.result().count == 40  # prompts, not samples
    np.testing.assert_allclose(joint.result().value, apart.result().value)
    np.testing.assert_allclose(joint.result().standard_error, apart.result().standard_error)


def test_infinite_log_snrs_have_their_limits():
    assert guidance_power(np.inf, [1.0, 4.0], [0.5, 4.0]).tolist() == pytest.approx([0, 1])
    assert guidance_power(-np.inf, [1.0, 4.0], [0.5, 4.0]).tolist() == [0, 0]
    assert resolved_fraction(np.inf, [0.0, 1.0]).tolist() == [0, 1]


def test_half_points_of_gaussian_bands_are_where_signal_and_noise_are_equal():
    variance = np.array([0.25, 1.0, 4.0])
    gaussian = GaussianPredictor(torch.zeros(1, 4, 4), variance)
    z = np.linspace(-6, 6, 49)
    x0 = gaussian.sample(4000, torch.Generator().manual_seed(0))
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    resolved = ResolvedFraction(z, gaussian.mean)
    for state in teacher_forced(gaussian, x0, noise, z):
        resolved.update(state, x0)
    found = resolved.half_points()
    assert (np.abs(found.value + np.log(variance)) < 4 * found.standard_error + 0.01).all()  # interpolated
    # a level consists of its bands, each with its number of coefficients
    sizes = np.array([12, 3, 1])
    fractions = resolved_fraction(z, variance) * (sizes * variance)[:, None]
    levels = fractions[::-1].cumsum(0)[::-1] / (sizes * variance)[::-1].cumsum()[::-1, None]
    expected = [np.interp(0.5, fraction, z) for fraction in levels]
    found = resolved.half_points(of_levels=True)
    assert (np.abs(found.value - expected) < 4 * found.standard_error + 0.01).all()
    few = ResolvedFraction(z[:10], gaussian.mean)
    for state in teacher_forced(gaussian, x0, noise, z[:10]):
        few.update(state, x0)
    assert np.isnan(few.half_points().value).tolist() == [True, True, True]  # from -6 to -3.75 none is reached


def test_crops_of_one_photograph_count_once():
    white = GaussianPredictor(torch.zeros(1, 2, 2), [1.0, 1.0])
    x0, eps = torch.randn(2, 960, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    apart, joint = (ResolvedFraction([-1.0, 1.0], white.mean) for _ in range(2))
    for rows in np.split(np.arange(960), 320):  # the same noise for the three crops of a photograph: they say it thrice
        copies = x0[rows[:1]].expand(3, -1, -1, -1), eps[rows[:1]].expand(3, -1, -1, -1)
        for state in teacher_forced(white, *copies, [-1.0, 1.0]):
            apart.update(state, copies[0])
            joint.update(state, copies[0], one_unit=True)
    assert joint.result().value == pytest.approx(apart.result().value)
    ratio = joint.result().standard_error / apart.result().standard_error
    # each error is itself uncertain by 1 / sqrt(2 x 31) of it
    assert ratio == pytest.approx(np.full((2, 2), np.sqrt(3)), rel=0.4)
