"""Every page in both themes through axe-core: nothing serious, contrast included; and the tour by keyboard."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_faults import find_faults
from lab_server import Server, wait_until_idle
from playwright.sync_api import Browser, expect
from stored_runs import make_run

PAGES = tuple(sorted(path.stem for path in (Path(__file__).resolve().parents[2] / "pages").glob("*.py")))
OWN_DATA = "data?own=1"  # a page of its own
SETTLED_MS = 1500  # charts and tables draw themselves after the script


@pytest.fixture
def lab(make_server: Callable[..., Server], tmp_path: Path) -> Server:
    """A server with two finished runs, a failed and a stopped one."""
    home = tmp_path / "home"
    make_run(home, status="failed", error="The loss became NaN.", epochs_done=2)
    make_run(home, status="stopped", method="full")
    make_run(home, method="full", quality=1.5)
    make_run(home)
    return make_server()


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_have_no_serious_fault(lab: Server, browser: Browser, theme: Any) -> None:
    context = browser.new_context(color_scheme=theme, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    faults = {}
    run, other = (item.run_id for item in lab.store.list_runs()[:2])
    for name in (*PAGES, OWN_DATA):
        page.goto(f"{lab.url}/{name}{'&' if '?' in name else '?'}run={run}&runs={run},{other}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        wait_until_idle(page)
        page.wait_for_timeout(SETTLED_MS)
        faults[name] = find_faults(page)
        assert page.get_by_test_id("stException").count() == 0
    context.close()
    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.slow
def test_tour_is_walked_by_keyboard_and_remembered(lab: Server, browser: Browser) -> None:
    """Offered once, walked with the Enter key through its pages, and not offered again to the same browser."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(lab.url)
    page.get_by_role("button", name="Show me around").press("Enter")
    for number in range(1, 6):
        expect(page.get_by_text(f"Step {number} of 5")).to_be_visible()
        assert find_faults(page) == []
        if number < 5:
            page.get_by_role("button", name="Next:").press("Enter")
    expect(page.get_by_role("heading", name="Explain", exact=True)).to_be_visible()
    page.get_by_role("button", name="Finish").press("Enter")
    expect(page.get_by_text("Step 5 of 5")).to_have_count(0)
    page.wait_for_function("document.cookie.includes('medpeft_tour=over')")
    again = context.new_page()
    again.goto(lab.url)
    expect(again.get_by_role("button", name="Start the demo")).to_be_visible()
    wait_until_idle(again)
    expect(again.get_by_text("New here?")).to_have_count(0)
    context.close()
