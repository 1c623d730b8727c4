"""Live figures: valid Vega-Lite that holds the stored numbers and stands still while data grow."""

import json
from itertools import combinations

import jsonschema
import pytest
from figure_data import EPOCHS, LABELS, MEAN, PLAN, check_vega_lite, make_history, rows_of

from medpeft_core import figures
from medpeft_core.figures.series import MAX_POINTS, MAX_ROWS, Point, build_rows, smooth, split_at_gaps, thin
from medpeft_core.figures.styles import COLOURS, DASHES, GREY, pick_colour, pick_dash


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
