"""All runs of one home: making, finding, settling, stopping and deleting them."""

import contextlib
import difflib
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Self

from medpeft_core.config import RunConfig
from medpeft_core.errors import RunError
from medpeft_core.paths import get_home
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.runs.creation import make_run_folder
from medpeft_core.runs.disk import describe_full_disk, is_disk_full
from medpeft_core.runs.index import LabIndex
from medpeft_core.runs.kinds import folder_of, kind_folders
from medpeft_core.runs.liveness import is_alive
from medpeft_core.runs.run import Run, find_all_runs, find_runs
from medpeft_core.runs.run_ids import check_run_id, is_run_id
from medpeft_core.runs.states import CANCELLED, FINISHED, INTERRUPTED, PAUSED, QUEUED, RUNNING, RunState, Status
from medpeft_core.runs.trash import DeletedRun, Trash

DEATH_MESSAGE = (
    "The process that trained this run ended without a word (out of memory or killed). "
    "Resume it to go on from its last checkpoint; if it happens again, halve train.batch_size in a new run."
)
WAITER_DEATH_MESSAGE = "The process that waited for a free device for this run ended. Resume the run to queue it again."
LAST_WORDS_S = 5.0  # a worker writes how it ended, then frees its device
_LAST_WORDS_POLL_S = 0.02


