"""BUSI, Breast Ultrasound Images, as Cairo University and Kaggle distribute it: 780 images in 3 classes, with masks."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.folder_parts import list_folders, tell_images
from medpeft_core.datasets.image_files import find_images
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.masks import write_masks
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.errors import DataError

EXPECTED = "It should hold the folders benign, malignant and normal, or the folder Dataset_BUSI_with_GT with them."
LABELS = ("Benign", "Malignant", "Normal")
_NUM_IMAGES = {"benign": 437, "malignant": 210, "normal": 133}
_INNER_FOLDER = "Dataset_BUSI_with_GT"
_MASK = re.compile(r"^(?P<image>.+)_mask(?:_(?P<number>\d+))?$", re.IGNORECASE)
_DUPLICATES_NOTE = (
    "Readers of this data set found many images of one lesion among it, some in two classes (Pawłowska et al. 2023, "
    "Data in Brief 48:109247), and no patient is named: figures on a split of single images are too good."
)


@dataclass(frozen=True, kw_only=True)
class BusiOptions:
    """Which classes of BUSI are told apart."""

    normal: str = setting(
        "keep", "Images without a lesion: keep them as the class Normal, or leave them out and tell benign from "
        "malignant lesions alone.",
        choices=("keep", "leave_out"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_choices("data", self)


def read_busi(root: Path, options: BusiOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the images that are on disk; the folder of an image is its class.

    A lesion's mask lies beside its image as `NAME_mask.png`; where an image has several lesions there are more masks,
    `NAME_mask_1.png` and so on, and `mask` names them all. The masks of normal images are black and are not named.

    Args:
        root: see `EXPECTED`.
        options: which classes.
        split_seed: of the images.
        progress: told at the beginning and at the end.

    Raises:
        DataError: a class has no folder, or no image.
    """
    progress("reading folders", 0, 1)
    wanted = [name for name in _NUM_IMAGES if name != "normal" or options.normal == "keep"]
    labels = tuple(name.capitalize() for name in wanted)
    folders = _find_folders(root)
    missing = [name for name in wanted if name not in folders]
    if missing:
        raise DataError(f"{root} holds no folder {' and no folder '.join(missing)}. {EXPECTED}")
    notes = [_DUPLICATES_NOTE]
    rows: list[dict[str, object]] = []
    num_lost = num_bare = 0
    for name in wanted:
        images, masks = _scan(root, folders[name])
        if not images:
            raise DataError(f"{root / folders[name]} holds no images. {EXPECTED}")
        num_lost += sum(len(paths) for stem, paths in masks.items() if stem not in images)
        for stem, image in images.items():
            found = masks.get(stem, []) if name != "normal" else []
            num_bare += name != "normal" and not found
            rows.append({"image": image, "class": name.capitalize(), "mask": write_masks(found)})
    if num_bare:
        notes.append(f"No mask was found for {num_bare} of {sum(row['class'] != 'Normal' for row in rows)} lesions.")
    if num_lost:
        notes.append(f"Masks without an image ({num_lost}) were left out.")
    table = pd.DataFrame(rows).sort_values("image", ignore_index=True)
    targets = pd.DataFrame({label: (table["class"] == label).astype(float) for label in labels})
    table = table.drop(columns="class").join(targets)
    table["patient_id"] = pd.Series(None, index=table.index, dtype=object)
    table["split"] = split_by_patient(table["image"].to_numpy(dtype=str), seed=split_seed)
    notes.append(f"Split by image, 70/10/20, seed {split_seed}; not the split of any publication.")
    progress("reading folders", 1, 1)
    return Manifest(dataset="busi", task="multiclass", labels=labels, image_root=root, table=table, notes=tuple(notes))


def inspect_busi(root: Path, options: BusiOptions) -> list[FolderPart]:
    """The folder of each class, with its images and masks."""
    folders = _find_folders(root)
    parts = []
    for name, expected in _NUM_IMAGES.items():
        images, masks = _scan(root, folders[name]) if name in folders else ({}, {})
        is_needed = name != "normal" or options.normal == "keep"
        num_masks = sum(len(paths) for paths in masks.values())
        parts.append(tell_images(f"{name}/", len(images), expected, f"{num_masks} masks", is_needed=is_needed))
    return parts


def _find_folders(root: Path) -> dict[str, str]:
    """Class in lower case -> its folder relative to `root`."""
    inner = next((name for name in list_folders(root) if name.lower() == _INNER_FOLDER.lower()), None)
    places = [("", root)] + ([(f"{inner}/", root / inner)] if inner else [])
    found: dict[str, str] = {}
    for start, place in places:
        for name in list_folders(place):
            if name.lower() in _NUM_IMAGES:
                found.setdefault(name.lower(), f"{start}{name}")
    return found


def _scan(root: Path, folder: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Images by name without ending, and the masks of each, the first one first; paths relative to `root`."""
    images: dict[str, str] = {}
    masks: dict[str, list[tuple[int, str]]] = {}
    for name, path in find_images(root, (folder,)).items():
        stem = Path(name).stem
        mask = _MASK.match(stem)
        if mask:
            masks.setdefault(mask["image"], []).append((int(mask["number"] or 0), path))
        else:
            images[stem] = path
    return images, {stem: [path for _, path in sorted(found)] for stem, found in masks.items()}


SPEC = DATASETS.add(
    DatasetSpec(
        name="busi",
        title="BUSI breast ultrasound",
        description="780 ultrasound images of the breast from 600 women of Baheya Hospital, Cairo: benign and "
        "malignant lesions with their outlines, and normal ones. One of the benchmark's data sets (arXiv 2305.08252); "
        "it names no patients.",
        task="multiclass",
        labels=LABELS,
        is_synthetic=False,
        needs_root=True,
        licence="The authors ask to cite their article, which is under CC BY 4.0; copies elsewhere state other terms, "
        "so look at the page that you take it from.",
        size="780 images, about 500 x 500 pixels",
        modality="breast ultrasound images",
        how_to_get="Download Dataset_BUSI.zip from https://scholar.cu.edu.eg/?q=afahmy/pages/dataset, or the set "
        "aryashah2k/breast-ultrasound-images-dataset of Kaggle, and unpack it.",
        citation="Al-Dhabyani W, Gomaa M, Khaled H, Fahmy A. Dataset of breast ultrasound images. Data in Brief 2020, "
        "28:104863.",
        read=read_busi,
        options=BusiOptions,
        inspect=inspect_busi,
    )
)
