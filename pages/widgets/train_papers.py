"""Filling the form from a cell of a paper's table, and telling which cell the form stands on."""

import copy
from collections.abc import Iterable

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.paper_cells import CELLS, PaperCell, apply_cell, find_cells
from medpeft_core.resolve import CACHEABLE_METHOD, resolve_config
from pages.widgets.train_draft import COPIED_KEY, DEFAULTS, build_config, find_backbone, get_draft, put_draft

GROUP_KEY = "train_paper_group"
WIDTH = 520  # of the list, in pixels
COLUMNS = [2, 3]  # title and what is said about it


def draw_papers() -> None:
    """The list of cells, by paper and by what they were run on."""
    with st.popover("As in a paper", icon=":material/article:", key="train_papers"), st.container(width=WIDTH):
        groups = list(dict.fromkeys(cell.group for cell in CELLS))
        matched, chosen = _find_matched(), _find_chosen()
        st.selectbox("Paper and model", groups, index=groups.index(_find_group(matched)), key=GROUP_KEY)
        cells = [cell for cell in CELLS if cell.group == st.session_state[GROUP_KEY]]
        st.caption(
            f"{cells[0].paper}. Counts are those of {', '.join(cells[0].backbones)}. The data set of the form stays, "
            "and so does a backbone of the same kind."
        )
        shared = [point for point in cells[0].open_points if all(point in cell.open_points for cell in cells)]
        for cell in cells:
            _draw_cell(cell, shared, is_marked=cell in matched or cell == chosen)
        _draw_points("Left open by the paper for all of them", shared)
        _draw_points("Different here", _share(cells))


def describe_cell() -> str | None:
    """Which cell of a paper the form stands on; None when it stands on none."""
    matched = _find_matched()
    if matched:
        names = "; ".join(f"{cell.group}: {cell.title}" for cell in matched)
        number = max(len(cell.open_points) for cell in matched)
        return f"As in {names}. The paper leaves {number} points open: they are under 'As in a paper'."
    cell = _find_chosen()
    if cell is None:
        return None
    told, values = f"The settings of {cell.group}: {cell.title}", _read_values()
    if values is None or values["backbone"]["name"] in cell.backbones or not cell.is_met_by(values):
        return f"{told}, with changes."
    return f"{told}, on {values['backbone']['name']} in place of {cell.backbones[0]}."


def use_cell(name: str) -> None:
    """Put the settings of a cell into the draft; a backbone of another kind gives way to the paper's."""
    cell, draft, chosen = CELLS[name], get_draft(), _find_chosen()
    backbone = draft["backbone"].get("name", DEFAULTS.backbone.name)
    is_kept = backbone in cell.backbones or _find_kind() == cell.kind
    filled = apply_cell(
        draft, name, backbone=backbone if is_kept else None, former=chosen.name if chosen is not None else None
    )
    if cell.method != CACHEABLE_METHOD:
        filled["train"].pop("cached_features", None)
    put_draft(filled, copied={"cell": name, "draft": copy.deepcopy(filled)})


def _draw_cell(cell: PaperCell, shared: Iterable[str], *, is_marked: bool) -> None:
    title, about = st.columns(COLUMNS, vertical_alignment="center")
    title.button(
        cell.title,
        icon=":material/check:" if is_marked else None,
        width="stretch",
        key=f"train_paper_{cell.name}",
        on_click=use_cell,
        args=(cell.name,),
    )
    own = [point for point in cell.open_points if point not in shared]
    printed = f"Printed: {cell.printed} trained." if cell.printed else "The paper prints no count."
    about.caption(" ".join([printed, *own]))


def _draw_points(title: str, points: Iterable[str]) -> None:
    lines = [f"- {point}" for point in points]
    if lines:
        st.caption("\n".join([f"{title}:", *lines]))


def _share(cells: list[PaperCell]) -> list[str]:
    """What is different in any of the cells, each sentence once."""
    return list(dict.fromkeys(sentence for cell in cells for sentence in cell.differences))


def _find_group(matched: tuple[PaperCell, ...]) -> str:
    """What the list opens on: the group of the form's cell, else the first one for the form's kind of backbone."""
    kind = _find_kind()
    fitting = matched or [cell for cell in CELLS if cell.kind == kind] or list(CELLS)
    return fitting[0].group


def _find_kind() -> str | None:
    """The kind of the form's backbone; None where the lab does not describe it."""
    spec = find_backbone(get_draft()["backbone"].get("name", DEFAULTS.backbone.name))
    return spec.kind if spec is not None else None


def _find_chosen() -> PaperCell | None:
    """The cell that the form was filled from last."""
    name = st.session_state.get(COPIED_KEY, {}).get("cell")
    return CELLS[name] if name is not None else None


def _find_matched() -> tuple[PaperCell, ...]:
    values = _read_values()
    return () if values is None else find_cells(values)


def _read_values() -> dict | None:
    """The complete config of the form; None while something in it is wrong."""
    try:
        return resolve_config(build_config(get_draft())).to_dict()
    except MedPeftError:
        return None
