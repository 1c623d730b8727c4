"""What the page of the second lesson stands on: its run in this home, the stored result, and the answers of a run."""

import time
import uuid
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.explain.masked_files import ABOUT_FILE, find_masked, masked_key, read_masked
from medpeft_core.lessons.shortcut import FINDING, find_run, list_runs
from medpeft_core.lessons.shortcut_result import build_result
from medpeft_core.lessons.shortcut_stored import RESULT_FILE, STORED_DIR, Outcome, load_stored
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from pages.widgets.lab import get_lab
from pages.widgets.run_status import ACTIVE

KEY = "lesson_shortcut"
JOB_TITLE = "Lesson, first step: drawing its images"
QUESTIONS_KEY = f"{KEY}_questions"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the compute process was asked about a run.

    Attributes:
        future: gives {"folder"}.
        asked_at: when, on the clock `time.monotonic`.
    """

    future: "Future[dict[str, Any]]"
    asked_at: float


def find_own_runs() -> tuple[Run | None, Run | None]:
    """The lesson's run in this home that is to be shown (one at work, else a finished one, else the newest), and the
    one whose answers count (the newest finished one)."""
    runs = list_runs(get_lab().store)
    working = next((run for run in runs if run.status in ACTIVE), None)
    best = find_run(runs)
    return working or best, best if best is not None and best.status == FINISHED else None


def find_job() -> Any | None:
    """The job that draws the images and then queues the run, while it works."""
    jobs = get_lab().jobs.list_jobs()
    return next((job for job in jobs if job.title == JOB_TITLE and not job.is_finished), None)


def find_last_job() -> Any | None:
    """The newest of these jobs, in whatever state."""
    return next((job for job in get_lab().jobs.list_jobs() if job.title == JOB_TITLE), None)


def get_stored() -> Outcome | None:
    """The result that ships with the lab; raises as `load_stored`."""
    path = STORED_DIR / RESULT_FILE
    return _read_stored(str(STORED_DIR), path.stat().st_mtime_ns if path.is_file() else 0)


def find_outcome(run: Run) -> Outcome | None:
    """What is known of a finished run without asking anybody; None before the compute process was asked.

    Raises:
        ExplainError: the answers are damaged.
    """
    folder = find_masked(run)
    if folder is None:
        return None
    return _build_outcome(str(folder), masked_key(run), (folder / ABOUT_FILE).stat().st_mtime_ns)


def ask(run: Run) -> Question:
    """Have the run asked again with the marker painted over, once for all pages of this visit."""
    questions: dict[str, Question] = st.session_state.setdefault(QUESTIONS_KEY, {})
    kept = questions.get(run.run_id)
    if kept is None or kept.future.cancelled():
        visit = st.session_state.setdefault(f"{KEY}_visit", f"{KEY}-{uuid.uuid4().hex}")
        future = get_lab().compute.submit("mask_shortcut", slot=visit, run_id=run.run_id, finding=FINDING)
        questions[run.run_id] = kept = Question(future=future, asked_at=time.monotonic())
    return kept


def forget(run: Run) -> None:
    """Let the next `ask` ask again."""
    st.session_state.get(QUESTIONS_KEY, {}).pop(run.run_id, None)


@st.cache_data(show_spinner=False, max_entries=2)
def _read_stored(folder: str, changed_ns: int) -> Outcome | None:
    return load_stored(Path(folder))


@st.cache_data(show_spinner=False, max_entries=8)
def _build_outcome(folder: str, key: str, changed_ns: int) -> Outcome:
    masked = read_masked(Path(folder))
    return Outcome(result=build_result(masked), masked=masked)
