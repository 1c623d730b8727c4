"""The shortest `train` or `pretrain` command that gives a config: only what differs from the defaults. Light."""

import shlex
from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any

from medpeft_core.coerce import write_text
from medpeft_core.config import BackboneConfig, DataConfig, MethodConfig, OptimConfig, RunConfig, TrainConfig
from medpeft_core.pretrain_config import EncoderConfig, PretrainConfig
from medpeft_core.pretrain_resolve import resolve_pretraining
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
PRETRAIN_PROGRAM = ("python", "-m", "medpeft_core", "pretrain")
# The options of `cli.pretrain`.
PRETRAIN_OPTIONS = {
    ("data", "dataset"): "--dataset",
    ("data", "root"): "--root",
    ("encoder", "name"): "--backbone",
    ("encoder", "weights"): "--weights",
    ("encoder", "image_size"): "--image-size",
    ("mae", "mask_ratio"): "--mask-ratio",
    ("optim", "base_lr"): "--base-lr",
    ("train", "epochs"): "--epochs",
    ("train", "batch_size"): "--batch-size",
    ("train", "keep_every"): "--keep-every",
    ("train", "seed"): "--seed",
    ("train", "device"): "--device",
}
PRETRAIN_REQUIRED = (("data", "dataset"), ("encoder", "name"))
# the check of a run finds them from the other settings
FOUND_LATER = (("backbone", "weights_sha256"), ("encoder", "weights_sha256"))

Flat = dict[tuple[str, str], Any]


def build_command(config: RunConfig) -> str:
    """One line for a POSIX shell, or PowerShell, that trains what `config` says.

    The hash of the base weights is left out: setting the run up finds it, and on another computer no such file is kept.

    Args:
        config: resolved or not.

    Raises:
        MedPeftError: the config cannot be resolved, so no command would be accepted.
    """
    wanted = flatten_config(resolve_config(config))
    return shlex.join([*PROGRAM, *_write_words(wanted, _find_defaults(config), OPTIONS, REQUIRED)])


def build_pretrain_command(config: PretrainConfig) -> str:
    """One line for a POSIX shell, or PowerShell, that pre-trains what `config` says; hashes are left out as above.

    Args:
        config: resolved or not.

    Raises:
        MedPeftError: the config cannot be resolved, so no command would be accepted.
    """
    bare = PretrainConfig(data=DataConfig(dataset=config.data.dataset), encoder=EncoderConfig(name=config.encoder.name))
    wanted, defaults = (flatten_config(resolve_pretraining(item)) for item in (config, bare))
    return shlex.join([*PRETRAIN_PROGRAM, *_write_words(wanted, defaults, PRETRAIN_OPTIONS, PRETRAIN_REQUIRED)])


def flatten_config(config: RunConfig | PretrainConfig) -> Flat:
    """(section, key) to value in the order of the sections; options and knobs as the keys that `--set` takes."""
    flat: Flat = {}
    for section in (item.name for item in fields(config) if item.name != "schema_version"):
        part = getattr(config, section)
        table = OPEN_TABLES.get(section)
        flat |= {(section, item.name): getattr(part, item.name) for item in fields(part) if item.name != table}
        if table is not None:
            flat |= {(section, key): value for key, value in getattr(part, table).items()}
    return flat


def _write_words(
    wanted: Flat, defaults: Flat, options: dict[tuple[str, str], str], required: Collection[tuple[str, str]]
) -> Iterator[str]:
    """What differs from the defaults: options first, then `--set`."""
    told = [
        (name, value)
        for name, value in wanted.items()
        if name not in FOUND_LATER and (value != defaults[name] or name in required)
    ]
    for name, value in told:
        if name in options:
            yield from (options[name], write_text(value))
    for name, value in told:
        if name not in options:
            yield from ("--set", f"{'.'.join(name)}={write_text(value)}")


def _find_defaults(config: RunConfig) -> Flat:
    """What every setting is when only data set, backbone, method, optimizer and cached features are given."""
    bare = RunConfig(
        data=DataConfig(dataset=config.data.dataset),
        backbone=BackboneConfig(name=config.backbone.name),
        method=MethodConfig(name=config.method.name),
        optim=OptimConfig(optimizer=config.optim.optimizer),  # it decides the default learning rate
        train=TrainConfig(cached_features=config.train.cached_features),  # they turn other settings off
    )
    own = {("optim", "optimizer"): OptimConfig().optimizer, ("train", "cached_features"): TrainConfig().cached_features}
    return {**flatten_config(resolve_config(bare)), **own}
