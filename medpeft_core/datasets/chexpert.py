"""CheXpert, small or large, as Stanford distributes it: 223,414 training films with labels mined from reports."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.chexpert_lists import find_lists, read_list
from medpeft_core.datasets.chexpert_tables import (
    LABELS,
    TEST_TABLES,
    TRAIN_TABLES,
    VALID_TABLES,
    find_folders,
    read_studies,
    read_table,
    scan_images,
)
from medpeft_core.datasets.folder_parts import find_file, find_files
from medpeft_core.datasets.image_files import keep_found
from medpeft_core.datasets.label_rows import note_unlisted
from medpeft_core.datasets.label_tables import find_table
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.people import drop_odd_ages
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FolderPart
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.datasets.study_files import count_folders
from medpeft_core.datasets.uncertain import PAPER_LABELS, POLICIES, POLICY_HELP, describe_policy
from medpeft_core.errors import DataError

EXPECTED = "It should hold train.csv, valid.csv and the folders train and valid, or be the folder above."
_VAL_IMAGES = 5000  # of the training images, where the official valid set is tested, as in the papers' predecessor
_ALL_TRAIN_IMAGES = 223414
_TITLES = {"train": "training", "valid": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class ChexpertOptions:
    """Which labels, films and splits of CheXpert."""

    labels: str = setting(
        "five", "five: those of the papers and of the CheXpert competition; all: the 14 of the table.",
        choices=("five", "all"),
    )  # fmt: skip
    uncertain: str = setting("papers", POLICY_HELP, choices=POLICIES)
    views: str = setting(
        "all", "all: frontal and lateral films, as in the papers; frontal: frontal ones alone.",
        choices=("all", "frontal"),
    )  # fmt: skip
    test_set: str = setting(
        "auto", "What is tested. official: the official test set, and the official valid set is val; valid: the "
        "official valid set, and val is about 5,000 training images by patient, as the papers' predecessor did; auto: "
        "official where it is there, else valid. The lists below decide otherwise.",
        choices=("auto", "official", "valid"),
    )  # fmt: skip
    lists: str = setting(
        "auto", "Split lists with labels to use: papers, papers_10 or papers_1 (the papers' training lists of 100, 10 "
        "and 1 percent, with their val and test lists) or none; where a list is missing the official table decides. "
        "auto: as papers, where their test list and its images are there.",
        choices=("auto", "papers", "papers_10", "papers_1", "none"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_choices("data", self)


def read_chexpert(root: Path, options: ChexpertOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the films that are on disk; a part of them is fine.

    Args:
        root: see `EXPECTED`; the parts that Stanford AIMI distributes are found beside each other too.
        options: which labels, films and splits.
        split_seed: of the patients of val where the official valid set is tested.
        progress: told at the beginning and at the end; all takes a few seconds.

    Raises:
        DataError: a label table is missing or odd, what was asked for is not there, or no film is.
    """
    progress("reading tables", 0, 1)
    labels = PAPER_LABELS if options.labels == "five" else LABELS
    notes: list[str] = [describe_policy(options.uncertain, labels)]
    files = scan_images(root, find_folders(root))
    tables = _read_tables(root, labels, options.uncertain, files)
    entries = pd.concat([table.assign(part=part) for part, table in tables.items()], ignore_index=True)
    lists = _read_lists(root, options, files, notes)
    if "test" in lists:
        entries["split"] = entries["part"].replace({"valid": "val"})
    else:
        entries["split"] = _split_by_parts(root, entries, files, options.test_set, split_seed, notes)
    known = set(entries["key"])
    if lists:
        entries = _apply_lists(entries, lists, notes)
    note_unlisted(len(files.keys() - known - set(entries["key"])), notes)
    entries = entries[entries["split"].notna() & (entries["is_frontal"] | (options.views == "all"))]
    table = keep_found(entries, entries["key"].map(files), notes, root=root, expected=EXPECTED)
    table["age"] = drop_odd_ages(table["age"], notes)
    columns = ["image", "patient_id", "split", *labels, "age", "sex", "view"]
    table = table[columns].sort_values("image", ignore_index=True)
    progress("reading tables", 1, 1)
    return Manifest(
        dataset="chexpert", task="multilabel", labels=labels, image_root=root, table=table, notes=tuple(notes),
        sources=find_files(root, TRAIN_TABLES, VALID_TABLES, TEST_TABLES),
    )  # fmt: skip


