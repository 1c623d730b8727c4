"""A look into a file of weights: what would become of each tensor in a backbone, before anything is trained on it."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from medpeft_core.backbones.hub import HUB_PREFIX
from medpeft_core.backbones.key_report import FATES, FAULTS, KeyReport, KeyRow
from medpeft_core.backbones.shelf import SHELF_PREFIX, check_shelf_file, find_on_shelf, shelf_file
from medpeft_core.commands.console import print_json, print_table, tell
from medpeft_core.errors import BackboneError
from medpeft_core.paths import get_home

EXIT_UNFIT = 2


def check_file(
    source: str,
    *,
    backbone: str | None,
    pool: str | None,
    image_size: int | None,
    layout: str,
    positions: str,
    as_json: bool,
) -> int:
    """Print a row for each kind of tensor, faults first.

    Args:
        source: path, or shelf:NAME.
        backbone: timm name; None is allowed for weights of the shelf only, which know theirs.
        pool, image_size, layout, positions: as in the config's backbone section.
        as_json: print the whole report, tensor by tensor.

    Returns:
        0 when a run can begin with the file, 2 when it cannot.

    Raises:
        BackboneError: no such file or backbone, or an unreadable file.
    """
    path, backbone = _find_file(source, backbone)
    tell("Loading the model library ...")
    from medpeft_core.backbones.layouts.checking import inspect_weights  # heavy

    report = inspect_weights(
        path, backbone=backbone, pool=pool, image_size=image_size, layout=layout, positions=positions
    )
    fault = report.first_fault
    if as_json:
        print_json({**report.to_dict(), "fits": fault is None})
    else:
        _print_report(report)
    return 0 if fault is None else EXIT_UNFIT


def fold_rows(rows: Iterable[KeyRow]) -> list[tuple[KeyRow, int]]:
    """Rows that differ in the number of a block only, as one with a star there; what is dropped goes by its first word.

    Returns:
        Each kind of row with how many tensors it stands for, in the order of the first of each.
    """
    counts: dict[KeyRow, int] = {}
    for row in rows:
        folded = replace(row, source=_fold_name(row.source), target=_fold_name(row.target))
        if row.fate == "dropped":
            first = row.source.partition(".")
            folded = replace(folded, source=f"{first[0]}.*" if first[2] else first[0], found=None)
        counts[folded] = counts.get(folded, 0) + 1
    return list(counts.items())


def _fold_name(name: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def _find_file(source: str, backbone: str | None) -> tuple[Path, str]:
    if source.startswith(HUB_PREFIX):
        raise BackboneError(
            "Only files of this computer can be looked into. Put the weights on the shelf with `weights add`, which "
            "shows the size first and refuses what does not fit; then check shelf:NAME."
        )
    if source.startswith(SHELF_PREFIX):
        home = get_home()
        entry = find_on_shelf(home, source.removeprefix(SHELF_PREFIX))
        check_shelf_file(home, entry)
        return shelf_file(home, entry.name), backbone or entry.backbone
    if backbone is None:
        raise BackboneError(
            "Say which backbone the file is to be loaded into: --backbone, such as vit_base_patch16_224."
        )
    return Path(source).expanduser(), backbone


def _print_report(report: KeyReport) -> None:
    rows = fold_rows(report.rows)
    print_table(
        ("fate", "tensors", "in the file", "in the model", "shape there", "shape needed", "why"),
        [
            (row.fate, count, row.source, row.target, _write_shape(row.found), _write_shape(row.needed), row.note)
            for row, count in sorted(rows, key=lambda item: item[0].fate not in FAULTS)
        ],
    )
    for fate in report.counts:
        print(f"{fate}: {FATES[fate]}")
    container = f" under {report.container!r}" if report.container else ""
    prefix = f", {report.prefix!r} cut off the names" if report.prefix else ""
    left_out = f" Beside them, not used: {', '.join(report.left_out)}." if report.left_out else ""
    print(f"Layout {report.layout}{container}{prefix}.{left_out}")
    fault = report.first_fault
    if fault is None:
        print(f"A run can begin with it: train --backbone {report.backbone}.")
    else:
        name, why = fault.source or fault.target, fault.note or FATES[fault.fate]
        print(f"It cannot be loaded into {report.backbone}. First of all {name!r}: {why}.")


def _write_shape(shape: tuple[int, ...] | None) -> str:
    return "" if shape is None else "×".join(map(str, shape)) or "one number"
