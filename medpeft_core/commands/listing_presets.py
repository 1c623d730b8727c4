"""The presets: three of the lab, and the cells of the papers' tables."""

from dataclasses import asdict
from typing import Any

from medpeft_core.coerce import write_text
from medpeft_core.commands.console import print_json, print_table
from medpeft_core.commands.preset_values import check_preset
from medpeft_core.config import section_names
from medpeft_core.paper_cells import CELLS, MARKS, PaperCell
from medpeft_core.presets import PRESETS, Preset


def list_presets(*, as_json: bool) -> None:
    """Print all presets."""
    if as_json:
        print_json(
            {
                "presets": [_describe_preset(item) for item in PRESETS.values()]
                + [_describe_cell(item) for item in CELLS]
            }
        )
        return
    print_table(
        ("preset", "title", "what it means"), [(item.name, item.title, item.description) for item in PRESETS.values()]
    )
    print_table(
        ("preset", "paper", "cell", "printed parameters", "first backbone"),
        [(cell.name, cell.group, cell.title, cell.printed, cell.backbones[0]) for cell in CELLS],
    )
    print("`python -m medpeft_core presets NAME` shows one with its settings and what the paper leaves open.")


def show_preset(name: str, *, as_json: bool) -> None:
    """Print one preset in full.

    Raises:
        UnknownNameError: there is none of that name.
    """
    check_preset(name)
    if name in PRESETS:
        _show_own(PRESETS[name], as_json=as_json)
    else:
        _show_cell(CELLS[name], as_json=as_json)


def _show_own(preset: Preset, *, as_json: bool) -> None:
    if as_json:
        print_json(_describe_preset(preset))
        return
    print(f"{preset.title}. {preset.description}")
    print_table(
        ("setting", "value"),
        [
            (f"{section}.{name}", write_text(value))
            for section, table in preset.settings.items()
            for name, value in table.items()
        ],
    )


def _show_cell(cell: PaperCell, *, as_json: bool) -> None:
    if as_json:
        print_json(_describe_cell(cell))
        return
    print(f"{cell.group}: {cell.title}.")
    print(f"{cell.column}. {cell.paper}.")
    print(f"For: {', '.join(cell.backbones)}.")
    settings = _flatten(cell.find_settings(cell.backbones[0]))
    print_table(
        ("setting", "value", "where it comes from"),
        [(name, write_text(value), MARKS[cell.marks[name]]) for name, value in settings.items()],
    )
    print_table(
        ("backbone", "printed parameters", "trained here", "with head"),
        [
            (
                count.backbone,
                count.printed or "not printed",
                f"{count.counted:,}" + (", not the printed" if count.printed and not count.is_confirmed else ""),
                f"of {count.num_classes}" if count.has_head else "no",
            )
            for count in cell.counts
        ],
    )
    for title, sentences in (("Left open by the paper", cell.open_points), ("Different here", cell.differences)):
        if sentences:
            print(f"{title}:")
            print("\n".join(f"- {sentence}" for sentence in sentences))


def _describe_preset(preset: Preset) -> dict[str, Any]:
    return {**asdict(preset), "kind_of_preset": "lab"}


def _describe_cell(cell: PaperCell) -> dict[str, Any]:
    settings = _flatten(cell.find_settings(cell.backbones[0]))
    described = asdict(cell)
    for name in ("settings", "own_settings", "marks"):
        del described[name]
    return {
        **described,
        "kind_of_preset": "paper",
        "method": cell.method,
        "settings": {name: {"value": value, "source": cell.marks[name]} for name, value in settings.items()},
    }


def _flatten(settings: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """ "section.field" to value, as `--set` takes them; knobs beside the method's name."""
    flat: dict[str, Any] = {}
    for section in section_names():
        table = settings.get(section, {})
        fields = {**table, **table.get("knobs", {})}
        flat |= {f"{section}.{name}": value for name, value in fields.items() if name != "knobs"}
    return flat
