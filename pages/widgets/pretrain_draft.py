"""The settings of the pre-training that a visitor is choosing: one plain dict in the session, as on Train."""

import re
from dataclasses import fields
from typing import Any

import streamlit as st

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.demo import DEMO_BACKBONE
from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.views import list_views
from medpeft_core.errors import require
from medpeft_core.pretrain_config import PretrainConfig, pretrain_sections
from pages.widgets.settings_form import renew_widgets
from pages.widgets.weights_handover import SHELF

DRAFT_KEY = "pretrain_draft"
FILE = "file"  # the start weights are in a file that has not been named yet
DEFAULTS = PretrainConfig()
# Much as the weights that ship with the lab (assets/weights/demo_vit.md), with epochs for a coffee break.
QUICK: dict[str, dict[str, Any]] = {
    "mae": {"norm_pixels": False, "decoder_width": 96, "decoder_depth": 2, "decoder_heads": 3},
    "optim": {"base_lr": 3.2e-3, "warmup_epochs": 2.0},
    "train": {"epochs": 20},
    "augment": {"crop_scale_min": 0.6},
}
_PATCH = re.compile(r"patch(\d+)")

Draft = dict[str, dict[str, Any]]


def get_draft() -> Draft:
    """Section -> field -> value of what was chosen; absent fields have their defaults.

    A new visit stands on the data set that was prepared last.
    """
    if DRAFT_KEY not in st.session_state:
        kept = [item["data"] for item in list_views() if item["data"]["dataset"] in DATASETS]
        first = {**QUICK, "encoder": {"name": DEMO_BACKBONE}, "data": kept[0] if kept else {}}
        st.session_state[DRAFT_KEY] = _complete(first)
    return st.session_state[DRAFT_KEY]


def copy_settings(config: PretrainConfig) -> None:
    """Let the form show the settings of a pre-training; start weights are looked for again."""
    values = config.to_dict()
    values["encoder"]["weights_sha256"] = None
    values.pop("schema_version")
    st.session_state[DRAFT_KEY] = _complete(values)
    renew_widgets()


def build_config(draft: Draft) -> PretrainConfig:
    """The config of the choices, not yet resolved.

    Options that belong to another data set stay in the draft, so that coming back finds them, and are left out here.

    Raises:
        MedPeftError: a value is of the wrong type or out of range, or a name is unknown.
    """
    values = {section: dict(table) for section, table in draft.items()}
    known = {item.name for item in fields(DATASETS[values["data"].get("dataset", DEFAULTS.data.dataset)].options)}
    values["data"]["options"] = {name: value for name, value in values["data"]["options"].items() if name in known}
    weights = values["encoder"].get("weights", DEFAULTS.encoder.weights)
    allowed = "random, pretrained, shelf:NAME or the path of a file"
    require(weights != FILE, "encoder.weights", "a file without a path", allowed)
    require(weights != SHELF, "encoder.weights", "the shelf without a name", allowed)
    return PretrainConfig.from_dict(values)


def find_patch_size(name: str) -> int | None:
    """Side of a patch in pixels, from the lab's description or from the name; None when neither tells."""
    if name in BACKBONES:
        return BACKBONES[name].size_multiple if BACKBONES[name].kind == "vit" else None
    found = _PATCH.search(name)
    return int(found[1]) if found else None


def find_grid_side(name: str, image_size: int | None) -> int | None:
    """Patches along a side of the image; None when the patch is not known or does not divide the size."""
    patch = find_patch_size(name)
    size = image_size or (BACKBONES[name].image_size if name in BACKBONES else None)
    if patch is None or size is None or size % patch or size // patch < 2:
        return None
    return size // patch


def count_visible(num_patches: int, mask_ratio: float) -> int:
    """Patches that the encoder sees, rounded as the autoencoder rounds them (a test holds both together)."""
    return min(max(int(num_patches * (1 - mask_ratio)), 1), num_patches - 1)


def read_data(draft: Draft) -> DataConfig:
    """The data section of the draft.

    Raises:
        MedPeftError: a value is of the wrong type or out of range.
    """
    return build_config({**draft, "encoder": {}}).data


def _complete(draft: Draft) -> Draft:
    """A copy with a table for every section, and the table of options inside the data's."""
    tables = {section: dict(draft.get(section) or {}) for section in pretrain_sections()}
    tables["data"]["options"] = dict(tables["data"].get("options") or {})
    return tables
