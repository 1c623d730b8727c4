"""Runs side by side: in which settings they differ, a table of their figures, and short names for legends. Light."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import partial
from typing import Any

import pandas as pd

from medpeft_core.backbones import BACKBONES
from medpeft_core.command_line import flatten_config
from medpeft_core.config import RunConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.methods import METHODS
from medpeft_core.metrics.exclusive import DECISION_METRICS
from medpeft_core.reports.summary import summarise_result
from medpeft_core.runs.run import Run
from medpeft_core.runs.run_ids import shorten_backbone

# What setting a run up derives from other settings: no difference of its own, unless those agree and it does not.
DERIVED_FROM = {
    "backbone.mean": ("backbone.name", "backbone.weights"),
    "backbone.std": ("backbone.name", "backbone.weights"),
    "backbone.weights_sha256": (
        "backbone.name", "backbone.weights", "backbone.image_size", "backbone.pool", "data.dataset", "train.seed",
    ),
}  # fmt: skip
TABLE_TYPES = {
    "num_trainable_params": "Int64", "rank": "Int64", "seed": "Int64", "fraction": "float64", "val_auroc": "float64",
    "test_auroc": "float64", "test_auroc_low": "float64", "test_auroc_high": "float64", "wall_time_s": "float64",
}  # fmt: skip
TABLE_COLUMNS = (
    "run", "dataset", "fraction", "backbone", "weights", "method", "rank", "num_trainable_params", "val_auroc",
    "test_auroc", "test_auroc_low", "test_auroc_high", "wall_time_s", "seed", "status",
)  # fmt: skip

Summary = dict[str, Any]


def diff_configs(runs: list[Run]) -> list[dict[str, Any]]:
    """The settings in which the runs differ, in the order of the config's sections.

    A setting that follows from others (normalisation, hash of the base weights) is left out where these explain the
    difference. Where they do not, for example when a weights file was replaced under the same name, it is listed.

    Returns:
        For each `setting` (as `--set` takes it, such as "optim.lr") its `help` and `values`, run id to value; None
        where a run's method or data set has no such setting.

    Raises:
        RunError: a config is missing or damaged.
    """
    configs = {run.run_id: run.config() for run in runs}
    flat = {
        run_id: {".".join(name): value for name, value in flatten_config(config).items()}
        for run_id, config in configs.items()
    }
    texts = {name: text for config in configs.values() for name, text in _find_help(config).items()}
    differences = []
    for setting in _order_settings(flat.values()):
        values = {run_id: settings.get(setting) for run_id, settings in flat.items()}
        if _is_same(values.values()) or _is_explained(setting, flat):
            continue
        differences.append({"setting": setting, "help": texts.get(setting, ""), "values": values})
    return differences


def list_shared_settings(runs: list[Run]) -> list[dict[str, Any]]:
    """The settings in which all runs agree: for each `setting` its `help` and its one `value`.

    Raises:
        RunError: a config is missing or damaged.
    """
    configs = [run.config() for run in runs]
    flat = [{".".join(name): value for name, value in flatten_config(config).items()} for config in configs]
    texts = {name: text for config in configs for name, text in _find_help(config).items()}
    return [
        {"setting": setting, "help": texts.get(setting, ""), "value": flat[0][setting]}
        for setting in _order_settings(flat)
        if all(setting in settings for settings in flat) and _is_same(settings[setting] for settings in flat)
    ]


def build_comparison_table(runs: list[Run]) -> pd.DataFrame:
    """A row for each run in the order given, `run_id` as the index; a number that does not exist is missing.

    Columns: run (its short name), dataset, fraction, backbone, weights, method, rank, num_trainable_params, val_auroc,
    test_auroc, test_auroc_low, test_auroc_high, wall_time_s (seconds), seed, status; test_accuracy and the other
    metrics of `DECISION_METRICS` only where a run has them, whose classes exclude each other.

    Raises:
        RunError: a file of a run is missing or damaged.
    """
    results = [summarise_result(run) for run in runs]
    names = build_run_names(results)
    rows = [{**item, "run": names[item["run_id"]], "rank": item["knobs"].get("rank")} for item in results]
    index = pd.Index([item["run_id"] for item in results], name="run_id", dtype="object")
    decisions = [
        f"test_{metric}" for metric in DECISION_METRICS if any(row[f"test_{metric}"] is not None for row in rows)
    ]
    types = {**TABLE_TYPES, **dict.fromkeys(decisions, "float64")}
    return pd.DataFrame(rows, columns=[*TABLE_COLUMNS, *decisions], index=index).astype(types)


def build_run_names(summaries: list[Summary]) -> dict[str, str]:
    """Run id to a short name for legends, such as "LoRA r8 · ViT-Tiny · 25 %", each one once.

    Where the runs are of several data sets, each name says which, for their figures do not compare. What tells runs of
    the same name apart is added to them: data set, weights, image size, knobs, seed, and if nothing else does, the last
    digits of the run id.

    Args:
        summaries: lines of `list_summaries` or results of `summarise_result`; a damaged run is called by its id.
    """
    is_mixed = len({item.get("dataset") for item in summaries if item.get("dataset")}) > 1
    names = {item["run_id"]: _name_with_data(item) if is_mixed else short_name(item) for item in summaries}
    for describe in _list_details(summaries):
        told: dict[str, set[str]] = {}  # what the runs of each name say of this detail
        for item in summaries:
            told.setdefault(names[item["run_id"]], set()).add(describe(item))
        for item in summaries:
            name = names[item["run_id"]]
            if len(told[name]) > 1:
                names[item["run_id"]] = f"{name} · {describe(item)}"
    counts = Counter(names.values())
    return {run_id: name if counts[name] == 1 else run_id for run_id, name in names.items()}


def _name_with_data(summary: Summary) -> str:
    return f"{short_name(summary)} · {summary['dataset']}" if summary.get("dataset") else short_name(summary)


def short_name(summary: Summary) -> str:
    """Method, rank, backbone and label fraction of a run; other runs may have the same."""
    if summary.get("method") is None:
        return str(summary["run_id"])
    method, backbone = summary["method"], summary["backbone"]
    title = METHODS[method].title if method in METHODS else method
    rank = (summary.get("knobs") or {}).get("rank")
    model = BACKBONES[backbone].title if backbone in BACKBONES else shorten_backbone(backbone)
    parts = [title if rank is None else f"{title} r{rank}", re.sub(r"/\d+", "", model)]  # without the patch size
    if summary["fraction"] != 1:
        parts.append(f"{summary['fraction'] * 100:.3g} %")
    return " · ".join(parts)


def _list_details(summaries: list[Summary]) -> list[Callable[[Summary], str]]:
    """What may tell runs of the same short name apart, each as a few words; the first that does is taken."""
    knobs = dict.fromkeys(name for item in summaries for name in item.get("knobs") or {} if name != "rank")
    return [
        lambda item: str(item.get("dataset")),
        lambda item: re.split(r"[\\/]", str(item.get("weights")))[-1],  # of a file its name
        lambda item: f"{item.get('image_size')} px",
        *(partial(_describe_knob, name) for name in knobs),
        lambda item: f"seed {item.get('seed')}",
        lambda item: item["run_id"][-4:],
    ]


def _describe_knob(name: str, summary: Summary) -> str:
    return f"{name} {(summary.get('knobs') or {}).get(name)}"


def _find_help(config: RunConfig) -> dict[str, str]:
    """ "section.key" to the text that explains it, from the config's dataclasses and those of method and data set."""
    parts = [(item.name, getattr(config, item.name)) for item in fields(config) if item.name != "schema_version"]
    if config.method.name in METHODS:
        parts.append(("method", METHODS[config.method.name].knobs))
    if config.data.dataset in DATASETS:
        parts.append(("data", DATASETS[config.data.dataset].options))
    return {f"{section}.{item.name}": item.metadata.get("help", "") for section, part in parts for item in fields(part)}


def _order_settings(flat: Iterable[dict[str, Any]]) -> list[str]:
    """All settings by section, as in the config; those that only some runs have stand at the end of their section."""
    settings = list(dict.fromkeys(name for settings in flat for name in settings))
    sections = list(dict.fromkeys(name.partition(".")[0] for name in settings))
    return sorted(settings, key=lambda name: sections.index(name.partition(".")[0]))


def _is_same(values: Iterable[Any]) -> bool:
    first, *others = values
    return all(value == first for value in others)


def _is_explained(setting: str, flat: dict[str, dict[str, Any]]) -> bool:
    """Whether runs that agree in what a setting is derived from agree in the setting too."""
    if setting not in DERIVED_FROM:
        return False
    known: dict[tuple[Any, ...], Any] = {}
    for settings in flat.values():
        sources = tuple(settings.get(name) for name in DERIVED_FROM[setting])
        if known.setdefault(sources, settings.get(setting)) != settings.get(setting):
            return False
    return True
