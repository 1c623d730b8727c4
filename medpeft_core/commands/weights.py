"""The weights in a home: list them, put some on the shelf, show or remove one."""

import sys
from datetime import datetime
from typing import Any

import typer

from medpeft_core.backbones.hub import HUB_PREFIX, HubFile, describe_hub_file, parse_hub_source
from medpeft_core.backbones.known_weights import KNOWN_WEIGHTS
from medpeft_core.backbones.shelf import SHELF_PREFIX, check_shelf_file, find_on_shelf
from medpeft_core.commands.console import ProgressBar, print_json, print_table, tell
from medpeft_core.errors import BackboneError
from medpeft_core.housekeeping.weights import BASE, WeightsRow, find_shelf_uses, list_weights, remove_from_shelf
from medpeft_core.paths import get_home

MIB = 2**20
HASH_CHARACTERS = 12


def list_all(*, as_json: bool) -> None:
    """Print every file of weights in the home."""
    rows = list_weights(get_home())
    if as_json:
        print_json({"weights": [row.to_dict() for row in rows]})
        return
    if not rows:
        print("There are no weights in this home yet. `python -m medpeft_core weights known` lists what there is.")
        return
    print_table(
        ("kind", "name", "backbone", "MiB", "from", "licence", "runs"),
        [
            (
                row.kind,
                row.name[:HASH_CHARACTERS] if row.kind == BASE else row.name,
                ", ".join(row.backbones),
                row.num_bytes / MIB,
                row.source,
                row.licence,
                "?" if row.run_ids is None else len(row.run_ids),
            )
            for row in rows
        ],
    )
    print(f"Train on weights of the shelf with --weights {SHELF_PREFIX}NAME. {_say_where(rows)}")


def add_to_shelf(source: str, choices: dict[str, str], *, may_download: bool, as_json: bool) -> None:
    """Put a file on the shelf; what must be downloaded is described first, and asked for.

    Args:
        source: path, or place on the hub; "" for that of the known weights.
        choices: other arguments of `add_weights`.
        may_download: do not ask.
        as_json: print the entry.

    Raises:
        BackboneError: as `add_weights`, or nobody is there to be asked.
        typer.Abort: the answer was no.
    """
    found = _find_on_hub(source, choices["known"])
    if found is not None:
        source = found.source
        _ask(found, may_download=may_download)
    tell("Loading the model library ...")
    from medpeft_core.backbones.shelf_adding import add_weights  # heavy

    with ProgressBar() as bar:
        added = add_weights(home=get_home(), progress=bar, source=source, **choices)
    if as_json:
        print_json(added)
        return
    if added["was_there"]:
        print(f"These weights are on the shelf already, as {added['name']!r}. Nothing was added.")
    else:
        counts = ", ".join(f"{number} {fate}" for fate, number in added["counts"].items())
        print(f"On the shelf: {added['name']}, {added['num_bytes'] / MIB:.1f} MiB. Tensors: {counts}.")
    options = f"--backbone {added['backbone']} --weights {SHELF_PREFIX}{added['name']}"
    print(f"Train on them: python -m medpeft_core train {options}")


def show_entry(name: str, *, as_json: bool) -> None:
    """Print one entry with the runs that use it.

    Raises:
        BackboneError: there is none, or its file is gone or has changed.
    """
    home = get_home()
    entry = find_on_shelf(home, name)
    run_ids = find_shelf_uses(home).get(name, ())
    check_shelf_file(home, entry)
    if as_json:
        print_json({**entry.to_dict(), "run_ids": list(run_ids), "is_intact": True})
        return
    rows: list[tuple[str, Any]] = [
        ("backbone", entry.backbone),
        ("layout of the original", entry.layout),
        ("from", entry.source),
        ("SHA-256 of the original", entry.source_sha256),
        ("SHA-256 on the shelf", f"{entry.sha256} (checked)"),
        ("size", f"{entry.num_bytes / MIB:.1f} MiB"),
        ("licence", entry.licence or "not stated"),
        ("reference", entry.reference or "none"),
        ("normalisation", f"mean {entry.mean}, std {entry.std}" if entry.mean else "the backbone's own"),
        ("added", datetime.fromtimestamp(entry.added_at).strftime("%Y-%m-%d %H:%M")),
        ("tensors", ", ".join(f"{number} {fate}" for fate, number in entry.counts.items())),
        ("runs", ", ".join(run_ids) or "none"),
    ]
    print_table(("weights", name), rows)


def remove_entry(name: str, *, as_json: bool) -> None:
    """Take an entry off the shelf.

    Raises:
        BackboneError: there is none, or a run needs it.
    """
    num_bytes = remove_from_shelf(get_home(), name)
    if as_json:
        print_json({"name": name, "removed": True, "num_bytes": num_bytes})
    else:
        print(f"Removed {name} from the shelf; {num_bytes / MIB:.1f} MiB are free again.")


def _find_on_hub(source: str, known: str) -> HubFile | None:
    """What would be downloaded; None where the source is a file of this computer, or says too little."""
    if source.startswith(HUB_PREFIX):
        repo, file, revision = parse_hub_source(source)
        if known and not file and repo == KNOWN_WEIGHTS[known].hub_id:
            file = KNOWN_WEIGHTS[known].hub_file
        return describe_hub_file(repo, file, revision)
    if not source and known and KNOWN_WEIGHTS[known].hub_id:
        return describe_hub_file(KNOWN_WEIGHTS[known].hub_id, KNOWN_WEIGHTS[known].hub_file)
    return None


def _ask(found: HubFile, *, may_download: bool) -> None:
    size, licence = f"{found.num_bytes / MIB:.1f} MiB", found.licence or "not stated"
    tell(f"{found.file} of {found.repo} at commit {found.revision[:HASH_CHARACTERS]}: {size}, licence: {licence}.")
    if found.is_gated:
        tell("Its owner wants its terms to be accepted first, on its page, and `hf auth login` on this computer.")
    if may_download:
        return
    if not sys.stdin.isatty():
        raise BackboneError(f"This would download {size} from the hub. Say that it may: add --yes.")
    typer.confirm("Download it?", abort=True, err=True)


def _say_where(rows: list[WeightsRow]) -> str:
    total = sum(row.num_bytes for row in rows)
    return f"All together {total / MIB:.1f} MiB below {get_home() / 'weights'}."
