"""The card "What this means" beside the form: mistakes, figures, data, command line and first batch."""

import streamlit as st

from medpeft_core.command_line import build_command
from pages.widgets.train_batch import draw_first_batch
from pages.widgets.train_data import draw_unprepared
from pages.widgets.train_forecast import draw_figures
from pages.widgets.train_messages import draw_problem
from pages.widgets.train_plan import Plan

COMMANDS_HEIGHT = 200  # pixels, of the commands of many runs


def draw_card(plan: Plan) -> None:
    """The whole card; figures appear in it as they come."""
    with st.container(border=True, key="train_card"):
        st.subheader("What this means")
        if plan.config is None or plan.resolved is None or plan.forecast is None:
            draw_problem(plan.problem or "", title="The settings have a mistake")
            return
        draw_figures(plan.config, plan.forecast)
        check = plan.forecast.check.value
        if check is not None and not check["is_prepared"]:
            draw_unprepared(plan.resolved)
        _draw_commands(plan)
        draw_first_batch(plan.config, is_prepared=check is not None and check["is_prepared"])


def _draw_commands(plan: Plan) -> None:
    """What starts the same runs in a terminal, a line for each."""
    configs = plan.grid.configs if plan.grid is not None else ()
    if len(configs) < 2:
        st.caption("The same on the command line")
        st.code(build_command(plan.config), language=None, wrap_lines=True)
        return
    st.caption(f"The same on the command line, one line for each of the {len(configs)} runs")
    commands = "\n".join(build_command(config) for config in configs)
    st.code(commands, language=None, height=COMMANDS_HEIGHT)
