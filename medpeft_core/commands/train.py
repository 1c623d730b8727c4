"""Set up a run that fine-tunes, work on it, and tell what it found."""

from collections.abc import Iterable
from typing import Any

from medpeft_core.commands.class_figures import describe_class, list_decisions
from medpeft_core.commands.console import ProgressBar, describe_interval, describe_seconds, print_json, tell
from medpeft_core.commands.follow import Words, describe_eta, work_on
from medpeft_core.config import RunConfig
from medpeft_core.datasets.prepare import prepare_dataset
from medpeft_core.reports.summary import summarise_result
from medpeft_core.reports.support import find_cautions
from medpeft_core.resolve import resolve_config
from medpeft_core.runs.run import Run
from medpeft_core.runs.states import RunState
from medpeft_core.runs.store import RunStore


def train(config: RunConfig, *, queue: bool, as_json: bool, notes: Iterable[str] = ()) -> int:
    """Check a run, make its folder, and train it, or leave it in the queue.

    Args:
        notes: sentences about where its settings come from.

    Returns:
        The exit code: 0 finished or queued, 1 failed or interrupted, 130 stopped.

    Raises:
        MedPeftError: the run cannot start as it is; nothing was written.
    """
    # heavy: torch, timm and peft, only for commands that build a model
    from medpeft_core.training.setup import check_runs, create_runs

    config = resolve_config(config)
    for note in notes:
        tell(f"Note: {note}")
    with ProgressBar() as progress:
        prepared = prepare_dataset(config.data, progress=progress)
    tell(f"Checking {config.method.name} on {config.backbone.name}.")
    [plan] = check_runs([config], [prepared])
    _tell_facts(plan.provenance)
    store, device = RunStore.open_default(), plan.config.train.device
    if queue:
        [run] = create_runs(store, [plan])
        tell(f"Queued {run.run_id} for {device}. The app, or `python -m medpeft_core supervise`, starts it.")
        if as_json:
            print_json(summarise_result(run))
        return 0
    store.index.queued()  # a new index queues every queued run that it finds, which is not for it to do with this one
    run = store.create(plan.config, provenance=plan.provenance, device=device)
    return work_on(store, run, words=WORDS, as_json=as_json)


def tell_result(run: Run) -> None:
    """What a finished run found: the mean of its labels, for classes what the likeliest one gives, then each."""
    result = summarise_result(run)
    auroc = describe_interval(result["test_auroc"], result["test_auroc_low"], result["test_auroc_high"])
    what = "classes, each against all others" if result["task"] == "multiclass" else "labels"
    tell(
        f"Run {run.run_id} finished in {describe_seconds(result['wall_time_s'])}. Test AUROC, mean of the {what}: "
        f"{auroc}."
    )
    for title, value in list_decisions(result):
        tell(f"{title} of the likeliest class: {value}.")
    for label, figures in result["per_class"].items():
        tell(describe_class(label, figures))
    for caution in find_cautions(run):
        tell(f"Warning: {caution}")
    tell(
        "Research and teaching only, not for clinical use."
        + (" These images are synthetic." if result["is_synthetic"] else "")
    )


def describe_event(event: dict[str, Any], state: RunState) -> str:
    """A line for an evaluation, an epoch or a note."""
    kind = event["type"]
    if kind == "eval":
        auroc = f"val AUROC {event['val_auroc']:.3f}" if event.get("val_auroc") is not None else "val AUROC n/a"
        best = ", best so far" if event.get("is_best") else ""
        return f"epoch {event['epoch']}, step {event['step']}: {auroc}, val loss {event['val_loss']:.4f}{best}"
    if kind == "epoch":
        speed = event["train_images_per_s"]
        loss = f"training loss {event['train_loss']:.4f}"
        return f"epoch {event['epoch']} of {state.epochs}: {loss}, {speed:.0f} images/s{describe_eta(state)}"
    if kind == "log":
        return str(event.get("text", ""))
    return ""


def _tell_facts(provenance: dict[str, Any]) -> None:
    images, patients = provenance["num_train_images"], provenance["num_train_patients"]
    by_patient = f" of {patients} patients" if patients is not None else ""
    tell(
        f"Training on {images} images{by_patient}, val {provenance['num_images']['val']}, test "
        f"{provenance['num_images']['test']}."
    )
    for label, counts in provenance["positives"].items():
        unknown = f", {counts['num_unknown']} unknown" if counts["num_unknown"] else ""
        tell(f"  {label:<20} {counts['num_positive']:>6} positive, {counts['num_negative']:>6} negative{unknown}")
    share = provenance["num_trainable_params"] / provenance["num_params"]
    tell(f"Trained parameters: {provenance['num_trainable_params']:,} of {provenance['num_params']:,} ({share:.2%}).")
    for warning in (*provenance["data_notes"], *provenance["warnings"]):
        tell(f"Note: {warning}")


WORDS = Words(describe_event=describe_event, tell_result=tell_result, summarise=summarise_result)
