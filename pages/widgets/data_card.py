"""What a data set is, under which terms, and how to get it, before it is read."""

import streamlit as st

from medpeft_core.datasets import DatasetSpec


def draw_about(spec: DatasetSpec, *, is_prepared: bool) -> None:
    """The whole card before a set is prepared; folded away afterwards, when the data speak for themselves."""
    if is_prepared:
        with st.expander(f"About {spec.title}", icon=":material/info:"):
            _draw_card(spec)
        return
    with st.container(border=True):
        _draw_card(spec)


def _draw_card(spec: DatasetSpec) -> None:
    if spec.is_synthetic:
        st.badge("Synthetic", icon=":material/palette:", color="violet")
    st.markdown(spec.description)
    if spec.labels:
        st.caption(f"**{len(spec.labels)} labels:** {', '.join(spec.labels)}")
    st.caption(f"**How to get it:** {spec.how_to_get}  \n**Licence:** {spec.licence}  \n**Cite:** {spec.citation}")
