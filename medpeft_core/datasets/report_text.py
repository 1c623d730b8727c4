"""A stored data report as a Markdown document, to be kept with results or sent to a colleague."""

import re
from typing import Any

from medpeft_core.datasets.manifest import SPLITS

SECTIONS = {
    "problem": "Problems",
    "warning": "To mind",
    "note": "Notes",
    "fine": "Checked, nothing wrong",
}
_MARKS = re.compile(r"([\\`*_\[\]<>|])")


def write_markdown(report: dict[str, Any]) -> str:
    """The whole report as Markdown.

    Args:
        report: `DataReport.to_dict()`.
    """
    people = "no patient ids" if report["num_patients"] is None else f"{report['num_patients']:,} patients"
    has_classes = report["task"] == "multiclass"
    lines = [
        f"# Data report: {_escape(report['title'])}",
        "",
        f"{report['num_images']:,} images, {people}, {len(report['labels'])} "
        f"{'classes' if has_classes else 'labels'} ({report['task']}).",
    ]
    if report["is_synthetic"]:
        lines += ["", "**Synthetic: made by a program, no real patients.**"]
    lines += ["", "Research and teaching only, not for clinical use.", ""]
    for severity, title in SECTIONS.items():
        found = [item for item in report["findings"] if item["severity"] == severity]
        if found:
            sentences = [_escape(f"{item['text']} {item['advice']}".strip()) for item in found]
            lines += [f"## {title}", "", *(f"- {sentence}" for sentence in sentences), ""]
    heading = "## Images in each class" if has_classes else "## Positives of known"
    lines += ["## Splits", "", *_write_splits(report), "", heading, "", *_write_labels(report), ""]
    people_lines = _write_people(report)
    if people_lines:
        lines += ["## Age, sex, view and other groups", "", *people_lines, ""]
    return "\n".join(lines)


def _write_splits(report: dict[str, Any]) -> list[str]:
    rows = [[name, *_count_split(report["splits"][name])] for name in SPLITS]
    return _write_table(["split", "images", "patients"], rows)


def _count_split(split: dict[str, Any]) -> list[str]:
    patients = "unknown" if split["num_patients"] is None else f"{split['num_patients']:,}"
    return [f"{split['num_images']:,}", patients]


def _write_labels(report: dict[str, Any]) -> list[str]:
    rows = []
    for label, by_split in report["labels"].items():
        cells = []
        for name in SPLITS:
            numbers = by_split[name]
            share = "n/a" if numbers["prevalence"] is None else f"{numbers['prevalence']:.1%}"
            cells.append(f"{numbers['num_positive']:,} of {numbers['num_images']:,} ({share})")
        rows.append([label, *cells])
    return _write_table(["class" if report["task"] == "multiclass" else "label", *SPLITS], rows)


def _write_people(report: dict[str, Any]) -> list[str]:
    lines = []
    age = report["age"]
    if age:
        known = f"known of {age['num_known']:,} images"
        lines.append(f"- age: {age['min']:g} to {age['max']:g} years, median {age['median']:g}, {known}")
    groups = {"sex": report["sex"], "view": report["view"], **report.get("groups", {})}  # older reports have none
    for name, values in groups.items():
        if values:
            shown = ", ".join(f"{_escape(key)} {value:,}" for key, value in values.items())
            lines.append(f"- {name.replace('_', ' ')}: {shown}")
    return lines


def _write_table(header: list[str], rows: list[list[str]]) -> list[str]:
    align = ["---", *("---:" for _ in header[1:])]
    return [_write_row(row) for row in (header, align, *([_escape(cell) for cell in row] for row in rows))]


def _write_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    return _MARKS.sub(r"\\\1", text).replace("\n", " ")
