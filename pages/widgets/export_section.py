"""Take it elsewhere: the formats that a run's weights can leave the lab in, on the run's page on Monitor.

Nothing here is a live part of the run: buttons and downloads must survive the ticks of what is live.
"""

import streamlit as st

from medpeft_core.config import RunConfig
from medpeft_core.exports import EXPORTS
from medpeft_core.exports.spec import ExportSpec
from medpeft_core.methods import METHODS
from medpeft_core.runs.run import Run
from pages.widgets.export_choice import draw_choice
from pages.widgets.export_jobs import read_made
from pages.widgets.wording import escape_markdown

FORMAT_KEY = "monitor_export"  # also its name in the address
MADE_MARK = ":green-badge[:material/check: made]"


def draw_exports(run: Run, config: RunConfig) -> None:
    """The formats, what the chosen one gives, and what keeps the others from this run.

    Args:
        run: that no process works on.
        config: of that run.
    """
    is_trained = any(run.adapter_dir.glob("**/*.safetensors"))
    fitting, misfits = sort_formats(config.method.name, is_trained=is_trained)
    made = read_made(run.run_id)
    with st.container(border=True, key="monitor_export_card"):
        st.subheader("Take it elsewhere", anchor="export")
        st.caption("What was trained here, in the formats that other programs open. Nothing leaves this computer.")
        left, right = st.columns([2, 3], gap="large")
        with left:
            chosen = _choose_format(fitting, made=set(made))
            _draw_misfits(misfits)
        with right:
            draw_choice(run, config, EXPORTS[chosen], made.get(chosen))


def sort_formats(method: str, *, is_trained: bool = True) -> tuple[list[ExportSpec], list[tuple[ExportSpec, str]]]:
    """The formats that fit runs of a method, and the others, each with the reason.

    Args:
        method: its name; one that this version of the lab does not know fits what takes any run.
        is_trained: whether there are trained weights.
    """
    found = [(spec, _find_misfit(spec, method, is_trained=is_trained)) for spec in EXPORTS]
    return (
        [spec for spec, misfit in found if misfit is None],
        [(spec, misfit) for spec, misfit in found if misfit is not None],
    )


def _find_misfit(spec: ExportSpec, method: str, *, is_trained: bool) -> str | None:
    if spec.takes_any_run:
        return None
    if not is_trained:
        return "nothing was trained and kept yet"
    if method not in METHODS:
        return "this version of the lab does not know its method"
    return spec.find_misfit(METHODS[method])


def _choose_format(fitting: list[ExportSpec], *, made: set[str]) -> str:
    specs = {spec.name: spec for spec in fitting}
    if st.session_state.get(FORMAT_KEY) not in (None, *specs):
        del st.session_state[FORMAT_KEY]  # chosen for a run that it fitted
    return st.radio(
        "Format",
        list(specs),
        format_func=lambda name: specs[name].title,  # stands in the address
        captions=[_describe(spec, is_made=spec.name in made) for spec in fitting],
        key=FORMAT_KEY,
        bind="query-params",
        label_visibility="collapsed",
    )


def _describe(spec: ExportSpec, *, is_made: bool) -> str:
    return f"{spec.description} Opens with {spec.opens_with}.{f' {MADE_MARK}' if is_made else ''}"


def _draw_misfits(misfits: list[tuple[ExportSpec, str]]) -> None:
    for spec, misfit in misfits:
        st.caption(f":material/block: **{spec.title}** does not fit this run: {escape_markdown(misfit)}.")
