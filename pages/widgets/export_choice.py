"""One format of one run: what goes along, the button that makes it, its progress, and what came of it."""

from typing import Any

import streamlit as st

from medpeft_core.config import RunConfig
from medpeft_core.errors import MedPeftError
from medpeft_core.exports.spec import ExportSpec
from medpeft_core.paths import weights_dir
from medpeft_core.runs.run import Run
from pages.widgets.export_hub import draw_push
from pages.widgets.export_jobs import find_export_jobs
from pages.widgets.export_result import draw_result
from pages.widgets.job_progress import draw_ending, follow_job
from pages.widgets.lab import get_lab
from pages.widgets.wording import escape_markdown, write_bytes

CAN_HOLD_BASE = ("peft", "tensors", "archive")
FROM_TIMM = "Its base weights are those that timm names: whoever opens it downloads them, or has them already."


def draw_choice(run: Run, config: RunConfig, spec: ExportSpec, made: dict[str, Any] | None) -> None:
    """What can be done with a format that fits the run.

    Args:
        run, config: of what.
        spec: of the format.
        made: what is told of the export that lies in the lab; None when there is none.
    """
    jobs = find_export_jobs(run.run_id)
    running = next((job for job in jobs if not job.is_finished), None)
    if running is not None:
        follow_job(running, key="monitor_export_job")
        return
    if made is not None:
        draw_result(run.run_id, spec, made)
        draw_push(run, spec, made)
    options = _choose_options(config, spec)
    _draw_make(run, spec, options, is_made=made is not None)
    ended = next((job for job in jobs if (job.request().options or {}).get("format") == spec.name), None)
    if ended is not None and ended.state().status != "finished":
        is_newer = made is None or ended.state().updated_at > made.get("created_at", 0.0)
        if is_newer:
            draw_ending(ended)


def _choose_options(config: RunConfig, spec: ExportSpec) -> dict[str, bool]:
    """The choices that make a difference for this run and format."""
    options = {}
    if spec.name in CAN_HOLD_BASE:
        if config.backbone.weights == "pretrained":
            st.caption(f":material/cloud_download: {FROM_TIMM}")
        else:
            size = _measure_base(config.backbone.weights_sha256)
            options["include_base"] = st.checkbox(
                f"Base weights along{f', {write_bytes(size)}' if size else ''}",
                value=True,
                key=f"monitor_export_base_{spec.name}",
                help="They came from a file or from chance, so nobody can download them: without them the receiver "
                "needs the very same file.",
            )
    if spec.name == "archive":
        options["include_checkpoint"] = st.checkbox(
            "The checkpoint too, to go on training there", key="monitor_export_checkpoint"
        )
        options["include_predictions"] = st.checkbox(
            "The predictions of each image",
            value=True,
            key="monitor_export_predictions",
            help="Names of image files and pseudonyms of patients stand in them. Without them the run shows its "
            "figures there, but no list of images.",
        )
    return options


def _draw_make(run: Run, spec: ExportSpec, options: dict[str, bool], *, is_made: bool) -> None:
    if not st.button(
        "Make it again" if is_made else f"Make: {spec.title}",
        type="secondary" if is_made else "primary",
        icon=":material/replay:" if is_made else ":material/ios_share:",
        key="monitor_export_make",
        help="In the background; the present one stays until the new one is whole." if is_made else None,
    ):
        return
    try:
        get_lab().jobs.start(
            "export",
            f"Exporting {run.run_id} as {spec.title}",
            options={"run_id": run.run_id, "format": spec.name, "options": options},
        )
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")
        return
    st.rerun()


def _measure_base(sha256: str | None) -> int | None:
    """Bytes of the base that the lab stored; None where it is not there."""
    try:
        return (weights_dir() / f"{sha256}.safetensors").stat().st_size
    except OSError:
        return None
