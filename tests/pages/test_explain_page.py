"""The Explain page: choosing run, image and label, the pictures when they come, and what is said when they do not."""

import pytest
from explain_visits import open_page, read_address, read_words

from medpeft_core.errors import DataError, ExplainError
from medpeft_core.reports.predictions import CASES, choose_labels, load_predictions, sort_cases


def test_explain_page_of_an_empty_lab_says_how_to_begin(app):
    open_page(app)
    assert "No runs yet" in read_words(app)
    assert [item.proto.label for item in app.main.get("page_link")] == ["Start the demo", "Train a model"]


def test_explain_page_without_a_finished_run_says_to_wait(app, home, make_run, compute):
    make_run(home, status="running")
    open_page(app)
    assert "No run is finished yet" in read_words(app)
    assert compute.asked == []


def test_explain_page_shows_pictures_and_probabilities(app, home, make_run, compute):
    run = make_run(home)
    open_page(app, run=run.run_id)
    predictions = load_predictions(run)
    own = predictions.labels[choose_labels(predictions)[0]]
    image = predictions.table["image"][0]
    (asked,) = compute.asked
    assert {name: asked[name] for name in ("kind", "run_id", "image", "label")} == {
        "kind": "explain", "run_id": run.run_id, "image": image, "label": own,
    }  # fmt: skip
    alts = [item.alt for element in app.get("image") for item in element.proto.imgs]
    overlay = f"Test image {image}, as decoded. The same image with the heat map for {own} at 60 % opacity."
    assert alts == [overlay, "Scale of the colours, Inferno."]
    words = read_words(app)
    assert "**Image 1** of 60" in words
    assert f"**heat map** for `{own}`" in words
    assert "layer `layer4`" in words
    assert "it proves nothing" in words
    assert "not for clinical use" in words
    assert "Synthetic images" in words
    table = app.dataframe[0].value
    assert sorted(table["label"]) == sorted(predictions.labels)
    assert table["prob"].tolist() == sorted(table["prob"], reverse=True)


def test_explain_page_asks_for_each_picture_once(app, home, make_run, compute):
    open_page(app, run=make_run(home).run_id)
    app.slider(key="explain_opacity").set_value(30).run()
    assert len(compute.asked) == 1
    alts = [item.alt for element in app.get("image") for item in element.proto.imgs]
    assert alts[0].endswith("at 30 % opacity.")


def test_explain_page_pages_through_the_images(app, home, make_run, compute):
    run = make_run(home)
    open_page(app, run=run.run_id, image="59")
    app.button(key="explain_next").click().run()
    assert "**Image 60** of 60" in read_words(app)
    assert read_address(app, "image") == "60"
    assert app.button(key="explain_next").disabled
    app.button(key="explain_previous").click().run()
    assert "**Image 59** of 60" in read_words(app)
    images = load_predictions(run).table["image"]
    assert [asked["image"] for asked in compute.asked] == [images[58], images[59], images[58]]
    assert len({asked["slot"] for asked in compute.asked}) == 1  # an image that was left need not be computed


@pytest.mark.parametrize("image", ["0", "61", "-1", "1e3", "x", "9" * 400, "²"])
def test_explain_page_takes_the_first_image_for_an_address_that_names_none(app, home, make_run, compute, image):
    open_page(app, run=make_run(home).run_id, image=image)
    assert "**Image 1** of 60" in read_words(app)


@pytest.mark.parametrize("case", list(CASES))
def test_explain_page_filters_by_how_the_call_went(app, home, make_run, compute, case):
    run = make_run(home)
    open_page(app, run=run.run_id, label="Effusion", show=case)
    predictions = load_predictions(run)
    rows = sort_cases(predictions, "Effusion")[case].rows
    assert f"**Image 1** of {len(rows)}" in read_words(app)
    assert compute.asked[-1]["image"] == predictions.table["image"][rows[0]]
    assert compute.asked[-1]["label"] == "Effusion"
    assert read_address(app, "image") == str(rows[0] + 1)


def test_explain_page_writes_label_and_filter_into_the_address(app, home, make_run, compute):
    open_page(app, run=make_run(home).run_id)
    app.selectbox(key="explain_label").set_value("Nodule").run()
    app.selectbox(key="explain_case").set_value("missed").run()
    assert (read_address(app, "label"), read_address(app, "show")) == ("Nodule", "missed")
    assert compute.asked[-1]["label"] == "Nodule"
    app.selectbox(key="explain_label").set_value(None).run()
    assert read_address(app, "label") is None


def test_explain_page_says_when_no_image_is_of_a_kind(app, home, make_run, compute):
    open_page(app, run=make_run(home, labels=("Effusion", "Never")).run_id, label="Never", show="found")
    assert "Choose another label" in read_words(app)
    assert compute.asked == []


def test_explain_page_explains_itself_while_the_model_loads(app, home, make_run, compute):
    compute.is_silent = True
    open_page(app, run=make_run(home).run_id)
    assert "Loading the model" in read_words(app)
    assert len(app.get("skeleton")) == 1
    assert len(app.dataframe) == 1  # the probabilities do not wait


def test_explain_page_shows_words_in_place_of_a_flat_map(app, home, make_run, compute):
    compute.changes = {"cam_path": None, "cam_error": "The map for 'Effusion' is flat: nothing to show."}
    open_page(app, run=make_run(home).run_id)
    assert "is flat" in read_words(app)
    assert len(app.get("image")) == 1
    assert not app.slider


def test_explain_page_shows_why_an_image_cannot_be_explained(app, home, make_run, compute):
    compute.error = DataError("The data set 'phantom' is not prepared. Prepare it.")
    open_page(app, run=make_run(home).run_id)
    assert "is not prepared" in read_words(app)
    assert [item.proto.label for item in app.main.get("page_link")] == ["Prepare the data"]
    compute.error = None
    app.button(key="explain_retry").click().run()
    assert len(app.get("image")) == 2


def test_explain_page_shows_a_message_as_text(app, home, make_run, compute):
    """A label from a file could have loaded a picture from outside through an error message."""
    compute.error = ExplainError("No label '![x](http://example.org/x.png)'.")
    open_page(app, run=make_run(home).run_id)
    assert "![x](" not in app.error[0].value


def test_explain_page_asks_again_when_pictures_were_cleared_away(app, home, make_run, compute, pictures, tmp_path):
    open_page(app, run=make_run(home).run_id)
    pictures.cam.rename(tmp_path / "moved.png")
    pictures.cam = tmp_path / "moved.png"
    app.run()
    assert not app.exception
    assert len(compute.asked) == 2


def test_explain_page_turns_an_unfinished_run_away(app, home, make_run, compute):
    finished = make_run(home)
    running = make_run(home, status="running", epochs_done=1)
    open_page(app, run=running.run_id)
    assert f"The run {running.run_id} is running. Only a finished run can be explained" in read_words(app)
    assert read_address(app, "run") == finished.run_id


def test_explain_page_shows_what_is_wrong_with_damaged_predictions(app, home, make_run, compute):
    run = make_run(home)
    (run.predictions_dir / "test.parquet").write_bytes(b"PAR1")
    open_page(app, run=run.run_id)
    assert "Resume the run to evaluate it again" in read_words(app).replace("\\", "")
    assert compute.asked == []


def test_explain_page_tells_a_run_without_patient_ids(app, home, make_run, compute):
    run = make_run(home)
    metrics = run.metrics()
    metrics["training"]["num_train_patients"] = None
    run.save_metrics(metrics)
    open_page(app, run=run.run_id)
    assert "could not be checked" in read_words(app)
