"""Look after runs: list, show, stop, compare; `pretrainings` lists the others, `trash` those that were deleted."""

import contextlib
from datetime import datetime
from typing import Any

from medpeft_core.commands.class_figures import describe_class, list_decisions
from medpeft_core.commands.console import (
    ProgressBar,
    describe_interval,
    describe_seconds,
    print_json,
    print_table,
    tell,
)
from medpeft_core.commands.pretrainings import show_pretraining
from medpeft_core.errors import RunError
from medpeft_core.reports.compare import build_run_names
from medpeft_core.reports.confounds import describe_confounds
from medpeft_core.reports.pairs import TestSample, compare_pairs, sample_run
from medpeft_core.reports.sentences import describe_pair, explain_resamplings
from medpeft_core.reports.summary import summarise_result
from medpeft_core.reports.support import find_cautions
from medpeft_core.runs.listing import list_summaries
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import FINISHED
from medpeft_core.runs.store import RunStore
from medpeft_core.worker.launch import stop_worker


def list_runs(*, as_json: bool) -> None:
    """Print all runs, newest first; those whose worker died are settled first."""
    store = RunStore.open_default()
    for run in store.list_runs():
        with contextlib.suppress(RunError):  # a damaged run is shown as such and must not hide the others
            store.settle(run)
    summaries = list_summaries(store)
    if as_json:
        print_json({"runs": summaries})
        return
    if not summaries:
        tell("No runs yet. Start one: python -m medpeft_core train --dataset phantom --backbone resnet18 --method full")
        _tell_of_pretrainings(store)
        return
    rows = []
    for item in summaries:
        if item["status"] is None:
            rows.append((item["run_id"], "damaged", item["error"], "", "", ""))
            continue
        figures = item["metrics"]
        auroc = describe_interval(
            figures.get("test_auroc"), figures.get("test_auroc_low"), figures.get("test_auroc_high")
        )
        epochs = f"{item['epoch']} of {item['epochs']}"
        what = f"{item['method']} on {item['backbone']}"
        rows.append(
            (item["run_id"], item["status"], f"{item['dataset']} at {item['fraction']:.0%}", what, epochs, auroc)
        )
    print_table(("run", "status", "data", "what", "epochs", "test AUROC"), rows)
    _tell_of_pretrainings(store)


def show_run(run_id: str, *, as_json: bool) -> None:
    """Print all about one run, of either kind."""
    store = RunStore.open_default()
    run = store.settle(store.load(run_id))
    if run.is_pretraining:
        show_pretraining(run, as_json=as_json)
        return
    shown = {
        **summarise_result(run),
        "state": run.state().to_dict(),
        "config": run.config().to_dict(),
        "provenance": run.provenance(),
        "meta": run.meta(),
        "metrics": run.metrics(),
    }
    if as_json:
        print_json(shown)
        return
    _print_run(run, shown)


def stop_run(run_id: str, *, as_json: bool) -> None:
    """Stop a run and wait until it has stopped.

    Raises:
        RunError: there is no such run, or it does not run.
    """
    store = RunStore.open_default()
    run = store.load(run_id)
    store.settle(run)
    if run.is_finished:
        store.request_stop(run.run_id)  # raises with the reason why this run cannot be stopped
    tell(f"Stopping {run.run_id} after the batch it is at, with a checkpoint.")
    state = stop_worker(store, run, None)
    if state.status == FINISHED:
        tell(f"Run {run.run_id} had finished before it heard. To see it: python -m medpeft_core show {run.run_id}")
    else:
        tell(f"Run {run.run_id} {state.status}. To go on: python -m medpeft_core resume {run.run_id}")
    if as_json:
        print_json({"run_id": run.run_id, "status": state.status})


