"""`python -m medpeft_core.worker.job_process JOB_DIR`: do one job in this process, and leave a true last word.

Light until a launch job has its data: torch comes last, so that preparing a data set never loads it.
"""

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from medpeft_core.errors import MedPeftError
from medpeft_core.paths import write_json
from medpeft_core.runs.disk import DiskReserve, is_disk_full
from medpeft_core.runs.events import make_finite
from medpeft_core.runs.liveness import process_identity
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FAILED, FINISHED, STOPPED
from medpeft_core.worker.job_state import Job, JobRequest, JobState
from medpeft_core.worker.processes import lower_priority

TICK_S = 0.33  # between two looks for a stop request, and between two writings of the state
ETA_AFTER_S = 1.0  # a speed measured for less time says little
STARTER_WAIT_S = 10.0
EXIT_CODES: dict[str, int] = {FINISHED: 0, STOPPED: 130, FAILED: 1}
EXIT_USAGE = 2


class Stopped(BaseException):  # not an Exception: a library that catches those must not swallow it
    """Somebody asked the job to stop."""


class JobControl:
    """Given to the work of a job as its `progress`; a thread shows it and listens for a stop while this is entered.

    Args:
        job: whose state is written.
        state: where it stands now.
    """

    def __init__(self, job: Job, state: JobState) -> None:
        self._job = job
        self._state = self._shown = state
        self._is_stopping = False
        self._may_interrupt = False
        self._phase_began = (0.0, 0)  # when, and with how many units done
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="job-control", daemon=True)

    @property
    def state(self) -> JobState:
        """Where the job stands, whether it was written yet or not."""
        return self._state

    def __call__(self, what: str, done: int, total: int) -> None:
        """Note how far the work is; call it as often as you like.

        Raises:
            Stopped: somebody asked for it.
        """
        if self._is_stopping:
            raise Stopped
        now = time.monotonic()
        if what != self._state.what or done == self._phase_began[1]:  # starting up is no measure of the speed
            self._phase_began = (now, done)
        elapsed, gained = now - self._phase_began[0], done - self._phase_began[1]
        eta_s = elapsed / gained * (total - done) if gained > 0 and elapsed >= ETA_AFTER_S else None
        self._state = dataclasses.replace(self._state, what=what, done=done, total=total, eta_s=eta_s)

    @contextlib.contextmanager
    def interruptible(self, what: str) -> Iterator[None]:
        """Work that tells no progress, but may be left at any line when a stop is asked for."""
        self(what, 0, 0)
        self._may_interrupt = True
        try:
            yield
        finally:
            self._may_interrupt = False

    def handle_signal(self, *_: object) -> None:
        """The handler of SIGTERM, which must be set before this is entered: it stops the work."""
        self._is_stopping = True
        if self._may_interrupt:
            self._may_interrupt = False  # once: what cleans up after it must not be interrupted
            raise Stopped

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(timeout=10 * TICK_S)

    def _watch(self) -> None:
        while not self._is_over.wait(TICK_S):
            self._show()
            if not self._is_stopping and self._job.is_stop_requested:
                self._is_stopping = True
                signal.raise_signal(signal.SIGTERM)  # Python then calls handle_signal in the main thread

    def _show(self) -> None:
        state = self._state
        if state is self._shown:
            return
        # what the disk refuses to show must not end the work
        with contextlib.suppress(OSError):
            self._job.write_state(dataclasses.replace(state, updated_at=time.time()))
            self._shown = state


def main(job_dir: str) -> int:
    """Do the job in a folder.

    Returns:
        The exit code: 0 finished, 130 stopped, 1 failed or refused.
    """
    lower_priority()
    job = Job(Path(job_dir).resolve())
    state = _take_over(job)
    if state is None:
        print(f"The job {job.job_id} is over already; there is nothing to do.", file=sys.stderr)
        return EXIT_CODES[FAILED]
    control, reserve = JobControl(job, state), DiskReserve(job.folder / ".reserve")
    for number in (signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)):
        signal.signal(number, control.handle_signal)
    ending = _run(job, control, reserve)
    reserve.release()
    job.write_state(dataclasses.replace(ending, eta_s=None, updated_at=time.time()))
    return EXIT_CODES[ending.status]


def _take_over(job: Job) -> JobState | None:
    """The state with this process in it, once the starter has written its part; None when the job is over."""
    give_up_at = time.monotonic() + STARTER_WAIT_S  # a starter that was killed will never write
    while (state := job.state()).pid is None and not state.is_finished and time.monotonic() < give_up_at:
        time.sleep(0.01)
    if state.is_finished:
        return None
    pid, started = process_identity(os.getpid())
    return dataclasses.replace(state, pid=pid, pid_started=started)


def _run(job: Job, control: JobControl, reserve: DiskReserve) -> JobState:
    """Do the work, and give the state that it ended in; whatever happens becomes the job's last word."""
    try:
        reserve.fill()
        with control:
            gain = _work(job, job.request(), control)
        return dataclasses.replace(control.state, status=FINISHED, what="finished", **gain)
    except Stopped:
        return dataclasses.replace(control.state, status=STOPPED)
    except Exception as error:
        reserve.release()
        with contextlib.suppress(OSError):
            _log(error)
        return dataclasses.replace(control.state, status=FAILED, error=_describe(error, job))


