"""A real browser and real servers for the tests of the main journeys.

Chromium is looked for under the usual names. Where it is missing the tests are skipped and say so; with
`MEDPEFT_REQUIRE_BROWSER=1`, as in `.ci/run`, they fail instead.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_server import ROOT, Server, find_free_port
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PAGE_TIMEOUT_MS = 60_000


def find_chromium() -> str | None:
    """The browser of this machine."""
    found = (shutil.which(name) for name in CHROMIUM_NAMES)
    return next((path for path in found if path), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One headless browser for the tests of a file."""
    path = find_chromium()
    if path is None:
        message = "No Chromium was found. On Debian: apt-get install chromium"
        if os.environ.get("MEDPEFT_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    expect.set_options(timeout=PAGE_TIMEOUT_MS)  # a busy machine is slow, not wrong
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor: cookies and storage of its own, and a note of every address that was asked for."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PAGE_TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An open tab."""
    return context.new_page()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Make and start servers on homes of this test; all are ended afterwards."""
    servers: list[Server] = []

    def make(root: Path = ROOT, **environment: str) -> Server:
        number = len(servers)
        server = Server(
            root=root,
            home=tmp_path / "home",
            port=find_free_port(),
            log=tmp_path / f"server-{number}.log",
            environment=environment,
        )
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.stop()
