"""Trains each method once on each tiny model, and keeps what the contract tests look at."""

import functools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tiny_models import ARCHITECTURES, IMAGE_SIZE
from torch import nn

from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.build import build_backbone
from medpeft_core.config import MethodConfig, OptimConfig, RunConfig, TrainConfig
from medpeft_core.methods import METHODS
from medpeft_core.training.build import BuiltModel, apply_method, place_model
from medpeft_core.training.model_parts import find_parts
from medpeft_core.training.optim import build_optimizer

BATCH = 8
STEPS = 10
SLOW = ("boft", "hra")  # minutes on all layers: these get a single one
Logits = torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came out of building, training, saving and merging.

    Attributes:
        declared: names of the parameters that were to be trained.
        changed: names of the tensors of the network that are no longer what they were.
        without_gradient: declared parameters that never got one.
        base, start, end, merged: logits in eval mode of the untouched model, before and after training, and merged.
        losses: of each step.
        half: the loss of a last step in bfloat16, whose gradients were computed too.
        folder: where the adapter was saved after training.
    """

    declared: frozenset[str]
    changed: frozenset[str]
    without_gradient: frozenset[str]
    losses: tuple[float, ...]
    half: float
    base: Logits = field(repr=False)
    start: Logits = field(repr=False)
    end: Logits = field(repr=False)
    merged: Logits | None = field(repr=False)
    folder: Path


def find_misfit(method: str, architecture: str) -> str | None:
    """Why the method refuses the architecture; None when it fits."""
    kind, traits = _read_traits(architecture)
    return METHODS[method].find_misfit(kind, traits)


@functools.cache
def _read_traits(architecture: str) -> tuple[str, frozenset[str]]:
    parts = find_parts(build_bare(ARCHITECTURES[architecture]), wants_split_qkv=False)
    return parts.kind, parts.traits


def build_bare(backbone: str, num_classes: int = 2) -> Backbone:
    """timm's ResNets start with the last norm of each block at zero, where a frozen block passes no gradient at all."""
    bare = build_backbone(backbone, num_classes=num_classes, image_size=IMAGE_SIZE, seed=0)
    for module in bare.model.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.any():
            nn.init.ones_(module.weight)
    return bare


def build(method: str, backbone: str, *, seed: int = 0, num_classes: int = 2, **knobs: Any) -> BuiltModel:
    """A method on a backbone by its timm name; slow methods on a single layer unless `targets` says more."""
    bare = build_bare(backbone, num_classes)
    if method in SLOW and "targets" not in knobs:
        parts = find_parts(bare, wants_split_qkv=False)
        knobs["targets"] = next(
            name for name in (*parts.linears, *parts.convs) if bare.model.get_submodule(name).weight[0].numel() % 4 == 0
        )
    config = RunConfig(method=MethodConfig(name=method, knobs=knobs), train=TrainConfig(seed=seed))
    built = apply_method(bare, config)
    place_model(built, device="cpu")
    return built


def make_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, brighter on the left where the first label holds and on the top where the second one does."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 2, (BATCH, 2), generator=generator).float()
    images = 0.3 * torch.randn(BATCH, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator)
    images[..., : IMAGE_SIZE // 2] += targets[:, 0].view(-1, 1, 1, 1) * 2
    images[:, :, : IMAGE_SIZE // 2] += targets[:, 1].view(-1, 1, 1, 1) * 2
    return images, targets


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What happened while a model was trained: losses, parameters without any gradient, tensors that ever moved."""

    losses: list[float]
    without_gradient: set[str]
    changed: set[str]


def train(built: BuiltModel, steps: int, *, lr: float) -> Steps:
    """Train on the batch, with all that a method adds to a step."""
    torch.manual_seed(0)
    images, targets = make_batch()
    adapted = built.adapted
    optimizer = build_optimizer(adapted, OptimConfig(lr=lr), device="cpu")
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
    adapted.set_train_mode()
    adapted.begin(steps)
    before = {name: tensor.clone() for name, tensor in _list_tensors(adapted.network).items()}
    losses, without, changed = [], set(adapted.trainable()), set()
    for step in range(steps):
        loss = F.binary_cross_entropy_with_logits(adapted.network(images), targets)
        losses.append(loss.item())
        penalty = adapted.compute_penalty()
        (loss if penalty is None else loss + penalty).backward()
        without -= {name for name, item in adapted.trainable().items() if item.grad is not None and item.grad.any()}
        optimizer.step()
        changed |= {  # AdaLoRA may set back to zero what had moved
            name
            for name, tensor in _list_tensors(adapted.network).items()
            if name not in changed and not torch.equal(before[name], tensor)
        }
        adapted.after_step(step)
        optimizer.zero_grad()
    return Steps(losses=losses, without_gradient=without, changed=changed)


def compute_logits(network: nn.Module) -> Logits:
    """(8, 2) of the batch, in eval mode."""
    network.eval()
    with torch.no_grad():
        return network(make_batch()[0])


@functools.cache
def run_trial(method: str, architecture: str) -> Trial:
    """Build, train, save and merge once; the tests of a process share it."""
    backbone, spec = ARCHITECTURES[architecture], METHODS[method]
    base = compute_logits(build_bare(backbone).model)
    built = build(method, backbone, seed=1)
    adapted = built.adapted
    declared = frozenset(adapted.trainable())
    start = compute_logits(adapted.network)
    steps = train(built, STEPS, lr=spec.default_lr)
    end = compute_logits(adapted.network)
    folder = Path(tempfile.mkdtemp(prefix="medpeft-trial-"))
    adapted.save(folder)
    half = _step_in_half(built)
    return Trial(
        declared=declared,
        changed=frozenset(steps.changed),
        without_gradient=frozenset(steps.without_gradient),
        losses=tuple(steps.losses),
        half=half,
        base=base,
        start=start,
        end=end,
        merged=compute_logits(adapted.merge()) if spec.is_mergeable else None,
        folder=folder,
    )


def _step_in_half(built: BuiltModel) -> float:
    """Forward and backward pass as they are on a GPU, in mixed precision; changes no weight."""
    images, targets = make_batch()
    statistics = {name: tensor.clone() for name, tensor in built.adapted.buffers().items()}
    built.adapted.set_train_mode()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = built.adapted.network(images)
    loss = F.binary_cross_entropy_with_logits(logits.float(), targets)
    loss.backward()
    built.adapted.network.zero_grad()
    for name, tensor in built.adapted.buffers().items():
        tensor.copy_(statistics[name])
    return loss.item()


def _list_tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers, each once, also where layers share it."""
    return {name: item.detach() for name, item in (*network.named_parameters(), *network.named_buffers())}
