"""MIMIC-CXR-JPG 2.0.0, as PhysioNet distributes it: 377,110 chest films of 227,827 studies with labels of reports."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.folder_parts import tell_table
from medpeft_core.datasets.image_files import keep_found
from medpeft_core.datasets.label_rows import note_unlisted
from medpeft_core.datasets.label_tables import find_table, read_columns
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.people import parse_views
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.datasets.study_files import count_folders, list_study_files
from medpeft_core.datasets.uncertain import PAPER_LABELS, POLICIES, POLICY_HELP, describe_policy, read_targets
from medpeft_core.errors import DataError

LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion",
    "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices",
)  # fmt: skip
EXPECTED = (
    "It should hold mimic-cxr-2.0.0-chexpert.csv, mimic-cxr-2.0.0-split.csv and mimic-cxr-2.0.0-metadata.csv, packed "
    "as .gz or not, and the folder files with the images."
)
IMAGE_FOLDER = "files"
_SPLITS = {"train": "train", "validate": "val", "test": "test"}
_LEVELS = ("p", "p", "s")  # files/p10/p10000032/s50414267/<dicom_id>.jpg
_ENDINGS = (".jpg", ".jpeg", ".png", ".dcm")
_FRONTAL = ("AP", "PA")


@dataclass(frozen=True, kw_only=True)
class MimicCxrOptions:
    """Which labels and films of MIMIC-CXR-JPG."""

    labels: str = setting(
        "five", "five: those of CheXpert's competition, in the papers' order; all: the 14 of the table.",
        choices=("five", "all"),
    )  # fmt: skip
    labeler: str = setting(
        "chexpert", "The program whose labels are used: chexpert or negbio.", choices=("chexpert", "negbio")
    )
    uncertain: str = setting("papers", POLICY_HELP, choices=POLICIES)
    views: str = setting(
        "frontal", "frontal: films with the view AP or PA; all: lateral ones and those whose view is not known, too.",
        choices=("frontal", "all"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_choices("data", self)


def read_mimic_cxr_jpg(root: Path, options: MimicCxrOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the films that are on disk, in the official split; a partial download is fine.

    The dates of the metadata are shifted for each patient at random, so the manifest has none.

    Args:
        root: see `EXPECTED`.
        options: which labels and films.
        split_seed: plays no part; the data set brings its split.
        progress: told at the beginning and at the end; all takes some seconds.

    Raises:
        DataError: a table is missing or odd, or no film is there.
    """
    progress("reading tables", 0, 1)
    labels = PAPER_LABELS if options.labels == "five" else LABELS
    notes = [
        f"Official split. {describe_policy(options.uncertain, labels, is_papers_set=False)}",
        "The dates of MIMIC-CXR are shifted for each patient, so there is no date to split by.",
    ]
    files = {
        path.rpartition("/")[2].rpartition(".")[0]: f"{IMAGE_FOLDER}/{path}"
        for path in sorted(list_study_files(root, IMAGE_FOLDER, _LEVELS, _ENDINGS), reverse=True)
    }
    entries = _read_entries(root)
    num_unlisted = len(files.keys() - set(entries["dicom_id"]))
    entries = _add_targets(root, entries, labels, options, notes)
    if options.views == "frontal":
        is_frontal = entries["view"].isin(_FRONTAL)
        notes.append(
            f"{int((~is_frontal).sum())} of {len(entries)} images of the tables are no frontal films (AP or PA) or "
            "have no view; they were left out."
        )
        entries = entries[is_frontal]
    note_unlisted(num_unlisted, notes)
    if entries.empty:
        raise DataError(f"No image of the tables in {root} is left. Try data.views=all.")
    table = keep_found(entries, entries["dicom_id"].map(files), notes, root=root, expected=EXPECTED)
    table = table[["image", "patient_id", "split", *labels, "view"]].sort_values("image", ignore_index=True)
    progress("reading tables", 1, 1)
    return Manifest(
        dataset="mimic_cxr_jpg", task="multilabel", labels=labels, image_root=root, table=table, notes=tuple(notes)
    )


