"""All jobs of one home: starting, finding, settling, stopping and deleting them. Light; their work is `job_process.py`.

A job prepares a data set or sets runs up, in a process of its own that outlives whoever started it.
"""

import contextlib
import dataclasses
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock

from medpeft_core.config import DataConfig, RunConfig
from medpeft_core.errors import ConfigError, RunError
from medpeft_core.paths import ensure_dir, write_json
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.pretrain_resolve import resolve_pretraining
from medpeft_core.resolve import resolve_config, resolve_data
from medpeft_core.runs.disk import is_disk_full
from medpeft_core.runs.liveness import is_alive, process_identity
from medpeft_core.runs.states import INTERRUPTED
from medpeft_core.sections import build_part
from medpeft_core.worker.job_state import Job, JobKind, JobRequest, JobState, is_job_id
from medpeft_core.worker.processes import start_detached

__all__ = ["Job", "JobKind", "JobRequest", "JobState", "JobStore"]

KEPT_JOBS = 30
START_TIMEOUT_S = 30.0  # between the making of a job's folder and the start of its process, which takes milliseconds
DEATH_MESSAGE = (
    "The process of this job ended without a word (killed, out of memory, or the computer was switched off). Nothing "
    "half done is used. Start it again."
)
WITH_OPTIONS = ("add_weights", "export", "import_run", "push_export", "add_data", "share_data", "fetch_data")
_LOCK_TIMEOUT_S = 20.0
_NEW_PREFIX, _TRASH_PREFIX = ".new-", ".trash-"

Process = subprocess.Popen[bytes]


class JobStore:
    """The jobs below `<home>/jobs`; may be used from several threads and processes.

    Args:
        home: the lab's folder. Nothing is made before the first job.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.jobs_dir = home / "jobs"
        self._processes: dict[str, Process] = {}  # our children: asked for their end, they leave no zombies

    def start(
        self,
        kind: JobKind,
        title: str,
        *,
        data: dict[str, Any] | None = None,
        configs: list[dict[str, Any]] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Job:
        """Start a job, or give the running one that does the same already.

        Args:
            kind: as in `JobRequest`.
            title: one line for people.
            data: for "prepare": a `DataConfig` as a dict, resolved or not.
            configs: for "launch": one or more `RunConfig.to_dict()`, resolved or not; for "pretrain": of
                `PretrainConfig`.
            options: for the other kinds, the arguments of the function that `job_process` calls for each.

        Raises:
            MedPeftError: a setting is wrong, or the disk is full; then there is no new job.
        """
        request = _resolve(kind, title, data, configs, options)
        with self._locked():
            for job in self._tidy():
                if job.is_whole and not job.is_stop_requested and job.request().key == request.key:
                    return job
            return self._start(request)

    def list_jobs(self) -> list[Job]:
        """Every job, newest first, settled; damaged ones and folders of other origin are left out."""
        return [self.settle(job) for job in self._find_folders() if job.is_whole]

    def load(self, job_id: str) -> Job:
        """The job of that name, settled.

        Raises:
            RunError: there is none, or the text is not the name of a job.
        """
        if not is_job_id(job_id):  # checked first: no text may lead to another folder
            raise RunError(f"{job_id!r} is not the name of a job. The Data page lists all.")
        job = Job(self.jobs_dir / job_id)
        if not job.folder.is_dir():
            raise RunError(f"There is no job {job_id}; only the newest {KEPT_JOBS} are kept. Start it again.")
        return self.settle(job)

    def settle(self, job: Job) -> Job:
        """Mark a job `interrupted` that says it is running although its process is dead."""
        for job_id, process in list(self._processes.items()):
            if process.poll() is not None:
                self._processes.pop(job_id, None)
        if not _is_orphan(job.state()):
            return job
        state = job.state()  # again: it may have written its last word between our reading and its death
        if _is_orphan(state):
            last_line = job.last_line()
            error = f"{DEATH_MESSAGE} The last line of its log: {last_line}" if last_line else DEATH_MESSAGE
            with contextlib.suppress(OSError):  # on a full disk it stays as it is until somebody looks again
                job.write_state(_ended(state, error))
        return job

    def request_stop(self, job_id: str) -> Job:
        """Ask a job to stop; it looks three times a second. One that is over stays as it is.

        Raises:
            RunError: there is no such job, or the disk is full.
        """
        job = self.load(job_id)
        if not job.is_finished:
            with _disk_errors("The job cannot be told to stop", job.folder):
                job.stop_path.touch()
        return job

    def delete(self, job_id: str) -> None:
        """Remove a job's folder. What it made (decoded images, runs) stays.

        Raises:
            RunError: there is no such job, it is running, or the system keeps its files open.
        """
        job = self.load(job_id)
        if not job.is_finished:
            raise RunError(f"The job {job_id} is running and cannot be deleted. Stop it first.")
        try:
            _remove(job)
        except PermissionError as error:
            raise RunError(
                f"The job {job_id} cannot be deleted: {error}. Close the programs that use its files."
            ) from error

    def _find_folders(self) -> list[Job]:
        """Whatever is named like a job, newest first."""
        try:
            names = [item.name for item in os.scandir(self.jobs_dir) if is_job_id(item.name) and item.is_dir()]
        except FileNotFoundError:
            return []
        return [Job(self.jobs_dir / name) for name in sorted(names, reverse=True)]

    def _start(self, request: JobRequest) -> Job:
        with _disk_errors("The job cannot be started", self.jobs_dir):
            job = self._create(request)
            process: Process | None = None
            try:
                process = start_process(job)
                pid, started = process_identity(process.pid)
                # The process waits for this; from now on only it writes the state.
                job.write_state(dataclasses.replace(job.state(), pid=pid, pid_started=started, updated_at=time.time()))
            except OSError:
                if process is not None:
                    process.kill()
                    process.wait()
                shutil.rmtree(job.folder, ignore_errors=True)
                raise
        self._processes[job.job_id] = process
        return job

    def _create(self, request: JobRequest) -> Job:
        """The folder of a new job, visible from the moment it is whole."""
        draft = self.jobs_dir / f"{_NEW_PREFIX}{secrets.token_hex(8)}"
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{request.kind}-{secrets.token_hex(2)}"
        now = time.time()
        draft.mkdir()
        write_json(draft / "request.json", dataclasses.asdict(request))
        write_json(draft / "state.json", JobState(started_at=now, updated_at=now).to_dict())
        draft.rename(self.jobs_dir / name)
        return Job(self.jobs_dir / name)

    def _tidy(self) -> list[Job]:
        """Remove all but the newest finished jobs, and what a killed program left half made; gives the running ones."""
        running: list[Job] = []
        finished: list[Job] = []
        for job in self._find_folders():
            (finished if self.settle(job).is_finished else running).append(job)
        for job in finished[KEPT_JOBS:]:
            with contextlib.suppress(OSError):
                _remove(job)
        for prefix in (_NEW_PREFIX, _TRASH_PREFIX):
            for folder in self.jobs_dir.glob(f"{prefix}*"):
                shutil.rmtree(folder, ignore_errors=True)
        return running

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One start at a time, in all processes."""
        with _disk_errors("The job cannot be started", self.jobs_dir):
            lock = filelock.FileLock(ensure_dir(self.jobs_dir) / ".lock")
            try:
                lock.acquire(timeout=_LOCK_TIMEOUT_S)
            except filelock.Timeout as error:
                raise RunError("Another job is just being started. Try again in a moment.") from error
        try:
            yield
        finally:
            lock.release()


