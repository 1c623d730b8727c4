"""Charts of a data set: valid Vega-Lite that holds the counts, drawn to see what they write and mark."""

import json
import re

import altair
import pytest

from medpeft_core.figures.data_charts import (
    build_age_chart,
    build_label_lines,
    build_prevalence_chart,
    build_value_chart,
)
from medpeft_core.figures.pair_map import build_pair_map
from medpeft_core.reports.pictures import render_svg

SPLITS = ("train", "val", "test")


def make_labels(*labels):
    """Rows of three splits for each label; in val nothing is known of the last one."""
    rows = []
    for place, label in enumerate(labels):
        for split, known in zip(SPLITS, (2000, 300, 500), strict=True):
            known = 0 if split == "val" and place == len(labels) - 1 else known
            share = 0.1 * (place + 1) if known else None
            rows.append(
                {
                    "label": label, "split": split, "num_positive": round((share or 0) * known), "num_known": known,
                    "num_unknown": 7 if split == "test" else 0, "share": share,
                    "low": share and share - 0.02, "high": share and share + 0.02,
                }
            )  # fmt: skip
    return rows


def make_values(*values, splits=SPLITS):
    return [
        {"split": split, "value": value, "num_images": 10 * (place + 1), "share": 0.1 * (place + 1)}
        for place, value in enumerate(values)
        for split in splits
    ]


def make_pairs(labels):
    return [
        {"label": one, "other": two, "num_images": 5, "share": None if one == "Never" else 0.5}
        for one in labels
        for two in labels
    ]


CHARTS = {
    "prevalence": build_prevalence_chart(make_labels("Effusion", "Mass")),
    "one label": build_prevalence_chart(make_labels("Mass")),
    "many labels": build_prevalence_chart(make_labels(*(f"label_{number}" for number in range(9)))),
    "classes": build_prevalence_chart(make_labels("nv", "mel", "bcc"), is_exclusive=True),
    "lines": build_label_lines(make_labels(*(f"label_{number}" for number in range(9))), is_exclusive=False),
    "lines of classes": build_label_lines(make_labels("a", "b"), is_exclusive=True),
    "sex": build_value_chart(make_values("F", "M"), title="sex"),
    "view": build_value_chart(make_values("PA", splits=("train", "test")), title="view"),
    "age": build_age_chart(make_values("0-9", "10-19", "90+")),
    "age of one split": build_age_chart(make_values("50-59", splits=("test",))),
    "pairs": build_pair_map(make_pairs(["Effusion", "Mass", "Never"])),
}


def draw(name: str) -> str:
    """The chart as SVG, as wide as on a phone."""
    return render_svg({**CHARTS[name], "width": 350}).decode()


def read_texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]+)</text>", svg)


@pytest.mark.parametrize("name", CHARTS)
def test_data_charts_are_valid_vega_lite_and_json(name):
    spec = CHARTS[name]
    json.dumps(spec, allow_nan=False)
    altair.TopLevelSpec.validate(spec)
    assert spec["width"] == "container"
    assert "background" not in spec
    assert "WARN" not in draw(name)


def test_prevalence_chart_writes_positives_of_known_beside_each_mark():
    texts = read_texts(draw("prevalence"))
    assert texts.count("200 of 2,000") == 1
    assert texts.count("30 of 300") == 1
    assert texts.count("50 of 500, 7 unknown") == 1
    assert texts.count("not known") == 1
    assert [text for text in texts if text in ("Effusion", "Mass")] == ["Effusion", "Mass"]


def test_prevalence_chart_tells_splits_by_symbol_as_well_as_by_colour():
    shapes = CHARTS["prevalence"]["layer"][1]["encoding"]["shape"]["scale"]
    assert shapes["domain"] == list(SPLITS)
    assert len(set(shapes["range"])) == 3
    assert all(split in read_texts(draw("prevalence")) for split in SPLITS)


def test_prevalence_chart_leaves_the_mark_out_where_nothing_is_known():
    svg = draw("prevalence")
    marks = re.findall(r'aria-roledescription="point"', svg)
    assert len(marks) == 5
    assert len(re.findall(r'aria-roledescription="rule mark"', svg)) == 5


