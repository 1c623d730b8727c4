"""The one place where a config turns into a model, its method, batches and an optimizer."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.build import build_backbone, get_base_state
from medpeft_core.backbones.weights import compute_base_sha256, load_base
from medpeft_core.config import RunConfig
from medpeft_core.errors import BackboneError
from medpeft_core.methods import METHODS
from medpeft_core.methods.adapted import AdaptedModel
from medpeft_core.methods.spec import SPLIT_QKV
from medpeft_core.paths import weights_dir
from medpeft_core.sections import build_part
from medpeft_core.training.augment import BatchTransform, Transform
from medpeft_core.training.cached_head import CachedHead, Unvaried, check_head, find_dropout
from medpeft_core.training.data import BatchSource, SplitData
from medpeft_core.training.loss import compute_class_weights
from medpeft_core.training.model_parts import find_parts
from medpeft_core.training.optim import build_optimizer
from medpeft_core.training.parts import LoopParts

HUB_DIR = "hub"
SEED_OF_ADAPTER = 1_000_003  # added to the seed, so that adapters do not repeat the backbone's random numbers


@dataclass(frozen=True, kw_only=True)
class BuiltModel:
    """A backbone with its method applied, on the CPU."""

    backbone: Backbone
    adapted: AdaptedModel


def build_model(config: RunConfig, *, num_classes: int) -> BuiltModel:
    """The model of a run, as it is before its first step.

    Base weights are taken from the lab's folder by their hash when the config names one (random weights and files),
    else made or loaded as `backbone.weights` says.

    Raises:
        MedPeftError: the backbone cannot be built so, the method does not fit, or the base weights are gone or changed.
    """
    return apply_method(build_bare_backbone(config, num_classes=num_classes), config)


def build_bare_backbone(config: RunConfig, *, num_classes: int) -> Backbone:
    """The backbone with base weights and a fresh head, before any method."""
    part = config.backbone
    is_stored = part.weights_sha256 is not None and part.weights != "pretrained"
    backbone = build_backbone(
        part.name,
        num_classes=num_classes,
        image_size=part.image_size,
        pool=part.pool,
        weights=part.weights,
        base_state=load_base(part.weights_sha256, weights_dir()) if is_stored and part.weights_sha256 else None,
        drop_path=part.drop_path,
        head_init_std=part.head_init_std,
        seed=config.train.seed,
        download_dir=weights_dir() / HUB_DIR,
        channels=part.channels,
        layout=part.layout,
        positions=part.positions,
    )
    if part.weights == "pretrained" and part.weights_sha256 is not None:
        _check_download(backbone, part.weights_sha256)
    return backbone


def apply_method(backbone: Backbone, config: RunConfig) -> BuiltModel:
    """Prepare the backbone as the method needs it, and apply the method.

    Raises:
        MethodError: the method does not fit this backbone.
    """
    spec = METHODS[config.method.name]
    knobs = build_part(spec.knobs, config.method.knobs, section="method")
    parts = find_parts(backbone, wants_split_qkv=SPLIT_QKV in spec.needs(knobs))
    spec.check_fit(backbone.name, parts.kind, parts.traits)
    generator_state = torch.get_rng_state()
    torch.manual_seed(config.train.seed + SEED_OF_ADAPTER)
    try:
        adapted = spec.build(backbone.model, parts, knobs)
    finally:
        torch.set_rng_state(generator_state)
    return BuiltModel(backbone=backbone, adapted=adapted)


def build_transform(config: RunConfig, backbone: Backbone, *, device: str) -> BatchTransform:
    """From cached pixels to what this backbone sees."""
    return BatchTransform(
        config.augment,
        image_size=backbone.image_size,
        mean=config.backbone.mean or backbone.mean,
        std=config.backbone.std or backbone.std,
        device=device,
        channels=backbone.channels,
    )


def place_model(built: BuiltModel, *, device: str) -> None:
    """Move the model to its device; CNNs get the memory layout that is faster for them, where their method can."""
    network = built.adapted.network
    if built.backbone.kind == "cnn" and device != "mps" and built.adapted.can_be_channels_last:
        network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    else:
        network.to(device)


def build_loop_parts(
    config: RunConfig,
    built: BuiltModel,
    *,
    splits: dict[str, SplitData],
    source: BatchSource,
    task: str,
    labels: tuple[str, ...],
    checkpoint_dir: Path,
    adapter_dir: Path,
) -> LoopParts:
    """Everything the training loop needs, with the model on its device.

    Args:
        source: of pixels, or with `train.cached_features` of features.
    """
    device, precision = config.train.device, config.train.precision
    place_model(built, device=device)
    predictor, transform = _build_predictor(config, built)
    weights = compute_class_weights(splits["train"].targets, task) if config.optim.class_weights == "balanced" else None
    return LoopParts(
        config=config,
        adapted=built.adapted,
        predictor=predictor,
        forward=torch.compile(predictor) if config.train.compile else predictor,
        optimizer=build_optimizer(built.adapted, config.optim, device=device),
        scaler=torch.amp.GradScaler(torch.device(device).type) if precision == "fp16" else None,
        source=source,
        transform=transform,
        train=splits["train"],
        val=splits["val"],
        task=task,
        labels=labels,
        class_weights=weights.to(device) if weights is not None else None,
        device=device,
        precision=precision,
        checkpoint_dir=checkpoint_dir,
        adapter_dir=adapter_dir,
    )


def check_cacheable(built: BuiltModel) -> None:
    """Refuse a backbone whose head cannot be trained on cached features; the model is on the CPU.

    Raises:
        BackboneError: says why.
    """
    backbone, network = built.backbone, built.adapted.network
    head = network.get_submodule(backbone.head)
    check_head(network, head, name=backbone.name, image_size=backbone.image_size, channels=backbone.channels)


def build_cached_head(built: BuiltModel) -> CachedHead:
    """The head alone, with the dropout that the network has before it; leaves the network in eval mode."""
    backbone, network = built.backbone, built.adapted.network
    head = network.get_submodule(backbone.head)
    built.adapted.set_train_mode()
    dropout = find_dropout(network, head, image_size=backbone.image_size, channels=backbone.channels)
    network.eval()
    return CachedHead(head, dropout=dropout)


def _build_predictor(config: RunConfig, built: BuiltModel) -> tuple[nn.Module, Transform]:
    """What gives logits in this run, and what it is fed through."""
    if config.train.cached_features:
        return build_cached_head(built), Unvaried()
    return built.adapted.network, build_transform(config, built.backbone, device=config.train.device)


def _check_download(backbone: Backbone, sha256: str) -> None:
    if compute_base_sha256(get_base_state(backbone)) != sha256:
        raise BackboneError(
            f"The pre-trained weights of {backbone.name!r} are not those that this run was trained on (their SHA-256 "
            "differs). Put back the version of timm in provenance.json, or train again."
        )
