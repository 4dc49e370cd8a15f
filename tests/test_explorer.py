"""The explorer computes the same numbers as Python, and its scripts, sliders and arguments are valid."""

from __future__ import annotations

import base64
import io
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chroma
from chroma.explorer import (
    FACTORS,
    LABELS,
    NATURAL_T_MAX,
    RANGES,
    STEP_COUNTS,
    ScheduleView,
    count_levels,
    default_parameters,
    explorer,
    parameter_trait,
)
from chroma.explorer._linking import link_modules

FOLDER = Path(chroma.explorer.__file__).parent
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.js")}
OF_LIVE = {"live.js", "live_parts.js", "sampler.js", "worker.js"}  # of the other view, tests/test_live.py
MODULES = {name: text for name, text in SCRIPTS.items() if name not in OF_LIVE}

# Rounding differs between C's and the browser's exp, log and sin by some 1e-16, a few operations deep.
SAME = {"rtol": 1e-9, "atol": 1e-9}


def random_image(side=64):
    return np.random.default_rng(0).uniform(-1, 1, (3, side, side))


def view_of(widget) -> ScheduleView:
    return next(child for child in widget.children if isinstance(child, ScheduleView))


def corners(kind):
    """The default, and every corner of the ranges of a schedule's sliders."""
    names = list(default_parameters(kind))
    ranges = [RANGES[kind, name] for name in names]
    for values in itertools.product(*[(offered.minimum, offered.maximum) for offered in ranges]):
        yield kind(**dict(zip(names, values, strict=True)))
    yield kind()


def parameters_of(schedule):
    return {name: getattr(schedule, name) for name in default_parameters(type(schedule))}


def t_max_of(schedule):
    return min(schedule.domain[1], NATURAL_T_MAX)


# What Python passes to the page


def test_the_page_starts_from_the_defaults_of_the_dataclasses():
    view = view_of(explorer(random_image()))
    assert list(view.schedules) == view.options["schedule"] == [kind.__name__ for kind in LABELS]
    for kind in LABELS:
        assert view.schedules[kind.__name__]["parameters"] == default_parameters(kind)
        for name, default in default_parameters(kind).items():
            assert getattr(view, parameter_trait(kind, name)) == default == getattr(kind(), name)


def test_every_option_of_a_control_names_something_that_the_page_has():
    view = view_of(explorer(random_image()))
    assert view.options["compare"] == [None, *view.schedules]
    assert view.options["scheduler"] == [None, *view.schedulers]
    for scheduler in view.schedulers.values():
        lengths = {count: len(log_snrs) for count, log_snrs in scheduler["log_snrs"].items()}
        assert lengths == {str(count): count for count in STEP_COUNTS}


def test_every_parameter_has_a_slider_whose_steps_meet_its_default():
    assert set(RANGES) == {(kind, name) for kind in LABELS for name in default_parameters(kind)}
    for (kind, name), offered in RANGES.items():
        default = getattr(kind(), name)
        steps = (default - offered.minimum) / offered.step
        assert offered.minimum <= default <= offered.maximum
        assert steps == pytest.approx(round(steps), abs=1e-6)
        assert round(default, offered.decimals) == default  # else the number beside the slider would hide some of it


@pytest.mark.parametrize("kind", LABELS, ids=lambda kind: kind.__name__)
def test_no_setting_of_the_sliders_makes_an_impossible_schedule(kind):
    for schedule in corners(kind):
        times = np.linspace(0, t_max_of(schedule), 201)
        assert (np.diff(schedule.log_snr(times)) < 0).all()


def test_the_photograph_travels_inside_the_page_in_less_than_60_kilobytes():
    url = view_of(explorer()).photograph
    assert len(url) < 60_000
    kind, data = url.split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (256, 256)


def test_a_small_image_is_offered_at_its_own_size_and_below():
    view = view_of(explorer(random_image(64), size=32, levels=3))
    assert view.options["size"] == [32, 64]
    assert (view.options["size"][view.size_index], view.levels, view.levels_max) == (32, 3, 6)


def test_count_levels_counts_how_often_the_factor_divides_the_size():
    assert [count_levels(size, 2) for size in (32, 64, 256)] == [6, 7, 9]
    assert [count_levels(size, 4) for size in (32, 64, 256)] == [3, 4, 5]


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
        explorer(**{"image": random_image(), **arguments})


# The scripts, linked and as modules


