"""Predictors with no training error give the conditional mean, checked by Monte Carlo and by brute force."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from chroma import data
from chroma.chromatography import coloured_guidance_power, resolved_fraction
from chroma.exact import EmpiricalPredictor, GaussianPredictor, MixturePredictor, WienerPredictor
from chroma.process import add_noise, predict_x0
from chroma.pyramid import band_energy, band_sizes
from chroma.sampling import ddim
from chroma.spectra import band_covariance

POWER = 4.0 ** np.arange(5) * 0.05


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def gaussian():
    return GaussianPredictor(torch.full((3, 16, 16), 0.3, dtype=torch.float64), POWER)


@pytest.mark.parametrize("log_snr", [-6.0, -2.0, 0.0, 3.0])
def test_gaussian_error_is_the_unresolved_fraction_of_each_bands_power(gaussian, log_snr):
    # Monte Carlo: E|x0hat - x0|^2 in band m is N_m V_m (1 - s(z + log V_m)) for the conditional mean, more for all else
    x0 = gaussian.sample(2000, generator())
    x = add_noise(x0, torch.randn(x0.shape, generator=generator(1), dtype=x0.dtype), log_snr)
    error = band_energy(predict_x0(x, gaussian(x, log_snr), log_snr) - x0)
    sizes = band_sizes((3, 16, 16))
    expected = sizes * POWER / (1 + POWER * np.exp(log_snr))
    mean, stderr = error.mean(0).numpy(), error.std(0).numpy() / np.sqrt(2000)
    np.testing.assert_array_less(np.abs(mean - expected), 4 * stderr)
    assert (stderr / expected).max() < 0.02  # the test can see an error of 8 %, in the coarsest band; 1 % in the finest


def test_gaussian_prediction_is_linear_regression_on_samples(gaussian):
    # the posterior mean regresses x0 - mean on x - sqrt(alpha) mean; the slope is the same for every pixel of a band
    log_snr = -1.0
    x0 = gaussian.sample(4000, generator(2))
    x = add_noise(x0, torch.randn(x0.shape, generator=generator(3), dtype=x0.dtype), log_snr)
    predicted = predict_x0(x, gaussian(x, log_snr), log_snr) - 0.3
    residual = x0 - 0.3 - predicted
    # orthogonality principle: the residual is uncorrelated with the prediction
    correlation = (residual * predicted).sum((1, 2, 3))
    assert abs(correlation.mean()) < 4 * correlation.std() / np.sqrt(4000)


def test_gaussian_samples_have_the_powers_asked_for(gaussian):
    x = gaussian.sample(4000, generator(4)) - 0.3
    sizes = band_sizes((3, 16, 16))
    ratio = band_energy(x).mean(0).numpy() / (sizes * POWER)
    np.testing.assert_array_less(np.abs(ratio - 1), 5 * np.sqrt(2 / (4000 * sizes)))  # chi-square


def test_ddim_turns_white_noise_into_the_gaussian_with_an_error_of_first_order(gaussian):
    noise = torch.randn((4, 3, 16, 16), generator=generator(5), dtype=torch.float64)
    errors = []
    for steps in (100, 200, 400):
        *_, last = ddim(gaussian, noise, np.linspace(-14, 14, steps))
        # each coefficient is multiplied by the same factor, ideally sqrt(V): no sampling error in this ratio
        errors.append((band_energy(last.x0 - 0.3) / band_energy(noise)).mean(0).numpy() / POWER - 1)
    errors = np.abs(errors)
    assert errors[-1].max() < 0.03
    np.testing.assert_allclose(errors[:-1] / errors[1:], 2, rtol=0.1)


def brute_force(images, x, log_snr):
    alpha = 1 / (1 + np.exp(-log_snr))
    distance = ((x[:, None] - np.sqrt(alpha) * images[None]) ** 2).flatten(2).sum(-1)
    weights = torch.softmax(-distance / (2 * (1 - alpha)), 1)
    return torch.einsum("bn,nchw->bchw", weights, images)


@pytest.mark.parametrize("log_snr", [-8.0, -3.0, 0.0, 4.0])
def test_empirical_prediction_is_the_posterior_mean_over_the_data(log_snr, monkeypatch):
    monkeypatch.setattr(EmpiricalPredictor, "chunk_bytes", 5000)  # several chunks
    images = torch.rand((40, 3, 8, 8), generator=generator(), dtype=torch.float64) * 2 - 1
    x = add_noise(images[:6], torch.randn((6, 3, 8, 8), generator=generator(1), dtype=torch.float64), log_snr)
    predictor = EmpiricalPredictor(images)
    torch.testing.assert_close(predict_x0(x, predictor(x, log_snr), log_snr), brute_force(images, x, log_snr))
    torch.testing.assert_close(predictor.posterior(x, log_snr).sum(1), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("log_snr", [-700.0, -80.0, 30.0, 100.0, 700.0])
def test_predictions_are_finite_at_every_log_snr_that_a_sampler_accepts(dtype, log_snr, gaussian):
    x = torch.randn((2, 3, 16, 16), generator=generator(1)).to(dtype)
    images = torch.rand((10, 3, 16, 16), generator=generator()) * 2 - 1
    for predictor in (EmpiricalPredictor(images), gaussian):
        assert torch.isfinite(predictor(x, log_snr)).all()
        assert predictor(x, log_snr).dtype == dtype


def test_bytes_are_read_as_minus_one_to_one():
    pixels = torch.randint(0, 256, (10, 3, 8, 8), generator=generator(), dtype=torch.uint8)
    x = torch.randn((4, 3, 8, 8), generator=generator(1), dtype=torch.float64)
    exact = EmpiricalPredictor(pixels.double() / 127.5 - 1)
    torch.testing.assert_close(EmpiricalPredictor(pixels)(x, -2.0), exact(x, -2.0))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_thirteen_thousand_images_stay_under_two_gigabytes(dtype):
    # in a process of its own, whose peak is then that of the predictor (and of PyTorch, some 0.3 GB)
    program = f"""
