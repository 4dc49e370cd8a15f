"""A designed schedule spends on each band the share of its steps that it was asked to, and stock schedulers take it."""

import numpy as np
import pytest
from diffusers import DDPMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st

from chroma import from_scheduler
from chroma.chromatography import chromatogram
from chroma.design import Designed, to_sigmas, to_timesteps
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
