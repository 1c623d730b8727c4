"""HAM10000, as on Dataverse, Kaggle or ISIC: 10,015 dermoscopic images of pigmented skin lesions in 7 classes."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.folder_parts import find_file, find_files, list_folders, tell_images, tell_table
from medpeft_core.datasets.ham10000_tables import (
    CLASSES,
    MALIGNANT,
    METADATA_FILES,
    TEST_FILES,
    read_metadata,
    read_test_labels,
)
from medpeft_core.datasets.image_files import find_images, keep_found
from medpeft_core.datasets.label_rows import note_unlisted
from medpeft_core.datasets.label_tables import find_table
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.people import drop_odd_ages
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.errors import DataError

EXPECTED = (
    "It should hold HAM10000_metadata (.csv, .tab or without ending) and the images in HAM10000_images_part_1 and "
    "HAM10000_images_part_2, or in one folder."
)
LABELS = tuple(CLASSES.values())
_NUM_IMAGES, _NUM_TEST = 10015, 1511
_LESION_NOTE = (
    "patient_id is the lesion (lesion_id): its images stay in one split. Which lesions are of one patient is not told."
)
_VAL_FRACTIONS = (7 / 8, 1 / 8, 0.0)  # where the test images are given
_MASK_ENDING = "_segmentation.png"


@dataclass(frozen=True, kw_only=True)
class Ham10000Options:
    """What is told apart in HAM10000, and what is tested."""

    task: str = setting(
        "seven", "seven: the seven diagnoses, one of which each image has; malignant: one label, melanoma, basal cell "
        "carcinoma or actinic keratosis with Bowen's disease against the others.",
        choices=("seven", "malignant"),
    )  # fmt: skip
    test_set: str = setting(
        "auto", "What is tested. isic2018: the official test images of ISIC 2018, task 3, which need their own files; "
        "split: a fifth of the 10,015 images, by lesion; auto: isic2018 where it is there, else split.",
        choices=("auto", "isic2018", "split"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_choices("data", self)


def read_ham10000(root: Path, options: Ham10000Options, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the images that are on disk; `patient_id` is the lesion, several images of which stay together.

    Args:
        root: see `EXPECTED`.
        options: classes, and what is tested.
        split_seed: of the lesions where no official set decides.
        progress: told at the beginning and at the end; all takes about a second.

    Raises:
        DataError: the metadata are missing or odd, wanted test files are missing, or no image is there.
    """
    progress("reading tables", 0, 1)
    notes = [_LESION_NOTE]
    entries = read_metadata(find_table(root, METADATA_FILES, expected=EXPECTED), notes)
    files = _scan_images(root, is_test=False)
    lesions = entries["patient_id"].to_numpy(dtype=str)
    tested = _find_test(root, options.test_set, notes)
    if tested is None:
        entries["split"] = split_by_patient(lesions, seed=split_seed)
        notes.append(f"Split by lesion, 70/10/20, seed {split_seed}; not the split of any publication.")
    else:
        entries["split"] = split_by_patient(lesions, seed=split_seed, fractions=_VAL_FRACTIONS)
        entries = pd.concat([entries[~entries["name"].isin(tested["name"])], tested], ignore_index=True)
        files |= _scan_images(root, is_test=True)
        notes.append(f"Test split of ISIC 2018, task 3; val is an eighth of HAM10000 by lesion, seed {split_seed}.")
    table = keep_found(entries, entries["name"].map(files), notes, root=root, expected=EXPECTED)
    note_unlisted(len(files.keys() - set(entries["name"])), notes)
    table["age"] = drop_odd_ages(table["age"], notes)
    masks = _scan_masks(root)
    if masks:
        table["mask"] = table["name"].map(masks).astype(object)
    labels: tuple[str, ...] = LABELS
    if options.task == "malignant":
        labels = ("Malignant",)
        table["Malignant"] = table[list(MALIGNANT)].max(axis=1)
        table = table.drop(columns=list(LABELS))
    table = table.drop(columns="name").sort_values("image", ignore_index=True)
    progress("reading tables", 1, 1)
    return Manifest(
        dataset="ham10000",
        task="multiclass" if options.task == "seven" else "multilabel",
        labels=labels,
        image_root=root,
        table=table,
        notes=tuple(notes),
        sources=find_files(root, METADATA_FILES, TEST_FILES),
    )


