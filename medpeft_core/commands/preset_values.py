"""What `train --preset` puts below the settings that were given: of a preset of the lab, or of a cell of a paper."""

import difflib
from typing import Any

from medpeft_core.backbones import BACKBONES
from medpeft_core.config import BackboneConfig
from medpeft_core.errors import ConfigError, UnknownNameError
from medpeft_core.methods import METHODS
from medpeft_core.paper_cells import CELLS, PaperCell, apply_cell
from medpeft_core.presets import PRESETS, apply_preset

Values = dict[str, dict[str, Any]]


def fill_from_preset(given: Values, name: str | None) -> tuple[Values, list[str]]:
    """The settings of a run: those of a preset, and over them those that were given.

    Args:
        given: section to fields and values, from options and `--set`.
        name: of the preset; None for none.

    Returns:
        The settings, and sentences about the preset for whoever starts the run.

    Raises:
        MedPeftError: no such preset, one that does not fit the backbone, or neither it nor `given` names backbone and
            method.
    """
    values, notes = (given, []) if name is None else _fill(given, name)
    for section in ("backbone", "method"):
        if not values.get(section, {}).get("name"):
            raise ConfigError(
                f"--{section} is missing. Give one, or a --preset of a paper, which names one: "
                "`python -m medpeft_core presets` lists them."
            )
    return values, notes


def check_preset(name: str) -> None:
    """Refuse a name that no preset has.

    Raises:
        UnknownNameError: with the nearest name.
    """
    near = difflib.get_close_matches(name, [*PRESETS, *CELLS.names()], n=1)
    if name not in PRESETS and name not in CELLS:
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownNameError(f"There is no preset {name!r}.{hint} `python -m medpeft_core presets` lists them.")


def _fill(given: Values, name: str) -> tuple[Values, list[str]]:
    check_preset(name)
    if name in PRESETS:
        base = {"backbone": {"name": given.get("backbone", {}).get("name")}}
        return _lay_over(apply_preset(base, name), given), []
    return _fill_from_cell(given, CELLS[name])


def _fill_from_cell(given: Values, cell: PaperCell) -> tuple[Values, list[str]]:
    backbone = given.get("backbone", {}).get("name") or cell.backbones[0]
    cell.check_kind(backbone, _find_kind(backbone))
    values = apply_cell({}, cell.name, backbone=backbone)
    notes = [
        f"Preset {cell.name}: {cell.column}, {cell.paper}.",
        f"What the paper leaves open there, and what is different here, is told by `python -m medpeft_core presets "
        f"{cell.name}`.",
    ]
    method = given.get("method", {}).get("name") or cell.method
    if method not in METHODS or METHODS[method].name != cell.method:
        values["method"] = {}
        notes.append(f"The method is {method}, not the preset's {cell.method}, whose knobs are left out.")
    values = _lay_over(values, given)
    if values["backbone"].get("weights", BackboneConfig().weights) == "random":
        notes.append("The backbone starts from random weights, the paper's from pre-trained ones: see --weights.")
    return values, notes


def _find_kind(backbone: str) -> str:
    if backbone in BACKBONES:
        return BACKBONES[backbone].kind
    from medpeft_core.backbones.bare_models import find_kind_of  # heavy: timm must be asked

    return find_kind_of(backbone)


def _lay_over(values: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """`given` over `values`, tables in tables; both stay as they are."""
    laid = dict(values)
    for name, value in given.items():
        laid[name] = _lay_over(dict(laid.get(name) or {}), value) if isinstance(value, dict) else value
    return laid
