"""Pre-trainings that were deleted within the last week, each with the button that brings it back."""

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.runs.kinds import is_pretraining_id
from medpeft_core.runs.trash import KEEP_DAYS
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown, write_ago


def draw_pretrain_trash() -> None:
    """The list, folded away; nothing when none was deleted."""
    store = get_lab().store
    items = [item for item in store.list_deleted() if is_pretraining_id(item.run_id)]
    if not items:
        return
    with st.expander(f"Recently deleted ({len(items)})", icon=":material/delete_history:"):
        st.caption(f"Removed for good {KEEP_DAYS} days after their deletion.")
        for item in items:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"`{item.run_id}`", width="content")
                st.caption(f"deleted {write_ago(item.deleted_at)}", width="content")
                if st.button("Bring back", icon=":material/undo:", type="tertiary", key=f"pretrain_back_{item.run_id}"):
                    _restore(item.run_id)
                    st.rerun()


def _restore(run_id: str) -> None:
    try:
        get_lab().store.restore(run_id)
    except MedPeftError as error:
        st.toast(escape_markdown(str(error)), icon=":material/info:", duration="long")
        return
    st.toast("It is back.", icon=":material/undo:")
