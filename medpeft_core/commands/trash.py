"""Deleted runs: move one to the trash, list what is there, bring one back."""

import time
from datetime import datetime
from typing import Any

from medpeft_core.commands.console import print_json, print_table, tell
from medpeft_core.runs.store import RunStore
from medpeft_core.runs.trash import DAY_S, KEEP_DAYS


def delete_run(run_id: str, *, for_good: bool, as_json: bool) -> None:
    """Move a run to the trash, or remove it for good; base weights stay, other runs may use them.

    Raises:
        RunError: there is no such run, or it is running.
    """
    store = RunStore.open_default()
    run = store.load(run_id)
    deleted = store.delete(run.run_id)
    if for_good:
        store.purge_deleted([run.run_id])
        tell(f"Deleted {run.run_id} for good.")
    else:
        until = datetime.fromtimestamp(deleted.kept_until).strftime("%Y-%m-%d %H:%M")
        tell(
            f"Moved {run.run_id} to the trash, where it keeps its space until {until}. "
            f"To bring it back: python -m medpeft_core restore {run.run_id}"
        )
    if as_json:
        print_json(
            {
                "run_id": run.run_id,
                "deleted": True,
                "trash_dir": None if for_good else str(deleted.folder),
                "kept_until": None if for_good else deleted.kept_until,
            }
        )


def restore_run(run_id: str, *, as_json: bool) -> None:
    """Bring a deleted run back from the trash.

    Args:
        run_id: its name, or a part of it that no other deleted run has.
        as_json: print what was brought back.

    Raises:
        RunError: it is not there, several fit, or a run of that name exists.
    """
    store = RunStore.open_default()
    run = store.restore(store.trash.search(run_id).run_id)
    tell(f"Brought {run.run_id} back.")
    if as_json:
        print_json({"run_id": run.run_id, "restored": True})


def list_deleted(*, as_json: bool) -> None:
    """Print the runs in the trash, the last deleted first, with the days that are left and their size."""
    found: list[dict[str, Any]] = [
        {
            "run_id": item.run_id,
            "deleted_at": item.deleted_at,
            "kept_until": item.kept_until,
            "num_bytes": item.measure(),
        }
        for item in RunStore.open_default().list_deleted()
    ]
    if as_json:
        print_json({"deleted": found})
        return
    if not found:
        tell(f"The trash is empty. Deleted runs are kept there for {KEEP_DAYS} days.")
        return
    rows = [
        (
            item["run_id"],
            datetime.fromtimestamp(item["deleted_at"]).strftime("%Y-%m-%d %H:%M"),
            f"{max(0.0, item['kept_until'] - time.time()) / DAY_S:.1f}",
            f"{item['num_bytes'] / 1e6:.1f} MB",
        )
        for item in found
    ]
    print_table(("run", "deleted", "days left", "size"), rows, title="Deleted runs")
    print("To bring one back: python -m medpeft_core restore NAME")
