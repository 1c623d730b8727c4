"""What a model says about one image where the classes exclude each other: the likeliest first, the true one marked."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.reports.disagreements import Pair
from medpeft_core.reports.predictions import Predictions
from pages.widgets.prob_cells import draw_prob_table, write_numbers
from pages.widgets.wording import escape_markdown

LABEL_WIDTH = 142  # pixels
MAX_ROWS = 20  # of thousands of classes; the others are hardly probable
LIKELIEST, TRUE = "● likeliest", "true class"
CAPTION = "The likeliest class is the answer; together the classes have a probability of 1."


def write_verdict(called: str, prob: float, true: str | None, *, letter: str = "") -> str:
    """Which class was called and which is true: "✕ **mild** is likeliest (0.61), but the true class is **severe**."."""
    start = f"**{letter}** · " if letter else ""
    answer = f"**{escape_markdown(called)}** is likeliest ({write_numbers(prob, None)[0]})"
    if true is None:
        return f"{start}{answer}; the true class is not known."
    if called == true:
        return f"{start}● {answer}, and the true class."
    return f"{start}✕ {answer}, but the true class is **{escape_markdown(true)}**."


def draw_class_probs(predictions: Predictions, row: int, prevalence: Mapping[str, float | None], *, key: str) -> None:
    """The verdict and the table for one image of a data set."""
    called, true = predictions.called_classes()[row], predictions.true_classes()[row]
    probs = dict(zip(predictions.labels, predictions.probs()[row].tolist(), strict=True))
    true_label = None if true < 0 else predictions.labels[true]
    label = predictions.labels[called]
    st.markdown(write_verdict(label, probs[label], true_label))
    draw_class_table(probs, prevalence, true_label, key=key)


def draw_class_table(
    probs: Mapping[str, float], prevalence: Mapping[str, float | None], true: str | None, *, key: str
) -> None:
    """A row per class.

    Args:
        probs: by class, as the model gives them.
        prevalence: share of the training images by class.
        true: the true class; None where it is not known.
        key: of the table.
    """
    table = build_class_table(probs, prevalence, true)
    words = [write_numbers(prob, None)[0] for prob in table["prob"]]
    config = st.column_config
    draw_prob_table(
        table,
        {"prob": words},
        key=key,
        column_order=[name for name in table.columns if name != "truth" or true is not None],
        column_config={
            "label": config.TextColumn("Class", width=LABEL_WIDTH),
            "prob": config.NumberColumn("Prob.", width=66, help="Probability, 0 to 1."),
            "answer": config.TextColumn("Answer", width=96, help="The likeliest class."),
            "truth": config.TextColumn("Truth", width=84, help="What the data set says."),
            "prevalence": config.NumberColumn(
                "Base rate", width=74, format="%.1f %%", help="Share of the class in the training set."
            ),
        },
        alt="; ".join(
            f"{item.label}: probability {word}{', ' + item.answer if item.answer else ''}"
            f"{', ' + item.truth if item.truth else ''}"
            for item, word in zip(table.itertuples(), words, strict=True)
        ),
    )
    further = f" {say_left_out(len(probs), len(table))}" if len(table) < len(probs) else ""
    st.caption(f"{CAPTION} Base rate: how common the class is among the training images.{further}")


def build_class_table(
    probs: Mapping[str, float], prevalence: Mapping[str, float | None], true: str | None
) -> pd.DataFrame:
    """Columns label, prob, answer, truth, prevalence (percent); at most `MAX_ROWS`, and the true one."""
    shown = choose_rows([probs], true)
    rows = [
        {
            "label": label,
            "prob": probs[label],
            "answer": LIKELIEST if at == 0 else "",
            "truth": "" if label != true else f"{'●' if at == 0 else '✕'} {TRUE}",
            "prevalence": None if prevalence.get(label) is None else 100 * (prevalence[label] or 0.0),
        }
        for at, label in enumerate(shown)
    ]
    return pd.DataFrame(rows).astype({"prevalence": "float64"})


def draw_class_pair(pair: Pair, row: int, names: Sequence[str]) -> None:
    """Both verdicts and both runs' probabilities for one image."""
    table, verdicts = build_class_pair_table(pair, row)
    for verdict in verdicts:
        st.markdown(verdict)
    words = {
        name: ["n/a" if pd.isna(prob) else write_numbers(prob, None)[0] for prob in table[name]]
        for name in ("prob_A", "prob_B")
    }
    config = st.column_config
    draw_prob_table(
        table,
        words,
        key="explain_pair_probs",
        column_config={
            "label": config.TextColumn("Class", width=LABEL_WIDTH),
            "truth": config.TextColumn("Truth", help="What the data set says."),
            **{
                f"prob_{letter}": config.NumberColumn(f"{letter}: probability", help=name)
                for letter, name in zip("AB", names, strict=True)
            },
            **{
                f"answer_{letter}": config.TextColumn(f"{letter}: answer", help=name)
                for letter, name in zip("AB", names, strict=True)
            },
        },
        alt="; ".join(
            f"{item.label}: {item.truth or 'not true'}, A {prob_a} {item.answer_A}, B {prob_b} {item.answer_B}"
            for item, prob_a, prob_b in zip(table.itertuples(), words["prob_A"], words["prob_B"], strict=True)
        ),
    )
    num_classes = len(pair.first.labels)
    st.caption(f"{CAPTION} {say_left_out(num_classes, len(table)) if len(table) < num_classes else ''}")


