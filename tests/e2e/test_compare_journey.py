"""The researcher's visit in a real browser: tick runs, read a difference, save a chart, tag, delete and undo."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from lab_server import ROOT, Server, wait_for, wait_until_idle
from PIL import Image
from playwright.sync_api import Browser, Download, Locator, Page, expect
from stored_runs import make_run

from medpeft_core.reports.sentences import write_signed

NUM_DIGITS = 3


@pytest.fixture
def server(make_server: Callable[..., Server], tmp_path: Path) -> Server:
    """A lab with two finished runs that differ, and a third one."""
    home = tmp_path / "home"
    make_run(home, quality=0.4)
    make_run(home, method="full", quality=2.0)
    make_run(home, method="linear", quality=1.0)
    return make_server()


def test_compare_two_runs_and_read_the_number_of_the_command_line(server: Server, page: Page) -> None:
    """What the page says about two ticked runs is what `compare --json` gives for them."""
    page.goto(f"{server.url}/compare")
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
    wait_until_idle(page)
    tick(page, 1)
    expect(page.get_by_text("1 selected")).to_be_visible()
    tick(page, 2)
    expect(page.get_by_text("2 selected")).to_be_visible()
    expect(page.get_by_role("heading", name="Differences")).to_be_visible()

    answer = ask_command_line(server, read_selected(page))
    (pair,) = answer["pairs"]
    sentence = page.get_by_text("the interval")
    expect(sentence.first).to_contain_text(f"{abs(pair['delta_auroc']):.{NUM_DIGITS}f} AUROC")
    expect(sentence.first).to_contain_text(f"({write_signed(pair['low'])} to {write_signed(pair['high'])})")
    assert pair["delta_auroc"] == answer["runs"][1]["test_auroc"] - answer["runs"][0]["test_auroc"]
    for run in answer["runs"]:
        shown = f"{run['test_auroc']:.3f} ({run['test_auroc_low']:.3f} to {run['test_auroc_high']:.3f})"
        expect(page.get_by_role("img", name=shown).or_(page.get_by_label(shown)).first).to_be_attached()
    page.reload()
    expect(page.get_by_text("2 selected")).to_be_visible()
    assert page.get_by_test_id("stException").count() == 0


def test_charts_are_saved_as_pictures_and_data(server: Server, page: Page) -> None:
    """The saved forest is a white picture, a drawing with its disclaimer, and the stored numbers."""
    run = server.store.list_runs()[0]
    page.goto(f"{server.url}/compare?runs={run.run_id}")
    menu = page.locator(".st-key-compare_forest_save")
    menu.get_by_role("button").first.click()
    picture = Image.open(save(page, "Picture (PNG)").path()).convert("RGB")
    assert picture.width > 1500
    assert picture.getpixel((3, 3)) == (255, 255, 255)
    drawing = Path(save(page, "Drawing (SVG)").path()).read_text(encoding="utf-8")
    assert "not for clinical use" in drawing
    assert "Synthetic images" in drawing
    rows = pd.read_csv(io.BytesIO(Path(save(page, "Data (CSV)").path()).read_bytes()))
    metrics = run.metrics()
    assert metrics is not None
    assert rows.set_index("label").loc["mean of the labels", "value"] == pytest.approx(metrics["test_auroc"])


def test_tag_delete_and_undo(server: Server, page: Page) -> None:
    """Tags are stored; deleted runs leave the table and come back with everything that they had."""
    runs = server.store.list_runs()[:2]
    page.goto(f"{server.url}/compare?runs={','.join(run.run_id for run in runs)}")
    page.get_by_role("button", name="Tags and notes").click()
    box = page.get_by_role("combobox", name="Tags that all 2 runs have")
    box.fill("for the paper")
    box.press("Enter")  # the list of tags stays open, and lay over Save
    page.get_by_test_id("stFormSubmitButton").get_by_role("button").click()
    wait_for(lambda: all(run.meta()["tags"] == ["for the paper"] for run in runs), timeout_s=30, what="tags are stored")
    page.keyboard.press("Escape")
    before = {path: path.read_bytes() for run in runs for path in run.folder.rglob("*") if path.is_file()}

    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("2 runs deleted.")).to_be_visible()
    assert len(server.store.list_runs()) == 1
    page.reload()  # a new visit has no undo bar, but the list of what was deleted
    wait_until_idle(page)
    page.get_by_text("Recently deleted (2)").click()
    page.get_by_role("button", name="Bring back all").click()
    wait_for(lambda: len(server.store.list_runs()) == 3, timeout_s=30, what="both runs are back")
    assert {path: path.read_bytes() for path in before} == before

    page.goto(f"{server.url}/compare?runs={runs[0].run_id}")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("1 selected")).to_be_visible()
    assert len(server.store.list_runs()) == 3
    assert page.get_by_test_id("stException").count() == 0


def test_no_toolbar_of_a_table_lies_over_the_page_on_a_touch_screen(server: Server, browser: Browser) -> None:
    """It stayed for ever over "Columns" and over the end of a sentence, as nothing hovers there."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{server.url}/compare")
    page.get_by_test_id("stDataFrame").first.wait_for()
    toolbar = page.get_by_test_id("stElementToolbar").first
    toolbar.wait_for(state="attached")
    expect(toolbar).to_be_hidden()
    context.close()


def test_columns_are_kept_in_the_address(server: Server, page: Page) -> None:
    """A link shows the table as its sender saw it."""
    page.goto(f"{server.url}/compare")
    page.get_by_role("button", name="Columns", exact=True).wait_for()
    wait_until_idle(page)  # a popover that is opened while the page is still drawn closes again
    page.get_by_role("button", name="Columns", exact=True).click()
    page.get_by_role("button", name="Remove Backbone").click()
    wait_for(lambda: "columns=" in page.url, timeout_s=30, what="the address names the columns")
    page.goto(page.url)
    page.get_by_role("button", name="Columns", exact=True).click()
    chosen = page.locator(".st-key-columns")
    expect(chosen).to_contain_text("Val curve")
    expect(chosen).not_to_contain_text("Backbone")


def tick(page: Page, row: int) -> None:
    """Click the box of a row of the runs table, whose cells are painted."""
    canvas = page.locator('[class*="st-key-compare_runs"] canvas').first
    canvas.wait_for()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 15, box["y"] + 38 + 35 * (row - 1) + 17)
    wait_until_idle(page)


def read_selected(page: Page) -> list[str]:
    wait_for(lambda: "runs=" in page.url, timeout_s=30, what="the address names the runs")
    return page.url.partition("runs=")[2].partition("&")[0].replace("%2C", ",").split(",")


def ask_command_line(server: Server, run_ids: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "medpeft_core", "compare", *run_ids, "--json"],
        cwd=ROOT,
        env={**os.environ, "MEDPEFT_HOME": str(server.home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def save(page: Page, label: str) -> Download:
    button: Locator = page.get_by_role("button", name=label)
    with page.expect_download() as download:
        button.click()
    return download.value
