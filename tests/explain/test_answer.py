"""What `explain` gives to a page, about a trained toy run."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy_set import IMAGE_SIZE, create_run, make_config, register_toy, train

from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import DataError, ExplainError, RunError
from medpeft_core.explain import answer as answer_module
from medpeft_core.explain import stored as stored_module
from medpeft_core.explain.answer import Explainer, find_targets
from medpeft_core.explain.cam import compute_cam
from medpeft_core.explain.load import load_image, load_run
from medpeft_core.explain.stored import answers_dir, drop_oldest, read_answer
from medpeft_core.paths import get_home
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.known_data import KnownData


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    register_toy(monkeypatch, tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture
def run(toy: Path) -> Run:
    return train(make_config(method={"name": "full"}, optim={"lr": 1e-3}, train={"epochs": 3}))


@pytest.fixture
def explainer() -> Explainer:
    return Explainer(RunStore(get_home()), KnownData())


def test_explain_gives_what_the_run_stored(run: Run, explainer: Explainer) -> None:
    answer = explainer.explain(run.run_id, "val_04.png", "left")
    assert (answer["run_id"], answer["image"], answer["label"]) == (run.run_id, "val_04.png", "left")
    row = pd.read_parquet(run.predictions_dir / "val.parquet").set_index("image").loc["val_04.png"]
    for label in ("left", "top"):
        assert answer["probs"][label] == pytest.approx(1 / (1 + np.exp(-row[f"logit_{label}"])), abs=1e-4)
        assert answer["targets"][label] == int(row[f"target_{label}"])
    assert answer["thresholds"] == run.metrics()["thresholds"]
    assert answer["layer"] == "blocks.5.norm1"
    assert answer["warnings"] == []
    json.dumps(answer, allow_nan=False)


def test_explain_draws_image_and_map(run: Run, toy: Path, explainer: Explainer, home: Path) -> None:
    answer = explainer.explain(run.run_id, "val_00.png", "left")
    assert answer["size"] == answer["source_size"] == [IMAGE_SIZE, IMAGE_SIZE + 8]
    for name in ("image_path", "cam_path"):
        assert Path(answer[name]).parent == home / "cache" / "explanations" / run.run_id
    assert (np.asarray(Image.open(answer["image_path"])) == np.asarray(Image.open(toy / "val_00.png"))).all()
    loaded = load_run(run)
    cam = compute_cam(loaded, load_image(loaded, toy / "val_00.png"), "left")
    grey = np.asarray(Image.open(answer["cam_path"]))
    assert (grey.shape, grey.dtype) == ((IMAGE_SIZE, IMAGE_SIZE + 8), np.uint8)
    assert np.abs(grey.astype(float) - 255 * cam).max() <= 1
    assert answer["grid"] == [2, 2]  # patches of 16 pixels
    other = explainer.explain(run.run_id, "val_00.png", "top")
    assert other["cam_path"] != answer["cam_path"]
    assert other["image_path"] == answer["image_path"]


def test_explain_shrinks_large_images(run: Run, explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_module, "MAX_SIDE", 20)
    answer = explainer.explain(run.run_id, "val_00.png", "left")
    assert answer["size"] == [16, 20]
    assert answer["source_size"] == [32, 40]
    assert Image.open(answer["image_path"]).size == Image.open(answer["cam_path"]).size == (20, 16)


def test_explain_uses_an_answer_again(run: Run, explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    first = explainer.explain(run.run_id, "test_03.png", "top")
    fresh = Explainer(RunStore(get_home()), KnownData())
    with monkeypatch.context() as patch:
        patch.setattr(answer_module, "load_run", lambda run: pytest.fail("must not load"))
        assert fresh.explain(run.run_id, "test_03.png", "top") == first
    Path(first["cam_path"]).unlink()
    assert fresh.explain(run.run_id, "test_03.png", "top") == first
    assert Path(first["cam_path"]).is_file()


def test_explain_computes_anew_when_the_run_changed(run: Run, explainer: Explainer) -> None:
    first = explainer.explain(run.run_id, "test_03.png", "top")
    metrics = run.metrics()
    metrics["thresholds"]["top"] = 0.123
    run.save_metrics(metrics)
    again = explainer.explain(run.run_id, "test_03.png", "top")
    assert again["thresholds"]["top"] == 0.123
    assert again["cam_path"] != first["cam_path"]


def test_explain_keeps_two_models(toy: Path, explainer: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [train(make_config(train={"epochs": 1, "seed": seed})) for seed in range(3)]
    loads = []
    monkeypatch.setattr(answer_module, "load_run", lambda run: loads.append(run.run_id) or load_run(run))
    for number, image in ((0, "val_01"), (1, "val_01"), (0, "val_02"), (2, "val_01"), (0, "val_03"), (1, "val_02")):
        explainer.explain(runs[number].run_id, f"{image}.png", "left")
    assert loads == [runs[number].run_id for number in (0, 1, 2, 1)]


def test_explain_tells_when_there_is_nothing_to_show(
    run: Run, explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model with a head of zeros looks nowhere; a blue picture would claim that it did."""
    loaded = load_run(run)
    loaded.built.adapted.network.get_submodule(loaded.built.backbone.head).weight.data.zero_()
    monkeypatch.setattr(answer_module, "load_run", lambda run: loaded)
    answer = explainer.explain(run.run_id, "val_00.png", "left")
    assert answer["cam_path"] is None
    assert "The map for 'left' is flat" in answer["cam_error"]
    assert Path(answer["image_path"]).is_file()
    assert answer["probs"]["left"] == pytest.approx(0.5, abs=0.2)
    assert explainer.explain(run.run_id, "val_00.png", "left") == answer


