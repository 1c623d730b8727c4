"""Tables for papers: every text escaped, the best of a row marked honestly, numbers as they are stored."""

import csv
import io

import pandas as pd
import pytest

from medpeft_core.reports.support import Support
from medpeft_core.reports.tables import (
    BEST_NOTE,
    MACRO,
    POSITIVE_IMAGES,
    POSITIVE_PATIENTS,
    PaperTable,
    build_metric_rows,
    build_metric_table,
    build_runs_table,
    escape_latex,
    guard_cell,
    write_csv,
    write_latex,
    write_markdown,
)


def label_figures(value, low=None, high=None):
    return {
        "auroc": value, "low": low, "high": high, "auprc": value, "auprc_low": low, "auprc_high": high,
        "num_positive": 3, "num_negative": 7, "num_unknown": 0,
        "num_valid_samples": 980,
        "reason": None if value is not None else "no positive image in this split",
    }  # fmt: skip


def make_metrics(macro, **labels):
    return {
        "test": {
            "confidence": 0.95,
            "bootstrap_samples": 1000,
            "macro": {
                "auroc": macro,
                "auroc_low": macro - 0.1,
                "auroc_high": macro + 0.1,
                "auprc": macro,
                "num_valid_samples": 307,
            },
            "per_class": {name: label_figures(*values) for name, values in labels.items()},
        }
    }


FIRST = make_metrics(0.8, Effusion=(0.81234, 0.7, 0.9), Pleural_Thickening=(0.5, 0.4, 0.6), Never=(None,))
SECOND = make_metrics(0.7, Effusion=(0.81241, 0.7, 0.9), Pleural_Thickening=(0.6, 0.5, 0.7), Never=(None,))
ROWS = build_metric_rows([("id-a", "full & co", FIRST), ("id-b", "LoRA", SECOND)])


def test_metric_table_holds_values_with_intervals_and_marks_the_best():
    table = build_metric_table(ROWS, "auroc")
    assert table.columns == ("Label", "full & co", "LoRA")
    assert table.rows[0] == (MACRO, "0.800 (0.700 to 0.900)", "0.700 (0.600 to 0.800)")
    assert table.rows[2] == ("Pleural_Thickening", "0.500 (0.400 to 0.600)", "0.600 (0.500 to 0.700)")
    assert table.rows[3] == ("Never", "n/a", "n/a")
    assert (0, 1) in table.best
    assert (2, 2) in table.best
    assert {(1, 1), (1, 2)} <= table.best, "0.81234 and 0.81241 are both printed as 0.812"
    assert not any(row == 3 for row, _ in table.best)
    assert BEST_NOTE in table.notes
    assert "95 %" in table.notes[0]


def test_metric_table_says_how_many_resamplings_counted_and_shows_the_positives():
    """The tables said 1,000 samples where 307 counted, and nothing of the three images behind an AUROC."""
    support = {"Effusion": Support(40, 31), "Pleural_Thickening": Support(12, 6), "Never": Support(3, 1)}
    table = build_metric_table(ROWS, "auroc", support=support)
    assert table.columns == ("Label", POSITIVE_IMAGES, POSITIVE_PATIENTS, "full & co", "LoRA")
    assert table.rows[0][:3] == (MACRO, "–", "–")
    assert table.rows[1][:4] == ("Effusion", "40", "31", "0.812 (0.700 to 0.900)")
    assert {(0, 3), (2, 4)} <= table.best, "bold stands with the figures, not with the counts"
    notes = " ".join(table.notes)
    assert "1,000 resamplings, of which 307 had images of both classes for every label" in notes
    assert "Less than half" in notes
    assert "Never 3 positive images of 1 patient" in notes
    unknown = {label: Support(item.num_images, None) for label, item in support.items()}
    assert POSITIVE_PATIENTS not in build_metric_table(ROWS, "auroc", support=unknown).columns


def test_metric_table_of_runs_on_different_images_marks_no_best():
    table = build_metric_table(ROWS, "auroc", mark_best=False, notes=["Different images."])
    assert table.best == frozenset()
    assert BEST_NOTE not in table.notes
    assert table.notes[-1] == "Different images."


