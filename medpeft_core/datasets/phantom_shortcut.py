"""The data set `phantom_shortcut`: synthetic radiographs with a mark that betrays a finding, but not in test.

A model that learns the mark in place of the disease does well on val and fails on test; its CAM shows why. The mark's
place is bit 7 (value 128) of the masks, the column `shortcut` says which images have it.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core import paths
from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.phantom import PhantomOptions, build_manifest, split_note
from medpeft_core.datasets.phantom_job import SetJob
from medpeft_core.datasets.phantom_patients import FINDINGS, SHORTCUT_STREAM, plan_table
from medpeft_core.datasets.phantom_store import is_complete, open_set, read_table
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.errors import require

TEST_SHARE = 0.5  # of the test images have the mark, with and without the finding alike


@dataclass(frozen=True, kw_only=True)
class PhantomShortcutOptions(PhantomOptions):
    """Which synthetic patients are drawn, and which mark goes with which finding."""

    shortcut: str = setting(
        "marker",
        "What betrays the finding: a side marker in a corner, or a tube (chest drain).",
        choices=("marker", "tube"),
    )
    finding: str = setting("Effusion", "The finding that the mark goes with in train and val.", choices=FINDINGS)
    positive_share: float = setting(0.9, "Share of train and val images with the finding that have the mark.")
    negative_share: float = setting(0.05, "Share of train and val images without the finding that have the mark.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices("data", self)
        for name in ("positive_share", "negative_share"):
            require(0 <= getattr(self, name) <= 1, f"data.{name}", getattr(self, name), "from 0 to 1")


def plan_shortcut_table(options: PhantomShortcutOptions, *, split_seed: int) -> pd.DataFrame:
    """`plan_table` with the columns `split` and `shortcut` (0 or 1); nothing is rendered."""
    table = plan_table(options.seed, options.num_patients)
    split = split_by_patient(table["patient_id"].to_numpy(dtype=str), seed=split_seed)
    share = np.where(table[options.finding] == 1, options.positive_share, options.negative_share)
    share = np.where(split == "test", TEST_SHARE, share)
    draws = np.random.default_rng([options.seed, split_seed, SHORTCUT_STREAM]).random(len(table))
    return table.assign(split=split, shortcut=(draws < share).astype(float))


def read_phantom_shortcut(
    root: Path | None, options: PhantomShortcutOptions, *, split_seed: int, progress: Progress
) -> Manifest:
    """The manifest of a synthetic set with a shortcut; each split seed has its own set, because the marks depend on it.

    Args:
        root: folder for the set; None takes one under the lab's data sets, named after the options and the split seed.
        options: which patients, which mark.
        split_seed: which patients go to train, val and test.
        progress: told of every patient; an exception from it stops the drawing and leaves nothing.

    Raises:
        DataError: `root` holds something else, or cannot be written.
    """
    job, folder = _find_set(root, options, split_seed)
    if is_complete(job, folder):
        table = read_table(folder)
    else:
        plan = plan_shortcut_table(options, split_seed=split_seed)
        marked = frozenset(plan.loc[plan["shortcut"] == 1, "image"])
        table = open_set(dataclasses.replace(job, marked=marked), folder, progress)
    split = split_by_patient(table["patient_id"].to_numpy(dtype=str), seed=split_seed)
    note = (
        f"{split_note(split_seed)} In train and val a {options.shortcut} was drawn on {options.positive_share:.0%} of "
        f"the images with {options.finding} and on {options.negative_share:.0%} of the others, in test on "
        f"{TEST_SHARE:.0%} of all, whatever they show."
    )
    return build_manifest(job.dataset, folder, table.assign(split=split), note=note)


def is_phantom_shortcut_drawn(root: Path | None, options: PhantomShortcutOptions, *, split_seed: int) -> bool:
    """Whether `read_phantom_shortcut` finds the set drawn.

    Raises:
        DataError: `root` holds something else.
    """
    return is_complete(*_find_set(root, options, split_seed))


def _find_set(root: Path | None, options: PhantomShortcutOptions, split_seed: int) -> tuple[SetJob, Path]:
    """The set and its folder, drawn or not. It names no marked images: planning these takes a while."""
    job = SetJob(
        dataset="phantom_shortcut", seed=options.seed, size=options.size, num_patients=options.num_patients,
        options={**dataclasses.asdict(options), "split_seed": split_seed}, mark=options.shortcut,
    )  # fmt: skip
    return job, root or paths.datasets_dir() / job.folder_name


DATASETS.add(
    DatasetSpec(
        name="phantom_shortcut",
        title="Synthetic chest radiographs with a shortcut",
        description=(
            "The synthetic radiographs with a mark (side marker or tube) that betrays one finding in train and val, "
            "but not in test. Good for seeing a model learn the mark instead of the disease, and for finding that out "
            "with a CAM."
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
        read=read_phantom_shortcut,
        options=PhantomShortcutOptions,
        is_present=is_phantom_shortcut_drawn,
    )
)
