"""The learner's own runs of the first lesson: how long they take, start, stop, resume, and how far they are.

Start, stop and resume stand outside the part that keeps itself up to date: a tab that has just found its server again
has no live parts yet, and Streamlit drops the clicks that belong to them.
"""

from collections.abc import Sequence

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.figures.finding_looks import write_fraction
from medpeft_core.lessons.cells import RESUMABLE, Standing, list_missing, requeue, stop
from medpeft_core.lessons.protocol import Protocol
from medpeft_core.runs.states import RUNNING
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.lesson_labels_grid import Times, draw_grid
from pages.widgets.lesson_labels_prediction import FULL, KEY, LORA
from pages.widgets.lesson_labels_state import JOB_TITLE, find_job, find_last_job, look_at, read_failures
from pages.widgets.run_picker import PARAMETER
from pages.widgets.run_status import is_stopping
from pages.widgets.wording import escape_markdown, write_duration

POLL_EVERY_S = 2.0


def draw_own_runs(protocol: Protocol, standing: Standing, *, is_short: bool, forecast_s: Times, is_open: bool) -> None:
    """The plan before the start, or the progress, with its buttons. Not to be called in a fragment.

    Args:
        protocol: of the lesson.
        standing: of the cells that belong to the chosen version.
        is_short: whether that is the short one.
        forecast_s: (method, fraction) to the seconds of a run, for those that have not been measured here.
        is_open: whether the figures may be seen.
    """
    job = find_job()
    with st.container(border=True, key=f"{KEY}_own"):
        if job is not None:
            follow_job(job, key=f"{KEY}_job")
        else:
            _draw_last_failure()
        is_waiting = job is None and not standing.is_working
        interval = None if is_waiting else POLL_EVERY_S
        st.fragment(_draw_progress, run_every=interval)(
            protocol, _mark(standing), is_short=is_short, forecast_s=forecast_s, is_open=is_open
        )
        if is_waiting:
            _draw_start(protocol, standing, is_short=is_short, forecast_s=forecast_s)
        elif job is None:
            _draw_stop(standing)


def describe_plan(standing: Standing, forecast_s: Times) -> str:
    """How long what is missing takes; says so where that was measured on another computer; markdown."""
    left_s = standing.estimate_s(dict(forecast_s))
    count = standing.num_all - standing.num_done
    what = f"{count} runs" if count > 1 else "1 run"
    if left_s is None:
        return f"**{what} to make.** How long they take is known once one of each kind has ended."
    measured = standing.median_times_s()
    is_guess = not measured and standing.estimate_s() is None
    where = (
        "as long as on the computer that made the stored result" if is_guess else "judging by the runs that ended here"
    )
    return f"**{what} to make, about {write_duration(left_s)}**, {where}."


def _draw_progress(
    protocol: Protocol, mark: tuple[object, ...], *, is_short: bool, forecast_s: Times, is_open: bool
) -> None:
    standing = look_at(protocol, is_short=is_short)
    if _mark(standing) != mark:
        st.rerun()  # the answer below grows, and the buttons change
    if standing.num_done or standing.is_working:
        left_s = standing.estimate_s(dict(forecast_s)) if standing.is_working else None
        eta = f", about {write_duration(left_s)} left" if left_s else ""
        st.progress(standing.share, text=f"**{standing.num_done} of {standing.num_all} runs are finished**{eta}")
    draw_grid(standing, forecast_s=forecast_s, is_open=is_open)
    working = [item for item in standing.cells if item.status == RUNNING and item.run_id]
    if working:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown("At work:", width="content")
            for item in working:
                name = f"{protocol.methods[item.cell.method].title}, {write_fraction(item.cell.fraction)}"
                st.page_link(
                    "pages/monitor.py",
                    label=f"{name}, seed {item.cell.seed}",
                    icon=":material/monitoring:",
                    query_params={PARAMETER: str(item.run_id)},
                )


