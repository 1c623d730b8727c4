"""SSF (Lian et al. 2022): scale and shift the features that a frozen layer gives, y = gamma * x + beta per channel."""

from typing import TYPE_CHECKING

from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts, NoKnobs
from medpeft_core.traits import BATCH_NORM, LAYER_NORM, LINEAR

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel


def build_ssf(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """Scale and shift after every called Linear and normalisation layer, and the patch projection of a transformer.

    On ViTs these are the places of the paper. For CNNs Dutt et al. 2024 do not say where; here it is after each
    normalisation layer (on ConvNeXt also after the Linear layers of its MLPs), so that their printed 60.6K of ResNet50
    cannot be met: this gives 53,120 and a 3-class head of 6,147. The paper's code draws gamma around 1 and beta around
    0 with a deviation of 0.02; here they start at exactly 1 and 0, so that the model starts as it was pre-trained.
    An RMSNorm has no bias that could take up a shift and gets a scale only. A convolution that standardises its weight
    (hybrid ViTs) could not take up a scale and is left out. BatchNorms keep their statistics.
    """
    from medpeft_core.methods.additive import freeze_base
    from medpeft_core.methods.layers.scale_shift import SsfModel, can_take_up

    freeze_base(model, parts)
    projection = (parts.patch_projection,) if parts.kind != "cnn" and parts.patch_projection else ()
    layers = [name for name in (*projection, *parts.linears) if can_take_up(model.get_submodule(name))]
    names = dict.fromkeys((*layers, *parts.layer_norms, *parts.batch_norms))
    return SsfModel(model, tuple(names))


METHODS.add(
    MethodSpec(
        name="ssf",
        title="SSF",
        family="additive",
        idea="Multiplies each channel behind the frozen layers by a trained scale and adds a trained shift.",
        knobs=NoKnobs,
        build=build_ssf,
        reference="Lian et al. 2022, arXiv:2210.08823, equation 3",
        default_lr=1e-2,
        is_mergeable=True,
        requires=((LINEAR, LAYER_NORM, BATCH_NORM),),
        places=("after_layers",),
    )
)
