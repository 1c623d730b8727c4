"""How the user wants a data set to be split, whatever its reader says: by patient, by folds, by site or date."""

from medpeft_core.config import DataConfig
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.errors import DataError

HEAVY_SPLITS = ("stratified", "folds")  # scikit-learn does them


def is_split_light(data: DataConfig) -> bool:
    """Whether `apply_split` does without heavy libraries."""
    return data.split not in HEAVY_SPLITS


def apply_split(manifest: Manifest, data: DataConfig) -> Manifest:
    """The manifest split as `data.split` says, with a note on it, and without dates.

    Raises:
        DataError: the data set does not have what that split needs.
    """
    if data.split == "patient":
        table = manifest.table.copy()
        table["split"] = split_by_patient(manifest.patient_ids, seed=data.split_seed)
        note = f"Split by patient, 70/10/20, seed {data.split_seed} (data.split=patient)."
        manifest = manifest.with_table(table, note=note)
    elif data.split != "given":
        raise DataError(f"data.split={data.split} cannot be done for {manifest.dataset}.")
    if "date" not in manifest.table:
        return manifest
    return manifest.with_table(manifest.table.drop(columns="date"))
