"""The shortest `python -m medpeft_core train ...` that gives a config: only what differs from the defaults. Light."""

import shlex
from dataclasses import fields
from typing import Any

from medpeft_core.coerce import write_text
from medpeft_core.config import BackboneConfig, DataConfig, MethodConfig, OptimConfig, RunConfig, section_names
from medpeft_core.resolve import OPEN_TABLES, resolve_config

PROGRAM = ("python", "-m", "medpeft_core", "train")
# The options of `cli.train`; every other setting is given by --set.
OPTIONS = {
    ("data", "dataset"): "--dataset",
    ("data", "root"): "--root",
    ("data", "fraction"): "--fraction",
    ("backbone", "name"): "--backbone",
    ("backbone", "weights"): "--weights",
    ("backbone", "image_size"): "--image-size",
    ("backbone", "pool"): "--pool",
    ("method", "name"): "--method",
    ("method", "rank"): "--rank",
    ("method", "alpha"): "--alpha",
    ("method", "targets"): "--targets",
    ("optim", "lr"): "--lr",
    ("train", "epochs"): "--epochs",
    ("train", "batch_size"): "--batch-size",
    ("train", "eval_every"): "--eval-every",
    ("train", "seed"): "--seed",
    ("train", "device"): "--device",
}
REQUIRED = (("data", "dataset"), ("backbone", "name"), ("method", "name"))
FOUND_LATER = ("backbone", "weights_sha256")  # the check of a run finds it from the other settings


def build_command(config: RunConfig) -> str:
    """One line for a POSIX shell, or PowerShell, that trains what `config` says.

    The hash of the base weights is left out: setting the run up finds it, and on another computer no such file is kept.

    Args:
        config: resolved or not.

    Raises:
        MedPeftError: the config cannot be resolved, so no command would be accepted.
    """
    wanted, defaults = flatten_config(resolve_config(config)), _find_defaults(config)
    words = list(PROGRAM)
    settings = []
    for name, value in wanted.items():
        if name == FOUND_LATER or (value == defaults[name] and name not in REQUIRED):
            continue
        if name in OPTIONS:
            words += [OPTIONS[name], write_text(value)]
        else:
            settings += ["--set", f"{'.'.join(name)}={write_text(value)}"]
    return shlex.join([*words, *settings])


def flatten_config(config: RunConfig) -> dict[tuple[str, str], Any]:
    """(section, key) to value in the order of the sections; options and knobs as the keys that `--set` takes."""
    flat: dict[tuple[str, str], Any] = {}
    for section in section_names():
        part = getattr(config, section)
        table = OPEN_TABLES.get(section)
        flat |= {(section, item.name): getattr(part, item.name) for item in fields(part) if item.name != table}
        if table is not None:
            flat |= {(section, key): value for key, value in getattr(part, table).items()}
    return flat


def _find_defaults(config: RunConfig) -> dict[tuple[str, str], Any]:
    """What every setting is when only data set, backbone, method and optimizer are given."""
    bare = RunConfig(
        data=DataConfig(dataset=config.data.dataset),
        backbone=BackboneConfig(name=config.backbone.name),
        method=MethodConfig(name=config.method.name),
        optim=OptimConfig(optimizer=config.optim.optimizer),  # it decides the default learning rate
    )
    return {**flatten_config(resolve_config(bare)), ("optim", "optimizer"): OptimConfig().optimizer}