import resource, torch
from chroma.exact import EmpiricalPredictor
images = torch.zeros((13_000, 3, 64, 64), dtype=torch.{dtype})
images[::2] += 1
EmpiricalPredictor(images)(torch.zeros(64, 3, 64, 64), -3.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    kilobytes = int(done.stdout) if sys.platform != "darwin" else int(done.stdout) / 1024
    assert kilobytes < 2e6


def test_a_subset_is_a_condition():
    images = torch.rand((10, 3, 8, 8), generator=generator()) * 2 - 1
    x = torch.randn((4, 3, 8, 8), generator=generator(1))
    predictor = EmpiricalPredictor(images)
    mask = np.arange(10) % 2 == 0
    torch.testing.assert_close(predictor.given(mask)(x, -2.0), EmpiricalPredictor(images[::2])(x, -2.0))
    torch.testing.assert_close(predictor.given([3])(x, 0.0), EmpiricalPredictor(images[3:4])(x, 0.0))


def test_sampling_a_data_set_exactly_ends_on_one_of_its_images():
    images = torch.rand((20, 3, 8, 8), generator=generator(), dtype=torch.float64) * 2 - 1
    noise = torch.randn((8, 3, 8, 8), generator=generator(1), dtype=torch.float64)
    *_, last = ddim(EmpiricalPredictor(images), noise, np.linspace(-12, 12, 100))
    nearest = (last.x0[:, None] - images).abs().amax((2, 3, 4)).amin(1)
    assert nearest.max() < 1e-6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GaussianPredictor(torch.zeros(16, 16), POWER), r"mean must be of shape \(C, H, W\)"),
        (lambda: GaussianPredictor(np.zeros((3, 16, 16)), POWER), "mean must be a torch.Tensor"),
        (lambda: GaussianPredictor(torch.full((3, 16, 16), torch.nan), POWER), "mean: some values are NaN or infinite"),
        (
            lambda: GaussianPredictor(torch.zeros(3, 16, 16), POWER)(torch.zeros(1, 1, 16, 16), 0.0),
            r"x must be of shape \(B, 3, 16, 16\); got \(1, 1, 16, 16\)",
        ),
        (
            lambda: EmpiricalPredictor(torch.zeros(2, 3, 8, 8, dtype=torch.int64)),
            "images: dtype int64 is not supported; use uint8",
        ),
        (
            lambda: EmpiricalPredictor(torch.zeros(2, 3, 8, 8)).given([]),
            "subset: no image is selected",
        ),
        (lambda: EmpiricalPredictor(torch.zeros(2, 3, 8, 8)).given([2]), "subset must be indices from 0 to 1"),
        (lambda: EmpiricalPredictor(torch.zeros(2, 3, 8, 8)).given([True]), "subset must be indices from 0 to 1"),
        (
            lambda: GaussianPredictor(torch.zeros(3, 16, 16), POWER[:3]),
            "band_variance must be 5 values for images of 16 x 16 pixels",
        ),
        (lambda: GaussianPredictor(torch.zeros(3, 16, 16), -POWER), "band_variance must be at least 0 in each band"),
        (lambda: GaussianPredictor(torch.zeros(3, 16, 16), POWER * np.nan), "band_variance must be free of NaN"),
        (
            lambda: EmpiricalPredictor(torch.zeros(0, 3, 8, 8)),
            r"images must be of shape \(N, C, H, W\) with N >= 1",
        ),
        (lambda: EmpiricalPredictor(torch.full((2, 3, 8, 8), float("nan"))), "images: some values are NaN or infinite"),
        (
            lambda: EmpiricalPredictor(torch.zeros(2, 3, 8, 8))(torch.zeros(1, 3, 4, 4), 0.0),
            r"x must be of shape \(B, 3, 8, 8\); got \(1, 3, 4, 4\)",
        ),
    ],
)
def test_bad_input_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


