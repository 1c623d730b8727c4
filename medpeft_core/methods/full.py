"""Full fine-tuning: every parameter is trained. The baseline that parameter-efficient methods are measured against."""

from typing import TYPE_CHECKING

from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts, NoKnobs

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


def build_full(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """Make every parameter of `model` trainable."""
    from medpeft_core.methods.adapted import PlainAdaptedModel

    model.requires_grad_(True)
    return PlainAdaptedModel(model, method="full")


METHODS.add(
    MethodSpec(
        name="full",
        title="Full fine-tuning",
        family="baseline",
        idea="Trains every weight of the backbone together with the head.",
        knobs=NoKnobs,
        build=build_full,
        reference="the baseline of Lian et al. 2024 and Dutt et al. 2024",
        default_lr=3e-4,
        is_mergeable=True,
        places=("everything",),
    )
)
