"""What is kept of a prepared data set so that a page can show it at once: its manifest with pseudonyms, and its report.

One parquet file a data set lies in `<home>/cache/views`: the manifest as its table, everything else as JSON in its
metadata, so that both are replaced together. It can be made again at any time. Making one is the job of `prepare.py`.
"""

import contextlib
import dataclasses
import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medpeft_core.config import DataConfig
from medpeft_core.datasets.images import AS_STORED, Reading
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.pixel_cache import HEADER_FILE
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.datasets.view_sources import (
    describe_sources,
    digest_manifest,
    drop_unknown,
    list_folders,
    list_tables,
)
from medpeft_core.errors import DataError
from medpeft_core.paths import cache_dir, ensure_dir, get_home, write_atomically
from medpeft_core.sections import build_part

FORMAT_VERSION = 2  # to be raised whenever the same data would give another view
KEY_CHARACTERS = 16
EXTRA_SETTINGS = ("split", "folds", "fold", "hold_out", "window", "frame")  # of `DataConfig`
ENDING = ".parquet"
Freshness = Literal["fresh", "changed", "gone"]

_METADATA_KEY = b"medpeft"
_KEY_PATTERN = re.compile(rf"[0-9a-f]{{{KEY_CHARACTERS}}}")


@dataclass(frozen=True, kw_only=True, eq=False)
class DataView:
    """A prepared data set as a page shows it: as it lies on disk, with everything that is wrong with it.

    Attributes:
        key: names it in addresses; the same for the same data set, folder, options and split seed.
        data: the settings that decide what it holds: `dataset`, `root`, `options`, `split_seed`, and those of
            `EXTRA_SETTINGS` that are not as usual.
        manifest: patient ids are pseudonyms; row k of it is row k of the pixel cache.
        report: `DataReport.to_dict()`, without patient ids.
        cache_folder: the decoded images; may have been deleted since.
        sources: path below `manifest.image_root`, or a whole one elsewhere -> [time of change in ns, size in bytes] of
            label tables and of folders with images, as they were when the set was prepared.
        made_at: unix seconds.
        digest: see `digest_manifest`; "" in views of earlier versions.
    """

    key: str
    data: dict[str, Any]
    manifest: Manifest
    report: dict[str, Any]
    cache_folder: Path
    sources: dict[str, list[int]]
    made_at: float
    digest: str = ""

    @property
    def reading(self) -> Reading:
        """How its DICOM files were read."""
        return Reading(window=self.data.get("window", AS_STORED.window), frame=self.data.get("frame", AS_STORED.frame))

    @property
    def has_pixels(self) -> bool:
        """Whether the decoded images are still there."""
        return (self.cache_folder / HEADER_FILE).is_file()

    def find_row(self, image: str) -> int | None:
        """Row of the image of that name, or None."""
        found = (self.manifest.table["image"] == image).to_numpy().nonzero()[0]
        return int(found[0]) if len(found) else None


def view_key(data: DataConfig) -> str:
    """Name of the view of a data section.

    What is done about overlap and damage, how much of the data is used and at which size is no part of it.

    Raises:
        MedPeftError: an unknown data set or option.
    """
    text = json.dumps(_identify(data), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_CHARACTERS]


def read_how(data: DataConfig) -> Reading:
    """How the DICOM files of a data section are read."""
    return Reading(window=data.window, frame=data.frame)


def view_path(key: str) -> Path:
    """The file of a view, there or not.

    Raises:
        DataError: the text is no key, so it may not lead to a file.
    """
    if not _KEY_PATTERN.fullmatch(key):
        raise DataError("The address names no data set. Choose one on the Data page.")
    return cache_dir() / "views" / f"{key}{ENDING}"


def save_view(data: DataConfig, manifest: Manifest, report: dict[str, Any], *, cache_folder: Path) -> DataView:
    """Keep a data set for pages; one that was kept before is replaced.

    Args:
        data: where it comes from.
        manifest: of all images in the order of the pixel cache, with pseudonyms.
        report: without patient ids.
        cache_folder: of the decoded images.

    Raises:
        OSError: the disk is full.
    """
    identity = _identify(data)
    tables = list_tables(manifest, identity["options"])
    view = DataView(
        key=view_key(data), data=identity, manifest=manifest, report=report, cache_folder=cache_folder,
        sources=describe_sources(manifest.image_root, list_folders(manifest), tables), made_at=time.time(),
        digest=digest_manifest(manifest),
    )  # fmt: skip
    path = view_path(view.key)
    ensure_dir(path.parent)
    write_atomically(path, lambda temporary: _write(view, temporary))
    return view