def inspect_ham10000(root: Path, options: Ham10000Options) -> list[FolderPart]:
    """Metadata, images, and the test set and masks that go with them."""
    needs_test = options.test_set == "isic2018"
    num_images = len(_scan_images(root, is_test=False))
    num_test = len(_scan_images(root, is_test=True))
    return [
        tell_table(root, METADATA_FILES, "diagnoses, lesions, age and sex", is_needed=True),
        tell_images("HAM10000_images_part_1 and _part_2", num_images, _NUM_IMAGES, is_needed=True),
        tell_table(root, TEST_FILES, "diagnoses of the official test images", is_needed=needs_test),
        tell_images(
            "ISIC2018_Task3_Test_Images", num_test, _NUM_TEST, "a fifth is tested without", is_needed=needs_test
        ),
        tell_images(
            "HAM10000_segmentations_lesion_tschandl", len(_scan_masks(root)), _NUM_IMAGES,
            "masks of the lesions, for Explain", is_needed=False,
        ),
    ]  # fmt: skip


def _find_test(root: Path, wanted: str, notes: list[str]) -> pd.DataFrame | None:
    """The official test images with their labels; None where the images are split otherwise."""
    if wanted == "split":
        return None
    path = find_file(root, TEST_FILES)
    if path is not None and _scan_images(root, is_test=True):
        return read_test_labels(path, notes).assign(split="test")
    if wanted == "isic2018":
        raise DataError(
            f"{root} lacks {TEST_FILES[0]} or the folder ISIC2018_Task3_Test_Images. Add both (Dataverse has them "
            "beside HAM10000), or test on a part of HAM10000: --set data.test_set=split"
        )
    return None


def _image_folders(root: Path, *, is_test: bool) -> tuple[str, ...]:
    """Folders with images: the parts in any spelling, images, and the folder itself."""
    if is_test:
        return tuple(name for name in list_folders(root) if name.lower().startswith("isic2018_task3_test_i"))
    starts = ("ham10000_images", "images", "isic2018_task3_training_input")
    return tuple(name for name in list_folders(root) if name.lower().startswith(starts))


def _scan_images(root: Path, *, is_test: bool) -> dict[str, str]:
    """Name without ending -> path relative to `root`."""
    found = find_images(root, _image_folders(root, is_test=is_test), is_deep=True)
    if not is_test:
        found = {**find_images(root), **found}
    return {Path(name).stem: path for name, path in found.items() if not name.lower().endswith(_MASK_ENDING)}


def _scan_masks(root: Path) -> dict[str, str]:
    folders = tuple(name for name in list_folders(root) if "segmentation" in name.lower())
    found = find_images(root, folders, endings=(_MASK_ENDING,), is_deep=True)
    return {name[: -len(_MASK_ENDING)]: path for name, path in found.items()}


SPEC = DATASETS.add(
    DatasetSpec(
        name="ham10000",
        title="HAM10000",
        description="10,015 dermoscopic images of 7,470 pigmented skin lesions from Vienna and Queensland in seven "
        "diagnoses, two thirds of them moles. One of the benchmark's data sets (arXiv 2305.08252), and the training "
        "set of ISIC 2018.",
        task="multiclass",
        labels=LABELS,
        is_synthetic=False,
        needs_root=True,
        licence="CC BY-NC 4.0: with attribution, not for commercial use.",
        size="10,015 images of 600 x 450 pixels, 2.6 GB",
        modality="dermoscopic images",
        how_to_get="Download HAM10000_images_part_1.zip, HAM10000_images_part_2.zip and HAM10000_metadata from "
        "https://doi.org/10.7910/DVN/DBW86T (Harvard Dataverse) and unpack them into one folder; the official test "
        "images and masks of the lesions are there as well.",
        citation="Tschandl P, Rosendahl C, Kittler H. The HAM10000 dataset, a large collection of multi-source "
        "dermatoscopic images of common pigmented skin lesions. Scientific Data 2018, 5:180161.",
        read=read_ham10000,
        options=Ham10000Options,
        inspect=inspect_ham10000,
    )
)
