"""VeRA, RandLoRA and VB-LoRA: most of an addition is random or shared by all layers, little is learned for each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.errors import require
from medpeft_core.methods.spec import METHODS, ModelParts
from medpeft_core.methods.targets import check_common, find_linears, layerwise_spec, targets_setting
from medpeft_core.traits import LINEAR

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class VeraKnobs:
    """Settings of VeRA."""

    rank: int = setting(64, "Rank of the random matrices that all layers share; they are not trained, so it is cheap.")
    start: float = setting(0.1, "What the trained factors on the shared directions start with.")
    dropout: float = setting(0.0, "Dropout on the input of the addition.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.start != 0, "method.start", self.start, "other than 0")
        check_common(self)


@dataclass(frozen=True, kw_only=True)
class RandLoraKnobs:
    """Settings of RandLoRA."""

    rank: int = setting(
        16, "Rank of each random basis. A smaller one means more of them, more parameters and a fuller update."
    )
    alpha: int = setting(320, "The addition is scaled by alpha / rank; twenty times the rank is peft's default.")
    dropout: float = setting(0.0, "Dropout on the input of the addition.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.alpha >= 1, "method.alpha", self.alpha, "1 or more")
        check_common(self)


@dataclass(frozen=True, kw_only=True)
class VbLoraKnobs:
    """Settings of VB-LoRA."""

    rank: int = setting(4, "Rank of the addition.")
    num_vectors: int = setting(256, "Vectors in the bank that all layers draw from.")
    vector_length: int = setting(
        0, "Length of a vector; must divide the inputs and outputs of each layer. 0: the largest that does, up to 64."
    )
    top_k: int = setting(2, "How many vectors of the bank are mixed for each part.")
    bank_lr_factor: float = setting(0.1, "Rate of the bank, as a share of the rate of what chooses from it.")
    dropout: float = setting(0.0, "Dropout on the input of the addition.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.num_vectors >= 2, "method.num_vectors", self.num_vectors, "2 or more")
        require(self.vector_length >= 0, "method.vector_length", self.vector_length, "0 or more")
        allowed = f"from 1 to method.num_vectors, which is {self.num_vectors}"
        require(1 <= self.top_k <= self.num_vectors, "method.top_k", self.top_k, allowed)
        require(self.bank_lr_factor > 0, "method.bank_lr_factor", self.bank_lr_factor, "above 0")
        check_common(self)


def build_vera(model: "nn.Module", parts: ModelParts, knobs: VeraKnobs) -> "AdaptedModel":
    """W + diag(b) B diag(d) A with A and B random, frozen and shared (Kopiczko et al. 2024, equation 2).

    Raises:
        MethodError: no Linear layers of that name.
    """
    from peft import VeraConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, match_exactly

    names = find_linears("VeRA", parts, knobs.targets)
    config = VeraConfig(
        r=knobs.rank, d_initial=knobs.start, vera_dropout=knobs.dropout, target_modules=match_exactly(names)
    )
    return adapt_by_peft(model, config, parts, method="vera")


def build_randlora(model: "nn.Module", parts: ModelParts, knobs: RandLoraKnobs) -> "AdaptedModel":
    """W + sum of B_i L_i A G_i with B_i, A random and frozen, L_i, G_i diagonal (Albert et al. 2025).

    The random bases are drawn again from their seed, on the CPU, whenever the model is built: stored, they would be
    many times as large as what is trained.

    Raises:
        MethodError: no Linear layers of that name, or a rank above what a layer can use.
    """
    from peft import RandLoraConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, check_rank, match_exactly, without_warnings

    names = find_linears("RandLoRA", parts, knobs.targets)
    check_rank(model, names, knobs.rank)
    with without_warnings():
        config = RandLoraConfig(
            r=knobs.rank,
            randlora_alpha=knobs.alpha,
            randlora_dropout=knobs.dropout,
            save_projection=False,
            target_modules=match_exactly(names),
        )
    return adapt_by_peft(model, config, parts, method="randlora")


def build_vblora(model: "nn.Module", parts: ModelParts, knobs: VbLoraKnobs) -> "AdaptedModel":
    """LoRA whose A and B are put together from vectors of one bank (Li et al. 2024).

    It starts a little beside the base: bank and choices are random, and no part of them is zero.

    Raises:
        MethodError: no Linear layers of that name, or a vector length that divides not all of them.
    """
    from peft import VBLoRAConfig

    from medpeft_core.methods.layers.vblora import VbLoraAdapted
    from medpeft_core.methods.peft_adapted import adapt_by_peft, check_rank, choose_divisor, find_widths, match_exactly

    names = find_linears("VB-LoRA", parts, knobs.targets)
    check_rank(model, names, knobs.rank)
    config = VBLoRAConfig(
        r=knobs.rank,
        num_vectors=knobs.num_vectors,
        vector_length=choose_divisor(
            "method.vector_length", knobs.vector_length, find_widths(model, names), at_most=64
        ),
        topk=knobs.top_k,
        vblora_dropout=knobs.dropout,
        target_modules=match_exactly(names),
    )
    adapted = adapt_by_peft(model, config, parts, method="vblora", adapted_type=VbLoraAdapted)
    assert isinstance(adapted, VbLoraAdapted)
    adapted.bank_lr_factor = knobs.bank_lr_factor
    return adapted


METHODS.add(
    layerwise_spec(
        name="vera",
        title="VeRA",
        idea="LoRA with random matrices that all layers share; only a factor for each direction is trained.",
        knobs=VeraKnobs,
        build=build_vera,
        reference="Kopiczko et al. 2024, arXiv:2310.11454",
        default_lr=3e-2,
        requires=(LINEAR,),
    )
)
METHODS.add(
    layerwise_spec(
        name="randlora",
        title="RandLoRA",
        idea="Mixes many random low-rank matrices with trained factors, so that the update can have full rank.",
        knobs=RandLoraKnobs,
        build=build_randlora,
        reference="Albert et al. 2025, arXiv:2502.00987",
        default_lr=1e-3,
        requires=(LINEAR,),
    )
)
METHODS.add(
    layerwise_spec(
        name="vblora",
        title="VB-LoRA",
        idea="Builds the LoRA matrices of all layers from one bank of vectors that they share.",
        knobs=VbLoraKnobs,
        build=build_vblora,
        reference="Li et al. 2024, arXiv:2405.15179",
        default_lr=3e-2,
        requires=(LINEAR,),
        starts_at_base=False,
    )
)
