"""The data report in words and tables: what is in a set, what is wrong with it, and what to do."""

from typing import Any

import pandas as pd
import streamlit as st

from pages.widgets.wording import SYNTHETIC, escape_markdown, write_bytes

SPLITS = ("train", "val", "test")


def draw_report(report: dict[str, Any]) -> None:
    """A finished report, as `DataReport.to_dict` gives it."""
    st.subheader("Report")
    if report["is_synthetic"]:
        st.caption(f":material/palette: {SYNTHETIC}")
    _draw_advice(report["advice"])
    _draw_counts(report)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown("**Positives of each label**")
        st.dataframe(
            _label_table(report["labels"]),
            hide_index=True,
            width="stretch",
            column_config={
                f"{split} share": st.column_config.ProgressColumn(
                    f"{split} share", min_value=0.0, max_value=1.0, format="percent"
                )
                for split in SPLITS
            },
            alt="Positives and prevalence of each label in each split",
        )
    with right:
        st.markdown("**Splits, by patient**")
        st.dataframe(
            _split_table(report["splits"]), hide_index=True, width="stretch", alt="Images and patients a split"
        )
        _draw_people(report)
    _draw_problems(report)
    with st.expander("How the data were read and split", icon=":material/notes:"):
        for note in report["notes"]:
            st.text(note)


def _draw_advice(advice: list[str]) -> None:
    if not advice:
        st.success("Nothing stands in the way of training.", icon=":material/check_circle:")
    for sentence in advice:
        st.warning(escape_markdown(sentence), icon=":material/lightbulb:")


def _draw_counts(report: dict[str, Any]) -> None:
    pixels = report["pixels"]
    size = pixels["most_common_source_size"]
    patients = report["num_patients"]
    for column, (title, value) in zip(
        st.columns(4),
        (
            ("Images", f"{report['num_images']:,}"),
            ("Patients", "unknown" if patients is None else f"{patients:,}"),
            ("Source pixels", f"{size[1]} × {size[0]}" if size else "n/a"),
            ("Decoded, on disk", write_bytes(pixels["cache_bytes"])),
        ),
        strict=True,
    ):
        column.metric(title, value, border=True)


def _label_table(labels: dict[str, dict[str, dict[str, Any]]]) -> pd.DataFrame:
    rows = []
    for label, by_split in labels.items():
        row: dict[str, Any] = {"label": label}
        for split in SPLITS:
            row[split] = by_split[split]["num_positive"]
            row[f"{split} share"] = by_split[split]["prevalence"]
        rows.append(row)
    return pd.DataFrame(rows)


def _split_table(splits: dict[str, dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "split": list(SPLITS),
            "images": [splits[name]["num_images"] for name in SPLITS],
            "patients": [splits[name]["num_patients"] for name in SPLITS],
        }
    )


def _draw_people(report: dict[str, Any]) -> None:
    age = report["age"]
    if age:
        st.caption(f"**Age:** {age['min']:g} to {age['max']:g} years, median {age['median']:g}")
    for title, values in (("Sex", report["sex"]), ("View", report["view"])):
        if values:
            st.caption(
                f"**{title}:** "
                + ", ".join(f"{escape_markdown(str(name))} {count:,}" for name, count in values.items())
            )


def _draw_problems(report: dict[str, Any]) -> None:
    unreadable, duplicates = report["unreadable"], report["duplicates"]
    patients = report["overlap"]["num_patients"]
    rows = [
        ("Patients in more than one split", "not checked" if report["num_patients"] is None else f"{patients:,}"),
        ("Missing images", f"{unreadable['num_missing']:,}"),
        ("Unreadable images", f"{unreadable['total'] - unreadable['num_missing']:,}"),
        ("Groups of identical images within a split", f"{duplicates['num_groups_within']:,}"),
        ("Groups of identical images across splits", f"{duplicates['num_groups_across']:,}"),
        ("Images changed in decoding", f"{report['pixels']['num_changed_in_decoding']:,}"),
    ]
    st.markdown("**Checks**")
    st.dataframe(
        pd.DataFrame(rows, columns=["check", "found"]), hide_index=True, width="stretch", alt="What the checks found"
    )
    examples = [f"{item['image']}: {item['reason']}" for item in unreadable["examples"]]
    examples += [f"patient {name}: {', '.join(splits)}" for name, splits in report["overlap"]["examples"].items()]
    if examples:
        with st.expander("Which ones"):
            st.code("\n".join(examples), language=None)
