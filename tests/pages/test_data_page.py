"""The Data page: choosing a set, preparing it by a real job, its report, and what is said when it cannot be used."""

import time

import pytest

from medpeft_core.worker.jobs import JobStore
from pages.widgets.wording import escape_markdown

SMALL = {"num_patients": 40, "size": 64}
JOB_TIMEOUT_S = 120


def read_words(app):
    """All words of the main part of the page."""
    return "\n".join(item.value for kind in ("markdown", "caption", "info", "error") for item in app.main.get(kind))


@pytest.fixture
def data_page(app):
    """The page, opened."""
    app.run()
    return app.switch_page("pages/data.py").run()


def wait_for_job(home):
    """The newest job once it has ended."""
    deadline = time.monotonic() + JOB_TIMEOUT_S
    job = JobStore(home).list_jobs()[0]
    while not JobStore(home).settle(job).is_finished:
        assert time.monotonic() < deadline, job.state()
        time.sleep(0.2)
    return job


def test_data_page_of_an_empty_lab_says_what_the_set_is(data_page):
    assert not data_page.exception
    words = read_words(data_page)
    assert "5 labels" in words
    assert "Licence" in words
    assert data_page.button(key="data_prepare").label == "Check and prepare"


def test_data_page_prepares_a_set_and_shows_its_report(data_page, home):
    for name, value in SMALL.items():
        data_page.number_input(key=f"data_option_phantom_{name}").set_value(value)
    data_page.run()
    data_page.button(key="data_prepare").click().run()
    assert not data_page.exception
    assert wait_for_job(home).state().status == "finished"
    data_page.run()
    assert not data_page.exception
    tables = [item.value for item in data_page.main.dataframe]
    assert list(tables[0]["label"]) == ["Cardiomegaly", "Effusion", "Consolidation", "Nodule", "Pneumothorax"]
    assert tables[1]["patients"].sum() == SMALL["num_patients"]
    assert next(item.value for item in data_page.metric if item.label == "Patients") == "40"
    assert "Synthetic images" in read_words(data_page)


def test_data_page_wants_a_folder_where_one_is_needed(data_page):
    data_page.selectbox(key="data_dataset").set_value("nih").run()
    assert not data_page.exception
    assert data_page.button(key="data_prepare").disabled
    assert "Give the folder" in read_words(data_page)


def test_data_page_tells_what_is_wrong_with_a_folder(data_page, home):
    data_page.selectbox(key="data_dataset").set_value("nih").run()
    data_page.text_input(key="data_root_nih").set_value(str(home)).run()
    data_page.button(key="data_prepare").click().run()
    assert wait_for_job(home).state().status == "failed"
    data_page.run()
    assert not data_page.exception
    assert escape_markdown("Data_Entry_2017") in read_words(data_page)


def test_data_page_tells_of_an_impossible_setting(data_page):
    data_page.number_input(key="data_option_phantom_num_patients").set_value(1).run()
    assert not data_page.exception
    assert escape_markdown("data.num_patients is 1") in read_words(data_page)
