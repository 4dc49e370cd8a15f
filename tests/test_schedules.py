"""A noise schedule is a monotone map from time to log-SNR, and it agrees with the ones in use elsewhere."""

import numpy as np
import pytest
from diffusers import (
    CogVideoXDDIMScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)
from hypothesis import given
from hypothesis import strategies as st

from chroma import (
    EDM,
    Cosine,
    Discrete,
    Linear,
    Natural,
    RectifiedFlow,
    ScaledLinear,
    Sigmoid,
    adjusted_time,
    from_scheduler,
    level_log_snr,
)

positive = st.floats(0.01, 30)
schedules = st.one_of(
    st.builds(Linear, positive, positive),
    st.builds(ScaledLinear, positive, positive),
    st.builds(Cosine, st.floats(0, 0.5)),
    st.tuples(st.floats(-10, 5), st.floats(0.1, 10)).map(lambda p: Sigmoid(p[0], p[0] + p[1])),
    st.just(Natural()),
    st.builds(RectifiedFlow, st.floats(0.1, 20)),
    st.tuples(st.floats(1e-4, 1), st.floats(2, 1000), st.floats(0.5, 12)).map(lambda p: EDM(*p)),
    st.lists(st.floats(0.02, 0.98), min_size=2, max_size=40, unique_by=lambda a: round(a, 3)).map(
        lambda alphas: Discrete(sorted(alphas, reverse=True))
    ),
    st.just(Discrete([1.0, 0.7, 0.2, 0.0])),
)
unit = st.floats(0, 1)


def times(schedule, fraction):
    first, last = schedule.domain
    return first + fraction * (min(last, 40.0) - first)


@given(schedules, unit)
def test_time_inverts_log_snr(schedule, fraction):
    # Rounding of log-SNR (relative 1e-16) is amplified where a schedule is flat: near its ends, at worst by about 1e6
    t = times(schedule, fraction)
    assert schedule.time(schedule.log_snr(t)) == pytest.approx(t, abs=1e-9, rel=1e-9)


@given(schedules, unit, unit)
def test_log_snr_falls_with_time(schedule, a, b):
    early, late = sorted((times(schedule, a), times(schedule, b)))
    assert schedule.log_snr(early) >= schedule.log_snr(late)


@given(schedules, unit)
def test_alpha_and_log_snr_say_the_same(schedule, fraction):
    t = times(schedule, fraction)
    alpha = schedule.alpha(t)
    assert 0 <= alpha <= 1
    if 1e-12 < alpha < 1 - 1e-12:  # beyond, log(alpha / (1 - alpha)) computed this way has lost its digits
        assert np.log(alpha / (1 - alpha)) == pytest.approx(schedule.log_snr(t), abs=1e-3)


