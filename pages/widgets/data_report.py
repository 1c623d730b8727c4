"""The data report in words: what was found, how serious it is and what to do; the checks behind it; downloads."""

import json
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.datasets.report_text import write_markdown
from medpeft_core.datasets.views import DataView
from pages.widgets.wording import DISCLAIMER, SYNTHETIC, escape_markdown, write_bytes

SEVERITIES = {
    "problem": (":red[:material/error:]", "Problem"),
    "warning": (":orange[:material/warning:]", "Mind"),
    "note": (":material/info:", "Note"),
    "fine": (":green[:material/check_circle:]", "Fine"),
}
SHOWN_AT_ONCE = ("problem", "warning")
MAX_SHOWN = 4  # warnings at once; problems are all shown
CARD_WIDTH = 150  # pixels below which the cards take another line


def draw_cards(view: DataView) -> None:
    """The size of the set in four figures."""
    report = view.report
    pixels = report["pixels"]
    size = pixels["most_common_source_size"]
    patients = report["num_patients"]
    others = pixels["num_source_sizes"] - 1
    cards = (
        ("Images", f"{report['num_images']:,}", None),
        ("Patients", "unknown" if patients is None else f"{patients:,}", None),
        (
            "Source pixels",
            f"{size[1]} × {size[0]}" if size else "n/a",
            f"and {others:,} other sizes" if others > 0 else None,
        ),
        ("Decoded, on disk", *_describe_decoded(view)),
    )
    with st.grid(4, min_column_width=CARD_WIDTH):
        for title, value, note in cards:
            st.metric(title, value, border=True, height="stretch", help=note)


def _describe_decoded(view: DataView) -> tuple[str, str]:
    """What the decoded images take now, and a note on them."""
    size, side = write_bytes(view.report["pixels"]["cache_bytes"]), view.report["pixels"]["cache_size"]
    if not view.has_pixels:
        return "removed", f"They took {size}, with a short side of at most {side} pixels."
    return size, f"short side at most {side} pixels"


def draw_findings(report: dict[str, Any]) -> None:
    """The report in words, the worst at once; what is fine or merely good to know is folded away."""
    findings = report["findings"]
    worth = [item for item in findings if item["severity"] in SHOWN_AT_ONCE]
    rest = [item for item in findings if item["severity"] not in SHOWN_AT_ONCE]
    num_problems = sum(item["severity"] == "problem" for item in worth)
    num_shown = max(num_problems, MAX_SHOWN)
    with st.container(border=True):
        st.markdown(f"**What to know before training** · {_count(findings)}")
        if not worth:
            st.markdown(":green[:material/check_circle:] Nothing stands in the way of training.")
        for item in worth[:num_shown]:
            draw_finding(item)
        _fold(f"{len(worth) - num_shown} more to mind", worth[num_shown:], icon=":material/warning:")
        _fold("What was checked and noted", rest, icon=":material/checklist:")


def _fold(title: str, findings: list[dict[str, str]], *, icon: str) -> None:
    if not findings:
        return
    with st.expander(title, icon=icon):
        for item in findings:
            draw_finding(item)


def draw_checks(view: DataView) -> None:
    """Every check with its count, the images and patients concerned by name, how the data were read, and downloads."""
    report = view.report
    unreadable, duplicates = report["unreadable"], report["duplicates"]
    patients = report["overlap"]["num_patients"]
    rows = [
        ("Patients in more than one split", "not checked" if report["num_patients"] is None else f"{patients:,}"),
        ("Missing images", f"{unreadable['num_missing']:,}"),
        ("Damaged images", f"{unreadable['total'] - unreadable['num_missing']:,}"),
        ("Groups of identical images within a split", f"{duplicates['num_groups_within']:,}"),
        ("Groups of identical images across splits", f"{duplicates['num_groups_across']:,}"),
        ("Images changed in decoding", f"{report['pixels']['num_changed_in_decoding']:,}"),
    ]
    st.dataframe(
        pd.DataFrame(rows, columns=["Check", "Found"]),
        hide_index=True,
        width="stretch",
        key="data_checks",
        alt="What the checks found: " + "; ".join(f"{name}: {found}" for name, found in rows),
    )
    examples = _list_examples(report)
    if examples:
        st.markdown("**Which ones** (the first 20 of each kind)")
        st.code("\n".join(examples), language=None, height=220 if len(examples) > 8 else "content")
    st.markdown("**How the data were read and split**")
    for note in report["notes"]:
        st.markdown(f"- {escape_markdown(note)}")
    _draw_downloads(view)


def draw_finding(item: dict[str, str]) -> None:
    """One finding: how serious it is, what was found, and what to do."""
    icon, word = SEVERITIES[item["severity"]]
    advice = f"  \n:material/arrow_right_alt: {escape_markdown(item['advice'])}" if item["advice"] else ""
    st.markdown(f"{icon} **{word}:** {escape_markdown(item['text'])}{advice}")


def _count(findings: list[dict[str, str]]) -> str:
    """How many of each kind, the worst first: "1 problem, 3 to mind"."""
    words = {"problem": ("problem", "problems"), "warning": ("thing to mind", "things to mind")}
    parts = []
    for severity, (one, many) in words.items():
        number = sum(item["severity"] == severity for item in findings)
        if number:
            parts.append(f"{number} {one if number == 1 else many}")
    return ", ".join(parts) or "no problems found"


def _list_examples(report: dict[str, Any]) -> list[str]:
    examples = [f"{item['image']} {item['reason']}" for item in report["unreadable"]["examples"]]
    examples += [f"patient {name} is in {', '.join(splits)}" for name, splits in report["overlap"]["examples"].items()]
    for group in report["duplicates"]["examples"]:
        examples.append("identical: " + ", ".join(f"{item['image']} ({item['split']})" for item in group))
    return examples


def _draw_downloads(view: DataView) -> None:
    report = view.report
    st.caption(f"{SYNTHETIC + ' ' if report['is_synthetic'] else ''}{DISCLAIMER}")
    with st.container(horizontal=True):
        st.download_button(
            "Report to read (Markdown)",
            data=lambda: write_markdown(report),
            file_name=f"data-report-{report['dataset']}.md",
            mime="text/markdown",
            key="data_download_markdown",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Report for programs (JSON)",
            data=lambda: json.dumps(report, indent=1),
            file_name=f"data-report-{report['dataset']}.json",
            mime="application/json",
            key="data_download_json",
            icon=":material/download:",
            on_click="ignore",
        )
