"""Decoding one image for a pixel cache, with everything that the cache tells of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medpeft_core.datasets.images import Reading, UnreadableImageError
from medpeft_core.datasets.pixel_cache import FileState, digest_pixels, find_state, load_for_model

MAX_TRIES = 3  # with a file that somebody writes to at this moment


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """One decoded image.

    Attributes:
        pixels: uint8 (C, H, W); None for an unreadable image.
        source_size: height and width of the file's image.
        warning, error: what was changed; what is wrong with it, as the end of a sentence that begins with its name.
        digest: of the pixels; "" for an unreadable image.
        state: of the file while it was decoded.
    """

    pixels: np.ndarray | None = None
    source_size: tuple[int, int] = (0, 0)
    warning: str = ""
    error: str = ""
    digest: str = ""
    state: FileState


def load_image(path: Path, cache_size: int, reading: Reading) -> Loaded:
    """Decode one image; if its file changes meanwhile, again."""
    for _ in range(MAX_TRIES):
        state = find_state(path)
        loaded = _load(path, cache_size, reading, state)
        if find_state(path) == state:
            return loaded
    return Loaded(error="is being written to", state=state)


def _load(path: Path, cache_size: int, reading: Reading, state: FileState) -> Loaded:
    try:
        pixels, source_size, warnings = load_for_model(path, cache_size, reading)
    except UnreadableImageError as error:
        return Loaded(error=error.reason, state=state)
    return Loaded(
        pixels=pixels, source_size=source_size, warning=" ".join(warnings), digest=digest_pixels(pixels), state=state
    )
