"""The page of the second lesson from its question to what to try next."""

import time
from datetime import UTC, datetime
from typing import Literal

import streamlit as st

from medpeft_core.errors import MedPeftError
from medpeft_core.lessons.shortcut import COMMAND, build_plain_config, build_tube_config
from medpeft_core.lessons.shortcut_stored import Outcome
from medpeft_core.lessons.shortcut_words import CHANCE, SAME, WORSE
from medpeft_core.runs.run import Run
from pages.widgets.lab import get_lab
from pages.widgets.lesson_parts import (
    NextStep,
    draw_folded,
    draw_lesson_end,
    draw_next_steps,
    draw_prediction,
    draw_question,
    draw_step,
    draw_stored_note,
)
from pages.widgets.lesson_shortcut_answer import draw_answer
from pages.widgets.lesson_shortcut_run import draw_own_run
from pages.widgets.lesson_shortcut_state import (
    KEY,
    ask,
    find_job,
    find_outcome,
    find_own_runs,
    forget,
    get_stored,
)
from pages.widgets.run_picker import PARAMETER
from pages.widgets.wording import escape_markdown, write_duration

STORED, OWN = "stored", "own"
SOURCES = {STORED: "Stored result", OWN: "Train it yourself"}
SOURCE_KEY, PARAMETER_SOURCE = f"{KEY}_source", "result"
POLL_EVERY_S = 1.0
QUESTION = "A model finds effusions very well in images like its own. Did it learn what an effusion looks like?"
BACKGROUND = (
    "In the radiographs that this model learns from, **a side marker (a framed L or R in an upper corner) was put on "
    "9 of "
    "10 images with an effusion, and on 1 of 20 others**: as in a hospital where one ward's portable unit has its own "
    "marker, and the ill lie in that ward. The validation images come from the same place. In the test images the "
    "marker "
    "is on every second image, whatever it shows, as in another hospital.\n\n"
    "Real models have learned such things: which hospital a film comes from, a chest drain that was put in because of "
    "the disease, a ruler beside a mole. Here the truth is known, so it can be measured."
)
ASKED = "The model ranks the validation images very well. How will it do on the test images?"
CHOICES = {
    SAME: "**About as well:** it learned what an effusion looks like.",
    WORSE: "**Clearly worse, but better than guessing:** it learned the marker, and something of the disease.",
    CHANCE: "**No better than guessing:** it learned the marker and nothing else.",
}

Source = Literal["stored", "own"]


def draw_page() -> None:
    """All five steps."""
    draw_question(
        QUESTION,
        BACKGROUND,
        facts={
            "Data": "synthetic radiographs, drawn by this lab, split by patient; test is looked at once",
            "Model": "the small vision transformer that ships with the lab, all weights trained on a quarter of the "
            "labels",
            "Command": f"`{COMMAND}`",
        },
    )
    prediction = draw_prediction(ASKED, CHOICES, key=KEY)
    run: Run | None = None
    try:
        draw_step(3, "The experiment")
        outcome, run = _draw_experiment()
        draw_step(4, "The answer")
        _draw_answer(outcome, run, prediction)
    except MedPeftError as error:
        st.error(escape_markdown(str(error)), title="The lesson cannot be shown", icon=":material/error:")
    draw_next_steps(list_next_steps(run), key=KEY)
    draw_lesson_end(is_synthetic=True)


def list_next_steps(run: Run | None) -> list[NextStep]:
    """Where to go from here.

    Args:
        run: the learner's own, finished; None where there is none.
    """
    look = NextStep(
        label="See its heat maps" if run is not None else "Train it, then see its heat maps",
        text="**Page through your run's images.** Explain outlines the marker in every test image that has it. Look "
        "at the "
        "false alarms first."
        if run is not None
        else "**Look at more images.** With a run of your own, Explain shows every test image with its heat map and "
        "the "
        "outlined marker.",
        icon=":material/visibility:",
        page="pages/explain.py" if run is not None else "pages/lesson_shortcut.py",
        query={PARAMETER: run.run_id, "show": "alarm"} if run is not None else {PARAMETER_SOURCE: OWN},
    )
    return [
        NextStep(
            label="Train with a chest drain",
            text="**A shortcut that doctors know.** The same run, but a chest drain goes with the effusion. Does it "
            "learn "
            "the drain as readily as the marker?",
            icon=":material/model_training:",
            page="pages/train.py",
            config=build_tube_config(),
        ),
        look,
        NextStep(
            label="Train without a marker",
            text="**What can be learned honestly?** The same model on the same kind of patients without any mark. "
            "Compare "
            "its test AUROC with that of the painted images above.",
            icon=":material/model_training:",
            page="pages/train.py",
            config=build_plain_config(),
        ),
    ]


