"""One line about each pre-training; `lines` keeps them. Light."""

from typing import Any

from medpeft_core.errors import RunError
from medpeft_core.runs.lines import MAX_CURVE_POINTS, LineKind, describe_state, list_lines, name_run, thin_curve
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore

LINE_VERSION = "pretrain-1"  # another text makes every kept line be made anew


def list_pretrain_summaries(store: RunStore) -> list[dict[str, Any]]:
    """A plain dict for each pre-training, newest first.

    Each has `run_id, created_at` (unix seconds), `status, phase, epoch, epochs, step, num_steps, eta_s, device, error,
    updated_at, dataset, data_is_synthetic, num_train_images, backbone, weights, image_size, seed, tags, notes, owner`,
    and of the run in its present form `train_loss` (the last epoch's, or None), `curve` (the loss of each epoch, at
    most 30 values, the last one included) and `num_encoders` (that it has written). A damaged one has `run_id`,
    `created_at`, an empty `curve`, `status` None and the message in `error`.
    """
    kind = LineKind(
        version=LINE_VERSION,
        summarise=summarise_pretraining,
        types=("epoch", "encoder"),
        keys=("type", "step", "train_loss"),
        tell=_tell,
    )
    return list_lines(store, store.pretraining_dir, kind)


def summarise_pretraining(run: Run) -> dict[str, Any]:
    """The line about one pre-training without what its events tell, read from its files."""
    try:
        state, config, meta, provenance = run.state(), run.pretrain_config(), run.meta(), run.provenance()
    except RunError as error:
        return {**name_run(run), "status": None, "error": str(error)}
    return {
        **name_run(run),
        **describe_state(state),
        "dataset": config.data.dataset,
        "data_is_synthetic": provenance.get("is_synthetic"),
        "num_train_images": provenance.get("num_train_images"),
        "backbone": config.encoder.name,
        "weights": config.encoder.weights,
        "image_size": config.encoder.image_size,
        "seed": config.train.seed,
        **{name: meta[name] for name in ("tags", "notes", "owner")},
    }


def _tell(events: list[dict[str, Any]]) -> dict[str, Any]:
    losses = [event["train_loss"] for event in events if event["type"] == "epoch"]
    return {
        "train_loss": losses[-1] if losses else None,
        "curve": thin_curve(losses, MAX_CURVE_POINTS),
        "num_encoders": sum(event["type"] == "encoder" for event in events),
    }
