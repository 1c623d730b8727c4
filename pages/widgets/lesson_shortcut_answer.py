"""The answer of the second lesson: the verdict, val beside test, four kinds of test images, the marker painted over."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from medpeft_core.figures.shortcut import (
    MARK_NAMES,
    SPLIT_NAMES,
    VERSION_NAMES,
    build_cell_chart,
    build_masking_chart,
    build_split_chart,
)
from medpeft_core.lessons.shortcut_stored import Outcome
from medpeft_core.lessons.shortcut_words import find_row, find_version, write_because, write_maps, write_number
from pages.widgets.chart_ink import add_ink
from pages.widgets.chart_saving import draw_chart_head
from pages.widgets.glossary import explain
from pages.widgets.lesson_parts import draw_verdict
from pages.widgets.lesson_shortcut_pictures import draw_example
from pages.widgets.lesson_shortcut_state import KEY
from pages.widgets.wording import escape_markdown, write_auroc

Spec = dict[str, Any]


def draw_answer(outcome: Outcome, prediction: str, choices: Mapping[str, str]) -> None:
    """Everything that the figures say.

    Args:
        outcome: stored, or of a run of this home.
        prediction: as `lesson_parts.draw_prediction` gave it.
        choices: of the prediction.
    """
    result = outcome.result
    draw_verdict(prediction, result["answer"], choices, because=escape_markdown(write_because(result)))
    _draw_figures(result)
    left, right = st.columns(2, gap="medium")
    with left:
        _draw_chart(
            "AUROC on val and on test",
            lambda: build_split_chart(result),
            key="splits",
            alt=_describe_splits(result),
        )
        st.caption(_write_splits(result))
    with right:
        _draw_chart(
            "What the test images got", lambda: build_cell_chart(result), key="cells", alt=_describe_cells(result)
        )
        st.caption(_write_cells(result))
    st.markdown("#### What happens when the marker is masked?")
    draw_example(outcome)
    _draw_chart(
        "All val and test images",
        lambda: build_masking_chart(result),
        key="masking",
        alt=_describe_masking(result),
    )
    st.caption(_write_masking(result))
    st.markdown("#### Does the heat map give it away?")
    _draw_maps(result)
    st.markdown("#### In one paragraph")
    with st.container(border=True, key=f"{KEY}_words"):
        st.markdown(escape_markdown(result["words"]))


def _draw_figures(result: dict[str, Any]) -> None:
    row, masked = find_row(result), find_version(result, "test", "masked")
    mark = result["mark_aurocs"]["test"]
    figures = (
        ("On val", row["val"], row["val_low"], row["val_high"], explain("auroc")),
        ("On test", row["test"], row["test_low"], row["test_high"], explain("auroc")),
        (
            "Test, marker hidden",
            masked["auroc"],
            masked["low"],
            masked["high"],
            "What the model knows of the finding itself: the marker can neither help nor mislead it.",
        ),
        (
            "Marker alone, test",
            mark["auroc"],
            mark["low"],
            mark["high"],
            "How well 'there is a marker' predicts the finding in the test images. On val it is "
            f"{write_auroc(result['mark_aurocs']['val']['auroc'])}.",
        ),
    )
    st.caption(f"AUROC for {result['finding']}, with intervals over patients")
    for column, (label, value, low, high, help_text) in zip(st.columns(4), figures, strict=True):
        with column:
            st.metric(
                label,
                "n/a" if value is None else f"{value:.3f}",
                delta=None if low is None or high is None else f"{low:.3f} to {high:.3f}",
                delta_color="off",
                delta_arrow="off",
                border=True,
                height="stretch",
                help=help_text,
            )


def _draw_chart(title: str, build: Callable[[], Spec], *, key: str, alt: str) -> None:
    draw_chart_head(title, build, key=f"{KEY}_{key}", is_synthetic=True)
    st.vega_lite_chart(add_ink(build()), key=f"{KEY}_{key}_chart", alt=alt)


def _draw_maps(result: dict[str, Any]) -> None:
    maps = result["maps"]
    st.markdown(escape_markdown(write_maps(result)))
    if not maps["num_images"]:
        return
    figures = (
        ("Of the map's mass, on the marker", maps["share"], True, "Median of the maps; least and greatest below."),
        ("Of the image, the marker covers", maps["area"], True, "With the narrow margin that is painted over too."),
        ("The one over the other", maps["ratio"], False, "1 is what a map without any preference would have."),
    )
    for column, (label, values, is_share, help_text) in zip(st.columns(3), figures, strict=True):
        with column:
            st.metric(
                label,
                _write_figure(values["median"], is_share=is_share),
                delta=" to ".join(_write_figure(values[end], is_share=is_share) for end in ("low", "high")),
                delta_color="off",
                delta_arrow="off",
                border=True,
                height="stretch",
                help=help_text,
            )
    flat = f" {maps['num_flat']} flat maps are left out." if maps["num_flat"] else ""
    rows, columns = maps["grid"]
    st.caption(
        f"The first {maps['num_images']} test images with the marker, layer {escape_markdown(maps['layer'])}, where a "
        f"map "
        f"has {rows} × {columns} places; the strongest place lies on the marker in {maps['num_hits']} of them.{flat} "
        "A heat map shows what raised the score, it proves nothing; painting over is an experiment."
    )


def _write_figure(value: float, *, is_share: bool) -> str:
    return f"{100 * value:.1f} %" if is_share else f"{value:.1f} ×"


def _write_splits(result: dict[str, Any]) -> str:
    row = find_row(result)
    interval = write_number(row["difference"], row["difference_low"], row["difference_high"])
    return (
        f"{result['finding']}, val minus test: {interval}. The other findings show what a fair difference looks like: "
        f"no "
        "marker goes with them. Val and test hold different patients, which are resampled apart from each other."
    )


def _write_cells(result: dict[str, Any]) -> str:
    counts = ", ".join(
        f"{cell['num_images']} {'with' if cell['target'] else 'without'} {result['finding']} "
        f"{MARK_NAMES[cell['shortcut']]}"
        for cell in result["cells"]
    )
    return (
        f"A model that goes by the disease separates the two rows; one that goes by the marker separates the two "
        f"colours. Test images: {counts}."
    )


def _write_masking(result: dict[str, Any]) -> str:
    fall, num = result["prob_change"], result["prob_change"]["num_images"]
    if fall["masked"]["mean"] is None:
        return "No test image has the marker."
    texts = []
    for kind, what in (("masked", "the marker"), ("control", "the same patch on the other side")):
        mean, low, high = (fall[kind][name] for name in ("mean", "low", "high"))
        texts.append(f"{what} is painted over, it changes by {write_number(-mean, -high, -low, digits=2)}")
    return (
        f"Mean probability of the {num} test images with the marker: when {texts[0]}; when {texts[1]}. "
        "Images without the marker are as they are. The control shows that painting by itself changes little or "
        "nothing."
    )


def _describe_splits(result: dict[str, Any]) -> str:
    parts = [
        f"{row['label']}: val {write_auroc(row['val'], row['val_low'], row['val_high'])}, "
        f"test {write_auroc(row['test'], row['test_low'], row['test_high'])}"
        for row in result["aurocs"]
    ]
    return f"AUROC of each finding. {'; '.join(parts)}."


def _describe_cells(result: dict[str, Any]) -> str:
    parts = [
        f"{'with' if cell['target'] else 'without'} {result['finding']}, {MARK_NAMES[cell['shortcut']]}: "
        f"{write_auroc(cell['mean_prob'], cell['low'], cell['high'])}"
        for cell in result["cells"]
    ]
    return f"Mean predicted probability of the test images. {'; '.join(parts)}."


def _describe_masking(result: dict[str, Any]) -> str:
    parts = [
        f"{SPLIT_NAMES[row['split']]}, {VERSION_NAMES[row['version']]}: "
        f"{write_auroc(row['auroc'], row['low'], row['high'])}"
        for row in result["masking"]
    ]
    return f"AUROC for {result['finding']}. {'; '.join(parts)}."
