"""How the app answers in a real browser, idle and while a run trains on the CPU, beside a two-line Streamlit app.

python -m benchmarks.app_latency [--rounds 20]

Needs Chromium. Every figure is measured in the browser: from the click until the new thing is on the screen.
"""

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("Home", "Data", "Train", "Monitor", "Compare", "Explain")
AUROC_CHART = re.compile(r"^Val AUROC.*evaluation")
TINY_APP = """import streamlit as st
st.title("Plain")
st.write("on" if st.toggle("Each label", value=True) else "off")
"""
DATA = ["--dataset", "phantom", "--set", "data.num_patients=240", "--set", "data.size=128"]
MODEL = ["--backbone", "resnet18", "--method", "full", "--image-size", "112"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder) / "home"
        plain = Path(folder) / "plain.py"
        plain.write_text(TINY_APP, encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        print(f"{psutil.cpu_count()} cores, {rounds} rounds, seconds in the browser: median (max)")
        show("start: plain app", [measure_start(plain, home, browser, "Plain") for _ in range(3)])
        show("start: the lab's Home", [measure_start(ROOT / "app.py", home, browser, "MedPEFT Lab") for _ in range(3)])
        run_command(home, "train", *DATA, *MODEL, "--epochs", "2")
        with serve(ROOT / "app.py", home) as url, serve(plain, home) as plain_url:
            page, other = browser.new_page(), browser.new_page()
            measure_all(page, other, url, plain_url, rounds, "idle")
            run_command(home, "train", *DATA, *MODEL, "--epochs", "500", "--seed", "1", "--queue")
            wait_for_training(page, url)
            measure_all(page, other, url, plain_url, rounds, "training")
            measure_points(page, url, home, rounds)
        stop_everything(home)
        browser.close()


def measure_all(page: Page, other: Page, url: str, plain_url: str, rounds: int, state: str) -> None:
    """Page changes and a light click, interleaved with the same click in the plain app."""
    page.goto(url)
    page.get_by_role("heading", name="MedPEFT Lab", exact=True).wait_for()
    changes = []
    for number in range(rounds):
        name = PAGES[(number + 1) % len(PAGES)]
        title = "MedPEFT Lab" if name == "Home" else name
        link = page.get_by_test_id("stSidebarNavLink").filter(has_text=name)
        changes.append(measure(link.click, lambda t=title: page.get_by_role("heading", name=t, exact=True).wait_for()))
        page.wait_for_timeout(500)
    show(f"{state}: page change", changes)
    page.goto(f"{url}/monitor")
    page.get_by_label(AUROC_CHART).wait_for()
    other.goto(plain_url)
    other.get_by_text("on", exact=True).wait_for()
    clicks, plain_clicks = [], []
    for number in range(rounds):
        clicks.append(measure(*light_click(page, number)))
        word = "off" if number % 2 == 0 else "on"
        toggle = other.get_by_text("Each label")
        plain_clicks.append(measure(toggle.click, lambda w=word: other.get_by_text(w, exact=True).wait_for()))
        page.wait_for_timeout(300)
    show(f"{state}: light click", clicks)
    show(f"{state}: click in the plain app", plain_clicks)
    print(f"{'':>28}ratio {statistics.median(clicks) / statistics.median(plain_clicks):.2f}")


def light_click(page: Page, number: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Switch the labels' curves off or on, and what to wait for: that the chart has them no more, or again."""
    has_labels = "false" if number % 2 == 0 else "true"
    script = f"""() => {has_labels} === [...document.querySelectorAll('[data-testid=stVegaLiteChart] text')]
        .some(item => item.textContent === 'Effusion')"""
    toggle = page.get_by_test_id("stMain").get_by_text("Each label")
    return toggle.click, lambda: page.wait_for_function(script)


def measure(act: Callable[[], object], wait: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    wait()
    return time.perf_counter() - began


def measure_start(script: Path, home: Path, browser: object, title: str) -> float:
    """From `streamlit run` to the title in a new browser tab."""
    began = time.perf_counter()
    with serve(script, home) as url:
        page = browser.new_page()  # type: ignore[attr-defined]
        page.goto(url)
        page.get_by_role("heading", name=title, exact=True).wait_for()
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        seconds = time.perf_counter() - began
        page.close()
    return seconds


def measure_points(page: Page, url: str, home: Path, rounds: int) -> None:
    """From the event of a new val point in the run's log to the chart that shows it."""
    from medpeft_core.runs.store import RunStore

    run = next(run for run in RunStore(home).list_runs() if run.status == "running")
    page.goto(f"{url}/monitor?run={run.run_id}")
    page.get_by_label(AUROC_CHART).wait_for()
    delays = []
    for _ in range(min(rounds, 10)):
        count = count_evaluations(run)
        while count_evaluations(run) == count:
            time.sleep(0.02)
        event = [item for item in run.history() if item["type"] == "eval"][-1]
        page.get_by_label(re.compile(f"^Val AUROC.* {count + 1} evaluations")).wait_for(timeout=20_000)
        delays.append(time.time() - event["time"])
    show("new val point on the screen", delays)


def count_evaluations(run: object) -> int:
    return sum(item["type"] == "eval" for item in run.history())  # type: ignore[attr-defined]


def wait_for_training(page: Page, url: str) -> None:
    page.goto(f"{url}/monitor")
    page.get_by_label(AUROC_CHART).wait_for(timeout=300_000)


@contextmanager
def serve(script: Path, home: Path) -> Iterator[str]:
    """A server for a script, ended afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    process = subprocess.Popen(
        [*command, "--server.headless=true", "--server.address=127.0.0.1", "--browser.gatherUsageStats=false"],
        cwd=ROOT,
        env={**os.environ, "MEDPEFT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2):
                break
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def run_command(home: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "medpeft_core", *arguments],
        cwd=ROOT,
        env={**os.environ, "MEDPEFT_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def stop_everything(home: Path) -> None:
    from medpeft_core.runs.store import RunStore
    from medpeft_core.worker.launch import stop_worker

    store = RunStore(home)
    for run in store.list_runs():
        if run.status in ("queued", "running"):
            stop_worker(store, run, None)


def show(what: str, seconds: list[float]) -> None:
    print(f"{what:<28}{statistics.median(seconds):>8.3f} ({max(seconds):.3f})", flush=True)


if __name__ == "__main__":
    main()
