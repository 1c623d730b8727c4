"""Decoding many images at once, in threads, and handing them over in their order."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medpeft_core.datasets.images import Reading, UnreadableImageError
from medpeft_core.datasets.pixel_cache import FileState, digest_pixels, find_state, load_for_model

MAX_TRIES = 3  # with a file that somebody writes to at this moment
_IN_FLIGHT_PER_THREAD = 4  # decoded images that wait to be written; bounds memory
_PATIENCE_S = 0.4  # with one slow image, before progress is told again


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


def load_all(
    paths: list[Path], load: Callable[[Path], Loaded], num_threads: int
) -> Generator[Loaded | None, None, None]:
    """The images in their order, decoded ahead in threads, and None while a slow one is waited for.

    Threads, since Pillow, zlib and the digest let go of the interpreter's lock; processes were no faster
    (benchmarks/README.md). Closing the iterator lets the threads end after the image that they are at.

    Args:
        paths: the files.
        load: gives one image; called in the threads.
        num_threads: how many are decoded at once.
    """
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="decode")
    waiting: deque[Future[Loaded]] = deque()
    try:
        for path in paths:
            waiting.append(pool.submit(load, path))
            if len(waiting) >= num_threads * _IN_FLIGHT_PER_THREAD:
                yield from _patiently(waiting.popleft())
        while waiting:
            yield from _patiently(waiting.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _load(path: Path, cache_size: int, reading: Reading, state: FileState) -> Loaded:
    try:
        pixels, source_size, warnings = load_for_model(path, cache_size, reading)
    except UnreadableImageError as error:
        return Loaded(error=error.reason, state=state)
    return Loaded(
        pixels=pixels, source_size=source_size, warning=" ".join(warnings), digest=digest_pixels(pixels), state=state
    )


def _patiently(image: Future[Loaded]) -> Iterator[Loaded | None]:
    """None again and again until the image is there, then the image."""
    while not image.done():
        if not wait([image], timeout=_PATIENCE_S).done:
            yield None
    yield image.result()
