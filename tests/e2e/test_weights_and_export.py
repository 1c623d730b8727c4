"""Foreign weights in, adapters out, as a person does it: a file onto the shelf and to Train; a run out and in again."""

import argparse
import dataclasses
import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from axe_faults import find_faults
from lab_server import Server, wait_until_idle
from playwright.sync_api import Page, expect
from safetensors.torch import load_file
from stored_runs import LABELS, make_run

from medpeft_core.backbones.build import get_base_state
from medpeft_core.backbones.demo import DEMO_BACKBONE, find_demo_weights
from medpeft_core.backbones.shelf import find_on_shelf
from medpeft_core.backbones.weights import store_base
from medpeft_core.runs.run import Run
from medpeft_core.training.best import save_best
from medpeft_core.training.build import build_bare_backbone, build_model

pytestmark = pytest.mark.slow
SETTLED_MS = 1000  # what was drawn anew is pale for a moment


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A finished run whose adapter and base are real tensors, as after training."""
    home = tmp_path / "home"
    monkeypatch.setenv("MEDPEFT_HOME", str(home))
    run = make_run(home, backbone=DEMO_BACKBONE, settings={"backbone": {"weights": "demo"}})
    config = run.config()
    bare = dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, weights_sha256=None))
    sha256 = store_base(get_base_state(build_bare_backbone(bare, num_classes=len(LABELS))), home / "weights")
    run.save_config(dataclasses.replace(config, backbone=dataclasses.replace(bare.backbone, weights_sha256=sha256)))
    shutil.rmtree(run.adapter_dir)
    save_best(build_model(run.config(), num_classes=len(LABELS)).adapted, run.adapter_dir)
    return run


@pytest.fixture
def mae_file(tmp_path: Path) -> Path:
    """A file as MAE's code leaves it, of the demo backbone: container, arguments, decoder."""
    state = load_file(find_demo_weights(DEMO_BACKBONE))
    state |= {"mask_token": torch.zeros(1, 1, 32), "decoder_embed.weight": torch.zeros(32, 192)}
    path = tmp_path / "mae_tiny.pth"
    torch.save({"model": state, "epoch": 799, "args": argparse.Namespace(lr=1e-3)}, path)
    return path


@pytest.mark.timeout(600)
def test_weights_come_in_and_runs_go_out(
    run: Run, mae_file: Path, make_server: Callable[..., Server], page: Page, tmp_path: Path
) -> None:
    server = make_server()
    add_weights(server, page, mae_file)
    page.get_by_role("link", name="Fine-tune from these").first.click()
    expect(page.get_by_role("heading", name="Train", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile("--weights shelf:mae_tiny .*--set backbone.mean=0.4978"))).to_be_visible()

    page.goto(f"{server.url}/monitor?run={run.run_id}")
    download_adapter(page, tmp_path / "adapter.zip")
    archive = download_archive(page, tmp_path / "run.zip")
    before = {path.name: path.read_bytes() for path in run.adapter_dir.iterdir()}
    delete(page)
    bring_in(page, archive, run.run_id)
    assert {path.name: path.read_bytes() for path in run.adapter_dir.iterdir()} == before
    assert page.get_by_test_id("stException").count() == 0


def add_weights(server: Server, page: Page, mae_file: Path) -> None:
    """From the empty shelf over the table of tensors to an entry."""
    page.goto(f"{server.url}/weights")
    page.get_by_role("link", name="Add weights").click()
    path = page.locator("[class*=st-key-weights_path] input")
    path.fill(str(mae_file))
    path.press("Enter")
    # until the page has taken it over: a field that is filled while the page is drawn anew loses what was typed
    expect(page.locator("[class*=st-key-weights_name] input")).to_have_value("mae_tiny")
    choose(page, "Backbone", "Demo ViT/8, plain ViT")
    choose(page, "Normalisation", re.compile("MRM"))
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text("Layout: mae")).to_be_visible()
    expect(page.get_by_text("2 dropped").first).to_be_visible()
    page.wait_for_timeout(SETTLED_MS)
    assert find_faults(page) == []
    page.get_by_role("button", name="Add to the shelf").click()
    expect(page.get_by_text("mae_tiny is on the shelf")).to_be_visible()
    assert find_on_shelf(server.home, "mae_tiny").mean == (0.4978, 0.4978, 0.4978)


def choose(page: Page, label: str, option: str | re.Pattern[str]) -> None:
    """Take an option of a list."""
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option).first.click()
    wait_until_idle(page)


def download_adapter(page: Page, path: Path) -> None:
    """The adapter for peft: made by a job, its outputs compared, taken along as a zip whose hashes are right."""
    page.get_by_role("button", name="Make: PEFT adapter").click()
    expect(page.get_by_text(re.compile("Its logits (are|differ)"))).to_be_visible()
    wait_until_idle(page)
    page.wait_for_timeout(SETTLED_MS)
    assert find_faults(page) == []
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as zip").click()
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        about = json.loads(archive.read("export.json"))
        assert about["max_difference"] < 1e-5
        assert {"adapter_config.json", "adapter_model.safetensors"} <= set(archive.namelist())
        for item in about["files"]:
            assert hashlib.sha256(archive.read(item["name"])).hexdigest() == item["sha256"]


def download_archive(page: Page, path: Path) -> Path:
    """The whole run."""
    page.get_by_text("Whole run", exact=True).click()
    expect(page).to_have_url(re.compile("monitor_export=Whole"))
    page.get_by_role("button", name="Make: Whole run").click()
    expect(page.get_by_role("button", name="Download", exact=True)).to_be_visible()
    wait_until_idle(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    download.value.save_as(path)
    return path


def delete(page: Page) -> None:
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("No runs yet")).to_be_visible()


def bring_in(page: Page, archive: Path, run_id: str) -> None:
    """Back again, by an upload."""
    page.get_by_role("button", name="Bring in a run").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("An upload").click()
    dialog.locator("input[type=file]").set_input_files(archive)
    expect(dialog.get_by_role("button", name="Remove run.zip")).to_be_visible()
    dialog.get_by_role("button", name="Bring it in").click()
    expect(page.get_by_text("All its hashes were right")).to_be_visible()
    expect(page.get_by_text(run_id, exact=True).first).to_be_visible()
    expect(page.get_by_text("Test result")).to_be_visible()
