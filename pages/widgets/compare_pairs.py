"""How far the selected runs lie apart on the same test images: sentences and a table, with intervals and p-values."""

import time
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.reports.comparison_tables import build_pairs_table
from medpeft_core.reports.confounds import describe_confounds
from medpeft_core.reports.pairs import NUM_SAMPLES, TestSample, compare_pairs, sample_run
from medpeft_core.reports.sentences import describe_pair, explain_resamplings, name_runs
from medpeft_core.runs.run import Run
from pages.widgets.compare_runs import ComparedRun
from pages.widgets.wording import escape_markdown

ROW_HEIGHT, HEADER_HEIGHT, MAX_ROWS = 35, 38, 12
MAX_SENTENCES = 3
MAX_ALL_PAIRS = 4  # runs; with more, one is the yardstick of the others unless the reader asks for all
EVERY = "Every other run"
QUIET_S = 0.3  # work that is over sooner shows no bar


def draw_pairs(runs: Sequence[ComparedRun]) -> list[dict[str, Any]]:
    """The differences of the test AUROC; gives the pairs that are shown, as `compare_pairs` does.

    Args:
        runs: with test figures, two or more.

    Raises:
        RunError: a config is damaged.
    """
    names = {item.run.run_id: item.name for item in runs}
    yardstick = EVERY
    if len(runs) > 2:
        options = [EVERY, *names]
        yardstick = st.selectbox(
            "Compare with",
            options,
            index=0 if len(runs) <= MAX_ALL_PAIRS else 1,
            format_func=lambda run_id: names.get(run_id, EVERY),
            key=f"compare_yardstick_{len(runs) <= MAX_ALL_PAIRS}",
            width=320,
        )
        if yardstick not in options:
            yardstick = EVERY
    wanted = _list_pairs(list(names), yardstick)
    pairs = compare_pairs([item.run for item in runs], pairs=wanted, sample=_Sampler([item.run for item in runs]))
    if len(pairs) <= MAX_SENTENCES:
        st.markdown("\n".join(f"- {escape_markdown(describe_pair(pair, names))}" for pair in pairs))
    if caution := describe_confounds(pairs, [item.run for item in runs], names):
        st.warning(escape_markdown(caution), icon=":material/balance:")
    frame = build_pairs_frame(pairs, names)
    if any(pair["test"] for pair in pairs):
        st.dataframe(
            frame,
            key="compare_pairs",
            hide_index=True,
            lazy=False,
            row_height=ROW_HEIGHT,
            height=HEADER_HEIGHT + ROW_HEIGHT * min(len(frame), MAX_ROWS),
            column_config={
                "Run": st.column_config.TextColumn(width=175),
                "Against": st.column_config.TextColumn(width=175),
                "Difference": st.column_config.TextColumn(width=78),
                "Interval": st.column_config.TextColumn(width=130),
                "p": st.column_config.TextColumn(width=65),
                "Corrected p": st.column_config.TextColumn(width=88),
                "The interval": st.column_config.TextColumn(width=265),
            },
            alt="; ".join(describe_pair(pair, names) for pair in pairs),
        )
        st.caption(_explain(pairs))
    elif len(pairs) > MAX_SENTENCES:
        st.markdown(f"No pair can be tested: {escape_markdown(name_runs(pairs[0]['reason'], names))}.")
    return pairs


def build_pairs_frame(pairs: Sequence[dict[str, Any]], names: dict[str, str]) -> pd.DataFrame:
    """A row per pair; a pair without a test has its reason in place of numbers.

    Args:
        pairs: as `compare_pairs` gives them.
        names: run id to name.
    """
    table = build_pairs_table(pairs, names)
    frame = pd.DataFrame(table.rows, columns=list(table.columns))
    num_tested = sum(pair["test"] is not None for pair in pairs)
    return frame.drop(columns="Corrected p") if num_tested < 2 else frame


class _Sampler:
    """Gives the resamplings of a run from the cache, and shows a bar while it has to make many."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._order = [run.run_id for run in runs]
        self._began = time.monotonic()
        self._place = st.empty()

    def __call__(self, run: Run) -> TestSample:
        number = self._order.index(run.run_id)
        mark = _mark_files(run)
        if time.monotonic() - self._began > QUIET_S or mark[1] > 300_000:  # a large file takes seconds
            text = f"Drawing the test patients up to {NUM_SAMPLES:,} times: run {number + 1} of {len(self._order)}"
            self._place.progress(number / len(self._order), text=text)
        sample = _sample(run, run.run_id, mark)
        if number == len(self._order) - 1:
            self._place.empty()
        return sample


@st.cache_data(show_spinner=False, max_entries=64)
def _sample(_run: Run, run_id: str, mark: tuple[int, int, int]) -> TestSample:
    return sample_run(_run)


def _mark_files(run: Run) -> tuple[int, int, int]:
    """Changes with what a sample is made of."""
    try:
        predictions, metrics = (run.predictions_dir / "test.parquet").stat(), run.metrics_path.stat()
    except FileNotFoundError:
        return 0, 0, 0  # `sample_run` says what is missing
    return predictions.st_mtime_ns, predictions.st_size, metrics.st_mtime_ns


def _list_pairs(run_ids: list[str], yardstick: str) -> list[tuple[str, str]]:
    if yardstick == EVERY:
        return list(combinations(run_ids, 2))
    return [(yardstick, run_id) for run_id in run_ids if run_id != yardstick]


def _explain(pairs: Sequence[dict[str, Any]]) -> str:
    tested = [pair for pair in pairs if pair["test"]]
    first = tested[0]
    text = (
        f"Difference of the mean AUROC, run minus the one it is held against, with its {100 * first['confidence']:g} % "
        f"interval: {explain_resamplings(tested)} Both runs of a pair see the same patients each time. "
        "One run of each setting cannot tell how much another seed would change."
    )
    if len(tested) > 1:
        text += f" Corrected p: for looking at {len(tested)} pairs at once (Holm)."
    return text
