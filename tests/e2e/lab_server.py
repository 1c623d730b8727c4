"""A `streamlit run app.py` of its own for a test, and ways to wait for what it does."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from playwright.sync_api import Page

from medpeft_core.runs.store import RunStore
from medpeft_core.worker.processes import kill_tree, process_identity

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0


@dataclass
class Server:
    """One `streamlit run app.py`, which can be killed and started again on the same port and home."""

    home: Path
    port: int
    log: Path
    root: Path = ROOT
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def store(self) -> RunStore:
        return RunStore(self.home)

    def start(self) -> None:
        """Start and wait until it answers."""
        options = [f"--server.port={self.port}", "--server.headless=true"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", *options],
                cwd=self.root,
                env={**os.environ, **self.environment, "MEDPEFT_HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"The server did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL the server alone: workers live on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the server and everything that it started."""
        if self.process is not None and self.process.poll() is None:
            kill_tree(*process_identity(self.process.pid), term_wait_s=5.0)
            self.process.wait()
        for run in self.store.list_runs():
            state = run.state()
            if state.pid is not None and state.pid_started is not None and state.pid != os.getpid():
                kill_tree(state.pid, state.pid_started, term_wait_s=2.0)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2) as answer:
            return answer.status == 200
        return False


def find_free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_idle(page: Page) -> None:
    """Wait until the page's script has run through."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def wait_until_connected(page: Page) -> None:
    """Wait until an open tab has found its server again; what it shows is still what the dead server drew."""
    page.wait_for_selector('[data-testid="stApp"][data-test-connection-state="CONNECTED"]')


def wait_for(is_true: Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Ask again and again.

    Raises:
        AssertionError: it did not become true in time.
    """
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError(f"After {timeout_s:g} s still not: {what}")
        time.sleep(0.2)


def count_workers(home: Path) -> int:
    """Living worker processes of a home, wherever they came from."""
    count = 0
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        is_worker = "medpeft_core.worker" in command and any(str(home) in part for part in command)
        count += is_worker and process.info["status"] != psutil.STATUS_ZOMBIE
    return count
