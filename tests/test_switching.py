"""A moment is the same however it is said, weights add up, and what is composed in time is what was asked for."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from tiny import tiny

from chroma import Cosine, Natural, models
from chroma.chromatography import resolved_fraction
from chroma.exact import GaussianPredictor
from chroma.predictors import Guided, PromptSchedule, composed, frequency_decoupled, from_pipeline
from chroma.sampling import ddim, sdedit
from chroma.schedulers.steps import step_log_snrs
from chroma.switching import (
    cosine_ramp,
    eq_25,
    guidance_interval,
    linear_ramp,
    partition,
    scaled,
    sigmoid_ramp,
    step_weight,
    steps_after,
    switch_log_snr,
)

Z = np.linspace(-9, 9, 37)


def test_the_four_ways_of_saying_a_moment_mean_the_same():
    schedule = Cosine()
    z = switch_log_snr(log_snr=-4.158883083359672)  # 8x8 is level 3 of 64x64, half done at -3 log 4
    assert switch_log_snr(resolution="8x8", size=64) == pytest.approx(z)
    t = float(schedule.time(z))
    assert switch_log_snr(schedule, time=t) == pytest.approx(z) == switch_log_snr(schedule, eta=t)
    assert switch_log_snr(resolution=8, size=64) == switch_log_snr(resolution="8×8", size=64)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_at_a_resolution_the_share_of_that_band_has_been_generated(share):
    power = np.array([0.02, 0.1, 0.5, 1.5])
    for level, side in enumerate((8, 4, 2, 1)):
        assert resolved_fraction(switch_log_snr(resolution=side, size=8, fraction=share, band_variance=power), power)[
            level
        ] == pytest.approx(share)


def test_eta_one_is_the_very_start_and_eta_zero_the_very_end():
    assert switch_log_snr(Cosine(), eta=1.0) == -np.inf and switch_log_snr(Cosine(), eta=0.0) == np.inf


@pytest.mark.parametrize(
    "rises",
    [
        [step_weight(-2.0), step_weight(1.0)],
        [linear_ramp(-3, 0), linear_ramp(0, 2)],
        [cosine_ramp(-3, 0), sigmoid_ramp(3.0)],
        [],
    ],
)
def test_weights_in_turn_add_up_to_one(rises):
    weights = partition(rises)
    assert len(weights) == len(rises) + 1
    np.testing.assert_allclose([sum(weight(z) for weight in weights) for z in Z], 1)


def test_ramps_rise_from_zero_to_one_where_they_should():
    for rise in (linear_ramp(-2, 2), cosine_ramp(-2, 2)):
        assert rise(-2) == 0 and rise(2) == 1 and rise(0) == pytest.approx(0.5)
        assert (np.diff([rise(z) for z in Z]) >= 0).all()
    assert sigmoid_ramp(1.0)(1.0) == 0.5 and sigmoid_ramp(0.0, 0.001)(-9) < 1e-300 and step_weight(0.0)(0.0) == 1


def test_eq_25_as_meant_starts_with_the_first_prompt_and_as_printed_with_the_second():
    schedule = Cosine()
    early, late = float(schedule.log_snr(0.9)), float(schedule.log_snr(0.5))
    first, second = eq_25(schedule, 0.8)
    assert [first(early), second(early), first(late), second(late)] == [1, 0, 0, 1]
    printed = eq_25(schedule, 0.8, as_printed=True)
    assert [weight(early) for weight in printed] == [0, 1]


@pytest.fixture(scope="module")
def pipe():
    return tiny("IFPipeline")


def sampled(predictor, pipe):
    x = torch.randn((2, *models.Pipeline(pipe).shape), generator=torch.Generator().manual_seed(0))
    *_, last = ddim(predictor, x, np.linspace(-6, 6, 9))
    return last.x0


@pytest.mark.parametrize("eta, prompt", [(0.0, "a"), (1.0, "b")])
def test_a_switch_at_either_end_is_the_single_prompt_bit_for_bit(pipe, eta, prompt):
    a, b, nothing = (from_pipeline(pipe, words) for words in ("a", "b", ""))
    schedule = models.Pipeline(pipe).schedule(models.Pipeline(pipe).shape)
    weights = [scaled(weight, 3.0) for weight in eq_25(schedule, eta)]
    alone = Guided(from_pipeline(pipe, prompt), nothing, 3.0)
    assert torch.equal(sampled(composed(nothing, [a, b], weights), pipe), sampled(alone, pipe))


def test_constant_weights_are_eq_6(pipe):
    a, b, nothing = (from_pipeline(pipe, words) for words in ("a", "b", ""))
    x = torch.randn((2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    said = composed(nothing, [a, b], [lambda z: 2.0, lambda z: -0.5])(x, 0.3)
    plain = nothing(x, 0.3) + 2.0 * (a(x, 0.3) - nothing(x, 0.3)) - 0.5 * (b(x, 0.3) - nothing(x, 0.3))
    torch.testing.assert_close(said, plain, atol=1e-5, rtol=1e-4)


def test_composing_n_prompts_is_one_forward(pipe):
    predictors, calls = [from_pipeline(pipe, words) for words in ("a", "b", "a b")], []
    hook = models.Pipeline(pipe).network.register_forward_pre_hook(lambda *_: calls.append(1))
    composed(from_pipeline(pipe), predictors, [1.0, lambda z: 0.5, 2.0])(torch.zeros(1, 3, 8, 8), 0.0)
    hook.remove()
    assert len(calls) == 1


def test_a_negative_prompt_that_changes_is_still_one_forward_and_changes_on_time(pipe):
    a, b, nothing = (from_pipeline(pipe, words) for words in ("a", "b", ""))
    negative, calls = PromptSchedule([a, nothing], [0.0]), []
    hook = models.Pipeline(pipe).network.register_forward_pre_hook(lambda *_: calls.append(1))
    x = torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    early, late = (Guided(b, negative, 2.0)(x, z) for z in (-0.1, 0.0))
    hook.remove()
    assert len(calls) == 2
    torch.testing.assert_close(early, Guided(b, a, 2.0)(x, -0.1))
    torch.testing.assert_close(late, Guided(b, nothing, 2.0)(x, 0.0))


def test_guidance_by_band_with_equal_scales_is_guidance_and_zero_leaves_a_band_alone(pipe):
    a, nothing = from_pipeline(pipe, "a"), from_pipeline(pipe)
    x = torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(frequency_decoupled(a, nothing, [2.0] * 4)(x, 0.0), Guided(a, nothing, 2.0)(x, 0.0))
    from chroma.pyramid import bands

    fine = frequency_decoupled(a, nothing, [0.0, 3.0, 3.0, 3.0])(x, 0.0)
    torch.testing.assert_close(bands(fine)[0], bands(nothing(x, 0.0))[0], atol=1e-5, rtol=1e-4)


def test_a_guidance_interval_is_guidance_inside_it_alone():
    scale = guidance_interval(-2.0, 1.0, 5.0)
    assert [scale(z) for z in (-2.1, -2.0, 0.9, 1.0)] == [1.0, 5.0, 5.0, 1.0]


@pytest.mark.parametrize("scheduler", [DDIMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler])
@pytest.mark.parametrize("steps", [10, 30])
def test_a_resolution_is_within_one_step_of_the_same_log_snr_in_any_scheduler(scheduler, steps):
    made = scheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1)
    made.set_timesteps(steps)
    z, switch = step_log_snrs(made), switch_log_snr(resolution="16x16", size=64)
    first = int(np.argmax(z >= switch))
    assert z[first - 1] < switch <= z[first]


def test_sdedit_keeps_what_is_coarser_than_where_it_starts():
    power = 4.0 ** np.arange(6) * 0.1
    model = GaussianPredictor(torch.zeros((3, 32, 32), dtype=torch.float64), power)
    image = model.sample(32, torch.Generator().manual_seed(0))
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = steps_after(np.linspace(-10, 8, 91), switch_log_snr(resolution="8x8", size=32, band_variance=power))
    *_, last = sdedit(model, image, noise, z)
    from chroma.pyramid import band_energy

    changed = band_energy(last.x0 - image).mean(0) / band_energy(image).mean(0)
    assert changed[0] > 1 and changed[4] < 0.4 and (np.diff(changed.numpy()[:5]) < 0).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: switch_log_snr(),
            "the switch must be given in one way: eta, time, log_snr or resolution; got nothing",
        ),
        (lambda: switch_log_snr(Cosine(), eta=0.5, time=0.5), "the switch must be given in one way.*got eta, time"),
        (lambda: switch_log_snr(Cosine(), eta=1.2), "eta must be from 0 .* to 1 .*; got 1.2"),
        (lambda: switch_log_snr(eta=0.5), "eta= also needs schedule="),
        (lambda: switch_log_snr(Natural(), eta=0.5), "schedule must be one that ends"),
        (lambda: switch_log_snr(resolution="9x9", size=64), "resolution must be one of 64x64, 32x32, .*; got 9x9"),
        (lambda: switch_log_snr(resolution="8x4", size=64), "resolution must be one of 64x64"),
        (lambda: switch_log_snr(resolution="8x8"), "size must be given"),
        (lambda: switch_log_snr(resolution="8x8", size=64, fraction=1.0), "fraction must be between 0 and 1"),
        (
            lambda: switch_log_snr(resolution="8x8", size=64, band_variance=[1.0]),
            "band_variance must be the variance of each band",
        ),
        (lambda: linear_ramp(1.0, 1.0), "stop must be a finite number > 1"),
        (lambda: guidance_interval(1.0, 0.0, 2.0), "stop must be greater than start"),
        (lambda: steps_after([-1.0, 0.0], 1.0), "start must be at most the last log-SNR, 0"),
        (lambda: PromptSchedule([1, 2], []), "switch_log_snrs must be increasing, one less than the 2 predictors"),
        (
            lambda: frequency_decoupled(lambda x, z: x, lambda x, z: x, [1.0])(torch.zeros(1, 1, 4, 4), 0.0),
            "scales must be",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