def inspect_chexpert(root: Path, options: ChexpertOptions) -> list[FolderPart]:
    """Tables with their sizes, and folders with the number of patients in them."""
    folders = find_folders(root)
    parts = []
    for part, names in (("train", TRAIN_TABLES), ("valid", VALID_TABLES), ("test", TEST_TABLES)):
        is_needed = part != "test" or options.test_set == "official"
        table = find_file(root, names)
        wanted = names[0] if part != "test" else "test_labels.csv, test.csv or groundtruth.csv"
        without = "" if is_needed else "; without it the official valid set is tested"
        parts.append(
            FolderPart(
                title=table.name if table else wanted, is_there=table is not None, is_needed=is_needed,
                detail=_count_rows(table) if table else f"labels of the {_TITLES[part]} images{without}",
            )
        )  # fmt: skip
        num_patients = sum(count_folders(root / place, "patient") for place in folders[part])
        parts.append(
            FolderPart(
                title=f"{part}/", is_there=num_patients > 0, is_needed=is_needed,
                detail=f"{num_patients:,} patients' folders" if num_patients else f"{_TITLES[part]} images{without}",
            )
        )  # fmt: skip
    return parts


def _read_tables(root: Path, labels: tuple[str, ...], policy: str, files: dict[str, str]) -> dict[str, pd.DataFrame]:
    tables = {
        "train": read_table(find_table(root, TRAIN_TABLES, expected=EXPECTED), labels, policy),
        "valid": read_table(find_table(root, VALID_TABLES, expected=EXPECTED), labels, policy),
    }
    path = find_file(root, TEST_TABLES)
    if path is not None and path.name == "groundtruth.csv":
        tables["test"] = read_studies(path, labels, policy, files)
    elif path is not None:
        tables["test"] = read_table(path, labels, policy)
    for part, table in tables.items():
        strange = table.loc[~table["key"].str.startswith(f"{part}/"), "key"]
        if len(strange):
            raise DataError(f"The table of the {part} part in {root} names {strange.iloc[0]}. Get the original file.")
    return tables


def _split_by_parts(
    root: Path, entries: pd.DataFrame, files: dict[str, str], test_set: str, seed: int, notes: list[str]
) -> pd.Series:
    """The split of each row; missing for the test images where the official valid set is tested."""
    has_test = bool(entries.loc[entries["part"] == "test", "key"].isin(list(files)).any())
    if test_set == "official" and not has_test:
        raise DataError(
            f"{root} lacks the official test set: the folder test with its images, and test_labels.csv, test.csv or "
            "groundtruth.csv. Add both (Stanford AIMI gives them out with CheXlocalize), or test on the official valid "
            "set: --set data.test_set=valid"
        )
    if has_test and test_set != "valid":
        notes.append("Official split: train, valid (val) and test.")
        return entries["part"].replace({"valid": "val"})
    split = entries["part"].map({"valid": "test"}).astype(object)
    is_train = (entries["part"] == "train").to_numpy()
    share = _VAL_IMAGES / _ALL_TRAIN_IMAGES
    patients = entries.loc[is_train, "patient_id"].to_numpy(dtype=str)
    split[is_train] = split_by_patient(patients, seed=seed, fractions=(1 - share, share, 0.0))
    num_val = int((split == "val").sum())
    why = "as asked for" if test_set == "valid" else "for the official test set is not in the folder"
    notes.append(
        f"The official valid set is the test split, {why}; val is {num_val} training images, chosen by patient, seed "
        f"{seed}. Results cannot be compared with those on the official test set."
    )
    return split


