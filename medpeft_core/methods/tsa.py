"""Task-specific adapters (Li et al. 2022): a 1 x 1 convolution beside each convolution of the residual blocks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.errors import require
from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts
from medpeft_core.traits import RESIDUAL_CONV

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class TsaKnobs:
    """Settings of task-specific adapters."""

    init_scale: float = setting(
        1e-4,
        "Each adapter starts as this number times the identity matrix. At 0 the model starts exactly as it was "
        "pre-trained.",
    )

    def __post_init__(self) -> None:
        require(0 <= self.init_scale <= 1, "method.init_scale", self.init_scale, "between 0 and 1")


def build_tsa(model: "nn.Module", parts: ModelParts, knobs: TsaKnobs) -> "AdaptedModel":
    """Put an adapter beside the convolutions of residual blocks: y = conv(x) + A x at the stride of the convolution.

    A is a full matrix. Stem and shortcuts get none. It starts at 1e-4 times the identity as in the paper's code, where
    other implementations start at a matrix of ones. The second part of the paper, a linear map on the features, is left
    out as in Dutt et al. 2024: a trained head takes it up. BatchNorms keep their statistics.
    """
    from medpeft_core.methods.additive import freeze_base
    from medpeft_core.methods.layers.parallel_conv import TsaModel

    freeze_base(model, parts)
    return TsaModel(model, parts.residual_convs, init_scale=knobs.init_scale)


METHODS.add(
    MethodSpec(
        name="tsa",
        title="TSA",
        family="additive",
        idea="Runs a trained 1 x 1 convolution beside each frozen convolution of the residual blocks.",
        knobs=TsaKnobs,
        build=build_tsa,
        reference="Li, Liu and Bilen 2022, arXiv:2107.00358; in the form of Dutt et al. 2024",
        default_lr=1e-3,  # below the usual 3e-3: these are dense matrices, as wide as the layers beside them
        is_mergeable=True,
        requires=(RESIDUAL_CONV,),
        starts_at_base=False,
        places=("beside_convs",),
    )
)
