"""VinDr-CXR 1.0.0, as PhysioNet or Kaggle distribute it: 18,000 chest films that radiologists labelled, with boxes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.folder_parts import count_images, find_file, find_files, tell_images, tell_table
from medpeft_core.datasets.image_files import DICOM_ENDINGS, IMAGE_ENDINGS, find_images, keep_found
from medpeft_core.datasets.label_rows import note_unlisted
from medpeft_core.datasets.label_tables import find_table
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.datasets.vindr_tables import (
    CHALLENGE_LABELS,
    DISEASES,
    FINDINGS,
    decide,
    read_boxes,
    read_challenge_votes,
    read_votes,
    read_widths,
)
from medpeft_core.errors import DataError

LABELS = (*FINDINGS, *DISEASES)
EXPECTED = (
    "It should hold image_labels_train.csv and image_labels_test.csv, in it or in annotations/, and the images in "
    "train/ and test/."
)
_PLACES = ("", "annotations/")
_CHALLENGE_TABLE = "train.csv"
_TABLES = (
    "image_labels_train.csv", "image_labels_test.csv", "annotations_train.csv", "annotations_test.csv",
    _CHALLENGE_TABLE, "train_meta.csv", "test_meta.csv",
)  # fmt: skip
_NUM_IMAGES = {"train": 15000, "test": 3000}
_VAL_SHARE = 0.1  # of the official training images


@dataclass(frozen=True, kw_only=True)
class VindrOptions:
    """Which labels of VinDr-CXR, and how three radiologists make one label."""

    labels: str = setting(
        "all", "all: 22 findings and 6 diagnoses; findings: the 22, which have boxes; diseases: the 6.",
        choices=("all", "findings", "diseases"),
    )  # fmt: skip
    readers: str = setting(
        "majority", "When a training image has a label: if most of its three radiologists gave it (majority), any of "
        "them, or all. The test labels are one consensus.",
        choices=("majority", "any", "all"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_choices("data", self)


def read_vindr_cxr(root: Path, options: VindrOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the films that are on disk, as DICOM or converted; a part of them is fine.

    Args:
        root: see `EXPECTED`; with Kaggle's train.csv alone there are 15 labels and no official test set.
        options: which labels.
        split_seed: of the images of val.
        progress: told at the beginning and at the end; all takes a few seconds.

    Raises:
        DataError: the label table is missing or odd, or no film is there.
    """
    progress("reading tables", 0, 1)
    labels = {"all": LABELS, "findings": FINDINGS, "diseases": DISEASES}[options.labels]
    notes: list[str] = []
    challenge = _find_challenge(root)
    if challenge:
        labels = tuple(name for name in labels if name in CHALLENGE_LABELS)
        votes = {"train": read_challenge_votes(challenge)[list(labels)]}
    else:
        tables = {
            part: find_table(root, _names(f"image_labels_{part}.csv"), expected=EXPECTED) for part in _parts(root)
        }
        votes = {part: read_votes(path, labels) for part, path in tables.items()}
    entries = pd.concat([decide(table, options.readers).assign(part=part) for part, table in votes.items()])
    entries = entries.rename_axis("name").reset_index()
    doubled = entries["name"][entries["name"].duplicated()]
    if len(doubled):
        raise DataError(f"The image {doubled.iloc[0]} is in both label tables in {root}. Get the original files.")
    notes.append(f"A training image has a label where {_RULES[options.readers]} of its radiologists gave it.")
    entries["split"] = _split(entries, split_seed, notes)
    files = _scan_images(root)
    note_unlisted(len(files.keys() - set(entries["name"])), notes)
    table = keep_found(entries, entries["name"].map(files), notes, root=root, expected=EXPECTED)
    table["patient_id"] = None
    table["boxes"] = table["name"].map(_collect_boxes(root, labels, table, challenge, notes)).astype(object)
    columns = ["image", "patient_id", "split", *labels, "boxes"]
    table = table[columns].sort_values("image", ignore_index=True)
    if not table["boxes"].notna().any():
        table = table.drop(columns="boxes")
    progress("reading tables", 1, 1)
    return Manifest(
        dataset="vindr_cxr", task="multilabel", labels=labels, image_root=root, table=table, notes=tuple(notes),
        sources=find_files(root, *(_names(name) for name in _TABLES)),
    )  # fmt: skip


def inspect_vindr_cxr(root: Path, options: VindrOptions) -> list[FolderPart]:
    """Label tables, box tables, and folders with the number of images in them."""
    parts = []
    challenge = _find_challenge(root)
    uses = {
        "image_labels_train.csv": "labels of the training images", "image_labels_test.csv": "labels of the test images",
        "annotations_train.csv": "boxes of the training images", "annotations_test.csv": "boxes of the test images",
    }  # fmt: skip
    if challenge:
        uses = {_CHALLENGE_TABLE: "labels and boxes of Kaggle's challenge"}
    for name, use in uses.items():
        is_needed = name in ("image_labels_train.csv", _CHALLENGE_TABLE)
        parts.append(tell_table(root, _names(name), use, is_needed=is_needed))
    for part in ("train", "test"):
        count = count_images(root, (part,), endings=(*DICOM_ENDINGS, *IMAGE_ENDINGS))
        parts.append(tell_images(f"{part}/", count, _NUM_IMAGES[part], is_needed=part == "train"))
    return parts


