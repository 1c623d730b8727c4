"""NIH ChestX-ray14, as NIH distributes it: 112,120 frontal chest films of 30,805 patients with 14 findings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.folder_parts import tell_images, tell_table
from medpeft_core.datasets.image_files import find_images, keep_found
from medpeft_core.datasets.label_tables import find_table
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.nih_lists import find_lists, read_lists
from medpeft_core.datasets.nih_table import BOX_FILE, ENTRY_FILES, read_boxes, read_entries
from medpeft_core.datasets.people import drop_odd_ages
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.errors import DataError

# The papers' order, which is also the order of the labels in their lists.
LABELS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
EXPECTED = (
    "It should hold Data_Entry_2017.csv and the images: beside it, in images/, or in images_001/images/ to "
    "images_012/images/."
)
NUM_IMAGES = 112_120
_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")
_NIH_VAL_FRACTIONS = (7 / 8, 1 / 8, 0.0)  # of train_val, which is 80 %: 70/10/20 in all


@dataclass(frozen=True, kw_only=True)
class NihOptions:
    """How NIH ChestX-ray14 is split."""

    lists: str = setting(
        "auto", "Split lists to use: the papers' (train, val, test with labels), NIH's own (train_val, test), or none "
        "(by seed). auto takes the first of these that is there.",
        choices=("auto", "nih", "papers", "none"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_choices("data", self)


def read_nih(root: Path, options: NihOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the films that are on disk; a partial download is fine.

    Args:
        root: see `EXPECTED`.
        options: which split.
        split_seed: of the patients where no list decides.
        progress: told at the beginning and at the end; all takes about two seconds.

    Raises:
        DataError: the label table is missing or odd, the lists contradict themselves, or no film is there.
    """
    progress("reading tables", 0, 1)
    entries = read_entries(find_table(root, ENTRY_FILES, expected=EXPECTED), LABELS)
    form, lists = find_lists(root, options.lists, num_labels=len(LABELS))
    notes: list[str] = []
    if form == "papers":
        entries = _split_by_paper_lists(entries, read_lists(lists, num_labels=len(LABELS)), notes)
    elif form == "nih":
        entries = _split_by_nih_lists(entries, read_lists(lists, num_labels=0), split_seed, notes)
    else:
        entries["split"] = split_by_patient(_patients(entries), seed=split_seed)
        notes.append(f"Split by patient, 70/10/20, seed {split_seed}; not the split of any publication.")
    files = _scan_images(root)
    table = keep_found(entries, entries["name"].map(files), notes, root=root, expected=EXPECTED)
    table["age"] = drop_odd_ages(table["age"], notes)
    if (root / BOX_FILE).is_file():
        paths = {name: root / image for name, image in zip(table["name"], table["image"], strict=True)}
        table["boxes"] = table["name"].map(read_boxes(root / BOX_FILE, LABELS, paths)).astype(object)
    table = table.drop(columns="name").sort_values("image", ignore_index=True)
    progress("reading tables", 1, 1)
    return Manifest(dataset="nih", task="multilabel", labels=LABELS, image_root=root, table=table, notes=tuple(notes))


def inspect_nih(root: Path, options: NihOptions) -> list[FolderPart]:
    """Whether table, films, split lists and boxes are there."""
    labels = tell_table(root, ENTRY_FILES, "findings, patients, ages and views", is_needed=True)
    try:
        form, _ = find_lists(root, options.lists, num_labels=len(LABELS))
        words = {"papers": "of the papers", "nih": "of NIH", "none": "without them, patients are split by seed"}[form]
    except DataError as error:
        form, words = "none", str(error)
    lists = FolderPart(title="split lists", is_there=form != "none", is_needed=False, detail=words)
    boxes = tell_table(root, (BOX_FILE,), "places of some findings", is_needed=False)
    return [labels, tell_images("films", len(_scan_images(root)), NUM_IMAGES, is_needed=True), lists, boxes]


def _scan_images(root: Path) -> dict[str, str]:
    """File name -> path relative to `root`, from one look into each folder that may hold images."""
    parts = sorted(path.name for path in root.glob("images_*") if path.is_dir())
    folders = ("", "images", *(f"{part}/images" for part in parts), *parts)
    return find_images(root, folders, endings=_IMAGE_ENDINGS)


def _split_by_paper_lists(entries: pd.DataFrame, lists: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The papers' split and labels; where these differ from the table's, the lists win."""
    merged = _merge(entries, lists, notes)
    listed = merged[list(range(len(LABELS)))].to_numpy()
    differs = (listed != merged[list(LABELS)].to_numpy()).any(axis=1)
    merged[list(LABELS)] = listed
    merged["split"] = merged["part"]
    notes.append("Split and labels of the papers' lists: train_list.txt, val_list.txt, test_list.txt.")
    if differs.any():
        notes.append(
            f"The labels of {int(differs.sum())} images in the lists differ from the table; the lists were used."
        )
    return merged.drop(columns=["part", *range(len(LABELS))])


def _split_by_nih_lists(entries: pd.DataFrame, lists: pd.DataFrame, seed: int, notes: list[str]) -> pd.DataFrame:
    merged = _merge(entries, lists, notes)
    merged["split"] = "test"
    is_train_val = (merged["part"] == "train_val").to_numpy()
    patients = _patients(merged)[is_train_val]
    merged.loc[is_train_val, "split"] = split_by_patient(patients, seed=seed, fractions=_NIH_VAL_FRACTIONS)
    notes.append(f"Test split of NIH's test_list.txt; val is an eighth of train_val_list.txt by patient, seed {seed}.")
    return merged.drop(columns="part")


def _merge(entries: pd.DataFrame, lists: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    merged = entries.merge(lists, on="name", how="inner")
    if merged.empty:
        raise DataError("None of the images in the split lists is in the label table. Check that both belong together.")
    for table, sentence in (
        (entries, "of the label table are in no split list"),
        (lists, "of the split lists are not in the label table"),
    ):
        if len(table) > len(merged):
            notes.append(f"{len(table) - len(merged)} images {sentence}; they were left out.")
    return merged


def _patients(entries: pd.DataFrame) -> np.ndarray:
    """(N,) patient of each image, the image itself where the table names none; `Manifest.check` tells of a mixture."""
    return entries["patient_id"].fillna(entries["name"]).to_numpy(dtype=str)


SPEC = DATASETS.add(
    DatasetSpec(
        name="nih",
        title="NIH ChestX-ray14",
        description="112,120 frontal chest films of 30,805 patients with 14 findings, whose labels were mined from "
        "the reports by a program. The first data set of the chest film paper (arXiv 2401.12215).",
        task="multilabel",
        labels=LABELS,
        is_synthetic=False,
        needs_root=True,
        licence="Use is unrestricted; NIH asks to name the NIH Clinical Center as the source and to cite the paper.",
        size="112,120 images, 42 GB",
        modality="chest radiographs",
        how_to_get="Download images_001.tar.gz to images_012.tar.gz (42 GB) and Data_Entry_2017_v2020.csv from "
        "https://nihcc.app.box.com/v/ChestXray-NIHCC, and unpack them into one folder; a part of the archives is "
        "enough to begin.",
        citation="Wang X, Peng Y, Lu L, Lu Z, Bagheri M, Summers RM. ChestX-ray8: Hospital-scale Chest X-ray Database "
        "and Benchmarks on Weakly-Supervised Classification and Localization of Common Thorax Diseases. CVPR 2017, "
        "2097-2106.",
        read=read_nih,
        options=NihOptions,
        inspect=inspect_nih,
    )
)