def compare_runs(run_ids: list[str], *, as_json: bool) -> None:
    """Print runs side by side, and how far each two of them lie apart on the same test images.

    Raises:
        RunError: a run is missing, or is a pre-training.
    """
    store = RunStore.open_default()
    runs = [store.settle(store.load(run_id)) for run_id in run_ids]
    results = [summarise_result(run) for run in runs]
    with ProgressBar() as progress:
        pairs = compare_pairs(runs, sample=lambda run: _sample_with_progress(run, runs, progress))
    if as_json:
        print_json({"runs": results, "pairs": pairs})
        return
    rows = [
        (
            item["run_id"],
            item["status"],
            f"{item['method']} on {item['backbone']}",
            f"{item['dataset']} at {item['fraction']:.0%}",
            item["num_trainable_params"],
            describe_interval(item["test_auroc"], item["test_auroc_low"], item["test_auroc_high"]),
            describe_seconds(item["wall_time_s"]) if item["wall_time_s"] else "",
        )
        for item in results
    ]
    print_table(("run", "status", "what", "data", "trained parameters", "test AUROC", "time"), rows)
    decisions = [dict(list_decisions(item)) for item in results]
    if titles := list(dict.fromkeys(title for found in decisions for title in found)):
        by_run = [(title, *(found.get(title, "") for found in decisions)) for title in titles]
        print_table(("figure", *(item["run_id"] for item in results)), by_run, title="Likeliest class on test")
    labels = list(dict.fromkeys(label for item in results for label in item["per_class"]))
    if labels:
        per_label = [(label, *(_label_cell(item, label) for item in results)) for label in labels]
        print_table(("label", *(item["run_id"] for item in results)), per_label, title="Test AUROC by label")
    if pairs:
        names = build_run_names(results)
        print("Differences of the mean AUROC")
        for pair in pairs:
            print(f"  {describe_pair(pair, names)}")
        if caution := describe_confounds(pairs, runs, names):
            print(f"  {caution}")
        if any(pair["test"] for pair in pairs):
            print(f"  Intervals: {explain_resamplings(pairs)}")
        if sum(pair["p_value"] is not None for pair in pairs) > 1:
            print("  Corrected p: for the number of pairs (Holm).")
    for note in dict.fromkeys(note for item in results for note in item["data_notes"]):
        print(f"Note: {note}")
    print("Research and teaching only, not for clinical use.")
    if any(item["is_synthetic"] for item in results):
        print("Some of these runs are on synthetic images.")


def _tell_of_pretrainings(store: RunStore) -> None:
    if number := len(store.list_pretrainings()):
        what = "1 pre-training" if number == 1 else f"{number} pre-trainings"
        tell(f"There {'is' if number == 1 else 'are'} also {what}: python -m medpeft_core runs --pretraining")


def _sample_with_progress(run: Run, runs: list[Run], progress: ProgressBar) -> TestSample:
    progress("resampling test patients", [item.run_id for item in runs].index(run.run_id), len(runs))
    return sample_run(run)


def _label_cell(result: dict[str, Any], label: str) -> str:
    figures = result["per_class"].get(label, {})
    return describe_interval(figures.get("auroc"), figures.get("low"), figures.get("high"))


def _print_run(run: Run, shown: dict[str, Any]) -> None:
    state = shown["state"]
    print(
        f"{run.run_id}: {state['status']}" + (f", {state['phase']}" if state["phase"] and not run.is_finished else "")
    )
    if state["error"]:
        print(state["error"])
    changed = datetime.fromtimestamp(state["updated_at"]).strftime("%Y-%m-%d %H:%M")
    print(f"Folder {run.folder}, last change {changed}")
    print(f"Epochs {shown['epochs_done']} of {shown['config']['train']['epochs']}")
    print(f"Test AUROC {describe_interval(shown['test_auroc'], shown['test_auroc_low'], shown['test_auroc_high'])}")
    for title, value in list_decisions(shown):
        print(f"{title} of the likeliest class {value}")
    for label, figures in shown["per_class"].items():
        print(describe_class(label, figures))
    for caution in find_cautions(run):
        tell(f"Warning: {caution}")
    for section, values in shown["config"].items():
        if isinstance(values, dict):
            print(f"{section}: " + ", ".join(f"{name}={value}" for name, value in values.items()))
    for note in shown["data_notes"]:
        print(f"Note: {note}")
    print("Research and teaching only, not for clinical use.")
