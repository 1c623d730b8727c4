"""The data report: what a data set holds and what is wrong with it, as plain values and as text for a terminal."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from medpeft_core.datasets.manifest import SPLITS


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """Facts about one data set; every list of names is cut to the first 20, every count is whole.

    Attributes:
        num_patients: None where the data set has no patient ids; likewise in `splits`.
        splits: split -> `num_images`, `num_patients`.
        labels: label -> split -> `num_images` (label known), `num_positive`, `num_negative`, `prevalence` (None: none
            known).
        age: `num_known`, `min`, `median`, `mean`, `max` in years, or None.
        sex, view: value -> number of images, or None.
        groups: likewise for other columns such as `skin_type`, where the data set has them.
        overlap: `num_patients` in more than one split, `examples` (patient -> splits).
        unreadable: `total`, `num_missing` (no such file), `examples` (`image`, `reason`).
        duplicates: `num_groups_within` and `num_groups_across` splits, `num_images` in them, `examples` (groups of
            `image`, `split`); two images are identical when their decoded pixels at the size of the cache are.
        pixels: `channels`, `cache_size`, `cache_bytes`, `num_source_sizes`, `most_common_source_size` (height, width),
            `num_changed_in_decoding`, `changes` (sentences).
        notes: how the data were read and split.
        advice: problems and warnings as sentences, most important first.
        findings: everything that is worth a sentence, the worst first: `severity` ("problem", "warning", "note",
            "fine"), `text`, `advice`; see `report_findings.Finding`.
    """

    dataset: str
    title: str
    task: str
    is_synthetic: bool
    num_images: int
    num_patients: int | None
    splits: dict[str, dict[str, Any]]
    labels: dict[str, dict[str, dict[str, Any]]]
    age: dict[str, Any] | None
    sex: dict[str, int] | None
    view: dict[str, int] | None
    groups: dict[str, dict[str, int]]
    overlap: dict[str, Any]
    unreadable: dict[str, Any]
    duplicates: dict[str, Any]
    pixels: dict[str, Any]
    notes: list[str]
    advice: list[str]
    findings: list[dict[str, str]]

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and texts, ready for JSON."""
        return dataclasses.asdict(self)

    def to_text(self) -> str:
        """Several lines for a terminal, columns aligned."""
        parts = [
            [self._headline()],
            _align([["split", "images", "patients"], *(self._split_row(name) for name in SPLITS)]),
            _align([[self._label_heading(), *SPLITS], *(self._label_row(label) for label in self.labels)]),
            self._people_lines(),
            self._problem_lines(),
            _bullets("Notes", self.notes),
            _bullets("What to do", self.advice),
        ]
        return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"

    def _headline(self) -> str:
        people = "no patient ids" if self.num_patients is None else f"{self.num_patients} patients"
        made = " SYNTHETIC: made by a program, no real patients." if self.is_synthetic else ""
        kind = "classes" if self.task == "multiclass" else "labels"
        return f"{self.title}: {self.num_images} images, {people}, {len(self.labels)} {kind} ({self.task}).{made}"

    def _label_heading(self) -> str:
        return "class: images of all" if self.task == "multiclass" else "label: positive of known"

    def _split_row(self, name: str) -> list[str]:
        split = self.splits[name]
        patients = "-" if split["num_patients"] is None else str(split["num_patients"])
        return [name, str(split["num_images"]), patients]

    def _label_row(self, label: str) -> list[str]:
        cells = [label]
        for name in SPLITS:
            numbers = self.labels[label][name]
            share = "n/a" if numbers["prevalence"] is None else f"{numbers['prevalence']:6.1%}"
            cells.append(f"{numbers['num_positive']} of {numbers['num_images']}  {share}")
        return cells

    def _people_lines(self) -> list[str]:
        rows = []
        if self.age:
            text = f"{self.age['min']:g} to {self.age['max']:g} years, median {self.age['median']:g}"
            rows.append(["age", f"{text}, known of {self.age['num_known']} images"])
        for name, values in (("sex", self.sex), ("view", self.view), *self.groups.items()):
            if values:
                rows.append([name.replace("_", " "), ", ".join(f"{value} {count}" for value, count in values.items())])
        size = self.pixels["most_common_source_size"]
        colour = "grey" if self.pixels["channels"] == 1 else "colour"
        if size:
            others = (
                ""
                if self.pixels["num_source_sizes"] == 1
                else f" and {self.pixels['num_source_sizes'] - 1} other sizes"
            )
            cached = f"short side at most {self.pixels['cache_size']}, {self.pixels['cache_bytes'] / 1e6:.1f} MB"
            rows.append(["pixels", f"{size[1]} x {size[0]}{others}, {colour}; cached: {cached}"])
        return _align(rows, left=2)

    def _problem_lines(self) -> list[str]:
        patients = self.overlap["num_patients"]
        checked = "not checked, no patient ids" if self.num_patients is None else f"{patients} patients"
        rows = [
            ["patients in more than one split", checked],
            ["missing images", str(self.unreadable["num_missing"])],
            ["unreadable images, missing included", str(self.unreadable["total"])],
            ["identical images, groups within a split", str(self.duplicates["num_groups_within"])],
            ["identical images, groups across splits", str(self.duplicates["num_groups_across"])],
            ["images changed in decoding", str(self.pixels["num_changed_in_decoding"])],
        ]
        lines = _align(rows, left=2)
        lines += [f"  patient {patient}: {', '.join(splits)}" for patient, splits in self.overlap["examples"].items()]
        lines += [f"  {item['image']} {item['reason']}" for item in self.unreadable["examples"]]
        for group in self.duplicates["examples"]:
            lines.append("  identical: " + ", ".join(f"{item['image']} ({item['split']})" for item in group))
        return lines


def _align(rows: list[list[str]], *, left: int = 1) -> list[str]:
    """Rows as lines; the first `left` columns flush left, the others flush right."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            text.ljust(width) if at < left else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _bullets(title: str, sentences: list[str]) -> list[str]:
    return [f"{title}:", *(f"- {sentence}" for sentence in sentences)] if sentences else []
