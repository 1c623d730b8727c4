"""The maps that a visitor of a finished run sees first, drawn when the run ends, so that they are there at once."""

import time
from collections.abc import Callable

from medpeft_core.explain.answer import Explainer
from medpeft_core.reports.class_cases import sort_images
from medpeft_core.reports.predictions import load_predictions
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.known_data import KnownData

IMAGES_PER_CASE = 3
BUDGET_S = 10.0  # a big model takes a second for each map; nobody should wait for the end of a run because of them


def draw_first_maps(run: Run, *, should_stop: Callable[[], bool], budget_s: float = BUDGET_S) -> int:
    """Explain the first images of each case, each for the label that put it there.

    Args:
        run: an evaluated run.
        should_stop: asked before each map.
        budget_s: after this time no other map is begun.

    Returns:
        How many maps were drawn.

    Raises:
        MedPeftError: the run, its weights or its data are not there or damaged.
    """
    begin = time.monotonic()
    predictions = load_predictions(run)
    lists = sort_images(predictions).values()
    wanted = [
        (int(row), int(label))
        for images in lists
        for row, label in zip(images.rows[:IMAGES_PER_CASE], images.labels[:IMAGES_PER_CASE], strict=True)
    ]
    explainer = Explainer(RunStore(run.home), KnownData())
    num_drawn = 0
    for row, label in dict.fromkeys(wanted):  # each once, the first ones first
        if should_stop() or time.monotonic() - begin > budget_s:
            break
        explainer.explain(run.run_id, str(predictions.table["image"].iloc[row]), predictions.labels[label])
        num_drawn += 1
    return num_drawn
