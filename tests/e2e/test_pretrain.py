"""Pre-training as a person does it: set up, watch what it rebuilds, and take the encoder to Train."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_server import Server, wait_for, wait_until_idle
from playwright.sync_api import Page, expect

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import inspect_dataset
from medpeft_core.runs.run import Run

TRAINING_S = 240  # many times what a quiet machine takes


@pytest.fixture
def lab(make_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server whose home holds a tiny set of phantoms, prepared."""
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "home"))
    inspect_dataset(DataConfig(options={"num_patients": 40, "size": 64}, cache_size=64))
    return make_server()


@pytest.mark.slow
def test_pretraining_from_the_form_to_a_run_on_its_encoder(lab: Server, page: Page) -> None:
    """Start two epochs, see the pictures follow, and find the encoder in the form of Train."""
    page.goto(f"{lab.url}/pretrain")
    expect(page.get_by_text("never looked at")).to_be_visible()
    fill_form(page)
    page.get_by_role("button", name="Start pre-training").click()
    page.wait_for_url(re.compile(r"\?run=\d{8}-\d{4}-mae-test_vit-"), timeout=TRAINING_S * 1000)
    [run] = lab.store.list_pretrainings()
    expect(page.get_by_text(run.run_id, exact=True)).to_be_visible()
    wait_for(lambda: run.is_finished, timeout_s=TRAINING_S, what="the pre-training ends")
    assert run.status == "finished", run.state().error

    expect(page.get_by_text("Rebuilt after epoch 2")).to_be_visible()  # by itself, without a reload
    check_pictures(page)
    check_slider(page)
    check_encoder(page, run)
    assert page.get_by_test_id("stException").count() == 0


def fill_form(page: Page) -> None:
    """The smallest ViT that timm has, at the size of the images."""
    choice = page.get_by_role("combobox", name=re.compile("Backbone"))
    choice.click()
    choice.press_sequentially("test_vit")
    choice.press("Enter")
    for key, value in (("image_size", "64"), ("epochs", "2"), ("batch_size", "16")):
        field = page.locator(f".st-key-pretrain_{key} input")
        field.fill(value)
        field.press("Enter")
        # until the page has taken it over: a field that is filled while the page is drawn anew loses what was typed
        expect(page.get_by_text(re.compile(f"--{key.replace('_', '-')} {value}\\b"))).to_be_visible()
        wait_until_idle(page)
    expect(
        page.get_by_text(re.compile("--backbone test_vit --image-size 64 .*--epochs 2 --batch-size 16"))
    ).to_be_visible()


def check_pictures(page: Page) -> None:
    """Three rows of words for screen readers, each with a picture that the browser could load."""
    for words in ("as they are", "as the encoder sees them", "rebuilt after epoch 2"):
        picture = page.get_by_role("img", name=re.compile(words))
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth") >= 64


def check_slider(page: Page) -> None:
    """Back to the untrained model by keyboard."""
    slider = page.locator("[class*=st-key-pretrain_epoch_]").get_by_role("slider")
    slider.focus()
    slider.press("ArrowLeft")
    expect(page.get_by_text("Rebuilt after epoch 1")).to_be_visible()
    slider.press("ArrowLeft")
    expect(page.get_by_text("Rebuilt by the untrained model")).to_be_visible()


def check_encoder(page: Page, run: Run) -> None:
    """The weights can be taken along, and Train begins with them."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Weights").first.click()
    stored = run.encoders_dir / "epoch-0002.safetensors"
    assert download.value.path().read_bytes() == stored.read_bytes()
    page.get_by_role("link", name="Train on it").first.click()
    expect(page.get_by_role("heading", name="Train", exact=True)).to_be_visible()
    expect(page.locator(".st-key-train_weights_file input, [class*=st-key-train_weights_file] input")).to_have_value(
        str(stored)
    )
    expect(page.get_by_text("--backbone test_vit")).to_be_visible()