class RunStore:
    """The runs of both kinds below one home, with the index that coordinates the processes working on them.

    What is asked for by name or by a part of it may be of either kind; `list_runs` gives those that fine-tune only, for
    pages and tables that show results.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runs_dir, self.pretraining_dir = kind_folders(home)
        self.index = LabIndex(home)
        self.trash = Trash(home / "trash")

    @classmethod
    def open_default(cls) -> Self:
        """The store of `MEDPEFT_HOME`."""
        return cls(get_home())

    def create(
        self,
        config: RunConfig | PretrainConfig,
        *,
        status: Status = QUEUED,
        provenance: dict[str, Any],
        device: str | None = None,
    ) -> Run:
        """Make the folder of a new run, whole or not at all; it is not put into the queue.

        Args:
            config: resolved, so that the folder says everything.
            status: what the run is doing now.
            provenance: where it comes from.
            device: name of its lock: "cpu", "cuda:0" or "mps".

        Raises:
            RunError: the disk is full.
        """
        state = RunState(status=status, device=device, epochs=config.train.epochs, updated_at=time.time())
        return make_run_folder(self.home, config, state, provenance)

    def folder_of(self, run_id: str) -> Path:
        """Where the run of that name lies, or would lie."""
        return folder_of(self.home, run_id)

    def load(self, run_id: str) -> Run:
        """The run of that name, or the only one whose name begins with or contains the text; of either kind.

        Raises:
            RunError: no run fits, or several do.
        """
        if is_run_id(run_id) and self.folder_of(run_id).is_dir():
            return Run(self.folder_of(run_id))
        runs = {run.run_id: run for run in self.list_all()}
        beginning = [name for name in runs if run_id and name.startswith(run_id)]
        fitting = beginning or [name for name in runs if run_id and run_id in name]
        if len(fitting) == 1:
            return runs[fitting[0]]
        if fitting:
            shown = ", ".join(fitting[:8]) + (", ..." if len(fitting) > 8 else "")
            raise RunError(f"{len(fitting)} runs fit {run_id!r}: {shown}. Give more of the name.")
        if not runs:
            raise RunError(f"There is no run {run_id!r}; {self.runs_dir} holds no runs yet. Train one first.")
        near = difflib.get_close_matches(run_id, runs, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"The newest is {next(iter(runs))}."
        raise RunError(f"There is no run {run_id!r}. {hint} `python -m medpeft_core runs` lists all.")

    def list_runs(self) -> list[Run]:
        """Every run that fine-tunes, newest first; half-made folders and those of other origin are left out."""
        return sorted(find_runs(self.runs_dir), key=_age_key, reverse=True)

    def list_pretrainings(self) -> list[Run]:
        """Every pre-training, newest first, as `list_runs` does."""
        return sorted(find_runs(self.pretraining_dir), key=_age_key, reverse=True)

    def list_all(self) -> list[Run]:
        """The runs of both kinds, newest first."""
        return sorted(find_all_runs(self.home), key=_age_key, reverse=True)

    def settle(self, run: Run, *, reason: str = DEATH_MESSAGE) -> Run:
        """Mark a run `interrupted` that says it is worked on although its process is dead, and free its device.

        Args:
            run: any run; all others stay as they are.
            reason: what to write into the state as the error.

        Raises:
            RunError: the state is damaged.
        """
        state = run.state()
        if not _is_orphan(state) or not _is_orphan(state := run.state()):
            return run  # the second look: it may have written its last word between our reading and its death
        reason = WAITER_DEATH_MESSAGE if state.status == QUEUED else reason
        self.end_run(run, INTERRUPTED, error=reason)
        return run

    def end_run(self, run: Run, status: Status, *, error: str | None = None) -> RunState:
        """Write the last word about a run that no process works on, and free what it held.

        Raises:
            RunError: the disk is full.
        """
        state = _write_end(run, status, error)
        self.index.dequeue(run.run_id)
        self.index.release_run(run.run_id)
        return state

    def request_stop(self, run_id: str) -> Run:
        """Ask a running run to stop at its next step, or cancel a queued one.

        Raises:
            RunError: there is no such run, or it is not working.
        """
        run = self.settle(self.load(run_id))
        status = run.status
        if status not in (QUEUED, RUNNING, PAUSED):
            raise RunError(f"Run {run.run_id} is {status} already; only queued and running runs can be stopped.")
        self.index.request_stop(run.run_id)
        if status != RUNNING:
            # A worker that is starting at this moment refuses, or hears the request and keeps its device until then.
            _write_end(run, CANCELLED, None)
            self.index.dequeue(run.run_id)
            self.index.release_claims(run.run_id)
        return run

    def requeue(self, run_id: str) -> Run:
        """Put a run that ended before its work was done at the end of the queue; it goes on from its last checkpoint.

        Raises:
            RunError: there is no such run, or it is finished, in the queue or at work; or the disk is full.
        """
        run = self.settle(self.load(run_id))
        self._check_requeue(run)
        self.index.dequeue(run.run_id)  # an entry left by a crash would keep its old place
        self.index.release_run(run.run_id)
        before = run.state()
        device = before.device or run.train_section().device
        try:
            run.write_state(status=QUEUED, phase="waiting", pid=None, pid_started=None, error=None, eta_s=None)
            self.index.enqueue(run.run_id, device)
        except (RunError, OSError) as cause:
            with contextlib.suppress(RunError, OSError):
                run.write_state(**before.to_dict())  # else it would be queued for ever, and in no queue
            if isinstance(cause, OSError) and is_disk_full(cause):
                text = f"Run {run.run_id} was not queued. {describe_full_disk(cause, run.folder)}"
                raise RunError(text) from cause
            raise
        return run

    def delete(self, run_id: str) -> DeletedRun:
        """Move a run to the trash, from where `restore` brings it back for a week; base weights stay.

        Args:
            run_id: the whole name; parts are not enough here.

        Raises:
            RunError: no such run, it is being worked on, or the system keeps its files open.
        """
        check_run_id(run_id)
        run = self.load(run_id)
        if self._is_busy(run):
            raise RunError(f"Run {run.run_id} is being trained and cannot be deleted. Stop it first.")
        with contextlib.suppress(RunError):  # a damaged run is deleted as it is
            if run.status == QUEUED:
                _write_end(run, CANCELLED, None)  # else it would train without a word when it is brought back
        deleted = self.trash.take(run)
        with contextlib.suppress(RunError):  # rows about a run that is gone do no harm
            self.index.forget_run(run.run_id)
        self.trash.purge_expired()
        return deleted

    def discard(self, runs: Iterable[Run]) -> None:
        """Remove runs for good that nobody has seen yet, because one that was to be made with them could not be."""
        for run in runs:
            with contextlib.suppress(RunError, OSError):  # why the other could not be made is the error to be told
                self.delete(run.run_id)
                self.purge_deleted([run.run_id])

    def restore(self, run_id: str) -> Run:
        """Bring a deleted run back as it was; one that waited in the queue is cancelled, and can be queued again.

        Raises:
            RunError: it is not in the trash, or a run of that name is there again.
        """
        check_run_id(run_id)
        run = Run(self.folder_of(run_id))
        self.trash.give_back(self.trash.find(run_id), run.folder)
        return run

    def list_deleted(self) -> list[DeletedRun]:
        """The runs that `restore` can bring back, the last deleted first; `measure()` of each tells its bytes."""
        return self.trash.list_runs()

    def purge_deleted(self, run_ids: Collection[str] | None = None) -> list[str]:
        """Remove deleted runs for good, all or those named, and give the ids of those that were."""
        return self.trash.purge(run_ids)

    def _check_requeue(self, run: Run) -> None:
        """Refuse a run that must not be queued; one whose worker is at its last words is waited for.

        Raises:
            RunError: it is finished, in the queue, or at work.
        """
        state = run.state()
        if state.status == FINISHED:
            raise RunError(f"Run {run.run_id} is finished; there is nothing to go on with. Start a new one.")
        is_lost = state.status == QUEUED and state.pid is None and not self._is_in_queue(run)
        if not state.is_finished and not is_lost:
            remedy = "Wait until it is its turn" if state.status == QUEUED else "Wait for it or stop it"
            raise RunError(f"Run {run.run_id} is {state.status} already. {remedy}.")
        give_up_at = time.monotonic() + LAST_WORDS_S
        while any(lock.is_worker for lock in self.index.locks_of(run.run_id)):
            if time.monotonic() > give_up_at:
                raise RunError(f"The process of run {run.run_id} has not ended yet. Try again in a moment.")
            time.sleep(_LAST_WORDS_POLL_S)

    def _is_in_queue(self, run: Run) -> bool:
        return any(entry.run_id == run.run_id for entry in self.index.queued())

    def _is_busy(self, run: Run) -> bool:
        """Whether a living process works on a run; a damaged state or a full disk must not prevent deletion."""
        with contextlib.suppress(RunError):
            if self.settle(run).status in (RUNNING, PAUSED):
                return True
        with contextlib.suppress(RunError):
            return bool(self.index.locks_of(run.run_id))
        return False


def _is_orphan(state: RunState) -> bool:
    if state.status == RUNNING:
        return not is_alive(state.pid, state.pid_started)
    return state.status in (QUEUED, PAUSED) and state.pid is not None and not is_alive(state.pid, state.pid_started)


def _write_end(run: Run, status: Status, error: str | None) -> RunState:
    try:
        state = run.write_state(status=status, error=error, eta_s=None)
        run.emit({"type": "status", "status": status, "error": error})
    except OSError as cause:
        if not is_disk_full(cause):
            raise
        raise RunError(f"Run {run.run_id} is {status}. {describe_full_disk(cause, run.folder)}") from cause
    return state


def _age_key(run: Run) -> tuple[str, int, str]:
    try:
        written_ns = run.provenance_path.stat().st_mtime_ns  # the name tells the minute only
    except OSError:
        written_ns = 0
    return run.run_id[:13], written_ns, run.run_id
