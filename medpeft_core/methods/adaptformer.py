"""AdaptFormer (Chen et al. 2022): a small trained bottleneck beside the frozen MLP of every transformer block."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medpeft_core.config import setting
from medpeft_core.errors import MethodError, require
from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts
from medpeft_core.traits import TRANSFORMER_MLP

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


@dataclass(frozen=True, kw_only=True)
class AdaptFormerKnobs:
    """Settings of AdaptFormer."""

    bottleneck: int = setting(
        64,
        "Width of the bottleneck. A wider one can learn more and trains more parameters; 6 gives the parameter counts "
        "of Dutt et al. 2024.",
    )
    scale: float = setting(0.1, "What the bottleneck's output is multiplied by before it is added.")
    dropout: float = setting(0.1, "Dropout inside the bottleneck, after its ReLU.")

    def __post_init__(self) -> None:
        require(self.bottleneck >= 1, "method.bottleneck", self.bottleneck, "1 or more")
        require(self.scale > 0, "method.scale", self.scale, "above 0")
        require(0 <= self.dropout < 1, "method.dropout", self.dropout, "0 or more and below 1")


def build_adaptformer(model: "nn.Module", parts: ModelParts, knobs: AdaptFormerKnobs) -> "AdaptedModel":
    """Put a bottleneck beside each MLP; the head and fresh modules are trained beside it.

    With x' the tokens after attention, equations 2 and 3 are

        x~ = ReLU(LN(x') W_down + b) W_up + b',    x = MLP(LN(x')) + s x~ + x'

    A pre-norm block hands LN(x') to its MLP, so wrapping the MLP is the equation. Whatever the block does to the MLP's
    output, drop path and LayerScale, it does to the sum. A post-norm block (timm's `rpn` ViTs) hands over x' itself
    and normalises the sum.

    Biases and dropout are those of the authors' code. One difference: there the bottleneck reads x' without LN, and
    drop path leaves its output alone.

    Raises:
        MethodError: the bottleneck is wider than an MLP's own hidden layer.
    """
    from medpeft_core.methods.additive import UnmergeableModel, freeze_base
    from medpeft_core.methods.insertion import Insertion
    from medpeft_core.methods.layers.adaptformer import AdaptedMlp, put_in_adapted_mlps

    hidden_layers = {name: _find_hidden_layer(model.get_submodule(name)) for name in parts.mlps}
    narrowest = min(hidden_layers, key=lambda name: hidden_layers[name].out_features)
    if knobs.bottleneck > hidden_layers[narrowest].out_features:
        raise MethodError(
            f"method.bottleneck is {knobs.bottleneck}, but the MLP {narrowest!r} itself has a hidden layer of only "
            f"{hidden_layers[narrowest].out_features}. Use at most {hidden_layers[narrowest].out_features}, better 8 "
            "to 64."
        )
    freeze_base(model, parts)
    insertion = Insertion(
        put_in=put_in_adapted_mlps,
        code=(AdaptedMlp,),
        settings={
            "widths": {name: layer.in_features for name, layer in hidden_layers.items()},
            "bottleneck": knobs.bottleneck,
            "scale": knobs.scale,
            "dropout": knobs.dropout,
        },
    )
    why = "the ReLU in its bottleneck makes the addition more than a change of weights"
    return UnmergeableModel(model, insertion, method="adaptformer", why_unmergeable=why)


def _find_hidden_layer(mlp: "nn.Module") -> "nn.Linear":
    from torch import nn

    return next(layer for layer in mlp.modules() if isinstance(layer, nn.Linear))


METHODS.add(
    MethodSpec(
        name="adaptformer",
        title="AdaptFormer",
        family="additive",
        idea="Adds a small trained bottleneck beside the frozen MLP of every transformer block.",
        knobs=AdaptFormerKnobs,
        build=build_adaptformer,
        reference="Chen et al. 2022, arXiv:2205.13535, equations 2 and 3",
        default_lr=1e-2,
        is_mergeable=False,
        requires=(TRANSFORMER_MLP,),
        places=("beside_mlp",),
    )
)