COVARIANCES = np.array([np.diag([0.1, 0.2, 0.6]), [[1.0, 0.9, 0.8], [0.9, 1.0, 0.9], [0.8, 0.9, 1.0]], np.eye(3) * 4])


@pytest.fixture(scope="module")
def coloured():
    return GaussianPredictor(torch.full((3, 4, 4), 0.3, dtype=torch.float64), COVARIANCES)


def test_samples_with_colours_have_the_covariances_asked_for(coloured):
    found = band_covariance(coloured.sample(20_000, generator()) - 0.3).numpy()
    # the coarsest band has one coefficient per image: a relative error of sqrt(2 / 20,000) = 1 %
    largest = COVARIANCES.max((1, 2))[:, None, None]
    np.testing.assert_allclose(found / largest, COVARIANCES / largest, atol=0.05)


@pytest.mark.parametrize("log_snr", [-2.0, 1.0])
def test_with_colours_the_resolved_fraction_is_the_sum_over_eigenvalues(coloured, log_snr):
    x0 = coloured.sample(20_000, generator(1))
    x = add_noise(x0, torch.randn(x0.shape, generator=generator(2), dtype=x0.dtype), log_snr)
    error = band_energy(predict_x0(x, coloured(x, log_snr), log_snr) - x0).mean(0).numpy()
    fraction = 1 - error / band_energy(x0 - 0.3).mean(0).numpy()
    expected = resolved_fraction(log_snr, np.linalg.eigvalsh(COVARIANCES))
    np.testing.assert_allclose(fraction, expected, atol=0.01)  # four standard errors in the coarsest band
    # colours that are alike make a band easier to resolve than its mean variance says
    assert expected[1] > resolved_fraction(log_snr, np.trace(COVARIANCES, axis1=1, axis2=2) / 3)[1]


def test_covariances_that_are_multiples_of_one_are_variances(coloured):
    variances = [0.1, 1.0, 3.0]
    plain = GaussianPredictor(coloured.mean, variances)
    same = GaussianPredictor(coloured.mean, np.array(variances)[:, None, None] * np.eye(3))
    x = torch.randn((5, 3, 4, 4), generator=generator(), dtype=torch.float64)
    for log_snr in (0.7, torch.linspace(-3, 3, 5, dtype=torch.float64)):
        torch.testing.assert_close(same(x, log_snr), plain(x, log_snr))


def test_the_wiener_filter_is_the_conditional_mean_by_matrix_algebra():
    images = torch.randn((40, 2, 4, 4), generator=generator(), dtype=torch.float64).cumsum(-1)
    log_snr = 0.4
    rows = images.flatten(1).numpy()
    mean, covariance = rows.mean(0), np.cov(rows.T, bias=True)
    alpha = 1 / (1 + np.exp(-log_snr))
    x = torch.randn((3, 2, 4, 4), generator=generator(1), dtype=torch.float64)
    # E[x0 | x] = mean + s C (s^2 C + (1 - s^2) I)^-1 (x - s mean)
    gain = np.sqrt(alpha) * covariance @ np.linalg.inv(alpha * covariance + (1 - alpha) * np.eye(32))
    expected = mean + (x.flatten(1).numpy() - np.sqrt(alpha) * mean) @ gain.T
    for few in (images, torch.cat([images, images])):  # fewer images than pixel values (40 of 32 are not) and more
        wiener = WienerPredictor(few)
        found = predict_x0(x, wiener(x, log_snr), log_snr).flatten(1).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-9)
        single = wiener(x, torch.full((3,), log_snr, dtype=torch.float64))
        torch.testing.assert_close(single, wiener(x, log_snr))


