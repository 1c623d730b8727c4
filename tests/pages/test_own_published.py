"""Own images that are really a published set: the hint, and the way to the set's own reader."""

from data_visits import read_words
from own_visits import draw_image, make_class_folder

from medpeft_core.datasets.own.recognising import recognise
from pages.widgets.own_draft import DRAFT_KEY

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"


def make_nih_folder(folder):
    lines = [HEADER]
    for number in range(12):
        name = f"{number // 2 + 1:08d}_{number % 2:03d}.png"
        draw_image(folder / "images" / name, number, is_bright=number % 2 == 1)
        lines.append(f"{name},{'Mass' if number % 2 else 'No Finding'},{number % 2},{number // 2 + 1},40,F,PA")
    (folder / "Data_Entry_2017.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_only_published_sets_are_recognised(tmp_path):
    assert recognise(make_nih_folder(tmp_path / "nih")) == ["nih"]
    assert recognise(make_class_folder(tmp_path / "eyes", per_class=2)) == []
    assert recognise(make_class_folder(tmp_path / "busi", per_class=2, classes=("benign", "malignant", "normal"))) == [
        "busi"
    ]


def test_published_set_is_taken_to_its_own_reader(app, tmp_path):
    root = make_nih_folder(tmp_path / "films")
    app.run()
    app.switch_page("pages/data.py")
    app.query_params["own"] = "1"
    app.session_state[DRAFT_KEY] = {"place": "folder", "path": str(root)}
    app.run()
    assert not app.exception
    assert "This looks like NIH ChestX" in read_words(app)
    app.button(key="own_published_nih").click().run()
    assert app.title[0].value == "Data"
    shown = {item.label: item.value for item in (*app.selectbox, *app.text_input)}  # their keys were made anew
    assert (shown["Data set"], shown["Folder on this computer"]) == ("nih", str(root))
