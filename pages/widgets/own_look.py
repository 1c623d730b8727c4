"""A first look at own images: what the lab takes them for, kept until the folder or a correction changes."""

import json
import time
from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.datasets.own.proposal import Proposal
from medpeft_core.datasets.own.propose import propose
from pages.widgets.own_draft import Draft
from pages.widgets.wording import escape_markdown

LOOKED_KEY = "own_looked"
AGAIN_KEY = "own_look_again"  # how often somebody asked for another look
PATIENCE_S = 1.5  # before progress is shown


def look(root: Path, draft: Draft) -> Proposal:
    """The proposal for a folder with what was corrected; looks at the files only when one of the two is new.

    Raises:
        MedPeftError: there is nothing in the folder that could be read.
    """
    asked: dict[str, Any] = {
        "form": draft.get("form"),
        "table": draft.get("table"),
        "options": draft.get("options") or None,
        "roles": draft.get("roles") or None,
    }
    key = json.dumps(
        [str(root.resolve()), asked, count_looks(), draft.get("upload")],
        sort_keys=True,
        default=str,
    )
    known = st.session_state.get(LOOKED_KEY)
    if known is None or known[0] != key:
        place = st.empty()
        known = (key, propose(root, **asked, progress=_Teller(place)))
        place.empty()
        st.session_state[LOOKED_KEY] = known
    return known[1]


def look_again() -> None:
    """The files have changed: what was found before does not hold."""
    st.session_state[AGAIN_KEY] = count_looks() + 1


def count_looks() -> int:
    """How often this visitor asked for another look."""
    return int(st.session_state.get(AGAIN_KEY, 0))


class _Teller:
    """Shows how far a look is once it takes longer than people wait without a word."""

    def __init__(self, place: Any) -> None:
        self._place = place
        self._began = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        if time.monotonic() - self._began > PATIENCE_S:
            share = min(done / total, 1.0) if total else 0.0
            self._place.progress(
                share,
                text=f"{escape_markdown(what[:1].upper() + what[1:])}, {done:,} of {total:,}"
                if total
                else what.capitalize(),
            )