def test_fewer_images_than_pixel_values_leave_directions_without_variance():
    images = torch.randn((10, 3, 4, 4), generator=generator(), dtype=torch.float64)
    wiener = WienerPredictor(images)
    assert wiener.eigenvectors.shape == (9, 48)
    torch.testing.assert_close(wiener.eigenvectors @ wiener.eigenvectors.T, torch.eye(9, dtype=torch.float64))
    # what no image has in common with the data is all noise
    outside = torch.randn((1, 48), generator=generator(1), dtype=torch.float64)
    outside -= (outside @ wiener.eigenvectors.T) @ wiener.eigenvectors
    x = outside.view(1, 3, 4, 4)
    found = predict_x0(x + wiener.mean / 2**0.5, wiener(x + wiener.mean / 2**0.5, 0.0), 0.0)
    torch.testing.assert_close(found, wiener.mean[None])


def test_the_expected_error_of_the_wiener_filter_is_its_mean_error_over_noises():
    images = torch.from_numpy(data.load("scenes", size=8, crops=2).images).double()
    wiener, log_snr = WienerPredictor(images[::2]), 0.5
    x0 = images[1:4:2].repeat_interleave(2000, 0)
    x = add_noise(x0, torch.randn(x0.shape, generator=generator(), dtype=x0.dtype), log_snr)
    errors = band_energy(predict_x0(x, wiener(x, log_snr), log_snr) - x0).view(2, 2000, -1)
    expected = wiener.expected_error(images[1:4:2], log_snr)
    standard_error = errors.std(1) / 2000**0.5
    assert ((errors.mean(1) - expected).abs() < 4.5 * standard_error).all()


def test_with_all_second_moments_more_of_other_photographs_is_resolved_than_with_variances_alone():
    training = torch.from_numpy(data.load("scenes", size=16, crops=6, styles="photo").images).double()
    held_out = torch.from_numpy(data.load("scenes", size=16, crops=2, styles="photo", split="held-out").images).double()
    wiener, mean = WienerPredictor(training), training.mean(0)
    covariances = band_covariance(training - mean).numpy()
    eigenvalues = np.linalg.eigvalsh(covariances)
    total = band_energy(held_out - mean).mean(0)
    for log_snr in (-3.0, 0.0):
        full = (1 - wiener.expected_error(held_out, log_snr).mean(0) / total).numpy()
        colour = resolved_fraction(log_snr, eigenvalues)
        plain = resolved_fraction(log_snr, eigenvalues.mean(1))
        assert (colour > plain).all()
        assert full[1] > colour[1]  # 8x8: neighbouring pixels, too, are alike


def test_covariances_and_images_that_are_none_are_refused():
    mean = torch.zeros(3, 4, 4)
    lopsided = COVARIANCES.copy()
    lopsided[1, 0, 1] = 0.0
    with pytest.raises(ValueError, match="band_variance must be symmetric; got covariances that are not"):
        GaussianPredictor(mean, lopsided)
    with pytest.raises(ValueError, match="band_variance must be positive semi-definite in each band"):
        GaussianPredictor(mean, COVARIANCES - 0.5 * np.eye(3))
    with pytest.raises(ValueError, match=r"band_variance must be 3 values .*, or 3 covariances of 3 x 3; got shape"):
        GaussianPredictor(mean, COVARIANCES[:2])
    with pytest.raises(ValueError, match="images must be at least 2, with finite values; got 1 images"):
        WienerPredictor(torch.zeros(1, 3, 4, 4))
    for wrong in (np.ones((2, 3, 3)), [-1.0], [np.inf], []):
        with pytest.raises(ValueError, match="band_variance must be"):
            resolved_fraction(0.0, wrong)


def mixture():
    """Two prompts: other means, and colours that vary together or one by one."""
    means = torch.randn((2, 3, 4, 4), generator=generator(7), dtype=torch.float64)
    return MixturePredictor(
        [GaussianPredictor(means[0], COVARIANCES), GaussianPredictor(means[1], [0.3, 0.5, 2.0])], weights=[1, 3]
    )


def covariance_of(gaussian):
    """The covariance C of all pixel values: at alpha = 1/2 the noise predicted in x is sqrt(1/2) (C/2 + 1/2)^-1 x."""
    units = torch.eye(48, dtype=torch.float64).view(48, 3, 4, 4)
    matrix = (gaussian(units, 0.0) - gaussian(torch.zeros_like(units), 0.0)).flatten(1).numpy()
    return np.sqrt(2) * np.linalg.inv(matrix) - np.eye(48)


