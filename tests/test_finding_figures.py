"""Figures of the first lesson: AUROC against labelled images, and the forest of LoRA minus full."""

import io
import itertools
import json

import pytest
from figure_data import check_vega_lite
from finding_data import FINDINGS, LOSES, UNCLEAR, WINS, make_finding
from PIL import Image

from medpeft_core.figures import prepare_print
from medpeft_core.figures.finding import build_label_curve
from medpeft_core.figures.finding_differences import NO_INTERVAL, build_difference_forest, judge_difference
from medpeft_core.figures.finding_differences import UNCLEAR as SAYS_NOTHING
from medpeft_core.figures.finding_looks import MEAN_NAME
from medpeft_core.reports.pictures import render_png, render_svg

CURVE_LINE, CURVE_RULE, CURVE_SEEDS, CURVE_NAMES = 1, 2, 3, 6


def test_curve_holds_the_means_and_intervals_of_the_result():
    result = make_finding()
    spec = build_label_curve(result)
    check_vega_lite(spec)
    rows = {(row["method"], row["images"]): row for row in spec["data"]["values"]}
    assert len(rows) == 4 * 3
    point = next(
        item for item in result["points"] if (item["method"], item["fraction"], item["label"]) == ("lora", 0.1, "macro")
    )
    drawn = rows["LoRA", 280]
    assert [drawn["value"], drawn["low"], drawn["high"]] == [point["mean"], point["low"], point["high"]]
    seeds = [row["value"] for row in spec["layer"][CURVE_SEEDS]["data"]["values"] if row["key"] == "lora"]
    assert len(seeds) == 5 * 3
    assert set(point["seeds"]) <= set(seeds)


def test_curve_shows_the_chosen_finding_only():
    result = make_finding()
    nodule = {(row["method"], row["fraction"]): row["mean"] for row in result["points"] if row["label"] == "Nodule"}
    rows = build_label_curve(result, "Nodule")["data"]["values"]
    assert {row["label"] for row in rows} == {"Nodule"}
    assert {(row["key"], row["fraction"]): row["value"] for row in rows} == nodule


def test_curve_has_the_real_counts_as_ticks_on_a_log_axis():
    x = build_label_curve(make_finding())["layer"][CURVE_LINE]["encoding"]["x"]
    assert x["axis"]["values"] == [28, 280, 2800]
    assert x["scale"]["type"] == "log"
    assert "'2,800', '100 %'" in x["axis"]["labelExpr"]
    assert x["scale"]["domain"][0] < 28
    assert x["scale"]["domain"][1] > 2800


def test_methods_keep_their_look_whichever_are_drawn_and_differ_in_shape():
    def look(spec, method):
        found = spec["layer"][4]["encoding"]
        at = found["color"]["scale"]["domain"].index(method)
        return found["color"]["scale"]["range"][at], found["shape"]["scale"]["range"][at]

    whole, short = build_label_curve(make_finding()), build_label_curve(make_finding(methods=("lora", "full")))
    assert look(whole, "lora") == look(short, "lora")
    assert look(whole, "full") == look(short, "full")
    looks = [look(whole, method) for method in ("linear", "lora", "full", "full_random")]
    assert len({shape for _, shape in looks}) == len({colour for colour, _ in looks}) == 4


def test_names_beside_the_lines_do_not_lie_on_each_other():
    """LoRA and full ended 0.003 apart, and their names were one black spot."""
    result = make_finding()
    for row in result["points"]:
        row["mean"] = 0.8 + 0.0001 * len(row["method"])
    spec = build_label_curve(result)
    low, high = spec["layer"][CURVE_LINE]["encoding"]["y"]["scale"]["domain"]
    places = sorted(row["at"] for row in spec["layer"][CURVE_NAMES]["data"]["values"])
    gaps = [300 * (after - before) / (high - low) for before, after in itertools.pairwise(places)]
    assert len(places) == 4
    assert min(gaps) > 15
    assert low <= places[0]
    assert places[-1] <= high


def test_one_seed_has_a_dot_and_no_interval():
    spec = build_label_curve(make_finding(num_seeds=1, fractions=(0.01,)))
    check_vega_lite(spec)
    assert all(row["low"] is None and row["high"] is None for row in spec["data"]["values"])
    assert spec["layer"][CURVE_RULE]["transform"] == [{"filter": "isValid(datum.low)"}]
    forest = build_difference_forest(make_finding(num_seeds=1, fractions=(0.01,)))
    check_vega_lite(forest)
    assert {row["says"] for row in forest["data"]["values"]} == {NO_INTERVAL}


