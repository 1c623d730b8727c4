"""Which data set, where it lies, and what is known about it before it is read."""

import dataclasses
from typing import Any

import streamlit as st

from medpeft_core.datasets import DATASETS, DatasetSpec


def choose_data() -> dict[str, Any]:
    """Widgets for the data set, its folder and its reader's options; the data section of a config, not yet checked."""
    names = list(DATASETS.names())
    start = names.index("phantom") if "phantom" in names else 0
    name = st.selectbox(
        "Data set",
        names,
        index=start,
        format_func=lambda item: DATASETS[item].title,
        key="data_dataset",
        persist_state="session",
    )
    spec = DATASETS[name]
    root = None
    if spec.needs_root:
        root = st.text_input(
            "Folder on this computer", key=f"data_root_{name}", placeholder="/data/nih-cxr14", persist_state="session"
        ).strip()
    return {"dataset": name, "root": root or None, "options": _choose_options(spec)}


def _choose_options(spec: DatasetSpec) -> dict[str, Any]:
    """A number field for each option of the reader; only what differs from its default is given on."""
    options = dataclasses.fields(spec.options)
    chosen: dict[str, Any] = {}
    if not options:
        return chosen
    with st.expander("Settings of this data set", icon=":material/tune:"):
        for column, item in zip(st.columns(len(options)), options, strict=True):
            chosen[item.name] = _draw_option(column, item, key=f"data_option_{spec.name}_{item.name}")
    defaults = {item.name: item.default for item in options}
    return {name: value for name, value in chosen.items() if value != defaults[name]}


def _draw_option(column: Any, item: dataclasses.Field, *, key: str) -> Any:
    title = item.name.replace("_", " ").capitalize()
    shared = {"help": item.metadata.get("help"), "key": key, "persist_state": "session"}
    choices = item.metadata.get("choices")
    if choices:
        return column.selectbox(title, choices, index=choices.index(item.default), **shared)
    if isinstance(item.default, bool):
        return column.toggle(title, value=item.default, **shared)
    if isinstance(item.default, int | float):
        return column.number_input(title, value=item.default, **shared)
    return column.text_input(title, value=item.default or "", **shared) or None


def draw_about(spec: DatasetSpec) -> None:
    """What the set is, under which terms, and how to get it."""
    with st.container(border=True):
        if spec.is_synthetic:
            st.badge("Synthetic", icon=":material/palette:", color="violet")
        st.markdown(spec.description)
        if spec.labels:
            st.caption(f"**{len(spec.labels)} labels:** {', '.join(spec.labels)}")
        st.caption(f"**How to get it:** {spec.how_to_get}  \n**Licence:** {spec.licence}  \n**Cite:** {spec.citation}")
