"""A cell of a paper's table as settings of a run: what it says, where that comes from, what it leaves open. Light."""

import copy
from dataclasses import dataclass, field
from typing import Any

from medpeft_core.backbones import BACKBONES
from medpeft_core.backbones.spec import KIND_TITLES
from medpeft_core.errors import ConfigError
from medpeft_core.registry import Registry

PAPER, CODE, SIBLING, INFERRED, HERE = "paper", "code", "sibling code", "inferred", "here"
MARKS = {
    PAPER: "stated in the paper",
    CODE: "read in the authors' public code",
    SIBLING: "read in other public code of the first author, not the paper's own",
    INFERRED: "inferred, for example from a printed parameter count",
    HERE: "chosen here, to the same effect",
}
# The choices of a run that are no recipe: they stay when another preset takes the place of a cell.
QUESTION = {
    ("data", "fraction"),
    *(("backbone", name) for name in ("name", "weights", "mean", "std", "pool")),
}

FOR_ANY_BACKBONE = ("random", "pretrained")  # weights; the others are those of one backbone

Table = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Count:
    """The trained parameters of a cell on one backbone.

    Attributes:
        printed: as the paper prints them; "" where it prints none.
        counted: what the lab trains on the real backbone.
        num_classes: outputs of the head for which this holds.
        has_head: whether head (and `fc_norm`) are among `counted`.
        is_confirmed: whether `counted` is the printed number as far as that has digits.
    """

    backbone: str
    printed: str
    counted: int
    num_classes: int
    has_head: bool = True
    is_confirmed: bool = True


@dataclass(frozen=True, kw_only=True)
class PaperCell:
    """One cell: a method on a backbone as a paper ran it.

    Attributes:
        name: unique lower_snake_case name, a preset's.
        title: name for people, without paper and group.
        group: what is listed together: the paper's short name and the architecture or weights.
        paper: reference.
        column: where the cell stands in the paper.
        kind: of the backbone, "vit" or "cnn".
        backbones: the paper's, the one to begin with first.
        settings: section of a RunConfig to fields and their values, as far as they are known.
        own_settings: those that go with the paper's weights; taken on the paper's backbones only.
        marks: "section.field" of each of these -> one of `MARKS`; a knob is "method.KNOB".
        counts: trained parameters.
        open_points: what the paper does not say, and what stands here instead, in sentences.
        differences: what the lab does otherwise, in sentences.
    """

    name: str
    title: str
    group: str
    paper: str
    column: str
    kind: str
    backbones: tuple[str, ...]
    settings: Table
    own_settings: Table = field(default_factory=dict)
    marks: dict[str, str]
    counts: tuple[Count, ...]
    open_points: tuple[str, ...]
    differences: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """The fine-tuning method."""
        return str(self.settings["method"]["name"])

    @property
    def printed(self) -> str:
        """The printed counts in the order of `counts`, once where they are the same; "" where there are none."""
        return " / ".join(dict.fromkeys(count.printed for count in self.counts if count.printed))

    def find_settings(self, backbone: str) -> Table:
        """Section to fields and their values on a backbone, its name left out.

        Backbones other than the paper's keep their weights and pixel constants, and their image size where it is
        smaller.
        """
        settings = copy.deepcopy(self.settings)
        if backbone in self.backbones:
            _merge(settings, self.own_settings)
        elif backbone in BACKBONES:
            table = settings["backbone"]
            table["image_size"] = min(table["image_size"], BACKBONES[backbone].image_size)
        return settings

    def is_met_by(self, values: dict[str, Any]) -> bool:
        """Whether a complete config has the cell's settings, whatever its backbone is.

        Args:
            values: `RunConfig.to_dict()` of a resolved config.
        """
        return _has(values, self.find_settings(values["backbone"]["name"]))

    def check_kind(self, backbone: str, kind: str) -> None:
        """Refuse a backbone of another kind than the paper's.

        Raises:
            ConfigError: says which it needs.
        """
        if kind != self.kind:
            raise ConfigError(
                f"The preset {self.name!r} is for a {KIND_TITLES[self.kind]} (in the paper {self.backbones[0]!r}), and "
                f"{backbone!r} is a {KIND_TITLES[kind]}. Choose another preset or backbone."
            )


CELLS: Registry[PaperCell] = Registry("preset")


def apply_cell(values: dict[str, Any], name: str, *, backbone: str | None = None, former: str | None = None) -> Table:
    """A new config dict with the cell's settings in place of those that `values` has; the data set stays.

    Args:
        values: `RunConfig.to_dict()` or a part of it; stays as it is.
        name: one of `CELLS`.
        backbone: to take; None for the first of the paper's.
        former: the cell that `values` were taken from before; what it had set goes.

    Raises:
        UnknownNameError: there is no such cell.
    """
    cell = CELLS[name]
    backbone = backbone or cell.backbones[0]
    changed = forget_cell(values, former, everything=True) if former is not None else copy.deepcopy(values)
    changed["method"] = {}  # no knob of another method, and no default that the form had filled in
    part = changed["backbone"] = dict(changed.get("backbone") or {})
    before = part.get("name"), part.get("weights")
    if part.get("name") != backbone and part.get("weights") not in FOR_ANY_BACKBONE:
        part.pop("weights", None)  # a file, or the demo's, and for the other backbone only
    part["name"] = backbone
    settings = cell.find_settings(backbone)
    if before != (backbone, settings["backbone"].get("weights", part.get("weights"))):
        for derived in ("mean", "std", "weights_sha256"):
            part.pop(derived, None)  # they go with the weights
    return _merge(changed, settings)


def forget_cell(values: dict[str, Any], name: str, *, everything: bool = False) -> Table:
    """A new config dict without the values that a cell had set and that are still as it had set them.

    Args:
        values: `RunConfig.to_dict()` or a part of it; stays as it is.
        name: one of `CELLS`.
        everything: also method, backbone and label fraction, which are no recipe.
    """
    changed = copy.deepcopy(values)
    for section, key, value in _list_fields(CELLS[name]):
        is_kept = not everything and (section == "method" or (section, key) in QUESTION)
        table = changed.get(section, {})
        if not is_kept and key in table and table[key] == value:
            del table[key]
    return changed


def find_cells(values: dict[str, Any]) -> tuple[PaperCell, ...]:
    """The cells whose settings a complete config has, on one of the paper's backbones.

    Several, where a paper used the same settings for several data sets.

    Args:
        values: `RunConfig.to_dict()` of a resolved config.
    """
    return tuple(cell for cell in CELLS if values["backbone"]["name"] in cell.backbones and cell.is_met_by(values))


def _list_fields(cell: PaperCell) -> list[tuple[str, str, Any]]:
    """(section, field, value) of all that the cell can set."""
    tables = [*cell.settings.items(), *cell.own_settings.items()]
    return [(section, key, value) for section, fields in tables for key, value in fields.items()]


def _has(values: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(
        _has(values[name], value) if isinstance(value, dict) else values[name] == value
        for name, value in wanted.items()
    )


def _merge(values: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    """Put `added` into `values`, tables into tables."""
    for name, value in added.items():
        if isinstance(value, dict):
            values[name] = _merge(dict(values.get(name) or {}), value)
        else:
            values[name] = value
    return values
