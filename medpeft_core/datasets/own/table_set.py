"""Images with a table beside them: CSV, Excel or Parquet, whatever its columns are called. Light."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.own import folder_splits, own_splits
from medpeft_core.datasets.own.assembling import build_manifest, fill_from_files, fill_patients, merge_doubles
from medpeft_core.datasets.own.cells import quote
from medpeft_core.datasets.own.dicom_files import DicomTable, read_headers
from medpeft_core.datasets.own.folder_set import explain_no_images
from medpeft_core.datasets.own.guessing import is_unique
from medpeft_core.datasets.own.label_reading import read_labels
from medpeft_core.datasets.own.label_table import LabelTable
from medpeft_core.datasets.own.matching import FileIndex, Match, strip_ending
from medpeft_core.datasets.own.options import NONE, TableOptions
from medpeft_core.datasets.own.patient_cells import read_patients
from medpeft_core.datasets.own.patient_names import DOUBTFUL, may_be_patient
from medpeft_core.datasets.own.people_columns import PEOPLE, read_people
from medpeft_core.datasets.own.scanning import Scan, scan_folder
from medpeft_core.datasets.own.table_choice import (
    TableLook,
    describe_table,
    find_table_path,
    label_columns,
    look_at_table,
    name_other_tables,
)
from medpeft_core.datasets.own.tables import list_lines
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.errors import DataError

_SHOWN = 5


def read_table_set(root: Path, options: TableOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the images that a table names and that are below the folder.

    Raises:
        DataError: no table, no images, labels that cannot be read, or rows that contradict each other; names the line.
    """
    scan = scan_folder(root, progress=progress)
    if not scan.pictures:
        raise DataError(explain_no_images(scan))
    progress("reading the table", 0, 0)
    look = look_at_table(root, options, scan)
    return read_look("table", look, options, split_seed=split_seed, progress=progress)


def read_look(
    name: str,
    look: TableLook,
    options: TableOptions,
    *,
    split_seed: int,
    progress: Progress,
    files: DicomTable | None = None,
) -> Manifest:
    """The manifest that a look at a table comes to; see `read_table_set`.

    Args:
        files: headers of the DICOM files, where they were read already.
    """
    raw, scan, root = look.raw, look.scan, look.scan.root
    if not scan.pictures:
        raise DataError(explain_no_images(scan))
    notes = describe_table(look, root)
    labels = read_labels(raw, label_columns(look, options), options)
    notes += labels.notes
    match = match_images(look)
    table = _read_rows(look, match, labels, notes)
    table, labels = _expand(table, labels, match, notes)
    masks = _match_masks(look, match)
    table = merge_doubles(table, labels, notes, where=f"In {raw.path.name}, {raw.place}s")
    table, files = _add_files(root, table, scan, files, notes, progress)
    table = fill_patients(fill_from_files(table, files, notes), options.patient_pattern, notes)
    found = table["image"].map(masks or scan.masks)
    if found.notna().any():
        table["mask"] = found.astype(object).where(found.notna(), None)
    split = look.column("split")
    source, advice = f"the column {split!r}" if split else "", own_splits.ADVICE
    if not split and options.split_column != NONE and (splits := folder_splits.find_folder_splits(table["image"])):
        table["split"] = table["image"].map(splits).astype(object)
        source, advice = folder_splits.SOURCE, folder_splits.ADVICE
    manifest = build_manifest(name, root, table, labels, notes=notes, seed=split_seed, source=source, advice=advice)
    return replace(manifest, sources=(raw.path,))


