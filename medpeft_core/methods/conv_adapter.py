"""Conv-Adapter (Chen et al. 2024): a small trained depthwise bottleneck beside frozen convolutions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.errors import MethodError, require
from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts
from medpeft_core.traits import SPATIAL_CONV

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class ConvAdapterKnobs:
    """Settings of Conv-Adapter."""

    reduction: int = setting(
        4,
        "How many times narrower than its input a bottleneck is. A higher reduction trains fewer parameters and can "
        "learn less.",
    )

    def __post_init__(self) -> None:
        require(self.reduction >= 1, "method.reduction", self.reduction, "1 or more")


def build_conv_adapter(model: "nn.Module", parts: ModelParts, knobs: ConvAdapterKnobs) -> "AdaptedModel":
    """Put a bottleneck beside each convolution with a kernel above 1; the head and fresh modules are trained beside it.

    The paper's scheme Convolution Parallel, with x the convolution's input:

        y = conv(x) + alpha * W_up(ReLU(W_down(x)))

    W_down has the convolution's kernel, stride, padding and dilation. It gives `C_in // reduction` channels, or the
    next smaller number that divides C_in, each from channels of its own (groups). W_up is 1 x 1, alpha one number for
    each channel. Convolutions of kinds that pad in ways of their own are left out.

    What is chosen here and differs in the authors' code: it takes the activation of the backbone (ReLU in a ResNet,
    GELU in a ConvNeXt), starts W_up at random, so not at the base, and in a ResNet adds after the norm and the
    activation that follow the convolution. In a ConvNeXt it adds where this does.

    Raises:
        MethodError: the reduction leaves no channel, or no convolution is of a known kind.
    """
    from torch import nn

    from medpeft_core.methods.additive import UnmergeableModel, freeze_base
    from medpeft_core.methods.insertion import Insertion
    from medpeft_core.methods.layers.conv_adapter import (
        AdaptedConv,
        build_like,
        can_adapt,
        choose_width,
        put_in_adapted_convs,
    )

    hosts: dict[str, nn.Conv2d] = {}
    for name in parts.spatial_convs:
        conv = model.get_submodule(name)
        if isinstance(conv, nn.Conv2d) and can_adapt(conv):
            hosts[name] = conv
    if not hosts:
        first = parts.spatial_convs[0]
        raise MethodError(
            f"Conv-Adapter cannot adapt {parts.backbone!r}: its convolutions with a kernel above 1, such as {first!r}, "
            f"are of the kind {type(model.get_submodule(first)).__name__}, and how that pads is not known. Choose "
            "another method or backbone."
        )
    narrowest = min(hosts, key=lambda name: hosts[name].in_channels)
    if knobs.reduction > hosts[narrowest].in_channels:
        raise MethodError(
            f"method.reduction is {knobs.reduction}, but the convolution {narrowest!r} reads only "
            f"{hosts[narrowest].in_channels} channels. Use at most {hosts[narrowest].in_channels}, better 2 to 8."
        )
    freeze_base(model, parts)
    widths = {name: choose_width(conv.in_channels, knobs.reduction) for name, conv in hosts.items()}
    insertion = Insertion(put_in=put_in_adapted_convs, code=(build_like, AdaptedConv), settings={"widths": widths})
    why = "the ReLU in its bottleneck makes the addition more than a change of weights"
    return UnmergeableModel(model, insertion, method="conv_adapter", why_unmergeable=why)


METHODS.add(
    MethodSpec(
        name="conv_adapter",
        title="Conv-Adapter",
        family="additive",
        idea="Adds a small trained depthwise bottleneck beside every frozen convolution with a kernel above 1.",
        knobs=ConvAdapterKnobs,
        build=build_conv_adapter,
        reference="Chen et al. 2024, arXiv:2208.07463, scheme Convolution Parallel",
        default_lr=3e-3,
        is_mergeable=False,
        requires=(SPATIAL_CONV,),
        places=("beside_convs",),
    )
)
