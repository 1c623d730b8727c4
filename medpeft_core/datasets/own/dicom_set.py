"""A tree of DICOM files, whose labels come from a table, from one of their attributes, or from folders. Light."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.own.assembling import build_manifest, describe_scan, fill_from_files, fill_patients
from medpeft_core.datasets.own.dicom_files import KEY_COLUMNS, DicomTable, read_attribute, read_headers
from medpeft_core.datasets.own.folder_set import find_layout
from medpeft_core.datasets.own.label_reading import read_classes
from medpeft_core.datasets.own.label_table import LabelTable
from medpeft_core.datasets.own.matching import FileIndex, Match
from medpeft_core.datasets.own.options import DicomOptions
from medpeft_core.datasets.own.scanning import Scan, scan_folder
from medpeft_core.datasets.own.table_choice import choose_naming_table, look_at_table
from medpeft_core.datasets.own.table_set import read_look
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.errors import DataError

ATTRIBUTES = ("ViewPosition", "Modality", "BodyPartExamined", "PatientSex", "ImageLaterality", "SeriesDescription")
_KEY_TITLES = {
    "sop_uid": "SOPInstanceUID", "series_uid": "SeriesInstanceUID", "study_uid": "StudyInstanceUID",
    "accession_number": "AccessionNumber", "patient_id": "PatientID",
}  # fmt: skip
_SHOWN, _LOOKED_INTO = 5, 100


class HeaderIndex(FileIndex):
    """DICOM files, to be found by path or name, or by what their headers say: UIDs, accession number, patient."""

    def __init__(self, paths: tuple[str, ...], root: Path, files: DicomTable) -> None:
        super().__init__(paths, root)
        self.files = files
        self._keys: dict[str, dict[str, list[str]]] = {}
        for name in KEY_COLUMNS:
            known = files.frame[files.frame[name].notna()]
            self._keys[name] = {str(key): rows.tolist() for key, rows in known.groupby(name, sort=False)["image"]}

    def match(self, values: Iterable[str]) -> Match:
        """By path or name, or by the one attribute that finds more of the values; that may name several files."""
        wanted = [value for value in values if value]
        best = super().match(wanted)
        for name, files in self._keys.items():
            found = {value: files[value] for value in wanted if value in files}
            if len(found) > len(best.files):
                best = Match(
                    files={value: paths[0] for value, paths in found.items()},
                    missing=tuple(value for value in wanted if value not in found), how=_KEY_TITLES[name],
                    several={value: tuple(paths) for value, paths in found.items() if len(paths) > 1},
                )  # fmt: skip
        return best


def read_dicom_set(root: Path, options: DicomOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the DICOM files below a folder that hold a picture.

    Labels: of `options.tag` where it is given, else of a table (`options.table`, or one below the folder that names
    some of the files), else of the folders that the files lie in.

    Raises:
        DataError: no DICOM files, or nothing that tells their labels.
    """
    scan = scan_folder(root, progress=progress)
    files = read_scanned_headers(scan, options, progress=progress)
    passed_over: list[str] = []
    if not options.tag:
        images = HeaderIndex(tuple(files.frame["image"]), root, files)
        table, passed_over = choose_naming_table(scan, options, images)
        if table:
            progress("reading the table", 0, 0)
            look = look_at_table(root, replace(options, table=table), scan, keys=images)
            return read_look("dicom", look, options, split_seed=split_seed, progress=progress, files=files)
    return read_without_table(scan, files, options, split_seed, passed_over)


def read_scanned_headers(scan: Scan, options: DicomOptions, *, progress: Progress) -> DicomTable:
    """The headers of the DICOM files of a folder that was looked into already.

    Raises:
        DataError: there are none, or none holds a picture.
    """
    root = scan.root
    if not scan.dicoms:
        other = " Its PNG, JPEG, BMP or TIFF images are read by the data sets folder and table." if scan.images else ""
        raise DataError(f"{root} holds no DICOM files.{other} Give the folder that holds them.")
    files = read_headers(root, scan.dicoms, tag=options.tag, progress=progress)
    if files.frame.empty:
        raise DataError(
            f"None of the {len(scan.dicoms)} DICOM files in {root} holds a picture. {' '.join(files.notes)}"
        )
    return files


