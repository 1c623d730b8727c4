"""Class activation maps by the grad-cam package, in the pixels of the source file, refused when meaningless."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from medpeft_core.errors import ExplainError
from medpeft_core.explain.load import LoadedImage, LoadedRun
from medpeft_core.training.build import BuiltModel

CAM_METHODS = {"gradcam": GradCAM}
Reshape = Callable[[torch.Tensor], torch.Tensor]
FLAT_BELOW = 1e-6  # of the range of a map, as a share of the sizes that it was added up from: rounding reaches that


@dataclass(frozen=True, kw_only=True, eq=False)
class Cam:
    """A class activation map.

    Attributes:
        values: (height, width) float32 in [0, 1] in the pixels of the source file, where 0 is the weakest and 1 the
            strongest place of this image; 0 outside the square that the model saw.
        grid: rows and columns that the map had at its layer: nothing finer can be seen.
        square: top, left, height and width of what the model saw, in pixels of the source file.
    """

    values: np.ndarray
    grid: tuple[int, int]
    square: tuple[int, int, int, int]


def compute_cam(loaded: LoadedRun, image: LoadedImage, label: str, *, method: str = "gradcam") -> np.ndarray:
    """The values of `find_cam`; raises as it does."""
    return find_cam(loaded, image, label, method=method).values


def find_cam(loaded: LoadedRun, image: LoadedImage, label: str, *, method: str = "gradcam") -> Cam:
    """Where the model looked for one label.

    Args:
        label: one of the run's labels; the map explains the logit of this label.
        method: one of `CAM_METHODS`.

    Raises:
        ExplainError: unknown label or method, or the map is flat or not finite.
    """
    if label not in loaded.labels:
        raise ExplainError(f"The run {loaded.run_id} has no label {label!r}. Choose: {', '.join(loaded.labels)}.")
    if method not in CAM_METHODS:
        raise ExplainError(f"There is no map {method!r}. Choose: {', '.join(CAM_METHODS)}.")
    backbone = loaded.built.backbone
    found = explain_logit(
        loaded.built.adapted.network,
        image.images,
        layer=backbone.cam_layer,
        index=loaded.labels.index(label),
        reshape=build_reshape(loaded.built),
        method=method,
    )
    check_cam(found.coarse, label, scale=found.scale)
    sides = {"source_size": image.source_size, "cached_size": image.cached_size}
    height, width = found.coarse.shape
    return Cam(values=place_in_source(found.large, **sides), grid=(height, width), square=find_square(**sides))


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerMap:
    """A map as it is at its layer, and at the size of the model's input.

    Attributes:
        coarse: (h, w) float32, 0 or more; in units of the logit, so the range differs from image to image.
        scale: the largest sum of sizes that a value of `coarse` was added up from.
        large: (S, S) float32, from 0 at the weakest to 1 at the strongest place.
    """

    coarse: np.ndarray
    scale: float
    large: np.ndarray


def explain_logit(
    network: nn.Module, images: torch.Tensor, *, layer: str, index: int, reshape: Reshape, method: str = "gradcam"
) -> LayerMap:
    """Where one logit of one image comes from, seen at one layer.

    Args:
        images: (1, 3, S, S), normalised.
        layer: name of the module.
        index: of the logit.
        reshape: the layer's output to (B, C, h, w).
        method: one of `CAM_METHODS`.

    Reference: Selvaraju et al. 2017, Grad-CAM, arXiv:1610.02391, equations 1 and 2.
    """
    module, targets = network.get_submodule(layer), [ClassifierOutputTarget(index)]
    inputs = images.clone().requires_grad_(True)  # a frozen backbone has no gradients without this
    explainer = CAM_METHODS[method](model=network, target_layers=[module], reshape_transform=reshape)
    try:  # not `with`: its end would swallow an IndexError
        large = explainer(input_tensor=inputs, targets=targets)[0]  # (S, S)
        kept = explainer.activations_and_grads
        activations = kept.activations[0].detach().cpu().float().numpy()  # (1, C, h, w)
        gradients = kept.gradients[0].detach().cpu().float().numpy()  # (1, C, h, w)
        summed = explainer.get_cam_image(inputs, module, targets, activations, gradients)[0]  # (h, w)
    finally:
        explainer.activations_and_grads.release()
        network.zero_grad(set_to_none=True)
    sizes = np.abs(gradients.mean(axis=(2, 3), keepdims=True) * activations).sum(axis=1)  # (1, h, w)
    coarse = np.maximum(summed, 0).astype(np.float32)
    return LayerMap(coarse=coarse, scale=float(sizes.max()), large=_stretch(np.asarray(large, dtype=np.float32)))


def build_reshape(built: BuiltModel) -> Reshape:
    """How the CAM layer's output becomes (B, C, H, W); tokens that are no patches, prompts among them, are dropped."""
    backbone = built.backbone
    num_before = backbone.num_prefix_tokens + built.adapted.num_extra_tokens
    if backbone.kind == "windowed_vit":
        return lambda features: features.permute(0, 3, 1, 2)  # (B, H, W, C) before
    if backbone.kind == "vit":
        return lambda tokens: tokens_to_map(tokens, num_before)
    return lambda features: features  # CNNs have this shape


