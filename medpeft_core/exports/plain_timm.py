"""The plain timm model under a run: how anyone builds it, and with which weights it stands before the run. Heavy."""

import functools
import json
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import nn

from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.backbones.bare_models import find_options
from medpeft_core.backbones.build import get_base_state
from medpeft_core.backbones.lab_models import say_in_timm
from medpeft_core.backbones.weights import compute_base_sha256
from medpeft_core.errors import ExportError
from medpeft_core.exports.about import say_constants
from medpeft_core.exports.context import ExportContext
from medpeft_core.training.build import build_bare_backbone

BASE_FILE = "base.safetensors"
SAME_LOGITS = 1e-5  # of the largest logit where that is above 1: what rounding in float32 leaves of "the same"


@dataclass(frozen=True, kw_only=True)
class PlainModel:
    """What `timm.create_model` must be given, and the images be brought to, outside the lab.

    Attributes:
        architecture: timm name; with the tag of its weights where these are timm's own download.
        arguments: for `timm.create_model`, beside `num_classes`.
        num_classes: K.
        head: module name of the last layer.
        image_size: side S of the square that the model sees, in pixels.
        channels: C of the images: 3, or 1 for grey ones.
        mean, std: of pixels in 0 to 1, for each channel.
        interpolation: "bilinear" or "bicubic".
        is_downloadable: the base weights are those that timm downloads.
    """

    architecture: str
    arguments: dict[str, Any]
    num_classes: int
    head: str
    image_size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    is_downloadable: bool

    def create(self, **options: Any) -> nn.Module:
        """A new model with random weights, in eval mode; (B, C, S, S) to (B, K).

        Args:
            options: further arguments for `timm.create_model`, or others in the place of its own.
        """
        arguments = {**self.arguments, "num_classes": self.num_classes, **options}
        model: nn.Module = timm.create_model(self.architecture, **arguments)
        return model.eval()

    def list_shapes(self, **options: Any) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the tensors of `create`, without the memory.

        Raises:
            TypeError, RuntimeError, ValueError, AssertionError: timm cannot build it so.
        """
        arguments = {**self.arguments, "num_classes": self.num_classes, **options}
        return _list_shapes(self.architecture, json.dumps(arguments, sort_keys=True))

    def say_call(self) -> str:
        """`create` as a line of Python."""
        said = "".join(f", {name}={value!r}" for name, value in self.arguments.items())
        return f"timm.create_model({self.architecture!r}, num_classes={self.num_classes}{said})"


@dataclass(frozen=True, kw_only=True)
class Base:
    """The plain model of a run with its base weights.

    Attributes:
        plain: how it is built.
        state: all tensors of the base by timm's names, without the head.
    """

    plain: PlainModel
    state: dict[str, torch.Tensor]

    def create(self) -> nn.Module:
        """A new plain model with the base weights and a random head, in eval mode."""
        model = self.plain.create()
        model.load_state_dict(self.state, strict=False)  # `find_base` has seen that only the head is missing
        return model


def find_base(context: ExportContext) -> Base:
    """The plain model of a run, checked tensor by tensor against the lab's own.

    Raises:
        ExportError: timm alone builds another model; names the first tensor that differs.
        MedPeftError: the base weights are gone or have changed.
    """
    backbone = build_bare_backbone(context.config, num_classes=len(context.labels))
    plain = _describe(context, backbone)
    _check_same_tensors(plain, backbone)
    return Base(plain=plain, state=get_base_state(backbone))


def describe_base(context: ExportContext, base: Base, *, is_included: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Where a receiver has the base weights from, as plain values, and what must be said about it.

    Args:
        is_included: whether they go along, as `BASE_FILE`, where timm cannot download them.
    """
    if base.plain.is_downloadable:
        return {"source": "timm"}, (f"timm downloads the base weights {base.plain.architecture} when it is loaded.",)
    sha256 = context.config.backbone.weights_sha256 or compute_base_sha256(base.state)
    remedy = f"They are the file weights/{sha256}.safetensors in the home of the lab; put it there as {BASE_FILE}."
    notes = () if is_included else (f"The base weights did not go along. {remedy}",)
    return {"source": "file", "file": BASE_FILE, "sha256": sha256, "remedy": remedy}, notes


def compute_difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference between logits (B, K) of two models; infinite where one is not finite."""
    difference = (found - expected).abs().max().item()
    return difference if difference == difference else float("inf")


def check_same_logits(found: torch.Tensor, expected: torch.Tensor, *, what: str) -> float:
    """`compute_difference`, refused above 1e-5, or above 1e-5 of the largest logit where that is above 1.

    Raises:
        ExportError: says how far `what` is off.
    """
    difference = compute_difference(found, expected)
    allowed = SAME_LOGITS * max(1.0, expected.abs().max().item())
    if not difference <= allowed:
        raise ExportError(
            f"{what} does not give the logits of the run: they differ by {difference:.1e}, and {allowed:.1e} is "
            "allowed. Nothing was written. Export the run in another format."
        )
    return difference


def _describe(context: ExportContext, backbone: Backbone) -> PlainModel:
    part = context.config.backbone
    architecture, arguments = say_in_timm(part.name)
    is_downloadable = part.weights == "pretrained"
    if not is_downloadable and architecture == part.name:
        architecture = architecture.partition(".")[0]  # a tag would claim weights that are not under this run
    grey = {"in_chans": 1} if part.channels == 1 else {}
    return PlainModel(
        architecture=architecture,
        arguments={**arguments, **find_options(part.name, part.image_size, part.pool, 0.0), **grey},
        num_classes=len(context.labels),
        head=backbone.head,
        image_size=backbone.image_size,
        channels=part.channels,
        mean=say_constants(part.mean or backbone.mean, part.channels),
        std=say_constants(part.std or backbone.std, part.channels),
        interpolation=context.config.augment.interpolation,
        is_downloadable=is_downloadable,
    )


def _check_same_tensors(plain: PlainModel, backbone: Backbone) -> None:
    try:
        found = plain.list_shapes()
    except (TypeError, RuntimeError, ValueError, AssertionError) as error:
        raise ExportError(f"timm alone cannot build {backbone.name!r}: {plain.say_call()} fails: {error}.") from error
    wanted = {name: tuple(tensor.shape) for name, tensor in backbone.model.state_dict().items()}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise ExportError(
                f"timm alone builds another {backbone.name!r} than the lab: the tensor {name!r} has the shape "
                f"{found.get(name, 'of none')} there and {wanted.get(name, 'of none')} here. Export the run as archive."
            )


@functools.lru_cache(maxsize=8)  # slow without memory: torch then computes in Python
def _list_shapes(architecture: str, arguments: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = timm.create_model(architecture, **json.loads(arguments)).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
