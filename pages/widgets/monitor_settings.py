"""The Settings tab: the run's frozen config with explanations, what was changed first, and the equivalent command."""

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from medpeft_core.backbones import BACKBONES
from medpeft_core.command_line import build_command
from medpeft_core.config import BackboneConfig, DataConfig, MethodConfig, RunConfig, section_names
from medpeft_core.datasets import DATASETS
from medpeft_core.errors import MedPeftError
from medpeft_core.methods import METHODS
from medpeft_core.resolve import resolve_config

SECTION_TITLES = {
    "data": "Data",
    "backbone": "Backbone",
    "method": "Method",
    "optim": "Optimiser",
    "train": "Training",
    "augment": "Augmentation",
    "evaluation": "Evaluation",
}
ALWAYS_SHOWN = ("data.dataset", "backbone.name", "method.name")


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """One setting of a run; `name` is "section.key", `is_changed` that another value than the default was chosen."""

    section: str
    name: str
    value: Any
    default: Any
    help: str
    is_changed: bool


def list_settings(config: RunConfig) -> list[SettingRow]:
    """Every setting of a resolved config; knobs and reader's options stand in the place of the dict that holds them.

    The default is the one of this data set, backbone and method. What the lab chooses where nothing was asked for, such
    as the device, counts as unchanged.
    """
    defaults = _find_defaults(config)
    rows = []
    for section in section_names():
        part, default = getattr(config, section), getattr(defaults, section)
        for item in dataclasses.fields(part):
            value, usual = getattr(part, item.name), getattr(default, item.name)
            if isinstance(value, dict):
                rows += _list_open(section, config, value, usual)
            else:
                rows.append(_make_row(section, item.name, value, usual, help_text=item.metadata.get("help", "")))
    return rows


def draw_settings(config: RunConfig, *, key: str) -> None:
    """What was chosen, every setting by section, and the command line that starts the same run."""
    rows = list_settings(config)
    st.markdown("**What was chosen**")
    chosen = [row for row in rows if row.is_changed or row.name in ALWAYS_SHOWN]
    draw_settings_table(chosen, key=f"{key}_chosen", alt="Settings that differ from their defaults", has_default=True)
    st.markdown("**The same run from the command line**")
    st.code(build_command(config), language=None, wrap_lines=True)
    st.markdown("**Every setting**")
    for section in section_names():
        with st.expander(SECTION_TITLES.get(section, section)):
            draw_settings_table(
                [row for row in rows if row.section == section],
                key=f"{key}_{section}",
                alt=f"All settings of {section}",
                has_default=False,
            )


def write_value(value: Any) -> str:
    """A setting's value for people."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(write_value(item) for item in value)
    return str(value)


def _find_defaults(config: RunConfig) -> RunConfig:
    """The config of somebody who chose data set, backbone and method alone."""
    bare = RunConfig(
        data=DataConfig(dataset=config.data.dataset),
        backbone=BackboneConfig(name=config.backbone.name),
        method=MethodConfig(name=config.method.name),
    )
    with contextlib.suppress(MedPeftError):  # of a data set or method that this version of the lab does not know
        bare = resolve_config(bare)
    if config.backbone.name not in BACKBONES:
        return bare
    spec = BACKBONES[config.backbone.name]
    backbone = dataclasses.replace(bare.backbone, image_size=spec.image_size, pool=spec.pools[0])
    return dataclasses.replace(bare, backbone=backbone)


def _list_open(section: str, config: RunConfig, values: dict[str, Any], usual: dict[str, Any]) -> list[SettingRow]:
    registry, name = (DATASETS, config.data.dataset) if section == "data" else (METHODS, config.method.name)
    helps: dict[str, str] = {}
    if name in registry:
        spec: Any = registry[name]
        part = spec.options if section == "data" else spec.knobs
        helps = {item.name: item.metadata.get("help", "") for item in dataclasses.fields(part)}
    return [
        _make_row(section, key, value, usual.get(key), help_text=helps.get(key, "")) for key, value in values.items()
    ]


def _make_row(section: str, key: str, value: Any, usual: Any, *, help_text: str) -> SettingRow:
    name = f"{section}.{key}"
    is_asked_for = usual is not None or name == "data.root"  # the lab fills in what is None by default
    is_changed = is_asked_for and value != usual and usual != "auto"
    return SettingRow(section=section, name=name, value=value, default=usual, help=help_text, is_changed=is_changed)


def draw_settings_table(rows: list[SettingRow], *, key: str, alt: str, has_default: bool) -> None:
    """A table of settings with their explanations, and with their defaults when that is asked for."""
    columns = {
        "Setting": [row.name for row in rows],
        "Value": [write_value(row.value) for row in rows],
        "Default": [write_value(row.default) for row in rows],
        "What it is": [row.help for row in rows],
    }
    if not has_default:
        del columns["Default"]
    sizes = {"Setting": "medium", "Value": "medium", "Default": "small", "What it is": "large"}
    st.dataframe(
        pd.DataFrame(columns),
        hide_index=True,
        key=key,
        column_config={name: st.column_config.TextColumn(width=sizes[name]) for name in columns},  # type: ignore[arg-type]
        height=38 + 35 * len(rows),
        alt=alt,
    )
