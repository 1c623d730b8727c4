"""The last step of adding own images: a name, and the button that stores and prepares them."""

from pathlib import Path

import streamlit as st

from medpeft_core.datasets.own.proposal import Proposal
from medpeft_core.datasets.own.store import MAX_TITLE, suggest_name
from pages.widgets.own_draft import BY_FOLDER, Draft
from pages.widgets.own_jobs import start
from pages.widgets.own_uploads import keep_longer
from pages.widgets.settings_form import bind

FIRST_TITLE = "My images"
STORED_AS = (
    "The lab stores which images there are and what their labels say, splits them by patient where patients are known, "
    "and decodes each image once. Runs and the command line call the set `{name}`."
)
MEND_FIRST = "Mend what is marked as a problem above first."


def draw_start(proposal: Proposal, draft: Draft) -> None:
    """Name, button, and why the button cannot be pressed."""
    with st.container(border=True, key="own_start"):
        st.markdown("**3 · Give it a name**")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(
                "Name",
                value=draft.get("title", find_title(proposal, draft)),
                max_chars=MAX_TITLE,
                width=320,
                **bind(draft, "title", key="own_title"),
            )
            is_clicked = st.button(
                "Add and prepare",
                type="primary",
                icon=":material/playlist_add_check:",
                key="own_add",
                disabled=not proposal.is_usable,
                help=None if proposal.is_usable else MEND_FIRST,
            )
        title = draft.get("title") or find_title(proposal, draft)
        name = suggest_name(title)
        st.caption(STORED_AS.format(name=name) if proposal.is_usable else f":material/block: {MEND_FIRST}")
    if is_clicked:
        if draft.get("upload"):
            keep_longer(Path(draft["upload"]))
        start(f"Adding {title}", describe_wish(proposal, draft, name=name, title=title), draft)


def describe_wish(proposal: Proposal, draft: Draft, *, name: str, title: str) -> dict[str, object]:
    """The options of the job that stores the set."""
    wish = {"name": name, "title": title, "form": proposal.form, "options": proposal.options}
    if draft.get("place", BY_FOLDER) == BY_FOLDER:
        return {**wish, "root": str(proposal.root)}
    return {**wish, "upload": draft["upload"]}


def find_title(proposal: Proposal, draft: Draft) -> str:
    """What people call these images: the name of their folder, or of what they uploaded."""
    if draft.get("place", BY_FOLDER) == BY_FOLDER:
        return proposal.root.name or FIRST_TITLE
    return str(draft.get("upload_name") or FIRST_TITLE)
