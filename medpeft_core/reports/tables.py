"""Tables of a comparison for papers and notes: CSV, Markdown, and LaTeX with the rules of booktabs. Light."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from medpeft_core.metrics.exclusive import DECISION_METRICS
from medpeft_core.metrics.spec import METRICS
from medpeft_core.reports.support import Support, describe_resamplings, describe_shortage, describe_thin

MACRO, ALL_CLASSES = "Mean over labels", "All classes"
TABLE_METRICS = ("auroc", "auprc")
NOT_A_LABEL, MISSING = "–", "n/a"
POSITIVE_IMAGES, POSITIVE_PATIENTS = "Positive images", "Positive patients"
BEST_NOTE = (
    "Bold: the highest value of a row as it is printed; equal ones are all bold. It is no test of whether runs differ."
)
_INTERVAL_KEYS = {"auroc": ("low", "high"), "auprc": ("auprc_low", "auprc_high")}
_MACRO_KEYS = {"auroc": ("auroc_low", "auroc_high"), "auprc": ("auprc_low", "auprc_high")}
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "·": r"\textperiodcentered{}", "–": "--",
    "≤": r"$\leq$", "<": "$<$", ">": "$>$", "…": r"\ldots{}", "“": "``", "”": "''",
}  # fmt: skip
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~$])")


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A table of texts.

    Attributes:
        title: what it shows.
        columns: their headings; the first column names the rows.
        rows: a text for each column.
        best: (row, column) of the cells to set in bold.
        notes: sentences that belong below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    notes: tuple[str, ...] = ()


def build_metric_rows(runs: Sequence[tuple[str, str, Mapping[str, Any]]]) -> pd.DataFrame:
    """Every figure on test, a row each; those of decisions about exclusive classes have the label `ALL_CLASSES`.

    Columns: run_id, name, split, confidence, num_drawn (resamplings), metric, label, value, low, high,
    num_valid_samples (resamplings that the interval is made of), reason, and the numbers of images.

    Args:
        runs: run id, name and metrics.json of each finished run.
    """
    rows = []
    for run_id, name, metrics in runs:
        test = metrics["test"]
        head = {
            "run_id": run_id, "name": name, "split": "test", "confidence": test["confidence"],
            "num_drawn": test["bootstrap_samples"],
        }  # fmt: skip
        for metric in TABLE_METRICS:
            rows.append({**head, **_read_macro(test["macro"], metric)})
            rows += [{**head, **_read_label(label, values, metric)} for label, values in test["per_class"].items()]
        known = (metric for metric in DECISION_METRICS if test.get(metric) is not None)
        rows += [{**head, **_read_decision(test, metric)} for metric in known]
    return pd.DataFrame(rows)


def build_metric_table(
    rows: pd.DataFrame,
    metric: str,
    *,
    support: Mapping[str, Support] | None = None,
    mark_best: bool = True,
    notes: Sequence[str] = (),
) -> PaperTable:
    """A row per label after the mean, a column per run: "0.861 (0.842 to 0.880)".

    Args:
        rows: as `build_metric_rows` gives them.
        metric: one of `TABLE_METRICS`.
        support: label to its positives among the test images that all runs share, which become columns; None where
            they do not share them.
        mark_best: set the highest value of each row in bold; not for runs on different test images.
        notes: further sentences for below the table.
    """
    rows = rows[rows["metric"] == metric]
    labels, names = list(dict.fromkeys(rows["label"])), list(dict.fromkeys(rows["name"]))
    found = {(row["label"], row["name"]): row for row in rows.to_dict("records")}
    counts = build_support_columns(labels, support or {})
    cells, best = [], set()
    for at, label in enumerate(labels):
        items: list[Any] = [found.get((label, name)) for name in names]
        figures = [NOT_A_LABEL if item is None else write_figure(item) for item in items]
        cells.append((label, *(column[at] for column in counts.values()), *figures))
        printed = [None if item is None or pd.isna(item["value"]) else f"{item['value']:.3f}" for item in items]
        known = [value for value in printed if value is not None]
        if mark_best and len(known) > 1:
            best |= {(at, column) for column, value in enumerate(printed, 1 + len(counts)) if value == max(known)}
    level = " or ".join(sorted({f"{100 * value:g} %" for value in rows["confidence"]}))
    samples = list_resamplings(rows)
    explained = f"In brackets: {level} interval, by resampling patients: {describe_resamplings(samples)}."
    cautions = [text for text in (describe_shortage(samples, {}), describe_thin(support or {})) if text]
    return PaperTable(
        title=f"{METRICS[metric].title} on test",
        columns=("Label", *counts, *names),
        rows=tuple(cells),
        best=frozenset(best),
        notes=(explained, *cautions, *((BEST_NOTE,) if best else ()), *notes),
    )


def build_support_columns(labels: Sequence[str], support: Mapping[str, Support]) -> dict[str, list[str]]:
    """The positive test images of each label and, where they are known, their patients, as columns of texts.

    Args:
        labels: of the rows; one that is none of the runs' labels, such as the mean, gets a dash.
        support: label to its positives; empty for no columns.
    """
    if not support:
        return {}
    found = [support.get(label) for label in labels]
    columns = {POSITIVE_IMAGES: [NOT_A_LABEL if item is None else f"{item.num_images:,}" for item in found]}
    if all(item.num_patients is not None for item in support.values()):
        columns[POSITIVE_PATIENTS] = [NOT_A_LABEL if item is None else f"{item.num_patients:,}" for item in found]
    return columns


def list_resamplings(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """For each run how many resamplings were drawn, and how many had a mean over the labels.

    Args:
        rows: as `build_metric_rows` gives them; one metric or several.
    """
    means = rows[rows["label"] == MACRO].drop_duplicates("run_id")
    return [(int(row["num_drawn"]), int(row["num_valid_samples"])) for row in means.to_dict("records")]


def build_runs_table(table: pd.DataFrame, *, notes: Sequence[str] = ()) -> PaperTable:
    """A row per run with what was trained, its size, its time and its AUROC.

    Args:
        table: as `reports.compare.build_comparison_table` gives it.
        notes: further sentences for below the table.
    """
    decisions = [name for name in DECISION_METRICS if f"test_{name}" in table]
    cells = [
        (
            row["run"],
            row["dataset"],
            f"{100 * row['fraction']:.3g} %",
            row["backbone"],
            row["weights"],
            row["method"],
            "–" if pd.isna(row["rank"]) else str(row["rank"]),
            "–" if pd.isna(row["num_trainable_params"]) else f"{row['num_trainable_params']:,}",
            "–" if pd.isna(row["wall_time_s"]) else f"{row['wall_time_s'] / 60:.1f}",
            write_figure({"value": row["val_auroc"], "low": None, "high": None}),
            write_figure(
                {"value": row["test_auroc"], "low": row["test_auroc_low"], "high": row["test_auroc_high"]}
            ),
            *(NOT_A_LABEL if pd.isna(value := row[f"test_{name}"]) else f"{value:.3f}" for name in decisions),
            str(row["seed"]),
        )
        for row in table.to_dict("records")
    ]  # fmt: skip
    return PaperTable(
        title="Runs",
        columns=(
            "Run", "Data", "Fraction", "Backbone", "Weights", "Method", "Rank", "Trained parameters", "Minutes",
            "Val AUROC", "Test AUROC", *(METRICS[name].title for name in decisions), "Seed",
        ),
        rows=tuple(cells),
        notes=(
            "AUROC: mean over the labels; in brackets its interval, by resampling patients. The val AUROC chose the "
            "weights, so it flatters.",
            *notes,
        ),
    )  # fmt: skip


def write_figure(item: Mapping[Any, Any]) -> str:
    """A value with its interval: 0.861 (0.842 to 0.880); n/a where it has no meaning."""
    value, low, high = item["value"], item["low"], item["high"]
    if value is None or pd.isna(value):
        return MISSING
    has_interval = low is not None and high is not None and not pd.isna(low) and not pd.isna(high)
    return f"{value:.3f} ({low:.3f} to {high:.3f})" if has_interval else f"{value:.3f}"


def write_csv(table: PaperTable) -> str:
    """The cells as they are printed, comma-separated; for numbers to compute with take the long table."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([[guard_cell(cell) for cell in row] for row in table.rows])
    return stream.getvalue()