def build_class_pair_table(pair: Pair, row: int) -> tuple[pd.DataFrame, list[str]]:
    """Columns label, truth, prob_A, answer_A, prob_B, answer_B, the likeliest of either run first; and the verdicts."""
    partner = int(pair.partners[row])
    answers: list[dict[str, float]] = []
    for predictions, at in ((pair.first, row), (pair.second, partner)):
        found = predictions.probs()[at].tolist() if at >= 0 else []
        answers.append(dict(zip(predictions.labels, found, strict=False)))
    number = pair.first.true_classes()[row]
    true = None if number < 0 else pair.first.labels[number]
    called = [max(probs, key=lambda label: probs[label], default="") for probs in answers]
    rows = [
        {
            "label": label,
            "truth": f"● {TRUE}" if label == true else "",
            **{
                name: value
                for letter, probs, top in zip("AB", answers, called, strict=True)
                for name, value in (
                    (f"prob_{letter}", probs.get(label, float("nan"))),
                    (f"answer_{letter}", _write_answer(label, top, true)),
                )
            },
        }
        for label in choose_rows([probs for probs in answers if probs], true)
    ]
    verdicts = [
        write_verdict(top, probs[top], true, letter=letter)
        for letter, probs, top in zip("AB", answers, called, strict=True)
        if probs
    ]
    return pd.DataFrame(rows), verdicts


def choose_rows(answers: Sequence[Mapping[str, float]], true: str | None) -> list[str]:
    """Classes that a table shows, likeliest first; of very many the likeliest, and the true one at their end."""
    labels = list(dict.fromkeys(label for probs in answers for label in probs))
    ordered = sorted(labels, key=lambda label: -max(probs.get(label, 0.0) for probs in answers))
    shown = ordered[:MAX_ROWS]
    return [*shown, true] if true is not None and true in labels and true not in shown else shown


def say_left_out(num_classes: int, num_shown: int) -> str:
    """That not all classes are in a table."""
    return f"{num_shown} of {num_classes:,} classes are shown, the likeliest ones."


def _write_answer(label: str, top: str, true: str | None) -> str:
    if label != top:
        return ""
    return LIKELIEST if true is None or label == true else LIKELIEST.replace("●", "✕")


def find_likeliest(answer: Mapping[str, Any]) -> str:
    """The class with the highest probability in an answer; of equal ones the first."""
    return max(answer["probs"], key=lambda label: answer["probs"][label])
