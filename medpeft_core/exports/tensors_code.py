"""The part of `load.py` that is the same for all methods; it goes out as source and may need nothing of the lab."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import nn

from medpeft_core.exports.preprocessing import compute_probs, prepare_image


def load_model(folder: Path, put_in: Callable[..., None] | None, **options: Any) -> nn.Module:
    """The model in eval mode: base weights, what was trained over them, then the method's own modules.

    Args:
        folder: of `method.json` and the weights.
        put_in: puts the method's own modules into the model; None where it has none.
        options: further arguments for `timm.create_model`.

    Raises:
        FileNotFoundError: the base weights are not there.
        RuntimeError: a tensor is missing, has no place in the model, or is of another shape.
    """
    about = json.loads((folder / "method.json").read_text())
    base, trained = about["base"], load_file(folder / "weights.safetensors")
    options = {**about["arguments"], **options, "pretrained": base["source"] == "timm"}
    model = timm.create_model(about["architecture"], num_classes=len(about["labels"]), **options)
    weights = model.state_dict() if base["source"] == "timm" else {}
    if base["source"] == "file":
        if not (folder / base["file"]).is_file():
            raise FileNotFoundError(f"The base weights {folder / base['file']} are missing. {base['remedy']}")
        weights = load_file(folder / base["file"])
    plain = {name: tensor for name, tensor in trained.items() if name in model.state_dict()}
    model.load_state_dict({**weights, **plain})  # strict
    known = {id(parameter) for parameter in model.parameters()}
    if put_in is not None:
        put_in(model, **about["put_in"])
    own = {name: tensor for name, tensor in trained.items() if name not in plain}
    added = {name for name, parameter in model.named_parameters() if id(parameter) not in known}
    if odd := sorted(added ^ own.keys()):
        problem = "is missing" if odd[0] in added else "has no place in this model"
        raise RuntimeError(f"weights.safetensors: the tensor {odd[0]!r} {problem}.")
    model.load_state_dict({**model.state_dict(), **own})  # strict
    return model.eval()


def predict(build: Callable[[], nn.Module]) -> None:
    """Print the probability of each label for the image files that the program was given."""
    about = json.loads((Path(__file__).resolve().parent / "method.json").read_text())
    model = build()
    print(about["notice"])
    for path in sys.argv[1:]:
        image = torch.from_numpy(prepare_image(path, **about["image"]))  # (C, S, S)
        with torch.inference_mode():
            logits = model(image[None])[0].double().numpy()
        print(path)
        for label, prob in zip(about["labels"], compute_probs(logits, about["task"]), strict=True):
            print(f"  {prob:.6f}  {label}")
