"""Figures that are saved: for paper, as pictures and as tables."""

import io
import json

import pytest
from figure_data import check_vega_lite, make_history, make_result
from PIL import Image

from medpeft_core import figures
from medpeft_core.figures.comparison import LABEL_LIMIT
from medpeft_core.figures.legend import CHARACTER_WIDTH, SYMBOL_WIDTH
from medpeft_core.figures.printing import PRINT_WIDTH
from medpeft_core.reports.pictures import render_png, render_svg

WIDE_LETTER = 7.5  # pixels of a letter of DejaVu Sans at 12 pixels, on average


LINES = [
    figures.RateLine("LoRA", [0, 0, 1], [0, 0.8, 1], (0.1, 0.7, 0.42)),
    figures.RateLine("full", [0, 0.5, 1], [0, 0.6, 1], None),
]


def build_saved():
    """Every chart of a comparison."""
    results = [make_result("a", 0.8), make_result("b", 0.7, num_trainable_params=10**7)]
    return {
        "overlay": figures.build_curve_overlay({"a": make_history([0.6, 0.7]), "b": make_history([0.5, 0.6])}),
        "forest": figures.build_auroc_forest(results),
        "params": figures.build_param_scatter(results),
        "time": figures.build_time_scatter(results),
        "roc": figures.build_roc_chart(LINES, names=["LoRA", "full"]),
        "steps": figures.build_precision_recall_chart(LINES, names=["LoRA", "full"], prevalences=[0.3]),
    }


@pytest.mark.parametrize("name", build_saved())
def test_printed_charts_are_white_have_a_size_and_say_what_they_are(name):
    spec = build_saved()[name]
    before = json.dumps(spec)
    printed = figures.prepare_print(spec, title="What it shows", notes=["Synthetic.", "Not for clinical use."])
    assert json.dumps(spec) == before
    check_vega_lite(printed)
    assert printed["background"] == "white"
    assert printed["width"] == PRINT_WIDTH
    png = render_png(printed)
    assert png.startswith(b"\x89PNG")
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    assert picture.width >= 2 * PRINT_WIDTH
    assert picture.getpixel((2, 2)) == (255, 255, 255)
    svg = render_svg(printed).decode()
    assert all(text in svg for text in ("<svg", "What it shows", "Synthetic.", "Not for clinical use."))
    assert "LoRA" in svg or ">a<" in svg
    assert "http://" not in svg.replace("http://www.w3.org/", "")


def test_printed_texts_have_room_for_the_wider_letters_of_another_font():
    """Without Arial the mean's name was cut at the left edge, and names in the legend lay over the next marker."""
    names = [f"Full fine-tuning · ResNet-18 · seed {seed}" for seed in range(4)]
    spec = figures.build_auroc_forest([make_result(name, 0.8) for name in names])
    printed = figures.prepare_print(spec, title="Forest")
    assert printed["padding"]["left"] >= 0.2 * LABEL_LIMIT
    columns = printed["layer"][-1]["encoding"]["color"]["legend"]["columns"]
    widest = max(map(len, names)) * WIDE_LETTER + SYMBOL_WIDTH
    assert columns == 1 or columns * widest <= PRINT_WIDTH
    assert printed["config"]["legend"]["columnPadding"] >= max(map(len, names)) * (WIDE_LETTER - CHARACTER_WIDTH) / 2
    assert printed["config"]["font"].endswith("sans-serif")


def test_picture_never_asks_the_network():
    """A spec can name data on another computer; nothing of ours does, and a picture must not fetch it."""
    spec = {**build_saved()["forest"], "data": {"url": "http://127.0.0.1:9/data.csv"}, "width": 100}
    with pytest.raises(ValueError, match="External data url not allowed"):
        render_png(spec)


def test_rows_of_a_chart_become_a_table_for_other_programs():
    rows = figures.collect_rows(build_saved()["overlay"])
    assert list(rows.columns) == ["run", "epoch", "step", "value"]
    assert rows["value"].tolist() == [0.6, 0.7, 0.5, 0.6]
    assert list(figures.collect_rows(build_saved()["roc"]).columns) == ["run", "x", "y"]
    assert list(figures.collect_rows(build_saved()["forest"]).columns) == ["run", "label", "value", "low", "high"]
