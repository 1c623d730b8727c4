"""The charts of the second lesson are valid and hold the figures of its result."""

import pytest
from figure_data import check_vega_lite
from shortcut_answers import FINDING, LABELS, make_masked

from medpeft_core.figures import collect_rows
from medpeft_core.figures.shortcut import build_cell_chart, build_masking_chart, build_split_chart
from medpeft_core.lessons.shortcut_result import build_result


@pytest.fixture(scope="module")
def result() -> dict:
    return build_result(make_masked(num_images=100))


def test_split_chart_begins_with_the_finding(result: dict) -> None:
    spec = build_split_chart(result)
    check_vega_lite(spec)
    rows = collect_rows(spec)
    assert rows["place"].tolist()[:2] == [FINDING, FINDING]
    assert set(rows["place"]) == set(LABELS)
    wanted = next(row for row in result["aurocs"] if row["label"] == "Nodule")
    assert rows.loc[rows["place"] == "Nodule", "value"].tolist() == [wanted["val"], wanted["test"]]


def test_masking_chart_has_all_versions(result: dict) -> None:
    spec = build_masking_chart(result)
    check_vega_lite(spec)
    assert len(collect_rows(spec)) == 6


def test_cell_chart_is_about_probabilities(result: dict) -> None:
    spec = build_cell_chart(result)
    check_vega_lite(spec)
    rows = collect_rows(spec)
    assert rows["value"].tolist() == [cell["mean_prob"] for cell in result["cells"]]
    scale = spec["layer"][-1]["encoding"]["x"]["scale"]["domain"]
    assert scale == [0.0, 1.0]


def test_charts_leave_out_what_has_no_value(result: dict) -> None:
    for row in result["aurocs"]:
        row["test"] = None
    spec = build_split_chart(result)
    check_vega_lite(spec)
    assert len(collect_rows(spec)) == len(LABELS)
