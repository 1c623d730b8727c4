"""What taking the likeliest class gives, run beside run: accuracy, F1s, kappa; for runs on exclusive classes. Light."""

from collections.abc import Sequence

import pandas as pd

from medpeft_core.metrics.exclusive import DECISION_METRICS
from medpeft_core.metrics.spec import METRICS
from medpeft_core.reports.tables import NOT_A_LABEL, PaperTable, write_figure

TITLE = "Likeliest class on test"


def list_decision_metrics(rows: pd.DataFrame) -> list[str]:
    """Those of `DECISION_METRICS` that one of the runs has, in their order; none for runs on independent labels.

    Args:
        rows: as `reports.tables.build_metric_rows` gives them.
    """
    found = set(rows["metric"])
    return [name for name in DECISION_METRICS if name in found]


def build_decision_table(rows: pd.DataFrame, *, notes: Sequence[str] = ()) -> PaperTable:
    """A row per run, a column per metric: "0.861 (0.842 to 0.880)"; a dash where a run has none.

    Args:
        rows: as `reports.tables.build_metric_rows` gives them.
        notes: sentences for below the table.
    """
    metrics = list_decision_metrics(rows)
    found = {(row["name"], row["metric"]): row for row in rows.to_dict("records") if row["metric"] in metrics}
    cells = [
        (name, *(write_figure(found[name, item]) if (name, item) in found else NOT_A_LABEL for item in metrics))
        for name in dict.fromkeys(rows["name"])
    ]
    explained = "The likeliest class is the answer; in brackets the interval, by resampling patients."
    return PaperTable(
        title=TITLE,
        columns=("Run", *(METRICS[name].title for name in metrics)),
        rows=tuple(cells),
        notes=(explained, *notes),
    )
