"""Labels, splits and people of a data set as charts and tables."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.datasets.counts import VALUE_COLUMNS
from medpeft_core.datasets.views import DataView
from medpeft_core.figures.data_charts import (
    build_age_chart,
    build_label_lines,
    build_prevalence_chart,
    build_value_chart,
)
from medpeft_core.figures.pair_map import build_pair_map
from pages.widgets.chart_ink import add_ink
from pages.widgets.chart_saving import draw_chart_head
from pages.widgets.data_state import count_all
from pages.widgets.wording import write_share

MAX_FULL_LABELS = 20  # above, the splits of a label share a line
MAX_LINES = 150  # labels in a chart; the table holds all
MAX_HIGH_LINES = 40  # above, the chart scrolls in a window of its own
WINDOW_HEIGHT = 640  # pixels
MAX_VALUES = 20  # of a group such as the site, in a chart
MAX_DESCRIBED = 60  # rows, for those who cannot see the chart
VALUE_TITLES = {"skin_type": "skin type (Fitzpatrick)"}


def draw_labels(view: DataView) -> None:
    """How many images each label or class has by split, the same as a table, and which labels occur together."""
    counts = count_all(view)
    rows, is_exclusive = counts["labels"], view.manifest.task == "multiclass"
    if len(view.manifest.labels) <= MAX_FULL_LABELS:
        _draw_prevalence(view, rows, is_exclusive)
    else:
        _draw_lines(view, rows, is_exclusive)
    with st.expander("The same as a table", icon=":material/table:"):
        st.dataframe(
            build_class_table(rows) if is_exclusive else build_label_table(rows),
            hide_index=True,
            width="stretch",
            key="data_label_table",
            alt="Images of each class and split"
            if is_exclusive
            else "Positives, known and unknown images of each label and split",
        )
    if counts["pairs"] and len(view.manifest.labels) > 1:
        _draw_pairs(view, counts["pairs"])


def draw_people(view: DataView) -> None:
    """Images and patients by split, ages, sex and view."""
    counts = count_all(view)
    st.markdown(_write_split_title(view))
    table = build_split_table(counts["splits"], has_classes=view.manifest.task == "multiclass")
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        key="data_splits",
        column_config={name: st.column_config.TextColumn(alignment="right") for name in table.columns[1:]},
        alt="Images, patients and positives of each split",
    )
    if not view.manifest.has_patients:
        st.warning(
            "This data set has no patient ids: leakage between images of one patient could not be checked.",
            icon=":material/warning:",
        )
    if counts["ages"] and view.report["age"]:
        _draw_ages(view, counts)
    known = [name for name in VALUE_COLUMNS if counts[name]]
    if known:
        for place, column in enumerate(st.columns(2, gap="large")):
            with column:
                for name in known[place::2]:
                    _draw_values(view, counts, name)
    others = [*([] if counts["ages"] else ["age"]), *(_title(name) for name in VALUE_COLUMNS if not counts[name])]
    if others:
        st.caption(f"Not known for any image: {', '.join(others)}.")


def build_label_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A row per label and split, as people read it."""
    return pd.DataFrame(
        [
            {
                "Label": row["label"],
                "Split": row["split"],
                "Positive": row["num_positive"],
                "Negative": row["num_known"] - row["num_positive"],
                "Unknown": row["num_unknown"],
                "Share": write_share(row["num_positive"], row["num_known"]),
                "95 % interval": f"{row['low']:.1%} to {row['high']:.1%}" if row["low"] is not None else "n/a",
            }
            for row in rows
        ]
    )


