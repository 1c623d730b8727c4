"""Looks into a file of weights without a model in memory: what would become of each tensor, and its conversion."""

from pathlib import Path

import timm
import torch
from torch import nn

from medpeft_core.backbones.bare_models import check_name, find_kind_of, find_options
from medpeft_core.backbones.key_report import KeyReport
from medpeft_core.backbones.layouts.fitting import AUTO, check_report, fit_file
from medpeft_core.backbones.layouts.needs import find_needs
from medpeft_core.backbones.layouts.positions import ANTIALIAS
from medpeft_core.backbones.weight_files import read_weights_file


def inspect_weights(
    path: Path,
    *,
    backbone: str,
    pool: str | None = None,
    image_size: int | None = None,
    channels: int = 3,
    layout: str = AUTO,
    positions: str = ANTIALIAS,
) -> KeyReport:
    """What would become of a file in a run with these settings; a mismatch is in the report and not raised.

    Raises:
        BackboneError: no such file or backbone, or an unreadable file.
    """
    check_name(backbone)
    model = _build_without_memory(backbone, {**find_options(backbone, image_size, pool, 0.0), "in_chans": channels})
    return fit_file(read_weights_file(path), find_needs(model, backbone), layout=layout, positions=positions)[1]


def convert_weights(path: Path, *, backbone: str, layout: str = AUTO) -> tuple[dict[str, torch.Tensor], KeyReport]:
    """The tensors of a file by timm's names, for storing: of the file's own size and channels, with every norm it has.

    Args:
        path: the file.
        backbone: timm name of the model whose weights they are.
        layout: how the file names its tensors; "auto" finds it out.

    Returns:
        Tensors of their own memory, without a classifier, and what became of each of the file's.

    Raises:
        BackboneError: no such file or backbone, or an unreadable file.
        WeightsMismatchError: of another model.
    """
    check_name(backbone)
    options: dict[str, object] = (
        {"global_pool": ""} if find_kind_of(backbone) == "vit" else {}
    )  # else timm moves the norm to the head
    needs = find_needs(_build_without_memory(backbone, options), backbone, is_open=True)
    state, report = fit_file(read_weights_file(path), needs, layout=layout, positions=ANTIALIAS)
    check_report(report, source=str(path))
    return {name: tensor.clone().contiguous() for name, tensor in state.items()}, report


def _build_without_memory(backbone: str, options: dict[str, object]) -> nn.Module:
    with torch.device("meta"):  # only names and shapes are of interest
        model: nn.Module = timm.create_model(backbone, num_classes=0, **options)
    return model
