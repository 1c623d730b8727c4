"""Figures: valid Vega-Lite that holds the stored numbers and stands still while data grow; saved pictures."""

import io
import json
import math
from itertools import combinations

import altair
import jsonschema
import pytest
from PIL import Image

from medpeft_core import figures
from medpeft_core.figures.comparison import LABEL_LIMIT
from medpeft_core.figures.legend import CHARACTER_WIDTH, SYMBOL_WIDTH
from medpeft_core.figures.printing import PRINT_WIDTH
from medpeft_core.figures.series import MAX_POINTS, MAX_ROWS, Point, build_rows, smooth, split_at_gaps, thin
from medpeft_core.figures.styles import COLOURS, DASHES, GREY, pick_colour, pick_dash
from medpeft_core.reports.pictures import render_png, render_svg

LABELS = ("Cardiomegaly", "Effusion", "Nodule")
EPOCHS, STEPS_PER_EPOCH = 10, 50
PLAN = {"epochs": EPOCHS, "num_steps": EPOCHS * STEPS_PER_EPOCH}
MEAN = "mean of the labels"
WIDE_LETTER = 7.5  # pixels of a letter of DejaVu Sans at 12 pixels, on average


def make_history(aurocs, *, per_epoch=1, labels=LABELS):
    """Events as the loop emits them; None is an evaluation without any AUROC."""
    history, best = [], None
    for number, auroc in enumerate(aurocs, 1):
        step = number * STEPS_PER_EPOCH // per_epoch
        epoch = math.ceil(number / per_epoch)
        history.append(
            {"type": "step", "step": step, "epoch": epoch, "loss": 1 / number, "lr": 1e-3, "images_per_s": 50.0}
        )
        is_best = auroc is not None and (best is None or auroc > best)
        best = auroc if is_best else best
        per_label = {label: None if auroc is None else auroc - 0.01 * k for k, label in enumerate(labels)}
        history.append(
            {"type": "eval", "step": step, "epoch": epoch, "split": "val", "val_auroc": auroc, "val_loss": 0.6,
             "val_auroc_per_class": per_label, "is_best": is_best}
        )  # fmt: skip
        if number % per_epoch == 0:
            history.append({"type": "epoch", "step": step, "epoch": epoch, "train_loss": 0.5})
    return history


def rows_of(spec, name, *, best=False):
    return [row for row in spec["data"]["values"] if row["series"] == name and row["is_best"] is best]


def check_vega_lite(spec):
    """Against the schema of Vega-Lite; a few rows are as good as all of them."""
    altair.TopLevelSpec.validate({**spec, "data": {"values": spec["data"]["values"][:9]}})


def without_data(spec):
    return {**spec, "data": None}


def build_all(history):
    """Every live figure of a history."""
    return {
        "learning": figures.build_learning_curves(history, labels=LABELS, **PLAN),
        "mean alone": figures.build_learning_curves(history, labels=LABELS, show_labels=False, **PLAN),
        "without plan": figures.build_learning_curves(history, labels=LABELS, epochs=None),
        "loss": figures.build_loss_curve(history, **PLAN),
        "lr": figures.build_lr_curve(history, **PLAN),
        "speed": figures.build_speed_curve(history, **PLAN),
        "overlay": figures.build_curve_overlay({"a": history, "b": history}),
        "overlay of one": figures.build_curve_overlay({"a": history}),
    }


@pytest.mark.parametrize(
    "aurocs", [[], [0.7], [None], [0.6, None, 0.7], [0.5 + 0.0004 * i for i in range(900)]], ids=lambda a: str(len(a))
)
def test_curves_are_valid_vega_lite_and_json(aurocs):
    for name, spec in build_all(make_history(aurocs)).items():
        json.dumps(spec, allow_nan=False)
        check_vega_lite(spec)
        assert spec["width"] == "container", name
        assert 100 < spec["height"] < 400, name


def test_vega_lite_check_sees_a_bad_spec():
    spec = figures.build_lr_curve([], **PLAN)
    spec["layer"][0]["mark"]["type"] = "curve"
    with pytest.raises(jsonschema.ValidationError):
        check_vega_lite(spec)


