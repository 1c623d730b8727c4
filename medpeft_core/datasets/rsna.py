"""RSNA Pneumonia Detection Challenge (2018) as downloaded from Kaggle: 26,684 labelled chest films with boxes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.dicom.tags import read_tags
from medpeft_core.datasets.folder_parts import count_images, list_folders, tell_images, tell_table
from medpeft_core.datasets.image_files import DICOM_ENDINGS, IMAGE_ENDINGS, find_images, keep_found
from medpeft_core.datasets.images import UnreadableImageError
from medpeft_core.datasets.label_rows import note_unlisted
from medpeft_core.datasets.label_tables import find_table
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.people import drop_odd_ages
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.rsna_splits import (
    SORTED_NOTE,
    TEST_LIST,
    TRAIN_LISTS,
    choose_lists,
    find_list,
    split_by_lists,
    split_sorted,
    tell_shares,
)
from medpeft_core.datasets.rsna_tables import (
    CLASS_FILE,
    LABEL,
    LABEL_FILE,
    PATIENT_FILE,
    read_labels,
    read_patients,
    tell_negatives,
    write_boxes,
)
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.datasets.splits import split_by_patient

EXPECTED = f"It should hold {LABEL_FILE} and the folder stage_2_train_images with the .dcm files, or converted images."
_TRAIN_FOLDER, _TEST_FOLDER = "stage_2_train_images", "stage_2_test_images"
_NUM_TRAIN, _NUM_TEST = 26684, 3000
_ENDINGS = (*DICOM_ENDINGS, *IMAGE_ENDINGS)
_TAGS_EVERY = 100  # files between two reports of progress


@dataclass(frozen=True, kw_only=True)
class RsnaOptions:
    """How the images of the challenge are split, and what is read from their tags."""

    lists: str = setting(
        "auto", "papers, papers_10 or papers_1: the papers' lists (train_list.txt, train_10.txt or train_1.txt with "
        "val_list.txt and test_list.txt); sorted: their way without them, by file name, val last; none: at random by "
        "seed; auto: papers if there, else none. Sorted lists shift how frequent pneumonia is; data.split=stratified "
        "spreads it evenly instead.",
        choices=("auto", "papers", "papers_10", "papers_1", "sorted", "none"),
    )  # fmt: skip
    tags: bool = setting(
        False, "Read age, sex and view from the tags of each DICOM file; it takes about a minute for the whole set."
    )

    def __post_init__(self) -> None:
        check_choices("data", self)


def read_rsna(root: Path, options: RsnaOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the labelled images that are on disk; a part of them is fine.

    The table's patientId names an exam: a patient may have several under different ids. RSNA's map to the films of NIH
    tells the patients where it lies in the folder; without it they are unknown.

    Args:
        root: see `EXPECTED`.
        options: which split, and whether tags are read.
        split_seed: of what is drawn at random.
        progress: told of tables and tags.

    Raises:
        DataError: the label table is missing or odd, wanted lists are missing, or no image is there.
    """
    progress("reading tables", 0, 1)
    notes: list[str] = []
    entries = read_labels(find_table(root, (LABEL_FILE,), expected=EXPECTED))
    if (root / CLASS_FILE).is_file():
        notes += tell_negatives(root / CLASS_FILE, entries)
    known = set(entries["key"])
    patients = read_patients(root / PATIENT_FILE) if (root / PATIENT_FILE).is_file() else {}
    entries = _split(root, options.lists, entries, patients, seed=split_seed, notes=notes)
    entries["patient_id"] = _find_patients(entries["key"], patients, notes)
    files = _scan_images(root)
    table = keep_found(entries, entries["key"].map(files), notes, root=root, expected=EXPECTED)
    _note_unlabelled(files, known | set(entries["key"]), notes)
    table["boxes"] = [
        write_boxes(boxes, root / image) for boxes, image in zip(table["boxes"], table["image"], strict=True)
    ]
    notes.append(tell_shares(table))
    table = table.drop(columns="key").sort_values("image", ignore_index=True)
    if options.tags:
        _add_tags(root, table, notes, progress)
    progress("reading tables", 1, 1)
    return Manifest(
        dataset="rsna", task="multilabel", labels=(LABEL,), image_root=root, table=table, notes=tuple(notes)
    )


def inspect_rsna(root: Path, options: RsnaOptions) -> list[FolderPart]:
    """Tables, images of both parts, the papers' lists, and the map to the patients."""
    lists = (TRAIN_LISTS.get(options.lists, TRAIN_LISTS["papers"]), "val_list.txt", TEST_LIST)
    num_lists = sum(find_list(root, name) is not None for name in lists)
    others = tuple(name for name in _folders(root) if name != _TEST_FOLDER)
    return [
        tell_table(root, (LABEL_FILE,), "labels and boxes", is_needed=True),
        tell_images(_TRAIN_FOLDER, count_images(root, others, endings=_ENDINGS), _NUM_TRAIN, is_needed=True),
        tell_images(
            _TEST_FOLDER, count_images(root, (_TEST_FOLDER,), endings=_ENDINGS), _NUM_TEST,
            f"labelled in the papers' {TEST_LIST} alone", is_needed=False,
        ),
        FolderPart(
            title=", ".join(lists), is_there=num_lists == len(lists), is_needed=options.lists.startswith("papers"),
            detail=f"{num_lists} of {len(lists)} of the papers' lists; without them the split is by seed",
        ),
        tell_table(root, (CLASS_FILE,), "which images without pneumonia are normal", is_needed=False),
        tell_table(root, (PATIENT_FILE,), "which films are of one patient; unknown without it", is_needed=False),
    ]  # fmt: skip