def test_metric_table_of_one_run_or_of_other_labels():
    single = build_metric_table(build_metric_rows([("id-a", "full", FIRST)]), "auroc")
    assert single.best == frozenset(), "the only one is not the best of anything"
    other = build_metric_rows([("id-a", "full", FIRST), ("id-b", "LoRA", make_metrics(0.6, Mass=(0.6, 0.5, 0.7)))])
    table = build_metric_table(other, "auroc")
    assert table.rows[-1] == ("Mass", "–", "0.600 (0.500 to 0.700)")


def test_runs_table_says_what_was_trained():
    frame = pd.DataFrame(
        [
            {
                "run": "LoRA r8 · ViT-Tiny", "dataset": "nih", "fraction": 0.25, "backbone": "vit_tiny_patch16_224",
                "weights": "random", "method": "lora", "rank": 8, "num_trainable_params": 75_077, "val_auroc": 0.7,
                "test_auroc": 0.69, "test_auroc_low": 0.6, "test_auroc_high": 0.75, "wall_time_s": 90.0, "seed": 0,
            },
            {
                "run": "Full", "dataset": "nih", "fraction": 1.0, "backbone": "resnet18", "weights": "random",
                "method": "full", "rank": pd.NA, "num_trainable_params": pd.NA, "val_auroc": float("nan"),
                "test_auroc": float("nan"), "test_auroc_low": float("nan"), "test_auroc_high": float("nan"),
                "wall_time_s": float("nan"), "seed": 1,
            },
        ]
    )  # fmt: skip
    first, second = build_runs_table(frame).rows
    assert first[2] == "25 %"
    assert first[6:] == ("8", "75,077", "1.5", "0.700", "0.690 (0.600 to 0.750)", "0")
    assert second[6:] == ("–", "–", "–", "n/a", "n/a", "1")


def test_markdown_is_a_table_with_escaped_texts():
    text = write_markdown(build_metric_table(ROWS, "auroc", notes=["a | b"]))
    lines = text.splitlines()
    assert lines[0] == "**AUROC on test**"
    table = [line for line in lines if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1, "every line has the same columns"
    assert "| Pleural\\_Thickening | 0.500 (0.400 to 0.600) | **0.600 (0.500 to 0.700)** |" in table
    assert "a \\| b" in lines


def test_latex_is_a_booktabs_table_with_escaped_texts():
    text = write_latex(build_metric_table(ROWS, "auroc", notes=["50 % & more_"]))
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lcc}", r"\end{table}"):
        assert text.count(part) == 1
    assert r"Label & full \& co & LoRA \\" in text
    assert r"Pleural\_Thickening & 0.500 (0.400 to 0.600) & \textbf{0.600 (0.500 to 0.700)} \\" in text
    assert r"50 \% \& more\_" in text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert all(line.replace(r"\&", "").count("&") == 2 for line in rows)
    assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b 50% & {x}", r"a\_b 50\% \& \{x\}"),
        ("C:\\net ~ ^ $ #", r"C:\textbackslash{}net \textasciitilde{} \textasciicircum{} \$ \#"),
        ("−0.1 · x", r"$-$0.1 \textperiodcentered{} x"),
        ("two\nlines", "two lines"),
        ("“p” ≤ 0.003, < 0.001 …", r"``p'' $\leq$ 0.003, $<$ 0.001 \ldots{}"),
    ],
)
def test_escape_latex(text, expected):
    assert escape_latex(text) == expected


def test_csv_reads_back_and_hides_no_formula():
    table = PaperTable(
        title="t", columns=("Label", "a"), rows=(("=1+1", "0.5, 0.6"), ("@x", "-0.5"), ('"q"', "+cmd|x"))
    )
    rows = list(csv.reader(io.StringIO(write_csv(table))))
    assert rows == [["Label", "a"], ["'=1+1", "0.5, 0.6"], ["'@x", "-0.5"], ['"q"', "'+cmd|x"]]
    assert guard_cell("plain") == "plain"
    assert guard_cell("") == ""
