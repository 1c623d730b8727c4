"""The fine-tuning methods; to add one, write its file and add an import line here.

The order is that of the lists people choose from: baselines, selective, additive, reparameterised methods.
"""

# isort: off
from medpeft_core.methods import full, linear
from medpeft_core.methods import selective
from medpeft_core.methods import ln_tuning
from medpeft_core.methods import ssf, adaptformer, tsa, vpt, conv_adapter
from medpeft_core.methods import lora, lora_variants, adalora, lycoris, ia3
from medpeft_core.methods import orthogonal, shared_projections, spectral, miss, shira, road

# isort: on
from medpeft_core.methods.spec import METHODS, MethodSpec, ModelParts, NoKnobs

__all__ = [
    "METHODS",
    "MethodSpec",
    "ModelParts",
    "NoKnobs",
    "adalora",
    "adaptformer",
    "conv_adapter",
    "full",
    "ia3",
    "linear",
    "ln_tuning",
    "lora",
    "lora_variants",
    "lycoris",
    "miss",
    "orthogonal",
    "road",
    "selective",
    "shared_projections",
    "shira",
    "spectral",
    "ssf",
    "tsa",
    "vpt",
]
