"""The first visit, as a person makes it: Home, demo, Monitor, Compare, Explain."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import psutil
import pytest
from lab_server import Server, wait_for, wait_until_idle
from playwright.sync_api import BrowserContext, Page, expect

DEMO_RUNS = 2
NO_MAP, MAX_IMAGES = "There is no map to show", 10
DRAWING_S, DEMO_S = 400, 900  # many times what a quiet machine takes


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_journey_from_home_to_heat_map(make_server: Callable[..., Server], context: BrowserContext, page: Page) -> None:
    """Start the demo, watch both runs learn, compare them, see where one looked; nothing leaves the machine."""
    addresses: list[str] = []
    context.on("request", lambda request: addresses.append(request.url))
    server = make_server()
    page.goto(server.url)
    expect(page.get_by_role("heading", name="MedPEFT Lab", exact=True)).to_be_visible()
    expect(page.get_by_text("No runs yet")).to_be_visible()
    page.get_by_role("button", name="Start the demo").click()
    expect(page.get_by_role("button", name="Stop").first).to_be_visible()
    wait_for(lambda: len(server.store.list_runs()) == DEMO_RUNS, timeout_s=DRAWING_S, what="two runs are set up")
    assert check_is_local(server), "the server must listen on this computer only"

    for run in reversed(server.store.list_runs()):
        watch(server, page, run.run_id)
    finished = [run.run_id for run in server.store.list_runs() if run.status == "finished"]
    assert len(finished) == DEMO_RUNS

    page.goto(f"{server.url}/home")
    page.get_by_role("link", name="Compare both").click()
    wait_until_idle(page)
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    expect(page.get_by_label(re.compile("^Test AUROC by label"))).to_be_visible()
    expect(page.get_by_text("method.name").first).to_be_attached()

    page.goto(f"{server.url}/home")
    page.get_by_role("link", name="See where it looked").click()
    find_heat_map(page)
    assert all(urlparse(address).hostname == "127.0.0.1" for address in addresses if address.startswith("http"))
    assert page.get_by_test_id("stException").count() == 0


def watch(server: Server, page: Page, run_id: str) -> None:
    """Stay on Monitor until the run has ended, and see that its curve had two points while it still ran."""
    run = server.store.load(run_id)
    page.goto(f"{server.url}/monitor?run={run_id}")
    wait_for(lambda: run.status != "queued", timeout_s=DEMO_S, what=f"{run_id} starts")
    wait_for(lambda: len(evaluations(run)) >= 2, timeout_s=DEMO_S, what=f"{run_id} was evaluated twice")
    expect(page.get_by_label(re.compile(r"^Val AUROC.* ([2-9]|\d\d) evaluations"))).to_be_visible(timeout=10_000)
    assert run.status == "running", "the second point was drawn only after the run had ended"
    wait_for(lambda: run.is_finished, timeout_s=DEMO_S, what=f"{run_id} ends")
    expect(page.get_by_text("Test result")).to_be_visible()


def find_heat_map(page: Page) -> None:
    """Page through the images that the model got right until one has a map; a flat one is told, not drawn."""
    expect(page.get_by_role("heading", name="Explain", exact=True)).to_be_visible()
    answer = page.get_by_role("img", name=re.compile("heat map", re.IGNORECASE)).or_(page.get_by_text(NO_MAP))
    for number in range(1, MAX_IMAGES + 1):
        expect(page.get_by_text(f"Image {number} of")).to_be_visible(timeout=120_000)
        expect(answer.first).to_be_visible(timeout=120_000)
        if page.get_by_text(NO_MAP).count() == 0:
            return
        page.get_by_role("button", name="Next").click()
    raise AssertionError(f"none of {MAX_IMAGES} images has a map")


def evaluations(run: Any) -> list[dict[str, Any]]:
    return [event for event in run.history() if event["type"] == "eval"]


def check_is_local(server: Server) -> bool:
    """Whether every port that the server listens on is bound to this computer's own address."""
    assert server.process is not None
    connections = psutil.Process(server.process.pid).net_connections(kind="tcp")
    listening = [item.laddr.ip for item in connections if item.status == psutil.CONN_LISTEN]
    return bool(listening) and set(listening) <= {"127.0.0.1", "::1"}
