"""The charts of a comparison: val curves over each other, test AUROC by label, against size and against time."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from medpeft_core.errors import RunError
from medpeft_core.figures import build_auroc_forest, build_curve_overlay, build_param_scatter, build_time_scatter
from medpeft_core.figures.comparison import choose_forest_labels
from medpeft_core.reports.summary import summarise_result
from medpeft_core.runs.run import Run
from pages.widgets.chart_ink import add_ink
from pages.widgets.chart_saving import draw_chart_head, draw_save_menu
from pages.widgets.compare_runs import ComparedRun, add_run_ids, is_any_synthetic, write_levels
from pages.widgets.wording import write_auroc

POLL_EVERY_S = 3.0
CURVE_EVENTS = ("eval", "epoch")

Spec = dict[str, Any]


def draw_curves(runs: Sequence[ComparedRun]) -> None:
    """Val AUROC over the epochs; keeps itself up to date while one of the runs is at work."""
    is_active = any(not item.run.is_finished for item in runs)
    statuses = [item.summary["status"] for item in runs]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Validation curves", anchor=False, width="content")
        draw_save_menu(
            lambda: _build_overlay(runs, _read_histories(runs)),
            key="compare_curves",
            title="Validation AUROC over the epochs, mean of the labels",
            is_synthetic=is_any_synthetic(runs),
            complete=lambda rows: add_run_ids(rows, runs),
        )
    st.fragment(_draw_overlay, run_every=POLL_EVERY_S if is_active else None)(runs, statuses)


def draw_forest(runs: Sequence[ComparedRun]) -> None:
    """Test AUROC of each label with its interval, run beside run."""
    results, names = _summarise(runs)
    _draw_chart(
        lambda: build_auroc_forest(results, names=names),
        runs,
        key="compare_forest",
        title="AUROC by label",
        saved_title=f"Test AUROC by label, {write_levels(runs)}",
    )
    num_labels = len({label for result in results for label in result["per_class"]})
    num_shown = len(choose_forest_labels(results))
    if num_shown < num_labels:
        st.caption(f"The {num_shown} with the most test images of {num_labels:,}; the mean is over all.")


def draw_size_and_time(runs: Sequence[ComparedRun]) -> None:
    """Test AUROC against the number of trained parameters, and against the time that the run took."""
    results, names = _summarise(runs)
    left, right = st.columns(2, gap="medium")
    with left:
        _draw_chart(
            lambda: build_param_scatter(results, names=names),
            runs,
            key="compare_scatter",
            title="AUROC and trained parameters",
            saved_title=f"Test AUROC and number of trained parameters, {write_levels(runs)}",
        )
    with right:
        _draw_chart(
            lambda: build_time_scatter(results, names=names),
            runs,
            key="compare_time",
            title="AUROC and training time",
            saved_title=f"Test AUROC and wall time of training and evaluation, {write_levels(runs)}",
        )
        devices = {(item.metrics or {}).get("training", {}).get("device_name") for item in runs if item.metrics}
        if len(devices) > 1:
            st.caption("These runs had different devices, so their times do not compare.")


def _draw_chart(
    build: Callable[[], Spec], runs: Sequence[ComparedRun], *, key: str, title: str, saved_title: str
) -> None:
    draw_chart_head(
        title,
        build,
        key=key,
        is_synthetic=is_any_synthetic(runs),
        saved_title=saved_title,
        complete=lambda rows: add_run_ids(rows, runs),
    )
    st.vega_lite_chart(add_ink(build()), key=key, alt=f"{saved_title}. {_describe_means(runs)}")


def _draw_overlay(runs: Sequence[ComparedRun], statuses: list[str | None]) -> None:
    try:
        is_changed = [item.run.status for item in runs] != statuses
    except RunError:  # deleted or damaged a moment ago
        is_changed = True
    if is_changed:
        st.rerun()  # a run began, ended or went: its line in the table and its figures are other ones now
    histories = {item.name: read_curve_events(item.run) for item in runs}
    spec = _build_overlay(runs, histories)
    st.vega_lite_chart(
        add_ink(spec), key="compare_curves", alt="Val AUROC over the epochs. " + _describe_curves(histories)
    )


def _build_overlay(runs: Sequence[ComparedRun], histories: dict[str, list[dict[str, Any]]]) -> Spec:
    return build_curve_overlay(histories, steps_per_epoch=_find_steps_per_epoch(runs))


def _read_histories(runs: Sequence[ComparedRun]) -> dict[str, list[dict[str, Any]]]:
    """As they are at this moment; outside of Streamlit's thread, where its cache cannot be asked."""
    return {item.name: _select(item.run.history(CURVE_EVENTS)) for item in runs}


def read_curve_events(run: Run) -> list[dict[str, Any]]:
    """Evaluations and ends of epochs of a run, read again only when its log has grown."""
    try:
        stat = run.events_path.stat()
    except FileNotFoundError:
        return []
    return _read_curve_events(run, run.run_id, stat.st_mtime_ns, stat.st_size)


@st.cache_data(show_spinner=False, max_entries=64)
def _read_curve_events(_run: Run, run_id: str, changed_ns: int, num_bytes: int) -> list[dict[str, Any]]:
    return _select(_run.history(CURVE_EVENTS))


def _select(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] in CURVE_EVENTS]


def _find_steps_per_epoch(runs: Sequence[ComparedRun]) -> dict[str, float]:
    """By name, from the plan, where it is known."""
    plans = {item.name: (item.summary.get("num_steps"), item.summary.get("epochs")) for item in runs}
    return {name: num_steps / epochs for name, (num_steps, epochs) in plans.items() if num_steps and epochs}


def _summarise(runs: Sequence[ComparedRun]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    return [summarise_result(item.run) for item in runs], {item.run.run_id: item.name for item in runs}


def _describe_means(runs: Sequence[ComparedRun]) -> str:
    """For those who cannot see the chart."""
    means = []
    for item in runs:
        figures = item.metrics or {}
        interval = (figures.get("test_auroc"), figures.get("test_auroc_low"), figures.get("test_auroc_high"))
        means.append(f"{item.name}: mean {write_auroc(*interval)}")
    return "; ".join(means)


def _describe_curves(histories: dict[str, list[dict[str, Any]]]) -> str:
    lasts = []
    for name, events in histories.items():
        values = [event["val_auroc"] for event in events if event["type"] == "eval"]
        lasts.append(f"{name}: {len(values)} evaluations, the last {write_auroc(values[-1] if values else None)}")
    return "; ".join(lasts)
