"""What is known about the image on the page: from a stored answer at once, else from the compute process."""

import uuid
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.explain.stored import PICTURES, read_answer
from medpeft_core.runs.run import Run
from pages.widgets.explain_cases import Case
from pages.widgets.lab import get_lab

Answer = dict[str, Any]


def ask(run: Run, image: str, label: str, *, place: str) -> "Future[Answer]":
    """The answer, or the promise of one; an image that was left before its turn came is not computed.

    Args:
        place: which of the pictures of a visit it is for; a newer question for it replaces an older one.
    """
    wanted = (run.run_id, image, label)
    questions = st.session_state.setdefault("explain_questions", {})
    kept, future = questions.get(place, (None, None))
    if kept == wanted and future is not None and not future.cancelled() and not _has_lost_files(future):
        return future  # also one that failed: it is told, and asked again on demand
    stored = read_answer(run, image, label)
    if stored is not None:
        future = Future()
        future.set_result(stored)
    else:
        future = get_lab().compute.submit(
            "explain", slot=f"{_visit()}-{place}", run_id=run.run_id, image=image, label=label
        )
    questions[place] = (wanted, future)
    return future


def _has_lost_files(future: "Future[Answer]") -> bool:
    """Whether an answer names pictures that have been cleared away since."""
    if not future.done() or future.exception() is not None:
        return False
    answer = future.result()
    return any(answer[name] is not None and not Path(answer[name]).is_file() for name in PICTURES)


def forget() -> None:
    """Ask again."""
    st.session_state.pop("explain_questions", None)


def prepare_next(run: Run, case: Case) -> None:
    """Have the map of the next image drawn while nobody waits."""
    if case.following is None:
        return
    image, label = case.following
    wanted = (run.run_id, image, label)
    if st.session_state.get("explain_ahead") == wanted:
        return
    st.session_state["explain_ahead"] = wanted
    if read_answer(run, image, label) is None:
        slot = f"{_visit()}-ahead"
        get_lab().compute.submit("explain_ahead", slot=slot, run_id=run.run_id, image=image, label=label)


def _visit() -> str:
    """A name for this visit, so that two visitors do not cancel each other's questions."""
    return st.session_state.setdefault("explain_visit", f"explain-{uuid.uuid4().hex}")
