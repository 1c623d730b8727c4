"""The Explain page: choosing run, image and label, the pictures when they come, and what the model says."""

from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medpeft_core.errors import DataError, ExplainError
from medpeft_core.reports.disagreements import pair_predictions, sort_disagreements
from medpeft_core.reports.predictions import CASES, choose_labels, choose_other_label, load_predictions, sort_cases
from medpeft_core.worker.compute import ComputeClient
from pages.widgets import explain_answers
from pages.widgets.explain_probs import build_pair_table, build_probs_table, read_prevalence, write_truth
from pages.widgets.model_notes import NO_BETTER_THAN_CHANCE, NOT_CALIBRATED, note_synthetic, write_label_score
from pages.widgets.wording import SYNTHETIC

SIZE = (40, 60)  # height, width


@pytest.fixture
def pictures(tmp_path):
    """A grey image, and a map whose right half is strong and whose left half shows nothing."""
    image, cam = np.full(SIZE, 100, np.uint8), np.zeros(SIZE, np.uint8)
    cam[:, 30:] = 255
    Image.fromarray(image).save(tmp_path / "image.png")
    Image.fromarray(cam).save(tmp_path / "cam.png")
    return SimpleNamespace(image=tmp_path / "image.png", cam=tmp_path / "cam.png")


@pytest.fixture
def compute(monkeypatch, pictures):
    """Stands in for the compute process: `answer` is a dict, an error, or None for one that does not come."""
    fake = SimpleNamespace(asked=[], ahead=[], error=None, is_silent=False, changes={})

    def submit(self, kind, *, slot=None, **arguments):
        future = Future()
        if kind != "explain":
            fake.ahead.append({"kind": kind, **arguments})
            return future
        fake.asked.append({"kind": kind, "slot": slot, **arguments})
        if fake.error is not None:
            future.set_exception(fake.error)
        elif not fake.is_silent:
            future.set_result({**make_answer(pictures), **arguments, **fake.changes})
        return future

    monkeypatch.setattr(ComputeClient, "submit", submit)
    return fake


def make_answer(pictures):
    return {
        "image_path": str(pictures.image), "cam_path": str(pictures.cam), "cam_error": None, "layer": "layer4",
        "grid": [7, 7], "marks": [], "localisation": None, "warnings": [], "size": list(SIZE),
        "source_size": list(SIZE), "source_path": str(pictures.image),
    }  # fmt: skip


def open_page(app, **address):
    app.run()
    for name, value in address.items():
        app.query_params[name] = value
    app.switch_page("pages/explain.py").run()
    assert not app.exception, app.exception[0].message
    return app


def read_words(app):
    """All sentences of the page."""
    kinds = ("markdown", "caption", "info", "warning", "error")
    return "\n".join(item.value for kind in kinds for item in app.main.get(kind))


def read_address(app, name):
    value = app.query_params.get(name)  # a list once the page has written it
    return value[0] if isinstance(value, list) else value


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


def test_explain_page_jumps_to_an_image(app, home, make_run, compute):
    run = make_run(home)
    open_page(app, run=run.run_id)
    app.number_input(key="explain_position").set_value(42).run()
    assert "**Image 42** of 60" in read_words(app)
    assert read_address(app, "image") == "42"


@pytest.mark.parametrize("number", [0, 61, 999, -3])
def test_explain_page_says_which_images_there_are(app, home, make_run, compute, number):
    """Number 999 gave a red box without a word."""
    open_page(app, run=make_run(home).run_id, image="5")
    app.number_input(key="explain_position").set_value(number).run()
    assert f"There is no image {number} in this list. It has the images 1 to 60." in read_words(app)
    assert "**Image 5** of 60" in read_words(app)
    app.run()
    assert "There is no image" not in read_words(app)


def test_explain_page_opens_another_list_at_its_first_image(app, home, make_run, compute):
    """Whoever chose "Most certain and right" at the 42nd film stayed at it, somewhere within the new list."""
    run = make_run(home)
    predictions = load_predictions(run)
    right = sort_cases(predictions, "Effusion")["right"].rows
    open_page(app, run=run.run_id, label="Effusion", image=str(right[7] + 1))
    app.selectbox(key="explain_case").set_value("right").run()
    assert f"**Image 1** of {len(right)}" in read_words(app)
    app.button(key="explain_next").click().run()
    film = read_address(app, "image")
    app.selectbox(key="explain_label").set_value("Nodule").run()
    rows = (sort_cases(predictions, "Nodule")["right"].rows + 1).tolist()
    assert read_address(app, "image") == (film if int(film) in rows else str(rows[0]))


