"""What page tests stand on: the whole app without a browser, and stored runs; no worker is ever started."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st
from explain_visits import SIZE, make_answer
from filelock import FileLock
from PIL import Image
from stored_runs import make_run as write_run
from stored_runs import make_runs as write_runs
from streamlit.testing.v1 import AppTest

from medpeft_core.runs.run import Run
from medpeft_core.worker.compute import ComputeClient

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


@pytest.fixture
def pictures(tmp_path):
    """A grey image, and a map whose right half is strong and whose left half shows nothing."""
    image, cam = np.full(SIZE, 100, np.uint8), np.zeros(SIZE, np.uint8)
    cam[:, 30:] = 255
    Image.fromarray(image).save(tmp_path / "image.png")
    Image.fromarray(cam).save(tmp_path / "cam.png")
    return SimpleNamespace(image=tmp_path / "image.png", cam=tmp_path / "cam.png")


@pytest.fixture
def compute(monkeypatch, pictures):
    """Stands in for the compute process: `answer` is a dict, an error, or None for one that does not come."""
    fake = SimpleNamespace(asked=[], ahead=[], error=None, is_silent=False, changes={})

    def submit(self, kind, *, slot=None, **arguments):
        future = Future()
        if kind != "explain":
            fake.ahead.append({"kind": kind, **arguments})
            return future
        fake.asked.append({"kind": kind, "slot": slot, **arguments})
        if fake.error is not None:
            future.set_exception(fake.error)
        elif not fake.is_silent:
            future.set_result({**make_answer(pictures), **arguments, **fake.changes})
        return future

    monkeypatch.setattr(ComputeClient, "submit", submit)
    return fake


@pytest.fixture
def monitor(app):
    """Opens the Monitor page, with a run in the address and at a tab when these are given."""

    def open_page(run_id=None, *, tab=None):
        app.run()
        app.switch_page("pages/monitor.py")
        if run_id is not None:
            app.query_params["run"] = run_id
        if tab is not None:
            app.session_state["monitor_tab"] = tab
        app.run()
        assert not app.exception, app.exception[0].message
        return app

    return open_page


@pytest.fixture(scope="module")
def mae_file(tmp_path_factory):
    """A file of the demo backbone in the layout of MAE."""
    from weights_visits import write_mae_file  # torch, which few pages need

    return write_mae_file(tmp_path_factory.mktemp("weights") / "mae_tiny.pth")


@pytest.fixture(scope="module")
def stocked(mae_file, tmp_path_factory):
    """A home with one entry that was really added."""
    from weights_visits import stock_shelf

    return stock_shelf(tmp_path_factory.mktemp("stocked") / "home", mae_file)


@pytest.fixture
def shelf(stocked, home):
    """This test's home, with that entry."""
    shutil.copytree(stocked, home, dirs_exist_ok=True)
    return home
