"""What Monitor and the command line warn of where the figures of a run rest on few images."""

import pandas as pd
import pytest
from monitor_visits import read_metrics, read_texts

from medpeft_core.cli import main
from medpeft_core.commands.train import tell_result
from medpeft_core.reports.support import find_cautions, load_support

GRADES = ("none", "mild", "severe")


def keep_few(run, label, number, instead=None):
    """Leave a label this many positive test images; the others become those of the class `instead`, if any."""
    path = run.predictions_dir / "test.parquet"
    table = pd.read_parquet(path)
    changed = table.index[table[f"target_{label}"] == 1][number:]
    table.loc[changed, f"target_{label}"] = 0
    if instead is not None:
        table.loc[changed, f"target_{instead}"] = 1
    table.to_parquet(path)


@pytest.mark.parametrize("is_exclusive", [False, True])
def test_monitor_and_commands_warn_of_rare_labels(monitor, home, make_run, capsys, is_exclusive):
    origin = {"task": "multiclass", "is_ordered": True} if is_exclusive else {}
    run = make_run(home, epochs_done=1, labels=GRADES, provenance=origin)
    assert not any(item.is_thin for item in load_support(run).values())
    assert "Few positive test images" not in read_texts(monitor())
    keep_few(run, "severe", 3, instead="none" if is_exclusive else None)
    app = monitor()
    (warning,) = [item for item in app.warning if "Few positive test images" in item.value]
    assert "severe 3 positive images of" in warning.value
    assert "these figures may be chance, whatever their intervals say" in warning.value
    assert warning.proto.title == ("Rare classes" if is_exclusive else "Rare labels")
    assert read_metrics(app)["Time"][1] == "1 epoch"
    assert main(["show", run.run_id]) == 0
    told = capsys.readouterr()
    assert "Warning: Few positive test images" in told.err
    assert "Few positive" not in told.out
    tell_result(run)
    assert "severe 3 positive images of" in capsys.readouterr().err
    (run.predictions_dir / "test.parquet").unlink()
    assert find_cautions(run) == []


@pytest.mark.parametrize(
    ("num_valid", "reason", "text"),
    [
        (162, None, "of 200 resamplings, 162 held every class; the others could not be counted."),
        (
            81,
            "only 81 of 200 resamplings held every class",
            "and balanced accuracy have no intervals",
        ),
    ],
)
def test_monitor_tells_how_many_resamplings_held_every_class(monitor, home, make_run, num_valid, reason, text):
    run = make_run(home, labels=GRADES, provenance={"task": "multiclass", "is_ordered": True})
    metrics = run.metrics()
    counts = {"bootstrap_samples": 200, "num_valid_samples": num_valid, "reason": reason}
    run.save_metrics({**metrics, "test": {**metrics["test"], **counts}})
    app = monitor()
    assert read_texts(app).count(text) == 1
    assert any(text in item.value for item in app.warning) is (reason is not None)
