"""Work on the finding: tell what each cell takes, make the runs that are missing, follow them, tell the result."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medpeft_core.commands.console import (
    ProgressBar,
    describe_interval,
    describe_seconds,
    print_json,
    print_table,
    tell,
)
from medpeft_core.datasets.prepare import PreparedData, prepare_dataset
from medpeft_core.lessons.cells import Standing, find_runs, list_failures, list_missing, look, requeue, stop
from medpeft_core.lessons.forecast import forecast_cells
from medpeft_core.lessons.protocol import Cell, Protocol, Role, choose_rates, find_edges, load_protocol
from medpeft_core.runs.lanes import count_lanes
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.supervisor import Supervisor

LOOK_EVERY_S = 2.0
STOP_WAIT_S = 60.0
EXIT_STOPPED, EXIT_INCOMPLETE = 130, 1


def finding(*, is_short: bool, protocol_path: Path | None, store_to: Path | None, as_json: bool) -> int:
    """Make the reported runs, or what is missing of them, and tell the result.

    Args:
        is_short: only the part that `--short` stands for.
        protocol_path: another protocol than the lab's own.
        store_to: a folder for the runs without weights and the result, once all are finished; None for none.
        as_json: print the result as JSON on stdout.

    Returns:
        The exit code: 0 all cells are finished, 1 some failed, 130 stopped.

    Raises:
        MedPeftError: the protocol, the data or a run is not usable.
    """
    from medpeft_core.lessons.result import build_result  # scipy takes half a second
    from medpeft_core.lessons.stored import check_target, store_finding

    protocol, store = load_protocol(protocol_path), RunStore.open_default()
    if store_to is not None:
        check_target(store_to, store.home)  # before the work, not after it
    cells = protocol.list_cells(is_short=is_short)
    is_stopped = not _make(store, protocol, cells, role="reported")
    standing = look(store, protocol, cells)
    result = build_result(find_runs(store, standing), protocol, is_short=is_short)
    if result["cells_done"]:
        _tell_result(result)
    if store_to is not None and standing.is_done:
        store_finding(store, standing, result, protocol, store_to)
        tell(f"Stored without weights: {store_to}")
    if as_json:
        print_json(result)
    _tell_failures(store, protocol, standing, role="reported")
    return _exit_code(standing, is_stopped=is_stopped)


def search(*, protocol_path: Path | None, as_json: bool) -> int:
    """Try every learning rate of the protocol's grids on the development data, and tell which is best on val.

    Returns:
        As `finding`.
    """
    protocol, store = load_protocol(protocol_path), RunStore.open_default()
    cells = protocol.list_search_cells()
    is_stopped = not _make(store, protocol, cells, role="development")
    standing = look(store, protocol, cells, role="development")
    rows = []
    for item in standing.cells:
        if item.status == FINISHED and item.run_id:
            metrics = store.load(item.run_id).metrics() or {}
            cell = item.cell
            rows.append({"method": cell.method, "fraction": cell.fraction, "lr": cell.lr,
                         "val_auroc": metrics.get("val_auroc")})  # fmt: skip
    best, edges = choose_rates(rows), find_edges(rows, protocol)
    if not as_json:
        _print_search(rows, best)
    for sentence in edges:
        tell(sentence)
    if not standing.is_done:
        tell("Not all rates were tried, so the best of a method may be another one.")
    _tell_failures(store, protocol, standing, role="development")
    if as_json:
        print_json({"protocol": protocol.identity, "search": rows, "best": best, "edges": edges})
    return _exit_code(standing, is_stopped=is_stopped)


def _print_search(rows: Sequence[dict[str, Any]], best: Sequence[dict[str, Any]]) -> None:
    print_table(
        ("method", "labels", "learning rate", "val AUROC", ""),
        [
            (row["method"], f"{row['fraction']:.0%}", f"{row['lr']:g}", row["val_auroc"], "best" if row in best else "")
            for row in rows
        ],
        title="Development data, val, one run each",
    )


def _make(store: RunStore, protocol: Protocol, cells: Sequence[Cell], *, role: Role) -> bool:
    """Queue what is missing, and follow the cells until none is left; false when somebody pressed Ctrl-C."""
    standing = look(store, protocol, cells, role=role)
    if standing.is_done:
        tell(f"All {standing.num_all} runs are there already.")
        return True
    missing = list_missing(protocol, standing, role=role)
    with ProgressBar() as progress:
        prepared = prepare_dataset(protocol.build_config(cells[0], role=role).data, progress=progress)
    _tell_plan(protocol, standing, prepared, role=role)
    with ProgressBar() as progress:
        # heavy: torch and timm
        from medpeft_core.training.setup import set_up_runs

        set_up_runs(store, missing, progress=progress)
    requeue(store, standing)
    supervisor = Supervisor(store)
    supervisor.start()
    try:
        if supervisor.role != "leader":
            tell("An open app, or another command, takes the queued runs of this home; following it.")
        _follow(store, protocol, cells, role)
    except KeyboardInterrupt:
        _stop(store, protocol, cells, role)
        return False
    finally:
        supervisor.stop()
    return True


def _tell_plan(protocol: Protocol, standing: Standing, prepared: PreparedData, *, role: Role) -> None:
    """What there is to do, and how long each kind of run takes, before anything starts."""
    todo = [item for item in standing.cells if item.status != FINISHED]
    tell(f"{standing.num_done} of {standing.num_all} runs are finished. Measuring how fast this machine is.")
    known = standing.median_times_s()
    unknown = [item.cell for item in todo if (item.cell.method, item.cell.fraction) not in known]
    known |= forecast_cells([(cell, protocol.build_config(cell, role=role)) for cell in unknown], prepared)
    kinds: dict[tuple[str, float], int] = {}
    for item in todo:
        kind = (item.cell.method, item.cell.fraction)
        kinds[kind] = kinds.get(kind, 0) + 1
    for (method, fraction), count in kinds.items():
        seconds = known.get((method, fraction))
        each = f"about {describe_seconds(seconds)} each" if seconds is not None else "time not known yet"
        tell(f"  {method} at {fraction:.0%} of the labels: {count} runs, {each}")
    total = standing.estimate_s(known)
    if total is not None:
        tell(f"All of it: about {describe_seconds(total)}, {count_lanes(1)} at a time. Ctrl-C stops it; the same "
             "command goes on.")  # fmt: skip


def _follow(store: RunStore, protocol: Protocol, cells: Sequence[Cell], role: Role) -> None:
    standing = look(store, protocol, cells, role=role)
    told = {item.cell.key for item in standing.cells if item.status == FINISHED}
    while True:
        standing = look(store, protocol, cells, role=role)
        for item in standing.cells:
            if item.status == FINISHED and item.cell.key not in told:
                told.add(item.cell.key)
                left = standing.estimate_s()
                eta = f", about {describe_seconds(left)} left" if left else ""
                is_told = item.test_auroc is not None and role == "reported"
                auroc = f": test AUROC {item.test_auroc:.3f}" if is_told else ""
                tell(f"{standing.num_done} of {standing.num_all} {item.cell.key}{auroc}{eta}")
        if not standing.is_working:
            return
        time.sleep(LOOK_EVERY_S)


def _stop(store: RunStore, protocol: Protocol, cells: Sequence[Cell], role: Role) -> None:
    tell("Stopping: waiting runs leave the queue, those at work save a checkpoint.")
    give_up_at = time.monotonic() + STOP_WAIT_S
    stop(store, look(store, protocol, cells, role=role))
    while look(store, protocol, cells, role=role).is_working and time.monotonic() < give_up_at:
        time.sleep(LOOK_EVERY_S / 4)
    tell("Stopped. The same command goes on from here.")


def _tell_result(result: dict[str, Any]) -> None:
    titles = {item["method"]: item["title"] for item in result["methods"]}
    rows = [
        (titles[item["method"]], f"{item['fraction']:.0%}", item["num_seeds"],
         describe_interval(item["mean"], item["low"], item["high"]))
        for item in result["points"]
        if item["label"] == "macro"
    ]  # fmt: skip
    for title, share, num_seeds, auroc in rows:
        tell(f"  {title}, {share} of the labels, {num_seeds} seeds: test AUROC {auroc}")
    tell(result["words"])
    synthetic = "Synthetic images. " if result["is_synthetic"] else ""
    tell(f"{synthetic}Research and teaching only, not for clinical use.")


def _tell_failures(store: RunStore, protocol: Protocol, standing: Standing, *, role: Role) -> None:
    failed = list_failures(store, protocol, standing, role=role)
    if failed:
        count = "One run" if len(failed) == 1 else f"{len(failed)} runs"
        tell(f"{count} failed; the newest, {failed[0].run_id}, says: {failed[0].state().error}")
        tell("The same command makes new ones in their place. Nothing is stored until all are finished.")


def _exit_code(standing: Standing, *, is_stopped: bool) -> int:
    if standing.is_done:
        return 0
    return EXIT_STOPPED if is_stopped else EXIT_INCOMPLETE
