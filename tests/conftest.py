"""What every test stands on: a lab home of its own, no network, two processes for all tests and one for a file."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

# Before anything imports torch or huggingface_hub, which read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
# The models of the tests are too small for two threads, which only wait for each other on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

HOME_VARIABLE = "MEDPEFT_HOME"
LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")
NUM_PROCESSES = 2  # each may hold a torch, a server and a browser
BROWSER = "tests/e2e/"
LONGEST_FIRST = (BROWSER, "tests/faults/")


class OneBrowserAtATime(LoadFileScheduling):
    """Gives a process whole files, so that what a file shares is made once, and all browser tests to the same process.

    Two browsers with their servers would wait for each other on two cores, and a test would call the app slow.
    """

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None but this process for single files or tests: nothing to start, and `print` and a debugger work."""
    paths = [config.invocation_params.dir / str(arg).split("::")[0] for arg in config.args]
    return 0 if all(path.is_file() for path in paths) else NUM_PROCESSES


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Ours in place of `--dist loadfile`; whoever asks for another gets that."""
    return OneBrowserAtATime(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The browser tests take half of the time: begun last, they would leave the other process with nothing to do."""
    if hasattr(config, "workerinput"):  # one of the two; a single process does well to begin with what is quick
        items.sort(key=lambda item: [not item.nodeid.startswith(folder) for folder in LONGEST_FIRST])


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for fixtures that live longer than a test, so that none ever finds the user's own."""
    folder = tmp_path_factory.mktemp("session_home")
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(folder)
    yield folder
    if before is None:
        del os.environ[HOME_VARIABLE]
    else:
        os.environ[HOME_VARIABLE] = before


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of the 15 DICOM files."""
    chosen = os.environ.get("MEDPEFT_SAMPLE_DATA")
    if not chosen:
        pytest.skip("MEDPEFT_SAMPLE_DATA is not set, so the sample files are not at hand")
    return Path(chosen) / "dicom-sample"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab home of this test alone; it does not exist yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv(HOME_VARIABLE, str(folder))
    return folder


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever leaves the machine fails at once, as it does where there is no network."""
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL_HOSTS:
            raise OSError(f"a test tried to reach {address}, but tests have no network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)
