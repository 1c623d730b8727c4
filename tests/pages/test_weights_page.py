"""The Weights page: what is on the shelf, and the way to Train; each state of it."""

from functools import partial

import pytest
from monitor_visits import list_links, read_texts
from train_visits import open_train, use_stand_in
from weights_visits import open_weights

from medpeft_core.backbones.demo import DEMO_BACKBONE
from medpeft_core.backbones.shelf import find_on_shelf, list_shelf
from pages.widgets.weights_report import build_frame
from pages.widgets.weights_view import TAB_KEY


@pytest.fixture
def compute(monkeypatch):
    """Stands in for the compute process; it answers nothing unless a test says what."""
    return use_stand_in(monkeypatch)


@pytest.fixture
def weights(app, compute):
    return partial(open_weights, app)


def test_empty_shelf_says_what_it_is_for_and_the_first_step(weights):
    app = weights()
    text = read_texts(app)
    assert "The shelf is empty" in text
    assert "The first step: get their file" in text
    assert list_links(app)["Add weights"] == ("weights", f"{TAB_KEY}=Add+weights")


def test_entry_shows_what_is_known_of_it_and_leads_to_train(weights, shelf):
    app = weights()
    text, entry = read_texts(app), find_on_shelf(shelf, "mae-tiny")
    assert "1 on the shelf" in text
    assert "From the file mae\\_tiny\\.pth" in text
    assert "CC \\<b\\>BY" in text  # nothing of it becomes markup
    assert f"SHA-256 `{entry.sha256[:12]}…`" in text
    assert any(entry.sha256 in item.help for item in app.caption if item.help)
    assert "No run uses it yet." in text
    assert list_links(app)["Fine-tune from these"] == ("train", "weights=mae-tiny")


def test_entry_links_to_the_runs_that_use_it(weights, shelf, make_run):
    run = make_run(shelf, settings={"backbone": {"name": DEMO_BACKBONE, "weights": "shelf:mae-tiny"}})
    app = weights()
    assert "Used by 1 run:" in read_texts(app)
    link = next(item.proto for item in app.main.get("page_link") if "run=" in item.proto.query_string)
    assert (link.page, link.query_string) == ("monitor", f"run={run.run_id}")


def test_entry_that_a_queued_run_needs_is_not_removed(weights, shelf, make_run):
    make_run(
        shelf,
        status="queued",
        epochs_done=0,
        settings={"backbone": {"name": DEMO_BACKBONE, "weights": "shelf:mae-tiny"}},
    )
    app = weights()
    app.button(key="weights_remove_mae-tiny").click().run()
    assert any("needs it" in item.value for item in app.warning)
    assert not any(item.key == "weights_removal" for item in app.button)
    assert list_shelf(shelf)


def test_entry_is_removed_after_a_question(weights, shelf):
    app = weights()
    app.button(key="weights_remove_mae-tiny").click().run()
    assert any("This frees" in item.value for item in app.markdown)
    app.button(key="weights_removal").click().run()
    assert "Removed" in app.toast[0].value
    assert list_shelf(shelf) == []
    assert "The shelf is empty" in read_texts(app)


def test_link_to_train_fills_in_backbone_weights_and_normalisation(app, compute, shelf):
    train = open_train(app.run(), weights="mae-tiny")
    backbone = train.session_state["train_draft"]["backbone"]
    entry = find_on_shelf(shelf, "mae-tiny")
    assert backbone["weights"] == "shelf:mae-tiny"
    assert (backbone["name"], backbone["mean"], backbone["std"]) == (DEMO_BACKBONE, entry.mean, entry.std)
    assert "--weights shelf:mae-tiny" in train.code[0].value
    assert "weights" not in train.query_params


def test_train_offers_the_shelf_for_its_backbone_only(app, compute, shelf):
    train = open_train(app.run())
    control = next(item for item in train.get("button_group") if item.key == "train_weights")
    assert "From the shelf" in [option.content for option in control.proto.options]
    control.set_value("shelf").run()
    assert train.session_state["train_draft"]["backbone"]["weights"] == "shelf:mae-tiny"  # the only one
    train.selectbox(key="train_backbone").set_value("resnet50").run()
    assert not train.exception
    backbone = train.session_state["train_draft"]["backbone"]
    assert not backbone.get("weights", "").startswith("shelf:")
    assert "mean" not in backbone


def test_table_of_tensors_keeps_the_order_of_the_report():
    rows = [
        {"source": "a", "target": "", "found": (2,), "needed": None, "fate": "unexpected", "note": "n"},
        {"source": "b", "target": "b", "found": (), "needed": (), "fate": "loaded", "note": ""},
    ]
    assert build_frame(rows)["Shape"].tolist() == ["2", "1"]
    assert build_frame(rows)["In the model"].tolist() == ["–", "b"]
