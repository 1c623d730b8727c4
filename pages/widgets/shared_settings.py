"""Settings of a data set that its reader has no part in: how it is split, and how its DICOM files are read."""

from collections.abc import Callable
from typing import Any

from medpeft_core.config import DataConfig
from medpeft_core.datasets import DatasetSpec
from medpeft_core.datasets.views import EXTRA_SETTINGS
from pages.widgets.settings_form import draw_settings, list_settings

OF_SPLITS = {"folds": ("folds", "fold"), "hold_out": ("hold_out",)}  # asked for with that split only
OF_DICOM = ("window", "frame")


def draw_shared_settings(spec: DatasetSpec, table: dict[str, Any], *, key: str, after: Callable[[str], None]) -> None:
    """A field for each of these settings that makes sense for the set and for the split that is chosen.

    Args:
        spec: of the data set.
        table: name -> value, changed by the widgets.
        key: beginning of the widgets' keys.
        after: called with the setting's name when a change has been written.
    """
    shown = _list_fitting(spec, table.get("split"))
    items = {item.name: item for item in list_settings(DataConfig, section="data")}
    draw_settings([items[name] for name in shown], table, key=key, after=after)


def keep_fitting(spec: DatasetSpec, table: dict[str, Any]) -> dict[str, Any]:
    """What of a table counts: a fold that was chosen once means nothing to a split by patient."""
    fitting = _list_fitting(spec, table.get("split"))
    return {name: value for name, value in take_shared(table).items() if name in fitting}


def take_shared(section: dict[str, Any]) -> dict[str, Any]:
    """These settings of a data section, those that are not as usual."""
    usual = {name: getattr(DataConfig(), name) for name in EXTRA_SETTINGS}
    return {name: section[name] for name in EXTRA_SETTINGS if section.get(name, usual[name]) != usual[name]}


def replace_shared(table: dict[str, Any], section: dict[str, Any]) -> None:
    """Give a draft's data section these settings of another section, and no others."""
    for name in EXTRA_SETTINGS:
        table.pop(name, None)
    table.update(take_shared(section))


def write_shared(section: dict[str, Any]) -> list[str]:
    """These settings in words, for telling one set from another: split folds, fold 2."""
    return [f"{name.replace('_', ' ')} {value}" for name, value in take_shared(section).items()]


def _list_fitting(spec: DatasetSpec, split: str | None) -> tuple[str, ...]:
    return "split", *OF_SPLITS.get(split or "", ()), *(OF_DICOM if spec.has_dicom else ())
