"""The built site, read in a browser that can reach no other host."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urldefrag, urljoin

import chroma_figures
import pytest
import records
import yaml
from jupytext.cli import jupytext

ROOT = Path(__file__).parents[1]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
CHAPTERS = [chapter for part in TOC["parts"] for chapter in part["chapters"]]
PAGES = [TOC["root"], *(page["file"] for chapter in CHAPTERS for page in (chapter, *chapter.get("sections", ())))]
SOURCES = [ROOT / f"{page}.md" for page in PAGES]
NOTEBOOKS = [source for source in SOURCES if re.search(r"^kernelspec:", source.read_text(), re.MULTILINE)]


@contextmanager
def opened(browser, url, **context):
    """A page at `url`, fully loaded, with a record of its requests and errors."""
    window = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
    seen = SimpleNamespace(outside=[], errors=[], responses={})
    home = "/".join(url.split("/")[:3])

    def route(request):
        if request.request.url.startswith((home, "data:", "blob:")):
            request.continue_()
        else:
            seen.outside.append(request.request.url)
            request.abort()

    def answered(response):
        seen.responses[response.url] = response
        if response.status >= 400:
            seen.errors.append(f"{response.status} {response.url}")

    window.route("**/*", route)
    page = window.new_page()
    page.on("response", answered)
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    try:
        page.goto(url, wait_until="load")
        page.wait_for_load_state("networkidle")
        yield page, seen
    finally:
        window.close()


def weights(seen) -> dict[str, int]:
    """The size of each file that a page requested, in bytes, compressed as a web server would."""
    fetched = {url: r for url, r in seen.responses.items() if url.startswith("http") and r.ok}
    return {url: len(gzip.compress(response.body(), 6)) for url, response in fetched.items()}


def scroll_through(page):
    """Bring every part of the page on the screen once, and wait for the pictures that load only there."""
    page.evaluate(
        """async () => {
            for (let y = 0; y < document.documentElement.scrollHeight; y += 600) {
                window.scrollTo(0, y);
                await new Promise(requestAnimationFrame);
            }
        }"""
    )
    page.wait_for_function("[...document.images].every((image) => image.complete || !image.checkVisibility())")


@pytest.mark.parametrize("name", [*PAGES, "search", "genindex"])
def test_a_page_of_at_most_two_megabytes_loads_whole_from_this_site_alone(browser, site, name):
    with opened(browser, f"{site}/{name}.html") as (page, seen):
        scroll_through(page)
        if page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count():
            page.wait_for_selector(".jupyter-widgets, .chroma-live")
        assert page.title().strip()
        assert seen.outside == []
        assert seen.errors == []
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0  # an equation that MathJax could not read
        assert sum(weights(seen).values()) < 2e6, sorted(weights(seen).items(), key=lambda item: -item[1])[:8]


def test_the_root_address_redirects_to_the_landing_page(browser, site):
    with opened(browser, f"{site}/") as (page, _):
        page.wait_for_url(f"{site}/{TOC['root']}.html")


@pytest.mark.parametrize("name", PAGES)
def test_every_image_has_an_alternative_text(browser, site, name):
    with opened(browser, f"{site}/{name}.html") as (page, _):
        without_text = page.locator(".bd-article img").evaluate_all(
            "images => images.filter(i => !i.alt.trim() || i.src.endsWith(i.alt)).map(i => i.src)"
        )
        assert without_text == []


def test_every_page_has_a_description_of_its_own_and_a_picture_for_links_to_it(browser, site):
    descriptions = {}
    for name in PAGES:
        with opened(browser, f"{site}/{name}.html", java_script_enabled=False) as (page, _):
            descriptions[name] = page.locator('meta[name="description"]').get_attribute("content")
            picture = page.locator('meta[property="og:image"]').get_attribute("content")
            assert picture.startswith("http") or page.request.get(urljoin(page.url, picture)).ok
    assert min(map(len, descriptions.values())) > 40, descriptions
    assert len(set(descriptions.values())) == len(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_the_text_of_every_figure_is_shown_at_least_nine_pixels_high(browser, site, name):
    sizes = {name: json.loads(text) for name, (_, text) in records.glued(records.EXECUTED, "print").items()}
    figures = {}  # file -> height of its smallest text over its width
    for digest, (figure, phone) in chroma_figures.all_layouts(records.EXECUTED).items():
        figures |= {digest: sizes[figure]["page"], hashlib.sha256(phone).hexdigest(): sizes[figure]["phone"]}
    with opened(browser, f"{site}/{name}.html") as (page, _):
        for width in (1280, 720, 390):
            page.set_viewport_size({"width": width, "height": 900})
            scroll_through(page)
            shown = page.locator("picture > img:visible").evaluate_all("all => all.map(i => [i.currentSrc, i.width])")
            for address, pixels in shown:
                assert figures[Path(address).stem] * pixels >= 9, (width, address)


def test_every_internal_link_leads_to_a_page_and_an_anchor_that_exist(browser, site):
    anchors, links = {}, set()
    for name in PAGES:
        url = f"{site}/{name}.html"
        with opened(browser, url, java_script_enabled=False) as (page, _):
            anchors[url] = set(page.locator("[id]").evaluate_all("all => all.map(e => e.id)"))
            hrefs = page.locator("a[href]").evaluate_all("all => all.map(a => a.getAttribute('href'))")
            links |= {(url, urljoin(url, href)) for href in hrefs}
    internal = {(source, *urldefrag(target)) for source, target in links if target.startswith(site)}
    assert len(internal) > 10 * len(PAGES)  # the sidebar alone links every page with every other
    with opened(browser, f"{site}/search.html") as (page, _):
        targets = {target for _, target, _ in internal}
        missing = {target for target in targets if not page.request.get(target).ok}
    dead = [(source, target) for source, target, _ in internal if target in missing]
    lost = [
        (source, target, anchor)
        for source, target, anchor in internal
        if anchor and target in anchors and unquote(anchor) not in anchors[target]
    ]
    assert dead == []
    assert lost == []


def test_the_landing_page_comes_in_less_than_one_and_a_half_megabytes(browser, site):
    """Everything requested before the reader scrolls."""
    with opened(browser, f"{site}/{TOC['root']}.html") as (_, seen):
        weight = weights(seen)
    assert sum(weight.values()) < 1.5e6, sorted(weight.items(), key=lambda item: -item[1])[:8]


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways_on_a_phone(browser, site, name):
    with opened(browser, f"{site}/{name}.html", viewport={"width": 360, "height": 740}) as (page, _):
        scroll_through(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        ends = page.locator(".prev-next-area a").evaluate_all("all => all.map(a => a.getBoundingClientRect().right)")
        assert max(ends, default=0) <= 360  # what sticks out of a footer is cut off, not scrolled to


def test_the_beginning_of_a_long_equation_can_be_reached_on_a_phone(browser, site):
    with opened(browser, f"{site}/book/equations.html", viewport={"width": 360, "height": 740}) as (page, _):
        page.wait_for_selector("div.math mjx-container")
        hidden = page.locator("div.math").evaluate_all(
            "all => all.map(d => d.querySelector('mjx-container').getBoundingClientRect().left"
            " - d.getBoundingClientRect().left).filter(left => left < -1)"
        )
        assert hidden == []


def test_a_reader_can_switch_to_the_dark_theme_and_back(browser, site):
    with opened(browser, f"{site}/{TOC['root']}.html", color_scheme="light") as (page, _):

        def brightness():
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(int(channel) for channel in re.findall(r"\d+", colour)[:3]) / 3

        def press_until(wanted):
            for _ in range(3):  # the button goes round: as the system has it, light, dark
                if page.evaluate("document.documentElement.dataset.theme") == wanted:
                    return
                page.locator(".theme-switch-button:visible").first.click()

        press_until("dark")
        page.wait_for_function("document.documentElement.dataset.theme == 'dark'")
        assert brightness() < 60
        page.evaluate("localStorage.mode = 'light'; localStorage.theme = 'light'")
        page.reload()
        assert brightness() > 200


def test_a_system_with_a_dark_theme_gets_a_dark_page(browser, site):
    with opened(browser, f"{site}/{TOC['root']}.html", color_scheme="dark") as (page, _):
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def search_results(page) -> list[str]:
    """The links that a search finds, once it has ended: results appear one by one."""
    page.wait_for_function("document.querySelector('.search-summary')?.textContent.startsWith('Search finished')")
    return page.locator("ul.search li a").evaluate_all("all => all.map(a => a.getAttribute('href'))")


def test_search_finds_a_word(browser, site):
    with opened(browser, f"{site}/search.html?q=chromatography") as (page, seen):
        assert len(search_results(page)) >= 3
        assert seen.outside == []


# what a reader types: the name of a function, of a class, a word of diffusers, a symbol
@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("adjusted_time", "api/mathematics"),
        ("CFGChromatography", "api/measuring"),
        ("alphas_cumprod", "glossary"),
        ("τ", "glossary"),
        ("λ", "glossary"),
        ("guidance_scale", "glossary"),
        ("clamp", "appendix-b"),
    ],
)
def test_search_finds_symbols_and_names(browser, site, typed, name):
    with opened(browser, f"{site}/search.html?q={typed}") as (page, _):
        links = search_results(page)
        assert any(f"book/{name}.html" in link for link in links), links


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_unchanged_by_a_conversion_to_ipynb_and_back(notebook):
    jupytext(["--quiet", "--to", "ipynb", "--test-strict", str(notebook)])
