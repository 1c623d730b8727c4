"""The data set `phantom`: synthetic chest radiographs that the lab draws itself, so that it works offline at once.

Plan: `phantom_patients`. Anatomy: `phantom_anatomy`, `phantom_bones`, `phantom_vessels`. Disease: `phantom_findings`.
Picture: `phantom_projection`, `phantom_scene`, `phantom_render`. Files: `phantom_job`, `phantom_store`,
`phantom_drawing`, `phantom_worker`.

A set lies in `<datasets>/phantom-<hash>/`: `images/000012_001.png` (8-bit grey), `masks/` (8-bit PNGs of the same name
where there is something to mark; bit k, value `1 << k`, marks the finding at position k of the labels),
`manifest.parquet`, `about.json`.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medpeft_core import paths
from medpeft_core.config import setting
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.phantom_job import SetJob
from medpeft_core.datasets.phantom_patients import FINDINGS, PatientPlan, PicturePlan, plan_patient, plan_table
from medpeft_core.datasets.phantom_store import is_complete, open_set
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.errors import require

__all__ = [
    "FINDINGS", "PatientPlan", "PhantomOptions", "PicturePlan", "plan_patient", "plan_table", "read_phantom",
]  # fmt: skip

SYNTHETIC_NOTE = "All images are synthetic: drawn by a program of the lab, without any image of a real patient."


@dataclass(frozen=True, kw_only=True)
class PhantomOptions:
    """Which synthetic patients are drawn."""

    num_patients: int = setting(2150, "Number of synthetic patients; each has one to three images, 1.86 on average.")
    size: int = setting(224, "Side of the square images in pixels.")
    seed: int = setting(0, "Which patients: another seed gives other people with other findings.")

    def __post_init__(self) -> None:
        require(10 <= self.num_patients <= 100_000, "data.num_patients", self.num_patients, "from 10 to 100000")
        require(32 <= self.size <= 1024, "data.size", self.size, "from 32 to 1024")
        require(0 <= self.seed < 2**32, "data.seed", self.seed, "from 0 to 4294967295")


def read_phantom(root: Path | None, options: PhantomOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of a synthetic set, which is drawn at the first call and found again afterwards.

    Args:
        root: folder for the set; None takes one under the lab's data sets, named after the options.
        options: which patients.
        split_seed: which patients go to train, val and test; another one draws nothing anew.
        progress: told of every patient; an exception from it stops the drawing and leaves nothing.

    Raises:
        DataError: `root` holds something else, or cannot be written.
    """
    job, folder = _find_set(root, options)
    table = open_set(job, folder, progress)
    split = split_by_patient(table["patient_id"].to_numpy(dtype=str), seed=split_seed)
    return build_manifest(job.dataset, folder, table.assign(split=split), note=split_note(split_seed))


def is_phantom_drawn(root: Path | None, options: PhantomOptions, *, split_seed: int) -> bool:
    """Whether `read_phantom` finds the set drawn.

    Raises:
        DataError: `root` holds something else.
    """
    return is_complete(*_find_set(root, options))


def _find_set(root: Path | None, options: PhantomOptions) -> tuple[SetJob, Path]:
    """The set and its folder, drawn or not."""
    job = SetJob(
        dataset="phantom", seed=options.seed, size=options.size, num_patients=options.num_patients,
        options={"num_patients": options.num_patients, "size": options.size, "seed": options.seed},
    )  # fmt: skip
    return job, root or paths.datasets_dir() / job.folder_name


def build_manifest(dataset: str, folder: Path, table: pd.DataFrame, *, note: str) -> Manifest:
    """The manifest of a drawn set whose table has a split."""
    first = ["image", "patient_id", "split", *FINDINGS]
    table = table[[*first, *(name for name in table.columns if name not in first)]]
    return Manifest(
        dataset=dataset, task="multilabel", labels=FINDINGS, image_root=folder, table=table, is_synthetic=True,
        notes=(SYNTHETIC_NOTE, note),
    )  # fmt: skip


def split_note(split_seed: int) -> str:
    """The sentence on how patients were split."""
    return f"Patients were split at random into 70 % train, 10 % val and 20 % test (split seed {split_seed})."


DATASETS.add(
    DatasetSpec(
        name="phantom",
        title="Synthetic chest radiographs",
        description=(
            "Frontal chest radiographs drawn by the lab from simplified anatomy and X-ray physics, with five findings "
            "of varying severity and the exact place of each. Good for trying methods offline; what works here need "
            "not work on patients."
        ),
        task="multilabel",
        labels=FINDINGS,
        is_synthetic=True,
        needs_root=False,
        licence="Part of this project, under its licence (Apache-2.0); no image of a real patient was used.",
        how_to_get="Nothing to get: it is drawn on the first use, which takes a minute or two, and kept.",
        size="4,000 images, 100 MB, by default",
        modality="synthetic chest radiographs",
        citation="MedPEFT Lab, synthetic chest radiographs (phantom).",
        read=read_phantom,
        options=PhantomOptions,
        is_present=is_phantom_drawn,
    )
)
