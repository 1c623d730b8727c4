"""Which layers get an adapter: the `targets` knob that all methods on single layers share. Light."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from medpeft_core.config import setting
from medpeft_core.errors import MethodError, require
from medpeft_core.methods.spec import SPLIT_QKV, MethodSpec, ModelParts

if TYPE_CHECKING:
    from medpeft_core.methods.adapted import AdaptedModel

AUTO, ALL, QKV = "auto", "all", "qkv"
ROLES = ("q", "k", "v")  # separate projections
SUGGESTED = (AUTO, "q,v", QKV, ALL)
MAX_LISTED = 8
SPECIAL_CONV = (
    "it is no plain convolution (it pads by the size of its input, or standardises its weights), and peft would "
    "compute something else"
)


def targets_setting() -> Any:
    """The knob: a word of `SUGGESTED`, or names of layers."""
    return setting(
        AUTO,
        "Layers that get an addition. auto: q and v of every attention layer, as in the papers; where there is none, "
        "or its projection is no layer of its own, every layer that the method can adapt. q,v, qkv or all; or the ends "
        "of layers' names, for example attn.proj,mlp.fc1.",
        suggestions=SUGGESTED,
    )


def check_common(knobs: Any) -> None:
    """Check what methods on single layers have in common: `targets`, and `rank` and `dropout` where they have them.

    Whether the layers are there, and are wide enough, is found out on the model.

    Raises:
        ConfigError: says which is out of its range.
    """
    targets, rank, dropout = knobs.targets, getattr(knobs, "rank", 1), getattr(knobs, "dropout", 0.0)
    require(rank >= 1, "method.rank", rank, "1 or more")
    require(0 <= dropout < 1, "method.dropout", dropout, "0 or more and below 1")
    require(
        bool(split_words(targets)), "method.targets", repr(targets), "auto, q,v, qkv, all, or the ends of layers' names"
    )


def split_words(targets: str) -> tuple[str, ...]:
    """The parts of a `targets` text."""
    return tuple(word.strip() for word in targets.split(",") if word.strip())


def wants_split_qkv(targets: str) -> frozenset[str]:
    """What must be done to the model for these targets: separate projections for q, k and v."""
    words = split_words(targets)
    return frozenset({SPLIT_QKV}) if words == (AUTO,) or any(word in ROLES for word in words) else frozenset()


def layerwise_spec(
    *,
    name: str,
    title: str,
    idea: str,
    knobs: type[Any],
    build: Callable[..., "AdaptedModel"],
    reference: str,
    default_lr: float,
    requires: tuple[str | tuple[str, ...], ...],
    starts_at_base: bool = True,
) -> MethodSpec:
    """The spec of a method of peft that changes the layers of its `targets` knob, and can be merged into them."""
    return MethodSpec(
        name=name,
        title=title,
        family="reparameterised",
        idea=idea,
        knobs=knobs,
        build=build,
        reference=reference,
        default_lr=default_lr,
        is_mergeable=True,
        requires=requires,
        starts_at_base=starts_at_base,
        places=("targets",),
        needs=lambda chosen: wants_split_qkv(chosen.targets),
        is_made_by_peft=True,
    )


def find_targets(
    title: str, parts: ModelParts, targets: str, *, adaptable: Iterable[str], refused: dict[str, str] | None = None
) -> tuple[str, ...]:
    """Names of the layers that a method is put on.

    Args:
        title: of the method, for messages.
        parts: the model's parts; where `wants_split_qkv` says so, its fused projections have been split.
        targets: the knob.
        adaptable: every layer that the method can adapt, in the order of the model.
        refused: other layers, by name, with the reason why the method cannot adapt them.

    Raises:
        MethodError: a part of `targets` matches nothing, or a layer that the method cannot adapt.
    """
    known, refused = tuple(dict.fromkeys(adaptable)), refused or {}
    words = split_words(targets)
    if words == (AUTO,):
        words = ("q", "v") if parts.queries else (ALL,)
    found: list[str] = []
    for word in words:
        matched = _match(word, parts, known)
        barred = [name for name in refused if _ends_with(name, word)]
        if barred and not matched:
            raise MethodError(f"{title} cannot adapt {barred[0]!r} of {parts.backbone!r}: {refused[barred[0]]}.")
        if not matched:
            raise MethodError(
                f"{title} found nothing to adapt in {parts.backbone!r}: method.targets {word!r} matched 0 of its "
                f"{len(known)} layers. {_tell_layers(parts, known)}"
            )
        found += matched
    order = {name: index for index, name in enumerate(known)}
    return tuple(sorted(dict.fromkeys(found), key=lambda name: order.get(name, -1)))


def find_linears(title: str, parts: ModelParts, targets: str) -> tuple[str, ...]:
    """`find_targets` for a method that adapts Linear layers only."""
    convs = (*parts.convs, *parts.special_convs)
    refused = dict.fromkeys(convs, "it adapts Linear layers only, and this is a convolution")
    return find_targets(title, parts, targets, adaptable=parts.linears, refused=refused)


def find_layers(title: str, parts: ModelParts, targets: str) -> tuple[str, ...]:
    """`find_targets` for a method that adapts Linear layers and plain convolutions without groups."""
    refused = dict.fromkeys(parts.special_convs, SPECIAL_CONV)
    return find_targets(title, parts, targets, adaptable=(*parts.linears, *parts.convs), refused=refused)


def _match(word: str, parts: ModelParts, known: tuple[str, ...]) -> list[str]:
    by_role = {"q": parts.queries, "k": parts.keys, "v": parts.values}
    if word in by_role:
        return [name for name in by_role[word] if name in known]
    if word == ALL:
        return list(known)
    if word == QKV and parts.queries:  # split for another part of the same text
        return [name for role in ROLES for name in by_role[role] if name in known]
    return [name for name in known if _ends_with(name, word)]


def _ends_with(name: str, word: str) -> bool:
    return name == word or name.endswith(f".{word}")


def _tell_layers(parts: ModelParts, known: tuple[str, ...]) -> str:
    if not known:
        return "Choose another method or backbone."
    endings = Counter(_find_ending(name) for name in known)
    listed = ", ".join(repr(ending) for ending, _ in endings.most_common(MAX_LISTED))
    roles = "q,v, " if parts.queries or parts.fused_qkv else ""
    return f"Layers there end in {listed}. Use --targets {roles}all, or put one of these in it."


def _find_ending(name: str) -> str:
    """The last word of a layer's name, with the one before it where it is but a number."""
    words = name.split(".")
    return ".".join(words[-2:]) if words[-1].isdigit() else words[-1]
