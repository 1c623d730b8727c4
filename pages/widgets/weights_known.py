"""Weights of medical foundation models that the lab knows by name: what they are, and how to get their file."""

import streamlit as st

from medpeft_core.backbones.known_weights import KNOWN_WEIGHTS, KnownWeights
from medpeft_core.backbones.normalisations import NORMALISATIONS
from pages.widgets.weights_words import name_backbone, write_licence
from pages.widgets.wording import escape_markdown, write_bytes

OTHER = ""  # in the list: none of those that are known
OTHER_TITLE = "Others, which are not in this list"


def name_known(name: str) -> str:
    """An entry of the list for people."""
    return KNOWN_WEIGHTS[name].title if name in KNOWN_WEIGHTS else OTHER_TITLE


def draw_known(known: KnownWeights) -> None:
    """What the lab knows of them."""
    with st.container(border=True, key="weights_known_card"):
        st.markdown(f"**{known.title}**. {known.description}")
        size = f", about {write_bytes(known.num_bytes)}" if known.num_bytes else ""
        st.caption(
            f"{name_backbone(known.backbone)}, {known.image_size} px, pooling {known.pool}, normalisation "
            f"{NORMALISATIONS[known.normalisation].title}{size}. Licence: {write_licence(known.licence)}. "
            f"{escape_markdown(known.reference)}."
        )
        st.badge(known.proof.capitalize(), icon=":material/policy:", color="orange")
        if known.get_it:
            st.markdown(f":material/download: {escape_markdown(known.get_it)}")
        if known.hub_id:
            st.caption(f"On Hugging Face: {escape_markdown(known.hub_id)}, file {escape_markdown(known.hub_file)}.")
