"""One line about each run that fine-tunes; `lines` keeps them. Light."""

from typing import Any

from medpeft_core.errors import RunError
from medpeft_core.runs.lines import MAX_CURVE_POINTS, LineKind, describe_state, list_lines, name_run, thin_curve
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore

LINE_VERSION = 3  # another number makes every kept line be made anew
_SIZE_KEYS = ("num_train_images", "num_params", "num_trainable_params")


def list_summaries(store: RunStore) -> list[dict[str, Any]]:
    """A plain dict for each run that fine-tunes, newest first.

    Each has `run_id, created_at` (unix seconds), `status, phase, epoch, epochs, step, num_steps, eta_s, device, error,
    updated_at, dataset, data_is_synthetic, fraction, num_train_images, backbone, weights, image_size, method, knobs,
    num_params, num_trainable_params, seed, tags, notes, owner`, `curve` (val AUROC of the run in its present form, at
    most 30 values, the last one included, None where it did not exist) and `metrics` (the plain numbers and texts at
    the top of metrics.json). A damaged run has `run_id`, `created_at`, an empty `curve`, `status` None and the message
    in `error`.
    """
    kind = LineKind(
        version=str(LINE_VERSION),
        summarise=summarise,
        types=("eval",),
        keys=("type", "step", "split", "val_auroc"),
        tell=lambda evals: {"curve": thin_curve([event["val_auroc"] for event in evals], MAX_CURVE_POINTS)},
    )
    return list_lines(store, store.runs_dir, kind)


def summarise(run: Run) -> dict[str, Any]:
    """The line about one run without its curve, read from its files."""
    try:
        state, config, meta, metrics = run.state(), run.config(), run.meta(), run.metrics() or {}
        provenance = run.provenance()
    except RunError as error:
        return {**name_run(run), "status": None, "error": str(error)}
    sizes = {**provenance, **metrics.get("training", {})}
    return {
        **name_run(run),
        **describe_state(state),
        "dataset": config.data.dataset,
        "data_is_synthetic": provenance.get("is_synthetic"),
        "fraction": config.data.fraction,
        "backbone": config.backbone.name,
        "weights": config.backbone.weights,
        "image_size": config.backbone.image_size,
        "method": config.method.name,
        "knobs": config.method.knobs,
        **{name: sizes.get(name) for name in _SIZE_KEYS},
        "seed": config.train.seed,
        **{name: meta[name] for name in ("tags", "notes", "owner")},
        "metrics": {
            name: value for name, value in metrics.items() if value is None or isinstance(value, int | float | str)
        },
    }
