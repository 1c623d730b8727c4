"""What every method must keep on every kind of backbone: only its own parameters move, and nothing gets lost."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, RunConfig, TrainConfig
from medpeft_core.errors import MethodError
from medpeft_core.methods import METHODS
from medpeft_core.training.build import BuiltModel, apply_method

IMAGE_SIZE = 64
BACKBONES = ("test_vit", "test_vit2", "test_resnet", "test_convnext", "test_efficientnet")
CASES = [(method, backbone) for method in METHODS.names() for backbone in BACKBONES]
on_every_pair = pytest.mark.parametrize(("method", "backbone"), CASES)


def _build_bare(backbone: str, num_classes: int = 2) -> Backbone:
    """timm's ResNets start with the last norm of each block at zero, where a frozen block passes no gradient at all."""
    bare = build_backbone(backbone, num_classes=num_classes, image_size=IMAGE_SIZE, seed=0)
    for module in bare.model.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.any():
            nn.init.ones_(module.weight)
    return bare


def _build(method: str, backbone: str, *, seed: int = 0, num_classes: int = 2, **knobs: object) -> BuiltModel:
    bare = _build_bare(backbone, num_classes)
    config = RunConfig(method=MethodConfig(name=method, knobs=knobs), train=TrainConfig(seed=seed))
    return apply_method(bare, config)


