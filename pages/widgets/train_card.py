"""The card "What this means" beside the form: mistakes, figures, data, command line and first batch."""

import streamlit as st

from medpeft_core.command_line import build_command
from pages.widgets.train_batch import draw_first_batch
from pages.widgets.train_data import draw_unprepared
from pages.widgets.train_forecast import draw_figures
from pages.widgets.train_messages import draw_problem
from pages.widgets.train_plan import Plan


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
        st.caption("The same on the command line")
        st.code(build_command(plan.config), language=None, wrap_lines=True)
        draw_first_batch(plan.config, is_prepared=check is not None and check["is_prepared"])
