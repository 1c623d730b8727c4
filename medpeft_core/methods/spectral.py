"""FourierFT and C3A: the addition to a weight is described by frequencies, or by circular convolutions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.errors import MethodError, require
from medpeft_core.methods.spec import METHODS, ModelParts
from medpeft_core.methods.targets import check_common, find_linears, layerwise_spec, targets_setting
from medpeft_core.traits import LINEAR

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class FourierFtKnobs:
    """Settings of FourierFT."""

    num_frequencies: int = setting(500, "Trained coefficients for each layer, at random places of its spectrum.")
    scale: float = setting(150.0, "The addition is multiplied by this; the paper tunes it with the learning rate.")
    places_seed: int = setting(777, "Which places of the spectrum are trained.")
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.num_frequencies >= 1, "method.num_frequencies", self.num_frequencies, "1 or more")
        require(self.scale > 0, "method.scale", self.scale, "above 0")
        require(self.places_seed >= 0, "method.places_seed", self.places_seed, "0 or more")
        check_common(self)


@dataclass(frozen=True, kw_only=True)
class C3aKnobs:
    """Settings of C3A."""

    block_size: int = setting(
        0, "Size of a circulant block; must divide the inputs and outputs of each layer. 0: the largest, up to 64."
    )
    targets: str = targets_setting()

    def __post_init__(self) -> None:
        require(self.block_size >= 0, "method.block_size", self.block_size, "0 or more")
        check_common(self)


def build_fourierft(model: "nn.Module", parts: ModelParts, knobs: FourierFtKnobs) -> "AdaptedModel":
    """W + scale times the real part of the inverse Fourier transform of a sparse spectrum (Gao et al. 2024, eq. 2-4).

    The coefficients start at zero; peft's own default starts them at random, away from the base.

    Raises:
        MethodError: no Linear layers of that name, or more frequencies than a layer has weights.
    """
    from peft import FourierFTConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, find_widths, match_exactly

    names = find_linears("FourierFT", parts, knobs.targets)
    sizes = {name: outputs * inputs for name, (outputs, inputs) in find_widths(model, names).items()}
    smallest = min(sizes, key=lambda name: sizes[name])
    if knobs.num_frequencies > sizes[smallest]:
        raise MethodError(
            f"method.num_frequencies is {knobs.num_frequencies}, but the layer {smallest!r} has {sizes[smallest]} "
            "weights. Use fewer, for example 500."
        )
    config = FourierFTConfig(
        n_frequency=knobs.num_frequencies,
        scaling=knobs.scale,
        random_loc_seed=knobs.places_seed,
        init_weights=True,
        target_modules=match_exactly(names),
    )
    return adapt_by_peft(model, config, parts, method="fourierft")


def build_c3a(model: "nn.Module", parts: ModelParts, knobs: C3aKnobs) -> "AdaptedModel":
    """W + blocks that are circulant matrices, each described by one kernel (Chen et al. 2024).

    The kernels start at zero; peft's own default starts them at random, away from the base.

    Raises:
        MethodError: no Linear layers of that name, or a block size that divides not all of them.
    """
    from peft import C3AConfig

    from medpeft_core.methods.peft_adapted import adapt_by_peft, choose_divisor, find_widths, match_exactly

    names = find_linears("C3A", parts, knobs.targets)
    sides = find_widths(model, names)
    config = C3AConfig(
        block_size=choose_divisor("method.block_size", knobs.block_size, sides, at_most=64),
        init_weights=True,
        target_modules=match_exactly(names),
    )
    return adapt_by_peft(model, config, parts, method="c3a")


METHODS.add(
    layerwise_spec(
        name="fourierft",
        title="FourierFT",
        idea="Learns a few frequencies of each weight's change, and nothing else.",
        knobs=FourierFtKnobs,
        build=build_fourierft,
        reference="Gao et al. 2024, arXiv:2405.03003",
        default_lr=1e-1,
        requires=(LINEAR,),
    )
)
METHODS.add(
    layerwise_spec(
        name="c3a",
        title="C3A",
        idea="Adds circular convolutions to each layer: high rank from few numbers.",
        knobs=C3aKnobs,
        build=build_c3a,
        reference="Chen et al. 2024, arXiv:2407.19342",
        default_lr=3e-2,
        requires=(LINEAR,),
    )
)
