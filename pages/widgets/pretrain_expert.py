"""The expert settings of a pre-training: every field of its config that is not among the numbered choices."""

import typing
from dataclasses import replace

import streamlit as st

from medpeft_core.datasets import DATASETS
from medpeft_core.pretrain_config import PretrainConfig
from medpeft_core.worker.devices import list_devices
from pages.widgets.pretrain_draft import DEFAULTS, Draft, get_draft
from pages.widgets.settings_form import Setting, draw_settings, list_settings

SECTION_TITLES = {
    "mae": "Masking",
    "optim": "Optimizer",
    "train": "Training",
    "data": "Data",
    "encoder": "Encoder",
    "augment": "Augmentation",
}
# What has its place among the numbered choices, or is found and not chosen.
ELSEWHERE = {
    "data": {"dataset", "root"},
    "encoder": {"name", "weights", "weights_sha256", "image_size"},
    "mae": {"mask_ratio"},
    "train": {"epochs", "batch_size", "seed"},
}


def draw_expert() -> None:
    """The expander with a tab for each section."""
    draft = get_draft()
    with st.expander("Expert settings", icon=":material/tune:"):
        st.caption(
            "An empty field is chosen automatically. A help text ends with the setting's name on the command line."
        )
        for tab, section in zip(st.tabs(list(SECTION_TITLES.values())), SECTION_TITLES, strict=True):
            with tab:
                _draw_section(section, draft)


def list_expert_settings(section: str) -> list[Setting]:
    """The fields of a section that stand here, with the defaults of a pre-training."""
    part = typing.get_type_hints(PretrainConfig)[section]
    usual = getattr(DEFAULTS, section)  # augmentation has other defaults here than in fine-tuning
    found = [item for item in list_settings(part, section=section) if item.name not in ELSEWHERE.get(section, set())]
    return [_localise(replace(item, default=getattr(usual, item.name))) for item in found]


def _draw_section(section: str, draft: Draft) -> None:
    draw_settings(list_expert_settings(section), draft[section], key=f"pretrain_{section}")
    name = draft["data"].get("dataset", DEFAULTS.data.dataset)
    if section != "data" or name not in DATASETS:
        return
    options = list_settings(DATASETS[name].options, section="data")
    if options:
        st.caption(f"Of {DATASETS[name].title}")
        draw_settings(options, draft["data"]["options"], key=f"pretrain_data_{name}")


def _localise(item: Setting) -> Setting:
    """The setting with the choices that this computer gives it."""
    return replace(item, choices=("auto", *_list_device_names())) if item.path == "train.device" else item


@st.cache_data(ttl=300, show_spinner=False)
def _list_device_names() -> list[str]:
    return [device.name for device in list_devices()]


def title_section(section: str) -> str:
    """The section's name for people."""
    return SECTION_TITLES.get(section, section)
