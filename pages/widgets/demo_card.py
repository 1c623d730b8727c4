"""The card on Home that starts the demo, shows how far it is, and leads on to its results."""

from typing import Any

import streamlit as st

from medpeft_core.demo import build_demo_configs, find_demo_runs
from medpeft_core.errors import MedPeftError
from medpeft_core.runs.listing import list_summaries
from pages.widgets.job_progress import follow_job
from pages.widgets.lab import get_lab
from pages.widgets.run_status import draw_status_chip
from pages.widgets.wording import SYNTHETIC, escape_markdown, write_auroc, write_duration

JOB_TITLE = "Demo, first step: drawing its images"
START_NOTE = (
    "Both start from the same weights, which ship with the lab: learned without labels, by rebuilding hidden parts of "
    "other synthetic radiographs."
)
POLL_EVERY_S = 1.0
WORKING = ("queued", "running", "paused")


def draw_demo() -> None:
    """The card; it keeps itself up to date while the demo is at work."""
    job = _find_job()
    is_working = _is_working()
    with st.container(border=True):
        st.subheader(":material/science: The demo")
        st.markdown(
            "A small vision transformer learns five findings from a few labelled chest radiographs, twice: once with "
            "all its weights, once with LoRA, which trains a few per cent of them. It takes about three minutes on a "
            "laptop, after the radiographs were drawn once (about a minute)."
        )
        if job is not None:
            follow_job(job, key="home_demo_job")
        else:
            _draw_last_failure()
        st.fragment(_draw_runs, run_every=POLL_EVERY_S if is_working else None)(was_working=is_working)
        if job is None and not is_working:
            _draw_actions(find_demo_runs(list_summaries(get_lab().store)))
        st.caption(f":material/info: {START_NOTE}  \n:material/palette: {SYNTHETIC}")


def _is_working() -> bool:
    return any(item["status"] in WORKING for item in find_demo_runs(list_summaries(get_lab().store)))


def _find_job() -> Any | None:
    jobs = get_lab().jobs.list_jobs()
    return next((job for job in jobs if job.title == JOB_TITLE and not job.is_finished), None)


def _draw_runs(*, was_working: bool) -> None:
    if _is_working() != was_working:
        st.rerun()  # the rest of the card says so too, and polling begins or ends
    for item in find_demo_runs(list_summaries(get_lab().store)):
        _draw_run(item)


def _draw_actions(runs: list[dict[str, Any]]) -> None:
    has_results = len(runs) == len(build_demo_configs()) and all(item["status"] == "finished" for item in runs)
    with st.container(horizontal=True, vertical_alignment="center"):
        if has_results:
            ids = ",".join(item["run_id"] for item in runs)
            st.page_link(
                "pages/compare.py", label="Compare both", icon=":material/compare_arrows:", query_params={"runs": ids}
            )
            st.page_link(
                "pages/explain.py",
                label="See where it looked",
                icon=":material/visibility:",
                query_params={"run": runs[-1]["run_id"], "show": "found"},
            )
        if st.button(
            "Run the demo again" if runs else "Start the demo",
            type="tertiary" if has_results else "primary",
            icon=":material/play_arrow:",
            key="home_start_demo",
            help="Trains two new runs; those that are here stay, and Compare lists them." if runs else None,
        ):
            _start()


def _start() -> None:
    configs = [config.to_dict() for config in build_demo_configs()]
    try:
        get_lab().jobs.start("launch", JOB_TITLE, configs=configs)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="The demo could not start", icon=":material/error:")
        return
    st.rerun()


def _draw_last_failure() -> None:
    """Why the demo did not get to its runs, when its last job ended badly or was stopped."""
    job = next((job for job in get_lab().jobs.list_jobs() if job.title == JOB_TITLE), None)
    if job is not None and job.state().status == "stopped":
        st.info("The demo was stopped while its images were drawn. Nothing half-done was left.", icon=":material/stop:")
    if job is not None and job.state().status in ("failed", "interrupted"):
        st.error(
            job.state().error or "The reason is not known.", title="The demo did not start", icon=":material/error:"
        )


def _draw_run(item: dict[str, Any]) -> None:
    """One line: what it is, how far, and its result."""
    name = "All weights" if item["method"] == "full" else "LoRA, rank 8"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        draw_status_chip(item["status"])
        st.page_link("pages/monitor.py", label=f"**{name}**", query_params={"run": item["run_id"]})
        figures = item.get("metrics") or {}
        if item["status"] == "finished":
            auroc = write_auroc(
                figures.get("test_auroc"), figures.get("test_auroc_low"), figures.get("test_auroc_high")
            )
            st.markdown(f"test AUROC {auroc}")
    if item["status"] == "running":
        share = min((item.get("step") or 0) / item["num_steps"], 1.0) if item.get("num_steps") else 0.0
        eta = f", about {write_duration(item['eta_s'])} left" if item.get("eta_s") else ""
        st.progress(share, text=f"{item['phase'] or 'starting'}{eta}")
