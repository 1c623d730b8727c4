"""What is to be drawn for one synthetic set, and the identity that its folder carries."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from medpeft_core.datasets.phantom_patients import FINDINGS
from medpeft_core.paths import read_json, write_json

GENERATOR_VERSION = 3  # raise it with every change that alters a pixel or a label
JOB_FILE = "job.json"
SHORTCUT_BIT = 7
STATEMENT = "All images in this folder are synthetic: drawn by a program, without any image of a real patient."


@dataclass(frozen=True, kw_only=True)
class SetJob:
    """One synthetic set to draw.

    Attributes:
        dataset: name in the registry.
        options: the settings that decide the set, for its identity and for people.
        mark: kind of shortcut to draw, "" for none.
        marked: names of the images that get it.
    """

    dataset: str
    options: dict[str, Any]
    seed: int
    size: int
    num_patients: int
    mark: str = ""
    marked: frozenset[str] = frozenset()

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what the pictures show; two sets with the same identity are the same."""
        return {"dataset": self.dataset, "generator_version": GENERATOR_VERSION, "options": self.options}

    @property
    def folder_name(self) -> str:
        """Name of the set's folder, for example "phantom-1f0c52a9b3de"."""
        text = json.dumps(self.identity, sort_keys=True)
        return f"{self.dataset}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def about(self) -> dict[str, Any]:
        """Content of `about.json`."""
        bits = {name: 1 << position for position, name in enumerate(FINDINGS)}
        if self.mark:
            bits["shortcut"] = 1 << SHORTCUT_BIT
        return {**self.identity, "is_synthetic": True, "statement": STATEMENT, "mask_bits": bits}

    def save(self, path: Path) -> None:
        """Write the job for the processes that draw."""
        write_json(path, {**dataclasses.asdict(self), "marked": sorted(self.marked)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote."""
        values = read_json(path)
        return cls(**{**values, "marked": frozenset(values["marked"])})
