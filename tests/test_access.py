"""Every page is accessible: axe-core finds nothing serious, light and dark, on a desktop and on a phone."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from test_site import PAGES, opened, scroll_through

SERIOUS = ("serious", "critical")


def violations(page) -> list[str]:
    """Serious findings of axe-core (WCAG 2.1 A and AA, and its best practices), each with the elements it is about."""
    findings = Axe().run(page).response["violations"]
    return [
        f"{finding['id']} ({finding['impact']}): {finding['help']}: {[n['html'][:160] for n in finding['nodes'][:3]]}"
        for finding in findings
        if finding["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("name", [*PAGES, "search", "genindex"])
def test_a_page_has_no_serious_accessibility_violation(browser, site, name):
    with opened(browser, f"{site}/{name}.html", color_scheme="light") as (page, _):
        if page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count():
            page.wait_for_selector(".chroma-view canvas, .chroma-live canvas")
        for size in ({"width": 1280, "height": 900}, {"width": 360, "height": 740}):
            page.set_viewport_size(size)
            # a moment after a change of size, the theme lets the keyboard reach the boxes that scroll now
            page.wait_for_function(
                "[...document.querySelectorAll('pre')].every(p => p.scrollWidth <= p.clientWidth || p.tabIndex === 0)"
            )
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme)
                scroll_through(page)
                assert page.evaluate("document.documentElement.dataset.theme") == theme
                assert violations(page) == [], (theme, size)


def test_the_first_press_of_tab_offers_to_skip_to_the_text(browser, site):
    with opened(browser, f"{site}/book/intro.html") as (page, _):
        page.keyboard.press("Tab")
        assert "skip" in page.evaluate("document.activeElement.textContent").lower()


def test_on_paper_a_still_picture_replaces_the_explorer(browser, site):
    with opened(browser, f"{site}/book/explorer.html") as (page, _):
        page.wait_for_selector(".chroma-view canvas, .chroma-live canvas")
        still, view = page.locator(".still img").first, page.locator(".chroma-view").first
        expect(still).to_be_hidden()
        page.emulate_media(media="print")
        expect(still).to_be_visible()
        expect(view).to_be_hidden()
