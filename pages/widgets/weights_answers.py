"""What the compute process says of a weights file or a repository: asked for by a click, looked at until it comes."""

import json
import secrets
from concurrent.futures import CancelledError
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from pages.widgets.lab import get_lab
from pages.widgets.train_answers import Answer

ASKED_KEY = "weights_asked"
VISITOR_KEY = "weights_visitor"
POLL_EVERY_S = 0.5


def ask(kind: str, arguments: dict[str, Any]) -> None:
    """Send a request; a newer one of the same kind takes its place.

    Args:
        kind: as the compute process names it.
        arguments: plain JSON values.
    """
    slot = f"weights-{kind}-{st.session_state.setdefault(VISITOR_KEY, secrets.token_hex(8))}"
    future = get_lab().compute.submit(kind, slot=slot, **arguments)
    st.session_state.setdefault(ASKED_KEY, {})[kind] = (_name(arguments), future)


def find_answer(kind: str, arguments: dict[str, Any]) -> Answer | None:
    """The answer to the last request of a kind; None when it was about something else, or none was sent."""
    request, future = st.session_state.get(ASKED_KEY, {}).get(kind, (None, None))
    if request != _name(arguments):
        return None
    if not future.done():
        return Answer()
    try:
        return Answer(value=future.result())
    except CancelledError:
        return None
    except MedPeftError as error:
        return Answer(problem=str(error))


def wait_for(kind: str, words: str) -> None:
    """Say that an answer is awaited, and draw the page anew when it is there. Not to be called in a fragment."""
    st.fragment(_wait, run_every=POLL_EVERY_S)(kind, words)


def _wait(kind: str, words: str) -> None:
    future = st.session_state.get(ASKED_KEY, {}).get(kind, (None, None))[1]
    if future is None or future.done():
        st.rerun()
    st.caption(f":material/hourglass_top: {words}")


def _name(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True)
