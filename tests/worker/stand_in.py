"""A light worker in place of the real one: a real process under the same protections, with a play instead of training.

What a run's worker does is in `play.json` of its folder, written by `make_run`. As a program: `stand_in.py RUN_DIR`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

import medpeft_core
from medpeft_core.config import RunConfig
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs import Run, RunStore
from medpeft_core.worker import dispatch
from medpeft_core.worker.control import WorkerControl
from medpeft_core.worker.main import run_guarded
from medpeft_core.worker.supervisor import Supervisor

POLL_S = 0.05  # of supervisors in tests
PATIENCE_S = 30.0


def make_run(
    store: RunStore,
    *,
    device: str = "cpu",
    is_queued: bool = True,
    config: RunConfig | PretrainConfig | None = None,
    **play: Any,
) -> Run:
    """A queued run. Its play: `seconds` of work, its `outcome` (finished, failed or stubborn), `boot_s` for each start.

    Before it begins, its n-th worker sleeps for `boot_s[n]`; None there means that it crashes instead.
    """
    store.index.queued()  # makes the index: a new one queues every queued run that it finds
    run = store.create(config or RunConfig(), provenance={}, device=device)
    (run.folder / "play.json").write_text(json.dumps({"seconds": 0.2, "outcome": "finished", "boot_s": [], **play}))
    if is_queued:
        store.index.enqueue(run.run_id, device)
    return run


def start_stand_in(run: Run) -> subprocess.Popen[bytes]:
    """What `start_worker` does, with this file as the worker."""
    code_dir = Path(medpeft_core.__file__).parents[1]
    with run.log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, __file__, str(run.folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"PYTHONPATH": str(code_dir), "PATH": ""},
            start_new_session=True,
        )


def lead(home: str) -> None:
    """Be a server: supervise with stand-ins until killed."""
    dispatch.start_worker = start_stand_in
    Supervisor(RunStore(Path(home)), poll_s=0.05).start()
    while True:
        time.sleep(1)


@contextmanager
def leading_process(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process of its own, killed at the end at the latest."""
    code = "import sys; sys.path[:0] = sys.argv[2:]; from stand_in import lead; lead(sys.argv[1])"
    paths = [str(Path(__file__).parent), str(Path(medpeft_core.__file__).parents[1])]
    process = subprocess.Popen([sys.executable, "-c", code, str(home), *paths])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(is_true: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def wait_for_status(run: Run, status: str, seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while run.status != status:
        assert time.monotonic() < deadline, f"{run.state()} instead of {status}; {list_events(run)}"
        time.sleep(0.02)


def list_events(run: Run) -> list[str]:
    """The states that a run went through, as its event log tells them."""
    return [event["status"] for event in run.events() if event["type"] == "status"]


def find_workers(home: Path) -> list[psutil.Process]:
    """The living stand-ins of a home."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if __file__ in line and line[-1].startswith(str(home)) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def kill_workers(home: Path) -> None:
    """End them all, with no chance for a last word."""
    for process in find_workers(home):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _perform(run: Run, control: WorkerControl) -> str:
    play = _read_play(run)
    control.set_progress(phase="training", epochs=1)
    until = time.monotonic() + play["seconds"]
    while time.monotonic() < until:
        if control.should_stop() and play["outcome"] != "stubborn":
            return "stopped"
        time.sleep(0.01)
    if play["outcome"] == "failed":
        raise ValueError("a bad play")
    return "finished"


def _read_play(run: Run) -> dict[str, Any]:
    play: dict[str, Any] = json.loads((run.folder / "play.json").read_text())
    return play


def _boot(run: Run) -> None:
    starts = run.folder / "starts.txt"
    with starts.open("a") as file:
        file.write("start\n")
    boot_s = _read_play(run)["boot_s"]
    number = starts.read_text().count("start") - 1
    if number < len(boot_s):
        if boot_s[number] is None:
            sys.exit("this worker crashes before it begins")
        time.sleep(boot_s[number])


if __name__ == "__main__":
    mine = Run(Path(sys.argv[1]))
    _boot(mine)
    sys.exit(run_guarded(mine, _perform))


def worked(run):
    """When a run began and ended."""
    times = [event["time"] for event in run.events() if event["type"] == "status"]
    return times[0], times[-1]


def count_starts(run):
    path = run.folder / "starts.txt"
    return path.read_text().count("start") if path.exists() else 0


def texts(supervisor, kind):
    return [event.text for event in supervisor.take_events() if event.kind == kind]
