"""The part of a merged model's `load.py` that is the same for all; it goes out as source, free of the lab."""

from pathlib import Path
from typing import Any

import timm
from torch import nn


def load_merged(folder: Path, **options: Any) -> nn.Module:
    """The plain timm model of the folder's `config.json` and `model.safetensors`, in eval mode.

    Args:
        folder: of the two.
        options: further arguments for `timm.create_model`.

    Raises:
        RuntimeError: a tensor is missing, has no place in the model, or is of another shape.
    """
    return timm.create_model(f"local-dir:{folder}", pretrained=True, **options).eval()
