"""Look at pre-trainings: list all, show one."""

import contextlib
from datetime import datetime
from typing import Any

from medpeft_core.commands.console import print_json, print_table, tell
from medpeft_core.commands.pretrain import build_hint, describe_rebuilding
from medpeft_core.errors import RunError
from medpeft_core.reports.pretrain_summary import summarise_pretraining
from medpeft_core.runs.pretrain_listing import list_pretrain_summaries
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore


def list_pretrainings(*, as_json: bool) -> None:
    """Print all pre-trainings, newest first; those whose worker died are settled first."""
    store = RunStore.open_default()
    for run in store.list_pretrainings():
        with contextlib.suppress(RunError):  # a damaged one is shown as such and must not hide the others
            store.settle(run)
    summaries = list_pretrain_summaries(store)
    if as_json:
        print_json({"pretrainings": summaries})
        return
    if not summaries:
        tell(
            "No pre-trainings yet. Start one: python -m medpeft_core pretrain --dataset phantom --backbone "
            "vit_tiny_patch16_224"
        )
        return
    print_table(("run", "status", "data", "backbone", "epochs", "loss", "encoders"), map(_make_row, summaries))


def show_pretraining(run: Run, *, as_json: bool) -> None:
    """Print all about one pre-training."""
    shown = {
        **summarise_pretraining(run),
        "state": run.state().to_dict(),
        "config": run.pretrain_config().to_dict(),
        "provenance": run.provenance(),
        "meta": run.meta(),
        "metrics": run.metrics(),
    }
    if as_json:
        print_json(shown)
        return
    _print_pretraining(run, shown)


def _make_row(item: dict[str, Any]) -> tuple[Any, ...]:
    if item["status"] is None:
        return item["run_id"], "damaged", item["error"], "", "", "", ""
    epochs = f"{item['epoch']} of {item['epochs']}"
    what = f"{item['backbone']} at {item['image_size']}"
    loss = "" if item["train_loss"] is None else f"{item['train_loss']:.4f}"
    return item["run_id"], item["status"], item["dataset"], what, epochs, loss, item["num_encoders"]


def _print_pretraining(run: Run, shown: dict[str, Any]) -> None:
    state = shown["state"]
    is_over = run.is_finished
    print(f"{run.run_id}: {state['status']}" + (f", {state['phase']}" if state["phase"] and not is_over else ""))
    if state["error"]:
        print(state["error"])
    changed = datetime.fromtimestamp(state["updated_at"]).strftime("%Y-%m-%d %H:%M")
    print(f"Folder {run.folder}, last change {changed}")
    print(f"Pre-training of {shown['backbone']} on {shown['num_train_images']} images without labels")
    print(f"Epochs {shown['epochs_done']} of {shown['config']['train']['epochs']}")
    if shown["last_train_loss"] is not None and shown["first_train_loss"] is not None:
        print(f"Loss {shown['first_train_loss']:.4f} at first, {shown['last_train_loss']:.4f} in the last epoch")
    if text := describe_rebuilding(shown["rebuilt"]):
        print(text)
    for item in shown["encoders"]:
        print(f"  epoch {item['epoch']:>5}, loss {item['train_loss']:.4f}: {item['path']}")
    if shown["encoders"]:
        print(f"To fine-tune the last: {build_hint(run.pretrain_config(), shown['encoders'][-1]['path'])}")
    for section, values in shown["config"].items():
        if isinstance(values, dict):
            print(f"{section}: " + ", ".join(f"{name}={value}" for name, value in values.items()))
    for note in shown["data_notes"]:
        print(f"Note: {note}")
    print("Research and teaching only, not for clinical use.")
