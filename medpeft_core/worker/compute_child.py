"""The compute process as its client sees it: started, asked, killed. Light."""

import contextlib
import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from medpeft_core.paths import ensure_dir
from medpeft_core.worker.processes import build_environment

LOG_FILE = "compute.log"
DEATH_WAIT_S = 5.0


class ComputeChild:
    """A running compute process; one thread reads what it says.

    Args:
        home: the lab's folder; the log lies in it and begins anew with every process.
        program: the module that it runs.

    Attributes:
        log_path: everything that it or its libraries print.
        is_ready: it has finished importing.
        is_greeted: its word about that was taken from the queue, so that the next one is an answer.
    """

    def __init__(self, home: Path, program: str) -> None:
        self.log_path = ensure_dir(home) / LOG_FILE
        self.log_path.write_bytes(b"")
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", program],
                stdin=subprocess.PIPE,  # its end tells the process that this one is gone
                stdout=subprocess.PIPE,
                stderr=log,
                env=build_environment(home),
            )
        self.is_ready = False
        self.is_greeted = False
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="compute-answers", daemon=True).start()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def greet(self, timeout_s: float) -> None:
        """Wait until it has finished importing; raises as `ask` does."""
        self._receive(timeout_s)
        self.is_greeted = True

    def ask(self, line: bytes, timeout_s: float) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            queue.Empty: it took too long.
            EOFError: the process ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (OSError, ValueError):  # its end is gone, or another thread has just closed ours
            raise EOFError from None
        return self._receive(timeout_s)

    def kill(self) -> None:
        """End it at once; all that it writes is renamed into place, so nothing stays half."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it flushes what a dead process did not take
            self._process.stdin.close()

    def wait_for_end(self) -> int:
        """The exit code of a process that has closed its output, or minus the signal that ended it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(DEATH_WAIT_S)  # killed at once, it could not give its own reason
        self.kill()
        return self._process.returncode

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        message = self._messages.get(timeout=timeout_s)
        if message is None:
            raise EOFError
        return message

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream, contextlib.suppress(ValueError):
            for line in stream:
                if not line.endswith(b"\n"):
                    break  # it died in the middle of a word
                self._messages.put(json.loads(line))
                self.is_ready = True  # the first message says just this
        self._messages.put(None)


def find_last_words(log_path: Path) -> str:
    """A sentence with the last line of a log."""
    try:
        lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return f"{log_path} is missing."
    last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
    return f"The last line of {log_path}: {last}"
