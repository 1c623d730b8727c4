"""What is being added to the shelf: one plain dict in the session, filled in when weights are chosen that are known."""

import re
from pathlib import Path
from typing import Any

import streamlit as st

from medpeft_core.backbones.known_weights import KNOWN_WEIGHTS
from medpeft_core.backbones.shelf import NAME_PATTERN, list_shelf
from pages.widgets.data_sets import clean_folder
from pages.widgets.lab import get_lab
from pages.widgets.settings_form import renew_widgets
from pages.widgets.weights_known import OTHER

DRAFT_KEY = "weights_draft"
KNOWN_PARAMETER = "known"
BY_PATH, BY_UPLOAD, BY_HUB = "path", "upload", "hub"
PLACES = {BY_PATH: "On the lab's computer", BY_UPLOAD: "Upload", BY_HUB: "Hugging Face"}
HUB_PREFIX = "hf:"
OWN = "own"  # the normalisation of the backbone
FIRST_BACKBONE = "vit_base_patch16_224"
MAX_NAME = 64
FOLLOWING = ("backbone", "layout", "normalisation", "name", "licence", "reference", "hub_id")

Draft = dict[str, Any]


def get_draft() -> Draft:
    """The choices of this visit."""
    if DRAFT_KEY not in st.session_state:
        st.session_state[DRAFT_KEY] = {"known": OTHER, "place": BY_PATH, "backbone": FIRST_BACKBONE, "layout": "auto"}
    return st.session_state[DRAFT_KEY]


def follow_known(draft: Draft) -> None:
    """Weights were chosen in the list: what the lab knows of them goes into the form."""
    name = draft.setdefault("known", OTHER)
    for field in FOLLOWING:
        draft.pop(field, None)
    draft |= {"backbone": FIRST_BACKBONE, "layout": "auto"}
    if name in KNOWN_WEIGHTS:
        known = KNOWN_WEIGHTS[name]
        draft |= {
            "backbone": known.backbone,
            "layout": known.layout,
            "normalisation": known.normalisation,
            "name": suggest_name(name),
            "licence": known.licence,
            "reference": known.reference,
            "hub_id": f"{known.hub_id}/{known.hub_file}" if known.hub_id else "",
        }
        if not known.hub_id and draft.get("place") == BY_HUB:
            draft["place"] = BY_PATH
    renew_widgets()


def follow_path(draft: Draft) -> None:
    """A path was typed: without quotes, and the entry is named after the file where it has no name yet."""
    path = clean_folder(draft.get("path"))
    if path is None:
        draft.pop("path", None)
    elif path != draft.get("path"):
        draft["path"] = path
        renew_widgets("weights_path")
    if path is not None and not draft.get("name"):
        draft["name"] = suggest_name(Path(path).stem)
        renew_widgets("weights_name")


def forget_added(name: str) -> None:
    """These are on the shelf now: the form is empty again for the next."""
    if st.session_state.get(DRAFT_KEY, {}).get("name") == name:
        del st.session_state[DRAFT_KEY]
        renew_widgets()


def suggest_name(text: str) -> str:
    """A free name on the shelf that looks like a text."""
    base = re.sub(r"[^a-z0-9._-]+", "-", text.casefold()).strip("-._")[: MAX_NAME - 3] or "weights"
    taken = {entry.name for entry in list_shelf(get_lab().home)}
    names = [base, *(f"{base}-{number}" for number in range(2, 100))]
    return next((name for name in names if name not in taken), base)


def find_name_problem(name: str) -> str | None:
    """What is wrong with a name for the shelf; None when it is good."""
    if not name:
        return "Give them a name."
    if NAME_PATTERN.fullmatch(name) is None:
        return "A name has at most 64 small letters, digits, dots, hyphens and underscores, no sign before the first."
    if name in {entry.name for entry in list_shelf(get_lab().home)}:
        return "There are weights of this name on the shelf already. Choose another, or remove those."
    return None


def describe_choices(draft: Draft) -> dict[str, Any]:
    """The choices as `add_weights` takes them, without the file itself."""
    normalisation = draft.get("normalisation", OWN)
    return {
        "name": draft.get("name", ""),
        "backbone": draft.get("backbone", FIRST_BACKBONE),
        "layout": draft.get("layout", "auto"),
        "normalisation": "" if normalisation == OWN else normalisation,
        "licence": draft.get("licence", ""),
        "reference": draft.get("reference", ""),
        "known": draft.get("known", OTHER),
    }
