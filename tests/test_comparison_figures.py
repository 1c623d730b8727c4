"""Figures that compare runs: forest, scatter, ROC and precision-recall, with the stored numbers."""

import json

import pytest
from figure_data import LABELS, MEAN, check_vega_lite, make_history, make_result

from medpeft_core import figures


def look_of(spec, name):
    """Colour and symbol of a series."""
    points = spec["layer"][-1]["encoding"]
    at = points["color"]["scale"]["domain"].index(name)
    return points["color"]["scale"]["range"][at], points["shape"]["scale"]["range"][at]


def test_forest_holds_the_stored_figures():
    first, second = make_result("a", 0.8), make_result("b", 0.7)
    second["per_class"]["Effusion"] = {"auroc": None, "low": None, "high": None}
    second["per_class"]["Nodule"] |= {"low": None, "high": None}
    spec = figures.build_auroc_forest([first, second], names={"a": "LoRA"})
    check_vega_lite(spec)
    rows = {(row["series"], row["label"]): row for row in spec["data"]["values"]}
    assert len(rows) == 7, "n/a has no dot"
    assert ("b", "Effusion") not in rows
    mean, effusion = rows["LoRA", MEAN], rows["LoRA", "Effusion"]
    assert [mean[name] for name in ("value", "low", "high")] == pytest.approx([0.8, 0.77, 0.81])
    assert [effusion[name] for name in ("value", "low", "high")] == pytest.approx([0.8, 0.75, 0.82])
    assert (rows["b", "Nodule"]["low"], rows["b", "Nodule"]["high"]) == (None, None)
    dots = spec["layer"][-1]["encoding"]
    assert dots["y"]["scale"]["domain"] == [MEAN, *LABELS]
    assert dots["yOffset"]["scale"]["domain"] == dots["color"]["scale"]["domain"] == ["LoRA", "b"]
    assert dots["x"]["scale"]["domain"] == [pytest.approx(0.45), 1.0]


def test_forest_leaves_out_a_run_without_a_result_and_keeps_the_colours_of_the_others():
    """A run at work had a place in the legend, and no dot."""
    results = [make_result("a", 0.8), make_result("at work", None), make_result("c", 0.7)]
    spec = figures.build_auroc_forest(results)
    dots = spec["layer"][-1]["encoding"]
    assert dots["color"]["legend"]["values"] == dots["shape"]["legend"]["values"] == ["a", "c"]
    assert dots["yOffset"]["scale"]["domain"] == ["a", "c"]
    assert look_of(spec, "c") == look_of(figures.build_param_scatter(results), "c")
    assert spec["height"] == figures.build_auroc_forest([results[0], results[2]])["height"]


@pytest.mark.parametrize(("epochs", "ticks"), [(1, None), (2, 1), (3, 1), (None, 1)])
def test_axis_of_a_few_epochs_has_whole_ones(epochs, ticks):
    """The axis of three epochs said 0.2, 0.4, 0.6."""
    spec = figures.build_learning_curves(make_history([0.6, 0.7]), labels=LABELS, epochs=epochs)
    assert spec["encoding"]["x"]["axis"].get("tickMinStep") == ticks


def test_forest_draws_chance_once_and_intervals_only_where_they_are_known():
    chance, intervals, dots = figures.build_auroc_forest([make_result("a", 0.8)])["layer"]
    assert chance["data"]["values"] == [{"chance": 0.5}]
    assert intervals["transform"] == [{"filter": "isValid(datum.low)"}]
    assert "transform" not in dots


def test_forest_grows_with_its_rows():
    small = figures.build_auroc_forest([make_result("a", 0.8)])
    many_labels = figures.build_auroc_forest([make_result("a", 0.8, labels=[str(i) for i in range(14)])])
    many_runs = figures.build_auroc_forest([make_result(str(i), 0.3 + i / 10) for i in range(5)])
    assert small["height"] < many_labels["height"]
    assert small["height"] < many_runs["height"]
    assert small["width"] == "container"
    assert many_runs["layer"][-1]["encoding"]["x"]["scale"]["domain"][0] == pytest.approx(0.2)
    assert small["layer"][-1]["encoding"]["color"]["legend"] is None


