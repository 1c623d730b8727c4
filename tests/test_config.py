"""RunConfig: round trip, ranges and their messages, reading text, and files of other versions."""

import dataclasses
import json
import typing
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from medpeft_core.coerce import coerce
from medpeft_core.config import RunConfig, section_names, setting
from medpeft_core.errors import ConfigError
from medpeft_core.sections import SCHEMA_VERSION

CHANGED: dict[str, dict[str, Any]] = {
    "data": {"dataset": "nih", "root": "/films", "options": {"lists": "none"}, "fraction": 0.1, "unreadable": "drop"},
    "backbone": {"name": "vit_tiny_patch16_224", "image_size": 112, "pool": "avg", "mean": (0.1, 0.2, 0.3)},
    "method": {"name": "lora", "knobs": {"rank": 4, "targets": "q,v"}},
    "optim": {"lr": 1e-4, "optimizer": "sgd", "class_weights": "balanced"},
    "train": {"epochs": 2, "device": "cuda:1", "compile": True, "precision": "bf16"},
    "augment": {"flip": 0.0, "interpolation": "bicubic"},
    "evaluation": {"bootstrap_samples": 200, "confidence": 0.9},
}

# (section.key, values just inside the range, values just outside it, what the message says must be)
RANGES: list[tuple[str, list[Any], list[Any], str]] = [
    ("data.fraction", [0.001, 1], [0, -0.1, 1.001], "above 0 and at most 1"),
    ("data.fraction_seed", [0, 7], [-1], "0 or more"),
    ("data.split_seed", [0, 7], [-1], "0 or more"),
    ("data.patient_overlap", ["refuse", "keep", "resplit"], ["ignore"], "one of refuse, keep, resplit"),
    ("data.split", ["given", "stratified"], ["random"], "one of given, patient, stratified, folds, hold_out"),
    ("data.folds", [5, 20], [1, 21], "from 2 to 20"),
    ("data.fold", [1, 5], [0, 6], "from 1 to data.folds, 5"),
    ("data.window", ["auto", "2", "full"], ["0", "lung"], "auto, percentiles, full, or the number of a window"),
    ("data.frame", ["first", "3"], ["0", "-1"], "first, middle, last, or a number from 1"),
    ("data.unreadable", ["refuse", "drop"], ["skip"], "one of refuse, drop"),
    ("data.cache_size", [16, 4096], [15, 4097], "from 16 to 4096"),
    ("backbone.image_size", [16, 2048, None], [15, 2049, 0], "from 16 to 2048"),
    ("backbone.pool", ["token", "avg", None], ["max"], "one of token, avg"),
    ("backbone.positions", ["antialias", "plain"], ["bilinear"], "one of antialias, plain"),
    ("backbone.channels", [1, 3], [0, 2, 4], "3 or 1"),
    ("backbone.drop_path", [0, 0.99], [-0.1, 1], "0 or more and below 1"),
    ("backbone.head_init_std", [2e-5], [0, -1], "above 0"),
    ("backbone.mean", [(0.0, 0.5, 1.0), None], [(0.5,), (0.5, 0.5)], "three numbers"),
    ("backbone.std", [(0.2, 0.2, 0.2), None], [(0.2,), (0.2, 0.0, 0.2)], "three numbers above 0"),
    ("optim.optimizer", ["adamw", "sgd"], ["adam"], "one of adamw, sgd"),
    ("optim.lr", [1e-9, None], [0, -1], "above 0"),
    ("optim.min_lr", [0, 1e-6], [-1e-6], "0 or more"),
    ("optim.warmup_epochs", [0, 0.5], [-0.5], "0 or more"),
    ("optim.weight_decay", [0, 0.3], [-0.1], "0 or more"),
    ("optim.clip_norm", [0, 5], [-1], "0 or more"),
    ("optim.momentum", [0, 0.99], [-0.1, 1], "0 or more and below 1"),
    ("optim.beta1", [0, 0.99], [-0.1, 1], "0 or more and below 1"),
    ("optim.beta2", [0, 0.999], [-0.1, 1], "0 or more and below 1"),
    ("optim.layer_decay", [0.65, 1], [0, 1.01], "above 0 and at most 1"),
    ("optim.class_weights", ["none", "balanced"], ["inverse"], "one of none, balanced"),
    ("train.epochs", [1], [0, -1], "1 or more"),
    ("train.batch_size", [1], [0], "1 or more"),
    ("train.accumulation", [1, 8], [0], "1 or more"),
    ("train.cpu_threads", [0, 1, 256], [-1, 257], "from 0 to 256"),
    ("train.seed", [0, 2**31 - 1], [-1, 2**31], "from 0 to 2147483647"),
    ("train.device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:13"], ["gpu", "cuda:", "cuda:x", "cpu:0", ""],
     "auto, cpu, mps or cuda:N"),
    ("train.precision", ["auto", "fp32", "bf16", "fp16"], ["fp64"], "one of auto, fp32, bf16, fp16"),
    ("train.eval_every", [0, 10], [-1], "0 or more"),
    ("train.patience", [0, 3], [-1], "0 or more"),
    ("train.checkpoint_every_s", [0.1], [0, -1], "above 0"),
    ("augment.crop_scale_min", [0.08, 1], [0, 1.01], "above 0 and at most 1"),
    ("augment.crop_ratio_max", [1, 1.33], [0.99], "1 or more"),
    ("augment.flip", [0, 1], [-0.1, 1.1], "from 0 to 1"),
    ("augment.erasing", [0, 1], [-0.1, 1.1], "from 0 to 1"),
    ("augment.rotation_deg", [0, 180], [-1, 181], "from 0 to 180"),
    ("augment.brightness", [0, 0.9], [-0.1, 1], "0 or more and below 1"),
    ("augment.contrast", [0, 0.9], [-0.1, 1], "0 or more and below 1"),
    ("augment.rand_augment", [0, 10], [-1, 11], "from 0 to 10"),
    ("augment.interpolation", ["bilinear", "bicubic"], ["nearest"], "one of bilinear, bicubic"),
    ("evaluation.bootstrap_samples", [100], [99, 0], "100 or more"),
    ("evaluation.confidence", [0.5, 0.99], [0.49, 1], "from 0.5 to below 1"),
    ("evaluation.max_val_images", [16], [15], "16 or more"),
    ("evaluation.batch_size", [1], [0], "1 or more"),
]  # fmt: skip

