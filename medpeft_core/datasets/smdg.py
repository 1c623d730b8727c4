"""SMDG-19, the Standardized Multi-Channel Dataset for Glaucoma of Kaggle: 12,449 fundus photographs of 19 data sets."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.folder_parts import count_images, tell_images, tell_table
from medpeft_core.datasets.image_files import find_images, keep_found
from medpeft_core.datasets.label_rows import note_unlisted
from medpeft_core.datasets.label_tables import find_table
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.people import drop_odd_ages
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.smdg_table import LABEL, SUSPECT, TABLE_FILES, read_metadata
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.datasets.splits import split_by_patient

EXPECTED = "It should hold 'metadata - standardized.csv' and the photographs in full-fundus/full-fundus."
_IMAGE_FOLDERS = ("full-fundus/full-fundus", "full-fundus")
_MASK_FOLDERS = {
    "disc": ("optic-disc/optic-disc", "optic-disc"),
    "cup": ("optic-cup/optic-cup", "optic-cup"),
}
_NUM_IMAGES, _NUM_DISCS, _NUM_CUPS = 12449, 3103, 2874
_MANY = 20  # images of a source, from which one with one class alone is worth a sentence


@dataclass(frozen=True, kw_only=True)
class SmdgOptions:
    """How glaucoma suspects are counted, and which outlines go with the photographs."""

    suspects: str = setting(
        "leave_out", "Photographs of eyes suspected to have glaucoma (about 1 %): leave them out, count them as "
        "glaucoma, or as healthy.",
        choices=("leave_out", "glaucoma", "healthy"),
    )  # fmt: skip
    masks: str = setting(
        "disc", "What Explain compares its maps with, where it is outlined: the optic disc, the optic cup, or none. "
        "They show where glaucoma is judged, not a lesion.",
        choices=("disc", "cup", "none"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_choices("data", self)


def read_smdg(root: Path, options: SmdgOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the photographs that are on disk; `site` is the data set that one comes from.

    Args:
        root: see `EXPECTED`.
        options: suspects and outlines.
        split_seed: of the patients.
        progress: told at the beginning and at the end.

    Raises:
        DataError: the table is missing or odd, or no photograph is there.
    """
    progress("reading tables", 0, 1)
    notes: list[str] = []
    told = read_metadata(find_table(root, TABLE_FILES, expected=EXPECTED), notes)
    entries = _count_suspects(told, options, notes)
    files = find_images(root, _IMAGE_FOLDERS)
    table = keep_found(entries, entries["file"].map(files), notes, root=root, expected=EXPECTED)
    note_unlisted(len(files.keys() - set(told["file"])), notes)
    table["age"] = drop_odd_ages(table["age"], notes)
    if options.masks != "none":
        found = find_images(root, _MASK_FOLDERS[options.masks])
        table["mask"] = table[options.masks].map(found).astype(object)
    _name_patients(table, notes)
    table["split"] = split_by_patient(table["patient_id"].fillna(table["file"]).to_numpy(dtype=str), seed=split_seed)
    by = "by patient" if table["patient_id"].notna().any() else "by image, since no patient is told"
    notes.append(f"Split {by}, 70/10/20, seed {split_seed}; SMDG has no split of its own.")
    _note_sources(table, notes)
    table = table.drop(columns=["file", "disc", "cup"]).sort_values("image", ignore_index=True)
    progress("reading tables", 1, 1)
    return Manifest(
        dataset="smdg", task="multilabel", labels=(LABEL,), image_root=root, table=table, notes=tuple(notes)
    )


def inspect_smdg(root: Path, options: SmdgOptions) -> list[FolderPart]:
    """The table, the photographs, and the outlines of disc and cup."""
    return [
        tell_table(root, TABLE_FILES, "kinds of eyes, sources, age and sex", is_needed=True),
        tell_images("full-fundus", count_images(root, _IMAGE_FOLDERS), _NUM_IMAGES, is_needed=True),
        tell_images(
            "optic-disc", count_images(root, _MASK_FOLDERS["disc"]), _NUM_DISCS, "for Explain", is_needed=False
        ),
        tell_images("optic-cup", count_images(root, _MASK_FOLDERS["cup"]), _NUM_CUPS, "for Explain", is_needed=False),
    ]


def _count_suspects(entries: pd.DataFrame, options: SmdgOptions, notes: list[str]) -> pd.DataFrame:
    is_suspect = entries[LABEL] == SUSPECT
    if not is_suspect.any():
        return entries
    count = f"Photographs of suspects ({int(is_suspect.sum())})"
    if options.suspects == "leave_out":
        notes.append(f"{count} were left out (data.suspects).")
        return entries[~is_suspect].copy()
    notes.append(f"{count} count as {'glaucoma' if options.suspects == 'glaucoma' else 'healthy'} (data.suspects).")
    return entries.assign(**{LABEL: entries[LABEL].mask(is_suspect, float(options.suspects == "glaucoma"))})


def _name_patients(table: pd.DataFrame, notes: list[str]) -> None:
    """Where only some patients are told, each other photograph is one; where none is, all stay missing."""
    num_told = int(table["patient_id"].notna().sum())
    if 0 < num_told < len(table):
        table["patient_id"] = table["patient_id"].fillna(table["file"])
        notes.append(
            f"The patient is told for {num_told} of {len(table)} photographs; each of the others counts as a patient "
            "of its own, so patients with two photographs may be in more than one split."
        )


def _note_sources(table: pd.DataFrame, notes: list[str]) -> None:
    """Data sets with one class alone, which a model may recognise instead of the disease."""
    counts = table.groupby("site")[LABEL].agg(["size", "mean"])
    one = counts[(counts["size"] >= _MANY) & counts["mean"].isin([0.0, 1.0])]
    if len(one):
        told = ", ".join(
            f"{site} ({int(row['size'])} {'with' if row['mean'] else 'without'} glaucoma)"
            for site, row in one.iterrows()
        )
        notes.append(
            f"One class alone comes from {told}: a model can tell by the camera. Test on other sources with --set "
            "data.split=hold_out."
        )


SPEC = DATASETS.add(
    DatasetSpec(
        name="smdg",
        title="SMDG glaucoma",
        description="12,449 fundus photographs of 19 public data sets, brought to 512 x 512 pixels, with and without "
        "glaucoma; the source of each is told, so a model can be tested on sources that it has not seen. One of the "
        "benchmark's data sets (arXiv 2305.08252).",
        task="multilabel",
        labels=(LABEL,),
        is_synthetic=False,
        needs_root=True,
        licence="Each of the 19 sources has its own terms, listed with links on the page of the data set.",
        size="12,449 photographs of 512 x 512 pixels",
        modality="fundus photographs",
        how_to_get="Download https://www.kaggle.com/datasets/deathtrooper/multichannel-glaucoma-benchmark-dataset and "
        "unpack it into one folder.",
        citation="Kiefer R. SMDG, A Standardized Fundus Glaucoma Dataset. Kaggle 2023, doi:10.34740/KAGGLE/DS/2329670. "
        "Kiefer R, Abid M, Ardali MR, Steen J, Amjadian E. Automated Fundus Image Standardization Using a Dynamic "
        "Global Foreground Threshold Algorithm. ICIVC 2023, 460-465.",
        read=read_smdg,
        options=SmdgOptions,
        inspect=inspect_smdg,
    )
)
