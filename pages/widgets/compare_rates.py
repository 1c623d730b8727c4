"""ROC and precision-recall curves of the selected runs over each other, for one label or the mean over labels."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.figures import RateLine, build_precision_recall_chart, build_roc_chart
from medpeft_core.reports.curves import RateCurves, build_rate_curves
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.reports.tables import MACRO
from medpeft_core.runs.run import Run
from pages.widgets.chart_ink import add_ink
from pages.widgets.chart_saving import draw_chart_head
from pages.widgets.compare_runs import ComparedRun, add_run_ids, is_any_synthetic
from pages.widgets.wording import escape_markdown, write_auroc

ROW_HEIGHT, HEADER_HEIGHT = 35, 38  # pixels
MAX_POINTS = 2_400  # of one chart; with few runs each has up to 400


def draw_rates(runs: Sequence[ComparedRun], *, names: Sequence[str]) -> None:
    """Choice of the label, both charts, and their figures as a table.

    Args:
        runs: with test figures.
        names: of all compared runs, for their colours.

    Raises:
        RunError: the predictions of a run are missing or damaged.
    """
    labels = list(dict.fromkeys(label for item in runs for label in (item.metrics or {})["labels"]))
    if st.session_state.get("compare_label") not in (None, MACRO, *labels):
        st.session_state["compare_label"] = MACRO  # the label of runs that are no longer selected
    label = st.selectbox("Label", [MACRO, *labels], key="compare_label", width=260, persist_state="session")
    curves = {item.name: read_curves(item.run, None if label == MACRO else label) for item in runs}
    found = {name: item for name, item in curves.items() if item is not None}
    if not found:
        st.info(
            f"No curve: the test images of these runs hold only one class of {escape_markdown(label)}.",
            icon=":material/info:",
        )
        return
    thinned = {name: item.thin(min(MAX_POINTS // len(found), 400)) for name, item in found.items()}
    lines = {
        kind: [_build_line(name, item, kind) for name, item in thinned.items()] for kind in ("roc", "precision_recall")
    }
    words = "; ".join(f"{item.name}: {_describe(item, label)}" for item in runs if item.name in found)
    is_synthetic = is_any_synthetic(runs)
    left, right = st.columns(2, gap="medium")
    with left:
        roc = build_roc_chart(lines["roc"], names=names)
        draw_chart_head(
            "ROC",
            lambda: roc,
            key="compare_roc",
            is_synthetic=is_synthetic,
            saved_title=f"ROC on test: {label}",
            name=f"compare-roc-{_write_file_part(label)}",
            complete=lambda rows: complete_points(rows, runs, label, names=("false_positive_rate", "sensitivity")),
        )
        st.vega_lite_chart(add_ink(roc), key="compare_roc", alt=f"ROC curves on test, {label}. {words}")
    with right:
        prevalences = [item.prevalence for item in found.values()]
        steps = build_precision_recall_chart(lines["precision_recall"], names=names, prevalences=prevalences)
        draw_chart_head(
            "Precision and recall",
            lambda: steps,
            key="compare_pr",
            is_synthetic=is_synthetic,
            saved_title=f"Precision and recall on test: {label}",
            name=f"compare-pr-{_write_file_part(label)}",
            complete=lambda rows: complete_points(rows, runs, label, names=("recall", "precision")),
        )
        st.vega_lite_chart(add_ink(steps), key="compare_pr", alt=f"Precision-recall curves on test, {label}. {words}")
    frame = build_rates_frame([item for item in runs if item.name in found], found, label)
    st.dataframe(
        frame,
        key="compare_rates",
        hide_index=True,
        lazy=False,
        row_height=ROW_HEIGHT,
        height=HEADER_HEIGHT + ROW_HEIGHT * len(frame),
        column_config={"Run": st.column_config.TextColumn(pinned=True, width=230)},
        alt=f"AUROC, average precision and decisions of {len(frame)} runs for {label}.",
    )
    st.caption(_explain(label, runs, found))


def read_curves(run: Run, label: str | None) -> RateCurves | None:
    """The curves of a run, computed again only when its predictions have changed.

    Raises:
        RunError: the predictions are missing or damaged.
    """
    try:
        stat = (run.predictions_dir / "test.parquet").stat()
        mark = (stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        mark = (0, 0)  # `load_predictions` says what is missing
    return _read_curves(run, run.run_id, mark, label)


@st.cache_data(show_spinner=False, max_entries=256)
def _read_curves(_run: Run, run_id: str, mark: tuple[int, int], label: str | None) -> RateCurves | None:
    return build_rate_curves(load_predictions(_run, "test"), label)


def complete_points(
    rows: pd.DataFrame, runs: Sequence[ComparedRun], label: str, *, names: tuple[str, str]
) -> pd.DataFrame:
    """The points of both curves as a table that stands alone: which run, which label, and what the numbers are.

    Args:
        rows: of the chart, with its places in `x` and `y`.
        runs: of the chart.
        label: a label, or `MACRO`.
        names: of the columns in place of `x` and `y`.
    """
    rows = add_run_ids(rows, runs).rename(columns=dict(zip("xy", names, strict=True)))
    rows.insert(0, "label", label)
    return rows


def build_rates_frame(runs: Sequence[ComparedRun], curves: dict[str, RateCurves], label: str) -> pd.DataFrame:
    """A row per run: AUROC and average precision with intervals, prevalence, and decisions at the val threshold.

    Where no run has a threshold, as for exclusive classes, there are no decisions.

    Args:
        runs: with test figures and a curve.
        curves: by name of the run.
        label: a label, or `MACRO`.
    """
    rows, has_points = [], any(curves[item.name].point is not None for item in runs)
    for item in runs:
        figures, point = _read_figures(item, label), curves[item.name].point
        row = {
            "Run": item.name,
            "AUROC": write_auroc(*figures["auroc"]),
            "Average precision": write_auroc(*figures["auprc"]),
            "Prevalence": f"{100 * curves[item.name].prevalence:.1f} %",
        }
        if label != MACRO and has_points:
            row |= {
                "Threshold": write_auroc(point["threshold"] if point else None),
                "Sensitivity": write_auroc(point["sensitivity"] if point else None),
                "Specificity": write_auroc(point["specificity"] if point else None),
                "Precision": write_auroc(point["precision"] if point else None),
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _write_file_part(label: str) -> str:
    """Letters and digits of a label, for the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "label"


