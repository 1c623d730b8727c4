"""Colours, dashes and symbols that tell series apart, on white and on dark, also for colour-blind readers."""

# Okabe & Ito 2008, blue made lighter, orange and sky blue darker, yellow and black left out, so that each has a
# contrast of at least 3 to 1 with white and with the dark theme. The pairs that are closest differ in dash as well.
COLOURS = ("#0f7fc0", "#d55e00", "#009e73", "#cc79a7", "#c58800", "#479ccc")
GREY = "#808080"
DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3))  # in pixels, line and gap in turn
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "triangle-down", "triangle-right")


def pick_colour(index: int, *, first: int = 0) -> str:
    """The colour of the series number `index`; those before `first` are kept for something else."""
    return COLOURS[first:][index % (len(COLOURS) - first)]


def pick_dash(index: int) -> list[int]:
    """The dash of the series number `index`; with its colour it is unique among twelve or more."""
    return list(DASHES[index % len(DASHES)])


def pick_symbol(index: int) -> str:
    """The point of the series number `index`; with its colour it is unique among dozens."""
    return SYMBOLS[index % len(SYMBOLS)]
