"""The tour of the first visit, and the words that pages explain."""

import re
from pathlib import Path

import pytest
from streamlit.runtime.context import ContextProxy

from pages.widgets.frame import FRAME_KEY
from pages.widgets.glossary import WORDS, explain
from pages.widgets.tour import COOKIE, OVER_KEY, STEP_KEY, STEPS

PAGES = Path(__file__).resolve().parents[2] / "pages"


def read_words(app):
    return "\n".join(item.value for item in app.main.markdown)


def open_page(app, name):
    """Go to a page through the frame, which a test without a browser passes by once it has been drawn."""
    del app.session_state[FRAME_KEY]
    return app.switch_page(f"pages/{name}.py").run()


def has_button(app, key):
    return any(item.key == key for item in app.button)


def test_tour_is_offered_on_the_first_visit_and_not_after_a_no(app):
    app.run()
    assert not app.exception
    assert "New here?" in read_words(app)
    app.button(key="tour_refuse").click().run()
    assert not app.exception
    assert "New here?" not in read_words(app)
    app.run()
    assert not has_button(app, "tour_start")


def test_tour_leads_through_its_pages_and_ends(app):
    app.run()
    app.button(key="tour_start").click().run()
    for number, step in enumerate(STEPS):
        open_page(app, step.page)
        assert not app.exception
        assert app.session_state[STEP_KEY] == number
        assert f"Step {number + 1} of {len(STEPS)}: {step.title}" in read_words(app)
    assert not has_button(app, "tour_next")
    assert app.button(key="tour_end").label == "Finish"


def test_tour_follows_who_walks_on_alone_and_waits_at_other_pages(app):
    app.run()
    app.button(key="tour_start").click().run()
    open_page(app, "monitor")
    assert "Step 3 of 5" in read_words(app)
    open_page(app, "data")
    assert not app.exception
    assert "The tour waits at step 3 of 5" in read_words(app)
    assert has_button(app, "tour_return")


def test_tour_can_be_left_in_the_middle_and_taken_again(app):
    app.run()
    app.button(key="tour_start").click().run()
    app.button(key="tour_end").click().run()
    assert not app.exception
    assert not has_button(app, "tour_end")
    assert app.session_state[OVER_KEY]
    app.button(key="tour_again").click().run()
    assert "Step 1 of 5" in read_words(app)


def test_tour_is_not_offered_to_a_browser_that_remembers_it(app, monkeypatch):
    monkeypatch.setattr(ContextProxy, "cookies", {COOKIE: "over"})
    app.run()
    assert not app.exception
    assert not has_button(app, "tour_start")


def test_tour_does_not_stand_in_the_way_of_other_pages(app, home, make_run):
    run = make_run(home)
    app.query_params["run"] = run.run_id
    app.run()
    open_page(app, "monitor")
    assert not app.exception
    assert not has_button(app, "tour_start")
    assert has_button(app, "tour_again")


def test_tour_stops_are_pages():
    assert all((PAGES / f"{step.page}.py").is_file() for step in STEPS)


@pytest.mark.parametrize("word", WORDS)
def test_each_word_is_explained_in_two_sentences(word):
    text = explain(word)
    assert len(re.findall(r"[.!?](?= [A-Z0-9]|$)", text)) == 2
    assert text.endswith(".")


@pytest.mark.parametrize("word", ["auroc", "rank", "interval", "grad_cam"])
def test_the_sidebar_lists_the_words_that_pages_use(app, word):
    app.run()
    assert any(explain(word) in item.value for item in app.sidebar.markdown)
