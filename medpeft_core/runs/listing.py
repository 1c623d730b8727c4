"""One line about each run, cached in the index so that a page with many runs reads few files. Light."""

import contextlib
import os
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from medpeft_core.errors import RunError
from medpeft_core.runs.run import Run
from medpeft_core.runs.run_ids import is_run_id
from medpeft_core.runs.states import FINISHED_STATES
from medpeft_core.runs.store import RunStore
from medpeft_core.runs.tail import START, HistoryTail, LogPosition

LINE_VERSION = 2  # another number makes every kept line be made anew
MAX_CURVE_POINTS = 30
DAY_S = 86_400.0
_FILES = ("config.json", "provenance.json", "state.json", "meta.json", "metrics.json", "events.jsonl")
_STATE_KEYS = (
    "status", "phase", "epoch", "epochs", "step", "num_steps", "eta_s", "device", "error", "updated_at",
)  # fmt: skip
_SIZE_KEYS = ("num_train_images", "num_params", "num_trainable_params")
_EVAL_KEYS = ("type", "step", "split", "val_auroc")


class _Found(NamedTuple):
    """A run with what the system says about its files, by name."""

    run: Run
    files: dict[str, os.stat_result]

    def fingerprint(self) -> str:
        """Changes with the files that a line is made of; what stands for the events comes last."""
        stats = (self.files.get(name) for name in _FILES)
        marks = ("-" if stat is None else f"{stat.st_mtime_ns}.{stat.st_size}" for stat in stats)
        return " ".join((str(LINE_VERSION), *marks))

    def age(self) -> tuple[str, int, str]:
        written = self.files.get("provenance.json")  # the name tells the minute only
        return self.run.run_id[:13], written.st_mtime_ns if written else 0, self.run.run_id


def list_summaries(store: RunStore) -> list[dict[str, Any]]:
    """A plain dict for each run, newest first.

    Each has `run_id, created_at` (unix seconds), `status, phase, epoch, epochs, step, num_steps, eta_s, device, error,
    updated_at, dataset, data_is_synthetic, fraction, num_train_images, backbone, weights, image_size, method, knobs,
    num_params, num_trainable_params, seed, tags, notes, owner`, `curve` (val AUROC of the run in its present form, at
    most 30 values, the last one included, None where it did not exist) and `metrics` (the plain numbers and texts at
    the top of metrics.json). A damaged run has `run_id`, `created_at`, an empty `curve`, `status` None and the message
    in `error`.
    """
    known: dict[str, tuple[str, dict[str, Any]]] = {}
    with contextlib.suppress(RunError):  # without the cache, on a full disk, the listing is slower and still right
        known = store.index.listing()
    summaries, changed = [], []
    for found in sorted(_scan(store.runs_dir), key=_Found.age, reverse=True):
        run_id, fingerprint = found.run.run_id, found.fingerprint()
        kept_fingerprint, line = known.get(run_id, ("", {}))
        if fingerprint != kept_fingerprint:
            line = line if kept_fingerprint.startswith(f"{LINE_VERSION} ") else {}
            has_same_events = fingerprint.rpartition(" ")[2] == kept_fingerprint.rpartition(" ")[2]
            line = _make_line(found.run, line, has_same_events=has_same_events)
            changed.append((run_id, fingerprint, line))
        summaries.append(line["summary"])
    if changed:
        with contextlib.suppress(RunError):
            store.index.save_listings(changed)
    return summaries


def summarise(run: Run) -> dict[str, Any]:
    """The line about one run without its curve, read from its files."""
    named = {"run_id": run.run_id, "created_at": _find_creation(run)}
    try:
        state, config, meta, metrics = run.state(), run.config(), run.meta(), run.metrics() or {}
        provenance = run.provenance()
    except RunError as error:
        return {**named, "status": None, "error": str(error)}
    sizes = {**provenance, **metrics.get("training", {})}
    return {
        **named,
        **{name: getattr(state, name) for name in _STATE_KEYS},
        "dataset": config.data.dataset,
        "data_is_synthetic": provenance.get("is_synthetic"),
        "fraction": config.data.fraction,
        "backbone": config.backbone.name,
        "weights": config.backbone.weights,
        "image_size": config.backbone.image_size,
        "method": config.method.name,
        "knobs": config.method.knobs,
        **{name: sizes.get(name) for name in _SIZE_KEYS},
        "seed": config.train.seed,
        **{name: meta[name] for name in ("tags", "notes", "owner")},
        "metrics": {
            name: value for name, value in metrics.items() if value is None or isinstance(value, int | float | str)
        },
    }


def thin_curve(values: list[float | None], max_points: int) -> list[float | None]:
    """At most `max_points` of the values, evenly spread, the first and the last among them."""
    if len(values) <= max_points:
        return values
    return [values[round(at * (len(values) - 1) / (max_points - 1))] for at in range(max_points)]


def _make_line(run: Run, kept: dict[str, Any], *, has_same_events: bool) -> dict[str, Any]:
    """What is kept of a run: its summary, and while it is at work how far its events were read and what they told."""
    summary = summarise(run)
    if summary.get("status") is None:
        return {"summary": {**summary, "curve": []}}
    if has_same_events and "evals" in kept:
        followed, curve = {"position": kept["position"], "evals": kept["evals"]}, kept["summary"]["curve"]
    else:
        tail = HistoryTail(
            run.events_path,
            position=LogPosition(*kept.get("position", START)),
            history=kept.get("evals", ()),
            types=("eval",),
        )
        evals = [{key: event.get(key) for key in _EVAL_KEYS} for event in tail.read() if event["type"] == "eval"]
        followed = {"position": tail.position, "evals": evals}
        curve = thin_curve([event["val_auroc"] for event in evals], MAX_CURVE_POINTS)
    if summary["status"] in FINISHED_STATES:  # every listing reads what is kept, and a finished run's are not wanted
        followed = {"position": START, "evals": []}
    return {"summary": {**summary, "curve": curve}, **followed}


def _scan(runs_dir: Path) -> list[_Found]:
    """The runs in a folder with one look into each; folders of other origin or half made are left out."""
    try:
        with os.scandir(runs_dir) as entries:
            names = [entry.name for entry in entries if is_run_id(entry.name)]
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # deleted meanwhile, or a plain file
            found.append(_Found(Run(runs_dir / name), _stat_files(runs_dir / name)))
    return [item for item in found if "config.json" in item.files or "state.json" in item.files]


def _stat_files(folder: Path) -> dict[str, os.stat_result]:
    with os.scandir(folder) as entries:  # on Windows this needs no further call for each file
        return {entry.name: entry.stat() for entry in entries if entry.name in _FILES}


def _find_creation(run: Run) -> float | None:
    """When the run was made: to the second by a file written then, unless that was copied; else by its name."""
    try:
        named = datetime.strptime(run.run_id[:13], "%Y%m%d-%H%M").timestamp()
    except ValueError:  # a name with a month 13
        named = None
    try:
        written = run.provenance_path.stat().st_mtime
    except OSError:
        return named
    return written if named is None or abs(written - named) < DAY_S else named  # names are in local time of anywhere
