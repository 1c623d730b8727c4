"""What page tests stand on: the whole app without a browser, and stored runs; no worker is ever started."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from filelock import FileLock
from stored_runs import make_run as write_run
from stored_runs import make_runs as write_runs
from streamlit.testing.v1 import AppTest

from medpeft_core.runs.run import Run

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_S = 30


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """`make_run(home, status=..., epochs_done=..., method=..., ...)` writes a run folder; see stored_runs.py."""
    return write_run


@pytest.fixture
def make_runs() -> Callable[[Path, int], None]:
    """`make_runs(home, 200)` writes many ended runs quickly."""
    return write_runs


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The app on this test's home, not yet run; another holder has the supervisor's lock, so that nothing starts.

    `app.run()` first, then `app.switch_page("pages/monitor.py").run()`; `app.query_params["run"] = ...` in between.
    """
    monkeypatch.chdir(ROOT)  # the icon's path is relative to where `streamlit run app.py` is called
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(str(home / "supervisor.lock")):
        yield AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT_S)
        st.cache_resource.clear()  # ends the lab of this test: its thread and its compute process
