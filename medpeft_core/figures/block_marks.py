"""Which parts of a block a method trains, and which get something beside them: what its drawing shows, and the words.

Light, and about names alone: a method's family and places, and what a backbone is made of.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from medpeft_core.traits import ATTENTION, BATCH_NORM, CALLED_QKV, LINEAR, Traits

TRANSFORMER, MIXER, CNN, CONV_MLP = "transformer", "mixer", "cnn", "conv_mlp"
# The parts that a drawing has, by layout. A name stands for all parts of its kind: both norms, both convolutions.
PARTS = {
    TRANSFORMER: ("patch_embed", "positions", "norms", "q", "k", "v", "proj", "fc1", "fc2", "head"),
    MIXER: ("patch_embed", "norms", "mixing", "fc1", "fc2", "head"),
    CNN: ("patch_embed", "convs", "norms", "head"),
    CONV_MLP: ("patch_embed", "convs", "norms", "fc1", "fc2", "head"),
}
# What `targets = all` takes of them.
LAYERS = {
    TRANSFORMER: ("q", "k", "v", "proj", "fc1", "fc2"),
    MIXER: ("mixing", "fc1", "fc2"),
    CNN: ("convs",),
    CONV_MLP: ("fc1", "fc2"),  # its convolution is depthwise, which no method of layers adapts
}
GROUPS = {"qkv": ("q", "k", "v"), "attention": ("q", "k", "v", "proj"), "mlp": ("fc1", "fc2")}
IN_PLACE_FAMILIES = ("baseline", "selective")
ALWAYS_IN_PLACE = ("patch_embed", "positions", "norms", "head")
BESIDE = {"beside_mlp": "mlp", "beside_convs": "convs"}


@dataclass(frozen=True, kw_only=True)
class BlockMarks:
    """What a method does to each part of a block.

    Attributes:
        layout: a key of `PARTS`.
        trained: parts whose own weights are trained.
        branched: parts that stay frozen and get a trained change.
        biased: parts of which the bias alone is trained.
        scaled: parts that a trained scale and shift follow.
        has_prompts: whether trained tokens are added.
        has_mlp_adapter, has_conv_adapters: whether a trained branch runs beside the MLP, or beside the convolutions.
        has_named_layers: whether layers are adapted that the drawing has no part for.
    """

    layout: str
    trained: frozenset[str]
    branched: frozenset[str] = frozenset()
    biased: frozenset[str] = frozenset()
    scaled: frozenset[str] = frozenset()
    has_prompts: bool = False
    has_mlp_adapter: bool = False
    has_conv_adapters: bool = False
    has_named_layers: bool = False


def find_marks(
    *, family: str, places: Iterable[str], kind: str, traits: Traits, targets: str | None = None
) -> BlockMarks:
    """What a method marks in the block of a backbone.

    Args:
        family: one of `methods.spec.FAMILIES`.
        places: of `methods.spec.PLACES`.
        kind: of the backbone.
        traits: of the backbone.
        targets: value of the knob of that name; None where the method has none.
    """
    layout, places = find_layout(kind, traits), set(places)
    parts = set(PARTS[layout])
    if "everything" in places:
        return BlockMarks(layout=layout, trained=frozenset(parts))
    chosen, has_named = _find_chosen(places, layout, traits, targets)
    trained = {"head", *(chosen if family in IN_PLACE_FAMILIES else chosen & set(ALWAYS_IN_PLACE))}
    return BlockMarks(
        layout=layout,
        trained=frozenset(trained),
        branched=frozenset(chosen - trained),
        biased=frozenset(_find_biased(layout, traits) - trained if "biases" in places else ()),
        scaled=frozenset(parts - {"positions", "head"} if "after_layers" in places else ()),
        has_prompts="tokens" in places,
        has_mlp_adapter="beside_mlp" in places,
        has_conv_adapters="beside_convs" in places,
        has_named_layers=has_named,
    )


def find_layout(kind: str, traits: Traits) -> str:
    """The kind of block that a backbone is built of."""
    if kind == "cnn":
        return CONV_MLP if LINEAR in traits and BATCH_NORM not in traits else CNN
    return TRANSFORMER if kind in ("vit", "windowed_vit") or ATTENTION in traits else MIXER


def describe_marks(marks: BlockMarks) -> str:
    """The drawing in words: "Trains the norm layers; every bias; and the head. All else stays frozen."."""
    if marks.trained == frozenset(PARTS[marks.layout]):
        return "Trains every weight of the model, the head included."
    branched = _name_parts(marks.branched, marks.layout)
    items = [
        *_name_parts(marks.trained - {"head"}, marks.layout),
        *(["every bias"] if marks.biased else []),
        *([f"{_join(branched)}, by a small change beside the frozen weights"] if branched else []),
        *(["a scale and a shift after each layer"] if marks.scaled else []),
        *(["extra tokens beside those of the image"] if marks.has_prompts else []),
        *(["a small adapter beside each MLP"] if marks.has_mlp_adapter else []),
        *(["small adapters beside the convolutions"] if marks.has_conv_adapters else []),
        *(["the layers that targets names"] if marks.has_named_layers else []),
    ]
    return f"Trains {'; '.join([*items, 'and the head' if items else 'the head alone'])}. All else stays frozen."


def _find_chosen(places: set[str], layout: str, traits: Traits, targets: str | None) -> tuple[set[str], bool]:
    """Parts that the places name, and whether layers are chosen that are none of them."""
    parts = set(PARTS[layout])
    named = {part for place in places for part in GROUPS.get(place, (place,))} & parts
    words = [word.strip() for word in (targets or "").split(",") if word.strip()]
    if targets is None or (words == ["auto"] and "targets" not in places):
        own = named - {"head"}
        return named | (set() if own or targets is None else set(LAYERS[layout])), False
    if words == ["auto"]:
        words = ["q", "v"] if CALLED_QKV in traits and layout == TRANSFORMER else ["all"]
    found = [_find_layers(word, layout) for word in words]
    own = named - set(LAYERS[layout])
    return own.union(*found), not all(found)


def _find_layers(word: str, layout: str) -> set[str]:
    """The parts of a block that a word of `targets` means: a role, "all", or the end of layers' names."""
    if word == "all":
        return set(LAYERS[layout])
    last = word.rpartition(".")[2]
    if last.startswith("conv"):
        last = "convs"
    return set(GROUPS.get(last, (last,))) & set(PARTS[layout]) - {"head", "norms"}


def _find_biased(layout: str, traits: Traits) -> set[str]:
    """Parts with a bias; a convolution has none where a BatchNorm follows, whose shift would undo it."""
    without = {"positions", "head", *(("convs", "patch_embed") if BATCH_NORM in traits and layout == CNN else ())}
    return set(PARTS[layout]) - without


def _name_parts(parts: frozenset[str], layout: str) -> list[str]:
    """Parts in words, in the order of the drawing."""
    attention, mlp = [part for part in GROUPS["attention"] if part in parts], {"fc1", "fc2"} & parts
    whole = len(attention) == len(GROUPS["attention"])
    names = {
        "patch_embed": "the patch embedding" if layout in (TRANSFORMER, MIXER) else "the first convolution",
        "positions": "the positions",
        "convs": "the convolutions",
        "norms": "the norm layers",
        "mixing": "the mixing of tokens",
    }
    found = [name for part, name in names.items() if part in parts]
    if attention:
        found.append("the whole attention" if whole else f"{_join(attention)} of the attention")
    if mlp:
        found.append("the MLP" if len(mlp) == 2 else f"{mlp.pop()} of the MLP")
    return found


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
