"""The Data page before a set is prepared: its card, what is missing, the download; and how it shows classes."""

import json

import pytest
from class_sets import COUNTS, GRADES, make_grades, make_photographs
from data_visits import make_nih, read_words, wait_for_job

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.prepare import inspect_dataset
from medpeft_core.datasets.spec import FetchOffer
from medpeft_core.datasets.views import list_views, view_key
from medpeft_core.worker.jobs import JobStore
from pages.widgets.data_fetch import write_download
from pages.widgets.wording import escape_markdown


@pytest.fixture(autouse=True)
def no_internet(tmp_path, monkeypatch):
    """Downloads are sent to a proxy that nobody runs; ~/.medmnist is empty."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))


def open_data(app, **parameters):
    app.run()
    app.switch_page("pages/data.py")
    for name, value in parameters.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def choose(app, dataset, root=None):
    page = open_data(app)
    page.selectbox(key="data_dataset").set_value(dataset).run()
    if root is not None:
        page.text_input(key=f"data_root_{dataset}").set_value(str(root)).run()
    assert not page.exception
    return page


def has_button(page, key):
    return any(item.key == key for item in page.button)


def test_every_set_has_a_card_with_terms_and_says_what_to_do_next(app):
    page = open_data(app)
    for spec in DATASETS:
        page.selectbox(key="data_dataset").set_value(spec.name).run()
        assert not page.exception, spec.name
        words = read_words(page)
        for text in (spec.title, spec.licence.split(" ")[0], "How to get it"):
            assert escape_markdown(text) in words, spec.name
        assert page.button(key="data_prepare").disabled == (spec.needs_root or spec.name == "medmnist"), spec.name
        assert ("Download it first" in words) == (spec.name == "medmnist"), spec.name
        assert ("Give the folder" in words) == spec.needs_root, spec.name


def test_card_lists_what_is_there_and_what_is_missing(app, tmp_path, home):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "fitzpatrick17k.csv").write_text(
        "md5hash,fitzpatrick_scale,label,nine_partition_label,three_partition_label,qc,url\n"
        f"{1:032x},1,acne,inflammatory,non-neoplastic,,\n"
    )
    words = read_words(choose(app, "fitzpatrick17k", tmp_path / "half"))
    assert f":green[:material/check_circle:] **{escape_markdown('fitzpatrick17k.csv')}**" in words
    assert ":red[:material/cancel:] **photographs** is missing: none of 1 images" in words
    assert "Download it" in words


def test_card_of_a_part_of_nih_counts_its_films(app, tmp_path, home):
    words = read_words(choose(app, "nih", make_nih(tmp_path / "nih")))
    assert ":green[:material/check_circle:] **films**: 120 of 112,120 images" in words
    assert "**split lists**, not there and not needed: without them, patients are split by seed" in words
    assert "not prepared yet" in words


def test_card_of_a_wrong_folder_stays_when_the_folder_is_refused(app, tmp_path, home):
    """With decoded images of another set about, the page showed one red sentence and nothing else."""
    inspect_dataset(DataConfig(dataset="nih", root=str(make_nih(tmp_path / "nih"))))
    (tmp_path / "empty").mkdir()
    page = choose(app, "nih", tmp_path / "empty")
    words = read_words(page)
    assert "holds neither" not in words
    told = "Choose the folder that holds Data_Entry_2017.csv. This folder holds: nothing."
    assert escape_markdown(f"This does not look like {DATASETS['nih'].title} yet. {told}") in words
    assert "How to get it" in words
    assert page.button(key="data_prepare").disabled
    assert "Give a folder that holds what is marked above." in words
    for name in ("befunde.csv", "c*d.txt", "e", "f", "g", "h"):
        (tmp_path / "empty" / name).write_text("")
    (tmp_path / "empty" / "bilder").mkdir()
    page.button(key="data_look").click().run()
    held = escape_markdown("This folder holds: befunde.csv, bilder/, c*d.txt, e, f and 2 more.")
    assert held in read_words(page)


def test_card_of_a_folder_that_is_not_there_says_so(app, tmp_path, home):
    assert "there is no such folder" in read_words(choose(app, "nih", tmp_path / "nowhere"))
    words = read_words(choose(app, "fitzpatrick17k", tmp_path / "nowhere"))
    assert "a download makes it" in words


def test_download_states_size_terms_and_source_and_tells_why_it_failed(app, home):
    page = choose(app, "medmnist")
    words = read_words(page)
    for text in ("at most 3 MiB", "zenodo.org/records/10519652", "CC BY 4.0", "BreastMNIST: 780 images"):
        assert escape_markdown(text) in words or text in words
    assert page.button(key="data_fetch").label == "Download (at most 3 MiB)"
    box = page.selectbox(key="data_option_medmnist_name")
    assert box.label == "Which set"
    assert "BreastMNIST · breast ultrasound · 780 images" in box.options
    assert "DermaMNIST" not in words.split("**Licence:**")[1], "another set's terms"
    assert JobStore(home).list_jobs() == [], "nothing is asked before the click"
    page.button(key="data_fetch").click().run()
    assert not page.exception
    job = wait_for_job(home)
    assert (job.kind, job.state().status) == ("fetch_data", "failed")
    page.run()
    assert not page.exception
    assert escape_markdown("Check the connection of this computer to the internet") in read_words(page)
    assert has_button(page, "data_fetch")


def test_a_set_that_is_there_is_not_offered_again_and_can_be_prepared(app, home):
    make_grades(home)
    page = choose(app, "medmnist")
    for name, value in GRADES.items():
        page.selectbox(key=f"data_option_medmnist_{name}").set_value(value)
    page.run()
    assert not page.exception
    assert not has_button(page, "data_fetch")
    assert "not prepared yet" in read_words(page)
    assert not page.button(key="data_prepare").disabled


def test_a_download_that_is_over_goes_on_to_prepare_the_set(app, home, tmp_path):
    """One photograph is missing, and its host does not answer: the download ends well without it."""
    root = make_photographs(tmp_path / "skin", missing=1)
    page = choose(app, "fitzpatrick17k", root)
    assert page.button(key="data_fetch").label == "Download (1 file)"
    page.button(key="data_fetch").click().run()
    assert wait_for_job(home).kind == "fetch_data"
    assert "no answer" in (root / "not_downloaded.csv").read_text()
    page.run()
    assert not page.exception
    assert wait_for_job(home).kind == "prepare"
    page.run()
    assert next(item.value for item in page.metric if item.label == "Images") == "59"


def test_write_download_says_what_is_known():
    offer = FetchOffer(source="a", num_bytes=12 << 20, num_files=1, licence="b", is_there=False)
    assert write_download(offer) == "Download (12 MiB)"
    unknown = FetchOffer(source="a", num_bytes=None, num_files=16_578, licence="b", is_there=False)
    assert write_download(unknown) == "Download (16,578 files)"


def test_grades_are_shown_as_classes(app, home):
    make_grades(home)
    data = DataConfig(dataset="medmnist", options=GRADES)
    inspect_dataset(data)
    page = open_data(app, data=view_key(data))
    words = read_words(page)
    assert "How many images are in each class" in words
    assert "occur together" not in words
    table = page.dataframe[0].value
    assert list(table.columns)[:3] == ["Class", "Split", "Images"]
    assert table["Images"].sum() == sum(COUNTS.values())
    page.session_state["data_tab"] = ":material/groups: Splits and people"
    page.run()
    assert list(page.dataframe[0].value.columns)[-1] == "Images per patient"
    assert "Not known for any image: age, sex, view, laterality, skin type" in read_words(page)
    page.session_state["data_tab"] = ":material/grid_view: Images"
    page.run()
    box = next(item for item in page.selectbox if item.label == "Class")
    assert box.options == ["any class", *(f"grade {number}" for number in range(5))]
    box.set_value("grade 3").run()
    assert not page.exception
    assert "All 7 images." in read_words(page)
    assert "**grade 3** · train" in read_words(page)


def test_many_classes_have_a_line_each_and_skin_types_a_chart(app, home, tmp_path):
    root = make_photographs(tmp_path / "skin")
    data = DataConfig(dataset="fitzpatrick17k", root=str(root), options={"labels": "all"})
    inspect_dataset(data)
    assert [item["title"] for item in list_views()] == ["Fitzpatrick17k"]
    page = open_data(app, data=view_key(data))
    chart = json.loads(page.get("vega_lite_chart")[0].proto.spec)
    assert chart["height"] < 30 * 20 + 150, "one line for each of 30 classes, not three"
    page.session_state["data_tab"] = ":material/groups: Splits and people"
    page.run()
    assert not page.exception
    words = read_words(page)
    assert "**Skin type (Fitzpatrick)**" in words
    assert "Known for 45 images. Not known for 15." in words
    assert {"data_skin_type_csv"} <= {item.key for item in page.main.get("download_button")}
