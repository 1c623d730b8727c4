"""Which run predicts, how good it is, and what must be known before its answers are read."""

from typing import Any

import streamlit as st

from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from pages.widgets.lab import get_lab
from pages.widgets.model_notes import NOT_CALIBRATED, draw_chance_warning, write_accuracy, write_mean_score
from pages.widgets.predict_probs import SYNTHETIC_MODEL
from pages.widgets.run_picker import lead_to_a_finished_run, pick_run, turn_away_unfinished
from pages.widgets.wording import DISCLAIMER, name_labels

ANY_PICTURE = "The model answers for any picture, also for one that is no radiograph."


def choose_run() -> Run | None:
    """Let the reader pick one of the finished runs.

    Returns:
        None when there is none yet or none was picked, which is said.
    """
    store = get_lab().store
    summaries = list_summaries(store)
    finished = [item for item in summaries if item["status"] == FINISHED]
    if not finished:
        lead_to_a_finished_run(
            has_runs=bool(summaries),
            wait="No run is finished yet. It can predict as soon as one is.",
            begin="There is no model yet. Train one, or start the demo on Home: "
            "a few minutes later it can look at your images.",
            icon=":material/image_search:",
        )
        return None
    turn_away_unfinished(summaries, verb="predict")
    run_id = pick_run(finished, key="predict_run")
    if run_id is None:
        return None
    run = store.load(run_id)
    _draw_notes(run.metrics() or {})
    return run


def _draw_notes(metrics: dict[str, Any]) -> None:
    score = f"Test AUROC, mean over the {name_labels(metrics.get('task'))}: {write_mean_score(metrics)}"
    score += write_accuracy(metrics)
    st.caption(f"{score} · **{DISCLAIMER}** {NOT_CALIBRATED} {ANY_PICTURE}")
    draw_chance_warning([metrics])
    if metrics.get("is_synthetic"):
        st.warning(SYNTHETIC_MODEL, icon=":material/palette:")