def test_figures_of_a_run_that_has_just_begun_draw_what_is_there():
    result = make_finding(methods=("lora", "full"), fractions=(0.01, 0.1))
    result["points"] = [row for row in result["points"] if (row["method"], row["fraction"]) == ("lora", 0.01)]
    result["differences"] = []
    curve, forest = build_label_curve(result), build_difference_forest(result)
    check_vega_lite(curve)
    check_vega_lite(forest)
    assert [row["method"] for row in curve["data"]["values"]] == ["LoRA"]
    assert curve["layer"][CURVE_LINE]["encoding"]["x"]["axis"]["values"] == [28, 280]
    assert forest["data"]["values"] == []
    nothing = build_label_curve({**result, "points": [], "fractions": []})
    check_vega_lite(nothing)
    assert nothing["data"]["values"] == []


def test_forest_lists_the_mean_first_and_then_each_finding_at_each_number_of_images():
    result = make_finding(deltas={0.01: WINS, 0.1: UNCLEAR, 1.0: LOSES})
    spec = build_difference_forest(result)
    check_vega_lite(spec)
    rows = spec["data"]["values"]
    assert [row["label"] for row in rows] == [MEAN_NAME, *FINDINGS] * 3
    assert [row["images"] for row in rows] == [28] * 6 + [280] * 6 + [2800] * 6
    stored = {(row["fraction"], row["label"]): row for row in result["differences"]}
    for row in rows:
        item = stored[row["fraction"], "macro" if row["label"] == MEAN_NAME else row["label"]]
        assert (row["value"], row["low"], row["high"]) == (item["mean"], item["low"], item["high"])
    names = spec["layer"][2]["encoding"]["y"]["axis"]["labelExpr"]
    assert "28 images (1 %)" in names
    assert "2,800 images (100 %)" in names
    assert len({row["at"] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.01, 0.05, "LoRA better"),
        (-0.05, -0.01, "full better"),
        (-0.01, 0.03, SAYS_NOTHING),
        (0.0, 0.03, SAYS_NOTHING),
        (None, None, NO_INTERVAL),
    ],
)
def test_difference_is_judged_by_its_interval(low, high, says):
    assert judge_difference({"first": "full", "second": "lora", "mean": 0.02, "low": low, "high": high}) == says


def test_forest_tells_the_sides_in_words_and_has_zero_in_the_middle():
    spec = build_difference_forest(make_finding(deltas={0.01: WINS, 0.1: UNCLEAR, 1.0: LOSES}))
    texts = [layer["mark"]["text"] for layer in spec["layer"] if layer["mark"]["type"] == "text"]
    assert texts == ["← full better", "LoRA better →"]
    low, high = spec["layer"][1]["encoding"]["x"]["scale"]["domain"]
    assert low == -high
    assert max(abs(row[name]) for row in spec["data"]["values"] for name in ("low", "high")) <= high
    shape = spec["layer"][2]["encoding"]["shape"]["scale"]
    assert dict(zip(shape["domain"], shape["range"], strict=True)) == {
        "full better": "triangle-left", "LoRA better": "triangle-right", SAYS_NOTHING: "circle",
    }  # fmt: skip


def test_forest_of_tiny_differences_is_not_blown_up():
    result = make_finding(fractions=(0.1,))
    for row in result["differences"]:
        row |= {"mean": 0.0001, "low": -0.0002, "high": 0.0003}
    domain = build_difference_forest(result)["layer"][2]["encoding"]["x"]["scale"]["domain"]
    assert domain[1] >= 0.02


@pytest.mark.parametrize("build", [build_label_curve, build_difference_forest])
def test_figures_can_be_printed(build):
    spec = build(make_finding(deltas={0.01: WINS, 0.1: UNCLEAR, 1.0: LOSES}))
    before = json.dumps(spec, allow_nan=False)
    printed = prepare_print(spec, title="What it shows", notes=["Synthetic."])
    assert json.dumps(spec) == before
    check_vega_lite(printed)
    picture = Image.open(io.BytesIO(render_png(printed))).convert("RGB")
    assert picture.getpixel((2, 2)) == (255, 255, 255)
    assert len(picture.getcolors(1_000_000)) > 20
    svg = render_svg(printed).decode()
    assert "What it shows" in svg
    assert "LoRA" in svg
