"""Whether two runs differ in more than their method, so that what lies between them is not the method alone. Light."""

from collections.abc import Mapping, Sequence
from typing import Any

from medpeft_core.reports.compare import diff_configs
from medpeft_core.runs.run import Run

METHOD_PREFIX = "method."
COMES_WITH_METHOD = ("optim.lr", "train.seed")  # each method needs its own learning rate; seeds are meant to differ
WITHOUT_EFFECT = (
    "data.root", "train.device", "train.compile", "train.checkpoint_every_s", "evaluation.batch_size",
    "evaluation.bootstrap_samples", "evaluation.confidence",
)  # fmt: skip
NAMES = {
    "data.fraction": "label fraction", "data.fraction_seed": "seed of the fraction",
    "backbone.name": "backbone", "backbone.image_size": "image size", "backbone.weights": "weights",
    "backbone.pool": "pooling",
    "train.eval_every": "steps between evaluations", "optim.warmup_epochs": "warm-up", "optim.clip_norm": "clipping",
    "optim.layer_decay": "layer-wise decay",
}  # fmt: skip
MAX_NAMES = 3  # in a sentence; "What differs" has all of them
MAX_PAIRS = 3


def find_confounds(first: Run, second: Run) -> list[str]:
    """The settings besides the method in which two runs differ; none where they differ in one thing only.

    Learning rate and seed go with the method. A backbone is one thing, with the image size and pooling that it needs.

    Raises:
        RunError: a config is missing or damaged.
    """
    settings = [item["setting"] for item in diff_configs([first, second])]
    further = [name for name in settings if not name.startswith(METHOD_PREFIX)]
    further = [name for name in further if name not in (*COMES_WITH_METHOD, *WITHOUT_EFFECT)]
    has_other_method = any(name.startswith(METHOD_PREFIX) for name in settings)
    is_one_thing = len(name_settings(further)) < 2 and not has_other_method
    return [] if is_one_thing else further


def name_settings(settings: Sequence[str]) -> list[str]:
    """Plain names, each once: "label fraction" for data.fraction; what belongs to another backbone is "backbone"."""
    names = []
    for setting in settings:
        is_of_backbone = "backbone.name" in settings and setting.startswith("backbone.")
        names.append("backbone" if is_of_backbone else NAMES.get(setting, setting.partition(".")[2].replace("_", " ")))
    return list(dict.fromkeys(names))


def describe_confounds(pairs: Sequence[Mapping[str, Any]], runs: Sequence[Run], names: Mapping[str, str]) -> str | None:
    """A caution for the tested pairs whose runs differ in more than the method; None when there is none.

    Args:
        pairs: as `reports.pairs.compare_pairs` gives them.
        runs: of these pairs.
        names: run id to its name.

    Raises:
        RunError: a config is missing or damaged.
    """
    by_id = {run.run_id: run for run in runs}
    tested = [(pair["a"], pair["b"]) for pair in pairs if pair["test"]]
    found = {(a, b): settings for a, b in tested if (settings := find_confounds(by_id[a], by_id[b]))}
    if not found:
        return None
    listed = _list_names(name_settings(list(dict.fromkeys(name for settings in found.values() for name in settings))))
    if len(tested) == 1:
        [settings] = found.values()
        number = "1 setting" if len(settings) == 1 else f"{len(settings)} settings"
        return (
            f"These runs differ in {number} besides the method ({listed}), so this is a difference between two runs, "
            "not between two methods."
        )
    which = "In all of these pairs" if len(found) == len(tested) else f"In {len(found)} of these {len(tested)} pairs"
    if len(found) < len(tested) and len(found) <= MAX_PAIRS:
        which += f" ({'; '.join(f'{names.get(b, b)} and {names.get(a, a)}' for a, b in found)})"
    return (
        f"{which} the runs differ in more than the method ({listed}), so these are differences between two runs, not "
        "between two methods."
    )


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(names if len(names) <= MAX_NAMES else [*names[:MAX_NAMES], "…"])
