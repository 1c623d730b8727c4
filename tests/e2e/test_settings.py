"""Settings in a real browser: freeing space with a question before it, and a report that is saved as it was shown."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_server import Server, wait_for, wait_until_idle
from playwright.sync_api import Page, expect

DAY_S = 86_400
BASE_BYTES = 5 * 1024 * 1024

pytestmark = pytest.mark.slow


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Base weights of yesterday that no run names."""
    path = tmp_path / "home" / "weights" / f"{'a' * 64}.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(BASE_BYTES))
    os.utime(path, (time.time() - DAY_S,) * 2)
    return path


def test_settings_frees_space_after_a_question(make_server: Callable[..., Server], page: Page, base: Path) -> None:
    server = make_server()
    page.goto(f"{server.url}/settings")
    page.get_by_role("button", name="Remove 1 of 1").click()
    expect(page.get_by_text("This frees 5 MiB. Remove now?")).to_be_visible()
    page.get_by_role("button", name="No, keep").click()
    wait_until_idle(page)
    assert base.is_file()
    page.get_by_role("button", name="Remove 1 of 1").click()
    page.get_by_role("button", name="Yes, remove").click()
    expect(page.get_by_text("Done: 5 MiB are free again.")).to_be_visible()
    wait_for(lambda: not base.exists(), timeout_s=10, what="the base is gone")
    assert page.get_by_test_id("stException").count() == 0


def test_settings_saves_the_report_that_it_shows(make_server: Callable[..., Server], page: Page) -> None:
    server = make_server()
    page.goto(f"{server.url}/settings")
    page.get_by_role("tab", name="Report a problem").click()
    page.get_by_role("button", name="Make the report").click()
    shown = page.get_by_test_id("stCode").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the report").click()
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert [line.strip() for line in saved.split("\n") if line.strip()] == [
        line.strip() for line in shown.split("\n") if line.strip()
    ]
    assert "MedPEFT Lab" in saved
    assert str(server.home) not in saved


def test_settings_asks_torch_in_the_background(make_server: Callable[..., Server], page: Page) -> None:
    """The page is there at once; what only torch can say follows, and a link to this tab opens it."""
    server = make_server()
    page.goto(f"{server.url}/settings?settings_tab=This+computer")
    expect(page.get_by_text("Loading torch in a process of its own")).to_be_visible()
    expect(page.get_by_text("threads of the processor")).to_be_visible(timeout=180_000)
    assert page.get_by_test_id("stException").count() == 0
