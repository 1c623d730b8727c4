"""The Images tab of the Data page: the grid, one image in full, what is marked, and images that cannot be shown."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_visits import make_nih, prepare_phantom, read_words
from PIL import Image
from test_data_page import open_page, read_address

from medpeft_core.config import DataConfig
from medpeft_core.datasets.prepare import find_view, inspect_dataset
from medpeft_core.datasets.views import view_key
from pages.widgets.data_images import NONE, find_rows, pick_rows, write_labels
from pages.widgets.data_pictures import read_outlines, read_small

IMAGES_TAB = ":material/grid_view: Images"


def open_images(app, data: DataConfig, **parameters):
    """The page on a prepared set with its Images tab open."""
    app.run()
    app.session_state["data_tab"] = IMAGES_TAB
    return open_page(app, data=view_key(data), **parameters)


def list_tiles(page) -> list[str]:
    """The names on the buttons of the grid."""
    return [item.label.replace("\\", "") for item in page.main.button if (item.key or "").startswith("data_tile_")]


def choose(page, key: str, value):
    widget = next(item for item in page.main.selectbox if re.fullmatch(rf"{key}(-\d+)?", item.key or ""))
    return widget.set_value(value).run()


@pytest.fixture
def phantom(home) -> DataConfig:
    return prepare_phantom(home)


def test_images_tab_shows_images_with_their_labels(app, phantom):
    page = open_images(app, phantom)
    tiles = list_tiles(page)
    assert len(tiles) == len(set(tiles)) == 12
    view = find_view(phantom)
    row = view.find_row(f"images/{tiles[0]}")
    assert f"**{write_labels(view, row)}** · {view.manifest.table['split'].iloc[row]}" in read_words(page)


def test_images_tab_filters_by_label_and_split(app, phantom):
    page = open_images(app, phantom)
    choose(page, "data_label", "Effusion")
    choose(page, "data_split", "train")
    assert not page.exception
    table = find_view(phantom).manifest.table.set_index("image")
    rows = table.loc[[f"images/{name}" for name in list_tiles(page)]]
    assert len(rows)
    assert (rows["Effusion"] == 1).all()
    assert (rows["split"] == "train").all()


def test_images_tab_shows_others_on_request(app, phantom):
    page = open_images(app, phantom)
    before = set(list_tiles(page))
    page.button(key="data_more").click().run()
    assert not page.exception
    after = set(list_tiles(page))
    assert len(after) == 12
    assert not before & after


def test_images_tab_says_when_it_shows_all(app, phantom):
    """It said "drawn at random" above all images of a kind."""
    page = open_images(app, phantom)
    manifest = find_view(phantom).manifest
    assert f"12 of {len(manifest)} images, drawn at random." in read_words(page)
    counts = manifest.table[list(manifest.labels)].sum().astype(int)
    choose(page, "data_label", str(counts.idxmin()))
    choose(page, "data_count", 48)
    assert f"All {counts.min()} images." in read_words(page)
    assert "drawn at random" not in read_words(page)
    assert len(list_tiles(page)) == counts.min()


def test_images_tab_says_that_no_image_is_like_that(app, tmp_path):
    root = make_nih(tmp_path / "nih")
    data = DataConfig(dataset="nih", root=str(root))
    inspect_dataset(data)
    page = open_images(app, data)
    choose(page, "data_label", "Edema")
    assert not page.exception
    assert "No image is like that" in read_words(page)
    assert list_tiles(page) == []


def test_images_tab_names_a_damaged_image_and_shows_the_others(app, tmp_path):
    """One damaged file must not take the whole grid away."""
    root = make_nih(tmp_path / "nih")
    (root / "images/00000001_000.png").write_bytes(b"no image")
    data = DataConfig(dataset="nih", root=str(root))
    inspect_dataset(data)
    page = open_images(app, data, image="images/00000001_000.png")
    assert "is not a PNG, JPEG, BMP, TIFF or DICOM image" in read_words(page).replace("\\", "")
    page.query_params["image"] = "images/00000001_001.png"
    page.run()
    assert not page.exception  # the damaged one is among the other images of this patient
    words = read_words(page).replace("\\", "")
    assert "00000001_000.png is not a PNG, JPEG, BMP, TIFF or DICOM image" in words
    assert "Other images of this patient" in words


def test_opening_a_tile_puts_the_image_into_the_address(app, phantom):
    page = open_images(app, phantom)
    tile = list_tiles(page)[3]
    next(item for item in page.main.button if item.label.replace("\\", "") == tile).click().run()
    assert not page.exception
    assert read_address(page, "image") == f"images/{tile}"
    row = page.main.dataframe[0].value.set_index("Field")["Value"]
    assert row["File"] == f"images/{tile}"
    table = find_view(phantom).manifest.table.set_index("image").loc[f"images/{tile}"]
    assert row["Patient (pseudonym)"] == table["patient_id"]
    assert row["Effusion"] == ("yes" if table["Effusion"] == 1 else "no")
    page.button(key="data_back").click().run()
    assert "image" not in page.query_params
    assert len(list_tiles(page)) == 12


def test_image_of_the_address_opens_its_tab(app, phantom):
    name = str(find_view(phantom).manifest.table["image"].iloc[0])
    page = open_page(app, data=view_key(phantom), image=name)
    assert page.main.dataframe[0].value["Value"].iloc[0] == name


@pytest.mark.parametrize("name", ["images/unheard_of.png", "../../etc/passwd", "<b>x</b>"])
def test_unknown_image_of_the_address_is_told_and_not_shown(app, phantom, name):
    page = open_images(app, phantom, image=name)
    assert "names an image that is not in this data set" in read_words(page)
    assert name not in read_words(page)
    assert len(list_tiles(page)) == 12


def test_image_shows_the_places_of_its_findings_on_demand(app, phantom):
    table = find_view(phantom).manifest.table
    name = str(table.loc[table["Cardiomegaly"] == 1, "image"].iloc[0])
    page = open_images(app, phantom, image=name)
    assert "Cardiomegaly, outline" not in read_words(page)
    for kind, word in (("mask", "outline"), ("box", "box")):
        control = next(item for item in page.main.button_group if (item.key or "").startswith("data_marks_large"))
        control.set_value([kind] if isinstance(control.value, list) else kind).run()
        assert not page.exception
        assert f"Cardiomegaly, {word}" in read_words(page)


def test_test_image_links_to_the_runs_that_were_tested_on_it(app, phantom, home, make_run):
    run = make_run(home, settings={"data": {"options": phantom.options}})
    table = find_view(phantom).manifest.table
    names = table.loc[table["split"] == "test", "image"].tolist()
    path = run.predictions_dir / "test.parquet"
    stored = pd.read_parquet(path)
    stored["image"] = [*names[:2], *stored["image"].iloc[2:]]
    stored.to_parquet(path, index=False)
    page = open_images(app, phantom, image=names[1])
    assert "How a run sees it" in read_words(page)
    link = next(item.proto for item in page.main.get("page_link") if item.proto.page == "explain")
    assert "LoRA" in link.label
    assert f"run={run.run_id}" in link.query_string
    assert "image=2" in link.query_string
    page.query_params["image"] = names[-1]
    page.run()
    assert "No finished run was tested on this image yet" in read_words(page)


def test_find_rows_takes_no_finding_as_every_label_known_and_absent(phantom):
    view = find_view(phantom)
    rows = find_rows(view, label=NONE, split="all splits")
    assert len(rows)
    assert (view.manifest.targets()[rows] == 0).all()
    assert {write_labels(view, row) for row in rows.tolist()} == {"no finding"}


def test_pick_rows_goes_through_all_rows_before_it_begins_again():
    rows = np.arange(10)
    seen = [pick_rows(rows, count=4, page=page).tolist() for page in range(3)]
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]
    assert pick_rows(rows, count=48, page=5).tolist() != []
    assert sorted(pick_rows(rows, count=48, page=5).tolist()) == rows.tolist()


def test_read_small_takes_the_file_where_nothing_is_decoded(phantom):
    view = find_view(phantom)
    loaded = read_small(view.manifest, 0, None)
    assert loaded.size == (64, 64)
    np.testing.assert_array_equal(np.asarray(loaded.picture), np.asarray(Image.open(view.manifest.paths()[0])))


def test_read_outlines_gives_boxes_as_shares_of_the_image(phantom):
    view = find_view(phantom)
    row = int(np.flatnonzero(view.manifest.table["Cardiomegaly"] == 1)[0])
    box = next(item for item in json.loads(view.manifest.table["boxes"].iloc[row]) if item["label"] == "Cardiomegaly")
    found = next(
        item for item in read_outlines(view.manifest, row, "box", size=(64, 64)) if item.name == "Cardiomegaly"
    )
    assert found.geometry == pytest.approx([box[key] / 64 for key in ("x", "y", "width", "height")])
    assert all(item.kind == "mask" for item in read_outlines(view.manifest, row, "mask", size=(64, 64)))


def test_images_tab_opens_no_file_that_it_does_not_show(app, phantom, monkeypatch):
    """Tiles come from the decoded pixels; only an image in full is read from its file."""
    opened: list[Path] = []
    monkeypatch.setattr("pages.widgets.data_pictures.read_image", lambda path, reading: opened.append(path))
    page = open_images(app, phantom)
    assert len(list_tiles(page)) == 12
    assert opened == []
