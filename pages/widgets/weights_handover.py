"""From an entry of the shelf to the forms of Train and Pre-train: `?weights=NAME` fills in what belongs to it."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from medpeft_core.backbones.known_weights import KNOWN_WEIGHTS
from medpeft_core.backbones.shelf import SHELF_PREFIX, ShelfEntry, find_on_shelf, list_shelf
from pages.widgets.lab import get_lab
from pages.widgets.settings_form import bind, renew_widgets
from pages.widgets.weights_words import write_licence, write_source

WEIGHTS_PARAMETER = "weights"
SHELF = "shelf"  # weights of the shelf that have not been chosen yet


def build_weights_link(name: str) -> dict[str, str]:
    """The query parameters of a link to Train."""
    return {WEIGHTS_PARAMETER: name}


def is_shelf(weights: str) -> bool:
    """Whether a setting `weights` is about the shelf."""
    return weights == SHELF or weights.startswith(SHELF_PREFIX)


def list_fitting(backbone: str) -> list[ShelfEntry]:
    """The entries that are weights of a backbone's architecture; timm's tag of other weights does not matter."""
    return [entry for entry in list_shelf(get_lab().home) if _cut_tag(entry.backbone) == _cut_tag(backbone)]


def choose_entry(table: dict[str, Any], backbone: str, *, key: str, after: Callable[[], None]) -> None:
    """The list of the entries that fit, and what is known of the chosen one.

    Args:
        table: the backbone or encoder section of a draft; `weights` names an entry.
        backbone: timm name in the form.
        key: of the widget.
        after: called when another entry was chosen.
    """
    entries = {f"{SHELF_PREFIX}{entry.name}": entry for entry in list_fitting(backbone)}
    weights = str(table.get("weights", ""))
    options = list(entries) if weights in entries or weights == SHELF else [*entries, weights]
    st.selectbox(
        "Weights on the shelf",
        options,
        index=None if weights == SHELF else options.index(weights),
        format_func=lambda option: option.removeprefix(SHELF_PREFIX),
        placeholder="Choose one" if options else "There are none for this backbone yet",
        help="Files that were added on the Weights page, for this very architecture.",
        **bind(table, "weights", key=key, after=after),
    )
    if weights in entries:
        st.caption(describe_entry(entries[weights]))
    elif weights != SHELF:
        st.caption(":material/warning: These are not on the shelf for this backbone. Choose others.")


def take_normalisation(table: dict[str, Any]) -> None:
    """Follow a change of `weights`: the constants of the shelf's entry come with it, and go with it."""
    entries = list_shelf(get_lab().home)
    held = (_as_tuple(table.get("mean")), _as_tuple(table.get("std")))
    if None not in held and held in {(entry.mean, entry.std) for entry in entries}:
        table.pop("mean", None)
        table.pop("std", None)
    chosen = next((entry for entry in entries if table.get("weights") == f"{SHELF_PREFIX}{entry.name}"), None)
    if chosen is not None and chosen.mean is not None and chosen.std is not None:
        table |= {"mean": chosen.mean, "std": chosen.std}


def drop_misfit(table: dict[str, Any], backbone: str) -> None:
    """Another backbone was chosen: weights of the shelf that are not for it go."""
    weights = str(table.get("weights", ""))
    if is_shelf(weights) and weights not in {f"{SHELF_PREFIX}{entry.name}" for entry in list_fitting(backbone)}:
        del table["weights"]
        take_normalisation(table)
        renew_widgets()


def settle_shelf(table: dict[str, Any], backbone: str) -> None:
    """The only entry that fits is meant by whoever says "from the shelf"."""
    fitting = list_fitting(backbone)
    if table.get("weights") == SHELF and len(fitting) == 1:
        table["weights"] = f"{SHELF_PREFIX}{fitting[0].name}"
    take_normalisation(table)


def describe_entry(entry: ShelfEntry) -> str:
    """Where weights came from and under which licence, for a caption; holds no text of others unescaped."""
    return f"From {write_source(entry.source)}. Licence: {write_licence(entry.licence)}."


def take_from_address(draft: dict[str, dict[str, Any]]) -> str:
    """Put the entry that the address names into the draft of Train, and clear the address.

    Args:
        draft: of the Train page.

    Returns:
        What was taken over, in a sentence.

    Raises:
        BackboneError: it names one that is not here.
    """
    name = st.query_params.get(WEIGHTS_PARAMETER, "")
    st.query_params.pop(WEIGHTS_PARAMETER, None)
    entry = find_on_shelf(get_lab().home, name)
    table = draft["backbone"]
    for field in ("weights_sha256", "mean", "std", "pool"):  # of another backbone
        table.pop(field, None)
    table |= {"name": entry.backbone, "weights": f"{SHELF_PREFIX}{entry.name}"}
    take_normalisation(table)
    if entry.known_as in KNOWN_WEIGHTS:
        known = KNOWN_WEIGHTS[entry.known_as]
        table |= {"image_size": known.image_size, "pool": known.pool}
    renew_widgets()
    return f"Starts from {entry.name} of the weights shelf."


def _cut_tag(name: str) -> str:
    return name.partition(".")[0]


def _as_tuple(value: Any) -> tuple[float, ...] | None:
    return None if value is None else tuple(value)
