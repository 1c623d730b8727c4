"""Images in a folder per class, with or without folders named train, val and test above them. Light."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.own.assembling import build_manifest, describe_scan, fill_from_files, fill_patients
from medpeft_core.datasets.own.cells import SPLIT_WORDS, fold_words
from medpeft_core.datasets.own.dicom_files import read_headers
from medpeft_core.datasets.own.label_reading import read_classes
from medpeft_core.datasets.own.options import FolderOptions
from medpeft_core.datasets.own.scanning import Scan, scan_folder
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.errors import DataError

EXPECTED = "It should hold a folder for each class with its images, such as normal/1.png and pneumonia/2.png."
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How folders part the images.

    Attributes:
        table: `image`, `class` ("" for images that lie in no class's folder) and `split` (None where no folder tells).
        has_splits: whether folders tell the splits.
        loose: images that lie in no folder of a class.
        notes: sentences on images that lie beside the folders of the splits; they have no class either.
    """

    table: pd.DataFrame
    has_splits: bool
    loose: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_layout(scan: Scan, *, use_splits: bool = True) -> Layout:
    """The class and split of every picture, by the folders it lies in: class/1.png, train/class/1.png, or with more
    folders below. Folders that hold everything, and others above the classes, such as images/, are looked through.
    Where folders are called after two splits or more, what lies in others beside them has no class.
    """
    paths = scan.pictures
    steps = [path.split("/")[:-1] for path in paths]
    depth = _count_shared(steps)
    rows, loose = [], []
    beside: Counter[str] = Counter()  # folder -> images, where others are called after splits
    are_splits = _tell_splits({_step(parts, depth) for parts in steps} - {""})
    are_inner = not are_splits and _tell_splits({_step(parts, depth + 1) for parts in steps})  # class/train/1.png
    below, at = (depth + 1, depth) if are_splits else (depth, depth + 1)
    for path, parts in zip(paths, steps, strict=True):
        name, part = _step(parts, below), _step(parts, at)
        split = SPLIT_WORDS.get(fold_words(part)) if are_splits or are_inner else None
        if part and split is None and (are_splits or are_inner):
            beside["/".join(parts[: at + 1])] += 1
            name = ""
        elif not name:
            loose.append(path)
        rows.append((path, name, split if use_splits else None))
    table = pd.DataFrame(rows, columns=["image", "class", "split"], dtype=object)
    notes = []
    if beside:
        shown = ", ".join(list(beside)[:_SHOWN]) + (", ..." if len(beside) > _SHOWN else "")
        notes.append(f"{beside.total()} images lie beside the folders of the splits, in {shown}; they were left out.")
    has_splits = (are_splits or are_inner) and use_splits
    return Layout(table=table, has_splits=has_splits, loose=tuple(loose), notes=tuple(notes))


