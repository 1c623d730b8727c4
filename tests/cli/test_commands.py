"""Each command on a real finished run: what it prints, and that its numbers come from the files."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dicom_files import write_dicom
from PIL import Image
from sklearn.metrics import roc_auc_score

from medpeft_core.cli import main
from medpeft_core.config import RunConfig
from medpeft_core.runs.store import RunStore

TRAIN_KEYS = [
    "run_id",
    "run_dir",
    "status",
    "epochs_done",
    "val_auroc",
    "test_auroc",
    "test_auroc_low",
    "test_auroc_high",
    "per_class",
    "num_params",
    "num_trainable_params",
    "first_train_loss",
    "last_train_loss",
    "train_images_per_s",
    "wall_time_s",
    "peak_memory_bytes",
]

Finished = tuple[Path, dict[str, Any]]


def read_json(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def image(finished_home: Path) -> Path:
    """One picture of the set that the run was trained on."""
    return sorted(finished_home.glob("datasets/phantom-*/images/*.png"))[0]


def test_train_json_has_every_documented_key(finished: Finished) -> None:
    _, result = finished
    assert set(TRAIN_KEYS) <= set(result)
    assert result["status"] == "finished"
    assert result["epochs_done"] == 2
    assert all(result[key] is not None for key in TRAIN_KEYS)
    assert set(result["per_class"]) == {"Cardiomegaly", "Effusion", "Consolidation", "Nodule", "Pneumothorax"}


def test_train_leaves_nothing_in_the_queue(finished: Finished) -> None:
    """The first run of a new home was in the queue while it was trained, and `supervise` told of it afterwards."""
    assert RunStore(finished[0]).index.queued() == []


def test_train_loss_falls(finished: Finished) -> None:
    assert finished[1]["last_train_loss"] < finished[1]["first_train_loss"]


def test_run_folder_holds_what_the_design_says(finished: Finished) -> None:
    folder = Path(finished[1]["run_dir"])
    for name in (
        "config.json",
        "provenance.json",
        "events.jsonl",
        "state.json",
        "meta.json",
        "metrics.json",
        "log.txt",
    ):
        assert (folder / name).is_file(), name
    assert (folder / "checkpoints" / "last" / "state.safetensors").is_file()
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    config = json.loads((folder / "config.json").read_text())
    sha256 = config["backbone"]["weights_sha256"]
    assert (folder.parent.parent / "weights" / f"{sha256}.safetensors").is_file()
    assert not list(folder.rglob("*.tmp"))
    assert not list(folder.rglob(".reserve"))


def test_train_auroc_equals_sklearn_on_stored_predictions(finished: Finished) -> None:
    """The figures come from the predictions on disk, and a reference agrees with them."""
    table = pd.read_parquet(Path(finished[1]["run_dir"]) / "predictions" / "test.parquet")
    for label, figures in finished[1]["per_class"].items():
        targets = table[f"target_{label}"]
        assert figures["num_positive"] == int(targets.sum())
        if figures["auroc"] is None:
            assert targets.nunique() == 1
        else:
            assert figures["auroc"] == pytest.approx(roc_auc_score(targets, table[f"logit_{label}"]), abs=1e-12)


def test_predictions_hold_no_raw_patient_id(finished: Finished) -> None:
    table = pd.read_parquet(Path(finished[1]["run_dir"]) / "predictions" / "test.parquet")
    assert table["patient_id"].str.fullmatch(r"[0-9a-f]{16}").all()


def test_lists_name_what_there_is(finished_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {"phantom", "phantom_shortcut", "nih"} <= {
        item["name"] for item in read_json(capsys, ["datasets"])["datasets"]
    }
    assert "vit_base_patch16_224" in {item["name"] for item in read_json(capsys, ["backbones"])["backbones"]}
    methods = read_json(capsys, ["methods"])["methods"]
    assert {"full", "linear", "lora"} <= {item["name"] for item in methods}
    assert all({"name", "title", "family", "fits", "reference"} <= set(item) for item in methods)


@pytest.mark.parametrize("command", ["datasets", "backbones", "methods", "runs", "doctor"])
def test_command_speaks_to_people_too(command: str, finished_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 0
    assert len(capsys.readouterr().out) > 100


def test_doctor_tells_versions_and_home(finished_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = read_json(capsys, ["doctor"])
    assert facts["home"]["path"] == str(finished_home)
    assert facts["torch"]["version"]
    assert "cpu" in {item["name"] for item in facts["devices"]}


def test_runs_and_show_agree(finished: Finished, finished_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = finished[1]["run_id"]
    assert run_id in {item["run_id"] for item in read_json(capsys, ["runs"])["runs"]}
    shown = read_json(capsys, ["show", run_id[-4:]])
    assert shown["test_auroc"] == finished[1]["test_auroc"]
    assert shown["config"]["method"]["knobs"]["rank"] == 4
    assert shown["provenance"]["positives"]["Effusion"]["num_positive"] > 0
    assert main(["show", run_id]) == 0
    assert "Research and teaching only" in capsys.readouterr().out


def test_compare_gives_one_object_a_run(
    finished: Finished, finished_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = finished[1]["run_id"]
    answer = read_json(capsys, ["compare", run_id, run_id])
    assert [item["test_auroc"] for item in answer["runs"]] == [finished[1]["test_auroc"]] * 2
    (pair,) = answer["pairs"]
    assert (pair["a"], pair["b"], pair["delta_auroc"], pair["low"], pair["high"]) == (run_id, run_id, 0, 0, 0)
    assert pair["p_value"] == 1
    assert read_json(capsys, ["compare", run_id])["pairs"] == []
    assert main(["compare", run_id, run_id]) == 0
    printed = capsys.readouterr().out
    assert "synthetic" in printed
    assert "is level with" in printed


def test_predict_equals_the_stored_prediction(
    finished: Finished, finished_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An image alone gives the numbers that the run stored for it."""
    table = pd.read_parquet(Path(finished[1]["run_dir"]) / "predictions" / "test.parquet")
    root = next(finished_home.glob("datasets/phantom-*"))
    row = table.iloc[0]
    answer = read_json(capsys, ["predict", finished[1]["run_id"], str(root / row["image"])])
    probs = answer["images"][0]["probs"]
    for label, prob in probs.items():
        assert prob == pytest.approx(1 / (1 + math.exp(-row[f"logit_{label}"])), abs=1e-4)
    assert answer["is_synthetic"] is True


