"""The explorer's mathematics is Python's, and what it is built from is checked before it reaches a page."""

from __future__ import annotations

import base64
import io
import itertools
from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

import chroma
from chroma.explorer import KERNELS, LABELS, NATURAL_LAST, RANGES, ScheduleView, explorer, levels_of

# Rounding differs between C's and the browser's exp, log and sin by some 1e-16, a few operations deep.
SAME = {"rtol": 1e-9, "atol": 1e-9}


def picture(side=64):
    return np.random.default_rng(0).uniform(-1, 1, (3, side, side))


def view_of(widget) -> ScheduleView:
    return next(child for child in widget.children if isinstance(child, ScheduleView))


def corners(kind):
    """The default, and every corner of what the sliders of a schedule offer."""
    ranges = [RANGES[kind, parameter.name] for parameter in fields(kind)]
    for values in itertools.product(*[(offer.least, offer.most) for offer in ranges]):
        yield kind(**dict(zip([parameter.name for parameter in fields(kind)], values, strict=True)))
    yield kind()


def parameters_of(schedule):
    return {parameter.name: getattr(schedule, parameter.name) for parameter in fields(schedule)}


def last_of(schedule):
    return min(schedule.domain[1], NATURAL_LAST)


# What Python hands to the page


def test_the_page_starts_from_the_defaults_of_the_dataclasses():
    view = view_of(explorer(picture()))
    for kind, described in zip(LABELS, view.kinds, strict=True):
        assert described["name"] == kind.__name__
        assert described["parameters"] == parameters_of(kind())
        for name, default in parameters_of(kind()).items():
            assert getattr(view, f"{kind.__name__}_{name}") == default


def test_every_parameter_has_a_slider_whose_steps_meet_its_default():
    assert set(RANGES) == {(kind, parameter.name) for kind in LABELS for parameter in fields(kind)}
    for (kind, name), offer in RANGES.items():
        default = getattr(kind(), name)
        steps = (default - offer.least) / offer.step
        assert offer.least <= default <= offer.most
        assert steps == pytest.approx(round(steps), abs=1e-6)
        assert round(default, offer.digits) == default  # else the number beside the slider would hide some of it


@pytest.mark.parametrize("kind", LABELS, ids=lambda kind: kind.__name__)
def test_no_setting_of_the_sliders_makes_an_impossible_schedule(kind):
    for schedule in corners(kind):
        times = np.linspace(0, last_of(schedule), 201)
        assert (np.diff(schedule.log_snr(times)) < 0).all()


def test_the_photograph_travels_inside_the_page_in_less_than_60_kilobytes():
    url = view_of(explorer()).photograph
    assert len(url) < 60_000
    kind, data = url.split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (256, 256)


def test_a_small_image_is_offered_at_its_own_size_and_below():
    view = view_of(explorer(picture(64), size=32, levels=3))
    assert view.sizes == [32, 64]
    assert (view.sizes[view.size], view.levels, view.levels_max) == (32, 3, 6)


