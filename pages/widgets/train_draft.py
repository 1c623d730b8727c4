"""The settings that a visitor is choosing: one plain dict in the session, from which the config is made."""

import copy
from dataclasses import fields, replace
from typing import Any

import streamlit as st

from medpeft_core.backbones import BACKBONES, BackboneSpec
from medpeft_core.backbones.demo import DEMO_BACKBONE
from medpeft_core.config import AugmentConfig, RunConfig, section_names
from medpeft_core.datasets import DATASETS
from medpeft_core.errors import MedPeftError, require
from medpeft_core.methods import METHODS
from medpeft_core.paper_cells import forget_cell
from medpeft_core.presets import PRESETS, apply_preset, find_settings
from medpeft_core.resolve import resolve_config
from medpeft_core.worker.devices import lock_name
from pages.widgets.settings_form import renew_widgets
from pages.widgets.shared_settings import replace_shared
from pages.widgets.weights_handover import SHELF, drop_misfit

DRAFT_KEY = "train_draft"
COPIED_KEY = "train_copied"
FIRST_PRESET = "quick"
FILE = "file"  # the weights are in a file that has not been named yet
DEMO = "demo"  # the weights that ship with the lab
# What a new visitor sees: the only weights that are here without a network, and the method that they are good for.
FIRST_CHOICES: dict[str, Any] = {"backbone": {"name": DEMO_BACKBONE, "weights": DEMO}, "method": {"name": "lora"}}
# Values that a copied run had taken from another setting; they go when that setting changes.
TAKEN_FROM = {
    ("backbone", "name"): (("backbone", "mean"), ("backbone", "std")),
    ("backbone", "weights"): (("backbone", "mean"), ("backbone", "std")),
    ("train", "device"): (("train", "precision"),),
    # what cached features had turned off
    ("train", "cached_features"): (
        ("train", "precision"),
        *(("augment", item.name) for item in fields(AugmentConfig) if item.name != "interpolation"),
    ),
}

DEFAULTS = RunConfig()

Draft = dict[str, dict[str, Any]]


def get_draft() -> Draft:
    """Section -> field -> value of what was chosen; absent fields have their defaults."""
    if DRAFT_KEY not in st.session_state:
        st.session_state[DRAFT_KEY] = _complete(apply_preset(FIRST_CHOICES, FIRST_PRESET))
    return st.session_state[DRAFT_KEY]


def put_draft(draft: Draft, *, copied: dict[str, Any] | None = None) -> None:
    """Replace all choices.

    Args:
        copied: where the values come from: `run_id` of a run or `cell` of a paper, and the `draft` that it gave, so
            that what it had derived is known.
    """
    st.session_state[DRAFT_KEY] = _complete(draft)
    st.session_state[COPIED_KEY] = copied or {}
    renew_widgets()


def build_config(draft: Draft) -> RunConfig:
    """The config of the choices, not yet resolved.

    Knobs and options that belong to another method or data set stay in the draft, so that coming back finds them, and
    are left out here.

    Raises:
        MedPeftError: a value is of the wrong type or out of range, or a name is unknown.
    """
    values = {section: dict(table) for section, table in draft.items()}
    method = values["method"].get("name", DEFAULTS.method.name)
    dataset = values["data"].get("dataset", DEFAULTS.data.dataset)
    values["method"]["knobs"] = _keep_known(values["method"]["knobs"], METHODS[method].knobs)
    values["data"]["options"] = _keep_known(values["data"]["options"], DATASETS[dataset].options)
    weights = values["backbone"].get("weights", DEFAULTS.backbone.weights)
    allowed = "random, pretrained, demo, shelf:NAME or the path of a file"
    require(weights != FILE, "backbone.weights", "a file without a path", allowed)
    require(weights != SHELF, "backbone.weights", "the shelf without a name", allowed)
    return RunConfig.from_dict(values)


def draft_from_config(config: RunConfig, *, automatic_device: str) -> Draft:
    """Choices that give the config of a run again.

    What the lab had chosen for the run becomes automatic again where that gives the same, so that it follows when
    another backbone, method or device is chosen.

    Args:
        automatic_device: the device that "auto" means on this computer.
    """
    backbone, train, spec = config.backbone, config.train, find_backbone(config.backbone.name)
    is_own_pool = spec is not None and backbone.pool == spec.pools[0]
    copied = replace(
        config,
        backbone=replace(
            backbone,
            weights_sha256=None,  # random weights follow from the seed, others are read again
            pool=None if is_own_pool else backbone.pool,
        ),
        optim=replace(config.optim, lr=None if config.optim.lr == _find_default_lr(config) else config.optim.lr),
        train=replace(train, device="auto" if train.device == automatic_device else train.device),
    )
    values = copied.to_dict()
    values.pop("schema_version")
    return values