def exported(source):
    """The names that a module exports, and what it imports from which other module."""
    exports = re.findall(r"^export (?:async )?(?:function\*?|class|const) (\w+)", source, re.MULTILINE)
    imports = re.findall(r'^import \{([^}]*)\} from "\./(.*)";$', source, re.MULTILINE)
    return exports, {module: re.findall(r"\w+", names) for names, module in imports}


def test_every_import_of_the_modules_names_an_export():
    for source in SCRIPTS.values():
        _, imports = exported(source)
        assert source.count("\nimport ") == len(imports)  # each is of the form that the pattern above reads
        for module, names in imports.items():
            assert set(names) <= set(exported(SCRIPTS[module])[0])


def test_link_modules_keeps_every_other_line_of_every_module_once():
    linked = link_modules(MODULES, "widget.js")
    assert not re.search(r"^import", linked, re.MULTILINE)
    assert re.findall(r"^export.*", linked, re.MULTILINE) == ["export default { initialize, render };"]
    for source in MODULES.values():
        body = re.sub(r'^import \{[^}]*\} from ".*";\n', "", source, flags=re.MULTILINE)
        assert linked.count(re.sub(r"^export (?!default)", "", body, flags=re.MULTILINE)) == 1
    assert linked == ScheduleView._esm


@pytest.mark.parametrize(
    ("entry", "dependency", "message"),
    [
        ('import { x } from "./c.js";\n', "", "a.js imports c.js, which does not exist"),
        ('import { x, y } from "./b.js";\n', "export const x = 1;\n", "a.js imports y, which b.js does not export"),
        ('import { x as y } from "./b.js";\n', "export const x = 1;\n", "a.js imports x as y, which b.js does not"),
        ('import { x } from "./b.js";\nconst y = 1;\n', "const y = 2;\nexport const x = 1;\n", "both declare y"),
        (
            'import { x } from "./b.js";\n',
            'import { z } from "./a.js";\nexport const x = 1;\n',
            "z, which a.js does not",
        ),
        (
            'import { x } from "./b.js";\nexport const z = 1;\n',
            'import { z } from "./a.js";\nexport const x = 1;\n',
            "b.js imports a.js in a circle",
        ),
        ('import { x } from "./b.js";\n', "export const x = 1;\nexport default x;\n", "b.js cannot be linked"),
        ('import * as b from "./b.js";\n', "", "a.js cannot be linked"),
        ("const { x } = globalThis;\n", "", "a.js cannot be linked"),
    ],
)
def test_link_modules_refuses_what_it_would_break(entry, dependency, message):
    with pytest.raises(ValueError, match=message):
        link_modules({"a.js": entry, "b.js": dependency}, "a.js")


@pytest.fixture(scope="module")
def page(browser):
    """A page with the exports of the explorer's modules, as the browser imports them, in `m`."""
    page = browser.new_page()

    def answer(route):
        name = route.request.url.rpartition("/")[2]
        route.fulfill(body=MODULES.get(name, ""), content_type="text/javascript" if name else "text/html")

    page.route("http://explorer.test/*", answer)
    page.goto("http://explorer.test/")
    page.evaluate(
        """async (names) => {
            window.m = Object.assign({}, ...(await Promise.all(names.map((name) => import(`/${name}`)))));
        }""",
        sorted(MODULES),
    )
    yield page
    page.close()


@pytest.fixture(scope="module")
def script(page):
    """Evaluate JavaScript on the explorer's modules: `script("expression of m and arg", arg)`."""
    return lambda expression, argument=None: page.evaluate(f"(arg) => {expression}", argument)


def test_the_linked_module_defines_what_the_modules_define(page):
    names = sorted({name for source in MODULES.values() for name in exported(source)[0]})
    imported = page.evaluate("(names) => names.map((name) => String(m[name]))", names)
    linked = page.evaluate(
        """async ([text, names]) => {
            const withExports = `${text}\\nexport { ${names.join(", ")} };`;
            const url = URL.createObjectURL(new Blob([withExports], { type: "text/javascript" }));
            const linked = await import(url);
            return [names.map((name) => String(linked[name])), Object.keys(linked.default)];
        }""",
        [ScheduleView._esm, names],
    )
    assert linked == [imported, ["initialize", "render"]]
    assert "undefined" not in imported


