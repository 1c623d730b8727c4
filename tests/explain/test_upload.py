"""`predict` about an upload: the numbers of the command line, what the model sees, and nothing on the disk."""

import base64
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_set import IMAGE_SIZE, make_config, register_toy, train

from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.datasets.uploads import encode_png, read_upload
from medpeft_core.errors import DataError, ExplainError, RunError
from medpeft_core.explain.cam import compute_cam
from medpeft_core.explain.likeness import Likeness, describe_differences, measure_looks
from medpeft_core.explain.load import load_image, load_run, predict_image
from medpeft_core.explain.upload import Predictor, choose_label
from medpeft_core.paths import get_home
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.known_data import KnownData


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    register_toy(monkeypatch, tmp_path / "toy")
    return train(make_config(method={"name": "full"}, optim={"lr": 1e-3}, train={"epochs": 2}))


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(RunStore(get_home()), load_run, Likeness(KnownData()))


def ask(predictor: Predictor, run: Run, content: bytes, label: str | None = None) -> dict:
    upload = read_upload(content, "x.png", cache_size=IMAGE_SIZE)
    pixels = base64.b64encode(upload.pixels).decode()
    return predictor.predict(run.run_id, pixels, list(upload.source_size), label)


def decode(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


@pytest.mark.parametrize("kind", ["8-bit", "16-bit", "large", "colour JPEG"])
def test_predict_gives_what_the_command_line_gives(run: Run, predictor: Predictor, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    values = {
        "8-bit": rng.integers(0, 255, (40, 50), dtype=np.uint8),
        "16-bit": rng.integers(0, 50_000, (40, 50)).astype(np.uint16),
        "large": rng.integers(0, 255, (700, 900), dtype=np.uint8),
        "colour JPEG": rng.integers(0, 255, (90, 70, 3), dtype=np.uint8),
    }[kind]
    path = tmp_path / "image.bin"
    Image.fromarray(values).save(path, format="JPEG" if "JPEG" in kind else "PNG")
    answer = ask(predictor, run, path.read_bytes())
    loaded = load_run(run)
    expected = predict_image(loaded, load_image(loaded, path))
    assert answer["probs"] == pytest.approx(expected, abs=1e-6)
    assert answer["thresholds"] == run.metrics()["thresholds"]
    assert set(answer["prevalence"]) == {"left", "top"}
    assert answer["is_synthetic"]
    json.dumps(answer, allow_nan=False)


def test_predict_shows_what_the_model_sees(run: Run, predictor: Predictor) -> None:
    pixels = np.zeros((IMAGE_SIZE, IMAGE_SIZE + 20), np.uint8)
    pixels[:, 10 : 10 + IMAGE_SIZE // 2] = 200
    answer = ask(predictor, run, encode_png(pixels))
    square = decode(answer["square"])
    assert square.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    assert answer["image_size"] == IMAGE_SIZE
    assert np.abs(square[..., 0].astype(int) - pixels[:, 10:-10]).max() <= 1


def test_predict_lays_the_map_over_the_whole_image(run: Run, predictor: Predictor, tmp_path: Path) -> None:
    content = (tmp_path / "toy" / "val_00.png").read_bytes()
    answer = ask(predictor, run, content, "left")
    loaded = load_run(run)
    expected = compute_cam(loaded, load_image(loaded, tmp_path / "toy" / "val_00.png"), "left")
    assert answer["label"] == "left"
    assert np.abs(decode(answer["cam"]).astype(float) - 255 * expected).max() <= 1
    assert not decode(answer["cam"])[:, :3].any()


def test_predict_refuses_what_is_not_there(run: Run, predictor: Predictor) -> None:
    with pytest.raises(ExplainError, match="has no label 'right'"):
        ask(predictor, run, encode_png(np.zeros((40, 40), np.uint8)), "right")
    with pytest.raises(RunError, match="There is no run"):
        predictor.predict("nothing", "", [40, 40])
    for pixels in ("", "$$", base64.b64encode(b"no picture").decode()):
        with pytest.raises(DataError, match="did not arrive whole"):
            predictor.predict(run.run_id, pixels, [40, 40])


def test_predict_says_when_there_is_no_map(run: Run, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_run(run)
    loaded.built.adapted.network.get_submodule(loaded.built.backbone.head).weight.data.zero_()
    flat = Predictor(RunStore(get_home()), lambda run: loaded, Likeness(KnownData()))
    answer = ask(flat, run, encode_png(np.full((40, 40), 90, np.uint8)))
    assert answer["cam"] is None
    assert "is flat" in answer["cam_error"]


def test_predict_writes_nothing(run: Run, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Uploads may show patients: neither the home nor the temporary folder may keep any of them."""
    temporary = home.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    ask(predictor, run, encode_png(np.random.default_rng(0).integers(0, 255, (60, 60), dtype=np.uint8)))
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()} == before
    assert list(temporary.iterdir()) == []


def test_predict_ready_loads_the_model_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    predictor = Predictor(RunStore(get_home()), lambda run: asked.append(run.run_id), Likeness(KnownData()))
    assert predictor.ready(run.run_id) == {}
    assert asked == [run.run_id]


def test_choose_label_takes_what_is_most_above_its_threshold() -> None:
    probs = {"a": 0.9, "b": 0.5, "c": 0.99}
    assert choose_label(probs, {"a": 0.8, "b": 0.1, "c": None}) == "b"
    assert choose_label(probs, {"a": None, "b": None, "c": None}) == "c"
    assert choose_label(probs, {"a": 0.95, "b": 0.9, "c": 0.999}) == "c"


def test_likeness_tells_how_an_image_differs(run: Run, tmp_path: Path) -> None:
    prepared = prepare_dataset(run.config().data)
    looks = measure_looks(prepared)
    assert looks is not None
    rows = prepared.cache_rows[(prepared.manifest.table["split"] == "test").to_numpy()]
    usual = [describe_differences(looks, prepared.cache.get(int(row))[0], (32, 32)) for row in rows]
    assert sum(bool(found) for found in usual) <= len(usual) // 2
    image = prepared.cache.get(int(rows[0]))[0]
    colour = np.stack([image, image // 2, image], axis=-1)
    assert any("colour" in text for text in describe_differences(looks, colour, (32, 32)))
    assert any("shape" in text for text in describe_differences(looks, image, (32, 320)))
    assert any("small" in text for text in describe_differences(looks, image, (10, 10)))
    assert any("brighter" in text for text in describe_differences(looks, np.full((32, 32), 255, np.uint8), (32, 32)))
    assert any("contrast" in text for text in describe_differences(looks, np.full((32, 32), 99, np.uint8), (32, 32)))


def test_likeness_is_silent_where_the_data_are_not_at_hand(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownData()
    for outcome in (None, DataError("gone")):

        def find(data: object, outcome: object = outcome) -> None:
            if outcome is not None:
                raise outcome

        monkeypatch.setattr(known, "find", find)
        assert Likeness(known).compare(run.config().data, np.zeros((9, 9), np.uint8), (9, 9)) == []
