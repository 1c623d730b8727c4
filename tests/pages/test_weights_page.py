"""The Weights page: the shelf, adding with a check of every tensor, and the way to Train; each state of it."""

import argparse
import dataclasses
import shutil
from functools import partial

import pytest
import torch
from monitor_visits import click, list_links, read_table, read_texts
from safetensors.torch import load_file
from stored_jobs import make_job
from train_visits import open_train, use_stand_in

from medpeft_core.backbones.demo import DEMO_BACKBONE, find_demo_weights
from medpeft_core.backbones.shelf import find_on_shelf, list_shelf
from medpeft_core.backbones.shelf_adding import add_weights
from medpeft_core.errors import BackboneError
from medpeft_core.worker.compute_process import answer_request, load_weights_answers
from medpeft_core.worker.jobs import JobStore
from pages.widgets.weights_draft import DRAFT_KEY
from pages.widgets.weights_report import build_frame
from pages.widgets.weights_uploads import keep_upload, sweep_uploads, uploads_dir
from pages.widgets.weights_view import ADD, TAB_KEY

LICENCE = "CC <b>BY</b> [x](y)"  # as somebody might write it to look into another's page


@pytest.fixture(scope="module")
def mae_file(tmp_path_factory):
    """A file as MAE's code leaves it, of the demo backbone: container, arguments, decoder."""
    state = load_file(find_demo_weights(DEMO_BACKBONE))
    state |= {"mask_token": torch.zeros(1, 1, 32), "decoder_embed.weight": torch.zeros(32, 192)}
    path = tmp_path_factory.mktemp("weights") / "mae_tiny.pth"
    torch.save({"model": state, "epoch": 799, "args": argparse.Namespace(lr=1e-3)}, path)
    return path


@pytest.fixture(scope="module")
def bad_file(mae_file, tmp_path_factory):
    """The same without a tensor that the model needs."""
    state = torch.load(mae_file, weights_only=False)["model"]
    del state["blocks.3.attn.qkv.weight"]
    path = tmp_path_factory.mktemp("bad") / "bad.pth"
    torch.save({"model": state}, path)
    return path


@pytest.fixture(scope="module")
def stocked(mae_file, tmp_path_factory):
    """A home with one entry that was really added."""
    home = tmp_path_factory.mktemp("stocked") / "home"
    add_weights(
        home=home, source=str(mae_file), backbone=DEMO_BACKBONE, name="mae-tiny", licence=LICENCE, normalisation="mrm"
    )
    return home


@pytest.fixture
def shelf(stocked, home):
    """This test's home, with that entry."""
    shutil.copytree(stocked, home, dirs_exist_ok=True)
    return home


@pytest.fixture
def compute(monkeypatch):
    """Stands in for the compute process; it answers nothing unless a test says what."""
    return use_stand_in(monkeypatch)


@pytest.fixture
def weights(app, compute):
    return partial(open_weights, app)


def open_weights(app, **address):
    app.run()
    app.switch_page("pages/weights.py")
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].message
    return app


def open_add(weights, path=None, **address):
    """The form, with a file of the demo backbone in it when one is given."""
    app = weights(**{TAB_KEY: ADD}, **address)
    if path is not None:
        draft = app.session_state[DRAFT_KEY]
        draft |= {"path": str(path), "backbone": DEMO_BACKBONE, "name": "new-one"}
        app.run()
    return app


def check(app, compute, answer):
    """Press the button; the compute process answers so."""
    compute.answers["inspect_weights"] = answer
    return click(app, "Check the file")


def inspect(path, backbone=DEMO_BACKBONE):
    """What the compute process really answers."""
    arguments = {"path": str(path), "backbone": backbone, "layout": "auto"}
    return answer_request({"kind": "inspect_weights", "arguments": arguments}, load_weights_answers())


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


def test_known_weights_fill_the_form(weights):
    app = open_add(weights, known="mrm")
    text = read_texts(app)
    assert "file not opened here" in " ".join(item.value for item in app.markdown)
    assert "github\\.com/RL4M/MED\\-PEFT" in text
    draft = app.session_state[DRAFT_KEY]
    assert (draft["layout"], draft["normalisation"], draft["name"]) == ("mae", "mrm", "mrm")
    assert app.selectbox(key=find_key(app, "weights_normalisation")).value == "mrm"


def find_key(app, beginning):
    """The key of a list that may have been made anew since."""
    return next(item.key for item in app.selectbox if item.key and item.key.startswith(beginning))


def test_check_without_a_file_asks_for_one(weights, compute):
    app = click(open_add(weights), "Check the file")
    assert "Give a file first." in app.error[0].value
    assert compute.asked == []


def test_check_that_is_not_answered_yet_says_so(weights, compute, mae_file):
    app = check(open_add(weights, mae_file), compute, None)
    assert "Reading the file and comparing it" in read_texts(app)
    assert compute.asked[-1] == (
        "inspect_weights",
        {"path": str(mae_file), "backbone": DEMO_BACKBONE, "layout": "auto"},
    )