def test_predict_and_explain_take_dicom_as_view_shows_it(
    finished: Finished, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the run's own window, or by another one: what `view` writes as PNG gives the same probabilities."""
    film = np.asarray(Image.open(image).convert("L")).astype("u2") * 16
    windows = {"BitsStored": 12, "WindowCenter": [2048, 1500], "WindowWidth": [4096, 1200]}
    path = write_dicom(tmp_path / "film.dcm", film, **windows)
    answers = []
    for options in ([], ["--window", "2"]):
        read_json(capsys, ["view", str(path), "--out", str(tmp_path / "film.png"), *options])
        of_png = read_json(capsys, ["predict", finished[1]["run_id"], str(tmp_path / "film.png")])
        of_dicom = read_json(capsys, ["predict", finished[1]["run_id"], str(path), *options])
        answers.append(of_dicom["images"][0]["probs"])
        assert of_png["images"][0]["probs"] == answers[-1]
    assert answers[0] != answers[1]
    out = ["--out", str(tmp_path / "overlay.png"), "--label", "Effusion"]
    explained = read_json(capsys, ["explain", finished[1]["run_id"], str(path), *out, "--window", "2"])
    assert explained["prob"] == answers[1]["Effusion"]


def test_explain_writes_overlay_and_map(
    finished: Finished, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, cam_out = tmp_path / "overlay.png", tmp_path / "cam.npy"
    arguments = ["explain", finished[1]["run_id"], str(image), "--out", str(out), "--cam-out", str(cam_out)]
    answer = read_json(capsys, [*arguments, "--label", "Effusion"])
    assert answer["label"] == "Effusion"
    cam = np.load(cam_out, allow_pickle=False)
    assert cam.shape == (64, 64)
    assert cam.min() >= 0
    assert cam.max() <= 1
    assert cam.max() > cam.min()
    assert Image.open(out).size == (64, 64)


def test_explain_differs_between_labels(
    finished: Finished, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = []
    for label in ("Effusion", "Nodule"):
        cam_out = tmp_path / f"{label}.npy"
        arguments = ["explain", finished[1]["run_id"], str(image), "--out", str(tmp_path / "o.png"), "--label", label]
        read_json(capsys, [*arguments, "--cam-out", str(cam_out)])
        maps.append(np.load(cam_out))
    assert not np.allclose(maps[0], maps[1])


def test_view_writes_the_decoded_image(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "view.png"
    answer = read_json(capsys, ["view", str(image), "--out", str(out), "--size", "32"])
    assert (answer["width"], answer["height"]) == (32, 32)
    full = tmp_path / "full.png"
    read_json(capsys, ["view", str(image), "--out", str(full)])
    assert np.array_equal(np.asarray(Image.open(full)), np.asarray(Image.open(image)))


def test_prepare_reports_the_data(nih_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    report = read_json(capsys, ["prepare", "nih", "--root", str(nih_folder())])
    assert report["is_synthetic"] is False
    assert "Pneumonia" in json.dumps(report)


def test_runs_shows_a_damaged_run_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One damaged state.json ended `runs` with an error, so that no run could be seen."""
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path))
    store = RunStore(tmp_path)
    sound, damaged = (store.create(RunConfig(), provenance={}, device="cpu") for _ in range(2))
    damaged.state_path.write_text("{", encoding="utf-8")
    listed = {item["run_id"]: item for item in read_json(capsys, ["runs"])["runs"]}
    assert listed[sound.run_id]["status"] == "queued"
    assert listed[damaged.run_id]["status"] is None
    assert "state.json" in listed[damaged.run_id]["error"]


def test_train_queue_only_queues(nih_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "train",
        "--dataset",
        "nih",
        "--root",
        str(nih_folder()),
        "--backbone",
        "test_resnet",
        "--method",
        "full",
    ]
    assert main([*arguments, "--image-size", "32", "--queue", "--json"]) == 0
    printed = capsys.readouterr()
    queued = json.loads(printed.out)
    assert f"Queued {queued['run_id']} for " in printed.err
    assert "The app, or `python -m medpeft_core supervise`, starts it." in printed.err
    assert queued["status"] == "queued"
    assert queued["test_auroc"] is None
    stopped = read_json(capsys, ["stop", queued["run_id"]])
    assert stopped["status"] == "cancelled"
    assert read_json(capsys, ["delete", queued["run_id"]])["deleted"] is True
    assert read_json(capsys, ["runs"])["runs"] == []
    assert read_json(capsys, ["restore", queued["run_id"]])["restored"] is True
    assert [item["run_id"] for item in read_json(capsys, ["runs"])["runs"]] == [queued["run_id"]]
    assert main(["delete", queued["run_id"]]) == 0
    assert f"python -m medpeft_core restore {queued['run_id']}" in capsys.readouterr().err
    assert main(["restore", queued["run_id"]]) == 0
    assert read_json(capsys, ["delete", queued["run_id"], "--for-good"])["trash_dir"] is None
    assert main(["restore", queued["run_id"]]) == 2
    assert "is not in the trash" in capsys.readouterr().err