def read_folder_set(root: Path, options: FolderOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of a folder per class; DICOM files bring their patients along.

    Raises:
        DataError: no images, no folders of classes, or one class only.
    """
    return read_scanned_folder(scan_folder(root, progress=progress), options, split_seed=split_seed, progress=progress)


def read_scanned_folder(scan: Scan, options: FolderOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """As `read_folder_set`, of a folder that was looked into already."""
    root = scan.root
    if not scan.pictures:
        raise DataError(explain_no_images(scan))
    layout = find_layout(scan, use_splits=options.splits == "auto")
    notes = [*describe_scan(scan), *layout.notes]
    table = layout.table[layout.table["class"] != ""].copy()
    if layout.loose and len(table):
        notes.append(
            f"{len(layout.loose)} images lie in no folder of a class, for example {', '.join(layout.loose[:_SHOWN])}; "
            "they were left out."
        )
    if table.empty:
        raise DataError(
            f"The images in {root} lie in no folders of classes. {EXPECTED} If a table names the labels, use the data "
            "set table."
        )
    labels = read_classes(table["class"], options.ordered, f"The folder {root}", has_blanks=False)
    notes += labels.notes
    table["patient_id"] = pd.Series([None] * len(table), index=table.index, dtype=object)
    kept = set(table["image"])
    wanted = tuple(path for path in scan.dicoms if path in kept)
    if wanted:
        files = read_headers(root, wanted, tag="", progress=progress)
        notes += [*files.notes, *files.warnings]
        readable = set(files.frame["image"])
        table = table[~table["image"].isin(set(wanted) - readable)]
        table = fill_from_files(table, files, notes)
    table = fill_patients(table, options.patient_pattern, notes)
    if scan.masks:
        table["mask"] = table["image"].map(scan.masks).astype(object).where(table["image"].isin(scan.masks), None)
    return build_manifest(
        "folder", root, table, labels, notes=notes, seed=split_seed,
        source="the folders" if layout.has_splits else "",
        advice="Add a folder train, or have all images split anew with data.splits=ignore.",
    )  # fmt: skip


def explain_no_images(scan: Scan) -> str:
    """A sentence on a folder without pictures."""
    others = ", ".join(f"{count} {ending}" for ending, count in list(scan.others.items())[:_SHOWN])
    if scan.outside:
        return (
            f"{scan.root} holds no images but {len(scan.outside)} links that lead out of it, for example "
            f"{scan.outside[0]}. Give the folder that holds the files themselves."
        )
    held = f" It holds other files: {others}." if others else ""
    zipped = " Unpack the archive first." if ".zip" in scan.others else ""
    return f"{scan.root} holds no PNG, JPEG, BMP, TIFF or DICOM images.{held}{zipped} Give the folder with the images."


def inspect_folder_set(root: Path, options: FolderOptions) -> list[FolderPart]:
    """What is there of a folder per class."""
    scan = scan_folder(root)
    layout = find_layout(scan, use_splits=options.splits == "auto")
    classes = sorted(set(layout.table["class"]) - {""})
    return [
        FolderPart(title="images", is_there=bool(scan.pictures), is_needed=True, detail=f"{len(scan.pictures):,} "
            "found"),
        FolderPart(
            title="a folder for each class", is_there=len(classes) > 1, is_needed=True,
            detail=", ".join(classes[:_SHOWN]) + (", ..." if len(classes) > _SHOWN else ""),
        ),
        FolderPart(
            title="folders train, val and test", is_there=layout.has_splits, is_needed=False,
            detail="" if layout.has_splits else "without them the images are split 70/10/20",
        ),
    ]  # fmt: skip


def _step(parts: list[str], depth: int) -> str:
    """The folder at a depth; "" where a path has none there."""
    return parts[depth] if len(parts) > depth else ""


def _tell_splits(names: set[str]) -> bool:
    """Whether folders of these names part the images into splits: all are called so, or two splits are among them."""
    splits = {SPLIT_WORDS.get(fold_words(name)) for name in names}
    return len(splits - {None}) > 1 or (len(splits) > 0 and None not in splits)


def _count_shared(steps: list[list[str]]) -> int:
    """Number of folders that all pictures lie in, one inside the other; a single class is a class, no such folder."""
    depth = 0
    while True:
        names = {parts[depth] if len(parts) > depth else None for parts in steps}
        if len(names) != 1 or None in names:
            return depth
        only = next(iter(names))
        is_last = all(len(parts) == depth + 1 for parts in steps)
        if is_last or (only and fold_words(only) in SPLIT_WORDS):
            return depth
        depth += 1


SPEC = DATASETS.add(
    DatasetSpec(
        name="folder",
        title="Your own: a folder per class",
        description="Your own images, in a folder for each class. Folders named train, val and test above them are "
        "taken for the split.",
        task="multiclass",
        labels=(),
        is_synthetic=False,
        needs_root=True,
        has_dicom=True,
        licence="Your own data; nothing leaves this machine.",
        modality="your own images",
        how_to_get="Put the images of each class into a folder of its own, such as normal/ and pneumonia/, and give "
        "the "
        "folder above these.",
        citation="",
        read=read_folder_set,
        options=FolderOptions,
        inspect=inspect_folder_set,
    )
)
