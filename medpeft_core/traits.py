"""What a backbone is made of, as far as fine-tuning methods care: the words that backbones and methods share. Light.

`training.model_parts.find_traits` finds them in a built model by its modules. The specs of the described backbones name
them too, so that a page can tell what fits without building anything; a test holds both together.
"""

ATTENTION = "attention"
CALLED_QKV = "called_qkv"
ONE_SEQUENCE = "one_sequence"
POSITION_BIAS = "position_bias"
TRANSFORMER_MLP = "transformer_mlp"
LAYER_NORM = "layer_norm"
BATCH_NORM = "batch_norm"
BIAS = "bias"
LINEAR = "linear"
LINEAR_ON_TOKENS = "linear_on_tokens"
LINEAR_ON_MAPS = "linear_on_maps"
CONV = "conv"
POINTWISE_CONV = "pointwise_conv"
RESIDUAL_CONV = "residual_conv"
SPATIAL_CONV = "spatial_conv"
DEPTHWISE_CONV = "depthwise_conv"

WORDS = {
    ATTENTION: "attention with one fused qkv layer",
    CALLED_QKV: "attention whose qkv layer is called, and not only its weight used",
    ONE_SEQUENCE: "one sequence of tokens that goes through all blocks",
    POSITION_BIAS: "positions inside its attention (relative or rotary)",
    TRANSFORMER_MLP: "transformer blocks with an MLP beside their attention",
    LAYER_NORM: "LayerNorm layers",
    BATCH_NORM: "BatchNorm or GroupNorm layers",
    BIAS: "bias vectors",
    LINEAR: "Linear layers before its head",
    LINEAR_ON_TOKENS: "Linear layers that read sequences of tokens",
    LINEAR_ON_MAPS: "Linear layers that read feature maps of four dimensions",
    CONV: "plain convolutions, neither depthwise nor with a padding or standardisation of their own",
    POINTWISE_CONV: "1 x 1 convolutions",
    RESIDUAL_CONV: "blocks of several convolutions",
    SPATIAL_CONV: "convolutions with a kernel above 1 inside its blocks",
    DEPTHWISE_CONV: "depthwise convolutions",
}

Traits = frozenset[str]

_VIT = frozenset({ATTENTION, CALLED_QKV, TRANSFORMER_MLP, LAYER_NORM, BIAS, LINEAR, LINEAR_ON_TOKENS})
_CNN = frozenset({BATCH_NORM, BIAS, CONV, POINTWISE_CONV, RESIDUAL_CONV, SPATIAL_CONV})

# Architectures as (kind, traits): what the described backbones are, and by which a method's `fits` is told.
PLAIN_VIT = ("vit", _VIT | {ONE_SEQUENCE})
WINDOWED_VIT = ("windowed_vit", _VIT | {POSITION_BIAS, LINEAR_ON_MAPS})
CNN = ("cnn", _CNN)
DEPTHWISE_CNN = ("cnn", _CNN | {DEPTHWISE_CONV})
CONVNEXT = (
    "cnn", frozenset({LAYER_NORM, BIAS, LINEAR, LINEAR_ON_MAPS, CONV, SPATIAL_CONV, DEPTHWISE_CONV})
)  # fmt: skip
MIXER = ("other", frozenset({LAYER_NORM, BIAS, LINEAR, LINEAR_ON_TOKENS}))
ARCHITECTURES = (PLAIN_VIT, WINDOWED_VIT, CNN, DEPTHWISE_CNN, CONVNEXT, MIXER)
KINDS = ("vit", "windowed_vit", "cnn", "other")
