"""Every file of weights in a home: the shelf, the bases of runs, downloads; who uses each, and what may go. Light."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medpeft_core.backbones.known_weights import KNOWN_WEIGHTS
from medpeft_core.backbones.shelf import (
    SHELF_PREFIX,
    ShelfEntry,
    find_on_shelf,
    list_shelf,
    lock_shelf,
    shelf_file,
    take_off_shelf,
)
from medpeft_core.errors import BackboneError, RunError
from medpeft_core.housekeeping.downloads import Download, list_downloads
from medpeft_core.housekeeping.inventory import BaseInfo, list_bases
from medpeft_core.housekeeping.usage import WeightsUse, find_weights_uses
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.jobs import JobStore

SHELF, BASE, DOWNLOAD = "shelf", "base", "download"
PARTS = ("backbone", "encoder")  # of the configs of runs and of pre-trainings


@dataclass(frozen=True, kw_only=True)
class WeightsRow:
    """One file of weights, or one download of a repository.

    Attributes:
        kind: `SHELF`, `BASE` (what a run was trained on, kept for it) or `DOWNLOAD` (fetched by timm).
        name: of the entry on the shelf; SHA-256 of a base; OWNER/NAME of a download.
        title: for people.
        backbones: timm names.
        source: where it came from, in a few words.
        sha256: of the file; "" where only reading all of it would tell.
        num_bytes: on the disk.
        licence: as its source states it; "" where nothing tells.
        reference: paper or address; "" where nothing tells.
        revision: commit of a download; "" for the rest.
        since: unix seconds: added, stored or last asked for, downloaded.
        run_ids: runs of both kinds that begin with it; a deleted one that can come back has the time of that behind a
            dot. None where a damaged run keeps that from being told.
        stays: why it cannot be removed now, as a sentence; "" where it can.
    """

    kind: str
    name: str
    title: str
    backbones: tuple[str, ...]
    source: str
    sha256: str
    num_bytes: int
    licence: str = ""
    reference: str = ""
    revision: str = ""
    since: float = 0.0
    run_ids: tuple[str, ...] | None = ()
    stays: str = ""

    @property
    def can_go(self) -> bool:
        """Whether it can be removed now."""
        return not self.stays

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with `can_go`."""
        return {**asdict(self), "can_go": self.can_go}


def list_weights(home: Path) -> list[WeightsRow]:
    """Every file of weights: the shelf by name, then the bases of runs, then downloads."""
    uses, is_complete = find_weights_uses(home)
    needed = _find_needed(home)
    rows = [_describe_entry(entry, uses, needed.get(entry.name)) for entry in list_shelf(home)]
    rows += [_describe_base(info, uses) for info in list_bases(home)]
    rows += [_describe_download(item, uses, is_complete) for item in list_downloads(home)]
    return rows


def find_shelf_uses(home: Path) -> dict[str, tuple[str, ...]]:
    """Name on the shelf -> ids of the runs and pre-trainings that begin with it, deleted ones included."""
    found: dict[str, list[str]] = {}
    for use in find_weights_uses(home)[0]:
        if use.weights.startswith(SHELF_PREFIX):
            found.setdefault(use.weights.removeprefix(SHELF_PREFIX), []).append(use.folder_name)
    return {name: tuple(run_ids) for name, run_ids in found.items()}


def remove_from_shelf(home: Path, name: str) -> int:
    """Delete weights from the shelf. Runs that were trained on them keep their own copy, below `<home>/weights`.

    Returns:
        The bytes that are free now.

    Raises:
        BackboneError: no such entry, or a run that is queued or at work, or a job, names it; or the system keeps it.
    """
    find_on_shelf(home, name)
    with lock_shelf(home):
        find_on_shelf(home, name)  # again: another process may have taken it meanwhile
        holder = _find_needed(home).get(name)
        if holder is not None:
            raise BackboneError(f"The weights {name!r} stay on the shelf: {holder} needs them. Stop it, or let it end.")
        try:
            return take_off_shelf(home, name)
        except OSError as error:  # Windows refuses while a process reads them
            path = shelf_file(home, name)
            raise BackboneError(
                f"The weights {name!r} cannot be removed: {error}. Close the programs that use {path}."
            ) from error


