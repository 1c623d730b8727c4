"""Two recipes that fill in what a first visitor would not know to choose: one for minutes, one as in the paper."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from medpeft_core.errors import MedPeftError
from pages.widgets.pretrain_draft import DEFAULTS, QUICK, Draft, build_config, get_draft
from pages.widgets.settings_form import renew_widgets


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How long and in which way; data, backbone, weights, size, batch, seed and mask stay as they are chosen.

    Attributes:
        settings: section to settings.
    """

    title: str
    description: str
    settings: dict[str, dict[str, Any]]


RECIPES = {
    "quick": Recipe(
        title="Quick look",
        description="Much as the weights that ship with the lab: plain pixels, small decoder, high learning rate. "
        "After some thousand images the pictures can be made out; for small models, on a laptop.",
        settings=QUICK,
    ),
    "paper": Recipe(
        title="As in the paper",
        description="He et al. 2022: normalised pixels, a low learning rate, long. For large models, many images and a "
        "GPU; the pictures stay blurred for many epochs.",
        settings={
            section: {name: getattr(getattr(DEFAULTS, section), name) for name in table}
            for section, table in QUICK.items()
        },
    ),
}


def draw_recipes() -> None:
    """The choice between them, with a sentence about the chosen one."""
    chosen = find_recipe(get_draft())
    key = f"pretrain_recipe_{chosen}"  # another widget for another choice, since settings change what is chosen
    st.segmented_control(
        "Recipe",
        list(RECIPES),
        format_func=lambda name: RECIPES[name].title,
        default=chosen,
        required=chosen is not None,
        help="How long and in which way it learns; everything else stays as you chose it.",
        key=key,
        on_change=_use,
        args=(key,),
    )
    st.caption(RECIPES[chosen].description if chosen else "Own settings: they differ from both recipes.")


def find_recipe(draft: Draft) -> str | None:
    """The recipe whose settings the draft has, or None."""
    try:
        config = build_config(draft)
    except MedPeftError:
        return None
    for name, recipe in RECIPES.items():
        wanted = [(section, key, value) for section, table in recipe.settings.items() for key, value in table.items()]
        if all(getattr(getattr(config, section), key) == value for section, key, value in wanted):
            return name
    return None


def use_recipe(name: str) -> None:
    """Put the settings of a recipe into the draft."""
    draft = get_draft()
    for section, table in RECIPES[name].settings.items():
        draft[section].update(table)
    renew_widgets()


def _use(key: str) -> None:
    if (name := st.session_state[key]) is not None:
        use_recipe(name)
