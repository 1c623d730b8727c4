"""What a home holds that could go, each thing with who uses it and what losing it costs. Light.

Looking changes nothing; removing is the work of `cleaning.py`.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from medpeft_core.datasets.cache_notes import read_note
from medpeft_core.housekeeping.feature_files import FeatureInfo, list_features
from medpeft_core.housekeeping.places import (
    find_base_files,
    find_cache_folders,
    find_export_folders,
    find_leftovers,
    find_pictures,
    find_unfinished_caches,
)
from medpeft_core.housekeeping.sizes import Part, Tell, measure_folder, measure_home
from medpeft_core.housekeeping.usage import (
    DataUse,
    compute_pixels_sha256,
    find_data_uses,
    find_runs_by_base,
    find_runs_by_pixels,
    read_header,
)
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.jobs import JobStore

YOUNG_S = 3600.0  # a base that was stored or asked for lately may belong to a run that is just being made


@dataclass(frozen=True, kw_only=True)
class CacheInfo:
    """One pixel cache.

    Attributes:
        name: of its folder.
        dataset, root: whose images; None where nothing tells.
        num_images, cache_size: None where its header is damaged.
        used_at: unix time of the last use that is known.
        decode_s: how long decoding took; None where it was not measured.
        run_ids: the runs that were trained on it.
        held_by: who is at work with it, in words; None: nobody.
    """

    name: str
    dataset: str | None
    root: str | None
    num_images: int | None
    cache_size: int | None
    num_bytes: int
    used_at: float
    decode_s: float | None
    run_ids: tuple[str, ...]
    held_by: str | None


@dataclass(frozen=True, kw_only=True)
class BaseInfo:
    """One file of base weights.

    Attributes:
        sha256: its content and its name.
        used_at: unix time when it was stored or last asked for by a check.
        run_ids: the runs that stand on it, deleted ones included; None where a damaged run keeps that from being told.
    """

    sha256: str
    num_bytes: int
    used_at: float
    run_ids: tuple[str, ...] | None

    @property
    def is_unused(self) -> bool:
        """Whether no run names it and none is about to."""
        return self.run_ids == () and not is_young(self.used_at)


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Everything about a home at one moment.

    Attributes:
        leftover_bytes: of what was never finished, unfinished pixel caches among it.
        unfinished_bytes: of unfinished pixel caches; a preparation would go on with them.
    """

    parts: list[Part]
    caches: list[CacheInfo]
    bases: list[BaseInfo]
    features: list[FeatureInfo]
    leftover_bytes: int
    picture_bytes: int
    export_bytes: int = 0
    unfinished_bytes: int = 0

    @property
    def num_bytes(self) -> int:
        return sum(part.size.num_bytes for part in self.parts)

    @property
    def num_files(self) -> int:
        return sum(part.size.num_files for part in self.parts)


def take_inventory(home: Path, tell: Tell = lambda text: None) -> Inventory:
    """Look at everything; on a big home this takes seconds."""
    store, jobs = RunStore(home), JobStore(home)
    parts = measure_home(home, tell)
    tell("finding out who uses what")
    return Inventory(
        parts=parts,
        caches=list_caches(store, jobs),
        bases=list_bases(home),
        features=list_features(store),
        leftover_bytes=sum(measure_folder(path).num_bytes for path in find_leftovers(home)),
        picture_bytes=sum(_size(path) for path in find_pictures(home)),
        export_bytes=sum(measure_folder(path).num_bytes for path in find_export_folders(home)),
        unfinished_bytes=sum(measure_folder(path).num_bytes for path in find_unfinished_caches(home)),
    )


def list_caches(store: RunStore, jobs: JobStore) -> list[CacheInfo]:
    """Every pixel cache, the largest first."""
    folders = find_cache_folders(store.home)
    if not folders:
        return []
    uses, runs = find_data_uses(store, jobs), find_runs_by_pixels(store)
    found = [_describe_cache(folder, uses, runs, store) for folder in folders]
    return sorted(found, key=lambda item: item.num_bytes, reverse=True)


def list_bases(home: Path) -> list[BaseInfo]:
    """Every file of base weights, unused ones first, then the largest."""
    runs = find_runs_by_base(home)
    found = []
    for path in find_base_files(home):
        sha256 = path.name.partition(".")[0]
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        run_ids = None if runs is None else tuple(runs.get(sha256, ()))
        found.append(BaseInfo(sha256=sha256, num_bytes=status.st_size, used_at=status.st_mtime, run_ids=run_ids))
    return sorted(found, key=lambda item: (not item.is_unused, -item.num_bytes))


def find_holder(folder: Path, uses: list[DataUse]) -> str | None:
    """Who is at work with a pixel cache; None when nobody is."""
    header = read_header(folder)
    note, sha256 = read_note(folder), compute_pixels_sha256(folder)
    return next((use.who for use in uses if use.needs(note, header.get("cache_size", use.cache_size), sha256)), None)


def is_young(moment: float) -> bool:
    """Whether something happened within the last hour, or in a future that a clock made up."""
    return time.time() - moment < YOUNG_S


def _describe_cache(folder: Path, uses: list[DataUse], runs: dict[str, list[str]], store: RunStore) -> CacheInfo:
    header, note = read_header(folder), read_note(folder)
    run_ids = tuple(runs.get(compute_pixels_sha256(folder) or "", ()))
    dataset, root = (note.dataset, note.root) if note is not None else _ask_run(store, run_ids)
    try:
        changed_at = (folder / "index.json").stat().st_mtime
    except FileNotFoundError:
        changed_at = 0.0
    return CacheInfo(
        name=folder.name,
        dataset=dataset,
        root=root,
        num_images=header.get("num_images"),
        cache_size=header.get("cache_size"),
        num_bytes=measure_folder(folder).num_bytes,
        used_at=max(changed_at, note.used_at if note is not None else 0.0),
        decode_s=header.get("decode_s"),
        run_ids=run_ids,
        held_by=find_holder(folder, uses),
    )


def _ask_run(store: RunStore, run_ids: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Data set and folder by a run that was trained on a cache without a note."""
    if not run_ids:
        return None, None
    data = store.load(run_ids[0]).data_section()
    return data.dataset, data.root


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
