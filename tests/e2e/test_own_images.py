"""Own images as a person brings them: a folder per class, and a table with odd names of columns; then one epoch."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_faults import find_faults
from lab_server import Server, wait_for, wait_until_idle
from own_visits import make_class_folder, make_table_folder
from playwright.sync_api import Locator, Page, expect

ROW_HEIGHT = 35  # pixels, of the table of columns
SETTLED_MS = 800  # colours change slowly below the pointer
PREPARING_MS, TABLE_S, TRAINING_S = 120_000, 30, 240  # many times what a quiet machine takes


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_own_images_become_data_sets_and_are_trained_on(
    make_server: Callable[..., Server], page: Page, tmp_path: Path
) -> None:
    server = make_server()
    eyes = make_class_folder(tmp_path / "eyes")
    films = make_table_folder(tmp_path / "films")

    page.goto(f"{server.url}/data")
    page.get_by_role("button", name="Add your own images").click()
    upload(page, "Upload a folder", eyes)
    expect(page.get_by_text("40 files")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(": healthy$"))).to_have_count(4)
    page.mouse.move(0, 0)  # off the choice that was clicked
    page.wait_for_timeout(SETTLED_MS)
    assert find_faults(page) == []
    add(page, "eyes")
    expect(figure(page, "40")).to_be_visible()

    page.goto(f"{server.url}/data?own=1")
    upload(page, "Upload files or a zip", [films / "tabelle.csv", *sorted((films / "bilder").iterdir())])
    expect(page.get_by_text("41 files")).to_be_visible()
    expect(figure(page, "unknown")).to_be_visible()  # nobody can tell that "Wer" holds the patients
    correct(page, row=1, title="Patient")
    expect(figure(page, "20")).to_be_visible()
    add(page, "Films of <b>mine</b>")
    expect(page.get_by_text("Films of <b>mine</b>").first).to_be_visible()
    page.get_by_role("link", name="Train on it", exact=True).click()
    train(server, page)
    assert page.get_by_test_id("stException").count() == 0


def figure(page: Page, value: str) -> Locator:
    """A card with that figure."""
    return page.get_by_test_id("stMetricValue").filter(has_text=re.compile(f"^{value}$")).first


def upload(page: Page, place: str, files: Path | list[Path]) -> None:
    page.get_by_role("radio", name=place).click()
    wait_until_idle(page)
    page.locator("[class*=st-key-own_files] input[type=file]").set_input_files(files)
    expect(page.get_by_text("What the lab found")).to_be_visible()
    wait_until_idle(page)


def correct(page: Page, *, row: int, title: str) -> None:
    """Choose what a column is used for, by keyboard: the table is a canvas."""
    table = page.locator("[class*=st-key-own_columns]")
    option = page.locator("#portal").get_by_role("option", name=title, exact=True)
    wait_for(lambda: open_cell(page, table, row, option), timeout_s=TABLE_S, what="the list of roles opens")
    option.click()
    # what is drawn anew may stand beside what it replaces for a moment
    expect(page.get_by_role("button", name="Back to the lab's guess", disabled=False).first).to_be_visible()
    wait_until_idle(page)


def open_cell(page: Page, table: Locator, row: int, option: Locator) -> bool:
    """Try to open the second cell of a row; the table may still be moving, or not be drawn yet."""
    table.scroll_into_view_if_needed()
    canvas = table.locator("canvas").first
    expect(canvas).to_be_visible()
    box = canvas.bounding_box()
    if box is None:
        return False
    page.mouse.click(box["x"] + 30, box["y"] + ROW_HEIGHT * (row + 1) + 17)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_timeout(SETTLED_MS)
    return option.is_visible()


def add(page: Page, name: str) -> None:
    """Name the set, store and prepare it, and wait for its report."""
    field = page.get_by_role("textbox", name="Name")
    field.fill(name)
    field.press("Enter")
    wait_until_idle(page)
    page.get_by_role("button", name="Add and prepare").click()
    expect(page.get_by_text("What to know before training")).to_be_visible(timeout=PREPARING_MS)
    expect(page.get_by_role("link", name="Train on it", exact=True)).to_be_visible()
    wait_until_idle(page)


def train(server: Server, page: Page) -> None:
    """One epoch of timm's smallest ResNet on what the form stands on."""
    expect(page.get_by_role("heading", name="Train", exact=True)).to_be_visible()
    backbone = page.get_by_role("combobox", name="Backbone").first
    backbone.click()
    backbone.fill("test_resnet")
    backbone.press("Enter")
    expect(page.get_by_text("--backbone test_resnet")).to_be_visible()
    page.get_by_text("Expert settings").click()
    page.get_by_role("tab", name="Training").click()
    epochs = page.locator("[class*=st-key-train_train_epochs] input")
    epochs.fill("1")
    epochs.press("Enter")
    expect(page.get_by_text(re.compile(r"--dataset films_of_b_mine_b .*--epochs 1\b"))).to_be_visible()
    wait_until_idle(page)
    page.get_by_role("button", name="Start training").click()
    wait_for(lambda: bool(server.store.list_runs()), timeout_s=TRAINING_S, what="the run is set up")
    [run] = server.store.list_runs()
    wait_for(lambda: run.is_finished, timeout_s=TRAINING_S, what="the run ends")
    assert run.status == "finished", run.state().error
    assert run.config().data.dataset == "films_of_b_mine_b"
    page.goto(f"{server.url}/monitor?run={run.run_id}")
    expect(page.get_by_text("Test result")).to_be_visible()