@pytest.mark.parametrize("case", ["present", "found", "missed", "alarm", "right", "wrong"])
def test_explain_page_without_a_label_lists_what_any_label_puts_there(app, home, make_run, compute, case):
    """All labels together had fewer missed findings than one of them, because each image was judged by one label."""
    run = make_run(home)
    open_page(app, run=run.run_id, show=case)
    predictions = load_predictions(run)
    images = sort_cases(predictions)[case]
    assert len(images) >= max(len(sort_cases(predictions, label)[case]) for label in predictions.labels)
    assert compute.asked[-1]["image"] == predictions.table["image"][images.rows[0]]
    assert compute.asked[-1]["label"] == predictions.labels[images.labels[0]]
    assert "Some label is" in read_words(app)


def test_explain_page_offers_another_map_in_place_of_a_flat_one(app, home, make_run, compute):
    """A missed finding has no map most of the time, and the page left its reader there."""
    run = make_run(home)
    compute.changes = {"cam_path": None, "cam_error": "The map for 'Effusion' is flat: nothing to show."}
    open_page(app, run=run.run_id, label="Effusion", image="3")
    words = read_words(app)
    assert "no heat map for `Effusion`" in words
    assert "**heat map**" not in words
    assert "Grad-CAM at the layer" not in words
    predictions = load_predictions(run)
    other = choose_other_label(predictions, 2, "Effusion")
    button = app.button(key="explain_instead_of")
    assert button.label == f"Show the map for {other} instead"
    compute.changes = {}
    button.click().run()
    assert compute.asked[-1]["label"] == other
    assert f"**heat map** for `{other}`, in place of `Effusion`" in read_words(app)
    assert f"{other}: test AUROC" in read_words(app)
    assert read_address(app, "label") == "Effusion"
    app.button(key="explain_next").click().run()
    app.button(key="explain_previous").click().run()
    assert "in place of" not in read_words(app)


def test_explain_page_says_how_good_the_run_is_for_the_label(app, home, make_run, compute):
    run = make_run(home)
    open_page(app, run=run.run_id, label="Nodule")
    found = run.metrics()["test"]["per_class"]["Nodule"]
    score = f"Nodule: test AUROC {found['auroc']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
    assert score in read_words(app)
    assert NOT_CALIBRATED in read_words(app)


def test_explain_page_warns_of_a_run_that_is_no_better_than_guessing(app, home, make_run, compute):
    """Predict warned of it, Explain showed its maps without a word."""
    good, bad = make_run(home, quality=2.0), make_run(home, quality=0.0, method="full")
    open_page(app, run=bad.run_id)
    assert NO_BETTER_THAN_CHANCE in read_words(app)
    open_page(app, run=good.run_id)
    assert NO_BETTER_THAN_CHANCE not in read_words(app)
    open_page(app, run=good.run_id, **{"with": bad.run_id})
    assert f"B: {NO_BETTER_THAN_CHANCE}" in read_words(app)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"auroc": 0.505, "low": 0.446, "high": 0.564}, "0.505 (0.446 to 0.564), **no better than guessing**"),
        ({"auroc": 0.7, "low": 0.6, "high": 0.8}, "0.700 (0.600 to 0.800)"),
        ({"auroc": 0.4, "low": 0.3, "high": 0.45}, "0.400 (0.300 to 0.450), **worse than guessing**"),
        ({"auroc": None, "low": None, "high": None, "reason": "no positive image"}, "n/a, no positive image"),
        (None, "n/a, not measured"),
    ],
)
def test_label_score_tells_what_it_is_worth(figures, words):
    metrics = {"test": {"per_class": {"No*dule": figures}}} if figures else {}
    assert write_label_score(metrics, "No*dule") == f"No\\*dule: test AUROC {words}"


def test_synthetic_note_names_the_run():
    """That no patient was imaged was said beside a run on patients too."""
    both, none = [{"is_synthetic": True}] * 2, [{"is_synthetic": False}] * 2
    assert note_synthetic(both) == note_synthetic(both[:1]) == [SYNTHETIC]
    assert note_synthetic(none) == []
    assert note_synthetic([none[0], both[0]]) == [f"B: s{SYNTHETIC[1:]}"]


def test_explain_page_offers_only_runs_on_the_same_data(app, home, make_run, compute):
    """Runs were offered that were then refused."""
    first, same = make_run(home), make_run(home, method="full")
    make_run(home, settings={"data": {"options": {"seed": 5}}})
    third = make_run(home, settings={"data": {"dataset": "phantom_shortcut"}})
    open_page(app, run=first.run_id)
    assert [option[-4:] for option in app.selectbox(key="explain_with").options] == [same.run_id[-4:]]
    open_page(app, run=third.run_id)
    choice = app.selectbox(key="explain_with")
    assert (choice.options, choice.disabled) == ([], True)
    assert choice.placeholder == "No second run on the same phantom_shortcut"


