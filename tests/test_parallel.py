"""The chart of many runs at a glance: which axes it has, and where each run lies on them."""

import pytest

from medpeft_core.figures.parallel import build_settings_chart, collect_settings


def make_summary(number, **settings):
    return {
        "run_id": f"run-{number}", "dataset": "phantom", "fraction": 1.0, "backbone": "resnet18", "weights": "random",
        "image_size": 112, "method": "lora", "knobs": {"rank": 8}, "seed": 0, "num_trainable_params": 1000,
        "metrics": {"val_auroc": 0.7, "test_auroc": 0.6 + number / 100}, **settings,
    }  # fmt: skip


def find_axis(figure, title):
    return next(axis for axis in figure.data[0].dimensions if axis.label == title)


def test_only_settings_that_differ_have_an_axis():
    rows = collect_settings([make_summary(1, seed=0), make_summary(2, seed=1)])
    titles = [axis.label for axis in build_settings_chart(rows).data[0].dimensions]
    assert titles == ["seed", "val AUROC", "test AUROC"]


def test_runs_without_a_test_result_are_left_out():
    rows = collect_settings([make_summary(1), make_summary(2, metrics={}), make_summary(3, metrics=None)])
    assert [row["run_id"] for row in rows] == ["run-1"]


def test_ranks_stand_in_their_order_and_a_method_without_one_apart():
    summaries = [make_summary(n, knobs={"rank": rank} if rank else {}) for n, rank in enumerate((16, None, 2, 4))]
    axis = find_axis(build_settings_chart(collect_settings(summaries)), "rank")
    assert list(axis.ticktext) == ["none", "2", "4", "16"]
    assert list(axis.values) == [3, 0, 1, 2]


def test_many_sizes_go_by_their_logarithm():
    counts = [10 ** (3 + n / 4) for n in range(16)]
    summaries = [make_summary(n, num_trainable_params=count) for n, count in enumerate(counts)]
    axis = find_axis(build_settings_chart(collect_settings(summaries)), "trained parameters")
    assert axis["values"] == pytest.approx([3 + n / 4 for n in range(16)])
    assert list(axis.ticktext)[:2] == ["1000", "10000"]


def test_colour_and_last_axis_are_the_test_auroc():
    figure = build_settings_chart(collect_settings([make_summary(1), make_summary(5, seed=3)]))
    assert list(figure.data[0].line.color) == [0.61, 0.65]
    low, high = find_axis(figure, "test AUROC").range
    assert low < 0.61
    assert high > 0.65
