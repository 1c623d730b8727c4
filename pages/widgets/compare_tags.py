"""Tags, notes and owner of the selected runs, edited on the page and stored in their folders."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.runs.notes import MAX_NOTES_LENGTH, MAX_OWNER_LENGTH, change_tags, clean_tags, write_notes
from medpeft_core.runs.store import RunStore
from pages.widgets.compare_filter import list_tags
from pages.widgets.runs_table import hash_ids
from pages.widgets.wording import escape_markdown


def draw_tags_menu(store: RunStore, summaries: Sequence[dict[str, Any]], chosen: Sequence[dict[str, Any]]) -> None:
    """A menu with a form; what it holds is what the files hold, and *Save* writes them.

    Args:
        store: of the runs.
        summaries: all runs, for the tags to choose from.
        chosen: the selected runs that are not damaged; notes and owner are those of a single one.
    """
    shared = [tag for tag in chosen[0]["tags"] if all(tag in item["tags"] for item in chosen)]
    single = chosen[0] if len(chosen) == 1 else None
    with st.popover("Tags and notes", icon=":material/sell:", key="compare_tags_menu"):
        # the files' words are part of the keys, so that the form follows what another window saved
        mark = hash_ids([*(item["run_id"] for item in chosen), *shared, *(_read_texts(single) if single else ())])
        with st.form(f"compare_tags_form_{mark}", border=False, enter_to_submit=False):
            # above the tags: their list opens downwards and would lie over it
            with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
                st.markdown(f"**{len(chosen)} {'run' if single else 'runs'}**", width="content")
                is_saved = st.form_submit_button(
                    "Save", type="primary", icon=":material/save:", key=f"compare_save_{mark}"
                )
            tags = st.multiselect(
                "Tags" if single else f"Tags that all {len(chosen)} runs have",
                list_tags(summaries),
                default=shared,
                accept_new_options=True,
                placeholder="Choose or type one",
                key=f"compare_tags_{mark}",
                help="Other tags of a run stay as they are." if single is None else None,
            )
            if single:
                notes, owner = _draw_texts(single, mark)
            else:
                notes, owner = "", ""
                st.caption("Notes and owner: one run at a time.")
        if is_saved and _save(store, chosen, tags, shared, texts=(notes, owner) if single else None):
            st.rerun()


def _draw_texts(summary: dict[str, Any], mark: str) -> tuple[str, str]:
    notes, owner = _read_texts(summary)
    return (
        st.text_area("Notes", value=notes, max_chars=MAX_NOTES_LENGTH, height=120, key=f"compare_notes_{mark}"),
        st.text_input("Owner", value=owner, max_chars=MAX_OWNER_LENGTH, key=f"compare_owner_{mark}"),
    )


def _read_texts(summary: dict[str, Any]) -> tuple[str, str]:
    return summary.get("notes") or "", summary.get("owner") or ""


def _save(
    store: RunStore,
    chosen: Sequence[dict[str, Any]],
    tags: list[str],
    shared: list[str],
    *,
    texts: tuple[str, str] | None,
) -> bool:
    """Whether all was stored; else it is said why not."""
    try:
        runs = [store.load(item["run_id"]) for item in chosen]
        wanted = clean_tags(tags)
        change_tags(
            runs,
            added=[tag for tag in wanted if tag not in shared],
            removed=[tag for tag in shared if tag not in wanted],
        )
        if texts is not None:
            write_notes(runs[0], notes=texts[0], owner=texts[1])
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="That was not saved", icon=":material/error:")
        return False
    st.toast("Saved.", icon=":material/check:")
    return True
