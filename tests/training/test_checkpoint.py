"""Checkpoints and best weights: exact, and mended or refused after damage."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, OptimConfig, RunConfig
from medpeft_core.errors import MethodError, RunError
from medpeft_core.training.best import load_best, mend_best, save_best
from medpeft_core.training.build import BuiltModel, apply_method, place_model
from medpeft_core.training.checkpoint import CHECKPOINT_FILE, Position, load_checkpoint, save_checkpoint
from medpeft_core.training.optim import build_optimizer

POSITION = Position(epoch=3, batch=7, step=41, loss_sum=0.1 + 0.2, num_losses=7, best_score=1 / 3, window=[0.1, 1e-17])


def _build(name: str = "test_resnet", method: str = "full", seed: int = 0) -> BuiltModel:
    bare = build_backbone(name, num_classes=2, image_size=32, seed=seed)
    built = apply_method(bare, RunConfig(method=MethodConfig(name=method)))
    place_model(built, device="cpu")
    return built


def _optimizer(built: BuiltModel, name: str) -> torch.optim.Optimizer:
    return build_optimizer(built.adapted, OptimConfig(lr=1e-3, optimizer=name, layer_decay=0.9), device="cpu")


def _step(built: BuiltModel, optimizer: torch.optim.Optimizer, seed: int, *, update: bool = True) -> None:
    torch.manual_seed(seed)
    built.adapted.set_train_mode()
    logits = built.adapted.network(torch.randn(4, 3, 32, 32))
    F.binary_cross_entropy_with_logits(logits, torch.randint(0, 2, (4, 2)).float()).backward()
    if update:
        optimizer.step()
        optimizer.zero_grad()


def _state(built: BuiltModel) -> dict[str, torch.Tensor]:
    return {**built.adapted.trainable(), **built.adapted.buffers()}


@pytest.mark.parametrize("optimizer_name", ["adamw", "sgd"])
@pytest.mark.parametrize(("name", "method"), [("test_resnet", "full"), ("test_vit", "lora"), ("test_resnet", "lora")])
def test_checkpoint_goes_on_exactly(tmp_path: Path, name: str, method: str, optimizer_name: str) -> None:
    """A CNN resumed under AdamW went on wrongly: its weights lie channels last, its restored moments did not."""
    first = _build(name, method)
    optimizer = _optimizer(first, optimizer_name)
    _step(first, optimizer, 1)
    _step(first, optimizer, 2)
    _step(first, optimizer, 3, update=False)  # the gradient of half an accumulated step
    save_checkpoint(tmp_path, adapted=first.adapted, optimizer=optimizer, scaler=None, position=POSITION)
    second = _build(name, method, seed=9)
    for key, tensor in second.adapted.network.state_dict().items():  # the frozen base comes from elsewhere
        if key not in _state(second):
            tensor.copy_(first.adapted.network.state_dict()[key])
    other = _optimizer(second, optimizer_name)
    position = load_checkpoint(tmp_path, adapted=second.adapted, optimizer=other, scaler=None, device="cpu")
    assert position == POSITION
    for one, two in zip(first.adapted.trainable().values(), second.adapted.trainable().values(), strict=True):
        assert torch.equal(one.grad, two.grad)
        assert set(optimizer.state[one]) == set(other.state[two])
        assert all(torch.equal(value, other.state[two][key]) for key, value in optimizer.state[one].items())
    for built, its in ((first, optimizer), (second, other)):
        _step(built, its, 4)
        _step(built, its, 5)
    assert all(torch.equal(tensor, _state(second)[key]) for key, tensor in _state(first).items())


def test_checkpoint_absent_is_none(tmp_path: Path) -> None:
    built = _build()
    optimizer = _optimizer(built, "adamw")
    assert load_checkpoint(tmp_path, adapted=built.adapted, optimizer=optimizer, scaler=None, device="cpu") is None


@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_checkpoint_damaged_is_refused(tmp_path: Path, damage: str) -> None:
    built = _build()
    optimizer = _optimizer(built, "adamw")
    save_checkpoint(tmp_path, adapted=built.adapted, optimizer=optimizer, scaler=None, position=POSITION)
    path = tmp_path / CHECKPOINT_FILE
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-9], "empty": b"", "noise": b"\x00" * 64}[damage])
    with pytest.raises(RunError, match=r"checkpoint .* is damaged .*Delete it to start this run from the beginning"):
        load_checkpoint(tmp_path, adapted=built.adapted, optimizer=optimizer, scaler=None, device="cpu")


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    built, other = _build(), _build("test_vit")
    optimizer = _optimizer(built, "adamw")
    save_checkpoint(tmp_path, adapted=built.adapted, optimizer=optimizer, scaler=None, position=POSITION)
    with pytest.raises(RunError, match="does not fit this run's model at 'cls_token'"):
        load_checkpoint(
            tmp_path, adapted=other.adapted, optimizer=_optimizer(other, "adamw"), scaler=None, device="cpu"
        )


def test_checkpoint_survives_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    built = _build()
    optimizer = _optimizer(built, "adamw")
    save_checkpoint(tmp_path, adapted=built.adapted, optimizer=optimizer, scaler=None, position=POSITION)
    before = (tmp_path / CHECKPOINT_FILE).read_bytes()

    def fill_the_disk(_: object, path: Path, **__: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path, adapted=built.adapted, optimizer=optimizer, scaler=None, position=Position())
    assert (tmp_path / CHECKPOINT_FILE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_FILE]


def test_best_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    first, second = _build(seed=1), _build(seed=2)
    save_best(first.adapted, folder)
    save_best(second.adapted, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    fresh = _build(seed=3)
    load_best(fresh.adapted, folder)
    assert all(torch.equal(tensor, _state(second)[key]) for key, tensor in _state(fresh).items())


def test_best_survives_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "adapter"
    first, second = _build(seed=1), _build(seed=2)
    save_best(first.adapted, folder)

    def fill_the_disk(into: Path) -> None:
        (into / "half").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(second.adapted, "save", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        save_best(second.adapted, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    load_best(second.adapted, folder)
    assert all(torch.equal(tensor, _state(second)[key]) for key, tensor in _state(first).items())


def test_best_is_found_after_a_crash_between_two_renames(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    first = _build(seed=1)
    save_best(first.adapted, folder)
    folder.rename(tmp_path / ".adapter.old")  # here the process died
    fresh = _build(seed=3)
    load_best(fresh.adapted, folder)
    assert all(torch.equal(tensor, _state(first)[key]) for key, tensor in _state(fresh).items())
    assert [path.name for path in tmp_path.iterdir()] == [".adapter.old"]  # a reader leaves it to the worker
    mend_best(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    save_best(fresh.adapted, folder)
    mend_best(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_best_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    built = _build()
    with pytest.raises(RunError, match="has no trained weights yet"):
        load_best(built.adapted, folder)
    save_best(built.adapted, folder)
    next(folder.glob("*.safetensors")).write_bytes(b"")
    with pytest.raises(MethodError, match="cannot be read"):
        load_best(built.adapted, folder)
