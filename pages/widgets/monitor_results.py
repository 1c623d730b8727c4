"""What a finished run found on test: the mean over the labels, each label with its interval, and what it cost."""

from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.reports.support import describe_resamplings
from medpeft_core.runs.run import Run
from pages.widgets.glossary import explain
from pages.widgets.monitor_cards import Card, draw_cards
from pages.widgets.wording import DISCLAIMER, SYNTHETIC, write_auroc, write_bytes, write_duration

ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels
NO_PATIENTS = "Leakage between images of one patient could not be checked: the data set names no patients."


def build_labels_frame(per_class: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """A row per label: AUROC and average precision with intervals, counts, and the reason where there is no AUROC.

    Args:
        per_class: label to figures, as metrics.json holds them for a split.
    """
    rows = [
        {
            "Label": label,
            "AUROC": write_auroc(figures["auroc"]),
            "Interval": _write_interval(figures.get("low"), figures.get("high")),
            "Average precision": write_auroc(figures.get("auprc")),
            "Positive": figures["num_positive"],
            "Negative": figures["num_negative"],
            "Note": figures.get("reason") or "",
        }
        for label, figures in per_class.items()
    ]
    return pd.DataFrame(
        rows, columns=["Label", "AUROC", "Interval", "Average precision", "Positive", "Negative", "Note"]
    )


def draw_results(run: Run, metrics: dict[str, Any], *, key: str) -> None:
    """Headline figures, the table by label, and what to keep in mind."""
    test, training = metrics["test"], metrics["training"]
    with st.container(border=True):
        st.subheader("Test result", anchor=False)
        _draw_headline(run, metrics, training)
        frame = build_labels_frame(test["per_class"])
        shown = [name for name in frame.columns if name != "Note" or frame["Note"].any()]
        st.dataframe(
            frame,
            hide_index=True,
            key=f"{key}_labels",
            column_order=shown,
            height=HEADER_HEIGHT + ROW_HEIGHT * min(len(frame), 20),
            alt="Test AUROC, interval and counts of each label",
        )
        st.caption("  \n".join(list_caveats(metrics)))


def list_caveats(metrics: dict[str, Any]) -> list[str]:
    """The sentences that belong to every figure of this run."""
    test = metrics["test"]
    level = f"{100 * test['confidence']:g} %"
    counts = (test["bootstrap_samples"], test["macro"]["num_valid_samples"])
    left_out = len(test["macro"]["labels_left_out"])
    lines = [
        f"Intervals: {level}, {test['interval']}: {describe_resamplings([counts])}. Each AUROC asks how well "
        "images with the label rank above images without it."
    ]
    if left_out:
        num_labels = test["macro"]["num_labels"]
        lines.append(f"The mean is over {num_labels} labels; {left_out} had no positive or no negative test image.")
    if metrics["training"].get("num_train_patients") is None:
        lines.append(NO_PATIENTS)
    if metrics.get("is_synthetic"):
        lines.append(SYNTHETIC)
    return [*lines, f"**{DISCLAIMER}**"]


def measure_adapter(run: Run) -> int:
    """Bytes of the best weights on disk, 0 before the first evaluation."""
    return sum(path.stat().st_size for path in run.adapter_dir.glob("**/*") if path.is_file())


def _draw_headline(run: Run, metrics: dict[str, Any], training: dict[str, Any]) -> None:
    low, high = metrics.get("test_auroc_low"), metrics.get("test_auroc_high")
    best = f"epoch {training['best_epoch']}" if training.get("best_epoch") else None
    draw_cards(
        [
            Card(
                label="Test AUROC",
                value=write_auroc(metrics["test_auroc"]),
                note=_write_interval(low, high) or None,
                help="Mean of the labels, on images that were used for nothing else, with the weights that were best "
                f"on val.\n\n**AUROC.** {explain('auroc')}\n\n**Interval**, below it. {explain('interval')}",
            ),
            Card(label="Val AUROC", value=write_auroc(metrics["val_auroc"]), note=best),
            Card(
                label="Time",
                value=write_duration(training["wall_time_s"]),
                note=f"{training['epochs_done']} epochs",
                help="Data, training and evaluation of all sessions of the run.",
            ),
            Card(
                label="Peak memory",
                value=write_bytes(training["peak_memory_bytes"]),
                note=training.get("device_name"),
            ),
            Card(
                label="Weights to keep",
                value=write_bytes(measure_adapter(run)),
                help="Size on disk of what was trained; the base weights are kept once for all runs.",
            ),
        ]
    )


def _write_interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