def start_process(job: Job) -> Process:
    """Start the process of a job; it outlives this one. Its output goes to the job's log.txt."""
    return start_detached("medpeft_core.worker.job_process", job.folder, home=job.home, log_path=job.log_path)


def _resolve(
    kind: JobKind,
    title: str,
    data: dict[str, Any] | None,
    configs: list[dict[str, Any]] | None,
    options: dict[str, Any] | None,
) -> JobRequest:
    """The request with every default filled in, so that equal ones are equal and mistakes show before a job exists."""
    if kind == "prepare":
        section = resolve_data(build_part(DataConfig, data or {}, section="data"))
        return JobRequest(kind=kind, title=title, data=dataclasses.asdict(section))
    if kind == "pretrain":
        return JobRequest(kind=kind, title=title, configs=_resolve_pretrainings(configs or []))
    if kind in WITH_OPTIONS:
        return JobRequest(kind=kind, title=title, options=options or {})
    if not configs:
        raise ConfigError("There is no run to launch. Choose at least one method.")
    resolved = [resolve_config(RunConfig.from_dict(config)).to_dict() for config in configs]
    return JobRequest(kind=kind, title=title, configs=resolved)


def _resolve_pretrainings(configs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not configs:
        raise ConfigError("There is no pre-training to launch. Choose a data set and a backbone.")
    return [resolve_pretraining(PretrainConfig.from_dict(config)).to_dict() for config in configs]


def _is_orphan(state: JobState) -> bool:
    if state.is_finished:
        return False
    if state.pid is None:  # whoever started it died in between
        return time.time() - state.started_at > START_TIMEOUT_S
    return not is_alive(state.pid, state.pid_started)


def _ended(state: JobState, error: str) -> JobState:
    return dataclasses.replace(state, status=INTERRUPTED, error=error, eta_s=None, updated_at=time.time())


def _remove(job: Job) -> None:
    trash = job.folder.parent / f"{_TRASH_PREFIX}{secrets.token_hex(8)}"
    job.folder.rename(trash)
    shutil.rmtree(trash, ignore_errors=True)


@contextlib.contextmanager
def _disk_errors(what: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise RunError(f"{what}. The disk is full: {error} (writing below {folder}). Free some space.") from error
