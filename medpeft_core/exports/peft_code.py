"""The part of a PEFT adapter's `load.py` that is the same for all; it goes out as source, free of the lab."""

import json
from pathlib import Path
from typing import Any

import timm
from peft import PeftModel
from safetensors.torch import load_file
from torch import nn


def load_base(folder: Path, **options: Any) -> nn.Module:
    """The plain timm model with the base weights of the run; its head is random until the adapter brings its own.

    Args:
        folder: of `method.json`, and of the weights where timm cannot download them.
        options: further arguments for `timm.create_model`.

    Raises:
        FileNotFoundError: the base weights are not there.
        RuntimeError: a tensor is missing, has no place in the model, or is of another shape.
    """
    about = json.loads((folder / "method.json").read_text())
    base, num_classes = about["base"], len(about["labels"])
    options = {**about["arguments"], **options, "pretrained": base["source"] == "timm"}
    model = timm.create_model(about["architecture"], num_classes=num_classes, **options)
    weights = model.state_dict()
    if base["source"] == "file":
        if not (folder / base["file"]).is_file():
            raise FileNotFoundError(f"The base weights {folder / base['file']} are missing. {base['remedy']}")
        head = {name: tensor for name, tensor in weights.items() if name.startswith(about["head"] + ".")}
        weights = {**head, **load_file(folder / base["file"])}
    if (folder / "buffers.safetensors").is_file():  # statistics that training changed
        weights.update(load_file(folder / "buffers.safetensors"))
    model.load_state_dict(weights)  # strict
    return model.eval()


def lay_over(model: nn.Module, folder: Path) -> nn.Module:
    """The adapter in `folder` over the plain model, in eval mode."""
    return PeftModel.from_pretrained(model, str(folder)).eval()