def test_explain_page_counts_the_images_of_each_choice(app, home, make_run, compute):
    run = make_run(home)
    open_page(app, run=run.run_id, label="Nodule")
    lists = sort_cases(load_predictions(run), "Nodule")
    assert app.selectbox(key="explain_case").options == [f"{CASES[case]} ({len(lists[case])})" for case in CASES]


def test_explain_page_shows_a_stored_answer_without_asking(app, home, make_run, compute, pictures, monkeypatch):
    """Whoever opened Explain on a fresh server waited for the model, though the map had been drawn before."""
    monkeypatch.setattr(
        explain_answers, "read_answer", lambda *_: make_answer(pictures) | {"run_id": "x", "image": "a.png"}
    )
    open_page(app, run=make_run(home).run_id)
    assert compute.asked == []
    assert len(app.get("image")) == 2
    assert {"kind": "hello"} in compute.ahead  # libraries are loaded for what comes next


def test_explain_page_has_the_next_image_prepared(app, home, make_run, compute):
    run = make_run(home)
    open_page(app, run=run.run_id)
    predictions = load_predictions(run)
    own = predictions.labels[choose_labels(predictions)[1]]
    ahead = [item for item in compute.ahead if item["kind"] == "explain_ahead"]
    assert ahead == [
        {"kind": "explain_ahead", "run_id": run.run_id, "image": predictions.table["image"][1], "label": own}
    ]
    app.run()
    assert len([item for item in compute.ahead if item["kind"] == "explain_ahead"]) == 1


def test_explain_page_prepares_nothing_while_an_image_is_waited_for(app, home, make_run, compute):
    compute.is_silent = True
    open_page(app, run=make_run(home).run_id)
    assert {item["kind"] for item in compute.ahead} == {"hello"}


def test_explain_page_says_how_the_map_falls_on_the_finding(app, home, make_run, compute):
    mark = {"label": "Effusion", "kind": "box", "png": None, "boxes": [[0.1, 0.1, 0.5, 0.5]]}
    other = {**mark, "label": "Nodule"}
    found = {"share": 0.384, "chance": 0.0613, "is_hit": True}
    compute.changes = {"marks": [other, mark], "localisation": found}
    open_page(app, run=make_run(home).run_id, label="Effusion", show="present")
    words = read_words(app)
    assert "**38 %** of the map's weight lies inside the outline of Effusion" in words
    assert "a map spread evenly would have 6.1 % there" in words
    assert "Its strongest place lies **inside**" in words
    assert "The map has 7 × 7 cells" in words
    assert "**1** Effusion" in words
    assert "Nodule \\(box" not in words
    app.selectbox(key="explain_outlines").set_value("all").run()
    assert "**2** Nodule" in read_words(app)


def test_explain_page_lays_two_runs_beside_each_other(app, home, make_run, compute):
    first, second = make_run(home, seed=0), make_run(home, seed=0, method="full", quality=2.0)
    open_page(app, run=first.run_id, label="Effusion", show="disagree", **{"with": second.run_id})
    pair = pair_predictions(first, load_predictions(first), second, load_predictions(second))
    rows, _ = sort_disagreements(pair, "Effusion")
    assert f"**Image 1** of {len(rows)}" in read_words(app)
    image = pair.first.table["image"][rows[0]]
    assert [(item["run_id"], item["image"], item["label"]) for item in compute.asked] == [
        (first.run_id, image, "Effusion"), (second.run_id, image, "Effusion"),
    ]  # fmt: skip
    assert len({item["slot"] for item in compute.asked}) == 2
    assert len(app.get("image")) == 4  # each with its scale
    words = read_words(app)
    assert "**A** · LoRA" in words
    assert "**B** · Full fine\\-tuning" in words
    assert "Each map has its own scale" in words
    table = app.dataframe[0].value.set_index("label")
    assert table.loc["Effusion", "prob_A"] == pytest.approx(pair.first.table["prob_Effusion"][rows[0]])
    assert table.loc["Effusion", "prob_B"] == pytest.approx(pair.second.table["prob_Effusion"][rows[0]])
    assert table.loc["Effusion", "differs"] == "≠ differ"


