"""One slow question that is answered in a thread while the last answer stays in sight. Light."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")
Tell = Callable[[str], None]


class Background(Generic[Answer]):
    """A question, asked again whenever somebody wants it fresh; never two threads at a time.

    Args:
        work: answers it, and is given something to call with how far it is.
        name: of the thread.
    """

    def __init__(self, work: Callable[[Tell], Answer], *, name: str) -> None:
        self._work = work
        self._name = name
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._is_over.set()
        self._answer: Answer | None = None
        self._error: Exception | None = None
        self._answered_at: float | None = None
        self._progress = ""

    @property
    def is_running(self) -> bool:
        """Whether the question is being answered now."""
        return not self._is_over.is_set()

    @property
    def progress(self) -> str:
        """How far the work is, as its own words."""
        return self._progress

    @property
    def answered_at(self) -> float | None:
        """Unix time of the last answer; None before the first."""
        return self._answered_at

    def ask(self, *, older_than_s: float = 0.0) -> None:
        """Begin to answer, unless that is being done or the last answer is young enough; does not wait.

        Args:
            older_than_s: an answer that is at most so old will do; 0: always ask again.
        """
        with self._lock:
            age_s = None if self._answered_at is None else time.time() - self._answered_at
            if self.is_running or (age_s is not None and 0 <= age_s <= older_than_s):
                return
            self._is_over.clear()
            self._progress = ""
            threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Wait a little for work that is at hand; false when it goes on."""
        return self._is_over.wait(timeout_s)

    def answer(self) -> Answer | None:
        """The last answer; None before the first.

        Raises:
            Exception: what the last try raised.
        """
        if self._error is not None and not self.is_running:
            raise self._error
        return self._answer

    def _run(self) -> None:
        try:
            answer, error = self._work(self._tell), None
        except Exception as raised:  # the border of a thread: whoever asks for the answer gets it
            answer, error = None, raised
        self._error = error
        if answer is not None:
            self._answer = answer
        self._answered_at = time.time()
        self._is_over.set()

    def _tell(self, progress: str) -> None:
        self._progress = progress
