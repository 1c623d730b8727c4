"""The Data tab: which images the run learns from, with the notes and warnings that were given when it was made."""

from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.runs.run import Run
from pages.widgets.monitor_cards import Card, draw_cards
from pages.widgets.wording import escape_markdown, write_share

ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels


def build_positives_frame(positives: dict[str, dict[str, int]]) -> pd.DataFrame:
    """A row per label: positive, negative and unknown images of the training fraction, and the share of positives."""
    rows = [
        {
            "Label": label,
            "Positive": counts["num_positive"],
            "Negative": counts["num_negative"],
            "Unknown": counts["num_unknown"],
            "Prevalence": write_share(counts["num_positive"], counts["num_positive"] + counts["num_negative"]),
        }
        for label, counts in positives.items()
    ]
    return pd.DataFrame(rows, columns=["Label", "Positive", "Negative", "Unknown", "Prevalence"])


def build_classes_frame(positives: dict[str, dict[str, int]]) -> pd.DataFrame:
    """A row per exclusive class: its training images, and their share of those whose class is known.

    Args:
        positives: as provenance.json holds them.
    """
    rows = [
        {
            "Class": label,
            "Images": counts["num_positive"],
            "Share": write_share(counts["num_positive"], counts["num_positive"] + counts["num_negative"]),
        }
        for label, counts in positives.items()
    ]
    return pd.DataFrame(rows, columns=["Class", "Images", "Share"])


def draw_data(run: Run, *, key: str) -> None:
    """Sizes of the splits, positives in the training fraction, and everything that was noted."""
    origin, config = run.provenance(), run.config()
    _draw_sizes(origin, fraction=config.data.fraction)
    positives = origin.get("positives") or {}
    if positives:
        is_exclusive = origin.get("task") == "multiclass"
        frame = (build_classes_frame if is_exclusive else build_positives_frame)(positives)
        st.dataframe(
            frame,
            hide_index=True,
            key=f"{key}_positives",
            height=HEADER_HEIGHT + ROW_HEIGHT * min(len(frame), 20),
            alt=f"Training images of each {'class' if is_exclusive else 'label'}",
        )
    for icon, name in ((":orange[:material/warning:]", "warnings"), (":material/info:", "data_notes")):
        for text in origin.get(name, []):
            st.markdown(f"{icon} {escape_markdown(text)}")
    st.caption(f"Fingerprint of the data: {str(origin.get('data_fingerprint'))[:16]}")


def _draw_sizes(origin: dict[str, Any], *, fraction: float) -> None:
    counts = origin.get("num_images") or {}
    patients = origin.get("num_train_patients")
    unknown = "The data set does not tell which images belong to one patient."
    draw_cards(
        [
            Card(label="Training images", value=_write_whole(origin.get("num_train_images"))),
            Card(
                label="Training patients",
                value=_write_whole(patients),
                note=f"{100 * fraction:g} % of the split",
                help="The share of the training patients that this run learns from." if patients else unknown,
            ),
            Card(label="Val images", value=_write_whole(counts.get("val"))),
            Card(label="Test images", value=_write_whole(counts.get("test"))),
        ]
    )


def _write_whole(value: int | None) -> str:
    return "n/a" if value is None else f"{value:,}"