# The numbers in the browser


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("kind", LABELS, ids=lambda kind: kind.__name__)
def test_every_number_in_the_browser_is_pythons(script, kind, factor):
    for schedule in corners(kind):
        times = np.linspace(0, t_max_of(schedule), 41)
        arguments = [kind.__name__, parameters_of(schedule), times.tolist(), factor]
        numbers = script(
            "(([kind, parameters, times, factor]) => {"
            "  const schedule = m.createSchedule(kind, parameters);"
            "  return times.map((t) => m.valuesAt(schedule, t, 9, factor));"
            "})(arg)",
            arguments,
        )
        levels = np.arange(9)[:, None]
        z = schedule.log_snr(times)
        expected = {
            "log_snr": z,
            "level_log_snr": chroma.level_log_snr(z, levels, factor).T,
            "tau": chroma.adjusted_time(schedule, times, levels, factor).T,
            "r": chroma.chromatogram(z, 9, factor=factor).T,
            "lambda": chroma.intensity(z, levels, factor).T,
        }
        for name, value in expected.items():
            np.testing.assert_allclose([n[name] for n in numbers], value, **SAME, err_msg=f"{name} of {schedule}")


@pytest.mark.parametrize("factor", FACTORS)
def test_the_chromatogram_is_pythons_far_beyond_what_any_schedule_reaches(script, factor):
    z = [-np.inf, -1e4, -60.0, 0.0, 60.0, 1e4, np.inf]
    shares = script("arg[0].map((z) => m.chromatogram(z, 7, arg[1]))", [z, factor])
    np.testing.assert_allclose(np.transpose(shares), chroma.chromatogram(z, 7, factor=factor), **SAME)


@pytest.mark.parametrize("kind", LABELS, ids=lambda kind: kind.__name__)
def test_the_curves_run_from_noise_to_image_and_are_pythons(script, kind):
    schedule = kind()
    t_max = t_max_of(schedule)
    call = "m.sampleShares(m.createSchedule(arg[0], arg[1]), arg[2], arg[3], 7, 2, 60)"
    on_time = script(call, [kind.__name__, parameters_of(schedule), t_max, "time"])
    times = t_max * (1 - np.arange(61) / 60)
    np.testing.assert_allclose(on_time, chroma.chromatogram(schedule.log_snr(times), 7).T, **SAME)

    on_log_snr = script(call, [kind.__name__, parameters_of(schedule), t_max, "log-SNR"])
    ends = "m.logSnrAxis(m.createSchedule(arg[0], arg[1]), 7, 2).ends"
    low, high = script(ends, [kind.__name__, parameters_of(schedule)])
    z = low + np.arange(61) / 60 * (high - low)
    reached = (z >= schedule.log_snr(t_max)) & (z <= schedule.log_snr(0))
    assert [r is not None for r in on_log_snr] == reached.tolist()
    np.testing.assert_allclose([r for r in on_log_snr if r], chroma.chromatogram(z[reached], 7).T, **SAME)


def test_all_schedules_coincide_on_the_log_snr_axis_and_no_two_on_the_time_axis(script):
    kinds = [[kind.__name__, parameters_of(kind()), t_max_of(kind())] for kind in LABELS]
    compare = (
        "(([kinds, axis]) => {"
        "  const all = kinds.map(([k, p, tMax]) => m.sampleShares(m.createSchedule(k, p), tMax, axis, 7, 2, 180));"
        "  return all.map((first) => all.map((second) => m.largestDifference(first, second)));"
        "})(arg)"
    )
    assert np.max(script(compare, [kinds, "log-SNR"])) < 1e-9  # Theorem 1
    differences = np.array(script(compare, [kinds, "time"]))
    assert differences[~np.eye(len(kinds), dtype=bool)].min() > 0.05


def test_the_pictures_are_the_averaged_noisy_image_times_lambda(script):
    side, factor, levels, log_snr = 32, 2, 4, -1.3
    clean = np.random.default_rng(1).uniform(-1, 1, (side, side, 3))
    steps = script(
        "m.pyramid(Float32Array.from(arg), 32, 2, 4).map(({clean, noise}) => [Array.from(clean), Array.from(noise)])",
        clean.ravel().tolist(),
    )
    alpha, noise = 1 / (1 + np.exp(-log_snr)), np.reshape(steps[0][1], (side, side, 3))
    x = np.sqrt(alpha) * clean + np.sqrt(1 - alpha) * noise
    for level in range(levels):
        n = side // factor**level
        averaged = x.reshape(n, side // n, n, side // n, 3).mean((1, 3))
        alpha_tau = 1 / (1 + np.exp(-chroma.level_log_snr(log_snr, level, factor)))
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
