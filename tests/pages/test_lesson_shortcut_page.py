"""The page of the second lesson: stored result, own run in each of its states, answer, pictures, what next."""

from concurrent.futures import Future

import pytest
from shortcut_answers import keep_masked, make_lesson_run

from medpeft_core.errors import ComputeError, RunError
from medpeft_core.lessons.shortcut import build_config
from medpeft_core.lessons.shortcut_stored import load_stored
from medpeft_core.runs.states import QUEUED
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.compute import ComputeClient
from pages.widgets.launching import Started
from pages.widgets.lesson_shortcut_state import JOB_TITLE, KEY
from pages.widgets.train_draft import DRAFT_KEY

STORED_BADGE = "Stored result"
WAITING = "Painting over the marker in all val and test images"


@pytest.fixture
def lesson(app):
    """Opens the page; `result` is what the address asks for."""

    def open_page(result=None):
        app.run()
        if result is not None:
            app.query_params["result"] = result
        app.switch_page("pages/lesson_shortcut.py").run()
        assert not app.exception, app.exception[0].message
        return app

    return open_page


@pytest.fixture
def asked(monkeypatch):
    """The requests to the compute process, each with the future that would bring its answer."""
    requests = []

    def submit(self, kind, *, slot=None, **arguments):
        future = Future()
        requests.append((kind, arguments, future))
        return future

    monkeypatch.setattr(ComputeClient, "submit", submit)
    return requests


def read_words(app):
    kinds = ("markdown", "caption", "info", "success", "warning", "error", "subheader")
    words = [item.value for kind in kinds for item in app.main.get(kind)]
    return "\n".join([*words, *(item.proto.text for item in app.main.get("progress"))])


def list_buttons(app):
    return [item.key for item in app.main.button]


def list_badges(app):
    return [item.value for item in app.main.markdown if "-badge[" in item.value]


def list_alts(app):
    charts = [item.proto.alt for item in app.main.get("vega_lite_chart")]
    return [*charts, *(image.alt for item in app.main.image for image in item.proto.imgs)]


def list_links(app):
    return [item.proto.label for item in app.main.get("page_link")]


def predict(app, choice="worse"):
    app.main.radio(key=f"{KEY}_prediction").set_value(choice).run()
    assert not app.exception, app.exception[0].message
    return app


def test_first_visit_asks_and_folds_the_stored_answer(lesson):
    app = lesson()
    words = read_words(app)
    assert app.title[0].value == "What did it learn?"
    assert [number for number in range(1, 6) if f"{number} · " in words] == [1, 2, 3, 4, 5]
    assert "folded away until you have said what you expect" in words
    assert any(STORED_BADGE in text for text in list_badges(app))
    assert app.main.code[0].value == "python -m medpeft_core lesson shortcut"
    assert not app.main.get("vega_lite_chart")
    assert "not for clinical use" in words
    assert "Synthetic images" in words


@pytest.mark.parametrize(
    ("choice", "text"), [("worse", "**As you expected:**"), ("same", "**It came out differently.**")]
)
def test_prediction_opens_the_answer_and_is_compared_with_it(lesson, choice, text):
    app = predict(lesson(), choice)
    stored = load_stored()
    assert stored is not None
    words = read_words(app)
    assert stored.result["answer"] == "worse", "the words below are for this answer"
    assert text in words
    assert len(app.main.get("vega_lite_chart")) == 3
    alts = list_alts(app)
    row = next(row for row in stored.result["aurocs"] if row["label"] == "Effusion")
    assert any(f"Effusion: val {row['val']:.3f}" in alt for alt in alts)
    assert any("other side painted over" in alt for alt in alts)
    assert all(alts)
    assert f"{row['val']:.3f}" in [item.value for item in app.main.metric]


def test_just_show_me_opens_the_answer_without_a_choice(lesson):
    app = lesson()
    app.main.button(key=f"{KEY}_show").click().run()
    assert not app.exception
    assert "**What happened:**" in read_words(app)
    assert f"{KEY}_show" not in list_buttons(app)


def test_switch_shows_the_probability_before_and_after(lesson):
    app = predict(lesson())
    stored = load_stored()
    assert stored is not None
    probs = stored.masked.about["examples"][0]["probs"]

    def read_metric():
        return next(item for item in app.main.metric if item.label == "Predicted probability of Effusion")

    assert read_metric().value == f"{probs['original']:.2f}"
    app.main.button_group(key=f"{KEY}_version").set_value("masked").run()
    assert not app.exception
    assert read_metric().value == f"{probs['masked']:.2f}"
    assert f"from {probs['original']:.2f}, as it is" in read_metric().delta
    assert any("the marker painted over" in alt for alt in list_alts(app))


def test_without_stored_result_it_is_trained_here(lesson, monkeypatch):
    monkeypatch.setattr("pages.widgets.lesson_shortcut_view.get_stored", lambda: None)
    app = lesson()
    assert "No stored result ships with this copy" in read_words(app)
    assert f"{KEY}_start" in list_buttons(app)
    assert not any(STORED_BADGE in text for text in list_badges(app))