_RULES = {"majority": "most", "any": "at least one", "all": "each"}


def _names(name: str) -> tuple[str, ...]:
    return tuple(f"{place}{name}" for place in _PLACES)


def _first(root: Path, name: str) -> Path | None:
    return find_file(root, _names(name))


def _find_challenge(root: Path) -> Path | None:
    return None if _first(root, "image_labels_train.csv") else _first(root, _CHALLENGE_TABLE)


def _parts(root: Path) -> tuple[str, ...]:
    return ("train", "test") if _first(root, "image_labels_test.csv") else ("train",)


def _split(entries: pd.DataFrame, seed: int, notes: list[str]) -> np.ndarray:
    """The official test set, and val from the training images; where there is no test set, all three by chance."""
    names = entries["name"].to_numpy(dtype=str)
    is_train = (entries["part"] == "train").to_numpy()
    if is_train.all():
        notes.append(
            f"The official test labels are not in the folder, so the training images were split at random, 70/10/20, "
            f"seed {seed}; not the split of any publication."
        )
        return split_by_patient(names, seed=seed)
    split = np.full(len(entries), "test", dtype=object)
    split[is_train] = split_by_patient(names[is_train], seed=seed, fractions=(1 - _VAL_SHARE, _VAL_SHARE, 0.0))
    notes.append(f"Official test set; val is a tenth of the official training images, at random, seed {seed}.")
    return split


def _scan_images(root: Path) -> dict[str, str]:
    """Image id -> path relative to `root`; the DICOM file where there is a converted one as well."""
    found: dict[str, str] = {}
    for endings in (DICOM_ENDINGS, IMAGE_ENDINGS):
        for name, path in find_images(root, ("train", "test"), endings=endings).items():
            found.setdefault(name.rpartition(".")[0], path)
    return found


def _collect_boxes(
    root: Path, labels: tuple[str, ...], table: pd.DataFrame, challenge: Path | None, notes: list[str]
) -> dict[str, str]:
    """Image id -> boxes of all radiologists, or of the consensus for test images."""
    files = {name: root / image for name, image in zip(table["name"], table["image"], strict=True)}
    tables = [challenge] if challenge else [_first(root, f"annotations_{part}.csv") for part in ("train", "test")]
    metas = [path for name in ("train_meta.csv", "test_meta.csv") if (path := _first(root, name))]
    widths = {name: width for path in metas for name, width in read_widths(path).items()}
    boxes: dict[str, str] = {}
    for path in tables:
        if path:
            boxes |= read_boxes(path, labels, files, widths)
    num_unknown = sum(
        not file.name.lower().endswith(DICOM_ENDINGS) and name not in widths for name, file in files.items()
    )
    if num_unknown and any(tables):
        notes.append(
            f"{num_unknown} images are not DICOM, and no train_meta.csv or test_meta.csv tells how large they were "
            "before; their boxes were left out."
        )
    if boxes:
        notes.append("Boxes of training images are those of all three radiologists; those of test images a consensus.")
    return boxes


SPEC = DATASETS.add(
    DatasetSpec(
        name="vindr_cxr",
        title="VinDr-CXR",
        description="18,000 frontal chest films of two hospitals in Hanoi, each training film read by three "
        "radiologists and each test film by a consensus of five. 22 findings with boxes and 6 diagnoses: labels by "
        "people, not by a program, and a test of models from elsewhere.",
        task="multilabel",
        labels=LABELS,
        is_synthetic=False,
        needs_root=True,
        has_dicom=True,
        licence="PhysioNet Credentialed Health Data License: a training in human research and a signed agreement, and "
        "the data must not be passed on.",
        size="15,000 training and 3,000 test images, DICOM, about 190 GB",
        modality="chest radiographs",
        how_to_get="Become a credentialed user of PhysioNet, sign the agreement at "
        "https://physionet.org/content/vindr-cxr/1.0.0/ and download the tables and the folders train and test; the "
        "training part is also in Kaggle's VinBigData Chest X-ray Abnormalities Detection.",
        citation="Nguyen HQ, Lam K, Le LT, et al. VinDr-CXR: An open dataset of chest X-rays with radiologist's "
        "annotations. Scientific Data 2022, 9:429.",
        read=read_vindr_cxr,
        options=VindrOptions,
        inspect=inspect_vindr_cxr,
    )
)