FREE_FIELDS = {  # any text, table or switch is fine here; resolve.py and the builders know more
    "data.dataset", "data.root", "data.options", "data.hold_out", "backbone.name", "backbone.weights",
    "backbone.weights_sha256", "backbone.layout",
    "method.name", "method.knobs", "train.compile", "train.cached_features",
}  # fmt: skip


def parts() -> list[tuple[str, Any]]:
    """(section, its dataclass) in order."""
    hints = typing.get_type_hints(RunConfig)
    return [(name, hints[name]) for name in section_names()]


def build(name: str, value: Any) -> RunConfig:
    section, _, key = name.partition(".")
    return RunConfig.from_dict({section: {key: value}})


def get(config: RunConfig, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


@pytest.mark.parametrize("values", [{}, CHANGED], ids=["defaults", "changed"])
def test_config_round_trips_through_json(values: dict[str, Any]) -> None:
    config = RunConfig.from_dict(values)
    again = RunConfig.from_dict(json.loads(json.dumps(config.to_dict(), allow_nan=False)))
    assert again == config
    assert again.to_dict() == config.to_dict()


def test_config_dict_holds_every_field() -> None:
    shown = RunConfig().to_dict()
    assert shown["schema_version"] == SCHEMA_VERSION
    assert list(shown) == ["schema_version", *section_names()]
    for section, part in parts():
        assert list(shown[section]) == [item.name for item in dataclasses.fields(part)]


def test_config_keeps_what_was_given() -> None:
    config = RunConfig.from_dict(CHANGED)
    for section, values in CHANGED.items():
        for key, value in values.items():
            assert get(config, f"{section}.{key}") == value


def test_config_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        RunConfig().train.epochs = 3  # type: ignore[misc]


def test_config_default_tables_are_not_shared() -> None:
    first, second = RunConfig(), RunConfig()
    first.method.knobs["rank"] = 4
    assert second.method.knobs == {}


def test_config_ranges_are_tested_for_every_field() -> None:
    known = {f"{section}.{item.name}" for section, part in parts() for item in dataclasses.fields(part)}
    assert {name for name, *_ in RANGES} | FREE_FIELDS == known


def test_config_every_field_is_explained() -> None:
    for section, part in parts():
        for item in dataclasses.fields(part):
            text = item.metadata["help"]
            assert text.endswith("."), f"{section}.{item.name}"


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, inside, _, _ in RANGES for value in inside]
)  # fmt: skip
def test_config_accepts_the_ends_of_a_range(name: str, value: Any) -> None:
    assert get(build(name, value), name) == value


