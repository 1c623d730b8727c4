"""PadChest, as BIMCV distributes it: 160,868 chest films of 67,625 patients with findings of Spanish reports."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.folder_parts import count_images, tell_images, tell_table
from medpeft_core.datasets.image_files import find_images, keep_found
from medpeft_core.datasets.label_rows import note_unlisted
from medpeft_core.datasets.label_tables import find_table
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.padchest_table import DAMAGED, TABLE_FILES, read_entries
from medpeft_core.datasets.people import drop_odd_ages
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.errors import DataError, require

EXPECTED = (
    "It should hold PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv, packed as .gz or not, and the images: beside "
    "it, in images/, or in folders 0 to 54."
)
# Findings that other sets of chest films have as well, with the narrower terms of PadChest's tree that belong to them.
COMMON: dict[str, tuple[str, ...]] = {
    "atelectasis": ("laminar atelectasis", "lobar atelectasis", "round atelectasis", "total atelectasis"),
    "cardiomegaly": (),
    "consolidation": (),
    "emphysema": (),
    "hiatal hernia": (),
    "infiltrates": (),
    "nodule": ("multiple nodules",),
    "pleural effusion": ("loculated pleural effusion",),
    "pleural thickening": ("apical pleural thickening", "calcified pleural thickening"),
    "pneumonia": ("atypical pneumonia",),
    "pneumothorax": (),
    "pulmonary edema": (),
    "pulmonary fibrosis": (),
    "pulmonary mass": (),
}
LABELS = tuple(COMMON)
_NO_FINDINGS = ("exclude", "suboptimal study", "unchanged")
_EXCLUDED = "exclude"
_FRONTAL = ("PA", "AP", "AP SUPINE")
_NUM_IMAGES = 160868
_IMAGE_FOLDERS = tuple(str(number) for number in range(55))
_ENDINGS = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class PadchestOptions:
    """Which labels and films of PadChest."""

    labels: str = setting(
        "common", "common: 14 findings that other chest film sets have too, each with its narrower terms; frequent: "
        "every term with at least min_images films.",
        choices=("common", "frequent"),
    )  # fmt: skip
    min_images: int = setting(1000, "Films that a term needs with labels=frequent, among those on disk.")
    views: str = setting(
        "frontal", "frontal: PA and AP films, standing or lying; all: lateral ones, ribs and those not known, too.",
        choices=("frontal", "all"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        require(self.min_images >= 1, "data.min_images", self.min_images, "1 or more")
        check_choices("data", self)


def read_padchest(root: Path, options: PadchestOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the films that are on disk; a part of the folders is fine.

    Args:
        root: see `EXPECTED`.
        options: which labels and films.
        split_seed: of the patients; PadChest has no split of its own.
        progress: told at the beginning and at the end; all takes some seconds.

    Raises:
        DataError: the label table is missing or odd, no film is there, or no term has enough films.
    """
    progress("reading tables", 0, 1)
    entries = read_entries(find_table(root, TABLE_FILES, expected=EXPECTED))
    notes: list[str] = []
    files = find_images(root, ("", "images", *_place_folders(root)), endings=_ENDINGS)
    note_unlisted(len(files.keys() - set(entries["name"])), notes)
    entries["split"] = split_by_patient(entries["patient_id"].fillna(entries["name"]).to_numpy(str), seed=split_seed)
    entries = _drop_unusable(entries, options.views, notes)
    table = keep_found(entries, entries["name"].map(files), notes, root=root, expected=EXPECTED)
    _name_patients(table, notes)
    notes.append(
        f"Split {'by patient' if table['patient_id'].notna().any() else 'by image, since no patient is told'}, "
        f"70/10/20, seed {split_seed}; PadChest has no split of its own."
    )
    table["age"] = drop_odd_ages(table["age"], notes)
    terms = COMMON if options.labels == "common" else _count_terms(table, options.min_images)
    for label, narrower in terms.items():
        wanted = {label, *narrower}
        table[label] = [float(not wanted.isdisjoint(findings)) for findings in table["findings"]]
    columns = ["image", "patient_id", "split", *terms, "age", "sex", "view", "date"]
    table = table[columns].sort_values("image", ignore_index=True)
    progress("reading tables", 1, 1)
    return Manifest(
        dataset="padchest", task="multilabel", labels=tuple(terms), image_root=root, table=table, notes=tuple(notes)
    )


