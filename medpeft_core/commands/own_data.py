"""Data sets of one's own on the command line."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medpeft_core.coerce import write_text
from medpeft_core.commands.console import ProgressBar, print_json, print_table, tell
from medpeft_core.datasets.own.opening import open_data
from medpeft_core.datasets.own.proposal import FORMS, Proposal
from medpeft_core.datasets.own.propose import propose
from medpeft_core.datasets.own.sharing import share_data
from medpeft_core.datasets.own.store import add_data, check_new_name, remove_data
from medpeft_core.datasets.own.stored_sets import list_stored
from medpeft_core.errors import DataError
from medpeft_core.resolve import apply_settings

EXIT_UNUSABLE = 1
SHOWN_FINGERPRINT = 12
_MARKS = {"problem": "Problem", "warning": "Warning", "note": "Note", "fine": "Fine"}


def list_data(*, as_json: bool) -> None:
    """Print the stored sets."""
    stored = list(list_stored().values())
    if as_json:
        print_json({"data": [{**item.to_dict(), "root": str(item.folder or "")} for item in stored]})
        return
    if not stored:
        print("No data sets of your own so far. Look into a folder with: python -m medpeft_core data look DIR")
        return
    rows = [
        (item.name, item.title, item.counts["images"], item.counts["patients"], len(item.labels),
         item.fingerprint[:SHOWN_FINGERPRINT], str(item.folder or "to be given"))
        for item in stored
    ]  # fmt: skip
    print_table(("name", "title", "images", "patients", "labels", "fingerprint", "images are in"), rows)


def look(folder: str, *, form: str | None, table: str | None, settings: list[str], as_json: bool) -> int:
    """Print how a folder would be read.

    Returns:
        0, or 1 where something must be mended first.

    Raises:
        MedPeftError: no such folder, or an impossible setting.
    """
    proposal, _ = _propose(folder, form=form, table=table, settings=settings)
    if as_json:
        print_json({**dataclasses.asdict(proposal), "root": str(proposal.root), "is_usable": proposal.is_usable})
    else:
        _print_proposal(proposal)
    return 0 if proposal.is_usable else EXIT_UNUSABLE


def add(
    name: str, root: str, *, form: str | None, table: str | None, title: str, settings: list[str], as_json: bool
) -> None:
    """Store a folder as a data set and print what is in it.

    Raises:
        MedPeftError: the name is taken, or the folder cannot be read.
    """
    check_new_name(name)
    proposal, data = _propose(root, form=form, table=table, settings=settings)
    problem = next((item for item in proposal.findings if item.severity == "problem"), None)
    if problem is not None:
        raise DataError(f"{problem.text} {problem.advice}".strip())
    with ProgressBar() as progress:
        stored = add_data(
            name=name, title=title, form=proposal.form, options=proposal.options, root=str(proposal.root), data=data,
            progress=progress,
        )  # fmt: skip
    warnings = [item for item in proposal.findings if item.severity == "warning"]
    for item in warnings:
        tell(f"Warning: {item.text} {item.advice}".strip())
    _print_stored(stored, as_json=as_json, told=[item.text for item in warnings])


def share(name: str, file: Path, *, with_images: bool, as_json: bool) -> None:
    """Write a data set into one file.

    Raises:
        DataError: no such set, or it may not be shared so.
    """
    with ProgressBar() as progress:
        shared = share_data(name, file, with_images=with_images, progress=progress)
    if as_json:
        print_json(shared)
        return
    held = f" with {shared['num_images']:,} files of images" if with_images else " without images"
    print(f"Wrote {shared['path']}{held}, {shared['num_bytes']:,} bytes.")
    for note in shared["notes"]:
        tell(f"Note: {note}")


def open_shared(file: Path, *, root: str | None, name: str | None, as_json: bool) -> None:
    """Store a data set that somebody shared.

    Raises:
        DataError: the file is not what it says, or the set is here already.
    """
    with ProgressBar() as progress:
        stored = open_data(file, root=root, name=name, progress=progress)
    _print_stored(stored, as_json=as_json)
    if not as_json and stored["num_missing"]:
        tell(f"Warning: {stored['num_missing']:,} of its images are not in the folder.")


def remove(name: str, *, as_json: bool) -> None:
    """Remove a data set.

    Raises:
        DataError: there is none of that name.
    """
    removed = remove_data(name)
    if as_json:
        print_json(removed)
    else:
        images = "and its images" if removed["removed_images"] else "its images stay where they are"
        print(f"Removed {name}{' ' if removed['removed_images'] else '; '}{images}.")


def _propose(
    folder: str, *, form: str | None, table: str | None, settings: list[str]
) -> tuple[Proposal, dict[str, Any]]:
    """The proposal, and the fields of a data section that were set beside the reader's options."""
    data = dict(apply_settings({"data": {}}, settings, sections=("data",))["data"])
    options = data.pop("options", {})
    chosen = next((known for known in FORMS if known == form), None)
    if form is not None and chosen is None:
        raise DataError(f"--form is {form!r}, but it must be folder, table or dicom.")
    own = {"dataset", "root"} & set(data)
    if own:
        raise DataError(f"--set data.{min(own)} has no meaning here; give the folder itself and --form.")
    with ProgressBar() as progress:
        proposal = propose(
            folder,
            form=chosen,
            table=table,
            options=options,
            split_seed=int(data.get("split_seed", 0)),
            progress=progress,
        )
    return proposal, data


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _print_proposal(proposal: Proposal) -> None:
    people = "" if proposal.num_patients is None else f" of {_count(proposal.num_patients, 'patient')}"
    size = f"{_count(proposal.num_images, 'image')}{people}"
    kinds = ("grade", "grades") if proposal.is_ordered else ("class", "classes")
    kind = _count(len(proposal.labels), *(kinds if proposal.task == "multiclass" else ("label",)))
    print(f"Read as {proposal.form}: {size}, {kind}.")
    if proposal.columns:
        rows = [(item.name, item.role, ", ".join(item.examples), item.why) for item in proposal.columns]
        print_table(("column", "role", "values", "why"), rows)
    if proposal.counts:
        print_table(("label", "images"), zip(proposal.labels, proposal.counts, strict=True))
    for item in proposal.findings:
        print(f"{_MARKS[item.severity]}: {item.text} {item.advice}".rstrip())
    if not proposal.is_usable:
        return
    words = [
        "python",
        "-m",
        "medpeft_core",
        "data",
        "add",
        "NAME",
        "--root",
        str(proposal.root),
        "--form",
        proposal.form,
    ]
    for name, value in proposal.options.items():
        words += ["--set", f"data.{name}={write_text(value)}"]
    print(f"Add it with: {shlex.join(words)}")


def _print_stored(stored: dict[str, Any], *, as_json: bool, told: Sequence[str] = ()) -> None:
    """What was stored; notes that were told as warnings already are left out."""
    if as_json:
        print_json(stored)
        return
    counts = stored["counts"]
    people = f" of {_count(counts['patients'], 'patient')}" if counts["patients"] else ""
    print(
        f"Stored {stored['name']}: {_count(counts['images'], 'image')}{people}, "
        f"{_count(len(stored['labels']), 'label')}; train "
        f"{counts['train']:,}, val {counts['val']:,}, test {counts['test']:,}. Fingerprint "
        f"{stored['fingerprint'][:SHOWN_FINGERPRINT]}."
    )
    known = [" ".join(text.split()) for text in told]
    for note in stored["notes"]:
        if not any(text.startswith(note.removesuffix("...")) for text in known):  # long notes are stored cut
            tell(f"Note: {note}")
    has_images = list_stored()[stored["name"]].folder is not None
    if not has_images:
        tell("Warning: its images are not in it: give --root DIR, the folder that holds them on this computer.")
    root = "" if has_images else " --root DIR"
    print(f"Use it with: python -m medpeft_core train --dataset {stored['name']}{root}")
