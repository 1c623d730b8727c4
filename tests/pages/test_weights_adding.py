"""Adding weights on their page: a check of every tensor, then a job; each state of it."""

import dataclasses
import shutil
from functools import partial

import pytest
from monitor_visits import click, read_table, read_texts
from stored_jobs import make_job
from train_visits import use_stand_in
from weights_visits import check, inspect, open_add, open_weights, write_mae_file

from medpeft_core.backbones.demo import DEMO_BACKBONE
from medpeft_core.backbones.shelf import find_on_shelf
from medpeft_core.errors import BackboneError
from medpeft_core.worker.jobs import JobStore
from pages.widgets.weights_draft import DRAFT_KEY
from pages.widgets.weights_uploads import keep_upload, sweep_uploads, uploads_dir


@pytest.fixture(scope="module")
def bad_file(tmp_path_factory):
    """The same without a tensor that the model needs."""
    return write_mae_file(tmp_path_factory.mktemp("bad") / "bad.pth", without="blocks.3.attn.qkv.weight")


@pytest.fixture
def compute(monkeypatch):
    """Stands in for the compute process; it answers nothing unless a test says what."""
    return use_stand_in(monkeypatch)


@pytest.fixture
def weights(app, compute):
    return partial(open_weights, app)


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
