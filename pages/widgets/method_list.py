"""The dialog with all methods by family: those that fit the backbone can be taken, the others say why they cannot."""

from collections.abc import Callable

import streamlit as st

from medpeft_core.methods import MethodSpec
from pages.widgets.method_fit import FAMILY_IDEAS, Architecture, find_misfit, group_methods
from pages.widgets.wording import escape_markdown

OPEN_KEY = "train_methods_are_open"  # a dialog that only a button knew of would close when an answer redraws the page
CARD_WIDTH = 300  # pixels below which the cards of a family have one column less


def draw_method_button() -> None:
    """What opens the dialog."""
    st.button("All methods", icon=":material/apps:", key="train_all_methods", on_click=_open)


def draw_method_list(chosen: str, architecture: Architecture | None, *, take: Callable[[str], None]) -> None:
    """The dialog, while it is open.

    Args:
        chosen: name of the method in the form.
        architecture: of the form's backbone; None while nothing is known: then nothing is greyed.
        take: called with the name of the method that was clicked.
    """
    if st.session_state.get(OPEN_KEY):
        st.dialog("All methods", width="large", on_dismiss=close_method_list)(_draw_list)(chosen, architecture, take)


def close_method_list() -> None:
    """Let the next drawing of the page be without the dialog."""
    st.session_state.pop(OPEN_KEY, None)


def _open() -> None:
    st.session_state[OPEN_KEY] = True


def _draw_list(chosen: str, architecture: Architecture | None, take: Callable[[str], None]) -> None:
    if architecture is None:
        st.caption("What fits is known when the backbone has been looked at; that happens once its figures come.")
    else:
        st.caption(f"Greyed methods do not fit {escape_markdown(architecture.name)}; each says why.")
    for family, specs in group_methods().items():
        if not specs:
            continue
        st.header(family.capitalize(), anchor=False, divider="gray")  # in a dialog headings are smaller
        st.caption(FAMILY_IDEAS[family])
        with st.grid("auto", min_column_width=CARD_WIDTH, key=f"method_list_{family}"):
            for spec in specs:
                _draw_card(spec, find_misfit(spec.name, architecture), take, is_chosen=spec.name == chosen)


def _draw_card(spec: MethodSpec, misfit: str | None, take: Callable[[str], None], *, is_chosen: bool) -> None:
    about = f"{spec.idea}  \n:small[{escape_markdown(spec.reference)}]"
    with st.container(border=True, height="stretch", key=f"method_list_card_{spec.name}"):
        badge = " :green-badge[:material/check: chosen]" if is_chosen else ""
        if misfit is None:
            st.markdown(f"**{spec.title}**{badge}  \n{about}")
        else:
            st.markdown(
                f":gray[**{spec.title}**]{badge}  \n:gray[{about}]  \n:material/block: Does not fit: "
                f"{escape_markdown(misfit)}."
            )
        st.space("stretch")  # the buttons of a row stand on one line
        is_taken = st.button(
            f"Use {spec.title}",
            key=f"method_list_use_{spec.name}",
            disabled=misfit is not None,
            on_click=_take,
            args=(spec.name, take),
        )
        if is_taken:
            st.rerun()  # the whole page, without the dialog


def _take(name: str, take: Callable[[str], None]) -> None:
    close_method_list()
    take(name)
