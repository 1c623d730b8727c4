"""How files of weights name their tensors; to add a layout, write it in a file here and, in a new file, import it."""

from medpeft_core.backbones.layouts import eva, timm_like, transformers_vit
from medpeft_core.backbones.layouts.checking import convert_weights, inspect_weights
from medpeft_core.backbones.layouts.layout import LAYOUTS, Layout, detect_layout
from medpeft_core.backbones.layouts.loading import load_weights_file

__all__ = [
    "LAYOUTS",
    "Layout",
    "convert_weights",
    "detect_layout",
    "eva",
    "inspect_weights",
    "load_weights_file",
    "timm_like",
    "transformers_vit",
]