def _draw_start(protocol: Protocol, standing: Standing, *, is_short: bool, forecast_s: Times) -> None:
    if standing.is_done:
        _draw_ends(standing)
        return
    _draw_failures(protocol, standing)
    st.markdown(describe_plan(standing, forecast_s))
    has_begun = any(item.run_id is not None for item in standing.cells)
    st.caption(
        "What is finished stays. Runs that were stopped go on from where they were."
        if has_begun
        else "The images are drawn first, once, which takes about a minute; then the runs start."
    )
    label = "Resume" if has_begun else "Run the short version" if is_short else "Run all of it"
    if st.button(label, type="primary", icon=":material/play_arrow:", key=f"{KEY}_start"):
        start(protocol, standing)


def _draw_failures(protocol: Protocol, standing: Standing) -> None:
    failed = read_failures(protocol, standing)
    if failed:
        what = "A run of the lesson" if len(failed) == 1 else f"{len(failed)} runs of the lesson"
        st.warning(
            f"**{what} failed.** The newest says: {escape_markdown(failed[0][1])} The button below makes "
            "new ones in their place.",
            icon=":material/error:",
        )
        st.page_link(
            "pages/monitor.py",
            label="See why it failed",
            icon=":material/monitoring:",
            query_params={PARAMETER: failed[0][0]},
        )


def start(protocol: Protocol, standing: Standing) -> None:
    """Put stopped runs back into the queue, and start the job that makes the missing ones."""
    try:
        requeue(get_lab().store, standing)
        configs = [config.to_dict() for config in list_missing(protocol, standing)]
        if configs:
            get_lab().jobs.start("launch", JOB_TITLE, configs=configs)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="The runs could not start", icon=":material/error:")
        return
    st.rerun()


def _draw_stop(standing: Standing) -> None:
    is_asked = _is_stopping(standing)
    if st.button(
        "Stopping" if is_asked else "Stop",
        icon=":material/stop:",
        key=f"{KEY}_stop",
        disabled=is_asked,
        help="Runs at work stop after the present batch, with a checkpoint; Resume goes on from there.",
    ):
        stop(get_lab().store, standing)
        st.rerun()


def _is_stopping(standing: Standing) -> bool:
    """Every cell that still works was asked to stop."""
    store = get_lab().store
    working = [item for item in standing.cells if item.status is not None and item.run_id and item.status == RUNNING]
    waiting = [item for item in standing.cells if item.status in ("queued", "paused")]
    return bool(working) and not waiting and all(is_stopping(store, store.load(str(item.run_id))) for item in working)


def _draw_ends(standing: Standing) -> None:
    """All runs are there: to Compare, LoRA and full fine-tuning at each share of the labels."""
    st.markdown(":material/check_circle: **All runs are finished.** The answer is below; or look at the runs yourself:")
    with st.container(horizontal=True):
        for fraction in dict.fromkeys(item.cell.fraction for item in standing.cells):
            st.page_link(
                "pages/compare.py",
                label=f"Compare LoRA and full with {write_fraction(fraction)}",
                icon=":material/compare_arrows:",
                query_params={"runs": ",".join(_list_ids(standing, fraction, (LORA, FULL)))},
            )


def _list_ids(standing: Standing, fraction: float, methods: Sequence[str]) -> list[str]:
    return [
        item.run_id
        for item in standing.cells
        if item.run_id and item.cell.fraction == fraction and item.cell.method in methods
    ]


def _draw_last_failure() -> None:
    job = find_last_job()
    if job is not None and job.state().status in ("failed", "interrupted"):
        draw_ending(job)


def _mark(standing: Standing) -> tuple[object, ...]:
    """Changes when the page must be drawn anew: a run has ended, or the work has begun or ended."""
    resumable = sum(item.status in RESUMABLE for item in standing.cells)
    return standing.finished_ids(), standing.is_working, resumable, find_job() is not None
