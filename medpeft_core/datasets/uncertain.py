"""Labels that a program mined from reports: 1 (present), 0 (absent), -1 (uncertain) or empty (not mentioned).

CheXpert and MIMIC-CXR-JPG share these marks, their 14 names, and the ways to turn them into 0 and 1.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.datasets.label_tables import parse_numbers

PAPER_LABELS = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
POLICIES = ("papers", "zeros", "ones", "ignore")
POLICY_HELP = (
    "What an uncertain label (-1) counts as. papers: 1 for Atelectasis, Edema and Pleural Effusion, 0 for every other "
    "label; zeros; ones; ignore (not known: left out of training and measures). A label that the report does not "
    "mention counts as 0."
)
_ONES_OF_PAPERS = ("Atelectasis", "Edema", "Pleural Effusion")
_MARKS = (-1.0, 0.0, 1.0)


def read_targets(path: Path, table: pd.DataFrame, labels: tuple[str, ...], policy: str) -> pd.DataFrame:
    """The targets of a label table of text.

    Args:
        path: for messages.
        table: what `read_columns` gave, with a column for each of `labels`.
        labels: which.
        policy: one of `POLICIES`.

    Returns:
        One float column a label with 0, 1 or NaN; indexed as `table`.

    Raises:
        DataError: names line, column and value of a mark that is none.
    """
    marks = parse_numbers(path, table, labels, allowed=_MARKS)
    return pd.DataFrame(apply_policy(marks.to_numpy(), labels, policy), columns=list(labels), index=table.index)


def apply_policy(marks: np.ndarray, labels: tuple[str, ...], policy: str) -> np.ndarray:
    """Marks as targets.

    Which of `zeros` and `ones` the papers took for a label follows from the rates of their published lists: of 223,414
    rows about 67,260 are positive for Atelectasis, where 33,376 are present and 33,739 uncertain; Edema and Pleural
    Effusion likewise; Cardiomegaly (27,000 present) and Consolidation (14,783) have the rates of present alone. The
    papers use no other labels; with `papers` these get 0.

    Args:
        marks: (N, K) 1, 0, -1, or NaN where the report does not mention the finding.
        labels: K names.
        policy: one of `POLICIES`.

    Returns:
        (N, K) float64 with 0, 1, or with "ignore" NaN for what is uncertain; not mentioned is 0.
    """
    uncertain = {"zeros": 0.0, "ones": 1.0, "ignore": np.nan}
    as_target = [uncertain[policy] if policy in uncertain else float(name in _ONES_OF_PAPERS) for name in labels]
    return np.where(marks == -1, np.array(as_target), np.nan_to_num(marks))


def describe_policy(policy: str, labels: tuple[str, ...], *, is_papers_set: bool = True) -> str:
    """A sentence for the notes of a manifest; `is_papers_set` where the papers use this data set's labels."""
    if policy == "papers":
        has_more = len(labels) > len(PAPER_LABELS)
        others = "every other label" if has_more else "Cardiomegaly and Consolidation"
        meaning = f"as 1 for Atelectasis, Edema and Pleural Effusion and as 0 for {others}"
        meaning += ", as in the papers" if is_papers_set else ", as in the papers for CheXpert"
        if has_more:
            meaning += " (which use five labels; for the others 0 is the lab's choice)"
    else:
        meaning = {"zeros": "as 0", "ones": "as 1", "ignore": "as not known"}[policy]
    return f"Uncertain labels count {meaning}; findings that the report does not mention count as 0."
