"""From what was typed to a complete config: settings as text, defaults of the specs, and early refusals."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from medpeft_core.backbones import BACKBONES
from medpeft_core.config import DataConfig, RunConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.errors import BackboneError, ConfigError, MedPeftError, MethodError, UnknownNameError
from medpeft_core.methods import METHODS, MethodSpec, NoKnobs
from medpeft_core.registry import Registry
from medpeft_core.resolve import SGD_LR_FACTOR, apply_settings, resolve_config, resolve_data, to_plain
from medpeft_core.traits import ONE_SEQUENCE


def resolve(**sections: dict[str, Any]) -> RunConfig:
    return resolve_config(RunConfig.from_dict(sections))


def choose_backbone(method: str) -> dict[str, Any]:
    """The backbone section for a method that fits not every backbone."""
    spec = METHODS[method]
    fitting = [item.name for item in BACKBONES if spec.find_misfit(item.kind, item.traits) is None]
    return {"name": fitting[0]}


def test_apply_settings_puts_text_into_sections() -> None:
    values = apply_settings(
        {"train": {"epochs": 3}}, ["train.epochs=5", "optim.lr = 1e-3", "backbone.mean=0.5,0.5,0.5"]
    )
    config = RunConfig.from_dict(values)
    assert (config.train.epochs, config.optim.lr, config.backbone.mean) == (5, 1e-3, (0.5, 0.5, 0.5))


def test_apply_settings_reaches_options_and_knobs() -> None:
    values = apply_settings({}, ["data.num_patients=20", "data.fraction=0.5", "method.rank=4", "method.name=lora"])
    assert values == {
        "data": {"options": {"num_patients": "20"}, "fraction": "0.5"},
        "method": {"knobs": {"rank": "4"}, "name": "lora"},
    }


def test_apply_settings_adds_to_knobs_that_are_there() -> None:
    values = apply_settings({"method": {"knobs": {"rank": 4}}}, ["method.alpha=8"])
    assert values["method"]["knobs"] == {"rank": 4, "alpha": "8"}


def test_apply_settings_keeps_equals_signs_in_values() -> None:
    assert apply_settings({}, ["data.root=/films/a=b"])["data"]["root"] == "/films/a=b"


@pytest.mark.parametrize("text", ["optim.lr", "lr=1", "optim.=1", "=1", "", "optim.lr:1"])
def test_apply_settings_refuses_another_form(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_settings({}, [text])
    assert str(caught.value) == (
        f"--set {text} is not understood. Write --set section.key=value, for example train.epochs=5."
    )


def test_apply_settings_takes_the_sections_of_another_config() -> None:
    sections = ["data", "mae"]
    values = apply_settings({}, ["data.num_patients=20", "mae.mask_ratio=0.6"], sections=sections)
    assert values == {"data": {"options": {"num_patients": "20"}}, "mae": {"mask_ratio": "0.6"}}
    with pytest.raises(ConfigError, match="no config section 'method'. Choose: data, mae."):
        apply_settings({}, ["method.rank=4"], sections=sections)


@pytest.mark.parametrize("section", ["optimizer", "", "schema_version"])
def test_apply_settings_refuses_an_unknown_section(section: str) -> None:
    with pytest.raises(ConfigError, match=rf"^There is no config section '{section}'\. Choose: data, backbone, "):
        apply_settings({}, [f"{section}.lr=1"])


def test_apply_settings_unknown_key_of_a_closed_section_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^There is no setting optim\.learning_rate\. Settings of optim: "):
        RunConfig.from_dict(apply_settings({}, ["optim.learning_rate=1"]))


@pytest.mark.parametrize("method", METHODS.names())
def test_resolve_takes_the_learning_rate_of_the_method(method: str) -> None:
    config = resolve(method={"name": method}, backbone=choose_backbone(method))
    assert config.optim.lr == METHODS[method].default_lr


@pytest.mark.parametrize("method", METHODS.names())
def test_resolve_gives_sgd_a_higher_learning_rate(method: str) -> None:
    config = resolve(method={"name": method}, backbone=choose_backbone(method), optim={"optimizer": "sgd"})
    assert config.optim.lr == pytest.approx(METHODS[method].default_lr * SGD_LR_FACTOR)


def test_resolve_default_learning_rate_of_adapters_is_ten_times_that_of_full() -> None:
    assert METHODS["lora"].default_lr == pytest.approx(10 * METHODS["full"].default_lr)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_resolve_keeps_a_given_learning_rate(optimizer: str) -> None:
    assert resolve(optim={"lr": 0.123, "optimizer": optimizer}).optim.lr == 0.123


@pytest.mark.parametrize("method", METHODS.names())
def test_resolve_completes_the_knobs(method: str) -> None:
    knobs = resolve(method={"name": method}, backbone=choose_backbone(method)).method.knobs
    assert list(knobs) == [item.name for item in dataclasses.fields(METHODS[method].knobs)]


def test_resolve_reads_knobs_as_their_types() -> None:
    config = RunConfig.from_dict(apply_settings({"method": {"name": "lora"}}, ["method.rank=4", "method.alpha=8"]))
    knobs = resolve_config(config).method.knobs
    assert (knobs["rank"], knobs["alpha"]) == (4, 8.0)
    assert (type(knobs["rank"]), type(knobs["alpha"])) == (int, float)


@pytest.mark.parametrize("dataset", Registry.names(DATASETS))  # without the stored sets of whoever runs the tests
def test_resolve_completes_the_options(dataset: str) -> None:
    options = resolve(data={"dataset": dataset}).data.options
    assert list(options) == [item.name for item in dataclasses.fields(DATASETS[dataset].options)]


def test_resolve_twice_changes_nothing() -> None:
    config = resolve(method={"name": "lora", "knobs": {"rank": 4}}, data={"dataset": "phantom"})
    assert resolve_config(config) == config
    assert resolve_config(RunConfig.from_dict(config.to_dict())) == config


def test_resolve_refuses_an_unknown_knob() -> None:
    with pytest.raises(ConfigError, match=r"^There is no setting method\.width\. Settings of method: rank, alpha, "):
        resolve(method={"name": "lora", "knobs": {"width": 4}})


def test_resolve_refuses_a_knob_of_a_method_that_has_none() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(method={"name": "linear", "knobs": {"rank": 4}})
    assert str(caught.value) == "There is no setting method.rank. Settings of method: none."


@pytest.mark.parametrize(
    ("knobs", "text"),
    [
        ({"rank": 0}, "method.rank is 0, but it must be 1 or more."),
        ({"rank": "wide"}, "method.rank is 'wide', but it must be a whole number."),
        ({"dropout": 1}, "method.dropout is 1.0, but it must be 0 or more and below 1."),
        ({"targets": ""}, "method.targets is '', but it must be auto, q,v, qkv, all, or the ends of layers' names."),
    ],
)
def test_resolve_checks_knobs(knobs: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(method={"name": "lora", "knobs": knobs})
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"patients": 20}, "There is no setting data.patients. Settings of data: num_patients, size, seed."),
        ({"num_patients": 1}, "data.num_patients is 1, but it must be from 10 to 100000."),
        ({"size": "big"}, "data.size is 'big', but it must be a whole number."),
    ],
)
def test_resolve_checks_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(data={"dataset": "phantom", "options": options})
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("section", "name", "text"),
    [
        ("method", "lorra", "There is no method 'lorra'. Did you mean 'lora'?"),
        ("data", "phantm", "There is no data set 'phantm'. Did you mean 'phantom'?"),
    ],
)
def test_resolve_refuses_an_unknown_name(section: str, name: str, text: str) -> None:
    key = "dataset" if section == "data" else "name"
    with pytest.raises(UnknownNameError) as caught:
        resolve(**{section: {key: name}})
    assert str(caught.value).startswith(text)


def test_resolve_leaves_a_timm_name_outside_the_list_to_the_builder() -> None:
    assert resolve(backbone={"name": "test_vit", "image_size": 33}).backbone.image_size == 33


@pytest.mark.parametrize(
    ("name", "size", "advice"),
    [
        ("vit_tiny_patch16_224", 100, "must be a multiple of 16. Use --image-size 96 or 112."),
        ("vit_small_patch14_dinov2", 224 + 1, "must be a multiple of 14. Use --image-size 224 or 238."),
    ],
)
def test_resolve_refuses_an_image_size_between_patches(name: str, size: int, advice: str) -> None:
    with pytest.raises(BackboneError) as caught:
        resolve(backbone={"name": name, "image_size": size})
    assert str(caught.value).startswith(f"The backbone {name!r} cannot take images of {size} pixels: ")
    assert str(caught.value).endswith(advice)


@pytest.mark.parametrize("name", BACKBONES.names())
def test_resolve_accepts_the_size_that_a_backbone_was_made_for(name: str) -> None:
    size = BACKBONES[name].image_size
    assert resolve(backbone={"name": name, "image_size": size}).backbone.image_size == size


def test_resolve_refuses_a_method_that_does_not_fit_the_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: Any) -> Any:
        raise AssertionError("nothing is built here")

    spec = MethodSpec(
        name="tokens_only", title="Tokens", family="additive", idea="Adds tokens.", requires=(ONE_SEQUENCE,),
        knobs=NoKnobs, build=build, reference="none", default_lr=1e-3, is_mergeable=False,
    )  # fmt: skip
    methods: Registry[MethodSpec] = Registry("method")
    methods.add(spec)
    monkeypatch.setattr("medpeft_core.resolve.METHODS", methods)
    assert resolve(method={"name": spec.name}, backbone={"name": "vit_tiny_patch16_224"}).method.name == spec.name
    with pytest.raises(MethodError) as caught:
        resolve(method={"name": spec.name}, backbone={"name": "resnet18"})
    assert str(caught.value) == (
        "The method 'tokens_only' does not fit 'resnet18': it needs one sequence of tokens that goes through all "
        "blocks, and this backbone has none. Choose another method or backbone."
    )
    assert isinstance(caught.value, MedPeftError)


def test_resolve_turns_off_what_cached_features_leave_without_effect() -> None:
    config = resolve(
        method={"name": "linear"},
        backbone={"drop_path": 0.1},
        train={"cached_features": True, "compile": True, "precision": "bf16"},
        augment={"interpolation": "bicubic", "rotation_deg": 20},
    )
    assert (config.backbone.drop_path, config.train.compile, config.train.precision) == (0.0, False, "fp32")
    varied = dataclasses.asdict(config.augment)
    kept = [varied.pop(name) for name in ("crop_scale_min", "crop_ratio_max", "interpolation")]
    assert kept == [1, 1, "bicubic"]
    assert not any(varied.values()), "an augmentation that is added later is to be turned off as well"
    assert resolve_config(config) == config


@pytest.mark.parametrize("method", [name for name in METHODS.names() if name != "linear"])
def test_resolve_refuses_cached_features_for_methods_that_change_them(method: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(method={"name": method}, backbone=choose_backbone(method), train={"cached_features": True})
    assert str(caught.value) == (
        f"train.cached_features is true, but the method '{method}' changes the backbone, and with it the features of "
        "every image, at each step. Use --method linear, or turn train.cached_features off."
    )
    resolve(method={"name": method}, backbone=choose_backbone(method), train={"cached_features": False})


def test_resolve_refuses_an_unknown_layout_and_lists_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"no layout 'hf_dinov3'.*mean 'hf_dinov2'.*eva, hf_dinov2, hf_vit, mae"):
        resolve(backbone={"layout": "hf_dinov3"})
    assert resolve(backbone={"layout": "mae"}).backbone.layout == "mae"


def test_resolve_data_makes_the_root_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = RunConfig.from_dict({"data": {"dataset": "nih", "root": f"films{os.sep}nih"}}).data
    assert resolve_data(data).root == str(tmp_path.resolve() / "films" / "nih")


def test_resolve_data_stores_the_registered_name() -> None:
    assert resolve_data(DataConfig(dataset="phantom-shortcut")).dataset == "phantom_shortcut"


def test_resolve_data_leaves_a_missing_root_open() -> None:
    assert resolve_data(RunConfig().data).root is None


def test_to_plain_keeps_the_order_of_the_fields() -> None:
    knobs = METHODS["lora"].knobs(rank=2)
    assert list(to_plain(knobs)) == ["rank", "alpha", "dropout", "targets"]
    assert to_plain(knobs)["rank"] == 2
