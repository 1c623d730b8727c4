"""Deleting the selected runs, taking that back, and what was deleted in the last days."""

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.runs.kinds import is_pretraining_id
from medpeft_core.runs.store import RunStore
from medpeft_core.runs.trash import KEEP_DAYS, DeletedRun
from pages.widgets.compare_selection import deselect, replace_selection
from pages.widgets.runs_table import hash_ids
from pages.widgets.wording import escape_markdown, write_ago, write_bytes

DELETED, REFUSED = "compare_just_deleted", "compare_refused"
ROW_HEIGHT, HEADER_HEIGHT, MAX_ROWS = 35, 38, 8


def draw_delete(store: RunStore, selected: Sequence[str]) -> None:
    """The button; it asks nothing, because the next line on the page takes it back. Not in a fragment, no callback."""
    if st.button(
        "Delete",
        icon=":material/delete:",
        key="compare_delete",
        help=f"To the trash, which keeps runs for {KEEP_DAYS} days. Base weights stay.",
    ):
        deleted, refused = [], []
        for run_id in selected:
            try:
                store.delete(run_id)
                deleted.append(run_id)
            except MedPeftError as error:
                refused.append(str(error))
        st.session_state[DELETED], st.session_state[REFUSED] = deleted, refused
        deselect(deleted)
        st.rerun()


def draw_undo(store: RunStore) -> None:
    """After a deletion: what was deleted and what was not, with *Undo*, until it is used or closed."""
    refused = st.session_state.pop(REFUSED, [])
    if refused:
        st.warning(escape_markdown("  \n".join(refused)), title="That could not be done", icon=":material/block:")
    deleted = [run_id for run_id in st.session_state.get(DELETED, []) if _is_in_trash(store, run_id)]
    if not deleted:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="compare_undo_bar"):
        count = "1 run" if len(deleted) == 1 else f"{len(deleted)} runs"
        st.markdown(f":material/delete: {count} deleted.", width="content")
        is_undone = st.button("Undo", icon=":material/undo:", type="primary", key="compare_undo")
        is_closed = st.button("Close", type="tertiary", icon=":material/close:", key="compare_undo_close")
    if is_undone:
        replace_selection(_restore(store, deleted))
    if is_undone or is_closed:
        st.session_state.pop(DELETED, None)
        st.rerun()


def draw_recently_deleted(store: RunStore) -> None:
    """What can still be brought back, each with its size; nothing when the trash is empty."""
    items = [item for item in store.list_deleted() if not is_pretraining_id(item.run_id)]  # they have their own page
    if not items:
        return
    place = st.expander(
        f"Recently deleted ({len(items)})",
        icon=":material/delete_history:",
        on_change="rerun",
        key="compare_recently_deleted",
    )
    if not place.open:
        return  # sizes are measured only for those who look
    with place:
        store.trash.purge_expired()
        sizes = [item.measure() for item in items]
        st.caption(
            f"Removed for good {KEEP_DAYS} days after their deletion. Until then they take {write_bytes(sum(sizes))}."
        )
        frame = build_deleted_frame(items, sizes)
        event = st.dataframe(
            frame,
            key=f"compare_deleted_{hash_ids([item.folder.name for item in items])}",
            hide_index=True,
            lazy=False,
            on_select="rerun",
            selection_mode="multi-row",
            row_height=ROW_HEIGHT,
            height=HEADER_HEIGHT + ROW_HEIGHT * min(len(frame), MAX_ROWS),
            alt=f"Table of {len(frame)} deleted runs with size and date.",
        )
        chosen = [items[row].run_id for row in event["selection"]["rows"]]
        with st.container(horizontal=True):
            wanted = chosen or [item.run_id for item in items]
            what = f"{len(chosen)} selected" if chosen else "all"
            if st.button(f"Bring back {what}", icon=":material/undo:", key="compare_restore"):
                _restore(store, wanted)
                st.rerun()
            if st.button(f"Remove {what} for good", icon=":material/delete_forever:", key="compare_purge"):
                freed = [size for item, size in zip(items, sizes, strict=True) if item.run_id in wanted]
                _confirm_purge(store, wanted, sum(freed))


def build_deleted_frame(items: Sequence[DeletedRun], sizes: Sequence[int]) -> pd.DataFrame:
    """A row per deleted run: its name, when it was deleted, until when it is kept, and its size."""
    return pd.DataFrame(
        {
            "Run": [item.run_id for item in items],
            "Deleted": [write_ago(item.deleted_at) for item in items],
            "Kept until": [datetime.fromtimestamp(item.kept_until).strftime("%Y-%m-%d %H:%M") for item in items],
            "Size": [write_bytes(size) for size in sizes],
        }
    )


@st.dialog("Remove for good?", icon=":material/delete_forever:")
def _confirm_purge(store: RunStore, run_ids: Sequence[str], num_bytes: int) -> None:
    count = "1 run" if len(run_ids) == 1 else f"{len(run_ids)} runs"
    st.markdown(f"{count} cannot be brought back afterwards. This frees {write_bytes(num_bytes)}.")
    with st.container(horizontal=True):
        is_sure = st.button(
            "Remove for good",
            type="primary",
            icon=":material/delete_forever:",
            key="compare_purge_sure",
            on_click=store.purge_deleted,
            args=(list(run_ids),),
        )
        if st.button("Keep", key="compare_purge_refused") or is_sure:
            st.rerun()  # closes the dialog


def _restore(store: RunStore, run_ids: Sequence[str]) -> list[str]:
    """Bring runs back as far as that is possible, say what was not, and give the ids of those that are back."""
    restored, problems = [], []
    for run_id in run_ids:
        try:
            restored.append(store.restore(run_id).run_id)
        except MedPeftError as error:
            problems.append(str(error))
    if problems:
        st.session_state[REFUSED] = problems
    if restored:
        count = "1 run is" if len(restored) == 1 else f"{len(restored)} runs are"
        st.toast(f"{count} back.", icon=":material/undo:")
    return restored


def _is_in_trash(store: RunStore, run_id: str) -> bool:
    """A run that somebody else brought back or removed for good needs no undo."""
    return any(item.run_id == run_id for item in store.list_deleted())
