"""Sampling is a generator of states, step for step the one in diffusers."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from chroma import from_scheduler
from chroma.exact import EmpiricalPredictor, GaussianPredictor
from chroma.predictors import Guided, composed
from chroma.process import add_noise, predict_x0, scales
from chroma.sampling import ddim, ddpm, invert

TABLE = {"beta_schedule": "squaredcos_cap_v2", "clip_sample": False}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def predictor():
    images = torch.rand((12, 3, 8, 8), generator=generator(), dtype=torch.float64) * 2 - 1
    return EmpiricalPredictor(images)


@pytest.fixture(scope="module")
def noise():
    return torch.randn((4, 3, 8, 8), generator=generator(1), dtype=torch.float64)


def double(scheduler, steps):
    """The scheduler with a double-precision table, so that rounding does not hide a difference."""
    scheduler.alphas_cumprod = torch.from_numpy(from_scheduler(scheduler).alphas_cumprod.copy())
    scheduler.set_timesteps(steps)
    return scheduler


def test_ddim_is_diffusers_ddim_step_by_step(predictor, noise):
    scheduler = double(DDIMScheduler(**TABLE), 25)
    schedule = from_scheduler(scheduler)
    x = noise
    for t, state in zip(
        scheduler.timesteps, ddim(predictor, noise, schedule.log_snr(scheduler.timesteps)), strict=True
    ):
        torch.testing.assert_close(state.x, x, atol=1e-9, rtol=0)
        output = scheduler.step(predictor(x, state.log_snr), t, x)
        torch.testing.assert_close(state.x0, output.pred_original_sample, atol=1e-9, rtol=0)
        x = output.prev_sample


def test_ddpm_has_the_mean_and_variance_of_diffusers_ddpm(predictor, noise):
    scheduler = double(DDPMScheduler(**TABLE), 20)
    schedule = from_scheduler(scheduler)
    t, after = (int(step) for step in scheduler.timesteps[7:9])
    log_snrs = schedule.log_snr([t, after])
    many = noise[:1].expand(20_000, -1, -1, -1)
    *_, last = ddpm(lambda x, z: predictor(noise[:1], z).expand_as(x), many, log_snrs, generator(2))
    scheduler.timesteps = torch.tensor([t, after])
    torch.manual_seed(3)
    theirs = scheduler.step(predictor(noise[:1], float(log_snrs[0])).expand_as(many), t, many).prev_sample
    # both are 20,000 draws: five standard errors of the difference of the means, and of the standard deviations
    spread = theirs.std(0)
    assert ((last.x.mean(0) - theirs.mean(0)).abs() < 5 * spread * (2 / 20_000) ** 0.5).all()
    assert ((last.x.std(0) / spread - 1).abs() < 5 * (1 / 20_000) ** 0.5).all()


def test_inversion_and_sampling_undo_each_other():
    gaussian = GaussianPredictor(torch.zeros((3, 8, 8), dtype=torch.float64), [0.05, 0.2, 0.8, 3.2])
    image = gaussian.sample(4, generator())
    errors = []
    for steps in (100, 200, 400):
        log_snrs = np.linspace(-12, 12, steps)
        *_, noisy_images = invert(gaussian, image, log_snrs)
        *_, clean = ddim(gaussian, noisy_images.x, log_snrs)
        errors.append(float((clean.x - image).abs().max()))
    assert errors[-1] < 0.03  # of images with a standard deviation of about 0.6
    # first-order steps: halving them halves the error, to within a quarter
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2, rtol=0.25)


def test_sampling_is_lazy_and_gives_one_state_an_entry(predictor, noise):
    calls = []

    def counting(x, log_snr):
        calls.append(log_snr)
        return predictor(x, log_snr)

    states = ddim(counting, noise, [-4.0, 0.0, 4.0])
    assert calls == []
    assert next(states).log_snr == -4.0
    assert calls == [-4.0]
    assert [state.log_snr for state in states] == [0.0, 4.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_state_keeps_the_dtype_of_the_noise(dtype, noise):
    gaussian = GaussianPredictor(torch.zeros(3, 8, 8), [0.05, 0.2, 0.8, 3.2])
    *_, last = ddim(gaussian, noise.to(dtype), [-4.0, 0.0, 4.0])
    assert last.x0.dtype == last.x.dtype == last.eps_hat.dtype == dtype


@given(st.floats(-700, 700))
def test_amplitudes_are_the_square_roots_of_alpha_and_its_complement(z):
    signal, sigma = scales(z)
    assert signal**2 + sigma**2 == pytest.approx(1, abs=1e-12)
    assert 2 * (np.log(signal) - np.log(sigma)) == pytest.approx(z, abs=1e-9)


def test_denoising_the_true_noise_gives_the_image_back(noise):
    x0 = torch.rand((4, 3, 8, 8), generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(predict_x0(add_noise(x0, noise, -3.0), noise, -3.0), x0)


def test_guidance_extrapolates_and_composition_adds_up(predictor, noise):
    left, right = predictor.given(range(6)), predictor.given(range(6, 12))
    base, a, b = (p(noise, -2.0) for p in (predictor, left, right))
    torch.testing.assert_close(Guided(left, predictor, 3.0)(noise, -2.0), base + 3 * (a - base))  # Eq 5
    both = composed(predictor, [left, right], [2.0, lambda log_snr: log_snr])
    torch.testing.assert_close(both(noise, -2.0), base + 2 * (a - base) - 2 * (b - base))  # Eq 6
    torch.testing.assert_close(Guided(left, predictor, 1.0)(noise, -2.0), a)


def test_a_condition_of_weight_zero_is_not_evaluated(predictor, noise):
    def never(x, log_snr):
        raise AssertionError("evaluated")

    torch.testing.assert_close(composed(predictor, [never], [lambda z: 0.0])(noise, 0.0), predictor(noise, 0.0))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p, x: ddim(p, x, [0.0, -1.0]), "log_snrs must be strictly increasing"),
        (lambda p, x: ddim(p, x, [-np.inf, 0.0]), r"log_snrs must be strictly increasing, .*start above -inf"),
        (lambda p, x: ddpm(p, x, [np.nan, 0.0]), "log_snrs must be free of NaN"),
        (lambda p, x: invert(p, x, []), "log_snrs must be strictly increasing"),
        (lambda p, x: ddim(p, x[0], [0.0]), r"x_T must be a floating-point tensor of shape \(B, C, H, W\)"),
        (lambda p, x: invert(p, x.long(), [0.0]), "image must be a floating-point tensor"),
        (lambda p, x: ddim(p, x * np.nan, [0.0]), "x_T must be finite"),
        (
            lambda p, x: composed(p, [p], [1.0, 2.0]),
            "weights must be one for each of the 1 conditions; got 2 weights",
        ),
        (lambda p, x: Guided(p, p, np.nan), "scale must be a finite number"),
    ],
)
def test_bad_input_is_refused_by_name_at_once(make, words, predictor, noise):
    with pytest.raises(ValueError, match=words):
        make(predictor, noise)
