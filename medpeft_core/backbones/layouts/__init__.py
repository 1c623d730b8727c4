"""How files of weights name their tensors; to add a layout, write it in a file here and, in a new file, import it.

Light; what touches tensors is in `loading`, `checking` and what they import.
"""

from medpeft_core.backbones.layouts import eva, timm_like, transformers_vit
from medpeft_core.backbones.layouts.layout import LAYOUTS, Layout, detect_layout

__all__ = ["LAYOUTS", "Layout", "detect_layout", "eva", "timm_like", "transformers_vit"]