@pytest.mark.parametrize(
    ("name", "value", "allowed"), [(name, value, allowed) for name, _, outside, allowed in RANGES for value in outside]
)
def test_config_refuses_what_is_out_of_range(name: str, value: Any, allowed: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(name, value)
    text = str(caught.value)
    assert text.startswith(f"{name} is ")
    assert text.endswith(f", but it must be {allowed}.")
    assert (f"{value!r}" if isinstance(value, str) else f"{value}") in text


def test_config_refuses_an_unknown_field() -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_dict({"train": {"epochs": 2, "epoch": 3}})
    assert str(caught.value).startswith("There is no setting train.epoch. Settings of train: epochs, batch_size, ")


def test_config_refuses_an_unknown_section() -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_dict({"training": {}})
    assert str(caught.value) == (
        "There is no config section 'training'. Choose: data, backbone, method, optim, train, augment, evaluation."
    )


@pytest.mark.parametrize("value", [3, "epochs=3", None, [1]])
def test_config_refuses_a_section_that_is_no_table(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^train is .*, but it must be a table of settings\.$"):
        RunConfig.from_dict({"train": value})


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, "1", None, 1.5])
def test_config_refuses_another_schema(version: Any) -> None:
    with pytest.raises(ConfigError, match=f"reads up to {SCHEMA_VERSION}. Update the lab."):
        RunConfig.from_dict({"schema_version": version})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("train.epochs", "3", 3),
        ("train.epochs", "1e1", 10),
        ("train.epochs", 3.0, 3),
        ("optim.lr", "1e-3", 1e-3),
        ("optim.lr", "none", None),
        ("optim.lr", "None", None),
        ("optim.weight_decay", 1, 1.0),
        ("train.compile", "true", True),
        ("train.compile", "Yes", True),
        ("train.compile", "0", False),
        ("train.compile", "no", False),
        ("backbone.mean", "0.5, 0.4,0.3", (0.5, 0.4, 0.3)),
        ("backbone.mean", [0.5, 0.4, 0.3], (0.5, 0.4, 0.3)),
        ("backbone.mean", "null", None),
        ("backbone.image_size", "112", 112),
        ("data.root", "none", None),
        ("method.knobs", {"rank": "4"}, {"rank": "4"}),
    ],
)
def test_config_reads_text_as_the_type_of_the_field(name: str, text: Any, value: Any) -> None:
    found = get(build(name, text), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("train.epochs", "many", "a whole number"),
        ("train.epochs", 2.5, "a whole number"),
        ("train.epochs", "2.5", "a whole number"),
        ("train.epochs", True, "a whole number"),
        ("train.epochs", None, "a whole number"),
        ("train.epochs", "inf", "a whole number"),
        ("train.epochs", [1], "a whole number"),
        ("optim.lr", "fast", "a finite number"),
        ("optim.lr", "nan", "a finite number"),
        ("optim.lr", float("inf"), "a finite number"),
        ("optim.lr", False, "a finite number"),
        ("train.compile", "maybe", "true or false"),
        ("train.compile", 2, "true or false"),
        ("data.dataset", ["nih"], "text"),
        ("data.dataset", None, "text"),
        ("backbone.mean", 0.5, "a list such as 1,2,3"),
        ("backbone.mean", "0.5,a,0.5", "a finite number"),
        ("method.knobs", "rank=4", "a table of settings"),
    ],
)
def test_config_refuses_another_type(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(name, value)
    assert str(caught.value).startswith(f"{name} is ")
    assert str(caught.value).endswith(f", but it must be {wanted}.")


def test_coerce_copies_tables() -> None:
    table = {"rank": 4}
    copied = coerce(table, dict[str, Any], "method.knobs")
    copied["rank"] = 8
    assert table == {"rank": 4}


def test_setting_works_as_a_field() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Knobs:
        rank: int = setting(8, "Width.", choices=("4", "8"))

    (item,) = dataclasses.fields(Knobs)
    assert Knobs().rank == 8
    assert item.metadata == {"help": "Width.", "choices": ("4", "8"), "suggestions": ()}
