"""The runs of the first lesson as a grid: a row for each method and share of the labels, a column for each seed."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from medpeft_core.figures.finding_looks import name_method, write_fraction
from medpeft_core.lessons.cells import CellState, Standing
from medpeft_core.runs.states import FINISHED, RUNNING
from pages.widgets.lesson_labels_prediction import KEY
from pages.widgets.run_picker import PARAMETER
from pages.widgets.runs_table import STATUS_MARKS
from pages.widgets.wording import write_duration

ROW, TIME = "Method, labels", "A run takes"
NOT_MADE, NO_CELL = "·", "–"
ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels
SEED_WIDTH, WIDTHS = 70, {ROW: 110, TIME: 110}  # pixels: three seeds on a phone
GRID_KEY = f"{KEY}_grid"

Times = Mapping[tuple[str, float], float]


def build_grid(standing: Standing, *, forecast_s: Times, is_open: bool) -> pd.DataFrame:
    """Texts: the test AUROC of a finished run, what the others do, and how long a run of the row takes.

    Args:
        standing: of the cells to show.
        forecast_s: (method, fraction) to seconds, where no run of this home has told it.
        is_open: whether the figures may be seen; else a finished run says that it is finished.
    """
    seeds = sorted({item.cell.seed for item in standing.cells})
    measured = standing.median_times_s()
    rows = []
    for method, fraction in list_rows(standing):
        cells = {item.cell.seed: item for item in _select(standing, method, fraction)}
        rows.append(
            {
                ROW: f"{name_method(method)}, {write_fraction(fraction)}",
                **{
                    name_seed(seed): _write_cell(cells[seed], is_open=is_open) if seed in cells else NO_CELL
                    for seed in seeds
                },
                TIME: _write_time((method, fraction), measured, forecast_s),
            }
        )
    return pd.DataFrame(rows, columns=[ROW, *map(name_seed, seeds), TIME])


def draw_grid(standing: Standing, *, forecast_s: Times, is_open: bool) -> None:
    """The grid; a click on a run that there is opens it on Monitor."""
    frame = build_grid(standing, forecast_s=forecast_s, is_open=is_open)
    num_made = sum(item.run_id is not None for item in standing.cells)
    event = st.dataframe(
        frame,
        key=GRID_KEY,
        hide_index=True,
        lazy=False,
        row_height=ROW_HEIGHT,
        height=HEADER_HEIGHT + ROW_HEIGHT * len(frame),
        column_config={name: st.column_config.TextColumn(width=WIDTHS.get(name, SEED_WIDTH)) for name in frame.columns},
        on_select="rerun",
        selection_mode="single-cell",
        alt=f"{standing.num_done} of {standing.num_all} runs are finished. "
        + "; ".join(", ".join(row) for row in frame.astype(str).to_numpy().tolist()),
    )
    if num_made:
        st.caption(
            "Click a run to open it on Monitor. ✓ finished, ▶ at work and the time left, ◷ waiting, ■ stopped, "
            f"{NOT_MADE} not made yet."
        )
    if run_id := find_clicked(event, standing):
        st.switch_page("pages/monitor.py", query_params={PARAMETER: run_id})


def find_clicked(event: object, standing: Standing) -> str | None:
    """The run of the cell that was clicked; None for none, and for a cell without a run."""
    cells = event["selection"]["cells"] if isinstance(event, Mapping) else []
    if not cells:
        return None
    row, column = cells[0]
    rows = list_rows(standing)
    if row >= len(rows):
        return None
    found = _select(standing, *rows[row])
    return next((item.run_id for item in found if name_seed(item.cell.seed) == column), None)


def list_rows(standing: Standing) -> list[tuple[str, float]]:
    """(method, fraction) of each row: few labels first, methods in the protocol's order."""
    return list(dict.fromkeys((item.cell.method, item.cell.fraction) for item in standing.cells))


def name_seed(seed: int) -> str:
    """The heading of a seed's column."""
    return f"Seed {seed}"


def _select(standing: Standing, method: str, fraction: float) -> list[CellState]:
    return [item for item in standing.cells if (item.cell.method, item.cell.fraction) == (method, fraction)]


def _write_cell(item: CellState, *, is_open: bool) -> str:
    if item.status is None:
        return NOT_MADE
    if item.status == FINISHED and is_open:
        return "✓ n/a" if item.test_auroc is None else f"✓ {item.test_auroc:.3f}"
    if item.status == RUNNING and item.eta_s:
        return f"▶ {write_duration(item.eta_s)}"
    return STATUS_MARKS[item.status]


def _write_time(kind: tuple[str, float], measured: Times, forecast_s: Times) -> str:
    if kind in measured:
        return write_duration(measured[kind])
    return f"about {write_duration(forecast_s[kind])}" if kind in forecast_s else "n/a"