@pytest.mark.parametrize("image", ["../toy/val_00.png", "nowhere.png", "", "/etc/passwd"])
def test_explain_takes_names_of_the_manifest_only(run: Run, explainer: Explainer, image: str) -> None:
    with pytest.raises(DataError, match="has no image"):
        explainer.explain(run.run_id, image, "left")


def test_explain_refuses_what_is_not_there(run: Run, toy: Path, explainer: Explainer) -> None:
    with pytest.raises(ExplainError, match="has no label 'right'. Choose: left, top"):
        explainer.explain(run.run_id, "val_00.png", "right")
    with pytest.raises(RunError, match="There is no run"):
        explainer.explain("nothing", "val_00.png", "left")
    with pytest.raises(RunError, match="has no trained weights yet"):
        explainer.explain(create_run(make_config()).run_id, "val_00.png", "left")
    (toy / "val_00.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="is not a PNG"):
        explainer.explain(run.run_id, "val_00.png", "left")


def test_explain_warns_when_the_data_have_changed(
    run: Run, explainer: Explainer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def change(table: pd.DataFrame) -> None:
        table.loc[0, "left"] = 1 - table.loc[0, "left"]
        table["top"] = np.nan

    register_toy(monkeypatch, tmp_path / "toy", change=change)
    prepare_dataset(run.config().data)
    answer = explainer.explain(run.run_id, "val_00.png", "left")
    assert any("has changed since this run was trained" in text for text in answer["warnings"])
    assert answer["targets"]["top"] is None
    assert answer["targets"]["left"] in (0, 1)


def test_find_targets_of_a_label_that_the_data_lack(toy: Path) -> None:
    manifest = prepare_dataset(make_config().data).manifest
    assert find_targets(manifest, "val_00.png", ("left", "gone"))["gone"] is None


def test_drop_oldest_keeps_what_was_used_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_module, "MAX_KEPT_FILES", 3)
    for number in range(5):
        folder = tmp_path / f"run{number // 2}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.png").write_bytes(b"")
        os.utime(folder / f"{number}.png", (number, number))
    monkeypatch.setattr(stored_module, "EMPTY_S", -1.0)
    drop_oldest(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["2.png", "3.png", "4.png"]
    assert not (tmp_path / "run0").exists()


def test_drop_oldest_leaves_a_folder_that_another_process_has_just_made(tmp_path: Path) -> None:
    """The worker's first maps tidied up while a page's map was about to be written, which then failed."""
    (tmp_path / "begun").mkdir()
    drop_oldest(tmp_path)
    assert (tmp_path / "begun").is_dir()


def test_read_answer_needs_neither_model_nor_data_set(run: Run, toy: Path, explainer: Explainer) -> None:
    """What a page reads by itself while the model is still being loaded."""
    assert read_answer(run, "val_00.png", "left") is None
    answer = explainer.explain(run.run_id, "val_00.png", "left")
    assert read_answer(run, "val_00.png", "left") == {name: answer[name] for name in answer}
    assert read_answer(run, "val_00.png", "top") is None


@pytest.mark.parametrize("harm", ["source gone", "source changed", "map gone", "torn", "other format"])
def test_read_answer_refuses_what_no_longer_holds(run: Run, toy: Path, explainer: Explainer, harm: str) -> None:
    answer = explainer.explain(run.run_id, "val_00.png", "left")
    (kept,) = answers_dir(run).glob("*.json")
    if harm == "source gone":
        (toy / "val_00.png").unlink()
    elif harm == "source changed":
        Image.fromarray(np.zeros((20, 20), np.uint8)).save(toy / "val_00.png")
    elif harm == "map gone":
        Path(answer["cam_path"]).unlink()
    elif harm == "torn":
        kept.write_text(kept.read_text()[:40])
    else:
        kept.write_text("{}")
    assert read_answer(run, "val_00.png", "left") is None


def test_explain_tells_what_is_marked_and_how_well_the_map_falls_on_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def mark(table: pd.DataFrame) -> None:
        boxes = [{"label": "left", "x": 0, "y": 0, "width": 10, "height": IMAGE_SIZE}]
        table["boxes"] = [json.dumps(boxes if value else []) for value in table["left"]]

    register_toy(monkeypatch, tmp_path / "toy", change=mark, labels=("left", "top"))
    run = train(make_config(method={"name": "full"}, optim={"lr": 1e-3}, train={"epochs": 3}))
    table = prepare_dataset(run.config().data).manifest.table
    explainer = Explainer(RunStore(get_home()), KnownData())
    marked = table["image"][(table["left"] == 1) & (table["split"] == "test")].iloc[0]
    answer = explainer.explain(run.run_id, marked, "left")
    width = answer["source_size"][1]
    assert answer["marks"] == [{"label": "left", "kind": "box", "png": None, "boxes": [[0, 0, 10 / width, 1]]}]
    start = (width - IMAGE_SIZE) // 2  # the model sees the centre square
    assert answer["localisation"]["chance"] == pytest.approx((10 - start) / IMAGE_SIZE)
    assert 0 <= answer["localisation"]["share"] <= 1
    assert explainer.explain(run.run_id, marked, "top")["localisation"] is None
    clear = table["image"][(table["left"] == 0) & (table["split"] == "test")].iloc[0]
    assert explainer.explain(run.run_id, clear, "left")["marks"] == []
