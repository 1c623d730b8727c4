"""The Settings tab of a pre-training: its frozen config with explanations, and the command that starts the same."""

import dataclasses

import streamlit as st

from medpeft_core.command_line import build_pretrain_command
from medpeft_core.datasets import DATASETS
from medpeft_core.pretrain_config import PretrainConfig, pretrain_sections
from pages.widgets.monitor_settings import SettingRow, draw_settings_table
from pages.widgets.pretrain_expert import title_section

DEFAULTS = PretrainConfig()
ALWAYS_SHOWN = ("data.dataset", "encoder.name", "mae.mask_ratio", "train.epochs")


def list_pretrain_settings(config: PretrainConfig) -> list[SettingRow]:
    """Every setting; options of the data set's reader stand in the place of the dict that holds them.

    What the lab chooses where nothing was asked for, such as the device or the decoder, counts as unchanged.
    """
    rows = []
    for section in pretrain_sections():
        part, usual = getattr(config, section), getattr(DEFAULTS, section)
        for item in dataclasses.fields(part):
            value = getattr(part, item.name)
            if isinstance(value, dict):
                rows += _list_options(config)
            else:
                help_text = item.metadata.get("help", "")
                rows.append(_make_row(section, item.name, value, getattr(usual, item.name), help_text))
    return rows


def draw_pretrain_settings(config: PretrainConfig, *, key: str) -> None:
    """What was chosen, the command line, and every setting by section."""
    rows = list_pretrain_settings(config)
    st.markdown("**What was chosen**")
    chosen = [row for row in rows if row.is_changed or row.name in ALWAYS_SHOWN]
    draw_settings_table(chosen, key=f"{key}_chosen", alt="Settings that differ from their defaults", has_default=True)
    st.markdown("**The same from the command line**")
    st.code(build_pretrain_command(config), language=None, wrap_lines=True)
    st.markdown("**Every setting**")
    for section in pretrain_sections():
        with st.expander(title_section(section)):
            draw_settings_table(
                [row for row in rows if row.section == section],
                key=f"{key}_{section}",
                alt=f"All settings of {section}",
                has_default=False,
            )


def _list_options(config: PretrainConfig) -> list[SettingRow]:
    name = config.data.dataset
    known = {item.name: item for item in dataclasses.fields(DATASETS[name].options)} if name in DATASETS else {}
    rows = []
    for key, value in config.data.options.items():
        usual = known[key].default if key in known else None
        rows.append(_make_row("data", key, value, usual, known[key].metadata.get("help", "") if key in known else ""))
    return rows


def _make_row(section: str, key: str, value: object, usual: object, help_text: str) -> SettingRow:
    name = f"{section}.{key}"
    is_asked_for = usual is not None or name == "data.root"  # the lab fills in what is None by default
    is_changed = is_asked_for and value != usual and usual != "auto"
    return SettingRow(section=section, name=name, value=value, default=usual, help=help_text, is_changed=is_changed)
