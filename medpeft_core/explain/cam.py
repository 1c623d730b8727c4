"""Class activation maps by the grad-cam package, in the pixels of the source file, refused when meaningless."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from medpeft_core.backbones.anatomy import Backbone
from medpeft_core.errors import ExplainError
from medpeft_core.explain.load import LoadedImage, LoadedRun

CAM_METHODS = {"gradcam": GradCAM}
FLAT_BELOW = 1e-6


def compute_cam(loaded: LoadedRun, image: LoadedImage, label: str, *, method: str = "gradcam") -> np.ndarray:
    """Where the model looked for one label.

    Args:
        label: one of the run's labels; the map explains the logit of this label.
        method: one of `CAM_METHODS`.

    Returns:
        (height, width) float32 in [0, 1] in the pixels of the source file; 0 outside the centre square that the model
        saw.

    Raises:
        ExplainError: unknown label or method, or the map is flat or not finite.

    Reference: Selvaraju et al. 2017, Grad-CAM, arXiv:1610.02391.
    """
    if label not in loaded.labels:
        raise ExplainError(f"The run {loaded.run_id} has no label {label!r}. Choose: {', '.join(loaded.labels)}.")
    if method not in CAM_METHODS:
        raise ExplainError(f"There is no map {method!r}. Choose: {', '.join(CAM_METHODS)}.")
    backbone = loaded.built.backbone
    network = loaded.built.adapted.network
    layer = network.get_submodule(backbone.cam_layer)
    images = image.images.clone().requires_grad_(True)  # a frozen backbone has no gradients without this
    with CAM_METHODS[method](
        model=network, target_layers=[layer], reshape_transform=build_reshape(backbone)
    ) as explainer:
        maps = explainer(input_tensor=images, targets=[ClassifierOutputTarget(loaded.labels.index(label))])
    cam = np.asarray(maps[0], dtype=np.float32)  # (S, S)
    check_cam(cam, label)
    return place_in_source(cam, source_size=image.source_size, cached_size=image.cached_size)


def build_reshape(backbone: Backbone) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """How the CAM layer's output becomes (B, C, H, W); None for CNNs, whose output has that shape."""
    if backbone.kind == "windowed_vit":
        return lambda features: features.permute(0, 3, 1, 2)  # (B, H, W, C) before
    if backbone.kind != "vit":
        return None
    return lambda tokens: tokens_to_map(tokens, backbone.num_prefix_tokens)


def tokens_to_map(tokens: torch.Tensor, num_prefix_tokens: int) -> torch.Tensor:
    """(B, N, D) tokens to (B, D, H, W), class and register tokens dropped.

    Raises:
        ExplainError: the patch tokens form no square.
    """
    patches = tokens[:, num_prefix_tokens:]  # (B, H W, D)
    side = round(patches.shape[1] ** 0.5)
    if side * side != patches.shape[1]:
        raise ExplainError(f"{patches.shape[1]} patch tokens form no square, so this backbone cannot be explained.")
    return patches.transpose(1, 2).reshape(len(tokens), -1, side, side)


def check_cam(cam: np.ndarray, label: str) -> None:
    """Refuse a map that would show nothing.

    Raises:
        ExplainError: it is not finite, or the same everywhere.
    """
    if not np.isfinite(cam).all():
        raise ExplainError(
            f"The map for {label!r} is not finite: the model's weights or gradients overflow. Explain another run."
        )
    if float(cam.max() - cam.min()) < FLAT_BELOW:
        raise ExplainError(
            f"The map for {label!r} is flat: no region of this image raises the model's score for it. "
            "Choose another label or image; there is nothing to show."
        )


def place_in_source(cam: np.ndarray, *, source_size: tuple[int, int], cached_size: tuple[int, int]) -> np.ndarray:
    """A map of the centre square as a map of the whole source file."""
    scale = source_size[0] / cached_size[0], source_size[1] / cached_size[1]
    side = min(cached_size)
    top, left = ((length - side) // 2 for length in cached_size)
    height, width = max(round(side * scale[0]), 1), max(round(side * scale[1]), 1)
    resized = np.asarray(Image.fromarray(cam).resize((width, height), Image.Resampling.BILINEAR))
    placed = np.zeros(source_size, dtype=np.float32)
    row, column = round(top * scale[0]), round(left * scale[1])
    target = placed[row : row + height, column : column + width]
    target[:] = resized[: target.shape[0], : target.shape[1]]
    return placed.clip(0, 1)