def build_class_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A row per class and split, as people read it."""
    return pd.DataFrame(
        [
            {
                "Class": row["label"],
                "Split": row["split"],
                "Images": row["num_positive"],
                "Share of the split": write_share(row["num_positive"], row["num_known"]),
                "95 % interval": f"{row['low']:.1%} to {row['high']:.1%}" if row["low"] is not None else "n/a",
            }
            for row in rows
        ]
    )


def build_split_table(rows: Sequence[dict[str, Any]], *, has_classes: bool = False) -> pd.DataFrame:
    """A row per split and one for all, as people read it.

    Args:
        rows: as `count_splits` gives them.
        has_classes: each image has exactly one label, so there is none without.
    """
    table = pd.DataFrame(
        [
            {
                "Split": row["split"],
                "Images": f"{row['num_images']:,}",
                "Patients": "unknown" if row["num_patients"] is None else f"{row['num_patients']:,}",
                "Images per patient": "n/a"
                if row["images_per_patient"] is None
                else f"{row['images_per_patient']:.2f}",
                "With a finding": _write_part(row["num_with_finding"], row["num_images"]),
                "Without": _write_part(row["num_without"], row["num_images"]),
            }
            for row in rows
        ]
    )
    return table.drop(columns=["With a finding", "Without"]) if has_classes else table


def _draw_prevalence(view: DataView, rows: Sequence[dict[str, Any]], is_exclusive: bool) -> None:
    def build() -> dict[str, Any]:
        return build_prevalence_chart(rows, is_exclusive=is_exclusive)

    _draw_head(view, _name_chart(is_exclusive), build, key="data_prevalence")
    st.vega_lite_chart(add_ink(build()), key="data_prevalence", alt=_describe_labels(rows))
    share = (
        "Share of each class among the images of a split"
        if is_exclusive
        else "Share of positives among the images whose label is known"
    )
    st.caption(
        f"{share}, and at the right edge their numbers. Lines are 95 % intervals (Wilson); they take images as "
        "independent, so where patients have several images the truth is a little less sure than they say."
    )


def _draw_lines(view: DataView, rows: Sequence[dict[str, Any]], is_exclusive: bool) -> None:
    """The chart of many labels, the most frequent first, grades in their order."""
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["label"]] = totals.get(row["label"], 0) + row["num_positive"]
    order = list(totals) if view.manifest.is_ordered else sorted(totals, key=lambda label: -totals[label])
    places = {label: place for place, label in enumerate(order[:MAX_LINES])}
    shown = sorted((row for row in rows if row["label"] in places), key=lambda row: places[row["label"]])

    def build() -> dict[str, Any]:
        return build_label_lines(shown, is_exclusive=is_exclusive)

    _draw_head(view, _name_chart(is_exclusive), build, key="data_prevalence")
    with st.container(height=WINDOW_HEIGHT if len(places) > MAX_HIGH_LINES else "content", border=False):
        st.vega_lite_chart(add_ink(build()), key="data_prevalence", alt=_describe_labels(shown))
    kind = "classes" if is_exclusive else "labels"
    some = f"The {MAX_LINES} most frequent of {len(totals):,} {kind}. " if len(totals) > MAX_LINES else ""
    share = "Share of the images of a split" if is_exclusive else "Share of positives among the known"
    st.caption(f"{some}{share}; at the right edge the numbers of train, val and test. The table below has intervals.")


def _name_chart(is_exclusive: bool) -> str:
    return "How many images are in each class" if is_exclusive else "How often each label is positive"


def _title(name: str) -> str:
    return VALUE_TITLES.get(name, name)


def _write_split_title(view: DataView) -> str:
    count = view.report["overlap"]["num_patients"]
    if not view.manifest.has_patients:
        return "**Splits**, by image"
    return (
        f"**Splits**, with {count:,} patients in more than one" if count else "**Splits**, each patient in one of them"
    )


def _write_part(part: int, whole: int) -> str:
    return f"{part:,} ({write_share(part, whole)})"


def _draw_head(view: DataView, title: str, build: Callable[[], dict[str, Any]], *, key: str) -> None:
    """The chart's title with the menu that saves it."""
    saved = f"{title}: {view.report['title']}"
    draw_chart_head(title, build, key=key, is_synthetic=view.manifest.is_synthetic, saved_title=saved)


def _draw_pairs(view: DataView, rows: Sequence[dict[str, Any]]) -> None:
    if not any(row["num_images"] for row in rows if row["label"] != row["other"]):
        st.caption("No image has two labels.")
        return
    _draw_head(view, "Which labels occur together", lambda: build_pair_map(rows), key="data_pairs")
    st.vega_lite_chart(add_ink(build_pair_map(rows)), key="data_pairs", alt=_describe_pairs(rows))
    st.caption("Of the images with the label of the row, how many percent have the label of the column as well.")


def _draw_ages(view: DataView, counts: dict[str, Any]) -> None:
    age = view.report["age"]
    _draw_head(view, "Age", lambda: build_age_chart(counts["ages"]), key="data_ages")
    st.vega_lite_chart(
        add_ink(build_age_chart(counts["ages"])), key="data_ages", alt=_describe_values("Age", counts["ages"])
    )
    unknown = counts["unknown"]["age"]
    missing = f" Not known for {unknown:,}." if unknown else ""
    st.caption(
        f"{age['min']:g} to {age['max']:g} years, median {age['median']:g}, known for {age['num_known']:,} "
        f"images.{missing} Height: share of the images of a split."
    )


def _draw_values(view: DataView, counts: dict[str, Any], name: str) -> None:
    unknown, title = counts["unknown"][name], _title(name)
    values = list(dict.fromkeys(row["value"] for row in counts[name]))
    rows = [row for row in counts[name] if row["value"] in values[:MAX_VALUES]]
    heading = title[0].upper() + title[1:]
    _draw_head(view, heading, lambda: build_value_chart(rows, title=title), key=f"data_{name}")
    alt = _describe_values(heading, rows)
    st.vega_lite_chart(add_ink(build_value_chart(rows, title=title)), key=f"data_{name}", alt=alt)
    known = f"Known for {len(view.manifest) - unknown:,} images."
    some = f" The {MAX_VALUES} most frequent of {len(values):,} values." if len(values) > MAX_VALUES else ""
    st.caption(f"{known}{f' Not known for {unknown:,}.' if unknown else ''}{some}")


def _describe_labels(rows: Sequence[dict[str, Any]]) -> str:
    """For those who cannot see the chart."""
    parts = [f"{row['label']} {row['split']} {row['num_positive']} of {row['num_known']}" for row in rows]
    parts = [*parts[:MAX_DESCRIBED], *(["and so on, as the table tells"] if len(parts) > MAX_DESCRIBED else [])]
    return "Positives of known images by label and split: " + "; ".join(parts)


def _describe_pairs(rows: Sequence[dict[str, Any]]) -> str:
    pairs = [row for row in rows if row["label"] < row["other"] and row["num_images"]]
    top = sorted(pairs, key=lambda row: -row["num_images"])[:5]
    most = "; ".join(f"{row['label']} with {row['other']}: {row['num_images']} images" for row in top)
    return f"Labels that occur together, the most frequent pairs: {most}"


def _describe_values(title: str, rows: Sequence[dict[str, Any]]) -> str:
    parts = [f"{row['split']} {row['value']}: {row['num_images']}" for row in rows if row["num_images"]]
    return f"{title} by split, images: " + "; ".join(parts)
