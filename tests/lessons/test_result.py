"""The result against its definition, and that it says nothing of what is not there."""

import numpy as np
import pandas as pd
import pytest
from cell_runs import LABELS, finish_cell, finish_cells, make_protocol
from sklearn.metrics import roc_auc_score

from medpeft_core.errors import RunError
from medpeft_core.lessons.result import build_result
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.runs import RunStore

QUALITIES = {"linear": 0.6, "lora": 1.6, "full": 0.8, "full_random": 0.0}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finding")
    protocol = make_protocol(folder)
    runs = finish_cells(RunStore(folder / "home"), protocol, QUALITIES)
    return protocol, runs, build_result(runs, protocol, is_short=False)


def find(rows, **wanted):
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


def test_points_are_the_means_of_what_another_library_computes(finished) -> None:
    _, runs, result = finished
    for label in LABELS:
        expected = []
        for seed in (1, 2, 3):
            predictions = load_predictions(runs[f"lora-0.1-{seed}"], "test")
            k = LABELS.index(label)
            expected.append(roc_auc_score(predictions.targets()[:, k], predictions.probs()[:, k]))
        point = find(result["points"], method="lora", fraction=0.1, label=label)
        assert point["seeds"] == pytest.approx(expected)
        assert point["mean"] == pytest.approx(np.mean(expected))
        assert point["low"] < point["mean"] < point["high"]
    macro = find(result["points"], method="lora", fraction=0.1, label="macro")
    per_label = [find(result["points"], method="lora", fraction=0.1, label=label)["mean"] for label in LABELS]
    assert macro["mean"] == pytest.approx(np.mean(per_label))


def test_differences_are_paired_by_seed_and_second_minus_first(finished) -> None:
    _, _, result = finished
    lora = find(result["points"], method="lora", fraction=0.1, label="macro")["seeds"]
    full = find(result["points"], method="full", fraction=0.1, label="macro")["seeds"]
    row = find(result["differences"], first="full", second="lora", fraction=0.1, label="macro")
    assert row["mean"] == pytest.approx(np.mean(np.subtract(lora, full)))
    assert row["seed_sd"] == pytest.approx(np.std(np.subtract(lora, full), ddof=1))
    assert (row["num_seeds"], row["num_seeds_better"]) == (3, 3)
    assert 0 < row["low"] < row["mean"] < row["high"]
    pairs = {(item["first"], item["second"]) for item in result["differences"]}
    assert {("full", "lora"), ("linear", "lora"), ("full_random", "full")} <= pairs


def test_counts_and_sizes_come_from_the_runs(finished) -> None:
    protocol, _, result = finished
    assert (result["cells_done"], result["cells_all"], result["protocol"]) == (20, 20, protocol.identity)
    assert (result["num_test_images"], result["num_test_patients"]) == (120, 60)
    assert [part["num_images"] for part in result["fractions"]] == [10, 100]
    assert result["fractions"][0]["positives"] == dict.fromkeys(LABELS, 3)
    assert find(result["methods"], method="lora")["adapter_bytes"] == 200


def test_result_is_the_same_again_and_another_order_of_images_changes_nothing(finished) -> None:
    protocol, runs, result = finished
    path = runs["lora-0.1-1"].predictions_dir / "test.parquet"
    before = path.read_bytes()
    pd.read_parquet(path).sample(frac=1, random_state=1).to_parquet(path, index=False)
    again = build_result(runs, protocol, is_short=False)
    path.write_bytes(before)
    np.testing.assert_equal(_numbers(again), _numbers(result))
    assert again["words"] == result["words"]


def _numbers(result):
    return [
        round(row[name], 12)
        for row in (*result["points"], *result["differences"])
        for name in ("mean", "low", "high")
        if row[name] is not None
    ]


def test_unfinished_cells_leave_gaps_and_one_seed_has_no_interval(finished) -> None:
    protocol, runs, _ = finished
    some = {key: runs[key] for key in ("lora-0.1-1", "full-0.1-1", "lora-0.1-2")}
    result = build_result(some, protocol, is_short=True)
    assert (result["cells_done"], result["cells_all"]) == (3, 4)
    row = find(result["differences"], first="full", second="lora", fraction=0.1, label="macro")
    assert (row["num_seeds"], row["low"], row["high"]) == (1, None, None)
    assert find(result["points"], method="lora", fraction=0.1, label="macro")["low"] is not None
    assert "3 of 4" in result["words"]
    assert "one seed only" in result["words"]


def test_result_of_nothing_says_so(finished) -> None:
    protocol, _, _ = finished
    result = build_result({}, protocol, is_short=True)
    assert (result["cells_done"], result["points"], result["differences"]) == (0, [], [])
    assert "no answer" in result["words"]


def test_known_figures_are_not_measured_again(finished) -> None:
    protocol, runs, result = finished
    known: dict = {}
    build_result(runs, protocol, is_short=False, known=known)
    assert len(known) == 20
    without_files = {key: type(run)(run.folder / "gone" / run.run_id) for key, run in runs.items()}
    assert build_result(without_files, protocol, is_short=False, known=known)["words"] == result["words"]


def test_runs_on_other_test_images_are_refused(finished, tmp_path) -> None:
    protocol, runs, _ = finished
    cell = protocol.list_cells(is_short=True)[0]
    other = finish_cell(RunStore(tmp_path), protocol, cell, images="other")
    with pytest.raises(RunError, match="tested on different images"):
        build_result({**runs, cell.key: other}, protocol, is_short=False)