def _read_rows(look: TableLook, match: Match, labels: LabelTable, notes: list[str]) -> pd.DataFrame:
    """`image`, `value` (what named it), `line`, `patient_id`, `split` and people of the rows that have labels."""
    frame = look.raw.frame.loc[labels.targets.index]
    patient, split = look.column("patient"), look.column("split")
    values = frame[look.column("image")]
    table = pd.DataFrame({"value": values, "image": values.map(match.files), "line": frame.index}, index=frame.index)
    table = table.astype({"image": object})
    _tell_missing(look, match, table, notes)
    texts = frame[patient] if patient else pd.Series("", index=frame.index, dtype=object)
    table["patient_id"] = read_patients(texts, notes, column=patient)
    if not patient:
        notes += [f"{DOUBTFUL}{facts.name!r}: if so, name it with data.patient." for facts in look.columns
                  if look.guess.roles[facts.name] == "unused" and may_be_patient(facts)][:_SHOWN]  # fmt: skip
    table["split"] = own_splits.read_splits(look.raw, split, notes).loc[frame.index] if split else None
    people = read_people(frame, {role: look.column(role) for role in PEOPLE}, notes, place=look.raw.place)
    table = pd.concat([table, people], axis=1)
    return table[table["image"].notna()]


def _expand(table: pd.DataFrame, labels: LabelTable, match: Match, notes: list[str]) -> tuple[pd.DataFrame, LabelTable]:
    """A row for each image where a value of the table means several, as a patient or a series does."""
    if not match.several:
        return table, labels
    counts = table["value"].map({value: len(paths) for value, paths in match.several.items()}).fillna(1).astype(int)
    rows = np.repeat(np.arange(len(table)), counts)
    images = [path for value, image in zip(table["value"], table["image"], strict=True)
              for path in match.several.get(value, (image,))]  # fmt: skip
    whole = table.iloc[rows].reset_index(drop=True).assign(image=images)
    targets = labels.targets.loc[table.index].iloc[rows].reset_index(drop=True)
    notes.append(f"{len(table)} rows of the table name {len(whole)} images by {match.how}.")
    return whole, replace(labels, targets=targets)


def _add_files(
    root: Path, table: pd.DataFrame, scan: Scan, files: DicomTable | None, notes: list[str], progress: Progress
) -> tuple[pd.DataFrame, DicomTable | None]:
    """The rows whose DICOM file can be read, and what the files say."""
    wanted = tuple(sorted(set(scan.dicoms) & set(table["image"]))) if scan.dicoms else ()
    if not wanted:
        return table, None
    if files is None:
        files = read_headers(root, wanted, tag="", progress=progress)
    notes += [*files.notes, *files.warnings]
    return table[~table["image"].isin(set(wanted) - set(files.frame["image"]))], files


def match_images(look: TableLook) -> Match:
    """The files that the image column names.

    Raises:
        DataError: no such column, or none of its values is a file.
    """
    name = look.column("image")
    if not name:
        found = ", ".join(look.raw.frame.columns[:_SHOWN])
        raise DataError(
            f"No column of {look.raw.path} names the images in {look.scan.root}. Its columns begin with {found}; the "
            f"first image is {look.scan.pictures[0]}. Name the column with --set data.image=NAME."
        )
    facts = next(item for item in look.columns if item.name == name)
    if not facts.values:
        raise DataError(f"The column {name!r} of {look.raw.path} is empty, so it names no images. Choose another one.")
    match = look.images.match(facts.values)
    if is_unique(facts):
        match = look.images.add_numbers(match)
    if match.ambiguous and not match.files:
        raise DataError(
            f"{len(match.ambiguous)} values of the column {name!r} fit several files, for example "
            f"{_point_at(look, match, match.ambiguous[:1])}. Write their path below {look.scan.root}."
        )
    if not match.files:
        if match.outside:
            raise DataError(
                f"The column {name!r} of {look.raw.path} names files outside the folder, for example "
                f"{_point_at(look, match, match.outside[:1])}. Give the folder that holds them all."
            )
        raise DataError(
            f"None of the {len(facts.counts)} images of the column {name!r} is in {look.scan.root}, for example "
            f"{_point_at(look, match, facts.values[:1])}; the first file there is {look.scan.pictures[0]}. Check the "
            "folder and the column."
        )
    return match


