"""Answers about uploads, asked for in the compute process and kept in the memory of the visit."""

import base64
import contextlib
from collections.abc import Collection
from concurrent.futures import CancelledError, Future
from typing import Any

import streamlit as st

from medpeft_core.datasets.decoded import Choices
from medpeft_core.datasets.uploads import Upload
from medpeft_core.errors import MedPeftError
from medpeft_core.runs.run import Run
from pages.widgets.lab import get_lab

ANSWERS_KEY, READY_KEY = "predict_answers", "predict_ready"
PATIENCE_S = 0.4  # a loaded model answers within this, and then nothing flickers

Answer = dict[str, Any]


def prepare(run: Run) -> None:
    """Begin to load the run's model, so that the first image need not wait; once for each run of a visit."""
    if st.session_state.get(READY_KEY) != run.run_id:
        st.session_state[READY_KEY] = run.run_id
        get_lab().compute.submit("predict_ready", slot="predict_ready", run_id=run.run_id)


def ask(run: Run, file_id: str, upload: Upload, label: str | None = None) -> "Future[Answer]":
    """The answer to come about an upload; asked for once.

    Args:
        run: whose model answers.
        file_id: of the upload in this visit.
        upload: what is sent; its name is not.
        label: whose map is drawn; None: the one that is most above its threshold.
    """
    answers = _get_answers()
    key = (run.run_id, file_id, label, upload.choices)  # another window or frame is another picture
    if key not in answers or answers[key].cancelled():
        answers[key] = get_lab().compute.submit(
            "predict",
            run_id=run.run_id,
            pixels=base64.b64encode(upload.pixels).decode(),
            source_size=list(upload.source_size),
            label=label,
        )
    return answers[key]


def wait_a_little(future: "Future[Answer]") -> None:
    """Wait as long as nobody would notice."""
    with contextlib.suppress(TimeoutError, CancelledError, MedPeftError):
        future.result(timeout=PATIENCE_S)


def read(future: "Future[Answer]") -> tuple[Answer | None, str]:
    """The answer and the problem of one that is done: one of them is there."""
    try:
        return future.result(timeout=0), ""
    except (CancelledError, TimeoutError):
        return None, "This image was not looked at. Press Try again."
    except MedPeftError as error:
        return None, str(error)


def forget_answers(file_ids: Collection[str] | None = None) -> None:
    """Drop answers, and what was not begun yet.

    Args:
        file_ids: of these uploads; None: of all.
    """
    answers = _get_answers()
    for key in [key for key in answers if file_ids is None or key[1] in file_ids]:
        answers.pop(key).cancel()


def forget_problems() -> None:
    """Drop the answers that failed, so that they are asked for again."""
    answers = _get_answers()
    for key, future in list(answers.items()):
        if future.done() and (future.cancelled() or future.exception() is not None):
            del answers[key]


def _get_answers() -> "dict[tuple[str, str, str | None, Choices | None], Future[Answer]]":
    answers: dict[tuple[str, str, str | None, Choices | None], Future[Answer]] = st.session_state.setdefault(
        ANSWERS_KEY, {}
    )
    return answers
