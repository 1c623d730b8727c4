"""What the lab must know about a fine-tuning method, what a method is told about a model, and the registry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medpeft_core.registry import Registry

if TYPE_CHECKING:
    from medpeft_core.methods.adapted import AdaptedModel

SPLIT_QKV = "split_qkv"


@dataclass(frozen=True, kw_only=True)
class NoKnobs:
    """The knobs of a method that has none."""


@dataclass(frozen=True, kw_only=True)
class ModelParts:
    """Names of the modules that a method may want, found in the model by whoever built it.

    Attributes:
        backbone: name of the backbone, for messages only.
        kind: "vit", "windowed_vit", "cnn" or "other".
        head: the last layer; every method trains it.
        fresh: further modules without loaded weights (`fc_norm`); methods that adapt features train them too.
        queries, keys, values: split projections, empty unless the method asked for `SPLIT_QKV`.
        fused_qkv: fused projections that were not split.
        linears: all Linear layers inside blocks, the head and split projections' parents left out.
        convs: all convolutions without groups.
    """

    backbone: str
    kind: str
    head: str
    fresh: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    fused_qkv: tuple[str, ...] = ()
    linears: tuple[str, ...] = ()
    convs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """One fine-tuning method.

    Attributes:
        name: unique lower_snake_case name.
        title: name for people.
        family: "baseline", "selective", "additive" or "reparameterised".
        idea: one plain sentence.
        fits: kinds of backbone that it can be used on.
        knobs: frozen dataclass of its settings, every field with a help text.
        build: `build(model, parts, knobs) -> AdaptedModel`; changes the model in place.
        reference: paper.
        default_lr: peak learning rate of AdamW for batches of about 32 to 256; adapters want about ten times that of
            full fine-tuning (Dutt et al. 2024, section 4).
        is_mergeable: whether it can be merged into the base, so that inference costs nothing extra.
        needs: what must be done to the model before `build`, given the knobs, for example `{SPLIT_QKV}`.
    """

    name: str
    title: str
    family: str
    idea: str
    fits: tuple[str, ...]
    knobs: type[Any]
    build: Callable[..., "AdaptedModel"]
    reference: str
    default_lr: float
    is_mergeable: bool
    needs: Callable[[Any], frozenset[str]] = lambda knobs: frozenset()


METHODS: Registry[MethodSpec] = Registry("method")
