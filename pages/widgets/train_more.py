"""The folded place for more runs like the one in the form: other methods, ranks and seeds in one go."""

import streamlit as st

from medpeft_core.methods import METHODS
from pages.widgets.method_fit import find_architecture, list_fitting
from pages.widgets.settings_form import bind
from pages.widgets.train_draft import get_draft
from pages.widgets.train_grid import MAX_RUNS, get_choices
from pages.widgets.train_messages import draw_problem
from pages.widgets.train_methods import RANKS
from pages.widgets.train_plan import Plan
from pages.widgets.wording import escape_markdown, write_duration

SEEDS_WIDTH = 160  # pixels


def draw_more(plan: Plan) -> None:
    """The widgets of the grid, and how many runs it has."""
    table, architecture = get_choices(), find_architecture(get_draft()["backbone"])
    chosen = table.get("methods") or []
    fitting = list_fitting(architecture)
    with st.expander("More runs like this", icon=":material/grid_view:"):
        st.caption("Queue the same settings with other methods, ranks and seeds. What stays empty is as in the form.")
        st.multiselect(
            "Methods",
            list_fitting(architecture, kept=tuple(chosen)),
            format_func=lambda name: METHODS[name].title,
            default=chosen,
            placeholder="As in the form",
            **bind(table, "methods", key="train_grid_methods"),
        )
        if architecture is not None and (unfit := [spec.title for spec in METHODS if spec.name not in fitting]):
            st.caption(f"Not for {escape_markdown(architecture.name)}: {', '.join(unfit)}. **All methods** says why.")
        with st.container(horizontal=True, gap="medium"):
            st.pills(
                "Ranks",
                RANKS,
                selection_mode="multi",
                default=table.get("ranks"),
                help="None chosen is as in the form. Methods without a rank run once for each seed.",
                **bind(table, "ranks", key="train_grid_ranks"),
            )
            st.number_input(
                "Number of seeds",
                value=table.get("num_seeds", 1),
                min_value=1,
                max_value=MAX_RUNS,
                step=1,
                width=SEEDS_WIDTH,
                help="Counted up from the form's own. Three or more show how much chance decides.",
                **bind(table, "num_seeds", key="train_grid_num_seeds"),
            )
        _draw_count(plan)


def _draw_count(plan: Plan) -> None:
    if plan.grid_problem is not None:
        draw_problem(plan.grid_problem, title="These runs cannot be queued")
    if plan.grid is None:
        return
    count = len(plan.grid.configs)
    if count > 1:
        titles = list(dict.fromkeys(METHODS[config.method.name].title for config in plan.grid.configs))
        seconds = plan.time_s
        total = f", about {write_duration(count * seconds)} if each takes as long as the form's own" if seconds else ""
        st.caption(f"**{count} runs** of {', '.join(titles)}{total}.")
    for sentence in plan.grid.left_out:
        st.caption(f":material/block: Left out: {escape_markdown(sentence)}")
