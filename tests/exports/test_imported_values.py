"""Archives whose files are whole, but hold values that would break a page: refused by name of the file and line."""

import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from archives import make_packable, pack_run, read_all, snapshot, write_all

from medpeft_core.errors import ExportError
from medpeft_core.exports.run_import import import_run
from medpeft_core.runs.store import RunStore

STEP = {"type": "step", "epoch": 1, "step": 1, "loss": 0.5, "lr": 0.001, "images_per_s": 90.0}
EVAL = {"type": "eval", "epoch": 1, "step": 1, "split": "val", "val_auroc": 0.7, "val_auroc_per_class": {"a": None}}
REBUILT = {"type": "rebuilt", "epoch": 1, "step": 1, "picture": "epoch_0001.png", "masked_error": 1.0}
FALSE_EVENTS = [
    ({**STEP, "loss": "0.5"}, "its loss is no value"),
    ({**STEP, "lr": None}, "its lr is no value"),
    ({**STEP, "images_per_s": [90]}, "its images_per_s is no value"),
    ({**STEP, "step": 1.5}, "its step is no value"),
    ({**STEP, "epoch": True}, "its epoch is no value"),
    ({**STEP, "loss": math.nan}, "it holds NaN"),
    ({**STEP, "loss": 1e300}, "it holds 1e.300"),
    ({**STEP, "step": 10**30}, "it holds 1000"),
    ({**STEP, "time": 1e20}, "not between 1970 and 3000"),
    ({**STEP, "time": "now"}, "its time is no value"),
    ({"type": "step"}, "it lacks epoch"),
    ({**EVAL, "val_auroc": "high"}, "its val_auroc is no value"),
    ({**EVAL, "val_auroc_per_class": {"a": "high"}}, "its val_auroc_per_class holds a value"),
    ({**EVAL, "val_auroc_per_class": 7}, "its val_auroc_per_class is no value"),
    ({"type": "epoch", "epoch": 1, "step": 1, "train_loss": {}}, "its train_loss is no value"),
    ({**REBUILT, "picture": 7}, "its picture is no value"),
    ({**REBUILT, "epoch": [1]}, "its epoch is no value"),
    ({"type": "encoder", "epoch": {}, "file": "a"}, "its epoch is no value"),
    ({"type": "error", "text": 7}, "its text is no value"),
    ({"type": "log", "text": "\ud800"}, "surrogates not allowed"),
    ({"type": 7}, "its type is no value"),
    ({"text": "no type"}, "it lacks type"),
    ([], "it is no JSON object"),
    (7, "it is no JSON object"),
]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the archive of a finished run."""
    folder = tmp_path_factory.mktemp("packed")
    return read_all(pack_run(make_packable(folder / "first_home"), folder))


@pytest.fixture
def files(packed: dict[str, bytes]) -> dict[str, bytes]:
    return dict(packed)


def refuse(path: Path, home: Path, match: str) -> None:
    with pytest.raises(ExportError, match=match):
        import_run(path, home=home)
    assert snapshot(home) == {}


@pytest.mark.parametrize("number", range(len(FALSE_EVENTS)))
def test_import_refuses_events_that_no_page_could_draw(files, home, tmp_path, number):
    event, match = FALSE_EVENTS[number]
    line = len(files["run/events.jsonl"].splitlines()) + 1
    files["run/events.jsonl"] += json.dumps(event).encode() + b"\n"
    refuse(write_all(tmp_path / "x.zip", files), home, f"events.jsonl of the archive .*: line {line}: .*{match}")


def test_import_bounds_the_lines_of_a_log(files, home, tmp_path, monkeypatch):
    log = files["run/events.jsonl"]
    noise = np.random.default_rng(0).bytes(600_000).hex().encode()  # as text of a log that a zip cannot pack away
    long = b'{"type": "log", "text": "' + noise + b'"}\n'
    refuse(write_all(tmp_path / "x.zip", {**files, "run/events.jsonl": log + long}), home, "is longer than 1,048,576")
    refuse(write_all(tmp_path / "y.zip", {**files, "run/events.jsonl": log + b"text\n"}), home, r"line \d+: Expecting")
    monkeypatch.setattr("medpeft_core.exports.imported_events.MAX_EVENTS", 10)
    refuse(write_all(tmp_path / "z.zip", files), home, "it has more than 10 lines")


def test_import_takes_events_of_other_kinds_and_lines_that_a_crash_has_torn(files, home, tmp_path):
    lines = [b'{"type": "step", "ti', json.dumps({"type": "of a later lab", "x": "y"}).encode()]
    lines += [json.dumps(event).encode() for event in ({**STEP, "loss": None}, EVAL, REBUILT)] + [b'{"type": "st']
    files["run/events.jsonl"] += b"\n".join(lines)
    imported = import_run(write_all(tmp_path / "x.zip", files), home=home)
    assert len(RunStore(home).load(imported.run_id).events()) == len(files["run/events.jsonl"].splitlines()) - 2


FALSE_VALUES = [
    ("provenance", "positives", {"A": 5}),
    ("provenance", "positives", {"A": {"num_positive": "5", "num_negative": 1, "num_unknown": 0}}),
    ("provenance", "positives", {"A": {"num_positive": 5, "num_negative": -5, "num_unknown": 0}}),
    ("provenance", "positives", {"A": {"num_positive": 5, "num_unknown": 0}}),
    ("provenance", "num_images", {"val": "many"}),
    ("provenance", "warnings", [1]),
    ("provenance", "data_notes", None),
    ("provenance", "data_fingerprint", ["f1"]),
    ("provenance", "task", "regression"),
    ("provenance", "labels", ["A", "A"]),
    ("provenance", "num_params", True),
    ("state", "updated_at", 1e30),
    ("state", "num_steps", 10**30),
    ("metrics", "thresholds", {}),
    ("metrics", "labels", ["A"]),
    ("metrics", "task", 7),
    ("metrics", "test", None),
    ("metrics", "training", {}),
    ("metrics", "training.best_epoch", "last"),
    ("metrics", "test.confidence", "0.95"),
    ("metrics", "test.macro", {}),
    ("metrics", "test.macro.labels_left_out", 7),
    ("metrics", "test.per_class", {}),
    ("metrics", "test.per_class.Effusion.auprc", "high"),
    ("metrics", "test.per_class.Effusion.num_positive", None),
    ("metrics", "val.per_class.Effusion.auroc", math.inf),
]


@pytest.mark.parametrize(("name", "place", "value"), FALSE_VALUES)
def test_import_refuses_values_that_no_page_could_draw(files, home, tmp_path, name, place, value):
    values = json.loads(files[f"run/{name}.json"])
    *way, last = place.split(".")
    inner = functools.reduce(lambda found, step: found[step], way, values)
    assert last in inner
    inner[last] = value
    files[f"run/{name}.json"] = json.dumps(values).encode()
    refuse(write_all(tmp_path / "x.zip", files), home, f"{name}.json of the archive is refused")


@pytest.mark.parametrize("place", ["provenance.labels", "provenance.task", "metrics.labels", "metrics.thresholds"])
def test_import_refuses_runs_that_lack_what_pages_show(files, home, tmp_path, place):
    name, key = place.split(".")
    values = json.loads(files[f"run/{name}.json"])
    del values[key]
    files[f"run/{name}.json"] = json.dumps(values).encode()
    refuse(write_all(tmp_path / "x.zip", files), home, f"{name}.json of the archive is refused: .*{key}")


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("provenance", "is_ordered", "yes"),
        ("metrics", "test_quadratic_kappa", "good"),
        ("metrics", "test.macro_f1_low", [0.5]),
        ("metrics", "test.confusion", [[1, 2]]),
        ("metrics", "val.confusion", [[-1] * 5] * 5),
    ],
)
def test_import_refuses_false_figures_of_exclusive_classes(files, home, tmp_path, name, place, value):
    values = json.loads(files[f"run/{name}.json"])
    *way, last = place.split(".")
    functools.reduce(lambda found, step: found[step], way, values)[last] = value
    files[f"run/{name}.json"] = json.dumps(values).encode()
    refuse(write_all(tmp_path / "x.zip", files), home, f"{name}.json of the archive is refused: its {last}")