def write_markdown(table: PaperTable) -> str:
    """A table as GitHub and most editors of notes understand it, its notes below."""
    lines = [f"**{_escape_markdown(table.title)}**", ""]
    lines.append("| " + " | ".join(map(_escape_markdown, table.columns)) + " |")
    lines.append("| --- |" + " ---: |" * (len(table.columns) - 1))
    for at, row in enumerate(table.rows):
        cells = [_escape_markdown(cell) for cell in row]
        cells = [f"**{cell}**" if (at, column) in table.best else cell for column, cell in enumerate(cells)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *(f"\n{_escape_markdown(note)}" for note in table.notes)]) + "\n"


def write_latex(table: PaperTable) -> str:
    """A LaTeX table for `\\usepackage{booktabs}`, its notes below; every text is escaped."""
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape_latex(table.title)}}}",
        rf"  \begin{{tabular}}{{l{'c' * (len(table.columns) - 1)}}}",
        r"    \toprule",
        "    " + " & ".join(map(escape_latex, table.columns)) + r" \\",
        r"    \midrule",
    ]
    for at, row in enumerate(table.rows):
        cells = [escape_latex(cell) for cell in row]
        cells = [rf"\textbf{{{cell}}}" if (at, column) in table.best else cell for column, cell in enumerate(cells)]
        lines.append("    " + " & ".join(cells) + r" \\")
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    lines += [rf"  \par\smallskip{{\footnotesize {escape_latex(note)}}}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def guard_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: run names, notes and labels come from people."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _escape_markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _read_macro(macro: Mapping[str, Any], metric: str) -> dict[str, Any]:
    low, high = (macro.get(key) for key in _MACRO_KEYS[metric])
    reason = None if macro[metric] is not None else "no label has images of both classes"
    return {
        "metric": metric,
        "label": MACRO,
        "value": macro[metric],
        "low": low,
        "high": high,
        "num_valid_samples": macro["num_valid_samples"],
        "reason": reason,
    }


def _read_decision(test: Mapping[str, Any], metric: str) -> dict[str, Any]:
    low, high = test.get(f"{metric}_low"), test.get(f"{metric}_high")
    return {"metric": metric, "label": ALL_CLASSES, "value": test[metric], "low": low, "high": high, "reason": None}


def _read_label(label: str, values: Mapping[str, Any], metric: str) -> dict[str, Any]:
    low, high = (values.get(key) for key in _INTERVAL_KEYS[metric])
    counts = {name: values[name] for name in ("num_positive", "num_negative", "num_unknown")}
    return {
        "metric": metric,
        "label": label,
        "value": values[metric],
        "low": low,
        "high": high,
        "num_valid_samples": values["num_valid_samples"],
        "reason": values["reason"],
        **counts,
    }
