"""The weights that are here: the shelf as cards, and the bases of runs and downloads as short lines below it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from medpeft_core.backbones.shelf import list_shelf
from medpeft_core.errors import MedPeftError
from medpeft_core.housekeeping.weights import BASE, WeightsRow, remove_from_shelf
from medpeft_core.runs.kinds import is_pretraining_id
from pages.widgets.lab import get_lab
from pages.widgets.run_picker import PARAMETER
from pages.widgets.weights_handover import build_weights_link
from pages.widgets.weights_words import name_backbone, shorten_hash, write_licence, write_normalisation, write_source
from pages.widgets.wording import escape_markdown, write_ago, write_bytes

FILTER_FROM = 5  # entries from which on they can be searched and sorted
MAX_SHOWN, MAX_RUNS = 12, 3
ORDERS: dict[str, tuple[Callable[[WeightsRow], Any], bool]] = {
    "Newest": (lambda row: row.since, True),
    "Name": (lambda row: row.name, False),
    "Largest": (lambda row: row.num_bytes, True),
    "Most used": (lambda row: len(row.run_ids or ()), True),
}
KINDS = {
    BASE: (
        "Bases of runs",
        "What runs were trained on, kept for them under its hash: without its base an adapter is worthless. Those that "
        "no run stands on can go on Settings.",
    ),
    "download": ("Downloads of timm", "Fetched once when “pre-trained” was chosen; the next run finds them here."),
}


def draw_empty(*, add: dict[str, str]) -> None:
    """What the shelf is for, and the first step.

    Args:
        add: query parameters of the part of the page where weights are added.
    """
    with st.container(border=True, key="weights_empty"):
        st.subheader("The shelf is empty", anchor=False)
        st.markdown(
            "It holds weights that others have published, such as RAD-DINO, EVA-X or an MAE on chest films. The first "
            "step: get their file, let the lab check it against the backbone, and add it."
        )
        with st.container(horizontal=True):
            st.page_link("pages/weights.py", label="Add weights", icon=":material/add:", query_params=add)
            st.page_link("pages/train.py", label="Train without them", icon=":material/model_training:")


def draw_shelf(rows: list[WeightsRow]) -> None:
    """A card for each entry."""
    st.subheader(f"{len(rows)} on the shelf", anchor=False)
    chosen = _filter(rows) if len(rows) >= FILTER_FROM else sorted(rows, key=lambda row: row.since, reverse=True)
    if not chosen:
        st.info("None of them has these words.", icon=":material/search_off:")
    for row in chosen[:MAX_SHOWN]:
        _draw_entry(row)
    if rest := chosen[MAX_SHOWN:]:
        with st.expander(f"{len(rest)} more"):
            for row in rest:
                _draw_entry(row)


def draw_others(rows: list[WeightsRow]) -> None:
    """Bases and downloads, folded away."""
    for kind, (title, about) in KINDS.items():
        found = [row for row in rows if row.kind == kind]
        if not found:
            continue
        total = sum(row.num_bytes for row in found)
        with st.expander(f"{title}: {len(found)}, {write_bytes(total)}", key=f"weights_{kind}"):
            st.caption(about)
            for row in found:
                _draw_line(row)


def _filter(rows: list[WeightsRow]) -> list[WeightsRow]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search", placeholder="Name, backbone, source or licence", key="weights_search", icon=":material/search:"
        )
        order = st.selectbox("Order", list(ORDERS), key="weights_order", width=160)
    words = (text or "").casefold().split()
    found = [row for row in rows if all(word in _join(row) for word in words)]
    key, is_reversed = ORDERS[order]
    return sorted(found, key=key, reverse=is_reversed)


def _join(row: WeightsRow) -> str:
    return " ".join((row.name, row.title, *row.backbones, row.source, row.licence, row.reference)).casefold()


def _draw_entry(row: WeightsRow) -> None:
    with st.container(border=True, key=f"weights_entry_{row.name}"):
        words, actions = st.columns([3, 2], vertical_alignment="center")
        with words:
            title = f" · {escape_markdown(row.title)}" if row.title != row.name else ""
            st.markdown(f"**{escape_markdown(row.name)}**{title}")
            st.caption(
                f"{', '.join(name_backbone(name) for name in row.backbones)} · {write_bytes(row.num_bytes)} · added "
                f"{write_ago(row.since)}  \nFrom {write_source(row.source)} · licence {write_licence(row.licence)}"
            )
            _draw_reading(row)
            _draw_hash(row)
        with actions, st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
            st.page_link(
                "pages/train.py",
                label="Fine-tune from these",
                icon=":material/model_training:",
                query_params=build_weights_link(row.name),
            )
            if st.button("Remove", icon=":material/delete:", type="tertiary", key=f"weights_remove_{row.name}"):
                _confirm(row)
        _draw_runs(row)


def _draw_reading(row: WeightsRow) -> None:
    """How the file was read: entries may differ in nothing else."""
    entry = next((item for item in list_shelf(get_lab().home) if item.name == row.name), None)
    if entry is None:  # removed a moment ago
        return
    counts = ", ".join(f"{number} {fate}" for fate, number in entry.counts.items())
    st.caption(
        f"Layout {escape_markdown(entry.layout)}: {escape_markdown(counts)} · normalisation "
        f"{write_normalisation(entry.mean, entry.std)}"
    )


def _draw_hash(row: WeightsRow) -> None:
    reference = f" · {escape_markdown(row.reference)}" if row.reference else ""
    st.caption(
        f"SHA-256 `{shorten_hash(row.sha256)}`{reference}",
        help=f"Of the file on the shelf: `{row.sha256}`. Every run that starts from it names its base by hash.",
    )


def _draw_runs(row: WeightsRow) -> None:
    """Links to the runs that begin with these weights."""
    if row.run_ids is None:
        st.caption(":material/warning: The settings of a run are damaged: nobody can tell which runs use it.")
        return
    if not row.run_ids:
        st.caption("No run uses it yet.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"Used by {_count_runs(row.run_ids)}:", width="content")
        _link_runs(row.run_ids)


def _link_runs(run_ids: Sequence[str]) -> None:
    for run_id in run_ids[:MAX_RUNS]:
        if "." in run_id:  # in the trash
            st.caption(f"{escape_markdown(run_id.partition('.')[0])} (deleted)", width="content")
            continue
        page = "pretrain" if is_pretraining_id(run_id) else "monitor"
        st.page_link(f"pages/{page}.py", label=escape_markdown(run_id), query_params={PARAMETER: run_id})
    if len(run_ids) > MAX_RUNS:
        st.caption(f"and {len(run_ids) - MAX_RUNS} more", width="content")


def _draw_line(row: WeightsRow) -> None:
    name = f"SHA-256 `{shorten_hash(row.sha256)}`" if row.kind == BASE else f"**{escape_markdown(row.name)}**"
    parts = [name, write_bytes(row.num_bytes)]
    parts += [", ".join(name_backbone(item) for item in row.backbones)] if row.backbones else []
    parts += [escape_markdown(row.source)] if row.kind == BASE and row.source else []
    help_text = f"SHA-256 of the file: `{row.sha256}`" if row.sha256 else f"Commit `{row.revision or 'not known'}`"
    with st.container(gap="xxsmall"):
        st.markdown(" · ".join(parts), help=help_text)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if row.run_ids:
                _link_runs(row.run_ids)
            else:
                st.caption("No run uses it." if row.run_ids is not None else "Nobody can tell who uses it.")


def _count_runs(run_ids: Sequence[str]) -> str:
    return "1 run" if len(run_ids) == 1 else f"{len(run_ids)} runs"


@st.dialog("Take these weights off the shelf?", icon=":material/delete:")
def _confirm(row: WeightsRow) -> None:
    st.code(row.name, language=None)
    if row.stays:
        st.warning(escape_markdown(row.stays), icon=":material/lock:")
        if st.button("Close", key="weights_stays"):
            st.rerun()
        return
    st.markdown(
        f"This frees {write_bytes(row.num_bytes)}. Runs that were trained on them keep the base that they need. A new "
        "run needs the file again, so keep it somewhere if it cannot be downloaded any more."
    )
    with st.container(horizontal=True):
        is_sure = st.button(
            "Remove them",
            type="primary",
            icon=":material/delete:",
            key="weights_removal",
            on_click=partial(_remove, row.name),
        )
        if st.button("Keep them", key="weights_kept") or is_sure:
            st.rerun()  # closes the dialog


def _remove(name: str) -> None:
    try:
        num_bytes = remove_from_shelf(get_lab().home, name)
    except MedPeftError as error:
        st.toast(escape_markdown(str(error)), icon=":material/lock:", duration="long")
        return
    st.toast(f"Removed; {write_bytes(num_bytes)} are free again.", icon=":material/delete:")
