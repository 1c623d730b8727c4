"""The Data page: choosing a set, preparing it by a real job, and each state in which a set can be."""

import json
import os
import shutil
from pathlib import Path

import pytest
from data_visits import SMALL, make_nih, prepare_phantom, read_words, wait_for_job

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import inspect_dataset
from medpeft_core.datasets.views import list_views, view_key, view_path
from medpeft_core.worker.jobs import JobStore
from pages.widgets.chart_ink import LIGHT_INK
from pages.widgets.data_charts import build_split_table
from pages.widgets.wording import escape_markdown


def read_address(app, name):
    """A parameter of the address, which the test driver gives as a list or as text."""
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def open_page(app, **parameters):
    app.run()
    app.switch_page("pages/data.py")
    for name, value in parameters.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def show_nih(app, root: Path):
    """Open the page on a prepared NIH folder by its address."""
    data = DataConfig(dataset="nih", root=str(root))
    inspect_dataset(data)
    return open_page(app, data=view_key(data))


@pytest.fixture
def data_page(app):
    """The page, opened."""
    return open_page(app)


def test_data_page_of_an_empty_lab_says_what_the_set_is(data_page):
    words = read_words(data_page)
    assert "5 labels" in words
    assert "Licence" in words
    assert "not prepared yet" in words
    assert data_page.button(key="data_prepare").label == "Check and prepare"


def test_data_page_prepares_a_set_and_shows_what_is_in_it(data_page, home):
    for name, value in SMALL.items():
        data_page.number_input(key=f"data_option_phantom_{name}").set_value(value)
    data_page.run()
    data_page.button(key="data_prepare").click().run()
    assert not data_page.exception
    assert wait_for_job(home).state().status == "finished"
    data_page.run()
    assert not data_page.exception
    assert next(item.value for item in data_page.metric if item.label == "Patients") == "40"
    assert "Synthetic images" in read_words(data_page)
    assert "Cardiomegaly train" in data_page.get("vega_lite_chart")[0].proto.alt
    table = next(item.value for item in data_page.main.dataframe if "95 % interval" in item.value)
    assert list(table["Label"].unique()) == ["Cardiomegaly", "Effusion", "Consolidation", "Nodule", "Pneumothorax"]
    assert read_address(data_page, "data") == list_views()[0]["key"]


def test_data_page_shows_a_set_at_once_that_a_run_prepared(app, home):
    """The page asked to prepare the set again that the demo had just trained on."""
    data = prepare_phantom(home)
    assert JobStore(home).list_jobs() == []
    page = open_page(app, data=view_key(data))
    assert "not prepared yet" not in read_words(page)
    assert page.button(key="data_prepare").label == "Check again"
    assert page.number_input(key="data_option_phantom_num_patients-1").value == SMALL["num_patients"]


def test_data_page_finds_pixels_of_which_nothing_was_kept(app, home):
    """A lab of an earlier version decoded the default set; the page looks instead of preparing again."""
    data = prepare_phantom(home)
    view_path(view_key(data)).unlink()
    page = open_page(app)
    for name, value in SMALL.items():
        page.number_input(key=f"data_option_phantom_{name}").set_value(value)
    page.run()
    assert page.button(key="data_prepare").label == "Check again"


def test_data_page_takes_the_folder_and_the_settings_from_its_address(app, home, tmp_path):
    prepare_phantom(home)
    page = show_nih(app, make_nih(tmp_path / "nih"))
    assert page.selectbox(key="data_dataset-1").value == "nih"
    assert page.text_input(key="data_root_nih-1").value == str(tmp_path / "nih")
    assert next(item.value for item in page.metric if item.label == "Images") == "120"
    assert "Mass|Hernia" not in read_words(page)


def test_data_page_offers_the_sets_that_are_prepared(app, home, tmp_path):
    data = prepare_phantom(home)
    page = show_nih(app, make_nih(tmp_path / "nih"))
    page.button(key=f"data_kept_{view_key(data)}").click().run()
    assert not page.exception
    assert read_address(page, "data") == view_key(data)
    assert next(item.value for item in page.metric if item.label == "Patients") == "40"


