"""The colour of a chart's words: Streamlit's own grey is too pale to read on white."""

import copy
from typing import Any

import streamlit as st

LIGHT_INK = "#697477"  # 4.8 to 1 on white, where Streamlit takes #808495 with 3.7 to 1; its dark theme is fine

DARK_INK = "#c3cfd0"

Spec = dict[str, Any]


def pick_ink() -> str:
    """The colour for the words of a chart that takes none from Streamlit."""
    return DARK_INK if st.context.theme.type == "dark" else LIGHT_INK


def add_ink(spec: Spec) -> Spec:
    """The same chart with words that can be read in the light theme.

    Where the system turns dark while the page is open, the colour follows at the next click; it is no darker than it
    must be, so that the words can be made out until then.

    Args:
        spec: a Vega-Lite spec; it stays as it is.
    """
    if st.context.theme.type != "light":
        return spec
    inked = copy.copy(spec)
    config = dict(spec.get("config") or {})
    for part in ("axis", "legend"):
        colours = {"labelColor": LIGHT_INK, "titleColor": LIGHT_INK}
        config[part] = {**colours, **config.get(part, {})}
    inked["config"] = config
    return inked
