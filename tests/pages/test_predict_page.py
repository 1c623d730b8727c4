"""The Predict page: choosing a run, uploads of all kinds, answers when they come, and what is kept of them: nothing."""

import asyncio
import base64
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest
from predict_visits import PREVALENCE, PROBS, THRESHOLDS, encode, open_page, read_alts, read_words, upload
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

from medpeft_core.errors import ComputeError, RunError
from medpeft_core.worker.compute import ComputeClient
from pages.widgets.model_notes import NOT_CALIBRATED
from pages.widgets.predict_probs import (
    SYNTHETIC_MODEL,
)
from pages.widgets.predict_uploads import MAX_IMAGES


@pytest.fixture
def compute(monkeypatch):
    """Stands in for the compute process: it answers at once, with an error, or not at all."""
    fake = SimpleNamespace(asked=[], ready=[], error=None, is_silent=False, changes={})

    def submit(self, kind, *, slot=None, **arguments):
        (fake.ready if kind == "predict_ready" else fake.asked).append(arguments)
        future = Future()
        if fake.error is not None:
            future.set_exception(fake.error)
        elif not fake.is_silent:
            picture = base64.b64encode(encode(size=(32, 32))).decode()
            answer = {
                "run_id": arguments["run_id"], "label": arguments.get("label") or "Effusion", "probs": PROBS,
                "thresholds": THRESHOLDS, "prevalence": PREVALENCE, "square": picture, "image_size": 32,
                "cam": picture, "cam_error": None, "grid": [4, 4], "layer": "layer4",
                "is_synthetic": False, "warnings": [],
            }  # fmt: skip
            future.set_result({**answer, **fake.changes})
        return future

    monkeypatch.setattr(ComputeClient, "submit", submit)
    return fake


def test_predict_page_of_an_empty_lab_leads_on(app):
    open_page(app)
    assert "There is no model yet" in read_words(app)
    assert [item.proto.label for item in app.main.get("page_link")] == ["Start the demo", "Train a model"]
    assert not app.main.get("file_uploader")


def test_predict_page_without_a_finished_run_says_to_wait(app, home, make_run, compute):
    make_run(home, status="running")
    open_page(app)
    assert "No run is finished yet" in read_words(app)
    assert compute.ready == []


def test_predict_page_says_what_must_be_known_and_loads_the_model_ahead(app, home, make_run, compute):
    run = make_run(home)
    open_page(app)
    app.run()
    words = read_words(app)
    assert NOT_CALIBRATED in words
    assert "not for clinical use" in words
    assert SYNTHETIC_MODEL in words
    assert "nothing of them is stored or sent anywhere" in words
    assert compute.ready == [{"run_id": run.run_id}]
    assert [item.proto.label for item in app.main.get("page_link")] == ["Look at its test images"]


def test_predict_page_says_when_a_run_is_no_better_than_chance(app, home, make_run, compute):
    make_run(home, quality=0.0)
    open_page(app)
    assert "no better than guessing" in read_words(app)


def test_predict_page_turns_an_unfinished_run_away(app, home, make_run, compute):
    make_run(home)
    running = make_run(home, status="running", epochs_done=1)
    open_page(app, run=running.run_id)
    assert f"The run {running.run_id} is running. Only a finished run can predict" in read_words(app)


def test_predict_page_shows_one_image(app, home, make_run, compute):
    run = make_run(home)
    open_page(app)
    upload(app, ("thorax.png", encode()))
    (asked,) = compute.asked
    assert asked["run_id"] == run.run_id
    assert asked["source_size"] == [30, 40]
    assert asked["label"] is None
    assert "thorax" not in str(asked)  # a name may say who it is; it stays in this process
    table = app.dataframe[0].value
    assert table["label"].tolist() == ["Effusion", "Cardiomegaly", "Nodule"]
    assert table["call"].tolist() == ["● yes (≥ 0.40)", "○ no (< 0.30)", "n/a"]
    words = read_words(app)
    assert "thorax" in words
    assert "32 × 32 pixels, of 40 × 30 in the file (grey). 25 % of the longer side are cut off." in words
    assert "it proves nothing" in words
    assert any("heat map for Effusion at 60 % opacity" in alt for alt in read_alts(app))
    assert any(alt == "What the model sees of your image 1: 32 by 32 pixels." for alt in read_alts(app))


def test_predict_page_says_how_good_the_run_is_for_the_label_and_how_fine_its_map(app, home, make_run, compute):
    run = make_run(home)
    open_page(app)
    upload(app, ("a.png", encode()))
    figures = run.metrics()["test"]["per_class"]
    for label in ("Effusion", "Nodule"):
        if label == "Nodule":
            app.selectbox(key="predict_label").set_value(label).run()
        assert f"{label}: test AUROC {figures[label]['auroc']:.3f}" in read_words(app)
    words = read_words(app)
    assert "The map has 4 × 4 cells" in words
    assert "no call for Nodule" in words


def test_predict_page_draws_the_map_of_a_chosen_label(app, home, make_run, compute):
    make_run(home)
    open_page(app)
    upload(app, ("a.png", encode()))
    app.selectbox(key="predict_label").set_value("Nodule").run()
    assert [asked["label"] for asked in compute.asked] == [None, "Nodule"]
    assert any("heat map for Nodule" in alt for alt in read_alts(app))
    app.selectbox(key="predict_label").set_value(None).run()
    assert len(compute.asked) == 2