def _toy_batch(batch: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, brighter on the left where the first label holds and on the top where the second one does."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 2, (batch, 2), generator=generator).float()
    images = 0.3 * torch.randn(batch, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator)
    images[..., : IMAGE_SIZE // 2] += targets[:, 0].view(-1, 1, 1, 1) * 2
    images[:, :, : IMAGE_SIZE // 2] += targets[:, 1].view(-1, 1, 1, 1) * 2
    return images, targets


def _train(built: BuiltModel, steps: int, lr: float = 3e-3) -> list[float]:
    torch.manual_seed(0)
    images, targets = _toy_batch()
    optimizer = torch.optim.AdamW(built.adapted.trainable().values(), lr=lr, weight_decay=0.05)
    built.adapted.set_train_mode()
    losses = []
    for _ in range(steps):
        loss = F.binary_cross_entropy_with_logits(built.adapted.network(images), targets)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def _logits(network: nn.Module) -> torch.Tensor:
    network.eval()
    with torch.no_grad():
        return network(_toy_batch()[0])


@on_every_pair
def test_method_changes_only_what_it_declares(method: str, backbone: str) -> None:
    built = _build(method, backbone)
    declared = set(built.adapted.trainable())
    norms = [name for name, module in built.adapted.network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    before = {name: tensor.clone() for name, tensor in built.adapted.network.state_dict().items()}
    _train(built, 3)
    after = built.adapted.network.state_dict()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    buffers = {f"{name}.{kind}" for name in norms for kind in ("running_mean", "running_var", "num_batches_tracked")}
    allowed_buffers = buffers if method == "full" else set()
    assert changed - declared <= allowed_buffers
    assert declared <= changed
    assert allowed_buffers <= changed


@on_every_pair
def test_method_loss_falls(method: str, backbone: str) -> None:
    losses = _train(_build(method, backbone), 15)
    assert all(loss == loss for loss in losses)
    assert losses[-1] < losses[0] - 0.005
    assert min(losses[10:]) < min(losses[:3])


@on_every_pair
def test_method_saved_and_loaded_gives_identical_logits(method: str, backbone: str, tmp_path: Path) -> None:
    trained = _build(method, backbone, seed=1)
    _train(trained, 3)
    wanted = _logits(trained.adapted.network)
    trained.adapted.save(tmp_path)
    fresh = _build(method, backbone, seed=2)
    assert not torch.equal(_logits(fresh.adapted.network), wanted)
    fresh.adapted.load(tmp_path)
    assert torch.equal(_logits(fresh.adapted.network), wanted)
    assert not list(tmp_path.glob("*.bin"))  # no pickle
    assert not list(tmp_path.glob("*.pt*"))


@on_every_pair
def test_method_merged_logits_agree(method: str, backbone: str) -> None:
    built = _build(method, backbone)
    _train(built, 3)
    wanted = _logits(built.adapted.network)
    if not METHODS[method].is_mergeable:
        pytest.skip("the method says that it cannot be merged")
    merged = built.adapted.merge()
    assert (_logits(merged) - wanted).abs().max().item() <= 1e-5 * max(1.0, wanted.abs().max().item())
    assert not any("lora_" in name for name, _ in merged.named_parameters())


@on_every_pair
def test_method_seed_decides_the_start_and_the_base_stays(method: str, backbone: str) -> None:
    states = [_build(method, backbone, seed=seed).adapted.network.state_dict() for seed in (1, 1)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    bare = _build_bare(backbone).model
    built = _build(method, backbone)
    assert torch.allclose(_logits(built.adapted.network), _logits(bare), atol=1e-6)  # every method starts at its base


@pytest.mark.parametrize("method", METHODS.names())
def test_method_adapter_of_another_run_is_refused(method: str, tmp_path: Path) -> None:
    _build(method, "test_vit", num_classes=5).adapted.save(tmp_path)
    with pytest.raises(MethodError, match=r"shape|does not fit|missing"):
        _build(method, "test_vit").adapted.load(tmp_path)
    with pytest.raises(MethodError, match=r"shape|does not fit|missing"):
        _build(method, "test_resnet").adapted.load(tmp_path)


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_method_damaged_adapter_is_refused(method: str, damage: str, tmp_path: Path) -> None:
    _build(method, "test_vit").adapted.save(tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        content = path.read_bytes()
        path.unlink()
        if damage != "gone":
            path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(MethodError, match="cannot be read"):
        _build(method, "test_vit").adapted.load(tmp_path)


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("which", [0, -1])
def test_method_adapter_without_one_tensor_is_refused(method: str, which: int, tmp_path: Path) -> None:
    """The first is a tensor of a block where the method has one there, the last one of the head."""
    _build(method, "test_vit").adapted.save(tmp_path)
    path = next(path for path in tmp_path.glob("adapter*.safetensors"))
    state = safetensors.torch.load_file(path)
    gone = sorted(state)[which]
    del state[gone]
    safetensors.torch.save_file(state, path)
    with pytest.raises(MethodError, match=gone.removeprefix("base_model.model.").removesuffix(".weight")):
        _build(method, "test_vit").adapted.load(tmp_path)


@pytest.mark.parametrize("method", METHODS.names())
def test_method_adapter_with_a_tensor_too_many_is_refused(method: str, tmp_path: Path) -> None:
    _build(method, "test_vit").adapted.save(tmp_path)
    path = next(path for path in tmp_path.glob("adapter*.safetensors"))
    state = safetensors.torch.load_file(path)
    safetensors.torch.save_file({**state, "base_model.model.blocks.9.lora_A.weight": torch.ones(2, 2)}, path)
    with pytest.raises(MethodError, match=r"blocks\.9"):
        _build(method, "test_vit").adapted.load(tmp_path)


@pytest.mark.parametrize("method", METHODS.names())
def test_method_spec_is_complete(method: str) -> None:
    spec = METHODS[method]
    assert all((spec.title, spec.family, spec.idea.endswith("."), spec.reference, spec.fits))
    assert all(field.metadata.get("help") for field in spec.knobs.__dataclass_fields__.values())
    assert METHODS["lora"].default_lr == METHODS["linear"].default_lr == pytest.approx(10 * METHODS["full"].default_lr)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_linear_trains_exactly_the_head(backbone: str) -> None:
    built = _build("linear", backbone)
    head = built.backbone.head
    assert set(built.adapted.trainable()) == {f"{head}.weight", f"{head}.bias"}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_full_trains_everything(backbone: str) -> None:
    built = _build("full", backbone)
    assert set(built.adapted.trainable()) == {name for name, _ in built.adapted.network.named_parameters()}
    assert built.adapted.num_trainable_params() == built.adapted.num_params()


def test_frozen_batch_norm_keeps_eval_mode_and_trained_ones_do_not() -> None:
    for method, is_training in (("linear", False), ("lora", False), ("full", True)):
        built = _build(method, "test_resnet")
        built.adapted.set_train_mode()
        norms = [module for module in built.adapted.network.modules() if isinstance(module, nn.BatchNorm2d)]
        assert norms
        assert {module.training for module in norms} == {is_training}


def test_method_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = build_backbone("test_resnet", num_classes=2, image_size=IMAGE_SIZE)
    object.__setattr__(bare, "kind", "unheard_of")
    with pytest.raises(MethodError, match=r"'linear' does not fit 'test_resnet', a backbone of kind unheard_of"):
        apply_method(bare, RunConfig(method=MethodConfig(name="linear")))
