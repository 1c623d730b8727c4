"""What lesson pages share: numbered steps, the question, the learner's prediction, what a result is, what to try next.

A page calls them in this order. The answer's details stay folded away until the learner has chosen, or has asked to be
shown: whoever has said what they expect looks at the answer with other eyes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import streamlit as st

from medpeft_core.config import RunConfig
from pages.widgets.train_draft import put_draft
from pages.widgets.wording import DISCLAIMER, SYNTHETIC, escape_markdown

SHOWN = "shown"  # in place of a choice: the learner wanted to see the answer without one
UNCLEAR = "unclear"  # in place of an answer: the figures do not tell


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """One thing to try after a lesson.

    Attributes:
        label: of the link, plain text.
        text: what it is good for, in a sentence; markdown.
        icon: such as ":material/science:".
        page: the page's file, such as "pages/explain.py".
        query: parameters of the address.
        config: a run whose settings the Train form is to show; then `page` is Train and `query` is not used.
    """

    label: str
    text: str
    icon: str
    page: str
    query: Mapping[str, str] = field(default_factory=dict)
    config: RunConfig | None = None


def draw_step(number: int, title: str) -> None:
    """The heading of a numbered step of the lesson."""
    st.subheader(f"{number} · {title}", anchor=f"step-{number}")


def draw_question(question: str, background: str, *, facts: Mapping[str, str]) -> None:
    """Step 1: the question in large letters, what one must know of it, and the facts of the experiment.

    Args:
        question: one sentence; markdown.
        background: a few sentences; markdown.
        facts: what the experiment rests on, such as {"Model": "small ViT"}; markdown.
    """
    draw_step(1, "The question")
    with st.container(border=True):
        st.markdown(f"#### {question}")
        st.markdown(background)
        st.caption("  \n".join(f"**{name}:** {text}" for name, text in facts.items()))


def draw_prediction(question: str, choices: Mapping[str, str], *, key: str) -> str | None:
    """Step 2: what the learner expects. The choice lasts for the session.

    Args:
        question: what is asked, plain text.
        choices: name to sentence; markdown.
        key: begins the key of each widget, such as "lesson_shortcut".

    Returns:
        The name that was chosen, `SHOWN` for "just show me", or None while neither was done.
    """
    draw_step(2, "What do you expect?")
    with st.container(border=True):
        chosen = st.radio(
            question,
            list(choices),
            index=None,
            format_func=choices.__getitem__,
            key=f"{key}_prediction",
            persist_state="session",
        )
        if chosen is None and not st.session_state.get(f"{key}_shown"):
            st.caption("Choose one, and the answer opens below. There is nothing to lose, and nobody else sees it.")
            if st.button("Just show me", key=f"{key}_show", icon=":material/visibility:", type="tertiary"):
                st.session_state[f"{key}_shown"] = True
                st.rerun()
    return chosen or (SHOWN if st.session_state.get(f"{key}_shown") else None)


def draw_folded() -> None:
    """In place of the answer, while the learner has not chosen."""
    st.info(
        "The answer is folded away until you have said what you expect, in step 2. Or press **Just show me** there.",
        icon=":material/lock:",
    )


def draw_verdict(prediction: str, answer: str, choices: Mapping[str, str], *, because: str) -> None:
    """What the learner expected beside what the figures say, without marks.

    Args:
        prediction: as `draw_prediction` gave it.
        answer: the choice that the figures support, or `UNCLEAR`.
        choices: as for `draw_prediction`.
        because: the figures that say so, in a sentence; markdown.
    """
    if answer == UNCLEAR:
        st.info(f"**These figures do not decide it.** {because}", icon=":material/balance:")
    elif prediction == answer:
        st.success(f"**As you expected:** {choices[answer]} {because}", icon=":material/check_circle:")
    elif prediction == SHOWN:
        st.info(f"**What happened:** {choices[answer]} {because}", icon=":material/insights:")
    else:
        st.info(
            f"**It came out differently.** You expected: {choices[prediction]} What happened: {choices[answer]} "
            f"{because} Many expect what you did; that is why it is worth measuring.",
            icon=":material/lightbulb:",
        )


def draw_stored_note(command: str, *, made: str) -> None:
    """That what follows ships with the lab and is not the visitor's own run, and what makes it again.

    Args:
        command: that makes it.
        made: where and when, plain text without paths or names of machines, such as "2026-11-26, two CPU cores".
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge("Stored result", icon=":material/inventory_2:", color="violet")
        st.caption(f"It ships with the lab and was made before ({escape_markdown(made)}); no run of yours is in it.")
    st.caption("This makes it again:")
    st.code(command, language=None, wrap_lines=True)


def draw_own_note(run_id: str, *, ended: str) -> None:
    """That what follows comes from a run of this home, with the way to it.

    Args:
        run_id: of the run.
        ended: when, such as "3 min ago".
    """
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge("Trained here", icon=":material/computer:", color="green")
        st.caption(f"From the run `{run_id}` of this lab, ended {ended}.", width="content")
        st.page_link("pages/monitor.py", label="Open it", icon=":material/monitoring:", query_params={"run": run_id})


def draw_next_steps(steps: Sequence[NextStep], *, key: str, number: int = 5) -> None:
    """The last step: where to go from here, each as a card.

    Args:
        steps: two to four of them.
        key: begins the key of each button.
        number: of the step on the page.
    """
    draw_step(number, "What to try next")
    for index, (column, step) in enumerate(zip(st.columns(len(steps)), steps, strict=True)):
        with column, st.container(border=True, height="stretch"):
            st.markdown(step.text)
            if step.config is None:
                st.page_link(step.page, label=step.label, icon=step.icon, query_params=dict(step.query))
            elif st.button(step.label, icon=step.icon, key=f"{key}_next_{index}"):
                _open_train(step.config)


def draw_lesson_end(*, is_synthetic: bool) -> None:
    """What must be known wherever results show."""
    st.caption(f"{SYNTHETIC} {DISCLAIMER}" if is_synthetic else DISCLAIMER)


def _open_train(config: RunConfig) -> None:
    """The Train page with these settings in its form; nothing is started."""
    draft = config.to_dict()
    draft.pop("schema_version")
    put_draft(draft)
    st.switch_page("pages/train.py")