def _read_lists(
    root: Path, options: ChexpertOptions, files: dict[str, str], notes: list[str]
) -> dict[str, pd.DataFrame]:
    """Split -> list, for the lists to be used."""
    if options.lists == "auto" and options.test_set == "valid":
        return {}
    places = find_lists(root, options.lists)
    if places and options.labels != "five":
        if options.lists != "auto":
            raise DataError(
                f"The papers' lists hold five labels, so data.lists={options.lists} needs data.labels=five; or split "
                "without them: --set data.lists=none"
            )
        notes.append("The papers' lists in the folder were not used: they hold five labels, and data.labels is all.")
        return {}
    lists = {split: read_list(path) for split, path in places.items()}
    if lists and not lists["test"]["key"].isin(list(files)).any():
        if options.lists != "auto":
            raise DataError(
                f"None of the images of {places['test']} is in {root}. Add the folder test of the official test set, "
                "or split without the lists: --set data.lists=none"
            )
        notes.append("The papers' lists in the folder were not used: none of their test images is there.")
        return {}
    return lists


def _apply_lists(entries: pd.DataFrame, lists: dict[str, pd.DataFrame], notes: list[str]) -> pd.DataFrame:
    """Splits and labels of the lists, ages and views of the tables; a split without a list keeps its official rows."""
    listed = pd.concat([table.assign(split=split) for split, table in lists.items()], ignore_index=True)
    doubled = listed["key"][listed["key"].duplicated()]
    if len(doubled):
        raise DataError(
            f"{len(doubled)} images are in two of the papers' lists, for example {doubled.iloc[0]}. List each image "
            "once."
        )
    is_kept = ~entries["key"].isin(listed["key"]) & ~entries["split"].isin(lists)
    known = entries[["key", "age", "sex", "view"]]
    merged = listed.merge(known, on="key", how="left")
    num_unknown = int((~listed["key"].isin(known["key"])).sum())
    if num_unknown:
        merged.loc[merged["view"].isna() & ~merged["is_frontal"], "view"] = "LATERAL"
        notes.append(f"{num_unknown} images of the papers' lists are in no label table; their ages are not known.")
    rest = [name for name in ("train", "val", "test") if name not in lists and (entries["split"] == name).any()]
    source = f"; {' and '.join(rest)} of the official tables" if rest else ""
    notes.append(f"Split and labels of the papers' lists for {', '.join(lists)}{source}.")
    return pd.concat([entries[is_kept].drop(columns="part"), merged], ignore_index=True)


def _count_rows(table: Path) -> str:
    with table.open("rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    return f"about {max(lines - 1, 0):,} rows"


SPEC = DATASETS.add(
    DatasetSpec(
        name="chexpert",
        title="CheXpert",
        description="224,316 chest films of 65,240 patients from Stanford Hospital with 14 labels, which a program "
        "mined from the reports and marked as uncertain where these are. The second data set of the chest film paper "
        "(arXiv 2401.12215), with five labels and films of all views.",
        task="multilabel",
        labels=PAPER_LABELS,
        is_synthetic=False,
        needs_root=True,
        licence="Stanford's research use agreement: for research, not for commercial use, and not to be passed on.",
        size="223,648 images with labels, and 668 of the official test set; 11 GB small, 439 GB large",
        modality="chest radiographs",
        how_to_get="Register at https://stanfordmlgroup.github.io/competitions/chexpert and unpack CheXpert-v1.0-small "
        "or CheXpert-v1.0; the official test set comes with CheXlocalize, "
        "https://aimi.stanford.edu/datasets/chexlocalize: put its folder test and test_labels.csv beside train.csv.",
        citation="Irvin J, Rajpurkar P, Ko M, et al. CheXpert: A Large Chest Radiograph Dataset with Uncertainty "
        "Labels and Expert Comparison. AAAI 2019, 590-597. Test set: Saporta A, Gui X, Agrawal A, et al. Benchmarking "
        "saliency methods for chest X-ray interpretation. Nature Machine Intelligence 2022, 867-878.",
        read=read_chexpert,
        options=ChexpertOptions,
        inspect=inspect_chexpert,
    )
)
