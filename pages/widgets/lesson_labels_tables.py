"""The numbers of the first lesson as tables: differences per finding, AUROC of each method, and what each trains."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.figures.finding_differences import judge_difference
from medpeft_core.figures.finding_looks import MACRO, name_label
from medpeft_core.reports.sentences import write_signed
from medpeft_core.reports.tables import PaperTable
from pages.widgets.compare_tables import FORMATS, write_table
from pages.widgets.lesson_labels_prediction import KEY, find_difference
from pages.widgets.wording import DISCLAIMER, SYNTHETIC, write_auroc, write_bytes, write_share

DIFFERENCES, FIGURES, SIZES = "LoRA minus full", "AUROC", "Sizes"
ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels
NOTHING = "–"

Result = Mapping[str, Any]


def build_differences_table(result: Result) -> PaperTable:
    """A row for each number of images and finding: difference, interval, seeds, positives, what the interval says."""
    rows = []
    for part in result["fractions"]:
        for label in (MACRO, *result["labels"]):
            row = find_difference(result, part["fraction"], label)
            if row is not None:
                rows.append((_write_images(part), name_label(label), *_write_difference(row, part, label)))
    level = f"{100 * result['confidence']:g} %"
    return PaperTable(
        title="LoRA minus full fine-tuning, test AUROC",
        columns=("Images", "Finding", "Difference", "Interval", "Seeds with LoRA ahead", "Positives", "What it says"),
        rows=tuple(rows),
        notes=(
            f"Interval: {level}. {explain_statistics(result)}",
            "Positives: training images that show the finding, mean of the seeds.",
            f"{SYNTHETIC} {DISCLAIMER}",
        ),
    )


def build_figures_table(result: Result) -> PaperTable:
    """A row for each number of images and finding, a column for each method: mean AUROC of its seeds and interval."""
    found = {(row["method"], row["fraction"], row["label"]): row for row in result["points"]}
    titles = {item["method"]: item["title"] for item in result["methods"]}
    rows = []
    for part in result["fractions"]:
        for label in (MACRO, *result["labels"]):
            points = [found.get((method, part["fraction"], label)) for method in titles]
            if any(points):
                figures = [write_auroc(row["mean"], row["low"], row["high"]) if row else NOTHING for row in points]
                rows.append((_write_images(part), name_label(label), *figures))
    return PaperTable(
        title="Test AUROC, mean of the seeds",
        columns=("Images", "Finding", *titles.values()),
        rows=tuple(rows),
        notes=(
            f"In brackets: {100 * result['confidence']:g} % interval. {explain_statistics(result)}",
            f"{SYNTHETIC} {DISCLAIMER}",
        ),
    )


def build_sizes_table(result: Result) -> PaperTable:
    """A row for each method: trained parameters, their share of all, and what must be kept of a trained model."""
    rows = tuple(
        (
            item["title"],
            NOTHING if item["num_trainable_params"] is None else f"{item['num_trainable_params']:,}",
            write_share(item["num_trainable_params"], item["num_params"]),
            write_bytes(item["adapter_bytes"]),
        )
        for item in result["methods"]
    )
    return PaperTable(
        title="What each method trains and leaves on the disk",
        columns=("Method", "Parameters", "Share", "File"),
        rows=rows,
        notes=(
            "Parameters: those that are trained, with their share of all. File: what must be kept of a trained model; "
            "all else is the base model, which is stored once.",
        ),
    )


def explain_statistics(result: Result) -> str:
    """How the intervals are made, in two sentences."""
    return (
        "An interval adds the luck of the seeds (each has its own order of images, head and adapters, and below 100 % "
        "its own training patients) to that of the test patients, who are resampled for all runs alike, and is wider "
        "for being told by few seeds. "
        "For a difference both methods get the same seeds, which means the same labelled patients, and the same "
        f"{result['num_test_patients']:,} test patients, so that only the method differs."
    )


def draw_table(table: PaperTable, *, key: str, widths: Mapping[str, int] | None = None, max_rows: int = 18) -> None:
    """The table with its headings.

    Args:
        table: of this module.
        key: of the widget.
        widths: pixels by column.
        max_rows: more scroll.
    """
    st.dataframe(
        pd.DataFrame(table.rows, columns=list(table.columns)),
        key=key,
        hide_index=True,
        lazy=False,
        row_height=ROW_HEIGHT,
        height=HEADER_HEIGHT + ROW_HEIGHT * min(max(len(table.rows), 1), max_rows),
        column_config={name: st.column_config.TextColumn(width=width) for name, width in (widths or {}).items()},
        alt=f"{table.title}. " + "; ".join(", ".join(row) for row in table.rows),
    )


def draw_exports(result: Result) -> None:
    """All tables as texts to copy and files to save."""
    place = st.expander(
        "Tables for papers and notes", icon=":material/table_view:", on_change="rerun", key=f"{KEY}_tables"
    )
    if not place.open:
        return
    builders: dict[str, Callable[[Result], PaperTable]] = {
        DIFFERENCES: build_differences_table,
        FIGURES: build_figures_table,
        SIZES: build_sizes_table,
    }
    with place:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            what = st.segmented_control(
                "Table", list(builders), default=DIFFERENCES, required=True, key=f"{KEY}_table", width="content"
            )
            kind = st.segmented_control(
                "Format", list(FORMATS), default="LaTeX", required=True, key=f"{KEY}_format", width="content"
            )
        ending = FORMATS[kind][1]
        text = write_table(builders[what](result), kind)
        st.code(text, language=None, wrap_lines=True)  # the colours of a language are too pale to read
        st.download_button(
            f"Save as .{ending}",
            data=text.encode(),
            file_name=f"few-labels-{what.lower().replace(' ', '-')}.{ending}",
            key=f"{KEY}_table_save",
            icon=":material/download:",
            on_click="ignore",
        )


def _write_images(part: Mapping[str, Any]) -> str:
    """Whole ones: seeds draw patients, who have one image or several."""
    return NOTHING if part["num_images"] is None else f"{round(part['num_images']):,}"


def _write_difference(row: Mapping[str, Any], part: Mapping[str, Any], label: str) -> tuple[str, ...]:
    has_interval = row["low"] is not None and row["high"] is not None
    positives = None if label == MACRO else part["positives"].get(label)
    return (
        write_signed(row["mean"]),
        f"{write_signed(row['low'])} to {write_signed(row['high'])}" if has_interval else NOTHING,
        f"{row['num_seeds_better']} of {row['num_seeds']}",
        NOTHING if positives is None else f"{positives:.0f}",
        judge_difference(dict(row)),
    )