def load_view(key: str) -> DataView | None:
    """What was kept under a key; None when there is nothing, or it is damaged or of another version."""
    try:
        table = pq.read_table(view_path(key))
        about = json.loads(table.schema.metadata[_METADATA_KEY])
        if about["format_version"] != FORMAT_VERSION:
            return None
        frame = table.to_pandas()
        manifest = Manifest(
            dataset=about["data"]["dataset"], task=about["task"], labels=tuple(about["labels"]),
            image_root=get_home() / about["image_root"], table=_with_none(frame),
            is_synthetic=about["is_synthetic"], is_ordered=about.get("is_ordered", False),
            notes=tuple(about["notes"]),
        )  # fmt: skip
        return DataView(
            key=key, data=about["data"], manifest=manifest, report=about["report"],
            cache_folder=cache_dir() / "pixels" / about["cache_name"], sources=about["sources"],
            made_at=about["made_at"], digest=about.get("digest", ""),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # pyarrow's errors are ValueErrors
        return None


def list_views() -> list[dict[str, Any]]:
    """The data sets that were kept, the newest first: `key`, `data`, `title`, `num_images`, `made_at` of each.

    Reads no manifest, so it is quick; damaged ones are left out.
    """
    found = []
    for path in (cache_dir() / "views").glob(f"*{ENDING}"):
        if not _KEY_PATTERN.fullmatch(path.stem):
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            about = json.loads(pq.read_schema(path).metadata[_METADATA_KEY])
            if about["format_version"] == FORMAT_VERSION:
                facts = {name: about["report"][name] for name in ("title", "num_images")}
                found.append({"key": path.stem, "data": about["data"], "made_at": about["made_at"], **facts})
    return sorted(found, key=lambda item: item["made_at"], reverse=True)


def check_sources(view: DataView) -> Freshness:
    """Whether the files are as they were: "gone" when folders are missing, "changed" when tables or folders differ.

    Looks at a handful of files only, so it cannot see an image that was overwritten in its place.
    """
    root = view.manifest.image_root
    folders = [name for name, (_, size) in view.sources.items() if size < 0]
    if not root.is_dir() or not all((root / name).is_dir() for name in folders):
        return "gone"
    tables = [name for name, (_, size) in view.sources.items() if size >= 0]
    found = describe_sources(root, folders, tables)
    found = found if view.digest else drop_unknown(found, view.sources)
    return "fresh" if found == view.sources else "changed"


def is_current(view: DataView | None, manifest: Manifest, cache_folder: Path) -> bool:
    """Whether a view that was kept tells of these very pixels, tables and labels."""
    if view is None or view.cache_folder != cache_folder or view.digest != digest_manifest(manifest):
        return False
    tables = list_tables(manifest, view.data["options"])
    return describe_sources(manifest.image_root, list_folders(manifest), tables) == view.sources


def _identify(data: DataConfig) -> dict[str, Any]:
    """See `DataView.data`; the same for equal settings, written in full or not."""
    options = build_part(DATASETS[data.dataset].options, data.options, section="data")
    root = str(Path(data.root).expanduser().resolve()) if data.root else None
    usual = DataConfig()
    # only where they are not as usual: a set that was prepared before there were such settings keeps its key
    more = {name: getattr(data, name) for name in EXTRA_SETTINGS if getattr(data, name) != getattr(usual, name)}
    options = dataclasses.asdict(options)
    return {"dataset": data.dataset, "root": root, "options": options, "split_seed": data.split_seed, **more}


def _write(view: DataView, path: Path) -> None:
    manifest = view.manifest
    root = manifest.image_root.resolve()
    home = get_home()
    about = {
        "format_version": FORMAT_VERSION,
        "data": view.data,
        "task": manifest.task,
        "labels": list(manifest.labels),
        # relative where it can be: a home may be moved
        "image_root": root.relative_to(home).as_posix() if root.is_relative_to(home) else str(root),
        "is_synthetic": manifest.is_synthetic,
        "is_ordered": manifest.is_ordered,
        "notes": list(manifest.notes),
        "report": view.report,
        "cache_name": view.cache_folder.name,
        "sources": view.sources,
        "made_at": view.made_at,
        "digest": view.digest,
    }
    table = pa.Table.from_pandas(manifest.table, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), _METADATA_KEY: json.dumps(about).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)


def _with_none(frame: pd.DataFrame) -> pd.DataFrame:
    """Patient ids as objects with None where they are missing, as readers give them."""
    return frame.assign(patient_id=frame["patient_id"].astype(object).where(frame["patient_id"].notna(), None))
