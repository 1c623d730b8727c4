"""A report for whoever mends the lab: versions, devices, sizes, the last failure; nothing about people. Light.

Whatever comes from a file or a person goes through `redaction.py` first.
"""

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medpeft_core import __version__
from medpeft_core.errors import RunError
from medpeft_core.housekeeping.inventory import Inventory
from medpeft_core.housekeeping.redaction import redact_text, redact_value
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FAILED, INTERRUPTED
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.compute_child import LOG_FILE
from medpeft_core.worker.jobs import JobStore

TAIL_LINES = 40
TAIL_BYTES = 16_000
PROMISE = (
    "This report was made on the computer of its sender. It holds no patient ids or pseudonyms, no names of images, "
    "people, folders or computers, no notes, tags or owners. Words that the lab does not know are shown as <…>."
)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the caller found out about this machine.

    Attributes:
        packages: name -> version, None where one is missing.
        devices: each with `name`, `title` and `memory_bytes`.
        doctor: what `doctor --json` said, if it was asked.
        role: of the supervisor: "leader" or "viewer".
        problem: what keeps queued runs from starting.
    """

    packages: Mapping[str, str | None]
    devices: Sequence[Mapping[str, Any]]
    doctor: Mapping[str, Any] | None = None
    role: str = ""
    problem: str | None = None


def build_bug_report(home: Path, surroundings: Surroundings, inventory: Inventory | None = None) -> str:
    """The whole report as Markdown, as it will be sent.

    Args:
        home: the lab's folder.
        surroundings: see there.
        inventory: sizes of the home, if they were measured.
    """
    store = RunStore(home)
    sections = [
        "# Bug report of MedPEFT Lab",
        PROMISE,
        _write_versions(surroundings),
        _write_devices(surroundings),
        _write_home(store, inventory),
        _write_failure(store),
        _write_job(JobStore(home)),
        _write_log("Last lines of the compute process", home / LOG_FILE),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _write_versions(surroundings: Surroundings) -> str:
    lines = [
        f"- MedPEFT Lab {__version__}",
        f"- Python {platform.python_version()} ({platform.python_implementation()})",
        f"- {platform.system()} {platform.release()} on {platform.machine()}",
        *(f"- {name} {version or 'missing'}" for name, version in surroundings.packages.items()),
    ]
    return _join("## Versions", lines)


def _write_devices(surroundings: Surroundings) -> str:
    lines = [f"- {item['name']}: {item['title']}, {_write_size(item['memory_bytes'])}" for item in surroundings.devices]
    doctor = surroundings.doctor
    if doctor is not None:
        torch = doctor.get("torch") or {}
        build = torch.get("cuda_build")
        lines.append(f"- torch {torch.get('version', 'missing')}, {f'CUDA {build}' if build else 'without CUDA'}")
        lines += [f"- problem: {redact_text(problem)}" for problem in doctor.get("problems", ())]
    lines.append(f"- this server {'starts the queued runs' if surroundings.role == 'leader' else 'only watches'}")
    if surroundings.problem:
        lines.append(f"- queued runs cannot be started: {redact_text(surroundings.problem)}")
    return _join("## Devices and queue", lines)


def _write_home(store: RunStore, inventory: Inventory | None) -> str:
    lines = [
        f"- runs: {_count_states(store.list_runs())}",
        f"- pre-trainings: {_count_states(store.list_pretrainings())}",
    ]
    lines.append(f"- deleted runs that can come back: {len(store.list_deleted())}")
    for part in inventory.parts if inventory is not None else ():
        where = " (a link to another place)" if part.is_link else ""
        lines.append(f"- {part.title}: {_write_size(part.size.num_bytes)} in {part.size.num_files} files{where}")
    if inventory is not None:
        lines.append(f"- pixel caches: {len(inventory.caches)}, base weights: {len(inventory.bases)}")
    return _join("## Home folder", lines)


def _count_states(runs: Sequence[Run]) -> str:
    counts: Counter[str] = Counter()
    for run in runs:
        try:
            counts[run.status] += 1
        except RunError:
            counts["damaged"] += 1
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"


def _write_failure(store: RunStore) -> str:
    run = _find_last_failure(store)
    if run is None:
        return _join("## Last failed run", ["None has failed."])
    state = run.state()
    lines = [f"{run.run_id}, {state.status} at epoch {state.epoch or 0} of {state.epochs or '?'}", ""]
    lines += [redact_text(state.error or "No reason was written."), ""]
    traceback = next((event.get("traceback") for event in reversed(run.events()) if event.get("traceback")), None)
    if traceback:
        lines += _fence(redact_text(str(traceback)))
    try:
        config = redact_value(run.any_config().to_dict())
        lines += ["", "Its settings:", "", *_fence(json.dumps(config, indent=1, ensure_ascii=False), "json")]
    except RunError as error:
        lines += ["", redact_text(str(error))]
    lines += ["", "Last lines of its log:", "", *_fence(redact_text(_read_tail(run.log_path)))]
    return _join("## Last failed run", lines)


def _find_last_failure(store: RunStore) -> Run | None:
    """The run of either kind that ended badly last; damaged ones tell nothing."""
    failed = []
    for run in store.list_all():
        try:
            state = run.state()
        except RunError:
            continue
        if state.status in (FAILED, INTERRUPTED):
            failed.append((state.status == FAILED, state.updated_at, run))
    return max(failed, key=lambda item: item[:2])[2] if failed else None


def _write_job(jobs: JobStore) -> str:
    job = next((job for job in jobs.list_jobs() if job.state().status in (FAILED, INTERRUPTED)), None)
    if job is None:
        return ""
    state = job.state()
    lines = [f"A {job.kind} job, {state.status} while {redact_text(state.what)}.", "", redact_text(state.error or "")]
    return _join("## Last failed job", [*lines, "", *_fence(redact_text(_read_tail(job.log_path)))])


def _write_log(title: str, path: Path) -> str:
    return _join(f"## {title}", _fence(redact_text(_read_tail(path))))


def _read_tail(path: Path) -> str:
    """The last lines of a log; empty where there is none."""
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(file.tell() - TAIL_BYTES, 0))
        text = file.read().decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def _fence(text: str, language: str = "text") -> list[str]:
    return [f"```{language}", text.replace("```", "'''") or "(empty)", "```"]


def _join(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, "", *lines])


def _write_size(num_bytes: float | None) -> str:
    return "unknown" if num_bytes is None else f"{num_bytes / 1e6:,.0f} MB"
