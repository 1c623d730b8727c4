"""One job: what was asked for, where it stands, and its folder `<home>/jobs/<job_id>`.

    request.json    what was asked for
    state.json      where it stands; written by the job's process while that lives
    stop            is there once somebody asked for a stop
    report.json     the data report of a finished prepare job
    log.txt         the process's own output

Nothing is kept in memory: every call reads what is on disk now. Starting and ending jobs is the work of `jobs.py`.
"""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from medpeft_core.errors import RunError
from medpeft_core.paths import read_json, write_json
from medpeft_core.runs.events import make_finite
from medpeft_core.runs.states import FAILED, FINISHED, INTERRUPTED, RUNNING, STOPPED

JobKind = Literal[
    "prepare", "launch", "pretrain", "add_weights", "export", "import_run", "push_export", "add_data", "share_data",
    "fetch_data",
]  # fmt: skip
JobStatus = Literal["running", "finished", "failed", "stopped", "interrupted"]

STATUSES: tuple[JobStatus, ...] = (RUNNING, FINISHED, FAILED, STOPPED, INTERRUPTED)
STOPPING = "stopping"
_ID_PATTERN = re.compile(rf"[0-9]{{8}}-[0-9]{{6}}-[0-9]{{6}}-({'|'.join(get_args(JobKind))})-[0-9a-f]{{4}}")
_LOG_TAIL_BYTES = 4000


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What a job is to do.

    Attributes:
        kind: "prepare" (read, check and decode a data set), "launch" or "pretrain" (set runs or pre-trainings up),
            "add_weights" (put weights on the shelf), "export" (write a run in another format), "import_run",
            "push_export" (send an export to the Hugging Face Hub), "add_data" (store a data set of one's own),
            "share_data" (write it into one file) or "fetch_data" (download one).
        title: one line for people.
        data: the resolved data section of a config, for a prepare job.
        configs: resolved configs of the runs to set up, for "launch" and "pretrain".
        options: what the other kinds are told, by name.
    """

    kind: JobKind
    title: str
    data: dict[str, Any] | None = None
    configs: list[dict[str, Any]] | None = None
    options: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """The same for two requests that ask for the same, whatever their titles."""
        text = json.dumps([self.kind, self.data, self.configs, self.options], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class JobState:
    """Where a job is.

    Attributes:
        status: one of `STATUSES`.
        what: what it is at, for people, such as "decoding images"; "stopping" once somebody asked for a stop.
        done: units of `what` that are finished.
        total: all units of `what`; 0 where it has none.
        eta_s: seconds to the end of `what`, from its speed so far; None while that is not known.
        error: one message for people, when the job failed or was interrupted.
        started_at: unix seconds.
        updated_at: unix seconds of the last change.
        pid: its process; None until that has been started.
        pid_started: when that process was created, in unix seconds; pid and start time together name one process.
        run_ids: the runs that a job made, in the order of the queue.
        result: what it found or made, for the kinds with options; None before its end.
    """

    status: JobStatus = RUNNING
    what: str = "starting"
    done: int = 0
    total: int = 0
    eta_s: float | None = None
    error: str | None = None
    started_at: float = 0.0
    updated_at: float = 0.0
    pid: int | None = None
    pid_started: float | None = None
    run_ids: tuple[str, ...] = ()
    result: dict[str, Any] | None = None

    @property
    def is_finished(self) -> bool:
        """No process works on the job any more."""
        return self.status != RUNNING

    def to_dict(self) -> dict[str, Any]:
        """What `state.json` holds."""
        return {**dataclasses.asdict(self), "run_ids": list(self.run_ids)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The state that `to_dict` described; keys of another version of the lab are ignored.

        Raises:
            ValueError: there is no status, or an unknown one.
        """
        if values.get("status") not in STATUSES:
            raise ValueError(f"status is {values.get('status')!r}, but it must be one of {', '.join(STATUSES)}")
        known = {item.name: values[item.name] for item in dataclasses.fields(cls) if item.name in values}
        return cls(**{**known, "run_ids": tuple(known.get("run_ids", ()))})


class Job:
    """The folder of one job.

    Args:
        folder: the job's own folder, `<home>/jobs/<job_id>`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"Job({str(self.folder)!r})"

    @property
    def job_id(self) -> str:
        return self.folder.name

    @property
    def home(self) -> Path:
        """The home of the lab that the job belongs to."""
        return self.folder.parent.parent

    @property
    def request_path(self) -> Path:
        return self.folder / "request.json"

    @property
    def state_path(self) -> Path:
        return self.folder / "state.json"

    @property
    def stop_path(self) -> Path:
        """A file that is there once somebody asked for a stop."""
        return self.folder / "stop"

    @property
    def report_path(self) -> Path:
        return self.folder / "report.json"

    @property
    def log_path(self) -> Path:
        """The output of the job's process."""
        return self.folder / "log.txt"

    @property
    def kind(self) -> JobKind:
        return self.request().kind

    @property
    def title(self) -> str:
        return self.request().title

    @property
    def is_finished(self) -> bool:
        """No process works on the job any more."""
        return self.state().is_finished

    @property
    def is_stop_requested(self) -> bool:
        """Whether somebody asked for a stop; a job that was at its end already is finished all the same."""
        return self.stop_path.exists()

    @property
    def is_whole(self) -> bool:
        """Whether it can be told what was asked for."""
        try:
            self.request()
        except RunError:
            return False
        return True

    def request(self) -> JobRequest:
        """What was asked for.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            return JobRequest(**read_json(self.request_path))
        except (OSError, ValueError, TypeError) as error:
            raise RunError(
                f"request.json of the job {self.job_id} is missing or damaged: {error}. Delete the job and start it "
                "again."
            ) from error

    def state(self) -> JobState:
        """Where the job is; "failed" with the reason where its file is missing or damaged."""
        try:
            state = JobState.from_dict(read_json(self.state_path))
        except (FileNotFoundError, ValueError, TypeError, AttributeError) as error:
            text = f"state.json of the job {self.job_id} is missing or damaged: {error}. Start the job again."
            return JobState(status=FAILED, what="", error=text)
        if not state.is_finished and self.is_stop_requested:
            return dataclasses.replace(state, what=STOPPING, eta_s=None)
        return state

    def write_state(self, state: JobState) -> None:
        """Replace the state.

        Raises:
            OSError: the disk is full.
        """
        write_json(self.state_path, make_finite(state.to_dict()))

    def report(self) -> dict[str, Any] | None:
        """The data report of a finished prepare job (`DataReport.to_dict`), or None.

        Raises:
            RunError: the file is damaged.
        """
        try:
            report: dict[str, Any] = read_json(self.report_path)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise RunError(
                f"report.json of the job {self.job_id} is damaged: {error}. Prepare the data set again."
            ) from error
        return report

    def last_line(self) -> str:
        """The last line of the log that says something, or ""."""
        try:
            tail = self.log_path.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", errors="replace")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(tail.splitlines()) if line.strip()), "")


def is_job_id(text: str) -> bool:
    """Whether `text` is the name of a job, such as "20261121-215403-481920-prepare-4f2a" (UTC, microseconds)."""
    return _ID_PATTERN.fullmatch(text) is not None
