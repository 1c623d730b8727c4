"""Which run to explain, alone or beside a second one, with what must be known before their maps are read."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from medpeft_core.errors import RunError
from medpeft_core.reports.disagreements import Pair, pair_predictions
from medpeft_core.reports.predictions import Predictions, load_predictions
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from pages.widgets.lab import get_lab
from pages.widgets.model_notes import (
    NOT_CALIBRATED,
    draw_chance_warning,
    note_synthetic,
    say_of_which,
    write_mean_score,
)
from pages.widgets.monitor_results import NO_PATIENTS
from pages.widgets.run_picker import (
    lead_to_a_finished_run,
    pick_run,
    turn_away_unfinished,
    write_option,
    write_run_name,
)
from pages.widgets.wording import DISCLAIMER, escape_markdown, name_labels

SECOND_PARAMETER = "with"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The run on the page and what it predicts; `second` and what goes with it are None while there is one run.

    Attributes:
        names: of the runs, for people.
    """

    run: Run
    predictions: Predictions
    names: tuple[str, ...]
    second: Run | None = None
    pair: Pair | None = None


def choose_runs() -> Chosen | None:
    """Let the reader pick one of the finished runs, and a second one to look at beside it.

    Returns:
        None when there is no finished run yet or none was picked, which is said.

    Raises:
        RunError: the first run's files are damaged.
    """
    store, compute = get_lab().store, get_lab().compute
    summaries = list_summaries(store)
    finished = [item for item in summaries if item["status"] == FINISHED]
    if not finished:
        lead_to_a_finished_run(
            has_runs=bool(summaries),
            wait="No run is finished yet. Its test images can be explained as soon as one is.",
            begin="No runs yet. Train one, or start the demo on Home: a few minutes later you see here where it looks.",
            icon=":material/visibility_off:",
        )
        return None
    if not compute.is_warm:
        compute.submit("hello", slot="hello")  # it takes seconds to start: let it, while this page reads its files
    turn_away_unfinished(summaries, verb="be explained")
    with st.container(horizontal=True, gap="small", key="explain_runs"):
        run_id = pick_run(finished, key="explain_run")
        if run_id is None:
            return None
        run = store.load(run_id)
        second_id = _pick_second(run, [item for item in finished if item["run_id"] != run_id])
    by_id = {item["run_id"]: item for item in finished}
    name = write_run_name(by_id[run_id])
    predictions = read_predictions(run)
    if second_id is None:
        _draw_notes([run])
        return Chosen(run=run, predictions=predictions, names=(name,))
    other = store.load(second_id)
    try:
        pair = pair_predictions(run, predictions, other, read_predictions(other))
    except RunError as error:
        _draw_notes([run])
        st.warning(escape_markdown(str(error)), title="These two cannot be compared", icon=":material/join_inner:")
        return Chosen(run=run, predictions=predictions, names=(name,))
    _draw_notes([run, other])
    for note in pair.notes:
        st.info(escape_markdown(note), icon=":material/info:")
    names = (name, write_run_name(by_id[second_id]))
    return Chosen(run=run, predictions=predictions, names=names, second=other, pair=pair)


def read_predictions(run: Run) -> Predictions:
    """The test predictions of a run, kept in memory as long as the file stays as it is.

    Raises:
        RunError: there are none, or the file is damaged.
    """
    path = run.predictions_dir / "test.parquet"
    changed_ns = path.stat().st_mtime_ns if path.exists() else 0
    return _read_predictions(run, run.run_id, changed_ns)


@st.cache_resource(show_spinner=False, max_entries=6)
def _read_predictions(_run: Run, run_id: str, changed_ns: int) -> Predictions:
    return load_predictions(_run, "test")


def _pick_second(run: Run, others: list[dict[str, Any]]) -> str | None:
    """A second run on the same data, from the address; an id there that names no other finished run is dropped.

    Runs on other data are not offered, because their images cannot be laid beside each other.
    """
    by_id = {item["run_id"]: item for item in others}
    wanted = st.query_params.get(SECOND_PARAMETER)
    if wanted is not None and wanted not in by_id:
        del st.query_params[SECOND_PARAMETER]
        wanted = None
    data = _find_data(run, run.run_id)
    offered = [
        run_id
        for run_id, item in by_id.items()
        if run_id == wanted or (item["dataset"] == data[0] and _find_data(get_lab().store.load(run_id), run_id) == data)
    ]
    st.session_state["explain_with"] = wanted  # the address decides, also after a link or a step back
    return st.selectbox(
        "Second run",
        offered,
        index=None,
        format_func=lambda run_id: write_option(by_id[run_id]),
        key="explain_with",
        on_change=_follow_second,
        placeholder=f"Compare with a second run on {data[0]}" if offered else f"No second run on the same {data[0]}",
        disabled=not offered,
        label_visibility="collapsed",
    )


@st.cache_data(show_spinner=False, max_entries=2000)
def _find_data(_run: Run, run_id: str) -> tuple[str, str]:
    """The data set of a run, and what tells it from others of its name; neither ever changes."""
    data = _run.config().data
    return data.dataset, repr((data.root, data.options))


def _follow_second() -> None:
    chosen = st.session_state["explain_with"]
    if chosen is None:
        st.query_params.pop(SECOND_PARAMETER, None)
        if st.query_params.get("show") == "disagree":
            del st.query_params["show"]
    else:
        st.query_params[SECOND_PARAMETER] = chosen


def _draw_notes(runs: list[Run]) -> None:
    """How good the runs are, and what must be known about their data; on a phone it lies below the pictures."""
    found = [run.metrics() or {} for run in runs]
    scores = [write_mean_score(item) for item in found]
    shown = (
        scores[0]
        if len(scores) == 1
        else ", ".join(f"{letter} {text}" for letter, text in zip("AB", scores, strict=True))
    )
    word = name_labels(found[0].get("task"))
    notes = [f"Test AUROC, mean over the {word}: {shown}", f"**{DISCLAIMER}**", *note_synthetic(found)]
    notes += say_of_which(NO_PATIENTS, [item.get("training", {}).get("num_train_patients") is None for item in found])
    with st.container(key="explain_notes"):
        st.caption(" · ".join([*notes, NOT_CALIBRATED]))
        draw_chance_warning(found)