def copy_run(run_id: str, config: RunConfig) -> None:
    """Let the form show the settings of a run."""
    draft = draft_from_config(config, automatic_device=lock_name("auto"))
    put_draft(draft, copied={"run_id": run_id, "draft": copy.deepcopy(draft)})


def use_data(section: dict[str, Any]) -> None:
    """Let the form stand on a data set: its name, folder, options and split; everything else stays as it is chosen.

    Args:
        section: `dataset`, `root`, `options` (those that are changed), `split_seed`, and those of the shared settings
            that are not as usual.
    """
    get_draft()["data"].update({name: section[name] for name in ("dataset", "root", "split_seed")})
    get_draft()["data"]["options"] = dict(section["options"])
    replace_shared(get_draft()["data"], section)
    renew_widgets()


def describe_copy() -> str | None:
    """Which run the settings come from, and whether they were changed since; None when they come from none."""
    copied = st.session_state.get(COPIED_KEY)
    if not copied or "run_id" not in copied:
        return None
    try:
        is_same = build_config(get_draft()) == build_config(copied["draft"])
    except MedPeftError:
        is_same = False
    return f"The settings of the run {copied['run_id']}" + ("." if is_same else ", with changes.")


def settle(section: str, name: str) -> None:
    """Called when a setting has changed: drop what no longer goes with it."""
    draft, copied = get_draft(), st.session_state.get(COPIED_KEY, {}).get("draft", {})
    for other_section, other in TAKEN_FROM.get((section, name), ()):
        table = draft[other_section]
        if other in table and table[other] == copied.get(other_section, {}).get(other):
            del table[other]
            renew_widgets(f"train_{other_section}_{other}")
    if (section, name) == ("backbone", "name"):
        _follow_backbone(draft)
    spec = find_backbone(draft["backbone"].get("name", DEFAULTS.backbone.name))
    if spec is not None and draft["backbone"].get("pool") not in (None, *spec.pools):
        del draft["backbone"]["pool"]
        renew_widgets("train_backbone_pool")


def _follow_backbone(draft: Draft) -> None:
    """Another backbone: the demo weights come and go with the demo backbone, and a preset that was chosen stays so."""
    backbone = draft["backbone"]
    drop_misfit(backbone, backbone.get("name", DEFAULTS.backbone.name))
    is_demo, has_demo_weights = backbone.get("name") == DEMO_BACKBONE, backbone.get("weights") == DEMO
    if is_demo != has_demo_weights:
        backbone["weights"] = DEMO if is_demo else DEFAULTS.backbone.weights
        renew_widgets("train_weights")
    for name in PRESETS:
        size = find_settings(name, backbone.get("name"))["backbone"]["image_size"]
        if find_preset({**draft, "backbone": {**backbone, "image_size": size}}) == name:
            sizes = {find_settings(name, other)["backbone"]["image_size"] for other in BACKBONES.names()}
            if backbone.get("image_size") in sizes - {size}:
                backbone["image_size"] = size
                renew_widgets("train_backbone_image_size")


def find_backbone(name: str) -> BackboneSpec | None:
    """What the lab knows about a backbone; None for a timm name that it does not describe."""
    return BACKBONES[name] if name in BACKBONES.names() else None


def find_preset(draft: Draft) -> str | None:
    """The preset whose settings the draft has, or None."""
    try:
        values = build_config(draft).to_dict()
    except MedPeftError:
        return None
    backbone = values["backbone"]["name"]
    return next((name for name in PRESETS if _has_settings(values, find_settings(name, backbone))), None)


def use_preset(name: str) -> None:
    """Put the settings of a preset into the draft; the recipe of a paper's cell goes, as far as it is unchanged."""
    copied = st.session_state.get(COPIED_KEY, {})
    draft = forget_cell(get_draft(), copied["cell"]) if "cell" in copied else get_draft()
    put_draft(apply_preset(draft, name), copied=copied)


def _has_settings(values: Draft, settings: Draft) -> bool:
    return all(values[section][name] == value for section, table in settings.items() for name, value in table.items())


def _complete(draft: Draft) -> Draft:
    """A copy with a table for every section, and the tables inside them."""
    tables = {section: dict(draft.get(section) or {}) for section in section_names()}
    tables["data"]["options"] = dict(tables["data"].get("options") or {})
    tables["method"]["knobs"] = dict(tables["method"].get("knobs") or {})
    return tables


def _find_default_lr(config: RunConfig) -> float | None:
    """The learning rate that the method would get by itself, or None where the config cannot be resolved any more."""
    try:
        return resolve_config(replace(config, optim=replace(config.optim, lr=None))).optim.lr
    except MedPeftError:
        return None


def _keep_known(table: dict[str, Any], part: type[Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name in part.__dataclass_fields__}
