"""build_command: what it prints, read by the real command line, is the same run."""

import contextlib
import dataclasses
import inspect
import itertools
import random
import shlex
from dataclasses import replace

import pytest

from medpeft_core import cli
from medpeft_core.backbones import BACKBONES
from medpeft_core.command_line import (
    OPTIONS,
    PRETRAIN_OPTIONS,
    PROGRAM,
    build_command,
    build_pretrain_command,
    flatten_config,
)
from medpeft_core.commands import pretrain as pretrain_module
from medpeft_core.commands import train as train_module
from medpeft_core.config import RunConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.errors import ConfigError, MedPeftError
from medpeft_core.methods import METHODS
from medpeft_core.pretrain_config import PretrainConfig, pretrain_sections
from medpeft_core.pretrain_resolve import resolve_pretraining
from medpeft_core.resolve import CACHEABLE_METHOD, resolve_config
from medpeft_core.sections import build_part

NUM_CONFIGS = 300
NOT_AN_OPTION = {"settings", "queue", "as_json", "preset"}  # a preset is told by what it sets


@pytest.fixture
def parse(monkeypatch):
    """The config that the command line makes of a command."""
    caught = []
    monkeypatch.setattr(train_module, "train", lambda config, **_: caught.append(config) or 0)
    monkeypatch.setattr(pretrain_module, "pretrain", lambda config, **_: caught.append(config) or 0)

    def parse_command(command):
        words = shlex.split(command)
        assert tuple(words[:3]) == PROGRAM[:3]
        assert cli.main(words[len(PROGRAM) - 1 :]) == 0, command
        return caught.pop()

    return parse_command


def without_hash(config):
    return replace(config, backbone=replace(config.backbone, weights_sha256=None))


def draw_values(rng, part, wild):
    """Some fields of a config section or of knobs, each with a value of its type near its default, or out of a list."""
    drawn = {}
    for item in dataclasses.fields(part):
        default = getattr(part, item.name)
        choices = item.metadata.get("choices") or item.metadata.get("suggestions")
        if item.name in ("name", "dataset", "options", "knobs") or rng.random() < 0.5:
            continue
        if item.name in wild:
            drawn[item.name] = rng.choice(wild[item.name])
        elif choices:
            drawn[item.name] = rng.choice(choices)
        elif isinstance(default, bool):
            drawn[item.name] = not default
        elif isinstance(default, int):
            drawn[item.name] = default + rng.randrange(4)
        elif isinstance(default, float):
            drawn[item.name] = rng.choice([default, default * rng.random() + 1e-9, default / 3 + 1e-7])
    return drawn


WILD = {
    "data": {"root": ["data/my set", "/mnt/it's here", 'C:\\x "y"', "none of it", "a=b;c"], "fraction": [0.01, 1 / 3]},
    "backbone": {
        "weights": ["random", "pretrained", "my weights.pt", "-odd", "$HOME/w"],
        "image_size": [None, 112, 448],
        "channels": [1, 3],
        "weights_sha256": [None, "0" * 64],
        "mean": [None, (0.485, 0.456, 0.406), (-0.1, 0.0, 1 / 3)],
        "std": [None, (0.229, 0.224, 0.225)],
    },
    "optim": {"lr": [None, 3e-4, 0.05, 1e-20, 1 / 7]},
    "train": {"device": ["auto", "cpu", "cuda:1", "mps"], "seed": [0, 7, 2**31 - 1]},
    "augment": {"crop_ratio_max": [1.0, 4 / 3]},
    "evaluation": {"bootstrap_samples": [100, 1000], "confidence": [0.5, 0.9]},
}


def fits(method, backbone):
    return METHODS[method].find_misfit(backbone.kind, backbone.traits) is None


def draw_knobs(rng, method):
    """Knobs that the method takes: some want a value that divides another."""
    while True:
        drawn = draw_values(rng, METHODS[method].knobs(), {})
        with contextlib.suppress(ConfigError):
            build_part(METHODS[method].knobs, drawn, section="method")
            return drawn