def test_the_posterior_of_a_mixture_is_bayes_rule_with_scipys_densities():
    mixed, log_snr = mixture(), -0.5
    alpha = 1 / (1 + np.exp(-log_snr))
    x = torch.randn((4, 3, 4, 4), generator=generator(8), dtype=torch.float64)
    densities = [
        stats.multivariate_normal(
            np.sqrt(alpha) * part.mean.flatten().numpy(), alpha * covariance_of(part) + (1 - alpha) * np.eye(48)
        ).logpdf(x.flatten(1).numpy())
        for part in mixed.components
    ]
    expected = stats.logistic.cdf(densities[0] - densities[1] + np.log(1 / 3))
    np.testing.assert_allclose(mixed.posterior(x, log_snr)[:, 0], expected, rtol=1e-9)


def test_a_mixture_of_narrow_gaussians_is_a_finite_set():
    images = torch.randn((6, 3, 4, 4), generator=generator(9), dtype=torch.float64)
    mixed = MixturePredictor([GaussianPredictor(image, [0.0] * 3) for image in images])
    x = torch.randn((5, 3, 4, 4), generator=generator(10), dtype=torch.float64)
    for log_snr in (-1.0, torch.linspace(-2, 2, 5, dtype=torch.float64)):
        torch.testing.assert_close(mixed(x, log_snr), EmpiricalPredictor(images)(x, log_snr))


@pytest.mark.parametrize("log_snr", [-3.0, 0.0, 2.0])
def test_the_guidance_of_linear_predictors_has_the_power_of_the_formula(log_snr):
    mixed, count = mixture(), 4000
    weights = torch.from_numpy(mixed.weights)
    means = torch.stack([part.mean for part in mixed.components])
    overall = (weights[:, None, None, None] * means).sum(0)
    between = sum(w * band_covariance((mean - overall)[None]) for w, mean in zip(weights, means, strict=True)).numpy()
    isotropic = np.array([0.3, 0.5, 2.0])[:, None, None] * np.eye(3)
    within = np.stack([COVARIANCES, isotropic])
    linear = GaussianPredictor(overall, np.tensordot(mixed.weights, within, 1) + between)
    energies = []
    for part in mixed.components:
        x0 = part.sample(count, generator(11))
        x = add_noise(x0, torch.randn(x0.shape, generator=generator(12), dtype=x0.dtype), log_snr)
        energies.append(band_energy(part(x, log_snr) - linear(x, log_snr)))
    measured = sum(w * energy.mean(0) for w, energy in zip(weights, energies, strict=True)).numpy() / band_sizes(
        (3, 4, 4)
    )
    expected = coloured_guidance_power(log_snr, within, between, mixed.weights)
    # Monte Carlo over 4,000 samples per prompt: 3 % in the coarsest band, with its three coefficients
    np.testing.assert_allclose(measured, expected, rtol=0.1)


def test_a_mixture_given_one_component_is_that_gaussian_and_given_all_is_itself():
    mixed = mixture()
    x = torch.randn((4, 3, 4, 4), generator=generator(13), dtype=torch.float64)
    torch.testing.assert_close(mixed.given([1])(x, 0.5), mixed.components[1](x, 0.5))
    torch.testing.assert_close(mixed.given([True, True])(x, 0.5), mixed(x, 0.5))
    for subset in ([], [2], [[0]]):
        with pytest.raises(ValueError, match="subset"):
            mixed.given(subset)


def test_the_noise_that_a_mixture_predicts_is_that_of_its_components_weighed_by_the_posterior():
    mixed = mixture()
    x = torch.randn((4, 3, 4, 4), generator=generator(14), dtype=torch.float64)
    posterior = mixed.posterior(x, 1.0)[:, :, None, None, None]
    expected = sum(posterior[:, i] * part(x, 1.0) for i, part in enumerate(mixed.components))
    torch.testing.assert_close(mixed(x, 1.0), expected)


def test_mixtures_that_are_none_are_refused():
    part = GaussianPredictor(torch.zeros(1, 2, 2), [1.0, 1.0])
    for components in ([], [part, GaussianPredictor(torch.zeros(1, 4, 4), [1.0] * 3)]):
        with pytest.raises(ValueError, match="components must be at least one, all of the same shape"):
            MixturePredictor(components)
    for weights in ([1.0, 0.0], [1.0], [1.0, np.inf]):
        with pytest.raises(ValueError, match="weights must be > 0, one for each of the 2 components"):
            MixturePredictor([part, part], weights)
