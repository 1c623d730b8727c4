"""One line about each run, cached in the index so that a page with many runs reads few files."""

import contextlib
from pathlib import Path
from typing import Any

from medpeft_core.errors import RunError
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore


def list_summaries(store: RunStore) -> list[dict[str, Any]]:
    """A plain dict for each run, newest first.

    Each has `run_id, status, phase, epoch, epochs, device, error, updated_at, dataset, fraction, backbone, weights,
    method, knobs, seed, tags, notes, owner` and `metrics` (the plain numbers and texts at the top of metrics.json). A
    damaged run has `run_id`, `status` None and the message in `error`.
    """
    known: dict[str, tuple[str, dict[str, Any]]] = {}
    with contextlib.suppress(RunError):  # without the cache, on a full disk, the listing is slower and still right
        known = store.index.listing()
    summaries = []
    for run in store.list_runs():
        fingerprint = _fingerprint(run)
        kept_fingerprint, summary = known.get(run.run_id, ("", {}))
        if fingerprint != kept_fingerprint:
            summary = summarise(run)
            with contextlib.suppress(RunError):
                store.index.save_listing(run.run_id, fingerprint, summary)
        summaries.append(summary)
    return summaries


def summarise(run: Run) -> dict[str, Any]:
    """The line about one run, read from its files."""
    try:
        state, config, meta, metrics = run.state(), run.config(), run.meta(), run.metrics() or {}
    except RunError as error:
        return {"run_id": run.run_id, "status": None, "error": str(error)}
    shown = ("status", "phase", "epoch", "epochs", "device", "error", "updated_at")
    return {
        "run_id": run.run_id,
        **{name: getattr(state, name) for name in shown},
        "dataset": config.data.dataset,
        "fraction": config.data.fraction,
        "backbone": config.backbone.name,
        "weights": config.backbone.weights,
        "method": config.method.name,
        "knobs": config.method.knobs,
        "seed": config.train.seed,
        **{name: meta[name] for name in ("tags", "notes", "owner")},
        "metrics": {
            name: value for name, value in metrics.items() if value is None or isinstance(value, int | float | str)
        },
    }


def _fingerprint(run: Run) -> str:
    return "-".join(
        str(_changed_ns(path)) for path in (run.state_path, run.config_path, run.meta_path, run.metrics_path)
    )


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
