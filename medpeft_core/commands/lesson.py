"""Work on a lesson with one run: train it, ask it again with the marker painted over, tell what comes out."""

from pathlib import Path
from typing import Any

from medpeft_core.commands.console import ProgressBar, describe_interval, print_json, print_table, tell
from medpeft_core.commands.follow import work_on
from medpeft_core.commands.train import WORDS
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.errors import RunError, UnknownNameError
from medpeft_core.explain.masked_files import read_masked
from medpeft_core.lessons.shortcut import COMMAND, FINDING, build_config, find_run, list_runs
from medpeft_core.lessons.shortcut_result import build_result
from medpeft_core.lessons.shortcut_stored import Outcome, store_outcome
from medpeft_core.lessons.stored import check_target
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore

LESSONS = ("shortcut",)
VERSION_NAMES = {"original": "as it is", "masked": "marker painted over", "control": "other side painted over"}


def lesson(name: str, *, again: bool, store_to: Path | None, as_json: bool) -> int:
    """Train the lesson's run where there is none, or go on with one that was stopped; then tell its result.

    Args:
        name: one of `LESSONS`.
        again: train a new run although one is finished.
        store_to: a folder for the run without weights and the result; None for none.
        as_json: print the result as JSON on stdout.

    Returns:
        The exit code: 0 the result is there, 1 the run failed, 130 it was stopped.

    Raises:
        MedPeftError: there is no such lesson, or the run cannot start.
    """
    if name not in LESSONS:
        raise UnknownNameError(
            f"There is no lesson {name!r}. Choose: {', '.join(LESSONS)}. The lesson on few labels has a command of its "
            "own: python -m medpeft_core finding"
        )
    store = RunStore.open_default()
    if store_to is not None:
        check_target(store_to, store.home)  # before the work, not after it
    run = None if again else find_run(list_runs(store))
    if run is None or run.status != FINISHED:
        run, code = _train(store, run)
        if code != 0:
            return code
    else:
        tell(f"The run {run.run_id} is finished; --again trains a new one.")
    outcome = _ask(store, run)
    if not as_json:
        _print_tables(outcome.result)
    tell(outcome.result["words"])
    tell(f"Synthetic images. Research and teaching only, not for clinical use. Made with: {COMMAND}")
    if store_to is not None:
        store_outcome(run, outcome, store_to)
        tell(f"Stored without weights: {store_to}")
    if as_json:
        print_json({"run_id": run.run_id, **outcome.result})
    return 0


def _train(store: RunStore, run: Run | None) -> tuple[Run, int]:
    """A new run, or one that has begun, brought to its end; and the exit code."""
    if run is not None and not store.settle(run).is_finished and run.state().pid is not None:
        raise RunError(
            f"The run {run.run_id} of this lesson is {run.status}, started by an app or another command. Wait for it, "
            f"or stop it: python -m medpeft_core stop {run.run_id}"
        )
    if run is None:
        # heavy: torch, timm and peft, only where a model is built
        from medpeft_core.training.setup import check_runs

        config = resolve_config(build_config())
        with ProgressBar() as progress:
            prepared = prepare_dataset(config.data, progress=progress)
        [plan] = check_runs([config], [prepared])
        store.index.queued()  # a new index queues every queued run that it finds: not this one
        run = store.create(plan.config, provenance=plan.provenance, device=plan.config.train.device)
    else:
        tell(f"Going on with the run {run.run_id}.")
        store.index.dequeue(run.run_id)
    return run, work_on(store, run, words=WORDS, as_json=False)


def _ask(store: RunStore, run: Run) -> Outcome:
    # heavy: torch, timm and grad-cam
    from medpeft_core.explain.answer import Explainer
    from medpeft_core.explain.masking import Masker
    from medpeft_core.training.known_data import KnownData

    known = KnownData()
    with ProgressBar() as progress:
        prepare_dataset(run.config().data, progress=progress)  # drawn again where somebody has cleaned up
        answer = Masker(store, known, Explainer(store, known).load).mask(run.run_id, FINDING, progress=progress)
    masked = read_masked(Path(answer["folder"]))
    return Outcome(result=build_result(masked), masked=masked)


def _print_tables(result: dict[str, Any]) -> None:
    print_table(
        ("finding", "val", "test", "val minus test"),
        [
            (row["label"], *(describe_interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
                             for name in ("val", "test", "difference")))
            for row in result["aurocs"]
        ],
        title="AUROC, with intervals over patients",
    )  # fmt: skip
    print_table(
        ("split", "images", f"AUROC of {result['finding']}"),
        [
            (row["split"], VERSION_NAMES[row["version"]], describe_interval(row["auroc"], row["low"], row["high"]))
            for row in result["masking"]
        ],
        title="With parts of the images painted over",
    )
    print_table(
        (result["finding"], "marker", "images", "mean probability", "called"),
        [
            (
                "yes" if cell["target"] else "no",
                "yes" if cell["shortcut"] else "no",
                cell["num_images"],
                describe_interval(cell["mean_prob"], cell["low"], cell["high"]),
                "n/a" if cell["called"] is None else f"{cell['called']:.0%}",
            )
            for cell in result["cells"]
        ],
        title="Test images",
    )
