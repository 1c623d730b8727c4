"""The drawing of a method in a block: every place is drawn, in words too, and it is valid SVG."""

import re
from itertools import product
from xml.etree import ElementTree

import pytest

from medpeft_core.figures.block_marks import PARTS, find_marks
from medpeft_core.figures.method_drawing import MethodDrawing, draw_method
from medpeft_core.methods import METHODS, MethodSpec
from medpeft_core.methods.spec import PLACES
from medpeft_core.traits import ARCHITECTURES, CNN, CONVNEXT, MIXER, PLAIN_VIT, Traits

FITTING = [
    pytest.param(spec, kind, traits, id=f"{spec.name}-{kind}-{number}")
    for spec, (number, (kind, traits)) in product(METHODS, enumerate(ARCHITECTURES))
    if spec.find_misfit(kind, traits) is None
]
# What a drawing has more of than one of the head alone.
LOOKS = ("md-trained", "md-added", "md-scale")


def draw(places: tuple[str, ...], *, family="selective", architecture=PLAIN_VIT, targets=None) -> MethodDrawing:
    kind, traits = architecture
    return draw_method(family=family, places=places, kind=kind, traits=traits, targets=targets)


def count_looks(drawing: MethodDrawing) -> dict[str, int]:
    return {look: len(re.findall(f'class="{look}"', drawing.svg)) for look in LOOKS}


@pytest.mark.parametrize(("spec", "kind", "traits"), FITTING)
def test_every_method_is_drawn_on_every_architecture_that_it_fits(spec: MethodSpec, kind: str, traits: Traits) -> None:
    targets = "auto" if "targets" in spec.knobs.__dataclass_fields__ else None
    drawing = draw_method(family=spec.family, places=spec.places, kind=kind, traits=traits, targets=targets)
    root = ElementTree.fromstring(drawing.svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == drawing.alt
    _, _, width, height = map(float, root.get("viewBox", "").split())
    for item in root.iter():
        if item.tag.endswith("rect"):
            x, y, w, h = (float(item.get(name, "nan")) for name in ("x", "y", "width", "height"))
            assert min(x, y) >= 0
            assert x + w <= width
            assert y + h <= height
    looks, head_alone = count_looks(drawing), count_looks(draw(("head",), architecture=(kind, traits)))
    assert (looks == head_alone) == (spec.places == ("head",)), "what the method does is to be seen"
    assert drawing.alt.startswith("Trains")
    assert "head" in drawing.alt
    assert ("the head alone" in drawing.alt) == (spec.places == ("head",))


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("targets", "head")])
def test_every_place_is_drawn_somewhere(place: str) -> None:
    for architecture in (PLAIN_VIT, CNN):
        drawing = draw((place,), family="selective", architecture=architecture)
        if count_looks(drawing) != count_looks(draw(("head",), architecture=architecture)):
            assert drawing.alt != draw(("head",), architecture=architecture).alt
            return
    pytest.fail(f"{place} is not drawn")


def test_filled_and_dashed_differ_for_trained_and_added() -> None:
    """Trained in place is filled, a change beside frozen weights is dashed: not told by colour alone."""
    head = count_looks(draw(("head",)))
    in_place = count_looks(draw(("qkv",)))
    beside = count_looks(draw(("qkv",), family="reparameterised"))
    assert in_place == {**head, "md-trained": head["md-trained"] + 3}
    assert beside == {**head, "md-added": head["md-added"] + 3}


@pytest.mark.parametrize(
    ("targets", "architecture", "branched"),
    [
        ("auto", PLAIN_VIT, {"q", "v"}),
        ("q,v", PLAIN_VIT, {"q", "v"}),
        ("qkv", PLAIN_VIT, {"q", "k", "v"}),
        ("all", PLAIN_VIT, {"q", "k", "v", "proj", "fc1", "fc2"}),
        ("attn.proj, mlp.fc1", PLAIN_VIT, {"proj", "fc1"}),
        ("auto", CNN, {"convs"}),
        ("conv2", CNN, {"convs"}),
        ("auto", CONVNEXT, {"fc1", "fc2"}),
        ("auto", MIXER, {"mixing", "fc1", "fc2"}),
        ("<script>", PLAIN_VIT, set()),
        ("", PLAIN_VIT, set()),
    ],
)
def test_targets_decide_what_is_drawn(targets: str, architecture: tuple[str, Traits], branched: set[str]) -> None:
    kind, traits = architecture
    marks = find_marks(family="reparameterised", places=("targets",), kind=kind, traits=traits, targets=targets)
    assert marks.branched == branched
    assert marks.trained == {"head"}
    drawing = draw(("targets",), family="reparameterised", architecture=architecture, targets=targets)
    assert "script" not in drawing.svg + drawing.alt, "nobody's own text goes into the drawing"
    assert ("the layers that targets names" in drawing.alt) == (targets == "<script>")


def test_own_places_hold_until_targets_are_chosen() -> None:
    """IA3 has places of its own, and the knob too."""
    options = {"family": "reparameterised", "places": ("k", "v", "fc2"), "kind": "vit", "traits": PLAIN_VIT[1]}
    assert find_marks(**options, targets="auto").branched == {"k", "v", "fc2"}
    assert find_marks(**options, targets="proj").branched == {"proj"}
    on_cnn = {**options, "kind": "cnn", "traits": CNN[1]}
    assert find_marks(**on_cnn, targets="auto").branched == {"convs"}


def test_biases_lie_where_the_layers_have_some() -> None:
    """A convolution before a BatchNorm has no bias; one before a LayerNorm has."""
    found = {
        name: find_marks(family="selective", places=("biases",), kind=kind, traits=traits).biased
        for name, (kind, traits) in {"resnet": CNN, "convnext": CONVNEXT, "vit": PLAIN_VIT}.items()
    }
    assert found["resnet"] == {"norms"}
    assert found["convnext"] == set(PARTS["conv_mlp"]) - {"head"}
    assert found["vit"] == set(PARTS["transformer"]) - {"head", "positions"}


@pytest.mark.parametrize(
    ("places", "family", "targets", "words"),
    [
        (("everything",), "baseline", None, "Trains every weight of the model, the head included."),
        (("head",), "baseline", None, "Trains the head alone. All else stays frozen."),
        (
            ("targets",),
            "reparameterised",
            "auto",
            "Trains q and v of the attention, by a small change beside the frozen weights; and the head. "
            "All else stays frozen.",
        ),
        (
            ("biases", "norms", "attention"),
            "selective",
            None,
            "Trains the norm layers; the whole attention; every bias; and the head. All else stays frozen.",
        ),
        (
            ("tokens",),
            "additive",
            None,
            "Trains extra tokens beside those of the image; and the head. All else stays frozen.",
        ),
    ],
)
def test_drawing_in_words(places: tuple[str, ...], family: str, targets: str | None, words: str) -> None:
    assert draw(places, family=family, targets=targets).alt == words