def _tell_missing(look: TableLook, match: Match, table: pd.DataFrame, notes: list[str]) -> None:
    """Counts and examples of what the table and the folder do not share."""
    named = table["value"].where(table["value"] != "", table["line"].map(str))  # a file counts once, not its rows
    num_missing, num_named = named[table["image"].isna()].nunique(), named.nunique()
    if match.how != "path":
        notes.append(f"The images were found by {match.how} ({look.column('image')!r}).")
    if match.ambiguous:
        notes.append(
            f"{len(match.ambiguous)} images of the table fit several files, for example "
            f"{_point_at(look, match, match.ambiguous[:1])}; they were left out. Write their path below the folder."
        )
    if match.outside:
        notes.append(
            f"{len(match.outside)} rows name files outside the folder, for example "
            f"{_point_at(look, match, match.outside[:1])}; they were left out. Give the folder that holds them all."
        )
    if num_missing and match.missing:
        notes.append(
            f"{num_missing} of {num_named} images of the table are not on disk, for example "
            f"{_point_at(look, match, match.missing)}; they were left out."
        )
    unused = sorted(set(look.scan.pictures).difference(match.files.values(), *match.several.values()))
    if unused:
        shown = f", for example {', '.join(unused[:_SHOWN])}" if match.is_by_file else ""
        others = name_other_tables(look, unused)
        notes.append(f"{len(unused)} images on disk are not in the table{shown}; they were left out.{others}")


def _point_at(look: TableLook, match: Match, values: Sequence[str]) -> str:
    """Some values of the image column: names of image files as they are, all others, which may be ids of patients, by
    their lines."""
    shown = values[:_SHOWN]
    if match.is_by_file and all(strip_ending(value) != value for value in shown):
        return ", ".join(map(quote, shown))
    column = look.raw.frame[look.column("image")]
    return list_lines(column.index[column.isin(values)].tolist(), look.raw.place)


def _match_masks(look: TableLook, match: Match) -> dict[str, str]:
    """Image -> mask as the column of masks says."""
    name = look.column("mask")
    if not name:
        return {}
    frame, scan = look.raw.frame, look.scan
    values = frame[look.column("image")]
    masks = FileIndex(tuple(sorted({*scan.masks.values(), *scan.pictures})), scan.root).match(frame[name].unique())
    images = values.map(match.files)
    pairs = zip(images, frame[name].map(masks.files), strict=True)
    return {str(image): str(mask) for image, mask in pairs if isinstance(image, str) and isinstance(mask, str)}


def inspect_table_set(root: Path, options: TableOptions) -> list[FolderPart]:
    """What is there of a table and its images."""
    scan = scan_folder(root)
    try:
        path = find_table_path(root, options.table, scan, FileIndex(scan.pictures, root))
        table, is_there = path.name, path.is_file()
    except DataError:
        table, is_there = "a table", False
    return [
        FolderPart(title=table, is_there=is_there, is_needed=True, detail="" if is_there else "CSV, Excel or Parquet"),
        FolderPart(
            title="images", is_there=bool(scan.pictures), is_needed=True, detail=f"{len(scan.pictures):,} found"
        ),
    ]


SPEC = DATASETS.add(
    DatasetSpec(
        name="table",
        title="Your own: a table and images",
        description="Your own images, with a table (CSV, Excel or Parquet) that names them and their labels. Columns "
        "are "
        "recognised by what they hold.",
        task="multilabel",
        labels=(),
        is_synthetic=False,
        needs_root=True,
        has_dicom=True,
        licence="Your own data; nothing leaves this machine.",
        modality="your own images",
        how_to_get="Put the images into a folder, the table beside or below it, and give the folder; another table is "
        "named with data.table.",
        citation="",
        read=read_table_set,
        options=TableOptions,
        inspect=inspect_table_set,
    )
)
