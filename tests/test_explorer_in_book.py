"""The explorer in the built page responds to keyboard, mouse and touch, and always shows the same numbers as Python."""

from __future__ import annotations

import json

import numpy as np
import pytest
from playwright.sync_api import expect

import chroma
from chroma.explorer import LABELS, default_parameters
from chroma.schedulers.published import PUBLISHED
from chroma.schedulers.steps import plan

TIME = "time, from noise to image"
SAME = {"rtol": 1e-9, "atol": 1e-9}  # of the order of 1e-15 in fact


class Explorer:
    """What a reader does with the page, and what the page shows afterwards."""

    def __init__(self, page):
        self.page = page
        self.view = page.locator(".chroma-view")

    def settle(self):
        """Wait until the view is up to date: one frame to redraw it, one frame to be sure."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def state(self) -> dict:
        self.settle()
        return json.loads(self.view.get_attribute("data-state"))

    def curves(self) -> dict:
        self.settle()
        return json.loads(self.view.get_attribute("data-curves"))

    def press(self, slider, key, times=1):
        self.page.get_by_role("slider", name=slider, exact=True).focus()
        for _ in range(times):
            self.page.keyboard.press(key)
        self.settle()

    def choose(self, label, option):
        self.page.get_by_label(label, exact=True).select_option(label=option)
        self.settle()

    def point(self, position):
        """The point of the page at `position` (0 .. 1) on the axis of the chart, halfway up the curves."""
        box = self.page.locator(".chroma-view .heatmap").bounding_box()
        return box["x"] + position * box["width"], box["y"] - 80


def check(state):
    """Compare the numbers shown with those of chroma.schedules and chroma.chromatography."""
    schedule = getattr(chroma, state["schedule"])(**state["parameters"])
    t, factor, levels = state["t"], state["factor"], np.arange(state["levels"])
    z = schedule.log_snr(t)
    expected = {
        "log_snr": z,
        "level_log_snr": chroma.level_log_snr(z, levels, factor),
        "tau": chroma.adjusted_time(schedule, t, levels, factor),
        "r": chroma.chromatogram(z, len(levels), factor=factor),
        "lambda": chroma.intensity(z, levels, factor),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(np.array(state[name], dtype=float), value, **SAME, err_msg=name)
    return state


@pytest.fixture
def open_page(site, browser):
    """Open the explorer's page in a fresh context: `open_page(width=.., has_touch=..)`."""
    contexts = []

    def open_(width=1280, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.goto(f"{site}/book/explorer.html")
        page.wait_for_selector(".chroma-view[data-state]", state="attached")
        page.locator(".chroma-explorer").scroll_into_view_if_needed()
        return Explorer(page)

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def explorer(open_page):
    return open_page()


def test_the_page_opens_on_pythons_numbers_and_default_parameters(explorer):
    state = check(explorer.state())
    assert (state["schedule"], state["size"], state["factor"], state["levels"]) == ("Cosine", 64, 2, 7)
    assert state["parameters"] == pytest.approx({"s": chroma.Cosine().s})
    assert explorer.page.locator(".chroma-view .tile canvas").count() == 7


def test_arrow_keys_move_time_towards_the_image_and_back(explorer, record_testsuite_property):
    before = explorer.state()["t"]
    redraws = []
    for _ in range(20):
        explorer.press(TIME, "ArrowRight")
        redraws.append(float(explorer.view.get_attribute("data-redraw")))
    assert check(explorer.state())["t"] == pytest.approx(before - 0.1)
    # a frame at 60 Hz, for the typical step even on a busy machine
    assert np.median(redraws) < 16
    explorer.press(TIME, "ArrowLeft", 20)
    assert check(explorer.state())["t"] == pytest.approx(before)
    record_testsuite_property("redraw_milliseconds_median", float(np.median(redraws)))
    record_testsuite_property("redraw_milliseconds_largest", max(redraws))


def test_the_ends_of_time_are_pure_noise_and_the_image(explorer):
    explorer.press(TIME, "Home")
    state = check(explorer.state())
    assert state["t"] == 1
    assert float(state["log_snr"]) == -np.inf
    explorer.press(TIME, "End")
    state = check(explorer.state())
    assert state["t"] == 0
    assert state["tau"] == [0] * 7


def test_a_time_can_be_typed_and_is_kept_within_the_schedule(explorer):
    box = explorer.page.get_by_label("time t", exact=True)
    for typed, kept in (("0.25", 0.25), ("7", 1)):
        box.fill(typed)
        box.press("Enter")
        assert check(explorer.state())["t"] == kept


def test_a_mouse_drags_time_on_the_slider_and_in_the_plot(explorer):
    mouse = explorer.page.mouse
    mouse.move(*explorer.point(0.5))
    mouse.down()
    assert check(explorer.state())["t"] == pytest.approx(0.5, abs=2e-3)  # a pixel is 1/600 of the axis
    mouse.move(*explorer.point(0.8), steps=5)
    mouse.up()
    assert check(explorer.state())["t"] == pytest.approx(0.2, abs=2e-3)

    handle = explorer.page.get_by_role("slider", name=TIME, exact=True).bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    assert x == pytest.approx(explorer.point(0.8)[0], abs=3)  # the handle stands over the cursor
    mouse.move(x, y)
    mouse.down()
    mouse.move(explorer.point(0.4)[0], y, steps=5)
    mouse.up()
    assert check(explorer.state())["t"] == pytest.approx(0.6, abs=1e-2)


def test_a_finger_moves_time_in_the_plot(open_page):
    explorer = open_page(width=360, has_touch=True, is_mobile=True)
    explorer.page.locator(".chroma-view .chart").scroll_into_view_if_needed()
    explorer.page.touchscreen.tap(*explorer.point(0.25))
    assert check(explorer.state())["t"] == pytest.approx(0.75, abs=5e-3)

    finger = explorer.page.context.new_cdp_session(explorer.page)
    touches = [("touchStart", 0.3), *[("touchMove", share) for share in np.linspace(0.35, 0.7, 8)], ("touchEnd", None)]
    for kind, share in touches:
        points = [] if share is None else [dict(zip("xy", explorer.point(float(share)), strict=True))]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert check(explorer.state())["t"] == pytest.approx(0.3, abs=5e-3)


def test_another_schedule_keeps_the_noise_level_and_changes_the_time(explorer):
    start = explorer.state()
    for kind, label in list(LABELS.items())[1:]:
        explorer.choose("schedule", label)
        state = check(explorer.state())
        assert state["schedule"] == kind.__name__
        assert state["log_snr"] == pytest.approx(start["log_snr"], abs=1e-4)  # t is kept to six digits
        assert state["r"] == pytest.approx(start["r"], abs=1e-4)
        assert state["t"] != start["t"]


def test_each_parameter_of_each_schedule_has_a_slider_that_moves_it(explorer):
    for kind, label in LABELS.items():
        explorer.choose("schedule", label)
        names = list(default_parameters(kind))
        sliders = explorer.page.locator(".chroma-parameters .noUi-handle")
        expect(sliders).to_have_count(len(names))  # ipywidgets creates the sliders of another schedule after a while
        for i, name in enumerate(names):
            before = explorer.state()["parameters"]
            after = before
            for _ in range(20):  # until it is the slider of the new schedule
                sliders.nth(i).press("ArrowRight")
                after = check(explorer.state())["parameters"]
                if after[name] > before[name]:
                    break
                explorer.page.wait_for_timeout(100)
            assert after[name] > before[name]
            assert {key: after[key] for key in after if key != name} == pytest.approx(
                {key: before[key] for key in before if key != name}
            )


def test_size_factor_and_levels_choose_the_pictures(explorer):
    def shown():
        return check(explorer.state()), explorer.page.locator(".chroma-view .tile .name").all_inner_texts()

    explorer.choose("averaged squares", "4 × 4 pixels")
    assert shown()[1] == ["64×64", "16×16", "4×4", "1×1"]
    explorer.choose("image size", "256 × 256")
    assert shown()[1] == ["256×256", "64×64", "16×16", "4×4", "1×1"]
    explorer.press("levels", "ArrowLeft", 2)
    state, names = shown()
    assert (state["levels"], names) == (3, ["256×256", "64×64", "16×16"])
    explorer.choose("image size", "32 × 32")
    assert shown()[1] == ["32×32", "8×8", "2×2"]


def test_two_schedules_differ_in_time_and_coincide_in_log_snr(explorer):
    explorer.choose("compare with", "EDM")
    curves = explorer.curves()
    t = np.linspace(1, 0, len(curves["r"]))
    np.testing.assert_allclose(curves["r"], chroma.chromatogram(chroma.Cosine().log_snr(t), 7).T, **SAME)
    np.testing.assert_allclose(curves["other_r"], chroma.chromatogram(chroma.EDM().log_snr(t), 7).T, **SAME)
    assert curves["difference"] > 0.1
    assert "differ by up to" in explorer.page.locator(".comparison").inner_text()

    explorer.page.get_by_role("radio", name="time", exact=True).focus()
    explorer.page.keyboard.press("ArrowRight")
    assert check(explorer.state())["axis"] == "log-SNR"
    assert explorer.curves()["difference"] < 1e-9
    assert "Theorem 1" in explorer.page.locator(".comparison").inner_text()
    explorer.press(TIME, "ArrowLeft", 5)  # on this axis the slider moves log-SNR
    check(explorer.state())


def test_the_step_marks_show_a_published_scheduler_on_either_axis(explorer):
    assert explorer.page.locator(".chroma-view .step-mark").count() == 0
    explorer.choose("steps of", PUBLISHED["sdxl"].title)
    z = plan(PUBLISHED["sdxl"].config, 30).log_snrs
    positions = explorer.curves()["step_marks"]
    np.testing.assert_allclose(positions, 1 - chroma.Cosine().time(z), atol=1e-6)  # log-SNRs have six digits
    assert explorer.page.locator(".chroma-view .step-mark").count() == 30
    text = explorer.page.locator(".step-counts").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    counts = np.bincount(chroma.chromatogram(z, 7).argmax(0), minlength=7)
    assert "the 30 steps of SDXL" in text
    for level, count in enumerate(counts):
        assert (f"{64 >> level}×{64 >> level}: {count}" in text) == (count > 0)

    explorer.choose("how many steps", "10")
    assert len(explorer.curves()["step_marks"]) == 10
    explorer.choose("steps of", PUBLISHED["sd3"].title)  # its first step is at pure noise, the left end
    assert explorer.curves()["step_marks"][0] == 0
    explorer.page.get_by_role("radio", name="time", exact=True).focus()
    explorer.page.keyboard.press("ArrowRight")
    assert (np.diff(explorer.curves()["step_marks"]) > 0).all()
    explorer.choose("steps of", "no scheduler")
    assert explorer.page.locator(".chroma-view .step-mark").count() == 0
    assert explorer.page.locator(".step-counts").inner_text() == ""


def test_every_control_has_a_name_and_every_picture_a_description(explorer):
    explorer.choose("schedule", "EDM")
    root = explorer.page.locator(".chroma-explorer")
    sliders = {"levels", TIME, "σ min", "σ max", "ρ"}
    assert {handle.get_attribute("aria-label") for handle in root.get_by_role("slider").all()} == sliders
    for label in ("schedule", "compare with", "steps of", "how many steps", "image size", "averaged squares", "time t"):
        assert root.get_by_label(label, exact=True).count() == 1
    assert root.get_by_role("radiogroup", name="axis").get_by_role("radio").count() == 2
    for picture in root.locator("[role=img]").all():
        assert len(picture.get_attribute("aria-label")) > 20


def test_what_changed_is_announced_once_it_has_stopped_changing(explorer):
    live, reading = (explorer.page.locator(f".chroma-view {part}") for part in ("[aria-live=polite]", ".reading"))
    expect(live).not_to_be_empty()  # the sentences that the page opened with
    explorer.page.clock.install()  # from here on the test decides how fast time runs
    explorer.page.clock.pause_at(explorer.page.evaluate("Date.now() + 60_000"))
    slider = explorer.page.get_by_role("slider", name=TIME, exact=True)
    for _ in range(3):
        slider.press("ArrowRight")
        explorer.page.clock.run_for(100)
        assert not live.text_content().startswith(reading.text_content())
    explorer.page.clock.run_for(1000)
    assert live.text_content().startswith(reading.text_content())


def test_a_phone_shows_all_of_it_without_scrolling_sideways(open_page):
    explorer = open_page(width=360)
    for label in LABELS.values():
        explorer.choose("schedule", label)
        widths = explorer.page.evaluate(
            "[...document.querySelectorAll('.chroma-explorer, .chroma-explorer *')]"
            ".filter((e) => !e.closest('.announcement')).map((e) => e.getBoundingClientRect().right)"
        )
        assert max(widths) <= 360


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_its_text_stands_out_from_the_page_by_day_and_by_night(explorer, theme):
    explorer.page.evaluate("(theme) => { document.documentElement.dataset.theme = theme }", theme)

    def luminance(selector, attribute):
        css = explorer.page.evaluate(
            "([s, a]) => getComputedStyle(document.querySelector(s)).getPropertyValue(a)", [selector, attribute]
        )
        rgb = np.array(css[css.index("(") + 1 : -1].split(",")[:3], dtype=float) / 255
        return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    surfaces = {
        "body": (".chroma-view .reading", ".chroma-view .note"),
        ".chroma-controls": (".chroma-controls label",),
    }
    for surface, texts in surfaces.items():
        for text in texts:
            low, high = sorted([luminance(text, "color"), luminance(surface, "background-color")])
            assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG AA
