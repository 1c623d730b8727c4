"""The figures and the runs of a comparison as tables for papers and notes: CSV, Markdown, LaTeX; to copy or to save."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.reports.compare import build_comparison_table, diff_configs
from medpeft_core.reports.comparison_tables import build_pairs_table, build_settings_table, leave_out_shared
from medpeft_core.reports.confounds import describe_confounds
from medpeft_core.reports.decision_tables import build_decision_table
from medpeft_core.reports.support import describe_resamplings
from medpeft_core.reports.tables import (
    PaperTable,
    build_metric_rows,
    build_metric_table,
    build_runs_table,
    list_resamplings,
    write_csv,
    write_latex,
    write_markdown,
)
from pages.widgets.compare_runs import ComparedRun, find_caveats, find_notes
from pages.widgets.compare_support import read_shared_support
from pages.widgets.monitor_settings import write_value
from pages.widgets.wording import DISCLAIMER

FORMATS: dict[str, tuple[Callable[[PaperTable], str], str]] = {
    "LaTeX": (write_latex, "tex"),
    "Markdown": (write_markdown, "md"),
    "CSV": (write_csv, "csv"),
}
ROW_HEIGHT, HEADER_HEIGHT, MAX_ROWS = 35, 38, 10  # pixels
FIGURES, AVERAGE_PRECISION, RUNS, EVERYTHING = "AUROC", "Average precision", "Runs", "All numbers"
DECISIONS = "Likeliest class"
DIFFERENCES, SETTINGS = "Differences", "What differs"


def draw_tables(runs: Sequence[ComparedRun], pairs: Sequence[dict[str, Any]] = ()) -> None:
    """Choice of table and format, the text to copy, and the file.

    Args:
        runs: with test figures.
        pairs: as they are shown on the page; empty for a single run.

    Raises:
        RunError: a file of a run is missing or damaged.
    """
    has_classes = any((item.metrics or {}).get("task") == "multiclass" for item in runs)
    of_several = (*((DECISIONS,) if has_classes else ()), *((DIFFERENCES, SETTINGS) if pairs else ()))
    place = st.expander(
        "Tables for papers and notes", icon=":material/table_view:", on_change="rerun", key="compare_tables"
    )
    if not place.open:
        return
    with place:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            what = st.segmented_control(
                "Table",
                (FIGURES, AVERAGE_PRECISION, *of_several, RUNS, EVERYTHING),
                default=FIGURES,
                required=True,
                key=f"compare_table_{bool(pairs)}_{has_classes}" if has_classes else f"compare_table_{bool(pairs)}",
                width="content",
            )
            formats = list(FORMATS) if what != EVERYTHING else ["CSV"]
            kind = st.segmented_control(
                "Format",
                formats,
                default=formats[0],
                required=True,
                key=f"compare_format_{what == EVERYTHING}",
                width="content",
            )
        ending = FORMATS[kind][1]
        text = build_numbers_csv(runs) if what == EVERYTHING else write_table(build_table(runs, what, pairs), kind)
        if what == EVERYTHING:
            _draw_numbers(runs)
        else:
            st.code(text, language=None, wrap_lines=True)  # the colours of a language are too pale to read
        st.download_button(
            f"Save as .{ending}",
            data=text.encode(),
            file_name=f"comparison-{what.lower().replace(' ', '-')}.{ending}",
            key="compare_table_save",
            icon=":material/download:",
            on_click="ignore",
        )


def _draw_numbers(runs: Sequence[ComparedRun]) -> None:
    frame = _build_rows(runs)
    st.dataframe(
        frame,
        key="compare_numbers",
        hide_index=True,
        lazy=False,
        height=HEADER_HEIGHT + ROW_HEIGHT * min(len(frame), MAX_ROWS),
        alt=f"{len(frame)} figures of {len(runs)} runs, a row each.",
    )


def write_table(table: PaperTable, kind: str) -> str:
    """The table as a text; on a page of a paper without the columns in which all runs agree.

    Args:
        table: as `build_table` gives it.
        kind: one of `FORMATS`.
    """
    write, _ = FORMATS[kind]
    if kind != "CSV" and table.title == RUNS:
        table = leave_out_shared(table, kept=("Val AUROC", "Test AUROC"))
    return write(table)


def build_table(runs: Sequence[ComparedRun], what: str, pairs: Sequence[dict[str, Any]] = ()) -> PaperTable:
    """One of the tables, with the sentences that belong to its figures.

    Args:
        runs: with test figures.
        what: `FIGURES`, `AVERAGE_PRECISION`, `DECISIONS`, `DIFFERENCES`, `SETTINGS` or `RUNS`.
        pairs: for `DIFFERENCES`.
    """
    caveats = find_caveats(runs)
    notes = [*caveats, *find_notes(runs), DISCLAIMER]
    stored, names = [item.run for item in runs], {item.run.run_id: item.name for item in runs}
    if what == DIFFERENCES:
        caution = describe_confounds(pairs, stored, names)
        return build_pairs_table(pairs, names, notes=[*([caution] if caution else []), *notes])
    if what == SETTINGS:
        return build_settings_table(diff_configs(stored), names, write=write_value, notes=notes)
    if what == RUNS:
        drawn = f"Intervals: {describe_resamplings(list_resamplings(_build_rows(runs)))}."
        return build_runs_table(build_comparison_table(stored), notes=[drawn, *notes])
    if what == DECISIONS:
        return build_decision_table(_build_rows(runs), notes=notes)
    metric = "auroc" if what == FIGURES else "auprc"
    support = read_shared_support(runs)
    return build_metric_table(_build_rows(runs), metric, support=support, mark_best=not caveats, notes=notes)


def build_numbers_csv(runs: Sequence[ComparedRun]) -> str:
    """Every figure with all its digits, a row each, for other programs."""
    return _build_rows(runs).to_csv(index=False)


def _build_rows(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    return build_metric_rows([(item.run.run_id, item.name, item.metrics or {}) for item in runs])
