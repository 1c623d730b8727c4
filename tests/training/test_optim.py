"""Parameter groups, layer decay and learning rates against the numbers that the papers' recipe gives."""

import copy
import math

import pytest
import torch

from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, OptimConfig, RunConfig
from medpeft_core.methods.adapted import AdaptedModel, PlainAdaptedModel
from medpeft_core.training.build import apply_method
from medpeft_core.training.optim import build_optimizer, build_param_groups, compute_lr, count_warmup_steps, set_lr


def _adapted(method: str, pool: str = "avg", name: str = "vit_tiny_patch16_224") -> AdaptedModel:
    with torch.device("meta"):
        bare = build_backbone(name, num_classes=3, image_size=64, pool=pool if name.startswith("vit") else None)
        return apply_method(bare, RunConfig(method=MethodConfig(name=method))).adapted


def _by_name(adapted: AdaptedModel, **options: float) -> dict[str, tuple[float, float]]:
    groups = build_param_groups(adapted, **{"weight_decay": 0.05, "layer_decay": 0.65, **options})
    return {name: (group["weight_decay"], group["lr_scale"]) for group in groups for name in group["names"]}


def test_groups_hold_every_trained_parameter_once() -> None:
    adapted = _adapted("full")
    groups = build_param_groups(adapted, weight_decay=0.05, layer_decay=0.65)
    names = [name for group in groups for name in group["names"]]
    assert sorted(names) == sorted(adapted.trainable())
    assert sum(len(group["params"]) for group in groups) == len(names)


def test_groups_do_not_decay_vectors_and_positions() -> None:
    adapted = _adapted("full")
    for name, (decay, _) in _by_name(adapted).items():
        is_exempt = adapted.trainable()[name].ndim <= 1 or name in ("pos_embed", "cls_token")
        assert decay == (0.0 if is_exempt else 0.05), name


@pytest.mark.parametrize("pool", ["avg", "token"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_layer_decay_equals_the_papers(method: str, pool: str) -> None:
    """Block b of 12 learns at .65^(12-b), head and the norm before it at 1, also where LoRA is what learns there."""
    scales = {name: scale for name, (_, scale) in _by_name(_adapted(method, pool)).items()}
    seen = set()
    for name, scale in scales.items():
        place = name.split(".")
        if place[0] == "blocks":
            seen.add(int(place[1]))
            assert scale == pytest.approx(0.65 ** (12 - int(place[1]))), name
        elif place[0] in ("head", "fc_norm", "norm"):
            assert scale == 1, name
        else:
            assert scale == pytest.approx(0.65**13), name  # patches, class token, positions
    assert seen == set(range(12))
    assert min(scales.values()) == pytest.approx(0.65 ** (13 if method == "full" else 12))


def test_layer_decay_off_gives_one_rate() -> None:
    assert {scale for _, scale in _by_name(_adapted("full"), layer_decay=1.0).values()} == {1.0}


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_layer_decay_rises_towards_the_head_of_a_cnn(name: str) -> None:
    adapted = _adapted("full", name=name)
    scales = [scale for _, scale in _by_name(adapted).values()]
    by_name = _by_name(adapted)
    head = [scale for key, (_, scale) in by_name.items() if key.startswith(("fc.", "head.fc", "classifier"))]
    assert set(head) == {1.0}
    assert min(scales) < 0.65
    assert max(scales) == 1


def test_lr_warms_up_peaks_and_ends() -> None:
    options = {"num_steps": 100, "warmup_steps": 10, "peak": 2.0, "floor": 0.5}
    rates = [compute_lr(step, **options) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[4] == pytest.approx(1.0)
    assert rates[9] == rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(0.5 + 1.5 * 0.5)
    assert rates[100] == pytest.approx(0.5)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert compute_lr(30, **options) == pytest.approx(0.5 + 1.5 * 0.5 * (1 + math.cos(math.pi * 20 / 90)))
    assert compute_lr(0, num_steps=5, warmup_steps=0, peak=1.0, floor=0.0) == 1.0


def test_warmup_takes_at_most_a_fifth() -> None:
    assert count_warmup_steps(1.0, steps_per_epoch=10, num_steps=100) == 10
    assert count_warmup_steps(5.0, steps_per_epoch=10, num_steps=100) == 20
    assert count_warmup_steps(0.0, steps_per_epoch=10, num_steps=100) == 0
    assert count_warmup_steps(1.0, steps_per_epoch=1, num_steps=2) == 0


def test_set_lr_scales_each_group() -> None:
    optimizer = build_optimizer(_adapted("full"), OptimConfig(lr=1.0, layer_decay=0.65), device="mps")
    set_lr(optimizer, 0.1)
    rates = sorted({group["lr"] for group in optimizer.param_groups})
    assert rates[0] == pytest.approx(0.1 * 0.65**13)
    assert rates[-1] == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_fused_optimizer_equals_the_plain_one(name: str, memory_format: torch.memory_format) -> None:
    bare = build_backbone("test_resnet", num_classes=2, image_size=32)
    bare.model.to(memory_format=memory_format)
    models = [PlainAdaptedModel(model, method="full") for model in (bare.model, copy.deepcopy(bare.model))]
    optim = OptimConfig(lr=1e-2, optimizer=name, weight_decay=0.05)
    optimizers = [build_optimizer(models[0], optim, device="cpu"), build_optimizer(models[1], optim, device="mps")]
    assert [optimizer.defaults["fused"] for optimizer in optimizers] == [True, False]
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        for parameters in zip(*(model.trainable().values() for model in models), strict=True):
            gradient = torch.randn(parameters[0].shape, generator=generator)
            for parameter in parameters:
                parameter.grad = torch.empty_like(parameter).copy_(gradient)
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(*(model.trainable().values() for model in models), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)