def draw_config(rng, method):
    dataset = rng.choice([*DATASETS.names(), "phantom-shortcut"])
    backbone = rng.choice([item.name for item in BACKBONES if fits(method, item)] + ["test_vit"])
    values = {name: draw_values(rng, part, WILD.get(name, {})) for name, part in vars(RunConfig()).items() if name in
              ("data", "backbone", "optim", "train", "augment", "evaluation")}  # fmt: skip
    values["data"] |= {"dataset": dataset, "options": draw_values(rng, DATASETS[dataset].options(), {})}
    values["backbone"] |= {"name": backbone}
    values["method"] = {"name": method, "knobs": draw_knobs(rng, method)}
    if method != CACHEABLE_METHOD:
        values["train"].pop("cached_features", None)
    return RunConfig.from_dict(values)


def test_build_command_gives_the_same_config_back(parse):
    rng = random.Random(20240121)
    seen, methods = set(), set()
    for method, _ in zip(itertools.cycle(METHODS.names()), range(NUM_CONFIGS), strict=False):
        config = draw_config(rng, method)
        command = build_command(config)
        assert resolve_config(parse(command)) == without_hash(resolve_config(config)), command
        assert build_command(resolve_config(config)) == command
        seen |= {word for word in shlex.split(command) if word.startswith("--")}
        seen |= {word.partition("=")[0] for word in shlex.split(command) if "." in word and "=" in word}
        methods.add(config.method.name)
    assert seen >= set(OPTIONS.values()), "every option was used at least once"
    assert {"data.num_patients", "method.dropout", "optim.optimizer", "backbone.mean", "train.compile"} <= seen
    assert "train.cached_features" in seen
    assert methods == set(METHODS.names())


@pytest.mark.parametrize("method", METHODS.names())
def test_build_command_of_defaults_is_the_shortest(method, parse):
    backbone = "vit_tiny_patch16_224" if fits(method, BACKBONES["vit_tiny_patch16_224"]) else "resnet50"
    config = RunConfig.from_dict({"method": {"name": method}, "backbone": {"name": backbone}})
    expected = f"python -m medpeft_core train --dataset phantom --backbone {backbone} --method {method}"
    assert build_command(config) == expected
    assert build_command(resolve_config(config)) == expected, "a resolved config differs in nothing"
    assert resolve_config(parse(expected)) == resolve_config(config)


def test_build_command_names_only_what_differs():
    config = RunConfig.from_dict(
        {
            "data": {"fraction": 0.25, "options": {"num_patients": 200, "size": 224}},
            "method": {"knobs": {"rank": 4, "alpha": 32, "dropout": 0.0}},
            "train": {"epochs": 10, "compile": True},
            "optim": {"lr": 3e-3},
        }
    )
    assert build_command(config) == (
        "python -m medpeft_core train --dataset phantom --fraction 0.25 --backbone resnet18 --method lora --rank 4 "
        "--set data.num_patients=200 --set method.dropout=0 --set train.compile=true"
    )


def test_build_command_of_cached_features_leaves_out_what_they_turn_off(parse):
    values = {"method": {"name": "linear"}, "train": {"cached_features": True, "precision": "bf16"}}
    config = RunConfig.from_dict({**values, "augment": {"interpolation": "bicubic", "flip": 0.3}})
    command = build_command(config)
    assert command == (
        "python -m medpeft_core train --dataset phantom --backbone resnet18 --method linear "
        "--set train.cached_features=true --set augment.interpolation=bicubic"
    )
    assert resolve_config(parse(command)) == resolve_config(config)


def test_build_command_quotes_for_the_shell(parse):
    config = RunConfig.from_dict({"data": {"dataset": "nih", "root": "/data/it's; rm -rf $HOME"}})
    root = resolve_config(config).data.root
    assert f"--root {shlex.quote(root)} " in build_command(config)
    assert parse(build_command(config)).data.root == root


