"""Linear probing: the backbone stays as it is and only the head learns."""

from typing import TYPE_CHECKING

from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts, NoKnobs

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


def build_linear(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """Freeze everything but the head."""
    from medpeft_core.methods.adapted import PlainAdaptedModel

    model.requires_grad_(False)
    model.get_submodule(parts.head).requires_grad_(True)
    return PlainAdaptedModel(model, method="linear")


METHODS.add(
    MethodSpec(
        name="linear",
        title="Linear probing",
        family="baseline",
        idea="Leaves the backbone as it is and trains the last layer only.",
        knobs=NoKnobs,
        build=build_linear,
        reference="the lower baseline of Dutt et al. 2024",
        default_lr=3e-3,
        is_mergeable=True,
        places=("head",),
    )
)
