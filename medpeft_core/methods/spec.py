"""What the lab must know about a fine-tuning method, what a method is told about a model, and the registry. Light."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from medpeft_core.errors import MethodError
from medpeft_core.registry import Registry
from medpeft_core.traits import ARCHITECTURES, KINDS, WORDS, Traits

if TYPE_CHECKING:
    from medpeft_core.methods.adapted import AdaptedModel

SPLIT_QKV = "split_qkv"
FAMILIES = ("baseline", "selective", "additive", "reparameterised")
# Where in a block a method does something, for the drawing on its card. "targets" is where the knob of that name says.
PLACES = (
    "everything", "targets", "patch_embed", "positions", "tokens", "norms", "qkv", "k", "v", "attention", "proj",
    "mlp", "fc2", "biases", "convs", "beside_mlp", "beside_convs", "after_layers", "head",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NoKnobs:
    """The knobs of a method that has none."""


@dataclass(frozen=True, kw_only=True)
class ModelParts:
    """Names of the modules that a method may want, found in the model by whoever built it.

    Of single layers only those that a forward pass calls are named: some models use a layer's weight without calling
    the layer, and whatever is put around it there would silently do nothing.

    Attributes:
        backbone: name of the backbone, for messages only.
        kind: "vit", "windowed_vit", "cnn" or "other".
        traits: what the model is made of, in the words of `medpeft_core.traits`.
        head: the last layer; every method trains it.
        fresh: further modules without loaded weights (`fc_norm`); methods that adapt features train them too.
        num_prefix_tokens: class and register tokens before the patch tokens.
        queries, keys, values: split projections, empty unless the method asked for `SPLIT_QKV`.
        fused_qkv: fused projections that were not split.
        linears: all Linear layers, the head, gates and split projections' parents left out.
        linears_on_maps: those of them that read feature maps (B, H, W, C).
        convs: all plain convolutions without groups, the one that reads pixels and gates left out.
        special_convs: convolutions that would be among them, but pad by the size of what they read, or standardise
            their weights: an adapter that takes them for plain ones computes something else.
        blocks: transformer blocks, in order.
        attentions: the attention modules of these.
        mlps: the MLP modules of these.
        residual_convs: of `convs`, those of blocks with several, whose centre tap a 1 x 1 convolution can join.
        spatial_convs: convolutions with a kernel above 1 inside blocks, grouped ones included.
        patch_projection: the layer that makes patches into tokens, or the convolution that reads pixels; "" for none.
        positions: names of position parameters of the model itself.
        layer_norms, batch_norms: normalisation layers with a scale, `fresh` left out; GroupNorm is among the latter.
    """

    backbone: str
    kind: str
    head: str
    traits: Traits = frozenset()
    fresh: tuple[str, ...] = ()
    num_prefix_tokens: int = 0
    queries: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    fused_qkv: tuple[str, ...] = ()
    linears: tuple[str, ...] = ()
    linears_on_maps: tuple[str, ...] = ()
    convs: tuple[str, ...] = ()
    special_convs: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    attentions: tuple[str, ...] = ()
    mlps: tuple[str, ...] = ()
    residual_convs: tuple[str, ...] = ()
    spatial_convs: tuple[str, ...] = ()
    patch_projection: str = ""
    positions: tuple[str, ...] = ()
    layer_norms: tuple[str, ...] = ()
    batch_norms: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """One fine-tuning method.

    Attributes:
        name: unique lower_snake_case name.
        title: name for people.
        family: one of `FAMILIES`.
        idea: one plain sentence.
        knobs: frozen dataclass of its settings, every field with a help text.
        build: `build(model, parts, knobs) -> AdaptedModel`; changes the model in place.
        reference: paper.
        default_lr: peak learning rate of AdamW for batches of about 32 to 256; adapters want about ten times that of
            full fine-tuning (Dutt et al. 2024, section 4).
        is_mergeable: whether it can be merged into the base, so that inference costs nothing extra.
        requires: each element is a trait that a backbone must have, or a tuple of traits of which it must have one.
        refuses: trait that a backbone must not have -> why, as the end of "does not fit ...: ".
        only_kinds: kinds of backbone that it is meant for; empty for all that have the traits.
        starts_at_base: whether the model gives the base's output until it is trained.
        places: where in a block it works, from `PLACES`.
        needs: what must be done to the model before `build`, given the knobs, for example `{SPLIT_QKV}`.
        is_made_by_peft: whether its adapter is one of the peft library, which others can load.
    """

    name: str
    title: str
    family: str
    idea: str
    knobs: type[Any]
    build: Callable[..., "AdaptedModel"]
    reference: str
    default_lr: float
    is_mergeable: bool
    requires: tuple[str | tuple[str, ...], ...] = ()
    refuses: dict[str, str] = field(default_factory=dict)
    only_kinds: tuple[str, ...] = ()
    starts_at_base: bool = True
    places: tuple[str, ...] = ()
    needs: Callable[[Any], frozenset[str]] = lambda knobs: frozenset()
    is_made_by_peft: bool = False

    @property
    def fits(self) -> tuple[str, ...]:
        """Kinds of backbone of which it fits at least some; `find_misfit` knows more."""
        fitting = {kind for kind, traits in ARCHITECTURES if self.find_misfit(kind, traits) is None}
        return tuple(kind for kind in KINDS if kind in fitting)

    def find_misfit(self, kind: str, traits: Traits) -> str | None:
        """Why it does not fit a backbone, as the end of "It does not fit ...: "; None when it fits."""
        for need in self.requires:
            choices = (need,) if isinstance(need, str) else need
            if not traits & set(choices):
                return f"it needs {' or '.join(WORDS[choice] for choice in choices)}, and this backbone has none"
        for trait, reason in self.refuses.items():
            if trait in traits:
                return reason
        if self.only_kinds and kind not in self.only_kinds:
            words = {"vit": "plain ViTs", "windowed_vit": "windowed ViTs", "cnn": "CNNs", "other": "other backbones"}
            return f"it is meant for {' and '.join(words[item] for item in self.only_kinds)}"
        return None

    def check_fit(self, backbone: str, kind: str, traits: Traits) -> None:
        """Refuse a backbone that it does not fit.

        Raises:
            MethodError: says why.
        """
        misfit = self.find_misfit(kind, traits)
        if misfit is not None:
            raise MethodError(
                f"The method {self.name!r} does not fit {backbone!r}: {misfit}. Choose another method or backbone."
            )


METHODS: Registry[MethodSpec] = Registry("method")
