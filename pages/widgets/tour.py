"""The tour of the first visit: five steps through the pages, offered once on Home, left at any moment.

Which step a visitor is at lives in the session. That the tour is over is remembered by a cookie of this browser, so
that each person at a shared server is asked once.
"""

from dataclasses import dataclass

import streamlit as st

STEP_KEY, OVER_KEY = "tour_step", "tour_is_over"
COOKIE, COOKIE_DAYS = "medpeft_tour", 365

_remember = st.components.v2.component(
    "medpeft_tour_memory",
    js="""
export default function (component) {
  const { name, days } = component.data
  document.cookie = `${name}=over; path=/; max-age=${days * 86400}; SameSite=Strict`
}
""",
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One stop: the page as its file is named, what it is for, and what to try there."""

    page: str
    title: str
    text: str
    hint: str


STEPS = (
    Step(
        page="home",
        title="Start the demo",
        text="The demo draws synthetic radiographs and trains two small models on them, in about four minutes and "
        "without a network. It runs in the background of this computer: close the page, come back, it is still there.",
        hint="Press **Start the demo** below, or take the runs that are here, and go on while it works.",
    ),
    Step(
        page="train",
        title="Choose a run",
        text="From top to bottom: the data, how many of the labels to use, the backbone, the method and its rank. "
        "Beside the form stands at once what it means: trained parameters, memory, time.",
        hint="Choose **LoRA** as the method, change its rank, and watch the number of trained parameters. The **Data** "
        "page shows what is in a set.",
    ),
    Step(
        page="monitor",
        title="Watch it learn",
        text="One line says what a run is doing and when it was last heard of, the curves show how well it ranks the "
        "validation images. Stop keeps a checkpoint, and Resume goes on from there.",
        hint="Wait for the second point of the curve; 0.5 is guessing, 1 is perfect.",
    ),
    Step(
        page="compare",
        title="Compare runs",
        text="Tick two or more runs to see which settings differ, and how far apart the results are. "
        "Every figure has an interval, because a test set is a sample.",
        hint="When the demo is over, Home links to its comparison.",
    ),
    Step(
        page="explain",
        title="See where it looked",
        text="Page through the test images with the arrow keys: what the model says, what is true, and a heat map of "
        "what raised its score. Predict does the same for an image of your own, which is not stored.",
        hint="Look at the images that the model got wrong first: they teach the most. After the tour the lessons under "
        "**Learn** put two questions to you and to the lab.",
    ),
)


def draw_tour(page: str) -> None:
    """Above the page: the offer on the first visit of Home, or the step that belongs to this page.

    Args:
        page: the page as its file is named.
    """
    step = st.session_state.get(STEP_KEY)
    if step is not None:
        _draw_step(_find_step(page), step)
    elif st.session_state.get(OVER_KEY):
        if not _is_remembered():
            _remember(key="tour_memory", data={"name": COOKIE, "days": COOKIE_DAYS}, height=1)
    elif page == STEPS[0].page and not _is_remembered():
        _draw_offer()


def draw_tour_button() -> None:
    """A way into the tour for those who left it."""
    if st.button("Take the tour", icon=":material/tour:", type="tertiary", key="tour_again"):
        _go(0)


def _is_remembered() -> bool:
    return st.context.cookies.get(COOKIE) == "over"


def _find_step(page: str) -> int | None:
    return next((number for number, step in enumerate(STEPS) if step.page == page), None)


def _draw_offer() -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="tour_offer"):
        st.markdown(f":material/tour: **New here?** A tour of {len(STEPS)} steps shows what each page is for.")
        if st.button("Show me around", key="tour_start"):
            _go(0)
        if st.button("No, thanks", type="tertiary", key="tour_refuse"):
            _end()


def _draw_step(here: int | None, step: int) -> None:
    """The step of this page; on a page that is no stop, the way back to the tour."""
    with st.container(border=True, key="tour_card"):
        if here is None:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f":material/tour: The tour waits at step {step + 1} of {len(STEPS)}.")
                if st.button("Go on with it", key="tour_return"):
                    _go(step)
                _draw_end("End the tour")
            return
        st.session_state[STEP_KEY] = here
        stop = STEPS[here]
        st.markdown(f":material/tour: **Step {here + 1} of {len(STEPS)}: {stop.title}**")
        st.markdown(f"{stop.text}  \n:material/touch_app: {stop.hint}")
        with st.container(horizontal=True, vertical_alignment="center"):
            if here > 0 and st.button("Back", icon=":material/arrow_back:", key="tour_back"):
                _go(here - 1)
            is_last = here == len(STEPS) - 1
            if not is_last and st.button(f"Next: {STEPS[here + 1].title}", type="primary", key="tour_next"):
                _go(here + 1)
            _draw_end("Finish" if is_last else "End the tour")


def _draw_end(label: str) -> None:
    if st.button(label, type="tertiary", icon=":material/close:", key="tour_end"):
        _end()


def _go(step: int) -> None:
    st.session_state[STEP_KEY] = step
    st.switch_page(f"pages/{STEPS[step].page}.py")


def _end() -> None:
    st.session_state.pop(STEP_KEY, None)
    st.session_state[OVER_KEY] = True
    st.rerun()
