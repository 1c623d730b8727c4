"""Finds the place of each tensor of a file by its name alone: taken, dropped for a reason, or unexpected."""

import re
from dataclasses import dataclass

from medpeft_core.backbones.key_report import KeyRow
from medpeft_core.backbones.layouts.layout import LEFTOVERS, WRAPPERS, Layout, Place, find_prefixes
from medpeft_core.backbones.layouts.needs import Needs

NORM, POOLED_NORM = "norm.", "fc_norm."
FUSED, APART = ".attn.qkv.weight", tuple(f".attn.{letter}_proj.weight" for letter in "qkv")
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Taken:
    """A tensor of the file that has a place in the model."""

    source: str
    place: Place


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Where the tensors of a file go.

    Attributes:
        prefix: what was cut off their names.
        taken: the sources of each target, in the file's order.
        left: rows of the tensors that go nowhere: dropped or unexpected.
    """

    prefix: str
    taken: dict[str, list[Taken]]
    left: list[KeyRow]


def place_tensors(shapes: Shapes, layout: Layout, needs: Needs) -> Placing:
    """Place every tensor of a file.

    Args:
        shapes: of the tensors in the file.
    """
    prefix = _choose_prefix(shapes, layout, needs)
    taken: dict[str, list[Taken]] = {}
    left = []
    rests = [name.removeprefix(prefix) for name in shapes if name.startswith(prefix)]
    has_pooled_norm = any(layout.place(rest).target.startswith(POOLED_NORM) for rest in rests)
    for name, shape in shapes.items():
        places, reason = _find_places(name, prefix, layout, needs, has_pooled_norm=has_pooled_norm)
        for place in places:
            taken.setdefault(place.target, []).append(Taken(name, place))
        if not places:
            fate = "dropped" if reason else "unexpected"
            left.append(KeyRow(source=name, target="", found=shape, needed=None, fate=fate, note=reason))
    return Placing(prefix=prefix, taken=taken, left=left)


def _choose_prefix(shapes: Shapes, layout: Layout, needs: Needs) -> str:
    """The prefix behind which most names are those of the model; of equals the first, which is the shortest."""

    def count_hits(prefix: str) -> int:
        rests = (name[len(prefix) :] for name in shapes if name.startswith(prefix))
        return sum(_locate(rest, layout, needs).target in needs.shapes for rest in rests)

    return max(find_prefixes(shapes), key=count_hits)


def _locate(rest: str, layout: Layout, needs: Needs) -> Place:
    place = layout.place(rest)
    for theirs, ours in layout.aliases:
        other = place.target.replace(theirs, ours)
        if place.target not in needs.shapes and other in needs.shapes:
            return Place(other, place.part)
    return place


def _find_places(
    name: str, prefix: str, layout: Layout, needs: Needs, *, has_pooled_norm: bool
) -> tuple[list[Place], str]:
    """The places of one tensor, or the reason why it is left out; neither where it is unexpected."""
    if not name.startswith(prefix):
        return [], _find_reason_outside(name, prefix, layout)
    place = _locate(name[len(prefix) :], layout, needs)
    pooled = place.target.startswith(NORM) and layout.norm_is_for_pooling and not has_pooled_norm
    other = Place(POOLED_NORM + place.target.removeprefix(NORM))
    wanted = [place, other] if pooled else _split_fused(place, needs)
    places = [item for item in wanted if item.target in needs.shapes]
    return places, "" if places else _find_reason(name[len(prefix) :], place.target, layout, needs)


def _split_fused(place: Place, needs: Needs) -> list[Place]:
    """One fused weight as three where the model keeps queries, keys and values apart."""
    if place.target in needs.shapes or not place.target.endswith(FUSED):
        return [place]
    block = place.target.removesuffix(FUSED)
    return [Place(block + ending, third=index) for index, ending in enumerate(APART)]


def _find_reason(rest: str, target: str, layout: Layout, needs: Needs) -> str:
    if target.startswith(NORM) and needs.pools_mean:
        return "the norm before pooling; the mean of the patches has its own"
    if target.startswith(POOLED_NORM) and "norm.weight" in needs.shapes:
        return "the norm of mean pooling; this model pools the class token"
    if target.startswith(tuple(f"{classifier}." for classifier in needs.classifiers)):
        return "a classifier of other classes"
    return _match((*layout.dropped, *LEFTOVERS), rest)


def _find_reason_outside(name: str, prefix: str, layout: Layout) -> str:
    if "teacher." in prefix and name.startswith(prefix.replace("teacher.", "student.")):
        return "the student; the teacher is taken, as the papers evaluate it"
    steps = name.split(".")
    while len(steps) > 1 and steps[0] in WRAPPERS:
        steps.pop(0)
    return _match((*layout.dropped, *LEFTOVERS), ".".join(steps))


def _match(patterns: tuple[tuple[str, str], ...], text: str) -> str:
    return next((reason for pattern, reason in patterns if re.match(pattern, text)), "")
