"""The live view in a page: play, address, keyboard, and a network that does or does not come."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect
from test_access import violations
from test_live import address  # noqa: F401, a fixture

from chroma.explorer import denoisers

PAGE = """<!doctype html><html lang="en" data-content_root="./"><title>live</title><style>{css}</style>
<main><h1>Live</h1><div id="root"></div></main><script type="module">
const traits = {traits};
const source = URL.createObjectURL(new Blob([{script}], {{ type: "text/javascript" }}));
const widget = (await import(source)).default;
widget.render({{ model: {{ get: (name) => traits[name] }}, el: document.getElementById("root") }});
</script></html>"""


@pytest.fixture(scope="module")
def html():
    view = denoisers.live()
    traits = {name: getattr(view, name) for name in view.trait_names(sync=True) if not name.startswith("_")}
    plain = {name: value for name, value in traits.items() if name not in ("layout", "tabbable", "tooltip", "comm")}
    script, values = (json.dumps(value).replace("</", "<\\/") for value in (view._esm, plain))
    return PAGE.format(css=view._css, traits=values, script=script)


@pytest.fixture
def open_live(browser, address, html):  # noqa: F811
    contexts = []

    def open_(state="", width=1280, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.route("**/live.html", lambda route: route.fulfill(body=html, content_type="text/html"))
        page.route("**/_static/**", lambda route: route.continue_(url=route.request.url.replace("/_static", "")))
        page.goto(f"{address}/live.html{state}")
        wait_for(page, "memory", 10)
        return page

    yield open_
    for context in contexts:
        context.close()


def wait_for(page, kind, steps):
    page.wait_for_function(
        "([kind, steps]) => JSON.parse(document.querySelector('.chroma-live')?.dataset.state ?? '{}')"
        ".kinds?.[kind]?.steps >= steps",
        arg=[kind, steps],
        timeout=60_000,
    )


def state(page):
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return json.loads(page.locator(".chroma-live").get_attribute("data-state"))


def test_play_runs_to_the_image_and_says_where_it_stopped(open_live):
    page = open_live("#live&steps=10&step=2")
    wait_for(page, "gaussian", 10)
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible(timeout=20_000)
    assert state(page)["step"] == 9
    expect(page.locator("[aria-live=polite]")).to_contain_text("step 10 of 10")


def test_a_copied_address_shows_the_same_run_and_back_undoes_a_choice(open_live):
    page = open_live("#live&seed=17&steps=10&step=4&switch=8&nonsense=1&schedule=nothing")
    shown = state(page)
    expected = {"seed": "17", "steps": "10", "step": 4, "switch": "8", "schedule": "Cosine"}
    assert {name: shown[name] for name in expected} == expected
    page.get_by_label("schedule").select_option("EDM")
    assert "schedule=EDM" in page.url
    page.go_back()
    assert state(page)["schedule"] == "Cosine"
    assert page.get_by_label("schedule").input_value() == "Cosine"


def test_arrow_keys_step_through_the_run(open_live):
    page = open_live("#live&step=10")
    page.get_by_role("slider", name="step").focus()
    page.keyboard.press("ArrowRight")
    assert state(page)["step"] == 11
    page.keyboard.press("Home")
    assert state(page)["step"] == 0


def test_a_seed_that_is_no_number_is_not_taken(open_live):
    page = open_live("#live&seed=5")
    seed = page.get_by_label("seed")
    seed.fill("-4")
    seed.press("Tab")
    assert seed.input_value() == state(page)["seed"] == "5"


def test_a_download_that_breaks_is_reported_and_can_be_tried_again(open_live):
    page = open_live("#live&steps=10")
    page.route("**/photos-32.onnx", lambda route: route.abort())
    page.get_by_role("button", name="Load the network (25 MB)").click()
    expect(page.get_by_role("status")).to_contain_text("could not be loaded")
    page.unroute("**/photos-32.onnx")
    page.get_by_role("button", name="Try again").click()
    wait_for(page, "network", 10)
    expect(page.locator(".live-overlay").last).to_be_hidden()


def test_read_from_a_disk_the_exact_denoisers_work_and_the_page_says_why_the_network_does_not(browser, html, tmp_path):
    (tmp_path / "live.html").write_text(html, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "live.html").as_uri())
    wait_for(page, "memory", 25)
    expect(page.get_by_role("status")).to_contain_text("needs the page from a web server")
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_live_view_is_accessible_and_as_wide_as_the_screen(open_live, width, scheme):
    page = open_live(width=width, color_scheme=scheme)
    wait_for(page, "memory", 25)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # pictures and bars are on the first screen
    assert page.locator(".live-column").first.bounding_box()["y"] < 200
    bars = page.locator(".live-column").first.locator("canvas").nth(8).bounding_box()
    assert bars["y"] + bars["height"] < 800
