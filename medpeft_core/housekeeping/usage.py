"""Who needs which decoded images and which base weights: what is at work now, and what runs name. Light."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from medpeft_core.config import BackboneConfig, DataConfig, RunConfig
from medpeft_core.datasets.cache_notes import CacheNote
from medpeft_core.errors import MedPeftError, RunError
from medpeft_core.paths import read_json
from medpeft_core.pretrain_config import EncoderConfig, PretrainConfig
from medpeft_core.runs.kinds import PRETRAINING_FOLDER, is_pretraining_id, kind_folders
from medpeft_core.runs.run_ids import is_run_id
from medpeft_core.runs.store import RunStore
from medpeft_core.sections import build_part
from medpeft_core.worker.jobs import JobStore

TABLE_FILE = "images.parquet"


@dataclass(frozen=True, kw_only=True)
class DataUse:
    """Decoded images that something at work needs.

    Attributes:
        who: for people, such as "the run 2026..." or "the job Preparing ...".
        dataset, root: as in a config; the root resolved.
        cache_size: short side in pixels.
        pixels_sha256: of the pixels, where a run names them.
    """

    who: str
    dataset: str
    root: str | None
    cache_size: int
    pixels_sha256: str | None = None

    def needs(self, note: CacheNote | None, cache_size: int, pixels_sha256: str | None) -> bool:
        """Whether this may need a cache; where that cannot be told, it may."""
        if cache_size != self.cache_size:
            return False
        if None not in (self.pixels_sha256, pixels_sha256):
            return self.pixels_sha256 == pixels_sha256
        return note is None or (note.dataset, _resolve(note.root)) == (self.dataset, self.root)


@dataclass(frozen=True, kw_only=True)
class WeightsUse:
    """The weights that one run begins with.

    Attributes:
        folder_name: of the run: its id, with the time of its removal where it is in the trash.
        backbone: timm name.
        weights: as in its config: "random", "demo", "pretrained", a file, or "shelf:NAME".
        sha256: of the stored base weights, once they are known.
        seed: of the run, and so of random weights.
    """

    folder_name: str
    backbone: str
    weights: str
    sha256: str | None
    seed: int


def find_data_uses(store: RunStore, jobs: JobStore) -> list[DataUse]:
    """What runs of either kind that are queued or at work, and jobs at work, need."""
    uses = []
    for run in store.list_all():
        with contextlib.suppress(RunError):  # a damaged run is not at work
            if run.is_finished:
                continue
            sha256 = run.provenance().get("pixels_sha256")
            uses.append(_describe(f"the run {run.run_id}", run.data_section(), sha256))
    for job in jobs.list_jobs():
        if job.is_finished:
            continue
        request = job.request()
        parts: list[dict[str, Any]] = [config.get("data", {}) for config in request.configs or ()]
        for values in [*parts, *([request.data] if request.data else [])]:
            with contextlib.suppress(MedPeftError):
                uses.append(
                    _describe(f"the job “{request.title}”", build_part(DataConfig, values, section="data"), None)
                )
    return uses


def compute_pixels_sha256(cache_folder: Path) -> str | None:
    """What runs call these pixels in their provenance; None where the cache is damaged."""
    try:
        digests = pq.read_table(cache_folder / TABLE_FILE, columns=["digest"])["digest"].to_pylist()
    except (OSError, ValueError, KeyError):  # pyarrow's errors are ValueErrors
        return None
    return hashlib.sha256("".join(digests).encode()).hexdigest()  # unreadable images have an empty digest


def find_runs_by_pixels(store: RunStore) -> dict[str, list[str]]:
    """Digest of the decoded pixels -> ids of the runs, also pre-trainings, that were trained on them, newest first."""
    found: dict[str, list[str]] = {}
    for run in store.list_all():
        with contextlib.suppress(RunError):
            sha256 = run.provenance().get("pixels_sha256")
            if sha256:
                found.setdefault(sha256, []).append(run.run_id)
    return found


def find_runs_by_base(home: Path) -> dict[str, list[str]] | None:
    """SHA-256 of base weights -> names of the runs that stand on them, deleted ones that can come back included.

    Returns:
        None when a run's config cannot be read: then nobody can say that a base is needed no more.
    """
    uses, is_complete = find_weights_uses(home)
    if not is_complete:
        return None
    found: dict[str, list[str]] = {}
    for use in uses:
        if use.sha256:
            found.setdefault(use.sha256, []).append(use.folder_name)
    return found


def find_weights_uses(home: Path) -> tuple[list[WeightsUse], bool]:
    """Which weights every run begins with, deleted ones included, and whether every config could be read."""
    uses, is_complete = [], True
    for folder in _find_run_folders(home):
        try:
            uses.append(_read_weights_use(folder))
        except FileNotFoundError:  # gone meanwhile, or no run: one in the making has had its base looked at just now
            is_complete = is_complete and not (is_run_id(folder.name.partition(".")[0]) and folder.exists())
        except (OSError, ValueError, TypeError, AttributeError, MedPeftError):
            is_complete = False
    return uses, is_complete


def _read_weights_use(folder: Path) -> WeightsUse:
    """What a run in a folder, which may be in the trash or in the making, begins with."""
    values = read_json(folder / "config.json")
    config: RunConfig | PretrainConfig
    part: BackboneConfig | EncoderConfig
    if folder.parent.name == PRETRAINING_FOLDER or is_pretraining_id(folder.name.partition(".")[0]):
        config = pretrain_config = PretrainConfig.from_dict(values)
        part = pretrain_config.encoder
    else:
        config = run_config = RunConfig.from_dict(values)
        part = run_config.backbone
    return WeightsUse(
        folder_name=folder.name,
        backbone=part.name,
        weights=part.weights,
        sha256=part.weights_sha256,
        seed=config.train.seed,
    )


def _find_run_folders(home: Path) -> Iterator[Path]:
    """Every folder that may hold a run: named, being made, or in the trash; links lead elsewhere and count as well."""
    for parent in (*kind_folders(home), home / "trash"):
        with contextlib.suppress(FileNotFoundError):
            yield from (folder for folder in sorted(parent.iterdir()) if folder.is_dir())


def _describe(who: str, data: DataConfig, pixels_sha256: str | None) -> DataUse:
    return DataUse(
        who=who,
        dataset=data.dataset,
        root=_resolve(data.root),
        cache_size=data.cache_size,
        pixels_sha256=pixels_sha256,
    )


def _resolve(root: str | None) -> str | None:
    return str(Path(root).expanduser().resolve()) if root else None


def read_header(cache_folder: Path) -> dict[str, Any]:
    """The header of a pixel cache; empty where it cannot be read."""
    try:
        header = json.loads((cache_folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return header if isinstance(header, dict) else {}
