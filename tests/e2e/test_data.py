"""Data as a person prepares and looks at them: progress, the report, charts, an image in full, and a shared address."""

import re
from collections.abc import Callable
from urllib.parse import urlparse

import pytest
from lab_server import Server, wait_until_idle
from playwright.sync_api import Browser, BrowserContext, Page, expect

from medpeft_core.datasets.views import list_views

PATIENTS, SIZE = 60, 96
PREPARING_MS = 300_000  # many times what a quiet machine takes


def fill(page: Page, label: str, value: int) -> None:
    field = page.get_by_role("spinbutton", name=label).or_(page.get_by_role("textbox", name=label)).first
    field.fill(str(value))
    field.press("Enter")
    wait_until_idle(page)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    wait_until_idle(page)


def start_preparing(server: Server, page: Page, *, patients: int) -> None:
    """Choose a set of the lab's own size and press the button."""
    page.goto(f"{server.url}/data")
    expect(page.get_by_text("This set is not prepared yet")).to_be_visible()
    page.get_by_text("Settings of this data set").click()
    fill(page, "Number of patients", patients)
    fill(page, "Size", SIZE)
    page.get_by_role("button", name="Check and prepare").click()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_data_are_prepared_looked_at_and_shared(
    make_server: Callable[..., Server], context: BrowserContext, browser: Browser, page: Page, monkeypatch
) -> None:
    addresses: list[str] = []
    context.on("request", lambda request: addresses.append(request.url))
    server = make_server()
    monkeypatch.setenv("MEDPEFT_HOME", str(server.home))
    start_preparing(server, page, patients=PATIENTS)
    expect(page.get_by_text("What to know before training")).to_be_visible(timeout=PREPARING_MS)
    expect(page.get_by_test_id("stMetricValue").filter(has_text=re.compile(rf"^{PATIENTS}$"))).to_be_visible()
    expect(page.get_by_label(re.compile("^Positives of known images.*Cardiomegaly train"))).to_be_visible()
    (kept,) = list_views()
    assert f"data={kept['key']}" in page.url

    open_tab(page, "Splits and people")
    expect(page.get_by_label(re.compile("^Age by split"))).to_be_visible()
    open_tab(page, "Images")
    tile = page.get_by_role("img", name=re.compile(r"^\d{6}_\d{3}\.png, (train|val|test): .*Cardiomegaly")).first
    expect(tile).to_be_visible()
    name = (tile.get_attribute("alt") or "").partition(",")[0]
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    page.get_by_role("radio", name="Outlines").click()
    expect(page.get_by_text("Cardiomegaly, outline")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(rf"^{name} in full: .*Marked: .*Cardiomegaly"))).to_be_visible()

    other = browser.new_context()
    other.set_default_timeout(60_000)
    colleague = other.new_page()
    colleague.goto(page.url)
    expect(colleague.get_by_role("heading", name=name)).to_be_visible()
    colleague.get_by_role("button", name="Back to all images").click()
    expect(colleague.get_by_text("drawn at random")).to_be_visible()
    other.close()

    page.reload()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    open_tab(page, "Checks and downloads")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Report to read").click()
    text = waiting.value.path().read_text()
    assert f"{PATIENTS} patients" in text
    assert "not for clinical use" in text
    assert page.get_by_test_id("stException").count() == 0
    assert all(urlparse(address).hostname == "127.0.0.1" for address in addresses if address.startswith("http"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_preparing_shows_progress_and_can_be_stopped(make_server: Callable[..., Server], page: Page) -> None:
    server = make_server()
    start_preparing(server, page, patients=2000)
    expect(page.get_by_text(re.compile(r"Drawing synthetic radiographs, [\d,]+ of 2,000"))).to_be_visible(
        timeout=120_000
    )
    page.reload()  # the work goes on without the page, and the page finds it again
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("stopped. Nothing half-done was left.")).to_be_visible(timeout=120_000)
    expect(page.get_by_role("button", name="Check and prepare")).to_be_enabled()