def tokens_to_map(tokens: torch.Tensor, num_before: int) -> torch.Tensor:
    """(B, N, D) tokens to (B, D, H, W), without the first `num_before`: class and register tokens, and prompts.

    Raises:
        ExplainError: the patch tokens form no square.
    """
    patches = tokens[:, num_before:]  # (B, H W, D)
    side = round(patches.shape[1] ** 0.5)
    if side * side != patches.shape[1]:
        raise ExplainError(f"{patches.shape[1]} patch tokens form no square, so this backbone cannot be explained.")
    return patches.transpose(1, 2).reshape(len(tokens), -1, side, side)


def check_cam(cam: np.ndarray, label: str, *, scale: float = 1.0) -> None:
    """Refuse a map that would show nothing.

    Args:
        scale: the largest sum of sizes that a value of the map was added up from.

    Raises:
        ExplainError: it is not finite, or the same everywhere.
    """
    if not np.isfinite(cam).all():
        raise ExplainError(
            f"The map for {label!r} is not finite: the model's weights or gradients overflow. Explain another run; if "
            "this one was trained in fp16, train it again in fp32 or with a smaller learning rate."
        )
    if float(cam.max() - cam.min()) <= FLAT_BELOW * scale:
        raise ExplainError(
            f"The map for {label!r} is flat: no region of this image raises the model's score for it more than "
            "another. That is common where the model holds a label for unlikely. Choose another label or image."
        )


def place_in_source(cam: np.ndarray, *, source_size: tuple[int, int], cached_size: tuple[int, int]) -> np.ndarray:
    """A map of the centre square as a map of the whole source file."""
    top, left, height, width = find_square(source_size=source_size, cached_size=cached_size)
    resized = np.asarray(Image.fromarray(cam).resize((width, height), Image.Resampling.BILINEAR))
    placed = np.zeros(source_size, dtype=np.float32)
    target = placed[top : top + height, left : left + width]
    target[:] = resized[: target.shape[0], : target.shape[1]]
    return placed.clip(0, 1)


def find_square(*, source_size: tuple[int, int], cached_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The centre square that the model sees as top, left, height and width in pixels of the source file."""
    scale = source_size[0] / cached_size[0], source_size[1] / cached_size[1]
    side = min(cached_size)
    top, left = ((length - side) // 2 for length in cached_size)
    height, width = max(round(side * scale[0]), 1), max(round(side * scale[1]), 1)
    return round(top * scale[0]), round(left * scale[1]), height, width


def _stretch(cam: np.ndarray) -> np.ndarray:
    low, high = float(cam.min()), float(cam.max())
    return np.asarray((cam - low) / (high - low) if high > low else np.zeros_like(cam), dtype=np.float32)
