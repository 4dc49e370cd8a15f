"""What several tests share: their markers, the built site on a loopback port, and a browser to read it with."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings

# the same examples every time, and a slow machine is no failure
settings.register_profile("project", derandomize=True, deadline=None)
settings.load_profile("project")

ROOT = Path(__file__).parents[1]
SITE = ROOT / "_build" / "html"

# Tests that take more than three seconds on one core or measure time: `make check` leaves them out, and `make test`
# runs them one after the other, after all others.
# A part of the name is enough.
SLOW = (
    "a_cascade_of_bundled_models",
    "a_finite_set_tells",
    "a_model_draws_what_it_is_asked_for",
    "a_run_killed_at_any_moment",
    "it_reloads_in_stock_diffusers",
    "photographs_have_the_band_powers",
    "the_residual_noise_of_four_pictures",
    "the_wheel_holds",
    "thirteen_thousand_images",
    "two_processes_",
)
SLOW_FILES = {
    "test_cache.py",  # each test builds a book of one page
    "test_explorer_in_book.py",  # frames are counted, which other tests at the same time would disturb
}
SLOW_FIXTURES = {"low"}  # a network that is trained on four pictures

# A browser that requests nothing on its own, so that every request seen is a page's.
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@cache
def find_browser() -> str | None:
    """Return the path of the Chromium that the tests use, or None; .ci/browser decides which one it is."""
    command = ["bash", ROOT / ".ci/browser", "--find"]
    environment = os.environ | {"PYTHON": sys.executable}
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def missing(fixtures: set[str]) -> str | None:
    """Say in one sentence what is not there although tests with these fixtures need it."""
    if "site" in fixtures and not (SITE / "index.html").is_file():
        return "There is no site in _build/html: run `make test`, which builds it, or `make check`, which needs none."
    if "browser" in fixtures and not find_browser():
        return "There is no Chromium for the tests of the built pages: run `make test`, which installs it."
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the built site or a browser with `site`, and the long ones with `slow`."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"site", "browser"}:
            item.add_marker(pytest.mark.site)
        listed = item.path.name in SLOW_FILES or any(part in item.name for part in SLOW)
        if listed or fixtures & SLOW_FIXTURES:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish(session: pytest.Session) -> None:
    """End the run with one sentence, before the first test, if the site or the browser is missing."""
    fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if not session.config.option.collectonly and (sentence := missing(fixtures)):
        pytest.exit(sentence, returncode=1)


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of the built site, without a trailing slash."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium: the installed one, or else Playwright's own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=list(QUIET), chromium_sandbox=False)
        yield chromium
        chromium.close()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass
