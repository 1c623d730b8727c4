"""What every method's saved files and spec must keep, on the first architecture that the method fits."""

import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny_models import ARCHITECTURES
from torch import nn
from trials import build, find_misfit

from medpeft_core.errors import MethodError
from medpeft_core.methods import METHODS
from medpeft_core.methods.spec import FAMILIES, PLACES

BACKBONES = tuple(ARCHITECTURES.values())


def _choose(method: str) -> str:
    """A backbone that the method fits."""
    return next(name for item, name in ARCHITECTURES.items() if find_misfit(method, item) is None)


def _choose_other(method: str) -> str:
    """Another one; the same where there is no other, which then gets more classes."""
    names = [name for item, name in ARCHITECTURES.items() if find_misfit(method, item) is None]
    return names[-1]


@pytest.mark.parametrize("method", METHODS.names())
def test_method_adapter_of_another_run_is_refused(method: str, tmp_path: Path) -> None:
    build(method, _choose(method), num_classes=5).adapted.save(tmp_path)
    with pytest.raises(MethodError, match=r"shape|does not fit|missing"):
        build(method, _choose(method)).adapted.load(tmp_path)
    with pytest.raises(MethodError, match=r"shape|does not fit|missing"):
        build(method, _choose_other(method), num_classes=3).adapted.load(tmp_path)


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_method_damaged_adapter_is_refused(method: str, damage: str, tmp_path: Path) -> None:
    build(method, _choose(method)).adapted.save(tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        content = path.read_bytes()
        path.unlink()
        if damage != "gone":
            path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(MethodError, match="cannot be read"):
        build(method, _choose(method)).adapted.load(tmp_path)


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("which", [0, -1])
def test_method_adapter_without_one_tensor_is_refused(method: str, which: int, tmp_path: Path) -> None:
    """The first is a tensor of a block where the method has one there, the last one of the head."""
    build(method, _choose(method)).adapted.save(tmp_path)
    path = next(path for path in tmp_path.glob("adapter*.safetensors"))
    state = safetensors.torch.load_file(path)
    gone = sorted(state)[which]
    del state[gone]
    safetensors.torch.save_file(state, path)
    with pytest.raises(MethodError, match=re.escape(gone)):
        build(method, _choose(method)).adapted.load(tmp_path)


@pytest.mark.parametrize("method", METHODS.names())
def test_method_adapter_with_a_tensor_too_many_is_refused(method: str, tmp_path: Path) -> None:
    build(method, _choose(method)).adapted.save(tmp_path)
    path = next(path for path in tmp_path.glob("adapter*.safetensors"))
    state = safetensors.torch.load_file(path)
    safetensors.torch.save_file({**state, "base_model.model.blocks.9.lora_A.weight": torch.ones(2, 2)}, path)
    with pytest.raises(MethodError, match=r"blocks\.9"):
        build(method, _choose(method)).adapted.load(tmp_path)


@pytest.mark.parametrize("method", METHODS.names())
def test_method_spec_is_complete(method: str) -> None:
    spec = METHODS[method]
    assert all((spec.title, spec.family in FAMILIES, spec.idea.endswith("."), spec.reference, spec.fits))
    assert spec.places
    assert set(spec.places) <= set(PLACES)
    assert all(field.metadata.get("help") for field in spec.knobs.__dataclass_fields__.values())


def test_method_rates_of_lora_and_linear_are_ten_times_those_of_full() -> None:
    """Dutt et al. 2024, section 4."""
    assert METHODS["lora"].default_lr == METHODS["linear"].default_lr == pytest.approx(10 * METHODS["full"].default_lr)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_linear_trains_exactly_the_head(backbone: str) -> None:
    built = build("linear", backbone)
    head = built.backbone.head
    assert set(built.adapted.trainable()) == {f"{head}.weight", f"{head}.bias"}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_full_trains_everything(backbone: str) -> None:
    built = build("full", backbone)
    assert set(built.adapted.trainable()) == {name for name, _ in built.adapted.network.named_parameters()}
    assert built.adapted.num_trainable_params() == built.adapted.num_params()


def test_frozen_batch_norm_keeps_eval_mode_and_trained_ones_do_not() -> None:
    for method, is_training in (("linear", False), ("lora", False), ("full", True)):
        built = build(method, _choose_other(method), num_classes=3)
        built.adapted.set_train_mode()
        norms = [module for module in built.adapted.network.modules() if isinstance(module, nn.BatchNorm2d)]
        assert norms
        assert {module.training for module in norms} == {is_training}
