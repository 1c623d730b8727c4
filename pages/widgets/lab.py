"""The one lab of this server process: its runs, its jobs, its supervisor and its compute process."""

from pathlib import Path

import streamlit as st

from medpeft_core.paths import get_home
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.compute import ComputeClient
from medpeft_core.worker.jobs import JobStore
from medpeft_core.worker.supervisor import Supervisor, stop_older_supervisors


class Lab:
    """What pages share. Pass ids and plain dicts between pages and this, never classes to be checked by type.

    Args:
        home: the lab's folder.
    """

    def __init__(self, home: Path) -> None:
        stop_older_supervisors()  # one that an edit of this file left behind
        self.home = home
        self.store = RunStore(home)
        self.jobs = JobStore(home)
        self.compute = ComputeClient(home)
        self.supervisor = Supervisor(self.store)
        self.supervisor.start()

    @property
    def is_alive(self) -> bool:
        """Whether the background thread still works."""
        return self.supervisor.is_alive

    def load_run(self, run_id: str) -> Run:
        """A run as it stands; one whose worker died is settled here only where no supervisor of ours does it.

        The supervisor knows why it killed a worker; a page that was faster would call the death unexplained.

        Raises:
            RunError: there is no such run, or its state is damaged.
        """
        run = self.store.load(run_id)
        return run if self.supervisor.role == "leader" else self.store.settle(run)

    def close(self) -> None:
        """End the background thread and the compute process; workers train on."""
        self.supervisor.stop()
        self.compute.close()


def get_lab() -> Lab:
    """The lab of `MEDPEFT_HOME`, opened by the first visitor and shared by all."""
    return _open_lab(str(get_home()))


@st.cache_resource(
    show_spinner=False, max_entries=1, validate=lambda lab: lab.is_alive, on_release=lambda lab: lab.close()
)
def _open_lab(home: str) -> Lab:
    return Lab(Path(home))
