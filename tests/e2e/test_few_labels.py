"""The first lesson as a person takes it: the stored answer from Home, and own runs that are stopped and resumed.

Both are taken in a copy of the app with a tiny protocol, so that its runs take seconds.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab_server import ROOT, Server, wait_for, wait_until_idle
from playwright.sync_api import Page, expect
from stored_runs import make_run
from test_accessibility import SETTLED_MS, find_faults

from medpeft_core.lessons.cells import Standing, find_runs, look
from medpeft_core.lessons.protocol import Protocol, load_protocol
from medpeft_core.lessons.result import build_result
from medpeft_core.lessons.stored import store_finding
from medpeft_core.runs.store import RunStore

PARTS = ("app.py", "pages", "medpeft_core", "assets", ".streamlit")
TRAINING_S = 300  # many times what a quiet machine takes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the app whose lesson has two fractions and two seeds of one epoch on few small images."""
    copy = tmp_path / "app"
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    folder = copy / "assets" / "lessons" / "finding"
    values: dict[str, Any] = json.loads((folder / "protocol.json").read_text(encoding="utf-8"))
    shutil.rmtree(folder)
    folder.mkdir()
    values["data"] = {"dataset": "phantom", "options": {"num_patients": 60, "size": 64, "seed": 5}, "cache_size": 64}
    values["fractions"] = [
        {"fraction": fraction, "seeds": [1, 2], "epochs": 1, "batch_size": 8, "eval_every": 4}
        for fraction in (0.5, 1.0)
    ]
    for method in values["methods"].values():
        method["lr"] = {"0.5": 0.001, "1": 0.001}
    values["short"] = {"methods": ["lora", "full"], "fractions": [0.5], "num_seeds": 2}
    values["settings"]["evaluation"] = {"bootstrap_samples": 100}
    (folder / "protocol.json").write_text(json.dumps(values), encoding="utf-8")
    return copy


@pytest.fixture
def protocol(root: Path) -> Protocol:
    return load_protocol(root / "assets" / "lessons" / "finding" / "protocol.json")


def store_result(root: Path, home: Path, protocol: Protocol) -> dict[str, Any]:
    """Made-up runs for every cell in another home, stored as the lab's own result."""
    for number, cell in enumerate(protocol.list_cells(is_short=False)):
        settings = protocol.build_config(cell).to_dict()
        settings.pop("schema_version")
        make_run(home, method=settings["method"]["name"], backbone=settings["backbone"]["name"], fraction=cell.fraction,
                 seed=cell.seed, settings=settings, epochs_done=1, epochs=1, quality=0.5 + number / 20)  # fmt: skip
    standing = look_at(home, protocol, is_short=False)
    result = build_result(find_runs(RunStore(home), standing), protocol, is_short=False)
    store_finding(RunStore(home), standing, result, protocol, root / "assets" / "lessons" / "finding")
    return result


def look_at(home: Path, protocol: Protocol, *, is_short: bool = True) -> Standing:
    return look(RunStore(home), protocol, protocol.list_cells(is_short=is_short))


def expect_no_exception(page: Page) -> None:
    assert page.get_by_test_id("stException").count() == 0


def test_the_stored_answer_opens_from_home_after_a_prediction(
    root: Path, protocol: Protocol, tmp_path: Path, make_server: Callable[..., Server], page: Page
) -> None:
    """From Home to the question, three clicks to predict, and the answer with charts that can be saved."""
    result = store_result(root, tmp_path / "other", protocol)
    server = make_server(root)
    page.goto(server.url)
    page.get_by_role("link", name="Few labels: LoRA or full fine-tuning?").click()
    expect(page.get_by_text("Stored result", exact=True).first).to_be_visible()
    expect(page.get_by_text("folded away until you have said")).to_be_visible()
    for share, choice in (("50 %", "LoRA ahead"), ("100 %", "About equal")):
        line = page.get_by_role("radiogroup", name=f"({share})")
        line.get_by_role("radio", name=choice).click()
        wait_until_idle(page)
    expect(page.get_by_text("What you expected, and what came out")).to_be_visible()
    expect(page.get_by_text(re.compile("you expected LoRA ahead", re.I))).to_be_visible()
    expect(page.get_by_text(result["words"][:60])).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2)
    page.mouse.move(2, 2)  # a button under the pointer has other colours
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_timeout(SETTLED_MS)
        assert find_faults(page) == [], theme

    page.get_by_role("radio", name="Nodule").click()
    expect(page.get_by_text("AUROC against the number of labelled images, Nodule")).to_be_visible()
    wait_until_idle(page)
    page.get_by_role("button", name="Save").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Data (CSV)").click()
    text = download.value.path().read_text(encoding="utf-8")
    stored = [row for row in result["points"] if row["label"] == "Nodule" and row["method"] == "lora"]
    assert all(f"{row['mean']}" in text for row in stored)
    expect_no_exception(page)


@pytest.mark.slow
def test_own_runs_fill_the_grid_are_stopped_and_resumed(
    root: Path, protocol: Protocol, make_server: Callable[..., Server], page: Page
) -> None:
    """Start the short version, stop after a run has ended, resume, and read the whole answer without a reload."""
    server = make_server(root)
    page.goto(f"{server.url}/lesson_labels")
    page.get_by_role("button", name="Just show me").click()
    page.get_by_role("button", name="Run the short version").click()
    home = server.home
    wait_for(lambda: look_at(home, protocol).num_done >= 1, timeout_s=TRAINING_S, what="a run is finished")
    stop = page.get_by_role("button", name="Stop", exact=True)
    if look_at(home, protocol).num_done < 4:
        stop.click()
        wait_for(lambda: not look_at(home, protocol).is_working, timeout_s=TRAINING_S, what="the runs have stopped")
        done = look_at(home, protocol).num_done
        assert done < 4
        expect(page.get_by_text(f"Not complete yet: {done} of 4 runs are finished.")).to_be_visible()
        page.get_by_role("button", name="Resume").click()
    wait_for(lambda: look_at(home, protocol).is_done, timeout_s=TRAINING_S, what="all runs are finished")
    assert len(RunStore(home).list_runs()) == 4, "what was finished or stopped is not made again"

    expect(page.get_by_text("All runs are finished.")).to_be_visible()
    expect(page.get_by_text(re.compile("Not complete yet"))).to_have_count(0)
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2)
    result = build_result(find_runs(RunStore(home), look_at(home, protocol)), protocol, is_short=True)
    expect(page.get_by_text(result["words"][:60])).to_be_visible()
    expect_no_exception(page)
    page.get_by_role("link", name="Compare LoRA and full with 50 %").click()
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
    expect(page.get_by_text("4 selected")).to_be_visible()