def _find_needed(home: Path) -> dict[str, str]:
    """Name on the shelf -> who is about to read it, in words."""
    found: dict[str, str] = {}
    for run in RunStore(home).list_all():
        with contextlib.suppress(RunError):  # a damaged run is not at work
            if not run.is_finished:
                config = run.any_config().to_dict()
                _note(found, [config], f"the run {run.run_id}, which is {run.status},")
    for job in JobStore(home).list_jobs():
        if not job.is_finished:
            request = job.request()
            _note(found, request.configs or (), f"the job “{request.title}”")
    return found


def _note(found: dict[str, str], configs: Sequence[dict[str, Any]], who: str) -> None:
    for config in configs:
        for part in PARTS:
            weights = str(config.get(part, {}).get("weights", ""))
            if weights.startswith(SHELF_PREFIX):
                found.setdefault(weights.removeprefix(SHELF_PREFIX), who)


def _describe_entry(entry: ShelfEntry, uses: list[WeightsUse], holder: str | None) -> WeightsRow:
    is_known = entry.known_as in KNOWN_WEIGHTS
    return WeightsRow(
        kind=SHELF,
        name=entry.name,
        title=KNOWN_WEIGHTS[entry.known_as].title if is_known else entry.name,
        backbones=(entry.backbone,),
        source=entry.source,
        sha256=entry.sha256,
        num_bytes=entry.num_bytes,
        licence=entry.licence,
        reference=entry.reference,
        since=entry.added_at,
        run_ids=tuple(use.folder_name for use in uses if use.weights == f"{SHELF_PREFIX}{entry.name}"),
        stays=f"It stays: {holder} needs it." if holder is not None else "",
    )


def _describe_base(info: BaseInfo, uses: list[WeightsUse]) -> WeightsRow:
    own = [use for use in uses if use.sha256 == info.sha256]
    if info.run_ids is None:
        stays = "It stays: the settings of a run are damaged, so nobody can tell whether that run needs it."
    elif info.run_ids:
        stays = "It stays: without it the adapters of its runs are worthless."
    else:
        stays = "" if info.is_unused else "It stays for an hour: a run that needs it may be in the making."
    return WeightsRow(
        kind=BASE,
        name=info.sha256,
        title=f"Base of {_count(len(own), 'run')}" if own else "Base of no run",
        backbones=tuple(sorted({use.backbone for use in own})),
        source=", ".join(sorted({_say_source(use) for use in own})),
        sha256=info.sha256,
        num_bytes=info.num_bytes,
        since=info.used_at,
        run_ids=info.run_ids,
        stays=stays,
    )


def _describe_download(item: Download, uses: list[WeightsUse], is_complete: bool) -> WeightsRow:
    backbone = item.repo.partition("/")[2]
    own = [use for use in uses if use.weights == "pretrained" and use.backbone in (backbone, backbone.split(".")[0])]
    return WeightsRow(
        kind=DOWNLOAD,
        name=item.repo,
        title=backbone,
        backbones=(backbone,),
        source=f"hf:{item.repo}",
        sha256="",
        num_bytes=item.num_bytes,
        revision=item.revision,
        since=item.downloaded_at,
        run_ids=tuple(use.folder_name for use in own) if is_complete else None,
        stays="It stays: timm looks for it there, and the next run may find no network.",
    )


def _say_source(use: WeightsUse) -> str:
    if use.weights == "random":
        return f"random, seed {use.seed}"
    if use.weights in ("demo", "pretrained") or use.weights.startswith(SHELF_PREFIX):
        return use.weights
    return f"the file {Path(use.weights).name}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
