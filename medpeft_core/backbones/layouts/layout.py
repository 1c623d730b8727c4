"""What a layout says, the registry of them, and how the layout of a file is found out from its names."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from medpeft_core.registry import Registry

# Names of modules that training code wraps around a model, in any order, before the names of the model itself begin.
WRAPPERS = frozenset(
    {
        "module", "model", "_orig_mod", "backbone", "encoder", "teacher", "student", "net", "network", "trunk",
        "visual", "vit", "dinov2", "dinov2_with_registers", "image_encoder", "img_encoder", "vision_encoder",
        "feature_extractor",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a tensor of a file belongs.

    Attributes:
        target: timm's name.
        part: its number where several tensors of the file are joined, in this order, into one; None where it is alone.
        third: which third of its rows is meant, where the model keeps queries, keys and values apart; None for all.
    """

    target: str
    part: int | None = None
    third: int | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way of naming the tensors of a vision model.

    Attributes:
        name: unique lower_snake_case name.
        title: name for people.
        marks: sets of patterns; names that match all patterns of one set show this layout. Empty: all others failed.
        place: from a name in the file, without prefix, to its place.
        parts: how many tensors are joined under a target; 1 for those that are not named.
        aliases: texts in a target and what stands there in models of timm that are built otherwise.
        dropped: patterns of names that a classifier has no use for, each with the reason.
        norm_is_for_pooling: whether the last norm also begins the norm after mean pooling, as its authors do.
        source: the code that writes such files.
    """

    name: str
    title: str
    marks: tuple[tuple[str, ...], ...] = ()
    place: Callable[[str], Place] = Place
    parts: Callable[[str], int] = lambda _: 1
    aliases: tuple[tuple[str, str], ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    norm_is_for_pooling: bool = False
    source: str


LAYOUTS: Registry[Layout] = Registry("layout")

# what training leaves beside an encoder, whatever the layout; the patterns begin where the prefix ends
LEFTOVERS: tuple[tuple[str, str], ...] = (
    (r"(head|head_dist|classifier|fc|pre_logits|pooler)\.", "a classifier of other classes"),
    (r"(dino_head|ibot_head|projector|projection_head|predictor)\.", "a head that pre-training alone needs"),
    (r"(dino_loss|ibot_patch_loss|koleo_loss|loss_fn|criterion)\.", "belongs to the loss of pre-training"),
    (r"(.*\.)?(attn_mask|relative_position_index|relative_coords_table)$", "computed, not learned"),
    (r"n_averaged$", "counts how many states were averaged"),
)


def find_prefixes(names: Iterable[str]) -> list[str]:
    """Every beginning of a name that is made of wrappers alone, the empty one first, then by length."""
    found = {""}
    for name in names:
        steps = name.split(".")
        for count in range(1, len(steps)):
            if steps[count - 1] not in WRAPPERS:
                break
            found.add(".".join(steps[:count]) + ".")
    # a teacher before a student of the same length, as the papers evaluate it
    return sorted(found, key=lambda prefix: (len(prefix), "student." in prefix))


def detect_layout(names: Iterable[str]) -> str:
    """The name of the layout whose marks are among these names; "timm" where none is."""
    listed = list(names)
    for layout in LAYOUTS:
        if any(all(any(re.search(pattern, name) for name in listed) for pattern in mark) for mark in layout.marks):
            return layout.name
    return "timm"
