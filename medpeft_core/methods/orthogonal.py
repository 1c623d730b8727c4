"""OFT, BOFT and HRA: each weight is rotated instead of added to, which keeps the angles between its neurons."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.errors import require
from medpeft_core.methods.spec import METHODS, ModelParts
from medpeft_core.methods.targets import (
    SPECIAL_CONV,
    check_common,
    find_layers,
    find_targets,
    layerwise_spec,
    targets_setting,
)
from medpeft_core.traits import CONV, LINEAR, LINEAR_ON_TOKENS, POINTWISE_CONV

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel

WRONG_KERNEL = (
    "peft's OFT is wrong on kernels above 1 (it changes the model's output before any training, and merges to "
    "something else), so only Linear layers and 1 x 1 convolutions can be rotated"
)
WRONG_INPUT = "peft's OFT cannot read feature maps of four dimensions in a Linear layer"


@dataclass(frozen=True, kw_only=True)
class OftKnobs:
    """Settings of OFT."""

    block_size: int = setting(
        0, "Inputs that are rotated together; must divide the inputs of each layer. 0: the largest that does, up to 32."
    )
    dropout: float = setting(0.0, "Share of the blocks that stay unrotated in a training step.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.block_size >= 0, "method.block_size", self.block_size, "0 or more")
        check_common(self)


@dataclass(frozen=True, kw_only=True)
class BoftKnobs:
    """Settings of BOFT."""

    block_size: int = setting(4, "Inputs that are rotated together in each factor; must divide those of each layer.")
    dropout: float = setting(0.0, "Share of the blocks that stay unrotated in a training step.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.block_size >= 2, "method.block_size", self.block_size, "2 or more")
        check_common(self)


@dataclass(frozen=True, kw_only=True)
class HraKnobs:
    """Settings of HRA."""

    rank: int = setting(8, "Number of reflections, which must be even: they start in pairs that undo each other.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.rank >= 2 and self.rank % 2 == 0, "method.rank", self.rank, "even, 2 or more")
        check_common(self)


def build_oft(model: "nn.Module", parts: ModelParts, knobs: OftKnobs) -> "AdaptedModel":
    """W R with R orthogonal in blocks, by the Cayley transform (Qiu et al. 2023, section 3; approximated by peft).

    Raises:
        MethodError: a layer that peft would adapt wrongly, or a block size that divides not all layers.
    """
    from peft import OFTConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, choose_divisor, find_widths, match_exactly

    pointwise = tuple(name for name in parts.convs if model.get_submodule(name).kernel_size == (1, 1))
    refused = {name: WRONG_KERNEL for name in (*parts.convs, *parts.spatial_convs) if name not in pointwise}
    refused |= dict.fromkeys(parts.linears_on_maps, WRONG_INPUT) | dict.fromkeys(parts.special_convs, SPECIAL_CONV)
    adaptable = [name for name in (*parts.linears, *pointwise) if name not in refused]
    names = find_targets("OFT", parts, knobs.targets, adaptable=adaptable, refused=refused)
    sides = {name: (inputs,) for name, (_, inputs) in find_widths(model, names).items()}
    config = OFTConfig(
        oft_block_size=choose_divisor("method.block_size", knobs.block_size, sides, at_most=32),
        module_dropout=knobs.dropout,
        target_modules=match_exactly(names),
    )
    return adapt_by_peft(model, config, parts, method="oft")


def build_boft(model: "nn.Module", parts: ModelParts, knobs: BoftKnobs) -> "AdaptedModel":
    """W times small block rotations, and a scale for each output (Liu et al. 2024).

    One butterfly factor only: for more, peft needs an extension that it compiles where it finds a CUDA compiler, and
    falls back to one without telling, so the same run would be another one on another computer.

    Raises:
        MethodError: no such layers, or a block size that divides not all of them.
    """
    import peft.tuners.boft.layer as boft_layer
    from peft import BOFTConfig

    from medpeft_core.methods.peft_adapted import (
        ContiguousAdapted,
        adapt_by_peft,
        choose_divisor,
        find_widths,
        match_exactly,
    )

    names = find_layers("BOFT", parts, knobs.targets)
    sides = {name: (inputs,) for name, (_, inputs) in find_widths(model, names).items()}
    config = BOFTConfig(
        boft_block_size=choose_divisor("method.block_size", knobs.block_size, sides, at_most=32),
        boft_n_butterfly_factor=1,
        boft_dropout=knobs.dropout,
        target_modules=match_exactly(names),
    )
    # else peft tries for minutes, once for each layer, to compile what a single factor does not need
    boft_layer._FBD_CUDA = False
    return adapt_by_peft(model, config, parts, method="boft", adapted_type=ContiguousAdapted)


def build_hra(model: "nn.Module", parts: ModelParts, knobs: HraKnobs) -> "AdaptedModel":
    """W times a chain of Householder reflections (Yuan et al. 2024).

    Raises:
        MethodError: no such layers, or more reflections than a layer has inputs.
    """
    from peft import HRAConfig

    from medpeft_core.methods.peft_adapted import ContiguousAdapted, adapt_by_peft, check_rank, match_exactly

    names = find_layers("HRA", parts, knobs.targets)
    check_rank(model, names, knobs.rank)
    config = HRAConfig(r=knobs.rank, target_modules=match_exactly(names))
    return adapt_by_peft(model, config, parts, method="hra", adapted_type=ContiguousAdapted)


METHODS.add(
    layerwise_spec(
        name="oft",
        title="OFT",
        idea="Rotates the inputs of each layer in small blocks, so that lengths and angles stay as they were.",
        knobs=OftKnobs,
        build=build_oft,
        reference="Qiu et al. 2023, arXiv:2306.07280",
        default_lr=3e-3,
        requires=((LINEAR_ON_TOKENS, POINTWISE_CONV),),
    )
)
METHODS.add(
    layerwise_spec(
        name="boft",
        title="BOFT",
        idea="Rotates the inputs of each layer in tiny blocks, exactly, and scales each output. Slow on a CPU.",
        knobs=BoftKnobs,
        build=build_boft,
        reference="Liu et al. 2024, arXiv:2311.06243",
        default_lr=1e-2,
        requires=((LINEAR, CONV),),
    )
)
METHODS.add(
    layerwise_spec(
        name="hra",
        title="HRA",
        idea="Reflects the inputs of each layer a few times: as orthogonal as OFT, as small as LoRA. Slow on a CPU.",
        knobs=HraKnobs,
        build=build_hra,
        reference="Yuan et al. 2024, arXiv:2405.17484",
        default_lr=1e-2,
        requires=((LINEAR, CONV),),
    )
)