def test_predict_page_pages_through_several(app, home, make_run, compute):
    make_run(home)
    open_page(app)
    upload(app, *((f"{number}.png", encode(number)) for number in range(3)))
    assert len(compute.asked) == 3
    assert "**Image 1** of 3" in read_words(app)
    app.button(key="predict_next").click().run()
    app.button(key="predict_next").click().run()
    assert "**Image 3** of 3" in read_words(app)
    assert app.button(key="predict_next").disabled
    assert len(compute.asked) == 3
    results = next(frame.value for frame in app.dataframe if "called" in frame.value.columns)
    assert results["image"].tolist() == ["0.png", "1.png", "2.png"]
    assert results["called"].tolist() == ["Effusion"] * 3


def test_predict_page_says_what_is_wrong_with_each_file(app, home, make_run, compute):
    make_run(home)
    open_page(app)
    upload(
        app,
        ("good.png", encode()),
        ("text.png", b"no picture at all"),
        ("empty.png", b""),
        ("scan.dcm", bytes(128) + b"DICM" + bytes(50)),
        ("anim.png", encode(kind="GIF")),
    )
    problems = [item.value.replace("\\", "") for item in app.main.error]
    assert [text.partition(" is ")[0] for text in problems] == ["text.png", "empty.png", "scan.dcm", "anim.png"]
    assert "scan.dcm is cut off" in problems[2]
    assert "GIF image" in problems[3]
    assert len(compute.asked) == 1


def test_predict_page_takes_ten_and_each_file_once(app, home, make_run, compute):
    make_run(home)
    open_page(app)
    files = [(f"{number}.png", encode(number)) for number in range(MAX_IMAGES)]
    upload(app, *files, ("more.png", encode(99)))
    assert "the last 1 was left out" in read_words(app)
    assert len(compute.asked) == MAX_IMAGES
    upload(app, ("a.png", encode(7)), ("b.png", encode(7)))
    assert "b\\.png is the same file as a\\.png" in read_words(app)


def test_predict_page_shows_names_as_text(app, home, make_run, compute):
    """A name could have loaded a picture from outside, or have been run as a script."""
    make_run(home)
    open_page(app)
    name = "![x](http:example.org) <img src=x onerror=alert(1)> **b**.png"
    upload(app, (name, encode()), (f"2{name}", b"text"))
    for item in [*app.main.markdown, *app.main.error, *app.main.caption]:
        assert "![x](" not in item.value
        assert "<img" not in item.value.replace("\\<", "")


def test_predict_page_explains_itself_while_the_model_loads(app, home, make_run, compute):
    make_run(home)
    open_page(app)
    compute.is_silent = True
    upload(app, ("a.png", encode()), ("b.png", encode(1)))
    texts = [item.proto.text for item in app.main.get("progress")]
    assert texts == ["Loading the model library (about 8 s, once) …"]
    assert len(app.get("skeleton")) == 1
    assert "Your image 1, as it was read." in read_alts(app)


@pytest.mark.parametrize("error", [RunError("The run has no weights."), ComputeError("It ended. a_b ![x](y)")])
def test_predict_page_shows_why_there_is_no_answer_and_tries_again(app, home, make_run, compute, error):
    make_run(home)
    open_page(app)
    compute.error = error
    upload(app, ("a.png", encode()))
    assert str(error).split(".")[0] in read_words(app).replace("\\", "")
    assert "![x](" not in read_words(app)
    compute.error = None
    app.button(key="predict_retry").click().run()
    assert not app.exception
    assert len(app.dataframe) == 1


def test_predict_page_warns_of_an_image_that_is_unlike_the_others(app, home, make_run, compute):
    make_run(home)
    open_page(app)
    compute.changes = {"warnings": ["It is in colour, while all training images are grey."], "cam": None}
    compute.changes["cam_error"] = "The map for 'Effusion' is flat."
    upload(app, ("cat.png", encode()))
    words = read_words(app)
    assert "It is in colour" in words
    assert "do not trust the answer" in words
    assert "is flat" in words


def test_predict_page_forgets_what_is_cleared(app, home, make_run, compute):
    make_run(home)
    open_page(app)
    upload(app, ("secret.png", encode()))
    assert app.session_state["predict_checked"]
    app.button(key="predict_clear").click().run()
    assert not app.exception
    assert "secret" not in read_words(app)
    assert not app.session_state["predict_checked"]
    assert not app.session_state["predict_answers"]
    assert not app.main.get("file_uploader")[0].value


def test_predict_page_forgets_a_file_that_is_taken_away(app, home, make_run, compute):
    make_run(home)
    open_page(app)
    upload(app, ("a.png", encode(1)))
    upload(app, ("b.png", encode(2)))
    assert len(app.session_state["predict_checked"]) == 1
    assert len(app.session_state["predict_answers"]) == 1


def test_predict_page_asks_another_run_anew(app, home, make_run, compute):
    first, second = make_run(home), make_run(home, method="full")
    open_page(app, run=first.run_id)
    upload(app, ("a.png", encode()))
    app.selectbox(key="predict_run").set_value(second.run_id).run()
    assert [asked["run_id"] for asked in compute.asked] == [first.run_id, second.run_id]
    app.selectbox(key="predict_run").set_value(first.run_id).run()
    assert len(compute.asked) == 2


def test_predict_page_lets_no_upload_reach_the_disk(app, home, make_run, compute, monkeypatch):
    """The web server wrote uploads above 1 MB to a nameless temporary file before the page ever saw them."""
    make_run(home)
    monkeypatch.setattr(MultiPartParser, "spool_max_size", 1024**2)
    open_page(app)
    content = np.random.default_rng(0).bytes(20 * 1024**2)
    head = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'

    async def stream():
        yield head
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]
        yield b"\r\n--x--\r\n"

    headers = Headers({"content-type": "multipart/form-data; boundary=x"})
    form = asyncio.run(MultiPartParser(headers, stream()).parse())
    assert form["f"].size == len(content)
    assert form["f"].file._rolled is False
