"""The first augmented batch of the run in the form, as the model will see it."""

from typing import Any

import streamlit as st

from medpeft_core.config import RunConfig
from medpeft_core.datasets import DATASETS
from pages.widgets.train_answers import ask
from pages.widgets.train_messages import draw_problem
from pages.widgets.wording import SYNTHETIC, escape_markdown

POLL_EVERY_S = 0.3
TILE_WIDTH = 84  # pixels; four in a row of the card
NUM_TILES = 8  # what the compute process draws unless asked for another number


def draw_first_batch(config: RunConfig, *, is_prepared: bool) -> None:
    """A switch, and below it the pictures when it is on.

    Args:
        is_prepared: whether there are decoded images to draw from.
    """
    is_wanted = st.toggle(
        "Show the first batch",
        key="train_show_batch",
        persist_state="session",
        disabled=not is_prepared,
        help="The first images of the first step, cropped, varied and scaled as the model will see them."
        + ("" if is_prepared else " It needs prepared data."),
    )
    if not (is_wanted and is_prepared):
        return
    values = config.to_dict()
    is_pending = ask("first_batch", values).is_pending
    st.fragment(_draw_batch, run_every=POLL_EVERY_S if is_pending else None)(values, is_pending)


def _draw_batch(values: dict[str, Any], was_pending: bool) -> None:
    answer = ask("first_batch", values)
    if was_pending and not answer.is_pending:
        st.rerun()  # ends the polling
    if answer.problem:
        draw_problem(answer.problem, title="The first batch cannot be shown")
        return
    with st.grid(4, min_column_width=TILE_WIDTH, gap="xsmall"):
        if answer.value is None:
            for _ in range(NUM_TILES):
                st.skeleton(TILE_WIDTH + 40)
        else:
            for item in answer.value["images"]:
                labels = escape_markdown(", ".join(item["labels"]) or "no finding")
                st.image(item["path"], caption=labels, width="stretch", alt=f"Training image labelled {labels}.")
    if answer.value is None:
        return
    size, name = answer.value["image_size"], values["data"]["dataset"]
    note = f" {SYNTHETIC}" if name in DATASETS and DATASETS[name].is_synthetic else ""
    st.caption(f"Exactly these images go into the first step, at {size} × {size} pixels.{note}")
