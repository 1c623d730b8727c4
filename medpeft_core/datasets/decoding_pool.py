"""Decoding many images at once, and handing them over in their order."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from medpeft_core.datasets.decoding_process import DecodingProcess, needs_process
from medpeft_core.datasets.images import Reading
from medpeft_core.datasets.pixel_decoding import Loaded, load_image

_IN_FLIGHT_PER_THREAD = 4  # decoded images that wait to be written; bounds memory
MIN_FOR_PROCESSES = 32  # fewer images are decoded before the processes have started
_PATIENCE_S = 0.4  # with one slow image, before progress is told again


def load_all(
    paths: list[Path], cache_size: int, reading: Reading, *, num_threads: int
) -> Generator[Loaded | None, None, None]:
    """The images in their order, decoded ahead in threads, and None while a slow one is waited for.

    In threads, since decoders and the digest let go of the interpreter's lock; JPEG 2000, whose decoder does not, in a
    process for each thread where it is worth one (benchmarks/README.md). Closing the iterator lets the threads end
    after the image that they are at.

    Args:
        paths: the files.
        cache_size: short side in pixels.
        reading: of DICOM files.
        num_threads: how many are decoded at once.
    """

    def load(path: Path) -> Loaded:
        if len(paths) < MIN_FOR_PROCESSES or not needs_process(path):
            return load_image(path, cache_size, reading)
        if not hasattr(own, "process"):
            own.process = DecodingProcess()
            processes.append(own.process)
        if is_over.is_set():  # after the processes were closed there must be no new one
            own.process.close()
        loaded: Loaded = own.process.load(path, cache_size, reading)
        return loaded

    own, processes, is_over = threading.local(), list[DecodingProcess](), threading.Event()
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
        is_over.set()
        for process in list(processes):
            process.close()


def _patiently(image: Future[Loaded]) -> Iterator[Loaded | None]:
    """None again and again until the image is there, then the image."""
    while not image.done():
        if not wait([image], timeout=_PATIENCE_S).done:
            yield None
    yield image.result()