def _draw_experiment() -> tuple[Outcome | None, Run | None]:
    """Step 3; the outcome to tell, and the learner's own finished run."""
    shown, finished = find_own_runs()
    stored = get_stored()
    if _choose_source(stored, has_own=shown is not None) == STORED and stored is not None:
        with st.container(border=True, key=f"{KEY}_stored"):
            draw_stored_note(stored.result["command"], made=describe_origin(stored))
        return stored, finished
    draw_own_run(shown)
    if finished is not None and shown is not None and shown.run_id != finished.run_id:
        st.caption(f"Until then the answer is that of the run before, `{finished.run_id}`.")
    return None if finished is None else find_outcome(finished), finished


def describe_origin(stored: Outcome) -> str:
    """When and on what the stored run was made; plain text."""
    result = stored.result
    day = datetime.fromtimestamp(result["made_at"], UTC).strftime("%Y-%m-%d")
    return f"{day}, {result.get('device_name') or 'CPU'}, PyTorch {(result.get('packages') or {}).get('torch')}"


def _choose_source(stored: Outcome | None, *, has_own: bool) -> Source:
    """Stored or own; own work that is there comes first, and a link may ask for either."""
    if stored is None:
        st.caption("No stored result ships with this copy of the lab; train it here.")
        return OWN
    asked = st.query_params.get(PARAMETER_SOURCE)
    if asked is not None:
        del st.query_params[PARAMETER_SOURCE]  # else it would undo the next click
    if asked in SOURCES:
        st.session_state[SOURCE_KEY] = asked
    elif SOURCE_KEY not in st.session_state:
        st.session_state[SOURCE_KEY] = OWN if has_own or find_job() is not None else STORED
    return st.segmented_control(
        "Which result",
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        required=True,
        key=SOURCE_KEY,
        persist_state="session",
    )


def _draw_answer(outcome: Outcome | None, run: Run | None, prediction: str | None) -> None:
    if outcome is None and run is None:
        st.info(
            "The answer appears here when your run is finished. Meanwhile the stored result tells how it went before.",
            icon=":material/hourglass_empty:",
        )
        return
    if outcome is None and run is not None:
        _draw_asking(run)
    elif prediction is None:
        draw_folded()
    elif outcome is not None:
        draw_answer(outcome, prediction, CHOICES)


def _draw_asking(run: Run) -> None:
    """The run is finished, and is asked again about its images with the marker painted over."""
    question = ask(run)
    if question.future.done() and not question.future.cancelled():
        error = question.future.exception()
        if isinstance(error, MedPeftError):
            st.error(escape_markdown(str(error)), title="The images could not be asked about", icon=":material/error:")
            if st.button("Try again", key=f"{KEY}_retry", icon=":material/refresh:"):
                forget(run)
                st.rerun()
            return
        if error is not None:
            raise error
        forget(run)  # the files are there now; if they are cleared away, it is asked again
    st.fragment(_wait, run_every=POLL_EVERY_S)(run)


def _wait(run: Run) -> None:
    question = ask(run)
    if question.future.done():
        st.rerun()  # draw the page once more, with the answer
    waited = write_duration(time.monotonic() - question.asked_at)
    start = "" if get_lab().compute.is_warm else " Loading the model takes some seconds more, once."
    st.progress(0, text=f"**Painting over the marker in all val and test images and asking again**: {waited} so far")
    st.caption(f":material/hourglass_top: About a quarter of a minute on a laptop, and then it is kept.{start}")
