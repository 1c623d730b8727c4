"""A process that decodes images for one thread, for JPEG 2000, whose decoder keeps the interpreter's lock to itself.

It keeps it for nine tenths of its time (benchmarks/README.md), so that threads wait for each other, and the rest of the
program for them. Decoders of other formats let it go. A process of its own, not a child of a pool: a pool imports the
caller's main script once more, which under Streamlit would run the whole app again. It also survives a file that makes
the decoder crash.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import numpy as np

from medpeft_core.datasets.images import Reading
from medpeft_core.datasets.pixel_decoding import Loaded, find_state, load_image

CRASH_REASON = "makes its decoder crash"
MAX_STARTS = 2  # a process may have been killed for another reason than the image
_CHILD = "from medpeft_core.datasets.decoding_process import main; main()"
_PACKAGE_PARENT = Path(__file__).parents[2]
_JPEG_2000 = (b"1.2.840.10008.1.2.4.9", b"1.2.840.10008.1.2.4.20")  # begin its transfer syntaxes, HTJ2K's the second
_HEAD_BYTES = 1024  # the transfer syntax stands at the beginning


class DecodingProcess:
    """Loads images in a process that is started with the first; for one thread at a time, but for `close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False
        self._lock = threading.Lock()  # so that none is started after `close`

    def load(self, path: Path, cache_size: int, reading: Reading) -> Loaded:
        """As `load_image`; a file that makes the process end is unreadable."""
        request = [str(path), cache_size, reading.window, reading.frame]
        for _ in range(MAX_STARTS):
            with contextlib.suppress(OSError, ValueError):  # it ended in the middle of it
                return self._ask(json.dumps(request).encode())
            self._end()
        return Loaded(error=CRASH_REASON, state=find_state(path))

    def close(self) -> None:
        """End the process, whatever it is at; may be called from another thread."""
        with self._lock:
            self._is_closed = True
        self._end()

    def _ask(self, request: bytes) -> Loaded:
        with self._lock:
            if self._is_closed:
                raise ValueError("It was closed.")
            process = self._process = self._process or _start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request + b"\n")
        process.stdin.flush()
        return _receive(process.stdout)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError, ValueError):
                    assert pipe is not None
                    pipe.close()


def needs_process(path: Path) -> bool:
    """Whether a file is DICOM with JPEG 2000 inside, as far as its beginning tells."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    return head[128:132] == b"DICM" and any(syntax in head for syntax in _JPEG_2000)


def main() -> None:
    """Decode what is asked for on stdin until it closes, as it does when whoever asks has ended, even killed."""
    output = sys.stdout.buffer
    for line in sys.stdin.buffer:
        path, cache_size, window, frame = json.loads(line)
        _send(output, load_image(Path(path), cache_size, Reading(window=window, frame=frame)))


def _start() -> subprocess.Popen[bytes]:
    paths = [str(_PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _CHILD],  # -P: no unrelated file in the current folder takes a module's place
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )  # fmt: skip


def _send(output: IO[bytes], loaded: Loaded) -> None:
    shape = None if loaded.pixels is None else loaded.pixels.shape
    fields = {"source_size": loaded.source_size, "warning": loaded.warning, "error": loaded.error,
              "digest": loaded.digest, "state": loaded.state}  # fmt: skip
    output.write(json.dumps([shape, fields]).encode() + b"\n")
    if loaded.pixels is not None:
        output.write(loaded.pixels.data)
    output.flush()


def _receive(answers: IO[bytes]) -> Loaded:
    """One answer.

    Raises:
        ValueError: the process ended before it was whole.
    """
    shape, fields = json.loads(answers.readline())
    fields |= {"source_size": tuple(fields["source_size"]), "state": tuple(fields["state"])}
    if shape is None:
        return Loaded(**fields)
    size = int(np.prod(shape))
    content = answers.read(size)
    if len(content) != size:
        raise ValueError("The decoding process ended within an image.")
    return Loaded(pixels=np.frombuffer(content, np.uint8).reshape(shape), **fields)
