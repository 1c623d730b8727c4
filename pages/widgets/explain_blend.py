"""A heat map laid over an image at any opacity, quickly enough to follow a slider."""

import functools
import io
from pathlib import Path

from PIL import Image

MAX_SHOWN_SIDE = 1024  # pixels; larger films are scaled down for the page, never for the download
JPEG_QUALITY = 93


def blend(image: Image.Image, heat: Image.Image, opacity: float) -> Image.Image:
    """The image with the heat map over it.

    Args:
        image: (H, W) of any mode.
        heat: (H, W) RGBA, where alpha is the map: 0 where the image is to show unchanged.
        opacity: of the strongest place, 0 to 1.

    Returns:
        (H, W) RGB.
    """
    layer = heat.copy()
    layer.putalpha(heat.getchannel("A").point(lambda alpha: round(alpha * opacity)))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def show_image(path: Path) -> bytes:
    """The image as PNG for the page, at most `MAX_SHOWN_SIDE` large."""
    return _encode_png(path, path.stat().st_mtime_ns)


def show_overlay(image_path: Path, heat_path: Path, opacity: float) -> bytes:
    """The overlay as JPEG for the page: it is made anew at each step of the slider, which PNG would slow down.

    Args:
        image_path: the source image.
        heat_path: its RGBA map of the same size.
        opacity: 0 to 1.
    """
    image = _load_shown(image_path, image_path.stat().st_mtime_ns)
    heat = _load_shown(heat_path, heat_path.stat().st_mtime_ns)
    return _encode(blend(image, heat, opacity), "JPEG", quality=JPEG_QUALITY)


def save_overlay(image_path: Path, heat_path: Path, opacity: float) -> bytes:
    """The overlay as PNG in the pixels of the source image, for a download."""
    with Image.open(image_path) as image, Image.open(heat_path) as heat:
        return _encode(blend(image, heat, opacity), "PNG", optimize=False)


@functools.lru_cache(maxsize=8)
def _encode_png(path: Path, changed_ns: int) -> bytes:
    return _encode(_load_shown(path, changed_ns), "PNG", compress_level=1)


@functools.lru_cache(maxsize=16)
def _load_shown(path: Path, changed_ns: int) -> Image.Image:
    """The decoded picture; `changed_ns` is there so that a file written anew is read anew."""
    with Image.open(path) as picture:
        picture.load()
        picture.thumbnail((MAX_SHOWN_SIDE, MAX_SHOWN_SIDE), Image.Resampling.BILINEAR)
        return picture.copy()


def _encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()