@pytest.mark.parametrize(
    ("schedule", "alpha"),
    [
        (Linear(0.1, 20), lambda t: np.exp(-0.1 * t - 19.9 * t**2 / 2)),
        (
            Cosine(0.008),
            lambda t: np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2,
        ),
        (Natural(), lambda t: np.exp(-t)),
        (RectifiedFlow(), lambda t: (1 - t) ** 2 / ((1 - t) ** 2 + t**2)),
        (RectifiedFlow(3), lambda t: 1 / (1 + (3 * t / (1 - t)) ** 2)),
        (EDM(0.002, 80, 7), lambda t: 1 / (1 + (0.002 ** (1 / 7) + t * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 14)),
    ],
    ids=lambda value: repr(value) if not callable(value) else "formula",
)
def test_alpha_is_the_published_formula(schedule, alpha):
    t = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(schedule.alpha(t), alpha(t), atol=1e-14)


def test_sigmoid_is_chens_code():
    # "On the importance of noise scheduling", Algorithm 1, with tau = 1
    t = np.linspace(0.01, 0.99, 99)
    logistic = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    start, end = logistic(-3), logistic(3)
    expected = (end - logistic(t * 6 - 3)) / (end - start)
    np.testing.assert_allclose(Sigmoid(-3, 3).alpha(t), expected, atol=1e-14)


@pytest.mark.parametrize(
    ("betas", "schedule"),
    [
        ({"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}, Linear(0.1, 20)),
        ({"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}, ScaledLinear(0.85, 12)),
        ({"beta_schedule": "squaredcos_cap_v2"}, Cosine()),
    ],
    ids=["linear", "scaled linear", "cosine"],
)
def test_continuous_schedules_are_the_limit_of_diffusers_tables(betas, schedule):
    # A table of 1000 steps holds alpha after step i, at (i + 1) / 1000; products of 1 - beta and exp(-beta) differ by
    # O(beta): 0.2 % of alpha for beta up to 0.02. The cosine table stops short of t = 1 by its cap on beta.
    table = DDPMScheduler(**betas).alphas_cumprod.double().numpy()[:990]
    np.testing.assert_allclose(schedule.alpha(np.arange(1, 991) / 1000), table, atol=2e-3)


SCHEDULERS = [
    DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
    DDIMScheduler(prediction_type="v_prediction", beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    EulerDiscreteScheduler(use_karras_sigmas=True, beta_schedule="scaled_linear"),
    DPMSolverMultistepScheduler(prediction_type="sample"),
    UniPCMultistepScheduler(),
    LCMScheduler(),
]


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=lambda s: type(s).__name__)
def test_from_scheduler_reads_the_training_table_whatever_is_predicted(scheduler):
    schedule = from_scheduler(scheduler)
    steps = np.arange(1000)
    # float32 in the scheduler
    np.testing.assert_allclose(schedule.alpha(steps), scheduler.alphas_cumprod.numpy(), atol=1e-7)


def test_fractional_steps_are_k_diffusions_sigma_to_t():
    scheduler = EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    schedule = from_scheduler(scheduler)
    sigmas = np.exp(np.linspace(np.log(0.03), np.log(14.0), 200))
    alphas = scheduler.alphas_cumprod.double().numpy()
    table = np.log((1 - alphas) / alphas) / 2
    expected = np.array([scheduler._sigma_to_t(sigma, table) for sigma in sigmas])  # diffusers' port of k-diffusion
    np.testing.assert_allclose(schedule.time(-2 * np.log(sigmas)), expected, atol=1e-8)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_downsampling_is_k_diffusions_clock_at_half_the_sigma(level):
    scheduler = EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    alphas = scheduler.alphas_cumprod.double().numpy()
    sigmas = np.sqrt((1 - alphas) / alphas)
    expected = [scheduler._sigma_to_t(sigma / 2**level, np.log(sigmas)) for sigma in sigmas]
    np.testing.assert_allclose(adjusted_time(from_scheduler(scheduler), np.arange(1000), level), expected, atol=1e-8)


@pytest.mark.parametrize("betas", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize(
    "kind",
    [DDIMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler, LCMScheduler],
)
def test_zero_terminal_snr_is_read_and_inverted(kind, betas):
    schedule = from_scheduler(kind(rescale_betas_zero_snr=True, beta_schedule=betas))
    assert schedule.log_snr(999) == -np.inf
    assert schedule.time(-np.inf) == 999
    assert schedule.time(schedule.log_snr(998.5)) == pytest.approx(998.5, abs=1e-9)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_sd3_shift_is_eq_16_backwards(level):
    # SD3 and Flux multiply sigma / (1 - sigma) by `level_log_snr`: 2^m times more of it is 4^m times less SNR
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    schedule, t = from_scheduler(scheduler), np.linspace(1, 0.001, 1000)
    shifted = from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0 * 2.0**level))
    np.testing.assert_allclose(level_log_snr(shifted.log_snr(t), level), schedule.log_snr(t), atol=1e-9)
    # and diffusers' own sigmas are our sigma = 1 / (1 + exp(z / 2)), to float32
    np.testing.assert_allclose(1 / (1 + np.exp(schedule.log_snr(t) / 2)), scheduler.sigmas.numpy()[:1000], atol=1e-6)


@pytest.mark.parametrize("level", [1, 2])
def test_cogvideox_snr_shift_scale_is_eq_16_backwards(level):
    plain = CogVideoXDDIMScheduler(snr_shift_scale=1.0, rescale_betas_zero_snr=False)
    shifted = CogVideoXDDIMScheduler(snr_shift_scale=4.0**level, rescale_betas_zero_snr=False)
    z, steps = from_scheduler(shifted), np.arange(1000)
    # float64 tables; near alpha = 1 log-SNR has lost four digits
    np.testing.assert_allclose(level_log_snr(z.log_snr(steps), level), from_scheduler(plain).log_snr(steps), atol=1e-8)


def test_edm_and_flow_matching_schedulers_become_their_schedules():
    assert from_scheduler(EDMEulerScheduler(sigma_min=0.01, sigma_max=50.0, rho=5.0)) == EDM(0.01, 50.0, 5.0)
    assert from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0)) == RectifiedFlow(3.0)
    moved = FlowMatchEulerDiscreteScheduler(shift=1.0)
    moved.set_shift(5.0)
    assert from_scheduler(moved) == RectifiedFlow(5.0)
    assert from_scheduler(DPMSolverMultistepScheduler(use_flow_sigmas=True, flow_shift=5.0)) == RectifiedFlow(5.0)


def test_edm_sigmas_are_diffusers_sigmas():
    scheduler = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, rho=7.0)
    scheduler.set_timesteps(40)
    t = np.linspace(1, 0, 40)
    sigmas = np.exp(-from_scheduler(scheduler).log_snr(t) / 2)
    np.testing.assert_allclose(sigmas, scheduler.sigmas.numpy()[:40], rtol=1e-5)  # float32


@pytest.mark.parametrize("schedule", [Cosine(), Sigmoid(), RectifiedFlow()])
def test_schedules_that_end_in_pure_noise_end_there_exactly(schedule):
    assert schedule.log_snr([0.0, 1.0]).tolist() == [np.inf, -np.inf]
    assert schedule.time([np.inf, -np.inf]) == pytest.approx([0.0, 1.0], abs=1e-12)


def test_steep_schedules_reach_their_end_without_overflow():
    assert Linear(0.1, 2000.0).log_snr(1.0) == pytest.approx(-(0.1 + 1999.9 / 2))
    assert ScaledLinear(1.0, 4000.0).log_snr(1.0) < -1000


def test_a_log_snr_beyond_the_schedule_reads_its_nearest_end():
    schedule = Discrete([0.9, 0.5, 0.1])
    assert schedule.time(100.0) == 0
    assert schedule.time(-100.0) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Discrete([0.9, 0.5, 0.6]), "alphas_cumprod must be strictly decreasing; got 0.5, 0.6 at steps 1, 2"),
        (lambda: Discrete([0.9, np.nan, 0.1]), "alphas_cumprod must be free of NaN"),
        (lambda: Discrete([0.9]), "alphas_cumprod must be a table of at least 2 steps"),
        (lambda: Discrete([[0.9, 0.1]]), "alphas_cumprod must be a table"),
        (lambda: Discrete([1.2, 0.1]), r"alphas_cumprod must be within \[0, 1\]"),
        (lambda: Linear(-0.1, 20), "beta_min must be a finite number > 0; got -0.1"),
        (lambda: ScaledLinear(0.85, np.inf), "beta_max must be a finite number > 0"),
        (lambda: Cosine(-0.1), "s must be a finite number >= 0; got -0.1"),
        (lambda: Sigmoid(3, -3), "end must be a finite number > 3; got -3"),
        (lambda: EDM(2.0, 1.0), "sigma_max must be a finite number > 2; got 1.0"),
        (lambda: RectifiedFlow(0.0), "shift must be a finite number > 0; got 0.0"),
        (lambda: Cosine().log_snr(1.5), r"t must be within the schedule's domain \[0, 1\]; got 1.5"),
        (lambda: Natural().alpha(-1.0), r"t must be within the schedule's domain \[0, inf\]"),
        (lambda: Cosine().log_snr(np.nan), "t must be free of NaN"),
        (lambda: Cosine().time(np.nan), "log_snr must be free of NaN"),
        (lambda: from_scheduler(object()), "scheduler must be a diffusers scheduler"),
        (
            lambda: from_scheduler(FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)),
            "scheduler must be passed with the number of tokens of its image",
        ),
        (
            lambda: from_scheduler(FlowMatchEulerDiscreteScheduler(invert_sigmas=True)),
            "scheduler must be one whose time runs from clean to noisy; got FlowMatchEulerDiscreteScheduler with",
        ),
        (
            lambda: from_scheduler(EDMEulerScheduler(sigma_schedule="exponential")),
            "scheduler must be one with 'karras'; got EDMEulerScheduler with sigma_schedule='exponential'",
        ),
    ],
)
def test_bad_input_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("tokens", [256, 1024, 4096])
def test_a_shift_that_depends_on_the_image_is_the_one_that_flux_itself_computes(tokens):
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15)
    schedule = from_scheduler(scheduler, tokens=tokens)
    given = np.linspace(1.0, 0.1, 10)
    scheduler.set_timesteps(sigmas=given.tolist(), mu=calculate_shift(tokens, 256, 4096, 0.5, 1.15))
    sigma = scheduler.sigmas[1:-1].double().numpy()  # without the two ends, where log-SNR is infinite
    np.testing.assert_allclose(schedule.log_snr(given[1:]), 2 * np.log((1 - sigma) / sigma), atol=1e-5)
