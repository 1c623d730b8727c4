"""Runs and pages survive what people and computers do to them: reloads, second tabs, dead servers and workers."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import pytest
from lab_server import ROOT, Server, count_workers, wait_for, wait_until_connected, wait_until_idle
from playwright.sync_api import Browser, Page, expect

from medpeft_core.config import RunConfig
from medpeft_core.runs.store import RunStore

MANY_EPOCHS = 100_000
AGAIN = re.compile("Resume|Start it again")
PAGES = ("home", "data", "train", "monitor", "compare", "explain", "predict", "settings")


@pytest.fixture
def queue_runs(tmp_path: Path) -> Callable[[int], list[str]]:
    """Set up runs on a tiny synthetic set in the home of this test; each would train for hours."""

    def queue(count: int) -> list[str]:
        from medpeft_core.training.setup import set_up_runs

        configs = [
            RunConfig.from_dict(
                {
                    "data": {
                        "dataset": "phantom",
                        "cache_size": 64,
                        "options": {"num_patients": 60, "size": 64},
                    },
                    "backbone": {"name": "test_resnet", "image_size": 64},
                    "method": {"name": "full"},
                    "train": {"epochs": MANY_EPOCHS, "seed": seed, "device": "cpu", "precision": "fp32"},
                }
            )
            for seed in range(count)
        ]
        return [run.run_id for run in set_up_runs(RunStore(tmp_path / "home"), configs)]

    return queue


@pytest.fixture(autouse=True)
def _shared_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "home"))


@pytest.mark.faults
@pytest.mark.slow
def test_survival_of_reload_tabs_and_a_dead_server(
    make_server: Callable[..., Server], browser: Browser, page: Page, queue_runs: Callable[[int], list[str]]
) -> None:
    """The run goes on through a reload, a second browser and a killed server, once, and can be stopped.

    Who pressed Stop as soon as the tab had found the new server pressed it in vain: the click belonged to a live part
    that the new server had not drawn yet.
    """
    run_id, *_ = queue_runs(1)
    server = make_server()
    run = server.store.load(run_id)
    page.goto(f"{server.url}/monitor?run={run_id}")
    wait_for(lambda: run.status == "running", timeout_s=60, what="the run starts")
    pid = run.state().pid
    page.reload()
    expect(page.get_by_role("button", name="Stop").first).to_be_visible()

    other = browser.new_context().new_page()
    other.goto(f"{server.url}/monitor?run={run_id}")
    expect(other.get_by_role("button", name="Stop").first).to_be_visible()
    page.close()

    steps = run.state().step or 0
    server.kill()
    wait_for(lambda: (run.state().step or 0) > steps + 5, timeout_s=60, what="the worker trains without a server")
    server.start()
    wait_until_connected(other)  # the open tab finds the new server by itself
    other.get_by_role("button", name="Stop").first.click()
    assert run.state().pid == pid
    assert count_workers(server.home) == 1
    wait_for(lambda: run.status == "stopped", timeout_s=20, what="the run stops")
    wait_for(lambda: count_workers(server.home) == 0, timeout_s=5, what="its processes are gone")
    expect(other.get_by_role("button", name=AGAIN).first).to_be_visible()
    other.context.close()


@pytest.mark.faults
@pytest.mark.slow
def test_survival_of_a_killed_worker(
    make_server: Callable[..., Server], page: Page, queue_runs: Callable[[int], list[str]]
) -> None:
    """A killed worker is told as interrupted within ten seconds, and the next run in the queue starts."""
    first, second = queue_runs(2)
    server = make_server()
    page.goto(f"{server.url}/monitor?run={first}")
    store = server.store
    wait_for(lambda: store.load(first).status == "running", timeout_s=60, what="the first run starts")
    assert store.load(second).status == "queued"
    pid = store.load(first).state().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: store.load(first).status == "interrupted", timeout_s=10, what="the death is noticed")
    expect(page.get_by_role("button", name=AGAIN).first).to_be_visible(timeout=10_000)
    wait_for(lambda: store.load(second).status == "running", timeout_s=20, what="the next run starts")
    store.request_stop(second)
    wait_for(lambda: store.load(second).status == "stopped", timeout_s=20, what="the second run stops")


@pytest.mark.slow
def test_survival_of_an_edited_file(
    make_server: Callable[..., Server], page: Page, queue_runs: Callable[[int], list[str]], tmp_path: Path
) -> None:
    """Who develops on the lab saves files while a run trains: there is still one run, one worker, and a stop."""
    copy = tmp_path / "checkout"
    for name in ("app.py", "pages", "medpeft_core", "assets", ".streamlit"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(exist_ok=True)
            shutil.copy(source, copy / name)
    run_id, *_ = queue_runs(1)
    server = make_server(root=copy, STREAMLIT_SERVER_FILE_WATCHER_TYPE="poll")
    page.goto(f"{server.url}/monitor?run={run_id}")
    run = server.store.load(run_id)
    wait_for(lambda: run.status == "running", timeout_s=60, what="the run starts")
    pid = run.state().pid
    for name in ("wording.py", "lab.py"):
        path = copy / "pages" / "widgets" / name
        path.write_text(path.read_text(encoding="utf-8") + "\n# saved again\n", encoding="utf-8")
        time.sleep(1.5)
        page.reload()
        expect(page.get_by_role("button", name="Stop").first).to_be_enabled()
    assert run.status == "running"
    assert run.state().pid == pid
    assert count_workers(server.home) == 1
    wait_until_idle(page)  # the lab is made anew after a save, and a click that comes before its page is lost
    page.get_by_role("button", name="Stop").first.click()
    wait_for(lambda: run.status == "stopped", timeout_s=20, what="the run stops")
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_survival_of_a_deep_link_to_a_fresh_server(
    make_server: Callable[..., Server], page: Page, tmp_path: Path, name: str
) -> None:
    """A bookmark opened as the first thing after a start shows its page in the frame; nothing is fetched elsewhere."""
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    server = make_server()
    page.goto(f"{server.url}/{name}?run=20260101-1200-lora-r8-vit_tiny-0000")
    title = "MedPEFT Lab" if name == "home" else name.capitalize()
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    menu = page.get_by_test_id("stSidebarNav")
    expect(menu.get_by_text("Compare", exact=True)).to_be_visible()
    expect(menu.get_by_text("app", exact=True)).to_have_count(0)
    expect(page.get_by_text("Page not found")).to_have_count(0)
    expect(page.get_by_text("not for clinical use").first).to_be_visible()
    assert page.get_by_test_id("stException").count() == 0
    assert {urlparse(address).hostname for address in addresses if address.startswith("http")} == {"127.0.0.1"}
