"""From an image file to what a model sees, and from logits to probabilities, with Pillow and numpy alone.

Exports carry these functions along as source, so they may need nothing of the lab. A test holds them to what the lab
itself does to an image.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def read_rgb(path: str | Path) -> Image.Image:
    """The first frame of a PNG, JPEG, BMP or TIFF file, upright, with 8 bits for each of three channels.

    Transparency is laid over black. Grey with more than 8 bits keeps its range: it is divided by the full range of the
    smallest of 8, 10, 12, 14 and 16 bits that holds its maximum. DICOM files are not read here: their windows and
    negatives are a matter of their own, so the lab's `view` has to make PNG files of them first.
    """
    with open(path, "rb") as file:
        start = file.read(132)
    if start[128:] == b"DICM" or str(path).lower().endswith((".dcm", ".dicom")):
        raise ValueError(f"{path} is a DICOM file. Convert it to PNG first, with the view command of MedPEFT Lab.")
    image = ImageOps.exif_transpose(Image.open(path, formats=("PNG", "JPEG", "BMP", "TIFF")))
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        bits = [bits for bits in (8, 10, 12, 14, 16) if values.min() >= 0 and values.max() < 2**bits]
        if not bits:
            raise ValueError(f"{path}: grey values must lie between 0 and 65535. Convert it to 8-bit PNG.")
        image = Image.fromarray(np.rint(values * (255 / (2 ** bits[0] - 1))).astype(np.uint8))
    elif image.mode in ("LA", "PA", "RGBA") or (image.mode == "P" and "transparency" in image.info):
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    elif image.mode not in ("1", "L", "P", "RGB", "RGBX"):
        raise ValueError(f"{path}: pixels of type {image.mode} cannot be read. Convert it to 8-bit PNG.")
    return image.convert("RGB")


def prepare_image(
    path: str | Path,
    *,
    cache_size: int,
    image_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    interpolation: str,
) -> np.ndarray:
    """What the model is shown of a file: (C, S, S) float32, normalised.

    The short side is brought down to `cache_size` in 8 bits, as the images for training were; then the central square
    is resampled to S pixels.

    Args:
        cache_size: of the short side, in pixels; a smaller image stays as it is.
        image_size: S.
        mean, std: of pixels in 0 to 1, for each of the C channels: three, or one for models of grey images.
        interpolation: "bilinear" or "bicubic".
    """
    image = read_rgb(path)
    short = min(image.size)
    if short > cache_size:
        shrunk = (round(image.width * cache_size / short), round(image.height * cache_size / short))
        image = image.resize(shrunk, Image.Resampling.BILINEAR)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    resampling = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    channels = [  # as floating-point numbers: rounding to 8 bits once more would change them
        np.asarray(channel.convert("F").resize((image_size, image_size), resampling, box=box))
        for channel in image.split()
    ]
    pixels = np.stack(channels).clip(0, 255) / 255  # (3, S, S)
    if len(mean) == 1:
        pixels = np.tensordot((0.299, 0.587, 0.114), pixels, axes=1)[None]  # ITU-R BT.601; (1, S, S)
    shape = (len(mean), 1, 1)
    return ((pixels - np.reshape(mean, shape)) / np.reshape(std, shape)).astype(np.float32)


def compute_probs(logits: np.ndarray, task: str) -> np.ndarray:
    """(K,) logits to (K,) probabilities: each label by itself, or for the task "multiclass" summing to 1."""
    if task == "multiclass":
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()
    return 1 / (1 + np.exp(-logits))
