"""What a built model tells before its run is launched: sizes, memory, and what its method costs at inference. Heavy."""

from dataclasses import dataclass
from typing import Any

from medpeft_core.config import RunConfig
from medpeft_core.methods import METHODS
from medpeft_core.training.bare_backbones import (
    BareBackbones,
    build_backbone_key,
    count_flops,
    describe_backbone,
)
from medpeft_core.training.build import apply_method, check_cacheable
from medpeft_core.training.feature_forecast import weigh_head_alone
from medpeft_core.training.memory import ModelNeeds, measure_needs

MOSTLY_FROZEN = 0.5  # share of trained parameters below which random weights are a warning


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What a built model told.

    Attributes:
        section: the fields of the config's backbone section that it decides.
        extra_compute: what the method adds to a forward pass, as a share of the backbone's own multiply-adds; None
            where merging it leaves nothing.
    """

    section: dict[str, Any]
    num_params: int
    num_trainable_params: int
    needs: ModelNeeds
    extra_compute: float | None = None


def describe_model(bare: BareBackbones, config: RunConfig, num_classes: int) -> ModelFacts:
    """Build, count and weigh the model of a config, which names its precision.

    Raises:
        BackboneError: it cannot be built so, or its head cannot be trained on cached features, which the config wants.
        MethodError: the method does not fit it.
    """
    backbone = bare.get(config, num_classes)
    is_mergeable = METHODS[config.method.name].is_mergeable
    own_flops = None if is_mergeable else bare.count_flops(config, num_classes, backbone)
    built = apply_method(backbone, config)
    needs = measure_needs(built, precision=config.train.precision)
    if config.train.cached_features:
        check_cacheable(built)
        needs = weigh_head_alone(needs, built)
    flops = None
    if own_flops is not None:
        flops = count_flops(built.adapted.network, backbone.image_size, channels=backbone.channels)
    return ModelFacts(
        section=describe_backbone(backbone, config),
        num_params=built.adapted.num_params(),
        num_trainable_params=built.adapted.num_trainable_params(),
        needs=needs,
        extra_compute=flops / own_flops - 1 if flops is not None and own_flops else None,
    )


def build_key(config: RunConfig, num_classes: int) -> tuple[Any, ...]:
    """All that decides how large a model is, and whether it can be built."""
    knobs = tuple(sorted((name, repr(value)) for name, value in config.method.knobs.items()))
    train = (config.train.precision, config.train.cached_features)
    return (*build_backbone_key(config, num_classes), config.method.name, knobs, *train)


def warn_of_weights(config: RunConfig, facts: ModelFacts) -> list[str]:
    """A sentence when most of the model stays as it is although it has learned nothing yet."""
    if config.backbone.weights != "random" or facts.num_trainable_params >= MOSTLY_FROZEN * facts.num_params:
        return []
    return [
        f"{config.backbone.name!r} starts from random weights, which have learned nothing, and {config.method.name!r} "
        "leaves most of them as they are: it can only adapt what is there. Expect weak results. Choose pretrained "
        "weights or a weights file, or train all weights."
    ]