def test_data_page_tells_of_an_unknown_set_in_its_address(app):
    page = open_page(app, data="0123456789abcdef")
    assert "not prepared in this lab" in read_words(page)
    page = open_page(app, data="../../etc/passwd")
    assert "passwd" not in read_words(page)
    assert page.button(key="data_prepare").label == "Check and prepare"


def test_data_page_wants_a_folder_where_one_is_needed(data_page):
    data_page.selectbox(key="data_dataset").set_value("nih").run()
    assert not data_page.exception
    assert data_page.button(key="data_prepare").disabled
    assert "Give the folder" in read_words(data_page)


def test_data_page_tells_why_a_set_could_not_be_prepared(data_page, home, tmp_path):
    """All that is needed seems to be there, but the table is none."""
    root = make_nih(tmp_path / "nih")
    (root / "Data_Entry_2017.csv").write_text("a,b\n1,2\n")
    data_page.selectbox(key="data_dataset").set_value("nih").run()
    data_page.text_input(key="data_root_nih").set_value(str(root)).run()
    data_page.button(key="data_prepare").click().run()
    assert wait_for_job(home).state().status == "failed"
    data_page.run()
    assert not data_page.exception
    assert "lacks the column" in read_words(data_page)


def test_data_page_takes_a_folder_in_quotes(data_page, tmp_path):
    """A path that was pasted with its quotes was said not to exist."""
    inspect_dataset(DataConfig(dataset="nih", root=str(make_nih(tmp_path / "my nih"))))
    data_page.selectbox(key="data_dataset").set_value("nih").run()
    data_page.text_input(key="data_root_nih").set_value(f'"{tmp_path}/my nih"').run()
    assert not data_page.exception
    assert data_page.button(key="data_prepare").label == "Check again"


def test_data_page_tells_of_an_impossible_setting(data_page):
    data_page.number_input(key="data_option_phantom_num_patients").set_value(1).run()
    assert not data_page.exception
    assert escape_markdown("data.num_patients is 1") in read_words(data_page)


def test_data_page_shows_the_job_that_prepares_the_set_for_runs(app, home):
    """While the demo drew the set, the page offered to prepare it as well."""
    jobs = JobStore(home)
    job = jobs.start("launch", "Demo", configs=[{"data": {"dataset": "phantom"}}])
    try:
        page = open_page(app)
        assert page.button(key="data_job").label == "Stop"
        assert not any(item.key == "data_prepare" for item in page.main.button)
    finally:
        jobs.request_stop(job.job_id)
        wait_for_job(home)
    page.run()
    assert page.button(key="data_prepare").label == "Check and prepare"


def test_data_page_finds_the_set_that_is_being_prepared_after_a_reload(app, home):
    """A reload while a set of other than the usual size was drawn showed the usual one, which was not prepared."""
    jobs = JobStore(home)
    job = jobs.start("prepare", "Preparing", data={"dataset": "phantom", "options": {"num_patients": 3000}})
    try:
        page = open_page(app)  # without an address, as from the menu
        assert page.button(key="data_job").label == "Stop"
        address = read_address(page, "data")
    finally:
        jobs.request_stop(job.job_id)
        wait_for_job(home)
    assert address == view_key(DataConfig(**job.request().data))
    page.run()
    assert "stopped. Nothing half-done was left." in read_words(page)


def test_data_page_says_that_files_have_changed(app, tmp_path):
    root = make_nih(tmp_path / "nih")
    page = show_nih(app, root)
    assert "files have changed" not in read_words(page)
    (root / "images/00000001_000.png").unlink()
    page.run()
    assert "files have changed since this set was prepared" in read_words(page)


def test_data_page_still_shows_a_set_whose_folder_is_gone(app, tmp_path):
    root = make_nih(tmp_path / "nih")
    page = show_nih(app, root)
    shutil.rmtree(root)
    page.run()
    assert not page.exception
    assert "not where they were" in read_words(page)
    assert next(item.value for item in page.metric if item.label == "Images") == "120"
    page.query_params["image"] = "images/00000001_000.png"
    page.run()
    assert not page.exception
    assert "does not exist" in read_words(page)


