"""A small protocol of the first lesson and stored runs for its cells, made up in milliseconds, for page tests."""

import json
from pathlib import Path
from typing import Any

from finding_data import make_finding
from stored_runs import make_run

from medpeft_core.lessons.protocol import PROTOCOL_PATH, Cell, Protocol, load_protocol
from medpeft_core.lessons.stored import StoredFinding
from medpeft_core.runs.run import Run

MADE_AT = 1_790_000_000.0
RATES = {"linear": 0.03, "lora": 0.003, "full": 0.0003, "full_random": 0.0003}
QUALITIES = {"linear": 0.7, "lora": 1.0, "full": 0.9, "full_random": 0.3}


def make_protocol(folder: Path) -> Protocol:
    """The lab's own with two seeds and some learning rates: 24 cells, of which 8 are short."""
    values = json.loads(PROTOCOL_PATH.read_text(encoding="utf-8"))
    for part in values["fractions"]:
        part["seeds"] = [1, 2]
    for name, method in values["methods"].items():
        method["lr"] = {f"{part['fraction']:g}": RATES[name] for part in values["fractions"]}
    values["short"]["num_seeds"] = 2
    path = folder / "protocol.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    return load_protocol(path)


def make_cell_run(home: Path, protocol: Protocol, cell: Cell, *, status: str = "finished", **options: Any) -> Run:
    """A stored run that belongs to a cell."""
    settings = protocol.build_config(cell).to_dict()
    settings.pop("schema_version")
    epochs = settings["train"]["epochs"]
    done = epochs if status == "finished" else 0 if status == "queued" else 1
    return make_run(
        home,
        status=status,
        epochs_done=done,
        epochs=epochs,
        method=settings["method"]["name"],
        backbone=settings["backbone"]["name"],
        fraction=cell.fraction,
        seed=cell.seed,
        settings=settings,
        **{"quality": QUALITIES[cell.method] + cell.fraction + cell.seed / 20, **options},
    )


def make_cell_runs(home: Path, protocol: Protocol, *, finished: int, others: dict[int, str] | None = None) -> list[Run]:
    """The first `finished` cells of the short version, and others by their number with a status."""
    cells = protocol.list_cells(is_short=True)
    runs = [make_cell_run(home, protocol, cell) for cell in cells[:finished]]
    for number, status in (others or {}).items():
        device = "cpu:0" if status != "running" else f"cpu:{number % 2}"
        runs.append(make_cell_run(home, protocol, cells[number], status=status, device=device))
    return runs


def make_stored(folder: Path, *, runs: dict[str, Run] | None = None, **options: Any) -> StoredFinding:
    """A stored result of `make_finding`."""
    result = {**make_finding(**options), "made_at": MADE_AT, "device_name": "Test CPU", "packages": {"torch": "2.15.0"}}
    return StoredFinding(folder=folder, result=result, runs=runs or {})
