"""Figures as cards in a row that wraps on a narrow screen."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

MIN_CARD_WIDTH = 150  # pixels: two beside each other on a phone


@dataclass(frozen=True, kw_only=True)
class Card:
    """One figure: its name, its value as text, and a note below it."""

    label: str
    value: str
    note: str | None = None
    help: str | None = None


def draw_cards(cards: Sequence[Card], *, columns: int | None = None) -> None:
    """Draw the cards, where there is room so many in a row; None for all."""
    with st.grid(columns or len(cards), min_column_width=MIN_CARD_WIDTH):
        for card in cards:
            st.metric(
                card.label,
                card.value,
                delta=card.note,
                delta_color="off",
                delta_arrow="off",
                border=True,
                height="stretch",
                help=card.help,
            )
