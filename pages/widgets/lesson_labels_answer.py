"""The answer of the first lesson: words, what the learner expected, curve, differences, sizes, and how to read them."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from medpeft_core.figures.finding import build_label_curve
from medpeft_core.figures.finding_differences import build_difference_forest, judge_difference
from medpeft_core.figures.finding_looks import MACRO, MEAN_NAME, count_images, name_label, name_method
from medpeft_core.reports.sentences import write_signed
from pages.widgets.chart_ink import add_ink, pick_ink
from pages.widgets.chart_saving import draw_chart_head
from pages.widgets.lesson_labels_prediction import KEY, draw_verdicts, find_difference, write_interval, write_part
from pages.widgets.lesson_labels_tables import (
    build_differences_table,
    build_sizes_table,
    draw_exports,
    draw_table,
    explain_statistics,
)
from pages.widgets.wording import escape_markdown, write_auroc

TABLE_WIDTHS = {
    "Images": 65, "Finding": 150, "Difference": 80, "Interval": 135, "Seeds with LoRA ahead": 150, "Positives": 75,
    "What it says": 170,
}  # fmt: skip
MIN_CARD_WIDTH = 300  # pixels: "cannot be told apart" with its interval in one line

Result = dict[str, Any]
Spec = dict[str, Any]


def draw_answer(result: Result, chosen: dict[float, str]) -> None:
    """All of it, for a result with at least one point.

    Args:
        result: of the lesson, whole or growing.
        chosen: what the learner expected, by fraction.
    """
    if result["cells_done"] < result["cells_all"]:
        st.warning(
            f"**Not complete yet: {result['cells_done']} of {result['cells_all']} runs are finished.** Figures and "
            "words below are about these alone; they change, and intervals become narrower, as more runs end.",
            icon=":material/hourglass_top:",
        )
    _draw_cards(result)
    if result["words"]:
        with st.container(border=True, key=f"{KEY}_words"):
            st.markdown(escape_markdown(result["words"]))
    draw_verdicts(chosen, result)
    label = st.segmented_control(
        "Show",
        [MACRO, *result["labels"]],
        format_func=lambda name: name_label(name).capitalize() if name == MACRO else name,
        default=MACRO,
        required=True,
        key=f"{KEY}_label",
        help="A mean over findings can hide that only some of them were learned.",
    )
    _draw_curve(result, label)
    _draw_differences(result)
    _draw_sizes(result)
    draw_exports(result)


def _draw_cards(result: Result) -> None:
    """LoRA minus full at a glance, a card for each number of labels."""
    rows = [(part, find_difference(result, part["fraction"])) for part in result["fractions"]]
    known = [(part, row) for part, row in rows if row is not None]
    if not known:
        return
    st.markdown("**LoRA minus full fine-tuning, test AUROC**")
    with st.grid(len(known), min_column_width=MIN_CARD_WIDTH):
        for part, row in known:
            st.metric(
                write_part(part).capitalize(),
                write_signed(row["mean"]),
                delta=write_card_note(row),
                delta_color="off",
                delta_arrow="off",
                border=True,
                height="stretch",
                help="Test AUROC of LoRA minus that of full fine-tuning: mean of the findings and of the seeds.",
            )


def write_card_note(difference: Mapping[str, Any]) -> str:
    """What the interval says, and the interval."""
    says = judge_difference(dict(difference))
    if difference["low"] is None or difference["high"] is None:
        return says
    return f"{says}, {write_signed(difference['low'])} to {write_signed(difference['high'])}"


def _draw_curve(result: Result, label: str) -> None:
    what = "mean of the findings" if label == MACRO else label
    draw_chart_head(
        f"AUROC against the number of labelled images, {what}",
        lambda: build_label_curve(result, label),
        key=f"{KEY}_curve",
        is_synthetic=True,
        saved_title=f"Test AUROC against labelled training images, {what}",
        name=f"few-labels-{label.lower()}",
    )
    st.vega_lite_chart(
        _add_inks(build_label_curve(result, label)), key=f"{KEY}_curve", alt=describe_curve(result, label)
    )
    st.caption(
        f"Large marks: mean of the seeds, with its {100 * result['confidence']:g} % interval; small ones beside them: "
        "single seeds. Dashed: guessing. Methods stand a little beside each other so that their intervals can be "
        "told apart; the number of images is the same."
    )


def _draw_differences(result: Result) -> None:
    table = build_differences_table(result)
    if not table.rows:
        st.info(
            "Differences appear when LoRA and full fine-tuning have both finished with the same seed.",
            icon=":material/hourglass_top:",
        )
        return
    title = "LoRA minus full fine-tuning, finding by finding"
    draw_chart_head(
        title,
        lambda: build_difference_forest(result),
        key=f"{KEY}_forest",
        is_synthetic=True,
        saved_title="Test AUROC, LoRA minus full fine-tuning, with intervals",
        name="few-labels-differences",
    )
    st.vega_lite_chart(
        _add_inks(build_difference_forest(result)), key=f"{KEY}_forest", alt=describe_differences(result)
    )
    st.caption(
        "A line that crosses 0 says that these runs cannot tell the two apart, not that they are equal. "
        f"**How the intervals are made:** {explain_statistics(result)}"
    )
    with st.expander("The same in numbers", icon=":material/table_rows:"):
        draw_table(table, key=f"{KEY}_differences", widths=TABLE_WIDTHS)


def _draw_sizes(result: Result) -> None:
    table = build_sizes_table(result)
    st.markdown("**What each method trains, and what is left to keep of it**")
    draw_table(table, key=f"{KEY}_sizes")
    st.caption(" ".join(table.notes))


def describe_curve(result: Result, label: str) -> str:
    """The curve for those who cannot see it."""
    parts, counts = [], count_images(result)
    for method in result["methods"]:
        rows = [row for row in result["points"] if (row["method"], row["label"]) == (method["method"], label)]
        values = [
            f"{write_auroc(row['mean'], row['low'], row['high'])} with {counts[row['fraction']]:,} images"
            for row in rows
            if row["fraction"] in counts
        ]
        if values:
            parts.append(f"{name_method(method['method'])}: {', '.join(values)}")
    what = MEAN_NAME if label == MACRO else label
    return f"Test AUROC against the number of labelled images, {what}. {'; '.join(parts)}."


def describe_differences(result: Result) -> str:
    """The forest in words; the table below it has every number."""
    parts = [
        f"{write_part(part)}: {write_interval(row)}"
        for part in result["fractions"]
        if (row := find_difference(result, part["fraction"])) is not None
    ]
    return f"LoRA minus full, test AUROC, mean of the findings. {'; '.join(parts)}. The table below has each finding."


def _add_inks(spec: Spec) -> Spec:
    """Words in the plot too, which have no axis to take their colour from."""
    inked = add_ink(spec)
    config = dict(inked.get("config") or {})
    return {**inked, "config": {**config, "text": {"color": pick_ink(), **config.get("text", {})}}}