def _work(job: Job, request: JobRequest, control: JobControl) -> dict[str, Any]:
    """Do it, and give the fields of the state that tell what came of it."""
    if request.kind == "prepare":
        _prepare(job, request, control)
        return {}
    if request.kind == "pretrain":
        return {"run_ids": _launch_pretraining(job, request, control)}
    if request.kind == "launch":
        return {"run_ids": _launch(job, request, control)}
    return _move_in_or_out(job, request, control)


def _move_in_or_out(job: Job, request: JobRequest, control: JobControl) -> dict[str, Any]:
    options = request.options or {}
    if request.kind == "import_run":
        from medpeft_core.exports.run_import import import_run

        imported = import_run(Path(options["path"]), home=job.home, progress=control)
        return {"run_ids": (imported.run_id,), "result": imported.to_dict()}
    if request.kind == "fetch_data":
        from medpeft_core.datasets.fetching import fetch_data

        return {"result": fetch_data(progress=control, **options)}
    if request.kind == "add_data":
        from medpeft_core.datasets.own.store import add_data

        return {"result": add_data(progress=control, **options)}
    if request.kind == "share_data":
        from medpeft_core.datasets.own.sharing import share_data

        return {"result": share_data(progress=control, **options)}
    if request.kind == "push_export":
        return {"result": {"address": _push(job, control, **options)}}
    with control.interruptible("loading the model library"):
        import torch  # noqa: F401  (seconds, which may be left at any line)
    if request.kind == "add_weights":
        from medpeft_core.backbones.shelf_adding import add_weights

        return {"result": add_weights(home=job.home, progress=control, **options)}
    from medpeft_core.exports.write import export_to_home

    return {"result": export_to_home(home=job.home, progress=control, **options)}


def _push(job: Job, control: JobControl, *, run_id: str, format: str, repo_id: str, private: bool) -> str:
    from medpeft_core.exports import EXPORTS
    from medpeft_core.exports.files import exports_dir
    from medpeft_core.exports.push import push_to_hub
    from medpeft_core.runs.store import RunStore

    run = RunStore(job.home).load(run_id)  # no text may lead to another folder
    folder = exports_dir(job.home) / run.run_id / EXPORTS[format].name
    return push_to_hub(folder, repo_id, private=private, progress=control)


def _prepare(job: Job, request: JobRequest, control: JobControl) -> None:
    control("reading the data set", 0, 0)
    # pandas takes half a second; the state tells of this process before
    from medpeft_core.config import DataConfig
    from medpeft_core.datasets.prepare import hide_patients, inspect_dataset
    from medpeft_core.sections import build_part

    report = inspect_dataset(build_part(DataConfig, request.data, section="data"), progress=control)
    control("writing the report", 0, 0)
    write_json(job.report_path, make_finite(hide_patients(report).to_dict()))


def _launch(job: Job, request: JobRequest, control: JobControl) -> tuple[str, ...]:
    control("reading the data set", 0, 0)
    from medpeft_core.config import RunConfig
    from medpeft_core.datasets.prepare import prepare_datasets
    from medpeft_core.runs.store import RunStore

    configs = [RunConfig.from_dict(config) for config in request.configs or ()]
    prepared = prepare_datasets([config.data for config in configs], progress=control)
    with control.interruptible("loading the model library"):
        from medpeft_core.training.setup import check_runs, create_runs  # heavy

        plans = check_runs(configs, prepared, progress=control)
    runs = create_runs(RunStore(job.home), plans, progress=control)
    return tuple(run.run_id for run in runs)


def _launch_pretraining(job: Job, request: JobRequest, control: JobControl) -> tuple[str, ...]:
    control("reading the data set", 0, 0)
    from medpeft_core.datasets.prepare import prepare_datasets
    from medpeft_core.pretrain_config import PretrainConfig
    from medpeft_core.runs.store import RunStore

    configs = [PretrainConfig.from_dict(config) for config in request.configs or ()]
    prepared = prepare_datasets([config.data for config in configs], progress=control)
    with control.interruptible("loading the model library"):
        from medpeft_core.pretraining.setup import check_pretraining, create_pretraining  # heavy

        plans = [check_pretraining(config, data) for config, data in zip(configs, prepared, strict=True)]
    store = RunStore(job.home)
    store.index.queued()  # a new index fills itself from the folders, by name; these shall be queued in their own order
    runs: list[Run] = []
    try:
        for plan in plans:
            control("creating runs", len(runs), len(plans))
            runs.append(create_pretraining(store, plan))
        control("creating runs", len(plans), len(plans))  # the last moment to stop: once queued, a run may begin
        for run in runs:
            store.index.enqueue(run.run_id, run.train_section().device)
    except BaseException:
        store.discard(runs)
        raise
    return tuple(run.run_id for run in runs)


def _describe(error: Exception, job: Job) -> str:
    if isinstance(error, MedPeftError):
        return str(error)
    if is_disk_full(error):
        return f"The disk is full: {error} (writing below {job.home}). Free some space, then start it again."
    if isinstance(error, MemoryError):
        return "The memory of this computer ran out. Close other programs, then start it again."
    return f"{type(error).__name__}: {error}. Its log has the details: {job.log_path}"


def _log(error: Exception) -> None:
    """A traceback, but not for what a user can mend, where it would only frighten."""
    text = str(error) if isinstance(error, MedPeftError) else "".join(traceback.format_exception(error)).rstrip()
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "request.json").is_file():
        print(
            "Give one argument, the folder of a job: python -m medpeft_core.worker.job_process JOB_DIR", file=sys.stderr
        )
        sys.exit(EXIT_USAGE)
    sys.exit(main(sys.argv[1]))
