"""One image alone gives what was stored for it when its run was measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy_set import IMAGE_SIZE, create_run, make_config, register_toy, train

from medpeft_core.errors import BackboneError, DataError, RunError
from medpeft_core.explain.cam import compute_cam
from medpeft_core.explain.load import load_image, load_run, predict_image

RUNS = {
    "lora_vit_avg": {"backbone": {"pool": "avg"}},
    "full_resnet": {"backbone": {"name": "test_resnet"}, "method": {"name": "full"}},
    "lora_resnet": {"backbone": {"name": "test_resnet"}},
}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    register_toy(monkeypatch, tmp_path / "toy")
    return tmp_path / "toy"


@pytest.mark.parametrize("variant", list(RUNS))
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_predict_image_equals_the_stored_prediction(toy: Path, variant: str, precision: str) -> None:
    run = train(make_config(**{"train": {"epochs": 2, "precision": precision}, **RUNS[variant]}))
    loaded = load_run(run)
    for split in ("val", "test"):
        stored = pd.read_parquet(run.predictions_dir / f"{split}.parquet")
        for _, row in stored.iloc[[0, 1, 4, 7]].iterrows():
            probs = predict_image(loaded, load_image(loaded, toy / row["image"]))
            assert list(probs) == ["left", "top"]
            for label, prob in probs.items():
                assert prob == pytest.approx(1 / (1 + np.exp(-row[f"logit_{label}"])), abs=1e-4)
    assert loaded.thresholds == run.metrics()["thresholds"]
    positives = run.provenance()["positives"]["left"]["num_positive"]
    assert loaded.prevalence["left"] == pytest.approx(positives / 40)


def test_predict_image_of_several_classes_sums_to_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "classes", task="multiclass")
    run = train(make_config(train={"epochs": 1}))
    loaded = load_run(run)
    probs = predict_image(loaded, load_image(loaded, tmp_path / "classes" / "val_03.png"))
    row = pd.read_parquet(run.predictions_dir / "val.parquet").set_index("image").loc["val_03.png"]
    logits = row[[f"logit_class_{number}" for number in range(4)]].to_numpy(float)
    assert sum(probs.values()) == pytest.approx(1)
    assert list(probs.values()) == pytest.approx(list(np.exp(logits) / np.exp(logits).sum()), abs=1e-4)


def test_cam_of_a_trained_run_covers_the_square_that_it_saw(toy: Path) -> None:
    """The images are wider than high: left and right of the centre square the map is empty."""
    run = train(make_config(method={"name": "full"}, optim={"lr": 1e-3}, train={"epochs": 4}))
    loaded = load_run(run)
    image = load_image(loaded, toy / "val_00.png")
    assert image.source_size == (IMAGE_SIZE, IMAGE_SIZE + 8)
    cam = compute_cam(loaded, image, "left")
    assert cam.shape == image.source_size
    assert not cam[:, :4].any()
    assert not cam[:, -4:].any()
    assert cam[:, 4:-4].max() == pytest.approx(1, abs=0.05)


def test_load_image_refuses_damaged_files(toy: Path, tmp_path: Path) -> None:
    loaded = load_run(train(make_config(train={"epochs": 1})))
    broken = tmp_path / "broken.png"
    broken.write_bytes((toy / "val_00.png").read_bytes()[:100])
    small = tmp_path / "dot.png"
    Image.fromarray(np.zeros((1, 1), np.uint8)).save(small)
    for path in (broken, small, tmp_path / "nowhere.png"):
        with pytest.raises(DataError, match=path.name):
            load_image(loaded, path)


def test_load_run_refuses_a_run_without_weights(toy: Path) -> None:
    with pytest.raises(RunError, match="has no trained weights yet"):
        load_run(create_run(make_config()))


def test_load_run_refuses_a_changed_base(toy: Path, home: Path) -> None:
    run = train(make_config(train={"epochs": 1}))
    path = home / "weights" / f"{run.config().backbone.weights_sha256}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackboneError, match="SHA-256 differs"):
        load_run(run)
    path.unlink()
    with pytest.raises(BackboneError, match="are missing"):
        load_run(run)
