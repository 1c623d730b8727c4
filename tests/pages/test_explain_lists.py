"""The Explain page: its lists of images, what is said about the run, and what is asked for ahead."""

import pytest
from explain_visits import make_answer, open_page, read_address, read_words

from medpeft_core.reports.predictions import CASES, choose_labels, choose_other_label, load_predictions, sort_cases
from pages.widgets import explain_answers
from pages.widgets.explain_cases import WANTED_KEY
from pages.widgets.model_notes import NO_BETTER_THAN_CHANCE, NOT_CALIBRATED, note_synthetic, write_label_score
from pages.widgets.wording import SYNTHETIC, escape_markdown


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


def test_explain_page_notes_quietly_how_a_file_was_read(app, home, make_run, compute):
    """That a file has no window was a yellow warning here and a note on Predict."""
    note, warning = "The file has no window.", "The data set has changed."
    compute.changes = {"image_warnings": [note], "warnings": [note, warning]}
    open_page(app, run=make_run(home, quality=0.0).run_id)
    assert [item.value for item in app.warning] == [NO_BETTER_THAN_CHANCE, escape_markdown(warning)]
    assert [item.value for item in app.caption].count(f":material/info: {escape_markdown(note)}") == 1


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


def test_choice_that_a_renewed_part_brought_is_kept_for_the_page(app, home, make_run, compute):
    """The sidebar renewed itself between a click and its answer, and the list that was chosen was gone."""
    run = make_run(home)
    open_page(app, run=run.run_id, label="Effusion", image="7")
    app.session_state[WANTED_KEY] = {"show": "right", "image": None}  # as a callback leaves it where no page is drawn
    app.run()
    assert app.selectbox(key="explain_case").value == "right"
    assert read_address(app, "show") == "right"
    assert "**Image 1** of" in read_words(app)
    assert WANTED_KEY not in app.session_state


def test_number_that_the_browser_has_not_renewed_yet_is_no_choice(app, home, make_run, compute, monkeypatch):
    """The image of before came back, because the field still held its number when the sidebar renewed itself."""
    open_page(app, run=make_run(home).run_id, image="5")
    app.button(key="explain_next").click().run()
    monkeypatch.setattr("pages.widgets.explain_cases.is_part_renewed", lambda: True)
    app.number_input(key="explain_position").set_value(5).run()
    assert "**Image 6** of 60" in read_words(app)
    app.number_input(key="explain_position").set_value(9).run()  # somebody typed it at that very moment
    assert "**Image 9** of 60" in read_words(app)