def test_an_image_has_as_many_levels_as_the_kernel_divides_it():
    assert [levels_of(size, 2) for size in (32, 64, 256)] == [6, 7, 9]
    assert [levels_of(size, 4) for size in (32, 64, 256)] == [3, 4, 5]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"image": np.zeros((64, 64))}, "image"),
        ({"image": np.zeros((3, 64, 32))}, "image"),
        ({"image": np.zeros((64, 64, 3))}, "image"),
        ({"image": np.zeros((3, 48, 48))}, "image"),
        ({"image": np.full((3, 64, 64), 255)}, "image"),
        ({"image": np.full((3, 64, 64), np.nan)}, "image"),
        ({"size": 48}, "size"),
        ({"size": 256}, "size"),
        ({"levels": 0}, "levels"),
        ({"levels": 8}, "levels"),
        ({"levels": 2.5}, "levels"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(arguments, named):
    with pytest.raises(ValueError, match=f"^{named} must be "):
        explorer(**{"image": picture(), **arguments})


# What the browser makes of it


@pytest.fixture(scope="module")
def script(browser):
    """The explorer's own module in a blank page, as `script("expression of m and arg", arg)`."""
    page = browser.new_page()
    page.evaluate(
        """async (text) => {
            window.m = await import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
        }""",
        ScheduleView._esm,
    )
    yield lambda expression, argument=None: page.evaluate(f"(arg) => {expression}", argument)
    page.close()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", LABELS, ids=lambda kind: kind.__name__)
def test_every_number_in_the_browser_is_pythons(script, kind, kernel):
    for schedule in corners(kind):
        times = np.linspace(0, last_of(schedule), 41)
        arguments = [kind.__name__, parameters_of(schedule), times.tolist(), kernel]
        numbers = script(
            "(([kind, parameters, times, kernel]) => {"
            "  const clock = m.schedule(kind, parameters);"
            "  return times.map((t) => m.readings(clock, t, 9, kernel));"
            "})(arg)",
            arguments,
        )
        levels = np.arange(9)[:, None]
        z = schedule.log_snr(times)
        expected = {
            "log_snr": z,
            "level_log_snr": chroma.shift(z, levels, kernel).T,
            "tau": chroma.adjusted_time(schedule, times, levels, kernel).T,
            "r": chroma.chromatography(z, 9, kernel=kernel).T,
            "lambda": chroma.intensity(z, levels, kernel).T,
        }
        for name, value in expected.items():
            np.testing.assert_allclose([n[name] for n in numbers], value, **SAME, err_msg=f"{name} of {schedule}")


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_chromatogram_is_pythons_far_beyond_what_any_schedule_reaches(script, kernel):
    z = [-np.inf, -1e4, -60.0, 0.0, 60.0, 1e4, np.inf]
    found = script("arg[0].map((z) => m.chromatogram(z, 7, arg[1]))", [z, kernel])
    np.testing.assert_allclose(np.transpose(found), chroma.chromatography(z, 7, kernel=kernel), **SAME)


@pytest.mark.parametrize("kind", LABELS, ids=lambda kind: kind.__name__)
def test_the_curves_run_from_noise_to_image_and_are_pythons(script, kind):
    schedule = kind()
    last = last_of(schedule)
    call = "m.curves(m.schedule(arg[0], arg[1]), arg[2], arg[3], 7, 2, 60)"
    on_time = script(call, [kind.__name__, parameters_of(schedule), last, False])
    times = last * (1 - np.arange(61) / 60)
    np.testing.assert_allclose(on_time, chroma.chromatography(schedule.log_snr(times), 7).T, **SAME)

    on_log_snr = script(call, [kind.__name__, parameters_of(schedule), last, True])
    low, high = script("m.logSnrAxis(m.schedule(arg[0], arg[1]), 7, 2).ends", [kind.__name__, parameters_of(schedule)])
    z = low + np.arange(61) / 60 * (high - low)
    reached = (z >= schedule.log_snr(last)) & (z <= schedule.log_snr(0))
    assert [r is not None for r in on_log_snr] == reached.tolist()
    np.testing.assert_allclose([r for r in on_log_snr if r], chroma.chromatography(z[reached], 7).T, **SAME)


def test_all_schedules_coincide_on_the_log_snr_axis_and_no_two_on_the_time_axis(script):
    kinds = [[kind.__name__, parameters_of(kind()), last_of(kind())] for kind in LABELS]
    compare = (
        "(([kinds, onLogSnr]) => {"
        "  const all = kinds.map(([k, p, last]) => m.curves(m.schedule(k, p), last, onLogSnr, 7, 2, 180));"
        "  return all.map((some) => all.map((others) => m.largestDifference(some, others)));"
        "})(arg)"
    )
    assert np.max(script(compare, [kinds, True])) < 1e-9  # Theorem 1
    apart = np.array(script(compare, [kinds, False]))
    assert apart[~np.eye(len(kinds), dtype=bool)].min() > 0.05


def test_the_pictures_are_the_averaged_noisy_image_times_lambda(script):
    side, kernel, levels, log_snr = 32, 2, 4, -1.3
    clean = np.random.default_rng(1).uniform(-1, 1, (side, side, 3))
    steps = script(
        "m.pyramid(Float32Array.from(arg), 32, 2, 4).map(({clean, noise}) => [Array.from(clean), Array.from(noise)])",
        clean.ravel().tolist(),
    )
    alpha, noise = 1 / (1 + np.exp(-log_snr)), np.reshape(steps[0][1], (side, side, 3))
    x = np.sqrt(alpha) * clean + np.sqrt(1 - alpha) * noise
    for level in range(levels):
        n = side // kernel**level
        averaged = x.reshape(n, side // n, n, side // n, 3).mean((1, 3))
        alpha_tau = 1 / (1 + np.exp(-chroma.shift(log_snr, level, kernel)))
        shown = np.sqrt(alpha_tau) * np.array(steps[level][0]) + np.sqrt(1 - alpha_tau) * np.array(steps[level][1])
        # the browser keeps pictures in float32
        np.testing.assert_allclose(shown, chroma.intensity(log_snr, level) * averaged.ravel(), atol=1e-5)


def test_the_noise_is_white_gaussian_and_the_same_on_every_visit(script):
    noise = np.array(script("Array.from(m.gaussian(40000))"))
    assert noise.tolist() == script("Array.from(m.gaussian(40000))")
    error = 1 / np.sqrt(noise.size)  # bounds below are five standard errors
    assert abs(noise.mean()) < 5 * error
    assert abs(noise.var() - 1) < 5 * np.sqrt(2) * error
    assert abs((noise**4).mean() - 3) < 5 * np.sqrt(96) * error
    assert abs((noise[1:] * noise[:-1]).mean()) < 5 * error
