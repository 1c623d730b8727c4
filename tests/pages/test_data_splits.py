"""The Data page lets people choose how a set is split, and Train takes the choice over."""

import pytest
from data_visits import make_nih
from train_visits import find, open_train, rerun, use_stand_in

from medpeft_core.config import DataConfig, RunConfig
from medpeft_core.datasets.prepare import find_view, inspect_dataset
from medpeft_core.datasets.views import view_key
from medpeft_core.resolve import resolve_data
from medpeft_core.runs.store import RunStore
from pages.widgets.data_choice import write_difference
from pages.widgets.data_sets import find_section


@pytest.fixture
def folds(home, tmp_path) -> DataConfig:
    """An NIH folder that is prepared as the second of four folds."""
    root = str(make_nih(tmp_path / "nih"))
    data = DataConfig(dataset="nih", root=root, split="folds", folds=4, fold=2, split_seed=3)
    inspect_dataset(data)
    return data


def shown(app) -> set[str]:
    """The names of the shared settings on the page."""
    widgets = [*app.main.selectbox, *app.main.number_input, *app.main.text_input]
    prefix = "data_shared_nih_"
    return {item.key.removeprefix(prefix).partition("-")[0] for item in widgets if str(item.key).startswith(prefix)}


def test_data_page_offers_what_a_split_needs(app, home, tmp_path):
    root = str(make_nih(tmp_path / "nih"))
    app.run()
    app.switch_page("pages/data.py").run()
    app.selectbox(key="data_dataset").set_value("nih").run()
    app.text_input(key="data_root_nih").set_value(root).run()
    assert shown(app) == {"split"}, "these films are no DICOM files"
    app.selectbox(key="data_shared_nih_split").set_value("folds").run()
    assert shown(app) == {"split", "folds", "fold"}
    app.selectbox(key="data_shared_nih_split").set_value("hold_out").run()
    assert shown(app) == {"split", "hold_out"}
    app.text_input(key="data_shared_nih_hold_out").set_value("age>=60").run()
    assert not app.exception
    data = DataConfig(dataset="nih", root=root, split="hold_out", hold_out="age>=60")
    inspect_dataset(data)
    app.run()
    assert app.query_params["data"] == view_key(data)
    ages = {name: find_view(data).manifest.split(name).table["age"] for name in ("train", "test")}
    assert ages["test"].min() == 60 > ages["train"].max()


def test_data_page_and_train_take_a_split_from_an_address(app, folds, monkeypatch):
    use_stand_in(monkeypatch)
    app.run()
    app.switch_page("pages/data.py")
    app.query_params["data"] = view_key(folds)
    app.run()
    assert not app.exception
    values = {name: find(app.number_input, f"data_shared_nih_{name}").value for name in ("folds", "fold")}
    assert values == {"folds": 4, "fold": 2}
    assert app.query_params["data"] == view_key(folds)
    open_train(app, data=view_key(folds))
    command = app.code[0].value
    assert all(f"--set data.{text}" in command for text in ("split=folds", "folds=4", "fold=2", "split_seed=3"))
    find(app.selectbox, "train_dataset").set_value("phantom")
    rerun(app)
    assert "data.fold" not in app.code[0].value, "folds of another set mean nothing here"


def test_sets_that_differ_in_their_split_are_told_apart(folds):
    kept = [{"title": "NIH", "num_images": 120, "data": find_section(view_key(folds))}]
    other = {**kept[0], "data": {**kept[0]["data"], "fold": 3}}
    texts = [write_difference(item, [kept[0], other]) for item in (kept[0], other)]
    assert "split folds, folds 4, fold 2" in texts[0]
    assert "fold 3" in texts[1]


def test_a_run_leads_to_its_split_where_nothing_was_kept(app, home):
    app.run()
    data = resolve_data(DataConfig(split="hold_out", hold_out="view=AP"))
    RunStore(home).create(RunConfig(data=data), provenance={})
    found = find_section(view_key(data))
    assert (found["split"], found["hold_out"]) == ("hold_out", "view=AP")
