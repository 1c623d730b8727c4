"""Stand-ins for images, their variation and the network, when only the head is trained, on cached features. Heavy.

The feature of an image is what the head gets of it: one vector (D,), pooled and normalised. Computing and keeping
features is the job of `training.features`.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from medpeft_core.errors import BackboneError

TOLERANCE = 1e-5  # relative: a fresh head may be as small as 2e-5
PROBE_IMAGES = 2


class CachedHead(nn.Module):
    """Features (B, D) to logits (B, K): the network's own last layer, and the dropout before it while that trains.

    The layer is shared with the network, so whatever saves, loads or explains the network finds it trained.
    """

    def __init__(self, head: nn.Module, *, dropout: float) -> None:
        super().__init__()
        self.head = head
        self.dropout = dropout

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        # the head's own mode: it follows the network's as well as this module's
        logits: torch.Tensor = self.head(F.dropout(features, self.dropout, training=self.head.training))
        return logits


class FeatureSource:
    """Batches of features by the row of the pixel cache that holds their image: what `PixelSource` is for pixels.

    Args:
        features: (N, D), on the device.
        cache_rows: (N,) rows of the pixel cache, in the order of `features`.
    """

    def __init__(self, features: torch.Tensor, cache_rows: np.ndarray) -> None:
        self.features = features
        self._places = np.full(int(cache_rows.max(initial=-1)) + 1, -1, dtype=np.int64)
        self._places[cache_rows] = np.arange(len(cache_rows))

    def batch(self, cache_rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (B, D) on the device, and no sizes (B, 0): a feature has none."""
        places = torch.from_numpy(self._places[cache_rows]).to(self.features.device)
        return self.features.index_select(0, places), torch.empty(len(cache_rows), 0)


class Unvaried:
    """Passes features on as they are: what `BatchTransform` is for pixels."""

    def plain(self, pixels: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
        return pixels

    def varied(self, pixels: torch.Tensor, sizes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return pixels


def read_features(network: nn.Module, head: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What the head gets of some images, float32 (B, D); the network should be in eval mode.

    For a timm model this is `forward_head(forward_features(images), pre_logits=True)`, also where a family has a
    spelling of its own.
    """
    features, _ = _run(network, head, images)
    return features.float()


def check_head(network: nn.Module, head: nn.Module, *, name: str, image_size: int, channels: int = 3) -> None:
    """Refuse a backbone whose logits are not its head of one feature for each image; leaves it in eval mode.

    Args:
        network: on the CPU.
        head: its last layer.
        name: the backbone, for the message.
        image_size: side of the square input in pixels.
        channels: of the images.

    Raises:
        BackboneError: its head is called several times, on a map, or is not the last thing that happens.
    """
    network.eval()
    images = torch.randn(PROBE_IMAGES, channels, image_size, image_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features, logits = _run(network, head, images)
        is_fine = features.ndim == 2 and logits.ndim == 2
        is_fine = is_fine and bool((head(features) - logits).abs().max() <= TOLERANCE * logits.abs().max())
    if not is_fine:
        raise BackboneError(
            f"The backbone {name!r} does not end with one layer on one vector for each image, so its head cannot be "
            "trained on cached features. Turn train.cached_features off, or choose another backbone."
        )


def find_dropout(network: nn.Module, head: nn.Module, *, image_size: int, channels: int = 3) -> float:
    """The share of a feature's numbers that the network drops before its head while it trains; 0 for none.

    Looks at what is really called: some families of timm have a module for it and others a function.

    Args:
        network: in the mode of training, on any device.
        head: its last layer.
        image_size: side of the square input in pixels.
        channels: of the images.
    """
    device = next(head.parameters()).device
    with torch.inference_mode(), _DropoutWatch() as watch:
        features, _ = _run(network, head, torch.zeros(1, channels, image_size, image_size, device=device))
    return next((rate for rate, dropped in watch.seen if dropped.data_ptr() == features.data_ptr()), 0.0)


class _DropoutWatch(TorchFunctionMode):
    """While it is entered, notes each dropout that drops something, and keeps its output, so that no memory recurs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, torch.Tensor]] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is F.dropout:
            rate, is_training = _read_dropout(*args, **(kwargs or {}))
            if rate and is_training:
                self.seen.append((rate, result))
        return result


def _read_dropout(_: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> tuple[float, bool]:
    return float(p), training


def _run(network: nn.Module, head: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the head got, as it came, and the logits."""
    captured: list[torch.Tensor] = []
    handle = head.register_forward_pre_hook(lambda module, inputs: captured.append(inputs[0]))
    try:
        logits = network(images)
    finally:
        handle.remove()
    return captured[-1], logits
