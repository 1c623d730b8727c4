"""Differences between runs, and the settings in which they differ, as tables for papers; wide ones narrowed. Light."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from medpeft_core.reports.sentences import (
    explain_resamplings,
    is_smallest_p,
    judge_pair_briefly,
    name_runs,
    write_p_value,
    write_signed,
)
from medpeft_core.reports.tables import PaperTable

NOTHING = "–"


def build_pairs_table(
    pairs: Sequence[Mapping[str, Any]], names: Mapping[str, str], *, notes: Sequence[str] = ()
) -> PaperTable:
    """A row per pair: difference of the test AUROC, interval, p, corrected p, and what the interval says.

    Args:
        pairs: as `reports.pairs.compare_pairs` gives them; one without a test has its reason in the last column.
        names: run id to name.
        notes: further sentences for below the table.
    """
    tested = [pair for pair in pairs if pair["test"]]
    explained = []
    if tested:
        explained.append(
            "Difference of the test AUROC, mean of the labels: run minus the one it is held against, with its "
            f"{100 * tested[0]['confidence']:g} % interval: {explain_resamplings(tested)}"
        )
    if len(tested) > 1:
        explained.append(f"Corrected p: for looking at {len(tested)} pairs at once (Holm).")
    return PaperTable(
        title="Differences of the test AUROC",
        columns=("Run", "Against", "Difference", "Interval", "p", "Corrected p", "The interval"),
        rows=tuple(_write_pair(pair, names, len(tested)) for pair in pairs),
        notes=(*explained, *notes),
    )


def build_settings_table(
    differences: Sequence[Mapping[str, Any]],
    names: Mapping[str, str],
    *,
    write: Any = str,
    notes: Sequence[str] = (),
) -> PaperTable:
    """A row per setting in which runs differ, a column per run.

    Args:
        differences: as `reports.compare.diff_configs` gives them.
        names: run id to name, in the order of the columns.
        write: a value as a text; never called for None, which is a dash.
        notes: sentences for below the table.
    """
    rows = [
        (item["setting"], *(NOTHING if (value := item["values"][run_id]) is None else write(value) for run_id in names))
        for item in differences
    ]
    return PaperTable(
        title="Settings that differ", columns=("Setting", *names.values()), rows=tuple(rows), notes=tuple(notes)
    )


def leave_out_shared(table: PaperTable, *, kept: Collection[str] = ()) -> PaperTable:
    """The table without the columns in which all rows agree; its title says their value. For pages, which are narrow.

    Args:
        table: of one row it is given back as it is.
        kept: columns that stay in any case; the first one always does.
    """
    if len(table.rows) < 2:
        return table
    shared = {
        at: table.rows[0][at]
        for at, name in enumerate(table.columns)
        if at > 0 and name not in kept and len({row[at] for row in table.rows}) == 1
    }
    places = [at for at in range(len(table.columns)) if at not in shared]
    said = ", ".join(f"{table.columns[at]} {value}" for at, value in shared.items() if value != NOTHING)
    return replace(
        table,
        title=f"{table.title}. The same for all: {said}" if said else table.title,
        columns=tuple(table.columns[at] for at in places),
        rows=tuple(tuple(row[at] for at in places) for row in table.rows),
        best=frozenset((row, places.index(at)) for row, at in table.best if at in places),
    )


def _write_pair(pair: Mapping[str, Any], names: Mapping[str, str], num_tested: int) -> tuple[str, ...]:
    run, other = names.get(pair["b"], pair["b"]), names.get(pair["a"], pair["a"])
    if not pair["test"]:
        return run, other, NOTHING, NOTHING, NOTHING, NOTHING, f"no test: {name_runs(pair['reason'], names)}"
    p_values = [
        write_p_value(pair[key], is_bound=is_smallest_p(pair)).removeprefix("= ") for key in ("p_value", "p_value_holm")
    ]
    interval = f"{write_signed(pair['low'])} to {write_signed(pair['high'])}"
    return run, other, write_signed(pair["delta_auroc"]), interval, *p_values, judge_pair_briefly(pair, num_tested)