def inspect_mimic_cxr_jpg(root: Path, options: MimicCxrOptions) -> list[FolderPart]:
    """The three tables that are read, and the folder of images with the number of its parts."""
    uses = {options.labeler: "labels", "split": "official split", "metadata": "views"}
    parts = [tell_table(root, _names(name), use, is_needed=True) for name, use in uses.items()]
    folders = [root / IMAGE_FOLDER / f"p{number}" for number in range(10, 20)]
    there = [folder for folder in folders if folder.is_dir()]
    detail = "images, in p10 to p19; a part of them is enough"
    if there:
        detail = f"{len(there)} of 10 parts, {sum(count_folders(folder, 'p') for folder in there):,} patients' folders"
    parts.append(FolderPart(title=f"{IMAGE_FOLDER}/", is_there=bool(there), is_needed=True, detail=detail))
    return parts


def _names(table: str) -> tuple[str, ...]:
    return f"mimic-cxr-2.0.0-{table}.csv.gz", f"mimic-cxr-2.0.0-{table}.csv"


def _read_entries(root: Path) -> pd.DataFrame:
    """A row per image: `dicom_id`, `study_id`, `patient_id`, `split` and `view`."""
    path = find_table(root, _names("split"), expected=EXPECTED)
    splits = read_columns(path, ("dicom_id", "study_id", "subject_id", "split"))
    odd = splits["split"][~splits["split"].isin(_SPLITS)]
    if len(odd):
        raise DataError(
            f"Line {odd.index[0]} of {path} has the split {odd.iloc[0]!r}, but it must be {', '.join(_SPLITS)}. Get "
            "the original file."
        )
    path = find_table(root, _names("metadata"), expected=EXPECTED)
    views = read_columns(path, ("dicom_id", "ViewPosition")).drop_duplicates("dicom_id")
    entries = splits.rename(columns={"subject_id": "patient_id"}).reset_index(drop=True)
    entries["split"] = entries["split"].map(_SPLITS)
    entries["patient_id"] = entries["patient_id"].astype(object)
    texts = entries["dicom_id"].map(pd.Series(views["ViewPosition"].to_numpy(), index=views["dicom_id"])).fillna("")
    return entries.assign(view=parse_views(texts))


def _add_targets(
    root: Path, entries: pd.DataFrame, labels: tuple[str, ...], options: MimicCxrOptions, notes: list[str]
) -> pd.DataFrame:
    path = find_table(root, _names(options.labeler), expected=EXPECTED)
    raw = read_columns(path, ("study_id", *labels))
    doubled = raw["study_id"][raw["study_id"].duplicated()]
    if len(doubled):
        raise DataError(
            f"Line {doubled.index[0]} of {path} names the study {doubled.iloc[0]} again. Get the original file."
        )
    targets = read_targets(path, raw, labels, options.uncertain).assign(study_id=raw["study_id"])
    merged = entries.merge(targets, on="study_id", how="inner")
    if merged.empty:
        raise DataError(f"None of the studies of {path} is in the split table. Check that both belong together.")
    if len(merged) < len(entries):
        notes.append(f"{len(entries) - len(merged)} images have no labels in {path.name}; they were left out.")
    return merged


SPEC = DATASETS.add(
    DatasetSpec(
        name="mimic_cxr_jpg",
        title="MIMIC-CXR-JPG",
        description="377,110 chest films of 65,379 patients of the Beth Israel Deaconess Medical Center with 14 labels "
        "that two programs mined from the reports. The labels and marks of doubt are those of CheXpert, so a model "
        "of one set can be tested on the other.",
        task="multilabel",
        labels=PAPER_LABELS,
        is_synthetic=False,
        needs_root=True,
        licence="PhysioNet Credentialed Health Data License: a training in human research and a signed agreement, and "
        "the data must not be passed on.",
        size="377,110 images, about 560 GB",
        modality="chest radiographs",
        how_to_get="Become a credentialed user of PhysioNet, sign the agreement at "
        "https://physionet.org/content/mimic-cxr-jpg/2.0.0/ and download the tables and any of the folders files/p10 "
        "to files/p19.",
        citation="Johnson AEW, Pollard TJ, Greenbaum NR, et al. MIMIC-CXR-JPG, a large publicly available database of "
        "labeled chest radiographs. arXiv:1901.07042, 2019.",
        read=read_mimic_cxr_jpg,
        options=MimicCxrOptions,
        inspect=inspect_mimic_cxr_jpg,
    )
)
