"""MedMNIST: twelve sets of small medical images (MedMNIST v2, and MedMNIST+ up to 224 pixels), by the package medmnist.

The images of a set are written once as PNG files to `<datasets>/medmnist-<name>-<size>/images/<split>/`, because the
lab shows and explains files. The six sets of volumes are left out: the lab's backbones take flat images.
"""

import hashlib
import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from medpeft_core import paths
from medpeft_core.config import check_choices, setting
from medpeft_core.datasets.downloads import WebFile, compute_md5, download
from medpeft_core.datasets.manifest import SPLITS, Manifest
from medpeft_core.datasets.med_mnist_facts import (
    MULTI_LABEL,
    ORDINAL,
    SIZES,
    TITLES,
    MedMnistFacts,
    find_facts,
    write_titles,
)  # fmt: skip
from medpeft_core.datasets.med_mnist_npz import MedMnistFile
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.spec import DATASETS, DatasetSpec, FetchOffer, FolderPart
from medpeft_core.datasets.web_addresses import AddressRules
from medpeft_core.datasets.whole_folders import make_folder
from medpeft_core.errors import DataError

SOURCE = "zenodo.org/records/10519652"
RULES = AddressRules(hosts=("zenodo.org",))
TABLE_FILE, ABOUT_FILE = "manifest.parquet", "about.json"
FORMAT_VERSION = 1
BATCH_IMAGES = 256  # held in memory at a time
HOW_TO_GET = (
    "Download it here (on the command line: python -m medpeft_core fetch medmnist), or put the .npz file of the "
    "package medmnist into ~/.medmnist, where the package itself puts it."
)


@dataclass(frozen=True, kw_only=True)
class MedMnistOptions:
    """Which of the sets, and how large its images are."""

    name: str = setting(
        "breastmnist", "Which set: " + "; ".join(f"{name} ({title.partition(', ')[2]})" for name, title in
        TITLES.items()) + ".", choices=tuple(TITLES), titles=write_titles
    )  # fmt: skip
    size: str = setting(
        "64", "Side of the square images in pixels. 28 is the original MedMNIST; a larger size is a larger download.",
        choices=SIZES,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_choices("data", self)


def read_medmnist(root: Path | None, options: MedMnistOptions, *, split_seed: int, progress: Progress) -> Manifest:
    """The manifest of a set in the official split, whose images are written as PNG files at the first call.

    Args:
        root: an .npz file, or a folder with it; None looks where the lab downloads it to and where the package does.
        options: which set.
        split_seed: plays no part.
        progress: told of images; an exception from it stops the writing and leaves nothing.

    Raises:
        DataError: the .npz file is not there, or is not this set.
    """
    facts = find_facts(options.name, options.size)
    source = find_npz(root, facts)
    folder = _image_folder(facts, source if root else None)
    if not _is_complete(folder):
        if source is None:
            raise _missing(root, facts)
        _write_images(facts, source, folder, progress)
    table = pd.read_parquet(folder / TABLE_FILE)
    return Manifest(
        dataset="medmnist", task="multilabel" if facts.task == MULTI_LABEL else "multiclass", labels=facts.labels,
        image_root=folder, table=table.assign(patient_id=pd.Series([None] * len(table), dtype=object)),
        is_ordered=facts.task == ORDINAL, notes=tuple(paths.read_json(folder / ABOUT_FILE)["notes"]),
    )  # fmt: skip


def is_written(root: Path | None, options: MedMnistOptions, *, split_seed: int) -> bool:
    """Whether `read_medmnist` finds the images written.

    Raises:
        DataError: the .npz file is not where `root` says.
    """
    facts = find_facts(options.name, options.size)
    source = find_npz(root, facts)
    if root is not None and source is None:
        raise _missing(root, facts)
    return _is_complete(_image_folder(facts, source if root else None))


def find_npz(root: Path | None, facts: MedMnistFacts) -> Path | None:
    """The .npz file of a set, or None.

    Args:
        root: a file or a folder; None for the lab's own folder, then the package's.
        facts: of the set.
    """
    if root is not None and root.suffix == ".npz":
        return root if root.is_file() else None
    return next((place / facts.file_name for place in _places(root) if (place / facts.file_name).is_file()), None)


def inspect_medmnist(root: Path | None, options: MedMnistOptions) -> list[FolderPart]:
    """Whether the .npz file and the images made of it are there."""
    facts = find_facts(options.name, options.size)
    source = find_npz(root, facts)
    is_done = _is_complete(_image_folder(facts, source if root else None))
    where = f"in {source.parent}" if source else f"not in {' or '.join(map(str, _places(root)))}"
    written = f"{facts.num_all:,} in the lab's folder" if is_done else "written from it at the first preparation"
    return [
        FolderPart(title=facts.file_name, is_there=source is not None, is_needed=not is_done, detail=where),
        FolderPart(title="images as PNG files", is_there=is_done, is_needed=False, detail=written),
    ]


def find_licence(options: MedMnistOptions) -> str:
    """The licence of the chosen set."""
    return f"{find_facts(options.name, options.size).licence}. Not intended for clinical use."


def offer_medmnist(root: Path | None, options: MedMnistOptions) -> FetchOffer:
    """What `fetch_medmnist` would bring; the size is that of the pixels, which the file packs."""
    facts = find_facts(options.name, options.size)
    return FetchOffer(
        source=SOURCE, num_bytes=facts.max_bytes, is_limit=True, num_files=1, licence=facts.licence,
        is_there=find_npz(root, facts) is not None or _is_complete(_image_folder(facts, None)),
        note=f"{facts.title}: {facts.num_all:,} images of {facts.side} x {facts.side} pixels.",
    )  # fmt: skip


def fetch_medmnist(root: Path | None, options: MedMnistOptions, *, progress: Progress) -> None:
    """Download the .npz file of a set into the lab's own folder and check its MD5.

    Args:
        root: None; what somebody has already is only read.
        options: which set.
        progress: may raise to stop; what came so far is used the next time.

    Raises:
        DataError: the server cannot be reached, or sends something else.
    """
    if root is not None:
        raise DataError(f"MedMNIST is downloaded into the lab's own folder, not into {root}. Give no folder.")
    facts = find_facts(options.name, options.size)
    if find_npz(None, facts) is None:
        file = WebFile(url=facts.url, max_bytes=facts.max_bytes, md5=facts.md5)
        download(file, _npz_folder() / facts.file_name, rules=RULES, progress=progress)


def _npz_folder() -> Path:
    return paths.datasets_dir() / "medmnist"


def _places(root: Path | None) -> tuple[Path, ...]:
    return (root,) if root else (_npz_folder(), Path.home() / ".medmnist")


def _image_folder(facts: MedMnistFacts, given: Path | None) -> Path:
    """Where the images of a set are; those of a file that somebody gave lie apart from those of other files."""
    name = f"medmnist-{facts.name}-{facts.side}"
    if given is not None:
        status = given.stat()
        mark = repr((str(given.resolve()), status.st_mtime_ns, status.st_size))
        name += f"-{hashlib.sha256(mark.encode()).hexdigest()[:8]}"
    return paths.datasets_dir() / name


def _is_complete(folder: Path) -> bool:
    return (folder / ABOUT_FILE).is_file() and (folder / TABLE_FILE).is_file()


def _missing(root: Path | None, facts: MedMnistFacts) -> DataError:
    places = " and ".join(str(place) for place in _places(root))
    return DataError(f"{facts.file_name} is not there: looked for in {places}. {HOW_TO_GET}")


def _write_images(facts: MedMnistFacts, source: Path, folder: Path, progress: Progress) -> None:
    try:
        with MedMnistFile(source, facts) as file:
            notes = _write_notes(file, facts, compute_md5(source, progress))
            make_folder(
                folder, lambda staging: _fill(file, staging, notes, progress), is_complete=lambda: _is_complete(folder),
                progress=progress, waiting="waiting for another program that writes the same images",
            )  # fmt: skip
    except OSError as error:
        raise DataError(
            f"The images of {facts.title} cannot be written to {folder}: {error}. Check free space and permissions."
        ) from error


def _fill(file: MedMnistFile, staging: Path, notes: list[str], progress: Progress) -> None:
    """Images first; the table and the notes, which make the folder complete, come last."""
    facts, parts, done = file.facts, [], 0
    total = sum(file.count(split) for split in SPLITS)
    with ThreadPoolExecutor(max_workers=max(1, os.cpu_count() or 1)) as pool:
        for split in SPLITS:
            (staging / "images" / split).mkdir(parents=True)
            names = [f"images/{split}/{number:06d}.png" for number in range(file.count(split))]
            for batch in _batches(zip(names, file.read_images(split), strict=True)):
                progress("writing images", done, total)
                list(pool.map(lambda item: _save(staging / item[0], item[1]), batch))
                done += len(batch)
            targets = pd.DataFrame(file.read_targets(split), columns=list(facts.labels))
            parts.append(
                pd.concat([pd.DataFrame({"image": names, "patient_id": None, "split": split}), targets], axis=1)
            )
    progress("writing images", done, total)
    pd.concat(parts, ignore_index=True).to_parquet(staging / TABLE_FILE, index=False)
    paths.write_json(staging / ABOUT_FILE, {"set": facts.name, "size": facts.side, "notes": notes})


def _batches(items: Iterator[tuple[str, np.ndarray]]) -> Iterator[list[tuple[str, np.ndarray]]]:
    while batch := list(itertools.islice(items, BATCH_IMAGES)):
        yield batch


def _save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)


