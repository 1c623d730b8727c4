"""A few fixed images as original, masked and rebuilt, and how far rebuilding is from a blind guess. Heavy."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from medpeft_core.paths import ensure_dir, write_atomically
from medpeft_core.pretraining.files import MASKED, ORIGINAL, name_rebuilt
from medpeft_core.pretraining.mae import MaskedAutoencoder, draw_masking, measure_patches, take_tokens
from medpeft_core.training.augment import BatchTransform
from medpeft_core.training.data import PixelSource, SplitData

NUM_SHOWN = 4  # images in the pictures
NUM_MEASURED = 64  # images that the error of rebuilding is measured on
SEED_OF_PICTURES = 7
GAP = 2  # pixels of white between two images of a strip
HIDDEN_GREY = 0.5  # of the masked picture, between black and white


class Showcase:
    """The fixed training images by which people see how a pre-training gets on.

    Args:
        autoencoder: on its device; looked at in eval mode and left in train mode.
        transform: from cached pixels to what the encoder sees.
        source, train: the images.
        folder: where the pictures go.
    """

    def __init__(
        self,
        autoencoder: MaskedAutoencoder,
        transform: BatchTransform,
        source: PixelSource,
        train: SplitData,
        folder: Path,
    ) -> None:
        self.autoencoder, self.transform, self.folder = autoencoder, transform, folder
        places = np.linspace(0, len(train) - 1, min(NUM_MEASURED, len(train))).round().astype(np.int64)
        self._source, self._rows = source, train.cache_rows[np.unique(places)]

    def begin(self) -> None:
        """Read the images, and draw what does not change."""
        self._images = self.transform.plain(*self._source.batch(self._rows))  # (M, 3, S, S)
        noise = draw_noise(len(self._rows), self.autoencoder.num_patches, seed=SEED_OF_PICTURES)
        self._noise = noise.to(self._images.device)
        first = self._to_pixels(self._images[:NUM_SHOWN])
        save_strip(first, self.folder / ORIGINAL)
        save_strip(hide_patches(self.autoencoder, first, self._noise[:NUM_SHOWN]), self.folder / MASKED)

    def show(self, epoch: int) -> dict[str, Any]:
        """Draw what the model makes of the first images, and measure over more of them how well it rebuilds.

        Returns:
            `epoch`, `masked_error` and `mean_fill_error`, as `measure_rebuilding` gives them.
        """
        self.autoencoder.eval()
        with torch.no_grad():
            rebuilt = self.autoencoder.rebuild(self._images[:NUM_SHOWN], self._noise[:NUM_SHOWN])
        save_strip(self._to_pixels(rebuilt), self.folder / name_rebuilt(epoch))
        masked_error, mean_fill_error = measure_rebuilding(self.autoencoder, self._images, self._noise)
        self.autoencoder.train()
        return {"epoch": epoch, "masked_error": masked_error, "mean_fill_error": mean_fill_error}

    def _to_pixels(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images as they were, in 0 to 1."""
        return images * self.transform.std + self.transform.mean


def draw_noise(num_images: int, num_patches: int, *, seed: int) -> torch.Tensor:
    """The noise (B, N) whose masks the pictures of a pre-training show, from the first epoch to the last."""
    return torch.rand(num_images, num_patches, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def hide_patches(autoencoder: MaskedAutoencoder, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Images (B, 3, S, S) in 0 to 1 with a flat grey in place of what the encoder does not see."""
    patches = autoencoder.split(images)
    hidden = draw_masking(noise, autoencoder.num_visible).hidden
    index = hidden.unsqueeze(-1).expand(-1, -1, patches.shape[-1])
    return autoencoder.join(patches.scatter(1, index, HIDDEN_GREY))


@torch.no_grad()
def measure_rebuilding(
    autoencoder: MaskedAutoencoder, images: torch.Tensor, noise: torch.Tensor
) -> tuple[float, float]:
    """Mean squared errors over hidden pixels, of the model and of a guess that knows no more than the model is told.

    The guess paints each hidden patch in the mean of the image's visible patches; with `norm_pixels`, where the model
    is told the mean and the spread of each hidden patch, in that mean.

    Args:
        images: (B, 3, S, S) normalised.
        noise: (B, N).
    """
    is_training = autoencoder.training
    autoencoder.eval()
    masking = draw_masking(noise, autoencoder.num_visible)
    patches = autoencoder.split(images)
    rebuilt = take_tokens(autoencoder.split(autoencoder.rebuild(images, noise)), masking.hidden)
    autoencoder.train(is_training)
    hidden = take_tokens(patches, masking.hidden)
    if autoencoder.norm_pixels:
        guess = measure_patches(hidden)[0]
    else:
        guess = take_tokens(patches, masking.visible).mean(dim=(1, 2), keepdim=True)
    return float((rebuilt - hidden).square().mean()), float((guess - hidden).square().mean())


def save_strip(images: torch.Tensor, path: Path) -> None:
    """Write images (B, 3, S, S) in 0 to 1 side by side as one 8-bit grey PNG."""
    grey = (images.mean(dim=1).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()  # (B, S, S)
    gap = np.full((grey.shape[1], GAP), 255, dtype=np.uint8)
    parts = [part for image in grey for part in (image, gap)][:-1]
    ensure_dir(path.parent)
    picture = Image.fromarray(np.hstack(parts))
    write_atomically(path, lambda temporary: picture.save(temporary, format="PNG"))