@pytest.mark.parametrize("results", [[], [make_result("a", None)]], ids=["no runs", "no result"])
def test_comparison_of_nothing_is_an_empty_figure(results):
    for build in (figures.build_auroc_forest, figures.build_param_scatter, figures.build_time_scatter):
        spec = build(results)
        check_vega_lite(spec)
        assert spec["data"]["values"] == []


def test_param_scatter_holds_the_stored_figures_in_the_forests_colours():
    results = [make_result("a", None), make_result("b", 0.7, num_trainable_params=10**7), make_result("c", 0.8)]
    names = {"c": "LoRA"}
    scatter = figures.build_param_scatter(results, names=names)
    forest = figures.build_auroc_forest(results, names=names)
    check_vega_lite(scatter)
    assert [(row["series"], row["x"], row["value"]) for row in scatter["data"]["values"]] == [
        ("b", 10**7, 0.7), ("LoRA", 1000, 0.8),
    ]  # fmt: skip
    x = scatter["layer"][-1]["encoding"]["x"]
    assert x["scale"] == {"type": "log", "domain": [1000, 10**7]}
    assert scatter["data"]["values"][1]["low"] == pytest.approx(0.77)
    assert [look_of(scatter, name) for name in ("b", "LoRA")] == [look_of(forest, name) for name in ("b", "LoRA")]
    assert scatter["layer"][-1]["encoding"]["color"]["legend"]["values"] == ["b", "LoRA"]


@pytest.mark.parametrize(
    ("seconds", "title", "places"),
    [((90.0, 600.0), "wall time in minutes", [1.5, 10.0]), ((1800.0, 9000.0), "wall time in hours", [0.5, 2.5])],
)
def test_time_scatter_chooses_its_unit(seconds, title, places):
    results = [make_result(str(number), 0.8, wall_time_s=value) for number, value in enumerate(seconds)]
    spec = figures.build_time_scatter([*results, make_result("unknown", 0.7, wall_time_s=None)])
    check_vega_lite(spec)
    assert spec["layer"][-1]["encoding"]["x"]["title"] == title
    assert [row["x"] for row in spec["data"]["values"]] == places


def test_points_of_a_dozen_runs_differ_also_without_colour():
    looks = [
        look_of(figures.build_auroc_forest([make_result(str(i), 0.8) for i in range(12)]), str(i)) for i in range(12)
    ]
    assert len(set(looks)) == 12
    assert len({symbol for _, symbol in looks[:6]}) == 6


LINES = [
    figures.RateLine("LoRA", [0, 0, 1], [0, 0.8, 1], (0.1, 0.7, 0.42)),
    figures.RateLine("full", [0, 0.5, 1], [0, 0.6, 1], None),
]


def test_roc_chart_holds_the_curves_and_marks_the_threshold():
    spec = figures.build_roc_chart(LINES, names=["running", "LoRA", "full"])
    check_vega_lite(spec)
    json.dumps(spec, allow_nan=False)
    rows = [(row["series"], row["at"], row["x"], row["y"]) for row in spec["data"]["values"]]
    assert rows[:3] == [("LoRA", 0, 0, 0), ("LoRA", 1, 0, 0.8), ("LoRA", 2, 1, 1)]
    guess, lines, points = spec["layer"]
    assert [(row["x"], row["y"]) for row in guess["data"]["values"]] == [(0, 0), (1, 1)]
    assert lines["encoding"]["order"] == {"field": "at"}, "else a vertical piece is drawn as a zigzag"
    assert points["data"]["values"] == [{"series": "LoRA", "x": 0.1, "y": 0.7, "threshold": 0.42}]
    colours = lines["encoding"]["color"]
    assert colours["scale"]["domain"] == ["running", "LoRA", "full"], "a run keeps the colour of the other charts"
    assert colours["legend"]["values"] == ["LoRA", "full"]


def test_precision_recall_chart_draws_steps_and_each_prevalence_once():
    spec = figures.build_precision_recall_chart(LINES, names=["LoRA", "full"], prevalences=[0.3, 0.3, 0.1])
    check_vega_lite(spec)
    guess, lines, _ = spec["layer"]
    assert [(row["x"], row["y"], row["guess"]) for row in guess["data"]["values"]] == [
        (0, 0.1, 0), (1, 0.1, 0), (0, 0.3, 1), (1, 0.3, 1),
    ]  # fmt: skip
    assert lines["mark"]["interpolate"] == "step-before"
