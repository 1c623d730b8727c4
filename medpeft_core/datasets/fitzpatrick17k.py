"""Fitzpatrick17k: photographs of skin conditions with the skin type of each, as its authors publish the table."""

from dataclasses import dataclass
from pathlib import Path

from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.fitzpatrick17k_images import (
    IMAGE_RULES,
    TABLE_RULES,
    fetch_images,
    find_pictures,
    match_pictures,
)
from medpeft_core.datasets.fitzpatrick17k_table import (
    LABEL_COLUMNS,
    SKIN_COLUMNS,
    TABLE_FILE,
    THREE,
    WRONG,
    drop_repeated,
    find_labels,
    one_hot,
    parse_skin_types,
    read_rows,
)
from medpeft_core.datasets.folder_parts import tell_images, tell_table
from medpeft_core.datasets.image_files import keep_found
from medpeft_core.datasets.label_tables import find_table
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FetchOffer, FolderPart
from medpeft_core.datasets.splits import split_by_patient
from medpeft_core.errors import DataError

NUM_IMAGES = 16_577
EXPECTED = (
    "It should hold fitzpatrick17k.csv and the images, in any folder below, named <md5hash>.jpg or by url_alphanum."
)
LICENCE = "Annotations CC BY-NC-SA 3.0; the photographs belong to the two atlases. Non-commercial use only."
DUPLICATES_NOTE = (
    "Fitzpatrick17k holds duplicates and near-duplicates, and some wrong labels (Abhishek et al. 2025, Scientific Data "
    "12:196); a split at random puts some photographs of one case on both sides."
)


@dataclass(frozen=True, kw_only=True)
class FitzpatrickOptions:
    """Which labels are learned, and whose skin types are kept."""

    labels: str = setting(
        "three", "Classes: three (benign, malignant, non-neoplastic), nine groups, or all 114 conditions.",
        choices=("three", "nine", "all"),
    )  # fmt: skip
    wrong: str = setting(
        "keep", "Images that dermatologists found wrongly labelled (column qc, filled for a small part of them): keep "
        "or drop them.", choices=("keep", "drop"),
    )  # fmt: skip
    skin: str = setting(
        "scale", "Whose skin types: scale (of all images, by Scale AI) or centaur (by Centaur Labs).",
        choices=("scale", "centaur"),
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_choices("data", self)


def read_fitzpatrick(root: Path, options: FitzpatrickOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of the photographs that are on disk, with the skin type where it is known.

    Args:
        root: see `EXPECTED`.
        options: which labels.
        split_seed: of the images; there is neither an official split nor a patient id.
        progress: told at the beginning and at the end.

    Raises:
        DataError: the table is missing or odd, or no photograph is there.
    """
    progress("reading tables", 0, 1)
    path = find_table(root, (TABLE_FILE,), expected=EXPECTED)
    rows, notes = read_rows(path), [DUPLICATES_NOTE]
    labels, column = find_labels(path, rows, options.labels), LABEL_COLUMNS[options.labels]
    rows = drop_repeated(rows, column, notes)
    is_wrong = rows["qc"].str.startswith(WRONG)
    if is_wrong.any():
        fate = "left out" if options.wrong == "drop" else "kept"
        notes.append(f"{int(is_wrong.sum())} images were found wrongly labelled by dermatologists; they were {fate}.")
        rows = rows[~is_wrong] if options.wrong == "drop" else rows
    table = keep_found(rows, match_pictures(rows, find_pictures(root)), notes, root=root, expected=EXPECTED)
    table = table.sort_values("image", ignore_index=True)
    table["split"] = split_by_patient(table["md5hash"].to_numpy(dtype=str), seed=split_seed)
    notes.append(f"Split by image at random, 70/10/20, seed {split_seed}; not the split of any publication.")
    kept = table[["image", "split"]].assign(
        patient_id=None, skin_type=parse_skin_types(table[SKIN_COLUMNS[options.skin]])
    )
    kept[list(labels)] = one_hot(table[column], labels)
    progress("reading tables", 1, 1)
    return Manifest(
        dataset="fitzpatrick17k", task="multiclass", labels=labels, image_root=root,
        table=kept.astype({"patient_id": object}), notes=tuple(notes),
    )  # fmt: skip


def inspect_fitzpatrick(root: Path, options: FitzpatrickOptions) -> list[FolderPart]:
    """Whether the table is there, and for how many of its rows there are images; without it none are looked for."""
    table = tell_table(root, (TABLE_FILE,), "labels, skin types and addresses", is_needed=True)
    if not table.is_there:
        return [table, FolderPart(title="photographs", is_there=False, is_needed=True, detail="beside it or below")]
    rows = read_rows(root / TABLE_FILE).drop_duplicates("md5hash")
    count = int(match_pictures(rows, find_pictures(root)).notna().sum())
    use = "the rest is left out" if 0 < count < len(rows) else ""
    return [table, tell_images("photographs", count, len(rows), use, is_needed=True)]


def offer_fitzpatrick(root: Path | None, options: FitzpatrickOptions) -> FetchOffer:
    """What `fetch_fitzpatrick` would ask for: the table where it is missing, and the images that are not there yet."""
    num_files, has_table = NUM_IMAGES + 1, False
    if root is not None and (root / TABLE_FILE).is_file():
        rows = read_rows(root / TABLE_FILE).drop_duplicates("md5hash")
        num_files, has_table = int(match_pictures(rows, find_pictures(root)).isna().sum()), True
    hosts = IMAGE_RULES.hosts if has_table else (*TABLE_RULES.hosts, *IMAGE_RULES.hosts)
    return FetchOffer(
        source=", ".join(hosts), num_bytes=None, num_files=num_files, licence=LICENCE, is_there=num_files == 0,
        note="The size is not known before. The photographs lie on two hosts, one request each, which takes hours; "
        "some are not there any more and are left out. Whoever has all of them from the authors needs no download.",
    )  # fmt: skip


def fetch_fitzpatrick(root: Path | None, options: FitzpatrickOptions, *, progress: Progress) -> None:
    """Download table and photographs into a folder; see `fetch_images`.

    Raises:
        DataError: no folder was given, or `fetch_images` failed.
    """
    if root is None:
        raise DataError("Fitzpatrick17k is downloaded into a folder of yours: give one (--root DIR); it may be new.")
    fetch_images(root, progress)


DATASETS.add(
    DatasetSpec(
        name="fitzpatrick17k",
        title="Fitzpatrick17k",
        description="16,577 photographs of 114 skin conditions from two dermatology atlases, each with the Fitzpatrick "
        "skin type as annotators saw it. Good for asking whether a model works equally well on all skin.",
        task="multiclass",
        labels=THREE,
        is_synthetic=False,
        needs_root=True,
        licence=LICENCE,
        size="16,577 images",
        modality="clinical photographs of the skin",
        how_to_get="Get fitzpatrick17k.csv from https://github.com/mattgroh/fitzpatrick17k and the images by the form "
        "in its README, or have the lab download them from the addresses in the table.",
        citation="Groh M, Harris C, Soenksen L, Lau F, Han R, Kim A, Koochek A, Badri O. Evaluating Deep Neural "
        "Networks Trained on Clinical Images in Dermatology with the Fitzpatrick 17k Dataset. CVPR Workshops 2021, "
        "1820-1828.",
        read=read_fitzpatrick,
        options=FitzpatrickOptions,
        main_options=("labels",),
        inspect=inspect_fitzpatrick,
        offer=offer_fitzpatrick,
        fetch=fetch_fitzpatrick,
    )
)
