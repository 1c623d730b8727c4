"""The data sets: all of them as a table, or one with its card and what is missing from its folder."""

from pathlib import Path
from typing import Any

from medpeft_core.commands.console import print_json, print_table
from medpeft_core.commands.listing import describe_fields
from medpeft_core.config import DataConfig
from medpeft_core.datasets import DATASETS, DatasetSpec
from medpeft_core.datasets.fetching import find_offer
from medpeft_core.datasets.prepare_command import build_prepare_command
from medpeft_core.datasets.spec import FetchOffer, FolderPart
from medpeft_core.errors import DataError, MedPeftError
from medpeft_core.resolve import resolve_data, to_plain
from medpeft_core.sections import build_part

_FACTS = (
    "name", "title", "description", "modality", "size", "task", "labels", "is_synthetic", "needs_root", "licence",
    "how_to_get", "citation",
)  # fmt: skip
MIB = 2**20
EXIT_UNUSABLE = 1


def list_datasets(*, as_json: bool) -> None:
    """Print the data sets."""
    if as_json:
        print_json({"datasets": [describe_dataset(spec) for spec in DATASETS]})
        return
    rows = [
        (spec.name, spec.title, spec.modality, spec.size, len(spec.labels) or "by its files", spec.licence)
        for spec in DATASETS
    ]
    print_table(("name", "title", "what it shows", "size", "labels", "licence"), rows)
    print("More on one: python -m medpeft_core datasets NAME [--root DIR]")


def show_dataset(data: DataConfig, *, as_json: bool) -> int:
    """Print the card of a data set, what is in its folder, and what a download would bring.

    Args:
        data: its name, folder and options.
        as_json: as one object.

    Returns:
        0, or 1 where a folder was given and something needed is missing from it.

    Raises:
        MedPeftError: an unknown data set or option, or no such folder.
    """
    data = resolve_data(data)
    spec = DATASETS[data.dataset]
    if data.root and not Path(data.root).exists():
        raise DataError(f"There is no folder {data.root}. Give the folder of {spec.title} with --root DIR.")
    parts, offer = find_parts(spec, data), _find_offer(data)
    missing = [part.title for part in parts if part.is_needed and not part.is_there]
    code = EXIT_UNUSABLE if data.root and missing else 0
    if as_json:
        about = {
            "root": data.root, "chosen": data.options, "parts": [to_plain(part) for part in parts], "missing": missing,
            "offer": to_plain(offer) if offer else None,
        }  # fmt: skip
        print_json({"dataset": describe_dataset(spec) | about})
        return code
    check = [f"In {data.root}:" if data.root else "On this computer:", *map(_write_part, parts)] if parts else []
    if data.root and check:  # who gives a folder asks about it first
        print("\n".join([*check, ""]))
    print("\n".join(_write_card(spec, data)))
    if check and not data.root:
        print("\n".join(["", *check]))
    elif spec.needs_root and not data.root:
        print("\nGive its folder with --root DIR to see what is missing from it.")
    if offer is not None and not offer.is_there:
        command = build_prepare_command(data).replace(" prepare ", " fetch ", 1)
        print(f"\nDownload: {write_offer(offer)}\n  {command}")
    if data.root and check:
        parts_are = "1 part is" if len(missing) == 1 else f"{len(missing)} parts are"
        print(f"\nNot usable: {parts_are} missing." if missing else "\nUsable: nothing that is needed is missing.")
    return code


def describe_dataset(spec: DatasetSpec) -> dict[str, Any]:
    """The facts of a data set and its options, as JSON holds them."""
    facts = {name: getattr(spec, name) for name in _FACTS}
    return facts | {"can_fetch": spec.fetch is not None, "options": describe_fields(spec.options)}


def find_parts(spec: DatasetSpec, data: DataConfig) -> list[FolderPart]:
    """What belongs into the folder of a data set and whether it is there; empty without a folder.

    Args:
        spec: of the data set.
        data: resolved.
    """
    if spec.needs_root and not data.root:
        return []
    try:
        return spec.inspect(
            Path(data.root) if data.root else None, build_part(spec.options, data.options, section="data")
        )
    except (MedPeftError, OSError) as error:
        return [FolderPart(title="a readable folder", is_there=False, is_needed=True, detail=str(error))]


def write_offer(offer: FetchOffer) -> str:
    """One line: how much, from where, under which terms."""
    size = "size not known" if offer.num_bytes is None else f"{offer.num_bytes / MIB:,.1f} MiB"
    files = "1 file" if offer.num_files == 1 else f"{offer.num_files:,} files"
    note = f" {offer.note}" if offer.note else ""
    limit = "at most " if offer.is_limit else ""
    return f"{files}, {limit}{size}, from {offer.source}. Licence: {offer.licence.rstrip('.')}.{note}"


def _find_offer(data: DataConfig) -> FetchOffer | None:
    try:
        return find_offer(data.dataset, data.root, data.options)
    except (DataError, OSError):  # the list of what is missing tells what is wrong with the folder
        return None


def _write_card(spec: DatasetSpec, data: DataConfig) -> list[str]:
    licence = spec.find_licence(build_part(spec.options, data.options, section="data"))
    many = "labels" if len(spec.labels) > 1 else "label"
    kind = "classes, one for each image" if spec.task == "multiclass" else many
    labels = f"{len(spec.labels)} {kind}: {', '.join(spec.labels)}" if spec.labels else "as its files say"
    facts = (
        ("Shows", spec.modality), ("Size", spec.size), ("Labels", labels), ("Licence", licence),
        ("How to get it", spec.how_to_get), ("Cite", spec.citation),
    )  # fmt: skip
    made = " (synthetic: made by a program, no real patients)" if spec.is_synthetic else ""
    options = [
        f"  --set data.{item['name']}={item['default']}  {item['help']}"
        + (f" One of {', '.join(map(str, item['choices']))}." if item["choices"] else "")
        for item in describe_fields(spec.options)
    ]
    return [
        f"{spec.title} [{spec.name}]{made}", spec.description, "",
        *(f"{title}: {text}" for title, text in facts if text), *(["", "Settings:", *options] if options else []),
    ]  # fmt: skip


def _write_part(part: FolderPart) -> str:
    mark = "[x]" if part.is_there else "[ ] MISSING" if part.is_needed else "[ ] not needed"
    return f"  {mark} {part.title}" + (f": {part.detail}" if part.detail else "")