def test_curves_keep_their_spec_while_data_grow():
    """A chart whose spec changes is torn down at every tick."""
    early, late = (build_all(make_history([0.6, 0.7, 0.65][:count])) for count in (1, 3))
    for name in early:
        assert without_data(early[name]) == without_data(late[name]), name
        assert early[name]["data"] != late[name]["data"]
    empty = figures.build_learning_curves([], labels=LABELS, **PLAN)
    assert without_data(empty) == without_data(early["learning"])


def test_learning_curves_hold_the_events():
    spec = figures.build_learning_curves(make_history([0.6, 0.7, 0.65]), labels=LABELS, **PLAN)
    assert [(row["epoch"], row["value"]) for row in rows_of(spec, MEAN)] == [(1, 0.6), (2, 0.7), (3, 0.65)]
    assert [row["value"] for row in rows_of(spec, "Nodule")] == pytest.approx([0.58, 0.68, 0.63])
    assert [(row["epoch"], row["value"]) for row in rows_of(spec, MEAN, best=True)] == [(2, 0.7)]
    assert spec["encoding"]["x"]["scale"]["domain"] == [0, EPOCHS]
    assert spec["encoding"]["y"]["scale"]["domain"] == [0.4, 1.0]


def test_learning_curves_place_evaluations_inside_an_epoch():
    history = make_history([0.6, 0.61, 0.62, 0.63, 0.64], per_epoch=2)
    for plan in (PLAN, {"epochs": EPOCHS}):  # planned steps, or those of the epochs that are over
        spec = figures.build_learning_curves(history, labels=(), **plan)
        assert [row["epoch"] for row in rows_of(spec, MEAN)] == [0.5, 1.0, 1.5, 2.0, 2.5]


def test_learning_curves_draw_the_mean_last_and_bold():
    spec = figures.build_learning_curves(make_history([0.6]), labels=LABELS, **PLAN)
    assert [row["series"] for row in spec["data"]["values"] if not row["is_best"]] == [*LABELS, MEAN]
    widths = spec["layer"][0]["encoding"]["strokeWidth"]
    assert widths["condition"]["test"] == {"field": "series", "equal": MEAN}
    assert widths["condition"]["value"] > 2 * widths["value"]
    assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == [MEAN, *LABELS]


def test_learning_curves_of_one_label_show_one_curve_without_legend():
    spec = figures.build_learning_curves(make_history([0.6], labels=("a",)), labels=("a",), **PLAN)
    assert {row["series"] for row in spec["data"]["values"]} == {MEAN}
    assert spec["layer"][0]["encoding"]["color"]["legend"] is None


@pytest.mark.parametrize(("lowest", "bottom"), [(0.45, 0.4), (0.4, 0.4), (0.39, 0.2), (0.1, 0.0)])
def test_learning_curves_widen_the_axis_for_low_values_only(lowest, bottom):
    spec = figures.build_learning_curves(make_history([lowest, 0.8]), labels=(), **PLAN)
    assert spec["encoding"]["y"]["scale"]["domain"] == [pytest.approx(bottom), 1.0]


def test_curves_show_gaps_and_lone_points():
    """An evaluation without AUROC broke the line, and a run of one epoch showed an empty chart."""
    spec = figures.build_learning_curves(make_history([0.6, 0.61, None, 0.7, None]), labels=(), **PLAN)
    rows = rows_of(spec, MEAN)
    assert [(row["epoch"], row["piece"], row["is_lone"]) for row in rows] == [
        (1, 0, False), (2, 0, False), (4, 1, True),
    ]  # fmt: skip
    single = figures.build_curve_overlay({"a": make_history([0.6])})
    assert [row["is_lone"] for row in single["data"]["values"]] == [True]


def test_chance_line_is_drawn_once():
    spec = figures.build_learning_curves(make_history([0.6] * 5), labels=LABELS, **PLAN)
    rules = [layer for layer in spec["layer"] if isinstance(layer["mark"], dict) and layer["mark"]["type"] == "rule"]
    assert [layer["data"]["values"] for layer in rules] == [[{"chance": 0.5}]]


def test_loss_curve_holds_smoothed_training_and_val_loss():
    spec = figures.build_loss_curve(make_history([0.6, 0.6]), **PLAN)
    names = list(dict.fromkeys(row["series"] for row in spec["data"]["values"]))
    assert names == ["training loss, smoothed", "val loss"]
    values = [row["value"] for row in rows_of(spec, names[0])]
    assert values[0] == pytest.approx(1.0)
    assert values[1] == pytest.approx((0.8 * 1.0 + 0.5) / 1.8)