def test_start_asks_for_the_lessons_run(lesson, monkeypatch):
    started = []

    def start_runs(configs, *, title):
        started.append((configs, title))
        return Started(run_ids=(), job_id=None)

    monkeypatch.setattr("pages.widgets.lesson_shortcut_run.start_runs", start_runs)
    app = lesson("own")
    assert app.main.button(key=f"{KEY}_start").label == "Train it yourself"
    app.main.button(key=f"{KEY}_start").click().run()
    assert started == [([build_config().to_dict()], JOB_TITLE)]


def test_start_that_fails_says_why(lesson, monkeypatch):
    def start_runs(configs, *, title):
        raise RunError("The disk is full.")

    monkeypatch.setattr("pages.widgets.lesson_shortcut_run.start_runs", start_runs)
    app = lesson("own")
    app.main.button(key=f"{KEY}_start").click().run()
    assert "The disk is full" in read_words(app)


def test_run_at_work_can_be_stopped_and_watched(lesson, home):
    make_lesson_run(home, status="running", epochs_done=1)
    app = lesson()
    assert "monitor_stop" in list_buttons(app)
    assert "Watch its curves on Monitor" in list_links(app)
    assert f"{KEY}_start" not in list_buttons(app)
    assert "epoch 2 of 4" in read_words(app)
    assert "The answer appears here when your run is finished" in read_words(app)
    app.main.button(key="monitor_stop").click().run()
    assert not app.exception
    store = RunStore(home)
    assert store.index.is_stop_requested(store.list_runs()[0].run_id)


def test_stopped_run_is_resumed(lesson, home):
    run = make_lesson_run(home, status="stopped", epochs_done=1)
    app = lesson()
    app.main.button(key=f"{KEY}_resume").click().run()
    assert not app.exception
    assert run.status == QUEUED


def test_failed_run_says_why(lesson, home):
    make_lesson_run(home, status="failed", epochs_done=1, error="The loss became NaN.")
    app = lesson()
    assert "The loss became NaN" in read_words(app)
    assert {f"{KEY}_resume", f"{KEY}_start"} <= set(list_buttons(app))


def test_finished_run_is_asked_again_and_then_shown(lesson, home, asked):
    run = make_lesson_run(home)
    app = lesson()
    assert WAITING in read_words(app)
    assert [(kind, arguments) for kind, arguments, _ in asked if kind == "mask_shortcut"] == [
        ("mask_shortcut", {"run_id": run.run_id, "finding": "Effusion"})
    ]
    keep_masked(run, num_images=80)
    asked[-1][2].set_result({"folder": "told by the files"})
    app.run()
    assert WAITING not in read_words(app)
    assert "folded away" in read_words(app)
    predict(app)
    assert any("Trained here" in text for text in list_badges(app))
    assert not any(STORED_BADGE in text for text in list_badges(app))
    assert "**Trained here**" not in read_words(app)
    assert len(app.main.get("vega_lite_chart")) == 3


def test_question_that_fails_can_be_asked_again(lesson, home, asked):
    make_lesson_run(home)
    app = lesson()
    asked[-1][2].set_exception(ComputeError("Memory ran out."))
    app.run()
    assert "Memory ran out" in read_words(app)
    app.main.button(key=f"{KEY}_retry").click().run()
    assert not app.exception
    assert WAITING in read_words(app)
    assert len([kind for kind, _, _ in asked if kind == "mask_shortcut"]) == 2


def test_own_result_and_stored_one_are_never_mixed_up(lesson, home):
    run = make_lesson_run(home)
    keep_masked(run, num_images=80)
    app = predict(lesson())
    own = [item.value for item in app.main.metric]
    app.main.button_group(key=f"{KEY}_source").set_value("stored").run()
    assert any(STORED_BADGE in text for text in list_badges(app))
    assert not any("Trained here" in text for text in list_badges(app))
    stored = load_stored()
    assert stored is not None
    shown = [item.value for item in app.main.metric]
    assert shown != own
    row = next(row for row in stored.result["aurocs"] if row["label"] == "Effusion")
    assert shown[:2] == [f"{row['val']:.3f}", f"{row['test']:.3f}"]


def test_new_run_beside_a_finished_one_keeps_the_answer(lesson, home):
    before = make_lesson_run(home)
    keep_masked(before, num_images=80)
    make_lesson_run(home, status="running", epochs_done=1)
    app = predict(lesson())
    assert "monitor_stop" in list_buttons(app)
    assert f"that of the run before, `{before.run_id}`" in read_words(app)
    assert len(app.main.get("vega_lite_chart")) == 3


def test_example_without_a_map_says_so(lesson, home):
    keep_masked(make_lesson_run(home), num_images=80)
    app = predict(lesson())
    app.main.button_group(key=f"{KEY}_example").set_value(1).run()
    assert not app.exception
    assert "The map of this image is flat" in read_words(app)


def test_next_steps_fill_the_train_form(lesson):
    app = lesson()
    app.main.button(key=f"{KEY}_next_0").click().run()
    assert not app.exception, app.exception[0].message
    draft = app.session_state[DRAFT_KEY]
    assert draft["data"]["dataset"] == "phantom_shortcut"
    assert draft["data"]["options"]["shortcut"] == "tube"
    assert app.title[0].value == "Train"


def test_next_step_leads_to_the_maps_of_an_own_run(lesson, home):
    run = make_lesson_run(home)
    keep_masked(run, num_images=80)
    app = lesson()
    links = {item.proto.label: item.proto for item in app.main.get("page_link")}
    assert run.run_id in links["See its heat maps"].query_string
