"""Cells of the papers' tables as presets; to add a paper, write its file and an import line here."""

from medpeft_core.paper_cells import dutt2024, lian2024
from medpeft_core.paper_cells.spec import CELLS, MARKS, Count, PaperCell, apply_cell, find_cells, forget_cell

__all__ = [
    "CELLS",
    "MARKS",
    "Count",
    "PaperCell",
    "apply_cell",
    "dutt2024",
    "find_cells",
    "forget_cell",
    "lian2024",
]
