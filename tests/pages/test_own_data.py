"""The part of the Data page that takes own images: each state from the empty form to a stored and shared set."""

import shutil

import pytest
from data_visits import read_words, wait_for_job
from own_visits import CLASSES, make_class_folder, make_table_folder
from stored_jobs import make_job

from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.own.sharing import share_data
from medpeft_core.datasets.own.store import add_data, remove_data
from medpeft_core.datasets.own.stored_sets import list_stored
from medpeft_core.worker.jobs import JobStore
from pages.widgets.own_draft import DRAFT_KEY
from pages.widgets.own_start import MEND_FIRST
from pages.widgets.own_table import NAME, ROLE, find_changes

TITLE = "Eyes <b>x</b> [y](http://z.invalid)"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder per class, and one with a table."""
    top = tmp_path_factory.mktemp("own")
    return {"eyes": make_class_folder(top / "eyes"), "films": make_table_folder(top / "films")}


@pytest.fixture
def own(app):
    """Opens the page with a draft: `own(path=..., roles=...)`."""

    def open_page(**draft):
        app.run()
        app.switch_page("pages/data.py")
        app.query_params["own"] = "1"
        if draft:
            app.session_state[DRAFT_KEY] = {"place": "folder", **{name: draft[name] for name in draft}}
        app.run()
        assert not app.exception, app.exception[0].message
        return app

    return open_page


def store_eyes(folder):
    return add_data(name="eyes", title=TITLE, form="folder", root=str(folder))


def read_figures(page):
    return {item.label: item.value for item in page.main.metric}


def open_set(app, name):
    """The Data page on a set."""
    app.run()
    app.switch_page("pages/data.py").run()
    app.selectbox(key="data_dataset").set_value(name).run()
    assert not app.exception, app.exception[0].message
    return app


def test_data_page_leads_to_own_images_and_back(app):
    app.run()
    app.switch_page("pages/data.py").run()
    app.button(key="data_own").click().run()
    assert app.title[0].value == "Add your own images"
    words = read_words(app)
    assert "A folder per class" in words
    assert "Research and teaching only" in words
    assert not any(item.key == "own_add" for item in app.button)
    app.button(key="own_leave").click().run()
    assert app.title[0].value == "Data"


def test_folder_per_class_is_shown_with_its_classes_and_images(own, folders):
    page = own(path=str(folders["eyes"]))
    assert read_figures(page) == {"Images": "40", "Patients": "unknown", "Classes": "2"}
    assert page.selectbox(key="own_form").value == "folder"
    table = page.dataframe[0].value
    assert dict(zip(table["Class"], table["Images"], strict=True)) == dict.fromkeys(CLASSES, 20)
    images = [item.alt for element in page.main.get("image") for item in element.proto.imgs]
    assert sum(item.endswith(": healthy") for item in images) == sum(item.endswith(": sick") for item in images) == 4
    assert "No patients are known" in read_words(page)
    assert page.text_input(key="own_title").value == "eyes"
    assert not page.button(key="own_add").disabled


def test_draft_survives_a_look_at_another_page(own, folders):
    page = own(path=str(folders["eyes"]))
    page.switch_page("pages/home.py").run()
    page.switch_page("pages/data.py")
    del page.query_params["own"]  # as a browser does on another page
    page.run()
    assert page.button(key="data_own").label == "Go on adding your images"
    page.button(key="data_own").click().run()
    assert read_figures(page)["Images"] == "40"


def test_correcting_a_column_is_proposed_anew_at_once(own, folders):
    page = own(path=str(folders["films"]))
    columns = page.dataframe[0].value
    guessed = dict(zip(columns[NAME], columns[ROLE], strict=True))
    assert guessed == {"Bildname": "Image file", "Wer": "not used", "Gerät": "not used", "Befund": "Label",
                       "Alter": "Age"}  # fmt: skip
    assert page.button(key="own_guess").disabled
    page = own(path=str(folders["films"]), roles={"Wer": "patient"})
    assert read_figures(page)["Patients"] == "20"
    page.button(key="own_guess").click().run()
    assert read_figures(page)["Patients"] == "unknown"


def test_changes_in_the_table_of_columns_are_told_by_name():
    assert find_changes({"a": "image", "b": "unused"}, ["Image file", "Patient"]) == {"b": "patient"}
    assert find_changes({"a": "image", "b": "unused"}, ["Image file", "not used"]) == {}


def test_other_reading_is_taken_over(own, folders):
    page = own(path=str(folders["eyes"]))
    page.text_input(key="own_option_folder_ordered").set_value("sick,healthy").run()
    assert read_figures(page)["Grades"] == "2"
    assert list(page.dataframe[0].value["Class"]) == ["sick", "healthy"]
    assert page.session_state[DRAFT_KEY]["options"] == {"ordered": "sick,healthy"}


def test_problem_is_told_and_stops_the_button(own, folders):
    page = own(path=str(folders["films"]), roles={"Bildname": "unused"})
    words = read_words(page)
    assert "**Problem:**" in words
    assert MEND_FIRST in words
    assert "Choose Image file in the column Used as" in words
    assert "=NAME" not in words.replace("\\", "")
    assert page.button(key="own_add").disabled


@pytest.mark.parametrize(("name", "told"), [("nowhere", "There is no folder"), ("films/tabelle.csv", "is a file")])
def test_wrong_folder_is_told(own, folders, name, told):
    page = own(path=str(folders["films"].parent / name))
    assert told in page.main.error[0].value
    assert "What works" in read_words(page)


def test_set_is_stored_and_prepared_by_jobs_and_opens_by_itself(own, folders, home):
    page = own(path=str(folders["eyes"]), title=TITLE)
    page.button(key="own_add").click().run()
    job = wait_for_job(home)
    assert job.state().status == "finished", job.state().error
    assert job.request().options == {
        "name": "eyes_b_x_b_y_http_z_invalid", "title": TITLE, "form": "folder", "options": {},
        "root": str(folders["eyes"]),
    }  # fmt: skip
    page.run()
    assert wait_for_job(home).kind == "prepare"
    page.run()
    assert not page.exception
    assert page.title[0].value == "Data"
    assert read_figures(page)["Images"] == "40"
    assert page.selectbox(key=next(item.key for item in page.selectbox if "data_dataset" in item.key)).value in DATASETS
    assert DRAFT_KEY not in page.session_state or "path" not in page.session_state[DRAFT_KEY]


def test_running_job_is_shown_with_stop(own, home):
    job = make_job(home, "add_data", title="Adding eyes", options={}, what="reading", done=3, total=10)
    page = own()
    assert page.button(key="own_stop").label == "Stop"
    assert not any(item.key == "own_add" for item in page.button)
    page.button(key="own_stop").click().run()
    assert JobStore(home).load(job.job_id).is_stop_requested


def test_failed_job_says_why_and_leaves_the_form(own, home, folders):
    job = make_job(home, "add_data", title="Adding eyes", options={}, status="failed", error="The disk is full.")
    page = own(path=str(folders["eyes"]), job_id=job.job_id)
    assert "The disk is full" in page.main.error[0].value
    assert not page.button(key="own_add").disabled


def test_stored_set_is_described_shared_and_removed(app, home, folders):
    store_eyes(folders["eyes"])
    page = open_set(app, "eyes")
    words = read_words(page)
    assert "--dataset eyes" in words
    assert "Eyes \\<b\\>x\\</b\\> \\[y\\]" in words
    assert "[y](http" not in words
    page.button(key="own_remove").click().run()
    page.button(key="own_removal").click().run()
    assert not page.exception
    assert list_stored() == {}
    assert folders["eyes"].is_dir()
    assert (
        page.selectbox(key=next(item.key for item in page.selectbox if "data_dataset" in item.key)).value == "phantom"
    )


def test_set_whose_images_have_moved_asks_for_the_new_folder(app, home, folders, tmp_path):
    here = shutil.copytree(folders["eyes"], tmp_path / "eyes")
    store_eyes(here)
    here.rename(tmp_path / "moved")
    page = open_set(app, "eyes")
    assert "are not where they were" in page.main.warning[0].value
    page.text_input(key="data_root_eyes").set_value(str(tmp_path / "moved")).run()
    assert not page.exception
    assert not page.main.warning
    assert not page.button(key="data_prepare").disabled


def test_shared_file_is_opened_and_a_wrong_one_refused(own, home, folders, tmp_path):
    store_eyes(folders["eyes"])
    share_data("eyes", tmp_path, with_images=True)
    content = (tmp_path / "eyes.medpeft.zip").read_bytes()
    remove_data("eyes")
    page = own()
    open_file(page, "eyes.medpeft.zip", content[:-200])
    assert page.main.error[0].value
    assert list_stored() == {}
    open_file(page, "eyes.medpeft.zip", content)
    assert not page.exception
    assert page.title[0].value == "Data"
    assert list_stored()["eyes"].origin == "opened"
    assert not list(home.glob("cache/uploads/own-*"))


def open_file(page, name, content):
    uploader = next(item for item in page.get("file_uploader") if item.key.startswith("own_shared_file"))
    uploader.upload(name, content, "application/zip").run()
    page.button(key="own_open").click().run()


def upload(page, *paths):
    uploader = next(item for item in page.get("file_uploader") if item.key.startswith("own_files"))
    for path in paths:
        uploader.upload(path.name, path.read_bytes(), "application/octet-stream")
    page.run()
    assert not page.exception, page.exception[0].message


def test_refused_upload_is_told_and_out_of_the_way(own, home, folders, tmp_path):
    """The next file was taken together with the one that had been refused."""
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    page = own(place="uploaded_files")
    upload(page, tmp_path / "bad.zip")
    assert "is no zip file" in page.main.error[0].value
    assert not list(home.glob("cache/uploads/own-*"))
    upload(page, *sorted((folders["films"] / "bilder").iterdir()))
    assert not page.main.error
    assert "**40 files** uploaded" in read_words(page)


def test_uploads_come_together_are_looked_at_and_removed(own, home, folders):
    """A table that came after its images was not seen before somebody pressed Look again."""
    page = own(place="uploaded_files")
    upload(page, *sorted((folders["films"] / "bilder").iterdir()))
    assert "lie in no folders of classes" in read_words(page)
    upload(page, folders["films"] / "tabelle.csv")
    assert "**41 files** uploaded" in read_words(page)
    assert read_figures(page)["Images"] == "40"
    page.button(key="own_clear").click().run()
    assert not list(home.glob("cache/uploads/own-*"))
    assert "What works" in read_words(page)