def test_good_file_shows_every_tensor_and_is_added_by_a_job(weights, compute, mae_file, monkeypatch):
    answer = inspect(mae_file)["answer"]
    app = check(open_add(weights, mae_file), compute, answer)
    table = read_table(app, "Fate")
    assert len(table) == len(answer["rows"])
    assert set(table["Fate"]) == {"loaded", "dropped"}
    assert "Layout: **mae**; tensors under model; also in the file, and not read: epoch, args" in read_texts(app)
    started = []
    monkeypatch.setattr(JobStore, "start", lambda self, kind, title, *, options: started.append((kind, title, options)))
    app.button(key="weights_add").click().run()
    assert started == [
        (
            "add_weights",
            "Adding new-one",
            {
                "source": str(mae_file),
                "name": "new-one",
                "backbone": DEMO_BACKBONE,
                "layout": "auto",
                "normalisation": "",
                "licence": "",
                "reference": "",
                "known": "",
            },
        )
    ]


def test_file_that_does_not_fit_shows_its_faults_first_and_cannot_be_added(weights, compute, bad_file):
    answer = inspect(bad_file)["answer"]
    app = check(open_add(weights, bad_file), compute, answer)
    assert read_table(app, "Fate").iloc[0].to_dict() == {
        "Fate": "missing",
        "In the file": "–",
        "In the model": "blocks.3.attn.qkv.weight",
        "Shape": "–",
        "Needed": "576 × 192",
        "Note": answer["rows"][0]["note"],
    }
    assert "1 tensor keeps this file from being loaded" in app.error[0].value
    assert not any(item.key == "weights_add" for item in app.button)


def test_refused_file_says_why(weights, compute, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"not a file of tensors")
    problem = inspect(path)["error"]["text"]
    app = check(open_add(weights, path), compute, BackboneError(problem))
    assert app.error[0].proto.title == "This file was refused"
    assert "model\\.safetensors" in app.error[0].value


def test_name_that_is_taken_is_refused_before_the_job(weights, compute, mae_file, shelf):
    app = open_add(weights, mae_file)
    app.session_state[DRAFT_KEY]["name"] = "mae-tiny"
    app = check(app.run(), compute, inspect(mae_file)["answer"])
    assert "of this name on the shelf already" in app.warning[0].value
    assert app.button(key="weights_add").disabled


def test_job_at_work_and_its_end_are_shown(weights, shelf):
    job = make_job(shelf, "add_weights", title="Adding x", options={"source": "/x.pth"}, what="hashing the file")
    app = weights()
    assert "**Adding x**: Hashing the file" in read_texts(app)
    assert app.button(key="weights_job").label == "Stop"
    entry = find_on_shelf(shelf, "mae-tiny").to_dict()
    shutil.rmtree(job.folder)
    make_job(
        shelf,
        "add_weights",
        title="Adding x",
        options={"source": "/x.pth"},
        status="finished",
        result={**entry, "was_there": False, "report": None},
    )
    app.run()
    assert "mae\\-tiny is on the shelf" in app.success[0].value
    click(app, "Dismiss")
    assert not app.success


def test_job_that_was_refused_says_why(weights, home):
    make_job(home, "add_weights", title="Adding x", options={}, status="failed", error="The tensor 'a_b' is missing.")
    assert "a\\_b" in weights().error[0].value


def test_hub_is_asked_by_a_click_and_downloads_by_another(weights, compute, monkeypatch):
    app = open_add(weights, known="rad_dino")
    app.session_state[DRAFT_KEY]["place"] = "hub"
    app.run()
    assert compute.asked == []  # a look at the page asks nobody
    found = {
        "repo": "microsoft/rad-dino",
        "file": "model.safetensors",
        "revision": "a" * 40,
        "num_bytes": 346_000_000,
        "licence": "mit",
        "sha256": "b" * 64,
        "is_gated": True,
        "source": f"hf:microsoft/rad-dino/model.safetensors@{'a' * 40}",
    }
    compute.answers["describe_hub"] = found
    app = click(app, "Look it up")
    assert compute.asked == [("describe_hub", {"source": "microsoft/rad-dino/model.safetensors"})]
    text = read_texts(app)
    assert "330 MiB · licence mit" in text
    assert "hf auth login" in text
    started = []
    monkeypatch.setattr(JobStore, "start", lambda self, kind, title, *, options: started.append(options))
    click(app, "Download 330 MiB and add")
    assert started[0]["source"] == found["source"]
    assert started[0]["known"] == "rad_dino"


def test_upload_is_kept_until_its_job_is_over(home, app):
    app.run()  # a lab on this home

    class Upload:
        name, size = "../../x.PTH", 3
        parts = (b"abc", b"")

        def seek(self, place):
            self.left = list(self.parts)

        def read(self, count):
            return self.left.pop(0)

    path = keep_upload(Upload())
    assert path.parent == uploads_dir()
    assert path.suffix == ".pth"
    assert path.read_bytes() == b"abc"
    job = make_job(home, "add_weights", title="x", options={"source": str(path)})
    sweep_uploads()
    assert path.is_file()
    job.write_state(dataclasses.replace(job.state(), status="finished"))
    sweep_uploads()
    assert not path.is_file()


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
