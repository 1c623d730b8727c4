"""What a finished run found on test: the mean over the labels, each label with its interval, and what it cost."""

from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.errors import RunError
from medpeft_core.metrics.exclusive import DECISION_METRICS
from medpeft_core.metrics.spec import METRICS
from medpeft_core.reports.support import describe_class_means, describe_resamplings, list_cautions
from medpeft_core.runs.run import Run
from pages.widgets.glossary import explain
from pages.widgets.monitor_cards import Card, draw_cards
from pages.widgets.monitor_confusion import draw_confusion
from pages.widgets.rare_labels import draw_cautions, read_support
from pages.widgets.wording import DISCLAIMER, SYNTHETIC, name_labels, write_auroc, write_bytes, write_duration

ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels
CLASS_HELP = {
    "Images": "Test images of the class.",
    "Sensitivity": "Share of the images of the class for which it was the likeliest.",
    "AUROC": "How well images of the class rank above all others.",
}
NO_PATIENTS = "Leakage between images of one patient could not be checked: the data set names no patients."


def build_labels_frame(per_class: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """A row per label: AUROC and average precision with intervals, counts, and the reason where there is no AUROC.

    Args:
        per_class: label to figures, as metrics.json holds them for a split.
    """
    rows = [
        {
            "Label": label,
            **_write_ranking(figures),
            "Positive": figures["num_positive"],
            "Negative": figures["num_negative"],
            "Note": figures.get("reason") or "",
        }
        for label, figures in per_class.items()
    ]
    return pd.DataFrame(
        rows, columns=["Label", "AUROC", "Interval", "Average precision", "Positive", "Negative", "Note"]
    )


def build_classes_frame(per_class: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """A row per exclusive class: how it ranks against all others, and what taking the likeliest class gives.

    Args:
        per_class: as for `build_labels_frame`.
    """
    rows = [
        {
            "Class": label,
            "Images": figures["num_positive"],
            "Sensitivity": write_auroc(figures.get("sensitivity")),
            "F1": write_auroc(figures.get("f1")),
            **_write_ranking(figures),
            "Note": figures.get("reason") or "",
        }
        for label, figures in per_class.items()
    ]
    columns = ["Class", "Images", "Sensitivity", "F1", "AUROC", "Interval", "Average precision", "Note"]
    return pd.DataFrame(rows, columns=columns)


def draw_results(run: Run, metrics: dict[str, Any], *, key: str) -> None:
    """Headline figures, the table by label, for classes what was taken for what, and what to keep in mind."""
    test, training = metrics["test"], metrics["training"]
    is_exclusive = metrics.get("task") == "multiclass"
    with st.container(border=True):
        st.subheader("Test result", anchor=False)
        _draw_headline(run, metrics, training)
        frame = (build_classes_frame if is_exclusive else build_labels_frame)(test["per_class"])
        shown = [name for name in frame.columns if name != "Note" or frame["Note"].any()]
        st.dataframe(
            frame,
            hide_index=True,
            key=f"{key}_labels",
            column_order=shown,
            height=HEADER_HEIGHT + ROW_HEIGHT * min(len(frame), 20),
            column_config={name: st.column_config.Column(help=text) for name, text in CLASS_HELP.items()},
            alt=f"Test AUROC, interval and counts of each {'class' if is_exclusive else 'label'}",
        )
        draw_cautions(_find_cautions(run, test), is_exclusive=is_exclusive)
        if is_exclusive:
            draw_confusion(run, metrics, key=key)
        st.caption("  \n".join(list_caveats(metrics)))


def list_caveats(metrics: dict[str, Any]) -> list[str]:
    """The sentences that belong to every figure of this run."""
    test = metrics["test"]
    level = f"{100 * test['confidence']:g} %"
    counts = (test["bootstrap_samples"], test["macro"]["num_valid_samples"])
    left_out = len(test["macro"]["labels_left_out"])
    is_exclusive = metrics.get("task") == "multiclass"
    asked = (
        "images of the class rank above all others (one versus rest); accuracy, sensitivity and F1 take the likeliest "
        "class as the answer."
        if is_exclusive
        else "images with the label rank above images without it."
    )
    lines = [
        f"Intervals: {level}, {test['interval']}: {describe_resamplings([counts])}. Each AUROC asks how well {asked}"
    ]
    if (of_classes := describe_class_means(test)) and not test.get("reason"):  # else it is among the cautions
        lines.append(of_classes)
    if left_out:
        num_labels = test["macro"]["num_labels"]
        lines.append(
            f"The mean AUROC is over {num_labels} classes; {left_out} had no test image, or all of them."
            if is_exclusive
            else f"The mean is over {num_labels} labels; {left_out} had no positive or no negative test image."
        )
    if metrics["training"].get("num_train_patients") is None:
        lines.append(NO_PATIENTS)
    if metrics.get("is_synthetic"):
        lines.append(SYNTHETIC)
    return [*lines, f"**{DISCLAIMER}**"]


def _find_cautions(run: Run, test: dict[str, Any]) -> list[str]:
    try:
        support = read_support(run)
    except RunError:
        support = {}  # the rest of the page says what is missing
    return list_cautions(test, support)


def measure_adapter(run: Run) -> int:
    """Bytes of the best weights on disk, 0 before the first evaluation."""
    return sum(path.stat().st_size for path in run.adapter_dir.glob("**/*") if path.is_file())


def _draw_headline(run: Run, metrics: dict[str, Any], training: dict[str, Any]) -> None:
    low, high = metrics.get("test_auroc_low"), metrics.get("test_auroc_high")
    best = f"epoch {training['best_epoch']}" if training.get("best_epoch") else None
    mean = f"Mean of the {name_labels(metrics.get('task'))}"
    decisions = list_decision_cards(metrics["test"])
    if decisions:
        draw_cards(decisions)
    draw_cards(
        [
            Card(
                label="Test AUROC",
                value=write_auroc(metrics["test_auroc"]),
                note=_write_interval(low, high) or None,
                help=f"{mean}, on images that were used for nothing else, with the weights that were best "
                f"on val.\n\n**AUROC.** {explain('auroc')}\n\n**Interval**, below it. {explain('interval')}",
            ),
            Card(label="Val AUROC", value=write_auroc(metrics["val_auroc"]), note=best),
            Card(
                label="Time",
                value=write_duration(training["wall_time_s"]),
                note=f"{training['epochs_done']} {'epoch' if training['epochs_done'] == 1 else 'epochs'}",
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


def list_decision_cards(test: dict[str, Any]) -> list[Card]:
    """Accuracy and its kin of a run on exclusive classes, each with its interval; none for other runs.

    Args:
        test: the figures of the split, as metrics.json holds them.
    """
    return [
        Card(
            label=METRICS[name].title,
            value=write_auroc(test[name]),
            note=_write_interval(test.get(f"{name}_low"), test.get(f"{name}_high")) or None,
            help=f"{METRICS[name].explanation} ({METRICS[name].reference})",
        )
        for name in DECISION_METRICS
        if test.get(name) is not None
    ]


def _write_ranking(figures: dict[str, Any]) -> dict[str, str]:
    return {
        "AUROC": write_auroc(figures["auroc"]),
        "Interval": _write_interval(figures.get("low"), figures.get("high")),
        "Average precision": write_auroc(figures.get("auprc")),
    }


def _write_interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