def find_attribute(scan: Scan) -> str:
    """An attribute that could tell classes, by some of the files: one with 2 to 20 values; "" where there is none."""
    step = max(1, len(scan.dicoms) // _LOOKED_INTO)
    some = scan.dicoms[::step][:_LOOKED_INTO]
    for name in ATTRIBUTES:
        values = {read_attribute(scan.root / path, name) for path in some} - {""}
        if 2 <= len(values) <= 20:
            return name
    return ""


def read_without_table(
    scan: Scan, files: DicomTable, options: DicomOptions, split_seed: int, passed_over: list[str]
) -> Manifest:
    """The manifest by an attribute of the files, or by their folders; see `read_dicom_set`.

    Args:
        passed_over: sentences on tables that were.
    """
    root = scan.root
    notes = [*passed_over, *describe_scan(scan), *files.notes, *files.warnings]
    frame = files.frame
    if options.tag:
        labels, table = _read_attribute(frame, options), frame
        split, source = pd.Series([None] * len(frame), index=frame.index, dtype=object), ""
        notes.append(f"Labels from the attribute {options.tag} of the DICOM files.")
    else:
        layout = find_layout(scan)
        placed = layout.table.set_index("image").reindex(frame["image"]).set_index(frame.index)
        table = frame[placed["class"].fillna("") != ""]
        if table.empty:
            raise DataError(
                f"Nothing tells the labels of the {len(frame)} DICOM files in {root} that hold a picture. Name a table "
                "(data.table), an attribute of the files (data.tag), or put the files of each class into a folder of "
                "its own. Films without labels can be shown one by one with Predict."
                + "".join(f" {note}" for note in (*files.notes, *passed_over))
            )
        labels = read_classes(placed.loc[table.index, "class"], options.ordered, f"The folder {root}", has_blanks=False)
        split, source = placed["split"], "the folders" if layout.has_splits else ""
        notes += ["Labels from the folders that the DICOM files lie in.", *layout.notes]
    notes += labels.notes
    rows = pd.DataFrame({"image": table["image"], "patient_id": None, "split": split.loc[table.index]}, dtype=object)
    rows = rows.loc[labels.targets.index]
    rows = fill_patients(fill_from_files(rows, files, notes), options.patient_pattern, notes)
    return build_manifest("dicom", root, rows, labels, notes=notes, seed=split_seed, source=source)


def _read_attribute(frame: pd.DataFrame, options: DicomOptions) -> LabelTable:
    if not (frame["tag"] != "").any():
        raise DataError(
            f"None of the {len(frame)} DICOM files has the attribute {options.tag} (data.tag). Name another one, or a "
            "table (data.table)."
        )
    return read_classes(frame["tag"], options.ordered, f"The attribute {options.tag}")


def inspect_dicom_set(root: Path, options: Any) -> list[FolderPart]:
    """What is there of a tree of DICOM files."""
    scan = scan_folder(root)
    tables = ", ".join(scan.tables[:_SHOWN])
    return [
        FolderPart(title="DICOM files", is_there=bool(scan.dicoms), is_needed=True, detail=f"{len(scan.dicoms):,} "
            "found"),
        FolderPart(
            title="a table of labels", is_there=bool(tables), is_needed=False,
            detail=tables or "without one, labels come from data.tag or from folders",
        ),
    ]  # fmt: skip


SPEC = DATASETS.add(
    DatasetSpec(
        name="dicom",
        title="Your own: DICOM files",
        description="Your own DICOM files, with labels from a table, from one of their attributes, or from the folders "
        "that they lie in. Patients, ages, sexes and views come from the files.",
        task="multiclass",
        labels=(),
        is_synthetic=False,
        needs_root=True,
        has_dicom=True,
        licence="Your own data; nothing leaves this machine. DICOM files hold patients' data.",
        modality="your own images",
        how_to_get="Put the DICOM files into a folder, with a table that names them by path, UID, accession number or "
        "patient, and give the folder.",
        citation="",
        read=read_dicom_set,
        options=DicomOptions,
        inspect=inspect_dicom_set,
    )
)