def _build_line(name: str, item: RateCurves, kind: str) -> RateLine:
    point, place = item.point, None
    if point is not None and kind == "roc":
        place = (1 - point["specificity"], point["sensitivity"], point["threshold"])
    elif point is not None and point["precision"] is not None:
        place = (point["sensitivity"], point["precision"], point["threshold"])
    return RateLine(name, *(item.roc if kind == "roc" else item.precision_recall), place)


def _read_figures(item: ComparedRun, label: str) -> dict[str, tuple[Any, Any, Any]]:
    """Value, low and high of both metrics, as metrics.json has them."""
    test = item.test or {}
    if label == MACRO:
        macro = test["macro"]
        return {name: (macro[name], macro.get(f"{name}_low"), macro.get(f"{name}_high")) for name in ("auroc", "auprc")}
    values = test["per_class"][label]
    return {
        "auroc": (values["auroc"], values.get("low"), values.get("high")),
        "auprc": (values["auprc"], values.get("auprc_low"), values.get("auprc_high")),
    }


def _describe(item: ComparedRun, label: str) -> str:
    figures = _read_figures(item, label)
    return f"AUROC {write_auroc(*figures['auroc'])}, average precision {write_auroc(*figures['auprc'])}"


def _explain(label: str, runs: Sequence[ComparedRun], found: dict[str, RateCurves]) -> str:
    lines = ["Dashed grey: what guessing gives, the diagonal on the left and the prevalence on the right."]
    if label == MACRO:
        counts = sorted({item.num_labels for item in found.values()})
        lines.append(
            f"The curves are means over {' or '.join(map(str, counts))} labels, at each false-positive rate and at "
            "each recall; so the area under each is the mean of the labels' areas."
        )
    elif any(item.point for item in found.values()):
        lines.append("Dots: what the threshold that was chosen on the validation images gives on the test images.")
    missing = [item.name for item in runs if item.name not in found]
    if missing:
        lines.append(
            f"Not drawn, for want of the label or of one of its classes: {escape_markdown(', '.join(missing))}."
        )
    return " ".join(lines)
