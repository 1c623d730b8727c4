"""Which columns the table of runs has; kept for the visit, and in the address, so that a link shows the same table."""

import streamlit as st

from pages.widgets.runs_table import ALL_COLUMNS, USUAL_COLUMNS, title_columns

KEY = "columns"  # also the name in the address
FIXED = ("status", "run_id")  # a table without them tells nothing


def choose_columns() -> list[str]:
    """Draw the menu, and give the columns in the order in which they were chosen, status and name first."""
    titles = title_columns()
    options = [name for name in ALL_COLUMNS if name not in FIXED]
    usual = [name for name in USUAL_COLUMNS if name not in FIXED]
    with st.popover("Columns", icon=":material/view_column:", key="compare_columns_menu"):
        chosen = st.multiselect(
            "Columns, in this order",
            options,
            default=usual,
            format_func=lambda name: titles[name],
            key=KEY,
            bind="query-params",
            persist_state="session",
            width=420,
        )
        st.caption("Status and run are always there. A click on a heading sorts by it.")
    return [*FIXED, *chosen]
