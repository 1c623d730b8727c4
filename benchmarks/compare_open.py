"""How long Compare takes to open with 200 runs in a real browser, beside a plain Streamlit app with such a table.

python -m benchmarks.compare_open [--runs 200] [--rounds 10]

Needs Chromium. The page is open when its table stands and its script has run through; each visit is a new visitor
without a browser cache. "first visitor" is the first one of a freshly started server, which still has to import what
the page needs. No file of the page tests is needed to run the app; the made-up runs come from there.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.app_latency import ROOT, measure, serve, show

sys.path.insert(0, str(ROOT / "tests" / "pages"))
from stored_runs import make_runs

PLAIN_APP = """import pandas as pd
import streamlit as st
st.title("Compare")
rows = [{"run": f"run {i}", "status": "finished", "auroc": i / 1000, "curve": [0.5, i / 300], **{f"c{k}": i * k for k in
        range(13)}} for i in range(%d)]
st.dataframe(pd.DataFrame(rows), selection_mode="multi-row", on_select="rerun", key="runs",
             column_config={"curve": st.column_config.LineChartColumn("curve")})
"""
IS_OPEN = """() => document.querySelector('[data-testid=stApp][data-test-script-state=notRunning]')
    && document.querySelector('[data-testid=stMain] [data-testid=stDataFrame] canvas')"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home, plain = Path(folder) / "home", Path(folder) / "plain.py"
        (home / "runs").mkdir(parents=True)
        make_runs(home, arguments.runs)
        plain.write_text(PLAIN_APP % arguments.runs, encoding="utf-8")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        load = psutil.getloadavg()[0]
        print(f"{psutil.cpu_count()} cores, load {load:.1f}, {arguments.runs} runs, seconds: median (max)")
        measure_plain(browser, plain, home, arguments.rounds)
        measure_compare(browser, home, arguments.rounds)
        browser.close()


def measure_plain(browser: Browser, script: Path, home: Path, rounds: int) -> None:
    with serve(script, home) as url:
        show("plain app: first visitor", [open_page(browser, url)])
        show("plain app: new visitor", [open_page(browser, url) for _ in range(rounds)])


def measure_compare(browser: Browser, home: Path, rounds: int) -> None:
    run_ids = sorted(path.name for path in (home / "runs").iterdir() if "-lora-" in path.name)[:2]
    first = []
    for _ in range(3):
        with serve(ROOT / "app.py", home) as url:
            first.append(open_page(browser, f"{url}/compare"))
    show("first visitor", first)
    with serve(ROOT / "app.py", home) as url:
        open_page(browser, f"{url}/compare")
        show("new visitor", [open_page(browser, f"{url}/compare") for _ in range(rounds)])
        show(
            "with two runs selected",
            [open_page(browser, f"{url}/compare?runs={','.join(run_ids)}") for _ in range(rounds)],
        )
        page = browser.new_page()
        page.goto(url)
        page.get_by_role("heading", name="MedPEFT Lab", exact=True).wait_for()
        show("from Home by the menu", [go_and_return(page) for _ in range(rounds)])


def open_page(browser: Browser, url: str) -> float:
    """From entering the address to the table, as a new visitor."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    seconds = measure(lambda: page.goto(url), lambda: wait_until_open(page))
    context.close()
    return seconds


def go_and_return(page: Page) -> float:
    links = page.get_by_test_id("stSidebarNavLink")
    seconds = measure(links.filter(has_text="Compare").click, lambda: wait_until_open(page))
    links.filter(has_text="Home").click()
    page.get_by_role("heading", name="MedPEFT Lab", exact=True).wait_for()
    page.wait_for_timeout(500)
    return seconds


def wait_until_open(page: Page) -> None:
    page.get_by_role("heading", name="Compare", exact=True).wait_for()
    page.wait_for_function(IS_OPEN)


if __name__ == "__main__":
    main()
