"""The columns of a table of one's own: what each is used for, to be corrected in place."""

from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.datasets.own.proposal import ROLES, ColumnGuess, Proposal
from pages.widgets.own_draft import Draft

TITLES = {
    "image": "Image file",
    "patient": "Patient",
    "split": "Split (train, val, test)",
    "label": "Label",
    "age": "Age",
    "sex": "Sex",
    "view": "View",
    "laterality": "Side",
    "site": "Site",
    "date": "Date",
    "mask": "Mask file",
    "unused": "not used",
}
NAME, ROLE, EXAMPLES, VALUES, EMPTY, WHY = "Column", "Used as", "Examples", "Values", "Empty", "Why"
ROUND_KEY = "own_columns_round"
MAX_ROWS, ROW_HEIGHT = 12, 35
NAME_WIDTH, ROLE_WIDTH, EXAMPLES_WIDTH, NUMBER_WIDTH = 130, 150, 170, 70  # pixels; the reason has the rest
HINT = (
    "Wrong? Double-click or tap twice on a cell of *Used as*, or press Enter on it, and choose; the lab looks again at "
    "once."
)


def draw_columns(proposal: Proposal, draft: Draft) -> None:
    """The editable table; a change is taken over, and the page is drawn anew with what then comes out."""
    if not proposal.columns:
        return
    roles = {column.name: column.role for column in proposal.columns}
    frame = build_column_table(proposal.columns)
    num_rows = len(proposal.columns)
    st.markdown("**What the columns are used for**")
    edited = st.data_editor(
        frame,
        hide_index=True,
        width="stretch",
        height=ROW_HEIGHT * (min(num_rows, MAX_ROWS) + 1) + 3,
        disabled=[NAME, EXAMPLES, VALUES, EMPTY, WHY],
        column_config={
            NAME: st.column_config.TextColumn(NAME, width=NAME_WIDTH),
            ROLE: st.column_config.SelectboxColumn(
                ROLE, options=[TITLES[role] for role in ROLES], required=True, width=ROLE_WIDTH
            ),
            EXAMPLES: st.column_config.TextColumn(EXAMPLES, width=EXAMPLES_WIDTH),
            VALUES: st.column_config.NumberColumn(
                VALUES, width=NUMBER_WIDTH, format="localized", help="Different values that are not empty."
            ),
            EMPTY: st.column_config.NumberColumn(
                EMPTY, width=NUMBER_WIDTH, format="localized", help="Rows without a value."
            ),
            WHY: st.column_config.TextColumn(WHY, width="large"),
        },
        key=f"own_columns_{st.session_state.get(ROUND_KEY, 0)}",
        alt="Columns of the table: " + "; ".join(f"{name}: {TITLES[role]}" for name, role in roles.items()),
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(HINT, width="content")
        st.button(
            "Back to the lab's guess",
            key="own_guess",
            icon=":material/undo:",
            type="tertiary",
            disabled=not draft.get("roles"),
            on_click=_forget,
            args=(draft,),
        )
    changed = find_changes(roles, list(edited[ROLE]))
    if changed:
        draft["roles"] = {**draft.get("roles", {}), **changed}
        # another key: what was typed into this editor is in the draft now, and must not be applied twice
        st.session_state[ROUND_KEY] = st.session_state.get(ROUND_KEY, 0) + 1
        st.rerun()


def build_column_table(columns: tuple[ColumnGuess, ...]) -> pd.DataFrame:
    """A row for each column of the table."""
    rows: list[dict[str, Any]] = []
    for column in columns:
        rows.append(
            {
                NAME: column.name,
                ROLE: TITLES[column.role],
                EXAMPLES: " · ".join(column.examples),
                VALUES: column.num_values,
                EMPTY: column.num_empty,
                WHY: column.why,
            }
        )
    return pd.DataFrame(rows, columns=[NAME, ROLE, EXAMPLES, VALUES, EMPTY, WHY])


def find_changes(roles: dict[str, Any], titles: list[str]) -> dict[str, str]:
    """The columns whose role somebody has changed, with the new one.

    Args:
        roles: of each column, in the order of the table.
        titles: what the editor shows now, in the same order.
    """
    found = {name: _find_role(title) for name, title in zip(roles, titles, strict=True)}
    return {name: role for name, role in found.items() if role is not None and role != roles[name]}


def _find_role(title: str) -> str | None:
    return next((role for role, known in TITLES.items() if known == title), None)


def _forget(draft: Draft) -> None:
    draft.pop("roles", None)
    st.session_state[ROUND_KEY] = st.session_state.get(ROUND_KEY, 0) + 1
