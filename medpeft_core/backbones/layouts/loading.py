"""Loads a file of weights into a timm model, whole or not at all."""

from pathlib import Path

from torch import nn

from medpeft_core.backbones.key_report import KeyReport
from medpeft_core.backbones.layouts.fitting import AUTO, check_report, fit_file
from medpeft_core.backbones.layouts.needs import find_needs
from medpeft_core.backbones.layouts.positions import ANTIALIAS
from medpeft_core.backbones.weight_files import read_weights_file


def load_weights_file(
    model: nn.Module, path: Path, *, name: str, layout: str = AUTO, positions: str = ANTIALIAS
) -> KeyReport:
    """Load a file of base weights into a model without head.

    Args:
        model: a timm model built with `num_classes=0`.
        path: safetensors, or a torch file.
        name: the backbone, for messages.
        layout: how the file names its tensors; "auto" finds it out.
        positions: "antialias" or "plain", how positions are brought to another size.

    Returns:
        What became of each tensor of the file, and of the model.

    Raises:
        BackboneError: no such file, or unreadable.
        WeightsMismatchError: of another model; the first offending tensor is named, and nothing was loaded.
    """
    state, report = fit_file(read_weights_file(path), find_needs(model, name), layout=layout, positions=positions)
    check_report(report, source=str(path))
    model.load_state_dict(state, strict=False)
    return report
