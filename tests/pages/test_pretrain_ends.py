"""What a pre-training leaves on its page: encoders, remedies, copies, the trash."""

from functools import partial

import pytest
from pretrain_visits import (
    list_buttons,
    list_links,
    open_pretrain,
    read_words,
    rerun,
)  # fmt: skip
from stored_pretrainings import make_pretraining
from train_visits import use_stand_in


@pytest.fixture(autouse=True)
def compute(monkeypatch):
    """Stands in for the compute process; it answers nothing unless a test says what."""
    return use_stand_in(monkeypatch)


@pytest.fixture
def pretrain(app):
    return partial(open_pretrain, app)


def test_encoders_are_offered_with_card_download_and_training(pretrain, home):
    run = make_pretraining(home, epochs_done=4)
    app = pretrain(run=run.run_id)
    words = read_words(app)
    assert "**Epoch 4** · loss 0." in words
    assert "**Epoch 2** · loss 0." in words
    assert "# Encoder after epoch 4" in words
    assert list_links(app)["Train on it"][1] == f"encoder={run.run_id}&epoch=2"  # the last of that name on the page
    assert len(app.get("download_button")) >= 4


def test_train_takes_an_encoder_over(app, home):
    """Backbone, weights file, image size and data set are filled in, and the file brings its own normalisation."""
    run = make_pretraining(home, settings={"encoder": {"image_size": 64}, "data": {"split_seed": 3}})
    app.run()
    app.switch_page("pages/train.py")
    app.query_params["encoder"], app.query_params["epoch"] = run.run_id, "2"
    rerun(app)
    draft = app.session_state["train_draft"]
    assert draft["backbone"]["name"] == "vit_tiny_patch16_224"
    assert draft["backbone"]["weights"] == str(run.encoders_dir / "epoch-0002.safetensors")
    assert draft["backbone"]["image_size"] == 64
    assert "mean" not in draft["backbone"]
    assert (draft["data"]["dataset"], draft["data"]["split_seed"]) == ("phantom", 3)
    assert "encoder" not in app.query_params
    assert any("encoder of epoch 2" in item.value for item in app.toast)


@pytest.mark.parametrize(
    ("run_id", "epoch", "sentence"),
    [
        ("../../etc", "2", "names no pre-training"),
        ("20261125-2229-mae-vit_tiny-0000", "2", "There is no run"),
        (None, "77", "has no encoder of that epoch"),
    ],
)
def test_train_refuses_an_encoder_that_is_not_here(app, home, run_id, epoch, sentence):
    run = make_pretraining(home)
    app.run()
    app.switch_page("pages/train.py")
    app.query_params["encoder"], app.query_params["epoch"] = run_id or run.run_id, epoch
    rerun(app)
    assert sentence in "\n".join(item.value for item in app.error).replace("\\", "")


@pytest.mark.parametrize(
    ("error", "label", "section", "name", "value"),
    [
        ("The memory of cpu ran out with --batch-size 64.", "Retry with batch 32", "train", "batch_size", 32),
        (
            "The loss (nan) is no longer a finite number at step 3 (epoch 1).",
            "Retry with learning rate 1.5e-05", "optim", "base_lr", 1.5e-5,
        ),
    ],
)  # fmt: skip
def test_failed_pretraining_offers_a_remedy(pretrain, home, monkeypatch, error, label, section, name, value):
    asked = []
    monkeypatch.setattr("pages.widgets.pretrain_actions.start_pretraining", asked.append)
    run = make_pretraining(home, status="failed", epochs_done=1, error=error)
    app = pretrain(run=run.run_id)
    next(item for item in app.button if item.label == label).click().run()
    assert not app.exception
    assert asked[0][section][name] == pytest.approx(value)


def test_stopped_pretraining_is_resumed(pretrain, home):
    run = make_pretraining(home, status="stopped", epochs_done=1)
    app = pretrain(run=run.run_id)
    next(item for item in app.button if item.label == "Resume from the last checkpoint").click().run()
    assert run.status == "queued"


def test_pretraining_is_deleted_and_brought_back(pretrain, home):
    run = make_pretraining(home)
    app = pretrain(run=run.run_id)
    app.button(key="pretrain_delete").click().run()
    app.button(key="pretrain_delete_confirmed").click().run()
    assert not app.exception
    assert not run.folder.exists()
    assert "Recently deleted (1)" in [item.label for item in app.expander]
    app.button(key=f"pretrain_back_{run.run_id}").click().run()
    assert run.folder.exists()
    assert "1 pre-training in this lab" in read_words(app)


def test_damaged_pretraining_can_be_deleted(pretrain, home):
    run = make_pretraining(home)
    run.config_path.write_text("{")
    app = pretrain(run=run.run_id)
    assert "This pre-training cannot be read" in read_words(app)
    assert "Delete it" in list_buttons(app)
