"""Presets: valid everywhere, complete, and without a say in what is compared."""

import dataclasses
import re

import pytest

from medpeft_core.backbones import BACKBONES
from medpeft_core.config import RunConfig
from medpeft_core.errors import UnknownNameError
from medpeft_core.methods import METHODS
from medpeft_core.presets import PRESETS, apply_preset
from medpeft_core.resolve import resolve_config

QUESTION = {"data", "method"}
QUESTION_FIELDS = {
    ("backbone", "name"), ("backbone", "weights"), ("optim", "lr"), ("train", "seed"), ("train", "device"),
}  # fmt: skip


def fields_of(name):
    return {(section, field) for section, table in PRESETS[name].settings.items() for field in table}


def test_presets_are_the_three_of_the_train_page():
    assert list(PRESETS) == ["quick", "balanced", "thorough"]
    assert all(name == preset.name and preset.title for name, preset in PRESETS.items())
    for preset in PRESETS.values():
        assert re.fullmatch(r"[A-Z][^.]*( et al\.)?[^.]*\.", preset.description), "one sentence"


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("method", METHODS.names())
def test_preset_gives_a_valid_config_for_every_method_and_backbone(name, method):
    for backbone in BACKBONES:
        if METHODS[method].find_misfit(backbone.kind, backbone.traits) is not None:
            continue
        values = apply_preset({"backbone": {"name": backbone.name}, "method": {"name": method}}, name)
        resolved = resolve_config(RunConfig.from_dict(values))
        assert resolved.train.epochs == PRESETS[name].settings["train"]["epochs"]
        assert (resolved.backbone.name, resolved.method.name) == (backbone.name, method)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_does_not_touch_what_the_question_is_about(name):
    touched = fields_of(name)
    assert not QUESTION & {section for section, _ in touched}
    assert not QUESTION_FIELDS & touched


def test_presets_leave_nothing_of_each_other_behind():
    assert fields_of("quick") == fields_of("balanced") == fields_of("thorough")
    values = RunConfig().to_dict()
    assert apply_preset(apply_preset(values, "thorough"), "quick") == apply_preset(values, "quick")


def test_presets_set_every_field_of_augmentation():
    known = {item.name for item in dataclasses.fields(RunConfig().augment)}
    assert all(set(preset.settings["augment"]) == known for preset in PRESETS.values())


def test_presets_grow_in_length_and_care():
    lengths = [(p.settings["train"]["epochs"], p.settings["evaluation"]["bootstrap_samples"]) for p in PRESETS.values()]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) == 3


def test_apply_preset_gives_a_new_dict_and_keeps_the_rest():
    values = {"optim": {"lr": 0.5, "warmup_epochs": 9.0}, "method": {"knobs": {"rank": 4}}}
    changed = apply_preset(values, "quick")
    assert values == {"optim": {"lr": 0.5, "warmup_epochs": 9.0}, "method": {"knobs": {"rank": 4}}}
    assert changed["optim"] == {"lr": 0.5, "warmup_epochs": 0.5}
    changed["method"]["knobs"]["rank"] = 99
    changed["augment"]["flip"] = 99
    assert values["method"]["knobs"]["rank"] == 4
    assert apply_preset({}, "quick")["augment"]["flip"] == 0.5


def test_apply_preset_names_the_presets_when_it_knows_none_of_that_name():
    with pytest.raises(UnknownNameError, match="no preset 'fast'. Choose: quick, balanced, thorough"):
        apply_preset({}, "fast")
