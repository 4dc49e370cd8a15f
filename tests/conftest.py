"""What several tests share: the built site on a loopback port, and a browser to read it with."""

from __future__ import annotations

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import settings

# the same examples every time, and a slow machine is no failure
settings.register_profile("project", derandomize=True, deadline=None)
settings.load_profile("project")

SITE = Path(__file__).parents[1] / "_build" / "html"

# A browser that asks nothing of its own accord, so that every request seen is a page's.
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site():
    """The address of the built site, without a trailing slash."""
    if not (SITE / "index.html").is_file():
        pytest.fail("there is no site in _build/html: run `make book` first", pytrace=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium: the installed one, else Playwright's own."""
    from playwright.sync_api import sync_playwright

    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=next(filter(None, found), None), args=list(QUIET), chromium_sandbox=False
        )
        yield chromium
        chromium.close()