def inspect_padchest(root: Path, options: PadchestOptions) -> list[FolderPart]:
    """The label table, and the folders of images."""
    folders = _place_folders(root)
    count = count_images(root, ("", "images", *folders), endings=_ENDINGS)
    use = f"{len(folders)} of 55 numbered folders" if folders else ""
    return [
        tell_table(root, TABLE_FILES, "findings, patients and dates", is_needed=True),
        tell_images("images", count, _NUM_IMAGES, use, is_needed=True),
    ]


def _place_folders(root: Path) -> tuple[str, ...]:
    """The numbered folders, in the folder itself or in images/."""
    places = (*_IMAGE_FOLDERS, *(f"images/{number}" for number in _IMAGE_FOLDERS))
    return tuple(place for place in places if (root / place).is_dir())


def _drop_unusable(entries: pd.DataFrame, views: str, notes: list[str]) -> pd.DataFrame:
    """Without films that are damaged in the distribution, without labels, marked to be excluded, or of other views."""
    has_no_labels = entries["findings"].isna()
    is_excluded = entries["findings"].map(lambda found: _EXCLUDED in found, na_action="ignore").eq(True)
    reasons = {
        "are missing or damaged in the distribution itself": entries["name"].isin(DAMAGED),
        "have no labels": has_no_labels,
        "are marked by the radiologists as to be excluded": is_excluded,
    }
    if views == "frontal":
        reasons["are not frontal films (PA or AP)"] = ~entries["view"].isin(_FRONTAL)
    is_kept = pd.Series(True, index=entries.index)
    for reason, is_meant in reasons.items():
        count = int((is_meant & is_kept).sum())
        if count:
            notes.append(f"{count} of {len(entries)} films of the label table {reason}; they were left out.")
        is_kept &= ~is_meant
    if not is_kept.any():
        raise DataError("No film of the label table is left: " + " ".join(notes[-len(reasons) :]))
    return entries[is_kept]


def _name_patients(table: pd.DataFrame, notes: list[str]) -> None:
    """Where only some patients are told, each other film is one; where none is, all stay missing."""
    is_missing = table["patient_id"].isna()
    if is_missing.any() and not is_missing.all():
        table["patient_id"] = table["patient_id"].fillna(table["name"])
        count = int(is_missing.sum())
        notes.append(
            f"{count} of {len(table)} films have no PatientID; each counts as a patient of its own, so patients with "
            "two such films may be in more than one split."
        )


def _count_terms(table: pd.DataFrame, min_images: int) -> dict[str, tuple[str, ...]]:
    """Terms with enough films, the most frequent first."""
    counts = Counter(term for findings in table["findings"] for term in findings)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    frequent = [term for term, count in ranked if count >= min_images and term not in _NO_FINDINGS]
    if not frequent:
        most = f"the most frequent, {ranked[0][0]!r}, has {ranked[0][1]}" if ranked else "there is none"
        raise DataError(f"No term of PadChest has {min_images} films here; {most}. Lower data.min_images.")
    return {term: () for term in frequent}


SPEC = DATASETS.add(
    DatasetSpec(
        name="padchest",
        title="PadChest",
        description="160,868 chest films of 67,625 patients of the Hospital San Juan in Alicante, 2009 to 2017, with "
        "174 findings; 27 percent of the reports were labelled by physicians, the others by a program. With dates and "
        "16-bit grey values: a test of models from elsewhere and over the years.",
        task="multilabel",
        labels=LABELS,
        is_synthetic=False,
        needs_root=True,
        licence="PadChest Dataset Research Use Agreement of BIMCV: for research, not for commercial use.",
        size="160,868 images, 16-bit PNG, about 1 TB",
        modality="chest radiographs",
        how_to_get="Ask for access at https://bimcv.cipf.es/bimcv-projects/padchest/ and unpack the table and any of "
        "the numbered archives into one folder.",
        citation="Bustos A, Pertusa A, Salinas JM, de la Iglesia-Vaya M. PadChest: A large chest x-ray image dataset "
        "with multi-label annotated reports. Medical Image Analysis 2020, 66:101797.",
        read=read_padchest,
        options=PadchestOptions,
        inspect=inspect_padchest,
    )
)