def test_build_command_leaves_out_the_hash_of_the_weights():
    config = RunConfig.from_dict({"backbone": {"weights_sha256": "0" * 64}})
    assert "sha256" not in build_command(config)


def test_build_command_refuses_what_cannot_be_resolved():
    with pytest.raises(MedPeftError, match="no method 'lara'"):
        build_command(RunConfig.from_dict({"method": {"name": "lara"}}))


def test_build_command_knows_every_option_of_train():
    """A new option of `train` must be used instead of --set."""
    options = {f"--{name.replace('_', '-')}" for name in inspect.signature(cli.train).parameters} - {
        f"--{name.replace('_', '-')}" for name in NOT_AN_OPTION
    }
    assert set(OPTIONS.values()) == options


def test_flatten_config_holds_every_setting_once():
    config = resolve_config(RunConfig())
    flat = flatten_config(config)
    assert flat["method", "rank"] == 8
    assert flat["data", "num_patients"] == 2150
    assert ("method", "knobs") not in flat
    assert list(dict.fromkeys(section for section, _ in flat)) == [
        "data", "backbone", "method", "optim", "train", "augment", "evaluation",
    ]  # fmt: skip


PRETRAIN_WILD = {
    "data": WILD["data"],
    "encoder": WILD["backbone"],
    "mae": {"mask_ratio": [0.5, 1 / 3], "decoder_width": [None, 64], "decoder_depth": [None, 2], "decoder_heads": [2]},
    "optim": {"base_lr": [1.5e-4, 1 / 7]},
    "train": WILD["train"],
    "augment": WILD["augment"],
}


def draw_pretraining(rng):
    values = {name: draw_values(rng, getattr(PretrainConfig(), name), PRETRAIN_WILD[name]) for name in
              pretrain_sections()}  # fmt: skip
    dataset = rng.choice([*DATASETS.names(), "phantom-shortcut"])
    values["data"] |= {"dataset": dataset, "options": draw_values(rng, DATASETS[dataset].options(), {})}
    values["encoder"] |= {"name": rng.choice([item.name for item in BACKBONES if item.kind == "vit"] + ["test_vit"])}
    return PretrainConfig.from_dict(values)


def test_build_pretrain_command_gives_the_same_config_back(parse):
    rng, seen = random.Random(20240121), set()
    for _ in range(NUM_CONFIGS):
        config = resolve_pretraining(draw_pretraining(rng))
        command = build_pretrain_command(config)
        without = replace(config, encoder=replace(config.encoder, weights_sha256=None))
        assert resolve_pretraining(parse(command)) == without, command
        seen |= {word for word in shlex.split(command) if word.startswith("--")}
        seen |= {word.partition("=")[0] for word in shlex.split(command) if "." in word and "=" in word}
    assert seen >= set(PRETRAIN_OPTIONS.values()), "every option was used at least once"
    assert {"data.num_patients", "data.fraction", "mae.norm_pixels", "encoder.mean", "optim.beta2"} <= seen
    assert "encoder.weights_sha256" not in seen


def test_build_pretrain_command_of_defaults_is_the_shortest(parse):
    expected = "python -m medpeft_core pretrain --dataset phantom --backbone vit_small_patch16_224"
    config = PretrainConfig.from_dict({"encoder": {"name": "vit_small_patch16_224"}})
    assert build_pretrain_command(config) == build_pretrain_command(resolve_pretraining(config)) == expected
    assert parse(expected) == config


def test_build_pretrain_command_knows_every_option_of_pretrain():
    options = {f"--{name.replace('_', '-')}" for name in inspect.signature(cli.pretrain).parameters if name not in
               NOT_AN_OPTION}  # fmt: skip
    assert set(PRETRAIN_OPTIONS.values()) == options


def test_build_pretrain_command_refuses_what_cannot_be_resolved():
    with pytest.raises(MedPeftError, match="needs a plain ViT"):
        build_pretrain_command(PretrainConfig.from_dict({"encoder": {"name": "resnet18"}}))