def test_overlay_places_each_run_by_its_own_epochs():
    long = [{**event, "step": event["step"] * 4} for event in make_history([0.6, 0.7])]
    spec = figures.build_curve_overlay({"short": make_history([0.6, 0.7]), "long": long})
    for name in ("short", "long"):
        assert [row["epoch"] for row in rows_of(spec, name)] == [1, 2]
    unfinished = [{"type": "eval", "step": 25, "epoch": 1, "val_auroc": 0.6}]
    spec = figures.build_curve_overlay({"a": unfinished}, steps_per_epoch={"a": 50.0})
    assert [row["epoch"] for row in spec["data"]["values"]] == [0.5]


def test_overlay_of_no_runs_is_an_empty_chart():
    spec = figures.build_curve_overlay({})
    check_vega_lite(spec)
    assert spec["data"]["values"] == []


def test_overlay_tells_a_dozen_runs_apart():
    encoding = figures.build_curve_overlay({f"run {i}": [] for i in range(12)})["layer"][0]["encoding"]
    looks = list(zip(encoding["color"]["scale"]["range"], map(str, encoding["strokeDash"]["scale"]["range"]),
                     strict=True))  # fmt: skip
    assert len(set(looks)) == 12


def test_rows_are_few_however_long_the_run_was():
    history = make_history([0.5 + (i % 90) / 200 for i in range(5000)], labels=[f"label {i}" for i in range(14)])
    spec = figures.build_learning_curves(history, labels=[f"label {i}" for i in range(14)], epochs=5000)
    assert len(spec["data"]["values"]) <= MAX_ROWS + 1
    alone = figures.build_learning_curves(history, labels=(), epochs=5000)
    rows = rows_of(alone, MEAN)
    assert len(rows) == MAX_POINTS
    assert (rows[0]["epoch"], rows[-1]["epoch"]) == (1, 5000)


def test_thin_keeps_ends_and_order_and_split_keeps_values():
    points = [Point(float(i), i, None if i % 7 == 3 else float(i)) for i in range(1000)]
    thinned = thin(points, 50)
    assert len(thinned) == 50
    assert (thinned[0], thinned[-1]) == (points[0], points[-1])
    assert thinned == sorted(thinned, key=lambda point: point.epoch)
    assert thin(points[:3], 50) == points[:3]
    pieces = split_at_gaps(points)
    assert all(pieces)
    assert [point for piece in pieces for point in piece] == [point for point in points if point.value is not None]
    assert len(pieces) == 144
    assert build_rows({"a": [Point(0, 0, None)]}) == []


def test_smooth_follows_constants_exactly_and_skips_gaps():
    points = [Point(float(i), i, None if i == 2 else 0.3) for i in range(6)]
    assert [point.value for point in smooth(points)] == pytest.approx([0.3] * 5)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour, other):
    """Contrast ratio of WCAG 2.2."""
    low, high = sorted((luminance(colour), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("background", ["#ffffff", "#0e1117", "#0f1719"])
@pytest.mark.parametrize("colour", [*COLOURS, GREY])
def test_colours_can_be_seen_on_white_and_on_dark(colour, background):
    assert contrast(colour, background) >= 3


@pytest.mark.parametrize("first", [0, 1])
def test_styles_are_unique_and_close_colours_differ_in_dash(first):
    looks = [(pick_colour(i, first=first), tuple(pick_dash(i))) for i in range(12)]
    assert len(set(looks)) == 12
    assert {look[1] for look in looks} == set(DASHES)
    close = [{"#d55e00", "#c58800"}, {"#0f7fc0", "#479ccc"}]
    for (colour, dash), (other, other_dash) in combinations(looks[: len(COLOURS) - first], 2):
        assert {colour, other} not in close or dash != other_dash


def make_result(run_id, auroc, *, num_trainable_params=1000, wall_time_s=90.0, labels=LABELS):
    figures_of_label = {"auroc": auroc, "low": auroc - 0.05, "high": auroc + 0.02} if auroc else {}
    return {
        "run_id": run_id,
        "test_auroc": auroc,
        "test_auroc_low": auroc and auroc - 0.03,
        "test_auroc_high": auroc and auroc + 0.01,
        "per_class": {label: dict(figures_of_label) for label in labels} if auroc else {},
        "num_trainable_params": num_trainable_params,
        "wall_time_s": wall_time_s,
    }


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
