"""Whole pre-trainings on the toy set: repeatable, exact over stops, from the train split only, loadable afterwards."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image
from toy_set import IMAGE_SIZE, SPLIT_SIZES, ToyControl, register_toy, strip_speeds

from medpeft_core.backbones.build import build_backbone
from medpeft_core.backbones.weights import read_encoder_card
from medpeft_core.datasets.pixel_cache import PixelCache
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import BackboneError, MedPeftError, RunError, TrainingError
from medpeft_core.paths import get_home
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretraining.files import list_encoders
from medpeft_core.pretraining.session import pretrain_run
from medpeft_core.pretraining.setup import check_pretraining, create_pretraining
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore

EPOCHS = 2
SIZE = 64


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register_toy(monkeypatch, tmp_path / "toy")


@pytest.fixture
def read_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[np.ndarray]]:
    """Every row of the pixel cache that is asked for."""
    seen: list[np.ndarray] = []
    gather = PixelCache.gather

    def watch(self: PixelCache, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(np.array(rows))
        return gather(self, rows)

    monkeypatch.setattr(PixelCache, "gather", watch)
    return seen


def make_config(**sections: dict[str, Any]) -> PretrainConfig:
    values: dict[str, dict[str, Any]] = {
        "data": {"dataset": "toy", "cache_size": IMAGE_SIZE},
        "encoder": {"name": "test_vit", "image_size": SIZE},
        "mae": {"decoder_width": 32, "decoder_depth": 1, "norm_pixels": False},  # patches of this set are flat
        "optim": {"base_lr": 0.02},
        "train": {"epochs": EPOCHS, "batch_size": 16, "device": "cpu", "precision": "fp32"},
    }
    for name, changes in sections.items():
        values[name] = {**values.get(name, {}), **changes}
    return PretrainConfig.from_dict(values)


def create(config: PretrainConfig) -> Run:
    return create_pretraining(RunStore(get_home()), check_pretraining(config, prepare_dataset(config.data)))


def pretrain(config: PretrainConfig) -> Run:
    run = create(config)
    assert pretrain_run(run, ToyControl(run)) == "finished"
    return run


def read_outcome(run: Run) -> dict[str, Any]:
    """Everything that a pre-training gives, but for times, speeds and its own name."""
    encoders = {path.name: safetensors.torch.load_file(path) for path in run.encoders_dir.glob("*.safetensors")}
    ignored = {"sha256", "num_bytes"}  # the files name their run
    history = [event for event in run.history() if event["type"] not in ("status", "encoder")]
    metrics = run.metrics() or {}
    metrics["encoders"] = [
        {name: value for name, value in item.items() if name not in ignored} for item in metrics["encoders"]
    ]
    return {
        "history": strip_speeds(history),
        "metrics": strip_speeds(metrics),
        "encoders": {name: {key: value.tolist() for key, value in state.items()} for name, state in encoders.items()},
        "checkpoint": hashlib.sha256(b"".join(_read_tensors(run.checkpoint_dir / "state.safetensors"))).hexdigest(),
        "pictures": {path.name: path.read_bytes() for path in run.pictures_dir.glob("*.png")},
    }


def _read_tensors(path: Path) -> Iterator[bytes]:
    with safetensors.safe_open(path, framework="np") as file:
        for name in sorted(file.keys()):
            yield file.get_tensor(name).tobytes()


def test_loss_falls_and_the_folder_tells_all() -> None:
    run = pretrain(make_config(train={"epochs": 12, "keep_every": 6, "show_every": 4}))
    epochs = [event["train_loss"] for event in run.history() if event["type"] == "epoch"]
    assert len(epochs) == 12
    assert epochs[-1] < 0.8 * epochs[0]
    encoders = list_encoders(run)
    assert [item.epoch for item in encoders] == [6, 12]
    shown = [event for event in run.history() if event["type"] == "rebuilt"]
    assert [event["epoch"] for event in shown] == [0, 4, 8, 12]
    assert shown[-1]["masked_error"] < shown[0]["masked_error"]
    for name in ("original.png", "masked.png", *(event["picture"] for event in shown)):
        with Image.open(run.pictures_dir / name) as picture:
            assert picture.mode == "L"
            assert picture.height == SIZE
            assert picture.width == 4 * SIZE + 6
    metrics = run.metrics()
    assert metrics is not None
    assert metrics["train_loss"] == epochs[-1]
    assert metrics["training"]["num_train_images"] == SPLIT_SIZES["train"]
    assert metrics["rebuilt"]["masked_error"] == shown[-1]["masked_error"]
    model = timm.create_model("test_vit", num_classes=0)
    assert metrics["training"]["num_params"] == sum(parameter.numel() for parameter in model.parameters()) + (
        model.embed_dim * (SIZE // 16) ** 2 - model.pos_embed.numel() + model.embed_dim
    )


def test_encoder_loads_into_timm_with_no_key_missing_or_over() -> None:
    run = pretrain(make_config())
    for item in list_encoders(run):
        assert hashlib.sha256(item.path.read_bytes()).hexdigest() == item.sha256
        assert item.path.stat().st_size == item.num_bytes
        model = timm.create_model("test_vit", img_size=SIZE, num_classes=0, global_pool="")
        found = model.load_state_dict(safetensors.torch.load_file(item.path), strict=False)
        assert found.missing_keys == []
        assert found.unexpected_keys == []
    card = list_encoders(run)[-1].card.read_text(encoding="utf-8")
    last = list_encoders(run)[-1]
    for part in (last.sha256, "epoch 2 of 2", "Toy squares", "synthetic", f"{last.train_loss:.4f}", run.run_id,
                 "python -m medpeft_core pretrain --dataset toy"):  # fmt: skip
        assert part in card


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_fine_tuning_starts_from_the_encoder_and_its_normalisation(pool: str) -> None:
    run = pretrain(make_config(encoder={"mean": (0.4, 0.4, 0.4), "std": (0.2, 0.2, 0.2)}))
    path = list_encoders(run)[-1].path
    backbone = build_backbone("test_vit", num_classes=3, image_size=SIZE, pool=pool, weights=str(path))
    stored = safetensors.torch.load_file(path)
    state = backbone.model.state_dict()
    shared = [name for name in stored if name in state]
    assert len(shared) == len(stored) - (2 if pool == "avg" else 0), "mean pooling brings its own norm"
    assert all(torch.equal(stored[name], state[name]) for name in shared)
    assert backbone.mean == (0.4, 0.4, 0.4)
    assert backbone.std == (0.2, 0.2, 0.2)
    assert read_encoder_card(path)["epoch"] == EPOCHS


def test_another_image_size_resamples_the_positions() -> None:
    path = list_encoders(pretrain(make_config()))[-1].path
    backbone = build_backbone("test_vit", num_classes=3, image_size=96, weights=str(path))
    assert backbone.model.state_dict()["pos_embed"].shape[1] == 37


def test_only_the_train_split_is_ever_read(read_rows: list[np.ndarray]) -> None:
    """Labels are not used, but val and test images must stay unseen all the same."""
    config = make_config()
    run = create(config)
    read_rows.clear()  # the check of a data set may look at all
    assert pretrain_run(run, ToyControl(run)) == "finished"
    prepared = prepare_dataset(config.data)
    splits = prepared.manifest.table["split"].to_numpy()
    seen = np.unique(np.concatenate(read_rows))
    train = np.unique(prepared.cache_rows[splits == "train"])
    assert np.array_equal(seen, train)
    assert not set(seen) & set(prepared.cache_rows[splits != "train"])


def test_run_repeats_exactly_and_another_seed_differs() -> None:
    first, second = read_outcome(pretrain(make_config())), read_outcome(pretrain(make_config()))
    for part in first:
        assert first[part] == second[part], part
    other = read_outcome(pretrain(make_config(train={"seed": 1})))
    assert other["checkpoint"] != first["checkpoint"]


@pytest.mark.parametrize(
    ("stop_every", "train"), [(2, {}), (7, {"batch_size": 4, "accumulation": 3}), (3, {"precision": "bf16"})]
)
def test_stops_anywhere_change_nothing(stop_every: int, train: dict[str, Any]) -> None:
    config = make_config(train=train)
    undisturbed = read_outcome(pretrain(config))
    run = create(config)
    for _ in range(60):
        if pretrain_run(run, ToyControl(run, stop_at=stop_every)) == "finished":
            break
    stopped = read_outcome(run)
    assert any(event["type"] == "status" and event["status"] == "resumed" for event in run.events())
    for part in undisturbed:
        assert stopped[part] == undisturbed[part], part


def test_pretraining_goes_on_from_its_own_encoder() -> None:
    first = list_encoders(pretrain(make_config()))[-1].path
    run = create(make_config(encoder={"weights": str(first)}))
    config = run.pretrain_config()
    assert config.encoder.weights_sha256 is not None
    first.unlink()  # the lab keeps its own copy
    assert pretrain_run(run, ToyControl(run)) == "finished"
    losses = [event["loss"] for event in run.history() if event["type"] == "step"]
    assert losses[0] < 2
    moved = safetensors.torch.load_file(get_home() / "weights" / f"{config.encoder.weights_sha256}.safetensors")
    kept = safetensors.torch.load_file(list_encoders(run)[-1].path)
    assert torch.equal(moved["pos_embed"], kept["pos_embed"]), "positions are never trained"
    assert not torch.equal(moved["blocks.0.mlp.fc1.weight"], kept["blocks.0.mlp.fc1.weight"])


def test_changed_data_are_refused(tmp_path: Path) -> None:
    run = create(make_config())
    path = tmp_path / "toy" / "train_00.png"
    Image.fromarray(np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)).save(path)
    with pytest.raises(RunError, match="has changed since"):
        pretrain_run(run, ToyControl(run))


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_checkpoint() -> None:
    run = create(make_config(optim={"base_lr": 1e30}))
    with pytest.raises(TrainingError, match=re.escape("--base-lr 1e+29")):
        pretrain_run(run, ToyControl(run))


BAD: list[tuple[dict[str, dict[str, Any]], str]] = [
    ({"encoder": {"name": "resnet18"}}, "needs a plain ViT, .* 'resnet18' is of kind CNN"),
    ({"encoder": {"name": "test_resnet", "image_size": 64}}, "'test_resnet' is of kind CNN"),
    ({"encoder": {"name": "swin_tiny_patch4_window7_224", "image_size": None}}, "kind windowed ViT"),
    ({"encoder": {"name": "vit_tiny_patch16_224", "image_size": 100}}, "multiple of 16. Use --image-size 96 or 112"),
    ({"encoder": {"image_size": 60}}, "multiple of 16. Use --image-size 48 or 64"),
    ({"encoder": {"image_size": 16}}, "sees one patch"),
    ({"encoder": {"name": "no_such_vit"}}, "There is no backbone 'no_such_vit'"),
    ({"encoder": {"weights": "nowhere.safetensors"}}, "There is no weights file 'nowhere.safetensors'"),
    ({"encoder": {"weights": "demo"}}, "The demo weights are those of 'demo_vit'"),
]


@pytest.mark.parametrize(("sections", "message"), BAD)
def test_bad_input_is_told_before_a_folder_exists(sections: dict[str, dict[str, Any]], message: str) -> None:
    config = make_config(**sections)
    with pytest.raises(MedPeftError, match=message):
        create(config)
    assert not (get_home() / "pretraining").exists()
    assert not (get_home() / "weights").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mae": {"mask_ratio": 1.0}}, r"mae.mask_ratio is 1.0, but it must be above 0 and below 1"),
        ({"mae": {"decoder_width": 30}}, "mae.decoder_width is 30, but it must be a multiple of 4"),
        ({"mae": {"decoder_width": 32, "decoder_heads": 3}}, "a divisor of mae.decoder_width"),
        ({"encoder": {"colour": 1}}, "There is no setting encoder.colour"),
        ({"method": {}}, "There is no config section 'method'"),
        ({"train": {"epochs": "many"}}, "train.epochs"),
        ({"schema_version": 99}, "schema version 99"),
    ],
)
def test_bad_settings_are_told(values: dict[str, Any], message: str) -> None:
    with pytest.raises(MedPeftError, match=message):
        PretrainConfig.from_dict(values)


def test_weights_of_another_model_name_the_first_tensor_that_does_not_fit(tmp_path: Path) -> None:
    state = safetensors.torch.load_file(list_encoders(pretrain(make_config()))[-1].path)
    wrong, damaged, short = (tmp_path / f"{name}.safetensors" for name in ("wrong", "damaged", "short"))
    safetensors.torch.save_file({**state, "blocks.1.mlp.fc1.weight": torch.zeros(3, 3)}, wrong)
    damaged.write_bytes(b"not weights")
    safetensors.torch.save_file({name: value for name, value in state.items() if name != "norm.weight"}, short)
    for path, message in (
        (wrong, r"tensor 'blocks.1.mlp.fc1.weight' has the shape \(3, 3\), but 'test_vit' needs"),
        (damaged, "cannot be read"),
        (short, "tensor 'norm.weight' is missing"),
    ):
        with pytest.raises(BackboneError, match=message):
            create(make_config(encoder={"weights": str(path)}))


def test_config_goes_through_json_unchanged() -> None:
    config = make_config(augment={"flip": 0.1}, encoder={"mean": (0.1, 0.2, 0.3)})
    assert PretrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.augment.crop_scale_min == PretrainConfig().augment.crop_scale_min
    assert config.peak_lr == pytest.approx(0.02 * 16 / 256)
