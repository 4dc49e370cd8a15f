"""A designed schedule spends on each band the share of its steps that it was asked to, and stock schedulers take it."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, optimize

from chroma import Cosine, from_scheduler
from chroma.chromatography import chromatogram
from chroma.design import Designed, optimal, to_sigmas, to_timesteps, wasserstein
from chroma.exact import GaussianPredictor
from chroma.pyramid import bands
from chroma.sampling import ddim
from chroma.schedulers.curves import photograph_variance
from chroma.schedulers.steps import step_log_snrs

POWER = 4.0 ** np.arange(5) * 0.05
SHARES = [0.4, 0.3, 0.15, 0.1, 0.05]


@given(st.floats(1e-6, 1 - 1e-6))
def test_time_and_log_snr_are_each_other_s_inverse(t):
    schedule = Designed(SHARES, POWER)
    assert schedule.time(schedule.log_snr(t)) == pytest.approx(t, rel=1e-9)


def test_time_runs_from_the_image_to_noise():
    schedule = Designed(SHARES, POWER)
    assert schedule.log_snr(0.0) == np.inf and schedule.log_snr(1.0) == -np.inf
    assert (np.diff(schedule.log_snr(np.linspace(0.001, 0.999, 50))) < 0).all()


def test_a_step_s_expected_share_of_each_band_is_the_one_that_was_asked_for():
    # weigh each step by how likely it is to be about band m: beta_m s'(z + log V_m) over the density
    schedule = Designed(SHARES, POWER)
    z = schedule.uniform_log_snrs(20_000)
    u = z + np.log(POWER)[:, None]
    rate = np.array(SHARES)[:, None] * np.exp(-np.logaddexp(0, u) - np.logaddexp(0, -u))
    np.testing.assert_allclose((rate / rate.sum(0)).mean(1), SHARES, atol=1e-3)


def test_all_on_one_band_is_the_logistic_distribution_around_it():
    schedule = Designed([0, 1.0], [1.0, 4.0])
    np.testing.assert_allclose(schedule.log_snr(np.array([0.5, 0.75])), [-np.log(4), -np.log(4) - np.log(3)], atol=1e-9)
    assert chromatogram(float(schedule.log_snr(0.5)), 2).argmax() in (0, 1)


def test_ddpm_takes_its_timesteps_euler_its_sigmas_and_flows_theirs():
    z = Designed(SHARES, POWER).uniform_log_snrs(12)
    ddpm = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    ddpm.set_timesteps(timesteps=to_timesteps(z, from_scheduler(ddpm)))
    np.testing.assert_allclose(step_log_snrs(ddpm), z, atol=0.15)  # whole timesteps
    euler = EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    euler.set_timesteps(sigmas=to_sigmas(z))
    np.testing.assert_allclose(step_log_snrs(euler), z, atol=1e-4)
    flow = FlowMatchEulerDiscreteScheduler(shift=1.0)
    flow.set_timesteps(sigmas=to_sigmas(z, flow=True))
    np.testing.assert_allclose(step_log_snrs(flow), z, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Designed([0.5, 0.6], [1, 4]), "shares must be one per band, >= 0, adding up to 1"),
        (lambda: Designed([0.5, 0.5], [1]), "band_variance must be > 0, one for each of the 2 bands"),
        (lambda: Designed([0.5, 0.5], [1, 0]), "band_variance must be > 0"),
        (lambda: Designed([1.0], [1.0]).uniform_log_snrs(0), "steps must be a whole number >= 1"),
        (
            lambda: to_timesteps([0.0, 1e-4], from_scheduler(DDPMScheduler())),
            "log_snrs must be further apart: two of them are the same training timestep",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()


SMALL = [0.02, 0.3, 2.0]  # of images of 1 x 4 x 4


def ddim_matrix(log_snrs, variance, shape):
    """The matrix that `chroma.sampling.ddim` multiplies its noise by, for Gaussian data: image by image."""
    predictor = GaussianPredictor(torch.zeros(shape, dtype=torch.float64), variance)
    noise = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
    *_, last = ddim(predictor, noise, log_snrs)
    return last.x0.flatten(1).T.numpy()


@pytest.mark.parametrize("log_snrs", [[0.5], [-3.0, -1.0, 2.0], np.linspace(-6, 6, 12)])
def test_the_closed_form_is_the_wasserstein_distance_of_the_sampler_s_covariance(log_snrs):
    shape, matrix = (1, 4, 4), ddim_matrix(log_snrs, SMALL, (1, 4, 4))
    generated = matrix @ matrix.T
    parts = bands(np.eye(16).reshape(16, *shape))
    root = sum(v**0.5 * part for v, part in zip(SMALL, parts, strict=True)).reshape(16, 16)
    data = root @ root.T
    # Dowson and Landau (1982): |m - m'|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2)
    half = linalg.sqrtm(data)
    squared = np.trace(data + generated - 2 * linalg.sqrtm(half @ generated @ half).real)
    assert wasserstein(log_snrs, SMALL, shape) == pytest.approx(np.sqrt(squared / 16), rel=1e-6)


def test_a_step_multiplies_a_band_by_the_cosine_of_its_turn():
    z, next_z, variance = -1.0, 1.5, 0.7
    alpha, next_alpha = 1 / (1 + np.exp([-z, -next_z]))
    before = np.array([np.sqrt(alpha * variance), np.sqrt(1 - alpha)])
    after = np.array([np.sqrt(next_alpha * variance), np.sqrt(1 - next_alpha)])
    # DDIM with the exact predictor of one coefficient, Eqs 1 and 7
    eps = np.sqrt(1 - alpha) / (alpha * variance + 1 - alpha)
    x0 = (1 - np.sqrt(1 - alpha) * eps) / np.sqrt(alpha)
    gain = np.sqrt(next_alpha) * x0 + np.sqrt(1 - next_alpha) * eps
    cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    assert gain == pytest.approx(cosine * np.linalg.norm(after) / np.linalg.norm(before))


def test_for_one_band_the_cosine_schedule_moved_by_log_v_is_best():
    variance, steps = 5.0, 6
    best = optimal(steps, [variance, variance], (1, 2, 2))  # two bands of one variance
    theta = np.arctan(np.exp(-(best + np.log(variance)) / 2))
    turns = -np.diff(theta, append=0.0)
    np.testing.assert_allclose(turns, turns.mean(), rtol=1e-3)
    # the schedule without its offset, cos^2(pi t / 2), has theta = pi t / 2
    t = Cosine(s=0.0).time(best + np.log(variance))
    np.testing.assert_allclose(theta, np.pi / 2 * t, rtol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 5, 16, 32])
def test_no_other_minimiser_finds_better_steps(steps):
    variance, shape = photograph_variance(32), (3, 32, 32)
    found = wasserstein(optimal(steps, variance, shape), variance, shape)

    def error(parameters):
        return wasserstein(np.cumsum([parameters[0], *np.exp(parameters[1:])]), variance, shape)

    for ends in ((-9, 4), (-6, 7)):
        start = np.linspace(*ends, steps)
        other = optimize.minimize(error, [start[0], *np.log(np.diff(start))], method="L-BFGS-B")
        assert found <= other.fun * (1 + 1e-6)


def test_the_optimum_is_found_for_very_different_spectra():
    for variance in ([1e-4, 1e-2, 1.0, 100.0], [1.0, 1.0, 1.0, 1.0], [5.0, 1.0, 0.2, 0.04], [1e3, 1e3, 1e3, 1e3]):
        best, shape = optimal(8, variance, (3, 8, 8)), (3, 8, 8)
        least = wasserstein(best, variance, shape)
        rng = np.random.default_rng(0)
        for _ in range(50):
            moved = np.sort(best + 0.2 * rng.standard_normal(8))
            assert wasserstein(moved, variance, shape) >= least * (1 - 1e-6) - 1e-7


def test_pure_noise_is_the_limit_of_a_first_step_at_very_low_log_snr():
    limit = wasserstein([-np.inf, 0.0, 3.0], SMALL, (1, 4, 4))
    assert wasserstein([-40.0, 0.0, 3.0], SMALL, (1, 4, 4)) == pytest.approx(limit, rel=1e-6)
    with pytest.raises(ValueError, match="log_snrs must be strictly increasing, from noisy to clean, and less"):
        wasserstein([0.0, np.inf], SMALL, (1, 4, 4))


def test_steps_that_do_not_increase_and_wrong_variances_are_refused():
    with pytest.raises(ValueError, match="log_snrs must be strictly increasing"):
        wasserstein([1.0, 0.0], SMALL, (1, 4, 4))
    for variance in ([1.0, 1.0], [1.0, 0.0, 1.0], [1.0, np.inf, 1.0]):
        with pytest.raises(ValueError, match="band_variance must be finite and > 0, one for each of the 3 bands"):
            wasserstein([0.0], variance, (1, 4, 4))
    with pytest.raises(ValueError, match="steps must be a whole number >= 1"):
        optimal(0, SMALL, (1, 4, 4))
