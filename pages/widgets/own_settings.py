"""How own images are read, where the lab guessed: the form, the table, and the reader's own settings."""

from functools import partial
from typing import Any

import streamlit as st

from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.own.proposal import ROLES, Proposal
from pages.widgets.data_sets import clean_folder
from pages.widgets.own_draft import Draft, forget_corrections
from pages.widgets.own_found import FORMS
from pages.widgets.settings_form import Setting, bind, draw_settings, list_settings, renew_widgets
from pages.widgets.wording import escape_markdown

# Edited in the table of columns, or chosen above it.
IN_TABLE = (*ROLES, "split_column", "labels", "table")
PATTERN = "patient_pattern"
SHOWN_KEY = "own_shown_options"  # what each field showed when it was drawn last


def draw_forms(proposal: Proposal, draft: Draft) -> None:
    """Which of the readers, and which of several tables."""
    shown: dict[str, Any] = {"form": proposal.form, "table": proposal.options.get("table")}
    _renew(shown, prefix="own")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Read as",
            list(FORMS),
            index=list(FORMS).index(proposal.form),
            format_func=FORMS.__getitem__,
            width=240,
            **bind(shown, "form", key="own_form", after=lambda: _set_form(draft, shown["form"])),
        )
        if proposal.form != "folder":
            tables = list(dict.fromkeys([*proposal.tables, *([shown["table"]] if shown["table"] else [])]))
            st.selectbox(
                "Table",
                tables,
                index=tables.index(shown["table"]) if shown["table"] else None,
                accept_new_options=True,
                placeholder="Type the path of a table",
                help="Tables below the folder, the likeliest first. For one that lies elsewhere on the lab's computer, "
                "type its path.",
                width=380,
                **bind(shown, "table", key="own_table", after=lambda: _set_table(draft, shown.get("table"))),
            )


def draw_reading(proposal: Proposal, draft: Draft) -> None:
    """The reader's settings; a change is looked at at once."""
    settings = list_reading(proposal)
    shown = {item.name: proposal.options.get(item.name, item.default) for item in settings}
    prefix = f"own_option_{proposal.form}"
    _renew(shown, prefix=prefix)
    _draw_offers(proposal, draft)
    is_usable = proposal.is_usable  # where something must be mended, it may be here
    with st.expander("How it is read", icon=":material/tune:", key=f"own_reading_{is_usable}", expanded=not is_usable):
        draw_settings(settings, shown, key=prefix, after=partial(_set_option, draft, shown, settings, prefix))


def list_reading(proposal: Proposal) -> list[Setting]:
    """The settings of the form's reader, without those that the table of columns stands for."""
    settings = list_settings(DATASETS[proposal.form].options, section="data")
    return [item for item in settings if item.name not in IN_TABLE]


def _draw_offers(proposal: Proposal, draft: Draft) -> None:
    """What the lab would set, but asks first."""
    for name, value in proposal.offers.items():
        if name == PATTERN:
            st.button(
                f"Read the patients from the file names: {escape_markdown(str(value))}",
                key="own_offer",
                icon=":material/groups:",
                on_click=_take_offer,
                args=(draft, name, value),
            )


def _take_offer(draft: Draft, name: str, value: Any) -> None:
    draft["options"] = {**draft.get("options", {}), name: value}


def _renew(shown: dict[str, Any], *, prefix: str) -> None:
    """Make the widgets anew whose value the lab has changed: of themselves they would keep the old one."""
    last = st.session_state.setdefault(SHOWN_KEY, {})
    for name, value in shown.items():
        key = f"{prefix}_{name}"
        if key in last and last[key] != value:
            renew_widgets(key)
        last[key] = value


def _set_form(draft: Draft, form: str) -> None:
    title = draft.get("title")
    forget_corrections(draft)
    draft["form"] = form
    if title:
        draft["title"] = title


def _set_table(draft: Draft, table: str | None) -> None:
    draft["table"] = clean_folder(table)
    for name in ("options", "roles"):
        draft.pop(name, None)
    st.session_state[SHOWN_KEY]["own_table"] = table


def _set_option(draft: Draft, shown: dict[str, Any], settings: list[Setting], prefix: str, name: str) -> None:
    default = next(item.default for item in settings if item.name == name)
    value = shown.get(name, default)
    draft["options"] = {**draft.get("options", {}), name: value}
    st.session_state[SHOWN_KEY][f"{prefix}_{name}"] = value
