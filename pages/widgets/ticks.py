"""Tells what a person did from what a clock did: live parts of a page, as in the sidebar, renew themselves.

A tick that leaves the browser between a click and its answer brings the address and the fields as they were before the
answer. Streamlit takes a field that the answer has set for one that somebody has changed, and calls its `on_change`.
"""

from streamlit.runtime.scriptrunner import get_script_run_ctx


def is_part_renewed() -> bool:
    """Whether only a fragment runs: a callback of a widget outside all fragments is then not meant by anybody."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and bool(context.fragment_ids_this_run)
