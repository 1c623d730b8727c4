"""The finding's runs without their weights, as they ship with the lab: written by the command, read by the page. Light.

<folder>/protocol.json          what decided the runs
<folder>/result.json            what `result.build_result` computed from them
<folder>/cells.json             key of each cell to the name of its run
<folder>/runs/<run_id>/         config, state, provenance, events, metrics, predictions
"""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from medpeft_core.errors import RunError
from medpeft_core.lessons.cells import Standing, find_runs
from medpeft_core.lessons.protocol import PROTOCOL_PATH, Protocol
from medpeft_core.paths import ensure_dir, read_json, write_json
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore

STORED_DIR = PROTOCOL_PATH.parent
KEPT_FILES = ("config.json", "metrics.json")
KEPT_EVENTS = ("eval", "epoch")  # steps would be most of the bytes, and no page shows them of a stored run
KEPT_STATE = ("status", "epoch", "epochs", "step", "num_steps", "updated_at")
LEFT_OUT = ("platform",)  # of the provenance: names the machine's system, and explains no number


@dataclass(frozen=True, kw_only=True)
class StoredFinding:
    """What ships.

    Attributes:
        folder: where it lies.
        result: as `result.build_result` gave it.
        runs: key of each cell to its run, in the order of the cells.
    """

    folder: Path
    result: dict[str, Any]
    runs: dict[str, Run]

    @property
    def made_at(self) -> float:
        """When it was stored, in unix seconds."""
        return float(self.result["made_at"])


def load_stored(folder: Path = STORED_DIR) -> StoredFinding | None:
    """The stored result; None where none was made yet.

    Raises:
        RunError: a file is damaged.
    """
    path = folder / "result.json"
    if not path.is_file():
        return None
    try:
        result, cells = read_json(path), read_json(folder / "cells.json")
        runs = {key: Run(folder / "runs" / run_id) for key, run_id in cells.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(
            f"The stored result in {folder} cannot be read: {error}. Put back the lab's own files, or make it again: "
            "python -m medpeft_core finding --store FOLDER"
        ) from error
    return StoredFinding(folder=folder, result=result, runs=runs)


def check_target(folder: Path, home: Path) -> None:
    """Refuse a folder in which storing a result would remove what is none: a home, or somebody's own `runs`.

    Raises:
        RunError: says what is there.
    """
    is_home = folder.resolve() == home.resolve() or (folder / "lab.sqlite").exists()
    has_others = (folder / "runs").exists() and not (folder / "result.json").is_file()
    if is_home or has_others:
        what = "is the home of a lab" if is_home else "holds a folder `runs` that is no stored result"
        raise RunError(f"{folder} {what}, which would be replaced. Name a new folder with --store.")


def store_finding(
    store: RunStore, standing: Standing, result: dict[str, Any], protocol: Protocol, folder: Path
) -> None:
    """Copy the finished runs of a finding without weights, beside its result; an older one there is replaced.

    Args:
        store: of the runs.
        standing: all of whose cells are finished.
        result: computed from them.
        protocol: whose cells they are.
        folder: made where it is missing.

    Raises:
        RunError: a cell is not finished, or a run is damaged.
    """
    if not standing.is_done:
        raise RunError(
            f"{standing.num_all - standing.num_done} runs are not finished, so the result would be incomplete. Let "
            "`python -m medpeft_core finding` end first."
        )
    check_target(folder, store.home)
    runs = find_runs(store, standing)
    draft = ensure_dir(folder) / ".runs.new"
    shutil.rmtree(draft, ignore_errors=True)
    for run in runs.values():
        copy_without_weights(run, draft / run.run_id)
    (folder / "result.json").unlink(missing_ok=True)  # written last: what was interrupted is no result
    shutil.rmtree(folder / "runs", ignore_errors=True)
    draft.rename(folder / "runs")
    if not (folder / "protocol.json").is_file() or read_json(folder / "protocol.json") != protocol.source:
        write_json(folder / "protocol.json", protocol.source)
    write_json(folder / "cells.json", {key: run.run_id for key, run in runs.items()})
    provenance = next(iter(runs.values())).provenance()
    write_json(
        folder / "result.json",
        {**result, "made_at": time.time(), "device_name": provenance.get("device_name"),
         "lab_version": provenance.get("lab_version"), "packages": provenance.get("packages")},
    )  # fmt: skip


def copy_without_weights(run: Run, target: Path) -> None:
    """A finished run as it ships: without weights, steps, and what tells of the machine it was made on."""
    ensure_dir(target / "predictions")
    for name in KEPT_FILES:
        shutil.copyfile(run.folder / name, target / name)
    provenance = {name: value for name, value in run.provenance().items() if name not in LEFT_OUT}
    write_json(target / "provenance.json", provenance)
    state = run.state().to_dict()
    write_json(target / "state.json", {name: state.get(name) for name in KEPT_STATE})
    lines = [json.dumps(event) for event in run.events() if event.get("type") in KEPT_EVENTS]
    (target / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for split in ("val", "test"):
        table = pd.read_parquet(run.predictions_dir / f"{split}.parquet")
        path = target / "predictions" / f"{split}.parquet"
        for name in table.columns:
            if name.startswith("target_"):
                table[name] = table[name].astype("float32")
        table.to_parquet(path, index=False, compression="zstd", compression_level=19)