def _split(
    root: Path, wanted: str, entries: pd.DataFrame, patients: dict[str, str], *, seed: int, notes: list[str]
) -> pd.DataFrame:
    """A row per image of the split: `key`, `Pneumonia`, `boxes` and `split`."""
    lists = choose_lists(root, wanted)
    if lists or wanted == "sorted":
        table = split_by_lists(entries, lists, notes) if lists else split_sorted(root, entries, seed, notes)
        notes.append(SORTED_NOTE)
        return table
    by = "by patient" if patients else "by image"
    notes.append(f"Split {by}, 70/10/20, seed {seed}; not the split of any publication.")
    own = np.array([patients.get(key, key) for key in entries["key"]], dtype=str)
    return entries.assign(split=split_by_patient(own, seed=seed))


def _find_patients(keys: pd.Series, patients: dict[str, str], notes: list[str]) -> pd.Series:
    if not patients:
        notes.append(
            "patientId of the label table names an exam, and a patient may have several; the patients are known from "
            f"RSNA's file {PATIENT_FILE} alone. Put it into the folder to split by patient."
        )
        return pd.Series(None, index=keys.index, dtype=object)
    found = keys.map(patients)
    num_unknown = int(found.isna().sum())
    if num_unknown:
        notes.append(f"Images that {PATIENT_FILE} does not name ({num_unknown}) count as a patient each.")
    return found.fillna(keys)


def _folders(root: Path) -> tuple[str, ...]:
    """Where images may lie, the official places first; not folders of masks, whose files have the same names."""
    own = [name for name in list_folders(root) if name not in (_TRAIN_FOLDER, _TEST_FOLDER)]
    return (_TRAIN_FOLDER, _TEST_FOLDER, "", *(name for name in own if "mask" not in name.lower()))


def _scan_images(root: Path) -> dict[str, str]:
    """Name without its ending -> path relative to `root`; a DICOM file before one converted from it."""
    found = find_images(root, _folders(root), endings=_ENDINGS)
    files: dict[str, str] = {}
    for name in sorted(found, key=lambda name: not name.lower().endswith(DICOM_ENDINGS)):
        files.setdefault(Path(name).stem, found[name])
    return files


def _note_unlabelled(files: dict[str, str], known: set[str], notes: list[str]) -> None:
    unlisted = [path for key, path in files.items() if key not in known]
    num_test = sum(path.startswith(f"{_TEST_FOLDER}/") for path in unlisted)
    if num_test:
        notes.append(
            f"The images of {_TEST_FOLDER} ({num_test}) have no labels in the download and were left out; the papers' "
            f"{TEST_LIST} has labels for them."
        )
    note_unlisted(len(unlisted) - num_test, notes)


def _add_tags(root: Path, table: pd.DataFrame, notes: list[str], progress: Progress) -> None:
    """Age, sex and view as columns of `table`; missing where a file has none, or is no DICOM file."""
    found: list[tuple[float | None, str | None, str | None]] = []
    num_bad = 0
    for number, image in enumerate(table["image"]):
        if number % _TAGS_EVERY == 0:
            progress("reading DICOM tags", number, len(table))
        try:
            tags = read_tags(root / image)
            found.append((tags.age, tags.sex, tags.view))
        except UnreadableImageError:  # a converted image; of damaged files the pixel cache tells
            num_bad += 1
            found.append((None, None, None))
    columns = pd.DataFrame(found, columns=["age", "sex", "view"], dtype=object)
    table["age"] = drop_odd_ages(columns["age"].astype(float), notes)
    table[["sex", "view"]] = columns[["sex", "view"]]
    if num_bad:
        notes.append(f"Age, sex and view are not known for {num_bad} images without DICOM tags.")


SPEC = DATASETS.add(
    DatasetSpec(
        name="rsna",
        title="RSNA Pneumonia",
        description="Frontal chest films of NIH ChestX-ray14 on which radiologists marked opacities that suggest "
        "pneumonia with boxes; 23 % of the labelled ones show any. The third data set of the chest film paper (arXiv "
        "2401.12215), and one of the benchmark's (arXiv 2305.08252).",
        task="multilabel",
        labels=(LABEL,),
        is_synthetic=False,
        needs_root=True,
        has_dicom=True,
        licence="RSNA's terms allow research, education and other uses with attribution of NIH and RSNA; trying to "
        "identify patients is forbidden.",
        size="26,684 labelled images and 3,000 test images, 3.7 GB",
        modality="chest radiographs",
        how_to_get="Accept the rules of https://www.kaggle.com/c/rsna-pneumonia-detection-challenge, download and "
        f"unpack it. {PATIENT_FILE}, which tells the patients, is on RSNA's page of the challenge.",
        citation="Shih G, Wu CC, Halabi SS, et al. Augmenting the National Institutes of Health Chest Radiograph "
        "Dataset with Expert Annotations of Possible Pneumonia. Radiology: Artificial Intelligence 2019, 1(1).",
        read=read_rsna,
        options=RsnaOptions,
        inspect=inspect_rsna,
    )
)
