"""LoRA with one thing changed: its scale (rsLoRA), start (PiSSA), rates (LoRA+), or a magnitude beside it (DoRA)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.errors import require
from medpeft_core.methods.lora import LoraKnobs, build_lora_like
from medpeft_core.methods.spec import METHODS, ModelParts
from medpeft_core.methods.targets import layerwise_spec
from medpeft_core.traits import CONV, LINEAR

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class RsLoraKnobs(LoraKnobs):
    """Settings of rsLoRA."""

    alpha: float = setting(16.0, "The addition is scaled by alpha / sqrt(rank), so that high ranks learn as fast.")


@dataclass(frozen=True, kw_only=True)
class PissaKnobs(LoraKnobs):
    """Settings of PiSSA."""

    alpha: float = setting(8.0, "The addition is scaled by alpha / rank; the paper keeps alpha equal to the rank.")
    dropout: float = setting(0.0, "Dropout on the input of the addition. It would drop a part of the base here.")
    iterations: int = setting(
        0, "0: exact singular values. Otherwise rounds of a quick approximation (fast SVD), for wide backbones."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.iterations <= 64, "method.iterations", self.iterations, "from 0 to 64")


@dataclass(frozen=True, kw_only=True)
class LoraPlusKnobs(LoraKnobs):
    """Settings of LoRA+."""

    lr_ratio: float = setting(
        16.0, "A learns at the run's rate divided by this; B, the head and the rest at the whole rate."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.lr_ratio >= 1, "method.lr_ratio", self.lr_ratio, "1 or more")


def build_rslora(model: "nn.Module", parts: ModelParts, knobs: RsLoraKnobs) -> "AdaptedModel":
    """LoRA scaled by alpha / sqrt(rank) (Kalajdzievski 2023, theorem 3.2); raises as `build_lora`."""
    return build_lora_like(model, parts, knobs, method="rslora", title="rsLoRA", options={"use_rslora": True})


def build_dora(model: "nn.Module", parts: ModelParts, knobs: LoraKnobs) -> "AdaptedModel":
    """m (W + s B A) / ||W + s B A||, with a trained magnitude m for each output (Liu et al. 2024, equation 5).

    Raises:
        MethodError: as `build_lora`.
    """
    from medpeft_core.methods.peft_adapted import ContiguousAdapted

    options = {"use_dora": True}
    return build_lora_like(
        model, parts, knobs, method="dora", title="DoRA", options=options, adapted_type=ContiguousAdapted
    )


def build_pissa(model: "nn.Module", parts: ModelParts, knobs: PissaKnobs) -> "AdaptedModel":
    """LoRA that starts from the largest singular values of W, which the frozen layer then lacks (Meng et al. 2024).

    The frozen remainder is kept exact through saving and loading: what was taken out of W is stored beside the adapter.

    Raises:
        MethodError: as `build_lora`; convolutions cannot be taken apart.
    """
    from medpeft_core.methods.layers.pissa import PissaAdapted, keep_originals

    originals = keep_originals(model, parts)
    start = f"pissa_niter_{knobs.iterations}" if knobs.iterations else "pissa"
    adapted = build_lora_like(
        model,
        parts,
        knobs,
        method="pissa",
        title="PiSSA",
        options={"init_lora_weights": start},
        adapted_type=PissaAdapted,
        can_adapt_convs=False,
    )
    assert isinstance(adapted, PissaAdapted)
    adapted.remember_start(originals)
    return adapted


def build_lora_plus(model: "nn.Module", parts: ModelParts, knobs: LoraPlusKnobs) -> "AdaptedModel":
    """LoRA whose B learns `lr_ratio` times as fast as its A (Hayou et al. 2024); raises as `build_lora`.

    The paper's rate is that of A. Here the run's rate is that of B, so that it means the same as under LoRA, and the
    head, which the paper does not speak of, keeps up.
    """
    from medpeft_core.methods.layers.lora_plus import LoraPlusAdapted

    adapted = build_lora_like(model, parts, knobs, method="lora_plus", title="LoRA+", adapted_type=LoraPlusAdapted)
    assert isinstance(adapted, LoraPlusAdapted)
    adapted.lr_ratio = knobs.lr_ratio
    return adapted


_RSLORA = METHODS.add(
    layerwise_spec(
        name="rslora",
        title="rsLoRA",
        idea="LoRA whose addition is scaled by the root of its rank, so that high ranks learn as fast as low ones.",
        knobs=RsLoraKnobs,
        build=build_rslora,
        reference="Kalajdzievski 2023, arXiv:2312.03732",
        default_lr=1e-3,
        requires=((LINEAR, CONV),),
    )
)
METHODS.add(
    replace(
        _RSLORA,
        name="dora",
        title="DoRA",
        idea="Parts each weight into length and direction: the lengths are trained, the directions get LoRA.",
        knobs=LoraKnobs,
        build=build_dora,
        reference="Liu et al. 2024, arXiv:2402.09353",
        default_lr=3e-3,
    )
)
METHODS.add(
    replace(
        _RSLORA,
        name="pissa",
        title="PiSSA",
        idea="LoRA that takes over the strongest directions of each weight and trains these, leaving the rest frozen.",
        knobs=PissaKnobs,
        build=build_pissa,
        reference="Meng et al. 2024, arXiv:2404.02948",
        default_lr=3e-3,
        requires=(LINEAR,),
    )
)
METHODS.add(
    replace(
        _RSLORA,
        name="lora_plus",
        title="LoRA+",
        idea="LoRA whose second matrix learns faster than the first, as wide models need it.",
        knobs=LoraPlusKnobs,
        build=build_lora_plus,
        reference="Hayou et al. 2024, arXiv:2402.12354",
        default_lr=3e-3,
    )
)
