"""The choice of the method and its rank on the Train page, and the card that says what the choice means."""

from typing import Any

import streamlit as st

from medpeft_core.methods import METHODS
from pages.widgets.glossary import explain
from pages.widgets.method_card import draw_method_card
from pages.widgets.method_fit import Architecture, find_architecture, find_misfit, find_stand_in, list_fitting
from pages.widgets.method_list import draw_method_button, draw_method_list
from pages.widgets.settings_form import bind, renew_widgets
from pages.widgets.train_draft import DEFAULTS, get_draft
from pages.widgets.train_plan import Plan
from pages.widgets.wording import escape_markdown

RANKS = (1, 2, 4, 8, 16, 32, 64)


def draw_method_choice(plan: Plan) -> None:
    """Method, rank, and the card of the method."""
    draft = get_draft()
    table, architecture = draft["method"], find_architecture(draft["backbone"])
    name = table.get("name", DEFAULTS.method.name)
    misfit = find_misfit(name, architecture)
    _choose_method(table, name, architecture)
    if architecture is not None and misfit is not None:
        _tell_misfit(name, architecture, misfit)
    _choose_rank(table["knobs"], name)
    if name in METHODS:
        check = plan.forecast.check.value if plan.forecast is not None else None
        draw_method_card(METHODS[name], architecture, table["knobs"], check, is_fit=misfit is None)
    draw_method_list(name, architecture, take=take_method)


def take_method(name: str) -> None:
    """Let the form stand on a method; its knobs and those of the others stay as they were chosen."""
    get_draft()["method"]["name"] = name
    renew_widgets("train_method")


def _choose_method(table: dict[str, Any], name: str, architecture: Architecture | None) -> None:
    options = list_fitting(architecture, kept=(name,))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "**5** Method",
            options,
            index=options.index(name),
            format_func=_name_method,
            help=f"What is trained. The list holds what fits the backbone. {explain('families')} `method.name`",
            **bind(table, "name", key="train_method"),
        )
        draw_method_button()


def _tell_misfit(name: str, architecture: Architecture, misfit: str) -> None:
    """That the choice does not go with the backbone, why, and the way out in one click."""
    st.warning(
        f"{METHODS[name].title} does not fit {escape_markdown(architecture.name)}: {escape_markdown(misfit)}.",
        icon=":material/block:",
    )
    stand_in = find_stand_in(architecture)
    if stand_in is not None:
        st.button(
            f"Use {METHODS[stand_in].title} instead",
            icon=":material/swap_horiz:",
            key="train_use_stand_in",
            on_click=take_method,
            args=(stand_in,),
        )


def _choose_rank(knobs: dict[str, Any], method: str) -> None:
    fields = METHODS[method].knobs.__dataclass_fields__ if method in METHODS else {}
    if "rank" not in fields:
        st.caption("**6** Rank: this method has none.")
        return
    rank = knobs.get("rank", fields["rank"].default)
    st.pills(
        "**6** Rank",
        sorted({*RANKS, rank}),
        default=rank,
        required=True,
        help=f"{fields['rank'].metadata['help']} `method.rank`",
        **bind(knobs, "rank", key=f"train_rank_{method}"),
    )


def _name_method(name: str) -> str:
    return f"{METHODS[name].title}, {METHODS[name].family}" if name in METHODS else name