def test_explain_page_puts_the_second_run_into_the_address(app, home, make_run, compute):
    first, second = make_run(home), make_run(home, method="full")
    open_page(app, run=first.run_id)
    assert not any("disagree" in option for option in app.selectbox(key="explain_case").options)
    app.selectbox(key="explain_with").set_value(second.run_id).run()
    assert read_address(app, "with") == second.run_id
    app.selectbox(key="explain_case").set_value("disagree").run()
    assert read_address(app, "show") == "disagree"
    app.selectbox(key="explain_with").set_value(None).run()
    assert (read_address(app, "with"), read_address(app, "show")) == (None, None)


@pytest.mark.parametrize("wanted", ["20260101-1200-full-resnet18-0000", "<b>", "first"])
def test_explain_page_drops_a_second_run_that_is_none(app, home, make_run, compute, wanted):
    run = make_run(home)
    open_page(app, run=run.run_id, **{"with": run.run_id if wanted == "first" else wanted})
    assert read_address(app, "with") is None
    assert len(compute.asked) == 1


def test_explain_page_says_why_two_runs_cannot_be_compared(app, home, make_run, compute):
    first = make_run(home)
    second = make_run(home, settings={"data": {"options": {"seed": 5}}})
    open_page(app, run=first.run_id, **{"with": second.run_id})
    assert "tested on different data" in read_words(app)
    assert len(compute.asked) == 1  # the first run is shown by itself


def test_explain_page_says_which_labels_one_run_lacks(app, home, make_run, compute):
    first, second = make_run(home, labels=("Effusion", "Nodule")), make_run(home, labels=("Effusion", "Mass"))
    open_page(app, run=first.run_id, label="Nodule", **{"with": second.run_id})
    words = read_words(app)
    assert "Known to one of the runs only: Nodule, Mass." in words.replace("\\", "")
    assert "does not know this image or the label `Nodule`" in words
    assert len(compute.asked) == 1


def test_explain_page_shows_the_table_when_the_data_are_gone(app, home, make_run, compute):
    compute.error = DataError("The data set 'phantom' is not prepared.")
    open_page(app, run=make_run(home).run_id)
    assert "The probabilities are stored with the run" in read_words(app)
    assert len(app.dataframe[0].value) == 5


def test_probs_table_tells_call_truth_and_prevalence(home, make_run):
    run = make_run(home)
    predictions = load_predictions(run)
    table = build_probs_table(predictions, 0, read_prevalence(run)).set_index("label")
    counts = run.provenance()["positives"]["Effusion"]
    share = 100 * counts["num_positive"] / (counts["num_positive"] + counts["num_negative"])
    assert table.loc["Effusion", "prevalence"] == pytest.approx(share)
    assert table.loc["Effusion", "prob"] == predictions.table["prob_Effusion"][0]
    assert (table["truth"].str.endswith("yes")).all()  # the first stored image has every finding
    called = table["call"].str.contains("yes")
    assert (table["truth"].str.startswith("✕") == ~called).all()
    assert isinstance(table, pd.DataFrame)


def test_pair_table_marks_wrong_calls(home, make_run):
    first, second = make_run(home, seed=0), make_run(home, seed=0, method="full", quality=0.0)
    pair = pair_predictions(first, load_predictions(first), second, load_predictions(second))
    num_wrong = 0
    for row in range(20):
        for line in build_pair_table(pair, row).itertuples():
            for call in (line.call_A, line.call_B):
                says_yes = " yes " in call
                is_wrong = says_yes != line.truth.endswith("yes")
                assert call[0] == ("✕" if is_wrong else "●" if says_yes else "○")
                num_wrong += is_wrong
            assert line.differs == ("same" if (" yes " in line.call_A) == (" yes " in line.call_B) else "≠ differ")
    assert num_wrong > 0


@pytest.mark.parametrize(
    ("target", "is_called", "truth"),
    [
        (1.0, True, "● yes"), (0.0, False, "○ no"), (1.0, False, "✕ yes"), (0.0, True, "✕ no"),
        (1.0, None, "● yes"), (0.0, None, "○ no"), (float("nan"), True, "? unknown"),
    ],
)  # fmt: skip
def test_write_truth_marks_what_the_call_got_wrong(target, is_called, truth):
    assert write_truth(target, is_called) == truth


def test_explain_stays_with_the_run_that_was_looked_at_on_another_page(app, home, make_run):
    """Who went from one page to the next by the menu found another run there than the one just read about."""
    first = make_run(home, seed=1)
    make_run(home, seed=2)
    app.query_params["run"] = first.run_id
    app.run()
    app.switch_page("pages/monitor.py").run()
    del app.query_params["run"]
    app.switch_page("pages/explain.py").run()
    assert not app.exception
    assert app.query_params["run"] == first.run_id