def test_prevalence_chart_gives_each_label_the_same_height():
    heights = [CHARTS[name]["height"] for name in ("one label", "prevalence", "many labels")]
    assert heights[1] - heights[0] == (heights[2] - heights[1]) / 7


def test_classes_are_told_as_shares_of_their_split():
    chart = CHARTS["classes"]
    assert chart["layer"][1]["encoding"]["x"]["title"] == "share of the images of a split"
    assert "positive" not in json.dumps(chart["layer"])


def test_label_lines_give_each_label_one_line_with_a_mark_and_a_number_for_each_split():
    labels = [f"label_{number}" for number in range(114)]
    chart = build_label_lines(make_labels(*labels), is_exclusive=True)
    assert chart["height"] < 20 * len(labels) + 150
    rows = chart["data"]["values"]
    assert len({row["at"] for row in rows}) == 114
    assert [row["split"] for row in rows if row["label"] == "label_1"] == list(SPLITS)
    assert [row["split"] for row in rows if row["label"] == "label_113"] == ["train", "test"]
    texts = read_texts(draw("lines"))
    assert [text for text in texts if "·" in text][:2] == ["200 · 30 · 50", "400 · 60 · 100"]
    assert texts.count("1,800 · n/a · 450") == 1
    assert [text for text in texts if text.startswith("label_")] == [f"label_{number}" for number in range(9)]


def test_value_chart_writes_split_number_and_share():
    texts = read_texts(draw("sex"))
    assert {"train 10 (10%)", "val 10 (10%)", "test 20 (20%)"} <= set(texts)
    assert [text for text in texts if text in ("F", "M")] == ["F", "M"]


def test_value_chart_draws_flat_bars():
    """Bars stood upright from the middle of the chart, because both axes are numbers."""
    bars = re.findall(r'aria-roledescription="bar" d="M[^"]*"', draw("sex"))
    assert len(bars) == 6
    for bar in bars:
        width, height = (float(number) for number in re.search(r"h(-?[\d.]+)v(-?[\d.]+)", bar).groups())
        assert abs(height) == 12
        assert width > 0


def test_value_chart_leaves_out_a_split_without_known_values():
    texts = read_texts(draw("view"))
    assert "train 10 (10%)" in texts
    assert not any(text.startswith("val") for text in texts)


def test_age_chart_names_its_splits_from_above_and_uses_one_scale():
    svg = draw("age")
    bars = re.findall(
        r'split: (\w+); age: ([^;]+);[^>]*aria-roledescription="bar" d="M[\d.]+,([\d.]+)h[\d.]+v([\d.]+)', svg
    )
    tops = {(split, age): float(top) for split, age, top, _ in bars}
    heights = {(split, age): float(height) for split, age, _, height in bars}
    assert len(bars) == 9
    assert tops["train", "0-9"] < tops["val", "0-9"] < tops["test", "0-9"]
    assert heights["train", "90+"] == pytest.approx(heights["test", "90+"]) == pytest.approx(3 * heights["val", "0-9"])
    labels = [text for text in read_texts(svg) if text in SPLITS]
    assert labels == ["test", "val", "train"]  # of the axis, from below


def test_pair_map_leaves_out_the_diagonal_and_labels_without_a_positive():
    rows = CHARTS["pairs"]["data"]["values"]
    assert {(row["label"], row["other"]) for row in rows} == {
        ("Effusion", "Mass"), ("Effusion", "Never"), ("Mass", "Effusion"), ("Mass", "Never"),
    }  # fmt: skip
    assert read_texts(draw("pairs")).count("50") == 4


def test_charts_show_odd_names_as_they_are():
    """A label may hold quotes and brackets; they must not end up in an expression unescaped."""
    odd = 'it\'s "odd"] + [1'
    svg = render_svg({**build_prevalence_chart(make_labels(odd)), "width": 350}).decode()
    assert any("odd" in text and "[1" in text for text in read_texts(svg))