def _write_notes(file: MedMnistFile, facts: MedMnistFacts, md5: str) -> list[str]:
    notes = [
        f"{facts.title} at {facts.side} x {facts.side} pixels in the official split; its makers have scaled the "
        "images down, and say that they are not for clinical use."
    ]
    if md5 != facts.md5:
        counts = ", ".join(f"{file.count(split):,} of {facts.num_images[split]:,} {split}" for split in SPLITS)
        notes.append(f"The .npz file is not the published one (another MD5). It holds {counts} images.")
    return notes


DATASETS.add(
    DatasetSpec(
        name="medmnist",
        title="MedMNIST, 2D",
        description="Twelve sets of small medical images, from chest films and fundus photographs to histology, each "
        "with an official split: made for quick trials and for comparing methods over many kinds of images. The six "
        "sets of volumes are not offered, because the lab works on flat images.",
        task="multiclass",
        labels=(),
        is_synthetic=False,
        needs_root=False,
        licence="CC BY 4.0; DermaMNIST CC BY-NC 4.0. Not intended for clinical use.",
        size="12 sets of 780 to 236,386 images, 28 to 224 pixels; under 1 MB to 12 GB",
        modality="radiographs, CT, OCT, ultrasound, fundus, dermoscopy, histology, microscopy",
        how_to_get=HOW_TO_GET,
        citation="Yang J, Shi R, Wei D, Liu Z, Zhao L, Ke B, Pfister H, Ni B. MedMNIST v2: A large-scale lightweight "
        "benchmark for 2D and 3D biomedical image classification. Scientific Data 2023, 10:41.",
        read=read_medmnist,
        options=MedMnistOptions,
        main_options=("name", "size"),
        licence_of=find_licence,
        is_present=is_written,
        inspect=inspect_medmnist,
        offer=offer_medmnist,
        fetch=fetch_medmnist,
    )
)
