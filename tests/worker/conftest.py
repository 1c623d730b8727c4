"""Fixtures that several files of this folder use."""

import subprocess
import sys

import pytest
from stand_in import (
    POLL_S,
    kill_workers,
    start_stand_in,
)

from medpeft_core.runs import RunStore
from medpeft_core.worker import dispatch
from medpeft_core.worker.supervisor import Supervisor


@pytest.fixture
def store(tmp_path):
    yield RunStore(tmp_path)
    kill_workers(tmp_path)


@pytest.fixture
def supervise(store, monkeypatch):
    """Makes supervisors that start stand-ins; all are stopped at the end."""
    monkeypatch.setattr(dispatch, "start_worker", start_stand_in)
    made = []

    def make(**options):
        supervisor = Supervisor(store, **{"poll_s": POLL_S, **options})
        made.append(supervisor)
        supervisor.start()
        return supervisor

    yield make
    for supervisor in made:
        supervisor.stop()


@pytest.fixture
def other_process():
    """A living process that is not this one."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.communicate()
