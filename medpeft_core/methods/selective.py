"""Selective methods: nothing is added; parameters of the backbone that have a certain role are trained, no others.

Head and fresh modules are trained with all of them. BatchNorm statistics: layers whose scale is trained (`batchnorm`,
`norm`, `bias_norm_attention`) normalise by the batch in training and update their running statistics; under all others
(`bitfit`, `bias`, `layernorm`, `attention`) they keep those of pre-training. Dutt et al. 2024 do not say what they did.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts, NoKnobs
from medpeft_core.traits import ATTENTION, BATCH_NORM, BIAS, LAYER_NORM

if TYPE_CHECKING:
    from torch import nn

    from medpeft_core.methods.adapted import AdaptedModel

TRANSFORMERS = ("vit", "windowed_vit")
OTHERS = ("cnn", "other")
# Above the ten times that of `full` of Dutt et al. 2024, section 4: `benchmarks.method_rates` found more to be better.
FEW_NUMBERS_LR = 1e-2
DENSE_LR = 1e-3  # attention is a third of a ViT, and has dense matrices as in full fine-tuning


def build_bitfit(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """Train the biases of a transformer, those of LayerNorms included; tables of relative positions are none.

    Running statistics of a BatchNorm, where there is one, stay as they were pre-trained.
    """
    return _train_only(model, parts, find_biases(model), method="bitfit")


def build_bias(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """Train the biases, on a CNN mostly those of BatchNorms, whose running statistics stay as pre-trained."""
    return _train_only(model, parts, find_biases(model), method="bias")


def build_layernorm(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """Train weight and bias of every LayerNorm and RMSNorm, found by type; BatchNorms stay as they were pre-trained."""
    return _train_only(model, parts, find_parameters(model, parts.layer_norms), method="layernorm")


def build_batchnorm(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """Train weight and bias of every BatchNorm and GroupNorm; BatchNorms normalise by the batch in training."""
    return _train_only(model, parts, find_parameters(model, parts.batch_norms), method="batchnorm")


def build_norm(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """Train weight and bias of every normalisation layer; BatchNorms normalise by the batch in training."""
    return _train_only(model, parts, find_parameters(model, _find_norms(parts)), method="norm")


def build_attention(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """Train all of the attention modules and the position embeddings; the patch embedding stays frozen.

    Tables of relative positions lie inside the attention modules and are trained. BatchNorms stay as pre-trained.
    """
    return _train_only(model, parts, _find_attention(model, parts), method="attention")


def build_bias_norm_attention(model: "nn.Module", parts: ModelParts, knobs: NoKnobs) -> "AdaptedModel":
    """Train what `bitfit`, `norm` and `attention` train; BatchNorms normalise by the batch in training."""
    names = find_biases(model) | find_parameters(model, _find_norms(parts)) | _find_attention(model, parts)
    return _train_only(model, parts, names, method="bias_norm_attention")


def find_biases(model: "nn.Module") -> set[str]:
    """Every vector whose own name ends in `bias`, as `q_bias` does; tables of relative positions are no vectors."""
    return {name for name, item in model.named_parameters() if name.endswith("bias") and item.ndim == 1}


def find_parameters(model: "nn.Module", modules: Iterable[str]) -> set[str]:
    """Names of the parameters below these modules."""
    return {f"{name}.{own}" for name in modules for own, _ in model.get_submodule(name).named_parameters()}


def _find_norms(parts: ModelParts) -> tuple[str, ...]:
    return (*parts.layer_norms, *parts.batch_norms)


def _find_attention(model: "nn.Module", parts: ModelParts) -> set[str]:
    return find_parameters(model, parts.attentions) | set(parts.positions)


def _train_only(model: "nn.Module", parts: ModelParts, names: set[str], *, method: str) -> "AdaptedModel":
    """Freeze all parameters but these, the head and the fresh modules."""
    from medpeft_core.methods.adapted import PlainAdaptedModel

    trained = names | find_parameters(model, (parts.head, *parts.fresh))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    return PlainAdaptedModel(model, method=method)


METHODS.add(
    MethodSpec(
        name="bitfit",
        title="BitFit",
        family="selective",
        idea="Trains the bias vectors of a transformer and nothing else.",
        knobs=NoKnobs,
        build=build_bitfit,
        reference="Ben Zaken et al. 2022, arXiv:2106.10199; on ViTs as in Dutt et al. 2024",
        default_lr=FEW_NUMBERS_LR,
        is_mergeable=True,
        requires=(BIAS,),
        only_kinds=TRANSFORMERS,
        places=("biases",),
    )
)
METHODS.add(
    MethodSpec(
        name="bias",
        title="Bias tuning",
        family="selective",
        idea="Trains the bias vectors of a network and nothing else.",
        knobs=NoKnobs,
        build=build_bias,
        reference="Cai et al. 2020 (TinyTL), arXiv:2007.11622; on CNNs as in Dutt et al. 2024",
        default_lr=FEW_NUMBERS_LR,
        is_mergeable=True,
        requires=(BIAS,),
        only_kinds=OTHERS,
        places=("biases",),
    )
)
METHODS.add(
    MethodSpec(
        name="layernorm",
        title="LayerNorm tuning",
        family="selective",
        idea="Trains scale and shift of the LayerNorm layers and nothing else.",
        knobs=NoKnobs,
        build=build_layernorm,
        reference="Basu et al. 2023, arXiv:2304.01917; on ViTs as in Dutt et al. 2024",
        default_lr=FEW_NUMBERS_LR,
        is_mergeable=True,
        requires=(LAYER_NORM,),
        places=("norms",),
    )
)
METHODS.add(
    MethodSpec(
        name="batchnorm",
        title="BatchNorm tuning",
        family="selective",
        idea="Trains scale and shift of the BatchNorm layers, and their statistics follow the new images.",
        knobs=NoKnobs,
        build=build_batchnorm,
        reference="Frankle et al. 2021, arXiv:2003.00152; on CNNs as in Dutt et al. 2024",
        default_lr=FEW_NUMBERS_LR,
        is_mergeable=True,
        requires=(BATCH_NORM,),
        places=("norms",),
    )
)
METHODS.add(
    MethodSpec(
        name="norm",
        title="Norm tuning",
        family="selective",
        idea="Trains scale and shift of every normalisation layer, whatever its type.",
        knobs=NoKnobs,
        build=build_norm,
        reference="Dutt et al. 2024, arXiv:2305.08252, there on the diffusion model",
        default_lr=FEW_NUMBERS_LR,
        is_mergeable=True,
        requires=((LAYER_NORM, BATCH_NORM),),
        places=("norms",),
    )
)
METHODS.add(
    MethodSpec(
        name="attention",
        title="Attention tuning",
        family="selective",
        idea="Trains the attention layers and the position embeddings, and leaves the MLPs as they are.",
        knobs=NoKnobs,
        build=build_attention,
        reference="Touvron et al. 2022, arXiv:2203.09795; with positions as in Dutt et al. 2024",
        default_lr=DENSE_LR,
        is_mergeable=True,
        requires=(ATTENTION,),
        places=("attention", "positions"),
    )
)
METHODS.add(
    MethodSpec(
        name="bias_norm_attention",
        title="Bias, norm and attention tuning",
        family="selective",
        idea="Trains the attention layers, every normalisation layer and all bias vectors together.",
        knobs=NoKnobs,
        build=build_bias_norm_attention,
        reference="Dutt et al. 2024, arXiv:2305.08252, there on the diffusion model",
        default_lr=DENSE_LR,
        is_mergeable=True,
        requires=(ATTENTION,),
        places=("biases", "norms", "attention", "positions"),
    )
)
