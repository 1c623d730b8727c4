"""What a data set is, under which terms, how to get it, and what of it is in the folder, before it is read."""

import streamlit as st

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS, DatasetSpec
from medpeft_core.sections import build_part
from pages.widgets.data_folder import list_parts
from pages.widgets.wording import escape_markdown

MAX_LABELS = 16  # that are listed by name


def draw_about(data: DataConfig, *, is_prepared: bool) -> None:
    """The whole card before a set is prepared; folded away afterwards, when the data speak for themselves.

    Args:
        data: resolved.
        is_prepared: whether it is.
    """
    spec = DATASETS[data.dataset]
    if is_prepared:
        with st.expander(f"About {escape_markdown(spec.title)}", icon=":material/info:"):
            _draw_card(spec, data)
        return
    with st.container(border=True):
        st.markdown(f"**{escape_markdown(spec.title)}**")
        _draw_card(spec, data)
        _draw_parts(data)


def _draw_card(spec: DatasetSpec, data: DataConfig) -> None:
    with st.container(horizontal=True, gap="small"):
        if spec.is_synthetic:
            st.badge("Synthetic", icon=":material/palette:", color="violet")
        for text, icon in ((spec.modality, ":material/radiology:"), (spec.size, ":material/photo_library:")):
            if text:
                st.badge(escape_markdown(text[0].upper() + text[1:]), icon=icon, color="gray")
    st.markdown(escape_markdown(spec.description))
    if spec.labels:
        kind = "classes, one for each image"
        if spec.task == "multilabel":
            kind = "label" if len(spec.labels) == 1 else "labels, any number of them in an image"
        names = ", ".join(spec.labels[:MAX_LABELS]) + (", ..." if len(spec.labels) > MAX_LABELS else "")
        st.caption(f"**{len(spec.labels)} {kind}:** {escape_markdown(names)}")
    licence = spec.find_licence(build_part(spec.options, data.options, section="data"))
    facts = (("How to get it", spec.how_to_get), ("Licence", licence), ("Cite", spec.citation))
    st.caption("  \n".join(f"**{title}:** {_keep_links(text)}" for title, text in facts if text))


def _keep_links(text: str) -> str:
    """Words as they are, and addresses that can be clicked."""
    return " ".join(word if word.startswith("https://") else escape_markdown(word) for word in text.split(" "))


def _draw_parts(data: DataConfig) -> None:
    """A line with a mark for each thing that belongs into the folder."""
    parts = list_parts(data)
    if not parts:
        return
    st.markdown(f"**In {escape_markdown(data.root)}**" if data.root else "**On this computer**")
    lines = []
    for part in parts:
        icon = ":material/circle:"
        if part.is_there:
            icon = ":green[:material/check_circle:]"
        elif part.is_needed:
            icon = ":red[:material/cancel:]"
        missing = "" if part.is_there else " is missing" if part.is_needed else ", not there and not needed"
        detail = f": {escape_markdown(part.detail)}" if part.detail else ""
        lines.append(f"{icon} **{escape_markdown(part.title)}**{missing}{detail}")
    st.markdown("  \n".join(lines))
