"""On Home: the two lessons, each with its question and the way to it."""

import streamlit as st

LESSONS = (
    (
        "pages/lesson_labels.py",
        "Few labels: LoRA or full fine-tuning?",
        "With thirty labelled films, is it better to train a few per cent of the weights, or all of them?",
        ":material/school:",
    ),
    (
        "pages/lesson_shortcut.py",
        "What did it learn?",
        "A model finds nine of ten effusions at home, and fails elsewhere. What had it looked at?",
        ":material/psychology_alt:",
    ),
)


def draw_lessons() -> None:
    """A card for both; their answers open at once, without any training."""
    with st.container(border=True, key="home_lessons"):
        st.subheader(":material/menu_book: Lessons")
        st.markdown(
            "Two questions to put to the lab: say what you expect, look at the answer, or run the experiment yourself. "
            "The answers ship with the lab, so they open at once."
        )
        for column, (page, title, question, icon) in zip(st.columns(len(LESSONS)), LESSONS, strict=True):
            with column:
                st.page_link(page, label=f"**{title}**", icon=icon)
                st.caption(question)