def test_data_page_offers_to_decode_again_what_was_removed(app, home, tmp_path):
    """The page said "Prepared" and "49 MiB on disk" above the sentence that the decoded images were gone."""
    page = show_nih(app, make_nih(tmp_path / "nih"))
    assert "Prepared, checked" in read_words(page)
    shutil.rmtree(home / "cache" / "pixels")
    page.run()
    words = read_words(page)
    assert "decoded images of this set were removed" in words
    assert "Prepared, checked" not in words
    assert next(item.value for item in page.metric if item.label == "Decoded, on disk") == "removed"
    page.button(key="data_prepare").click().run()
    assert wait_for_job(home).state().status == "finished"
    page.run()
    assert "Prepared, checked" in read_words(page)
    assert page.button(key="data_prepare").label == "Check again"
    assert next(item.value for item in page.metric if item.label == "Decoded, on disk") != "removed"


def test_data_page_names_its_button_after_what_is_missing(app, home):
    data = prepare_phantom(home)
    page = open_page(app, data=view_key(data))
    shutil.rmtree(home / "cache" / "pixels")
    page.run()
    assert page.button(key="data_prepare").label == "Decode again"
    shutil.rmtree(home / "datasets")
    page.run()
    assert page.button(key="data_prepare").label == "Draw again"
    assert "Put the folder back" not in read_words(page)


def test_data_page_says_what_cannot_be_checked_without_patients(app, tmp_path):
    page = show_nih(app, make_nih(tmp_path / "nih", patients=False))
    assert escape_markdown("leakage between images of one patient could not be checked") in read_words(page)
    assert next(item.value for item in page.metric if item.label == "Patients") == "unknown"


def test_data_page_tells_findings_with_their_severity(app, tmp_path):
    root = make_nih(tmp_path / "nih")
    shutil.copy(root / "images/00000001_000.png", root / "images/00000001_001.png")
    (root / "images/00000002_000.png").write_bytes(b"")
    os.utime(root / "images", ns=(0, 0))
    words = read_words(show_nih(app, root))
    assert "1 problem" in words
    assert f"**Problem:** {escape_markdown('1 image cannot be read: 1 damaged.')}" in words
    assert f"**Mind:** {escape_markdown('Identical images lie in one split and count twice there (1 group).')}" in words
    assert f"**Fine:** {escape_markdown('No patient is in more than one split.')}" in words


def test_charts_have_words_that_can_be_read_in_the_light_theme(app, home):
    """The numbers beside the marks were grey on white, 3.7 to 1."""
    page = open_page(app, data=view_key(prepare_phantom(home)))
    page.context["theme"] = "light"
    page.run()
    assert not page.exception
    assert json.loads(page.get("vega_lite_chart")[0].proto.spec)["config"]["axis"]["labelColor"] == LIGHT_INK
    page.context["theme"] = "dark"
    page.run()
    assert "axis" not in json.loads(page.get("vega_lite_chart")[0].proto.spec)["config"]


def test_people_tab_writes_numbers_alike_and_saves_every_chart(app, home):
    """The table held 2796 beside 1,497, and the charts of sex and view could not be saved as the others could."""
    page = open_page(app, data=view_key(prepare_phantom(home)))
    page.session_state["data_tab"] = ":material/groups: Splits and people"
    page.run()
    assert not page.exception
    keys = {item.key for item in page.main.get("download_button")}
    assert {f"data_{name}_csv" for name in ("ages", "sex", "view")} <= keys


def test_split_table_groups_thousands_everywhere():
    row = {"split": "all", "num_images": 2796, "num_patients": 1497, "images_per_patient": 1.868}
    (line,) = build_split_table([{**row, "num_with_finding": 1400, "num_without": 1396}]).to_dict("records")
    assert (line["Images"], line["Patients"], line["Images per patient"]) == ("2,796", "1,497", "1.87")
    assert (line["With a finding"], line["Without"]) == ("1,400 (50 %)", "1,396 (50 %)")
