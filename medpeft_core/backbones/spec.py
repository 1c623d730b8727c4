"""What the lab must know about a backbone before it is built, and the registry of the curated ones."""

from dataclasses import dataclass

from medpeft_core.registry import Registry
from medpeft_core.traits import Traits

KINDS = ("vit", "windowed_vit", "cnn")
KIND_TITLES = {"vit": "plain ViT", "windowed_vit": "windowed ViT", "cnn": "CNN", "other": "other"}


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """A timm model that the lab describes; any other timm name works too.

    Attributes:
        name: the timm name, with the tag of its pre-trained weights where the tag is the point of the entry.
        title: name for people.
        description: one or two sentences: what it is good for here.
        kind: "vit" (plain), "windowed_vit" or "cnn".
        traits: what it is made of; a test holds it against the built model.
        num_params: parameters without the head at the default size.
        image_size: side that it was made for, in pixels.
        size_multiple: the side must be a multiple of this.
        pools: the ways of pooling that it can do, its own first.
        pretrained: what its pre-trained weights saw, in a few words.
        licence: terms of the pre-trained weights.
        reference: paper.
    """

    name: str
    title: str
    description: str
    kind: str
    traits: Traits
    num_params: int
    image_size: int
    size_multiple: int
    pools: tuple[str, ...]
    pretrained: str
    licence: str
    reference: str


BACKBONES: Registry[BackboneSpec] = Registry("backbone")
