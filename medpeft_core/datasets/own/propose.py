"""A first look at somebody's own images: what the lab would make of them, and what should be corrected. Light."""

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.own import dicom_set, folder_set
from medpeft_core.datasets.own.guessing import Guess, kind_of_labels
from medpeft_core.datasets.own.matching import FileIndex
from medpeft_core.datasets.own.options import NONE, DicomOptions, FolderOptions, TableOptions, join_names
from medpeft_core.datasets.own.patterns import offer_pattern
from medpeft_core.datasets.own.proposal import ROLES, ColumnGuess, Form, Proposal, Role
from medpeft_core.datasets.own.scanning import Scan, scan_folder
from medpeft_core.datasets.own.table_choice import SINGLE_ROLES, TableLook, look_at_table, rank_tables
from medpeft_core.datasets.progress import Progress, ignore_progress
from medpeft_core.datasets.report_words import Finding
from medpeft_core.datasets.spec import DATASETS
from medpeft_core.errors import DataError, MedPeftError
from medpeft_core.sections import build_part

FORM_OPTIONS: dict[Form, type[Any]] = {"folder": FolderOptions, "table": TableOptions, "dicom": DicomOptions}
FEW_IMAGES = 30
MANY_CLASSES = 100
_EXAMPLES = 8


def propose(
    root: Path | str,
    *,
    form: Form | None = None,
    table: str | None = None,
    options: Mapping[str, Any] | None = None,
    roles: Mapping[str, Role] | None = None,
    split_seed: int = 0,
    progress: Progress = ignore_progress,
) -> Proposal:
    """What the lab would make of a folder. Nothing is written; what is wrong is told as findings, not raised.

    To correct it, propose again with what a person changed; everything else is found out anew.

    Args:
        root: the folder of the images.
        form: which reader; None: the one that fits.
        table: path of the table below `root`, or an absolute one; None: the likeliest.
        options: of the reader, as far as a person set them; of another form's options, those that fit are taken.
        roles: column -> role, as far as a person set them.
        split_seed: of a split that must be drawn.
        progress: may raise to stop.

    Raises:
        DataError: no such folder.
        ConfigError: an option with an impossible value.
    """
    root = Path(root).expanduser().resolve()
    scan = scan_folder(root, progress=progress)
    images = FileIndex(scan.pictures, root)
    tables = rank_tables(root, scan, images)
    chosen = form or _choose_form(scan, tables, table)
    part = FORM_OPTIONS[chosen]
    known = {item.name for item in dataclasses.fields(part)}
    given = {name: value for name, value in (options or {}).items() if name in known}
    if table and "table" in known:
        given["table"] = table
    wanted = build_part(part, given, section="data")
    look: TableLook | None = None
    findings: list[Finding] = []
    try:
        if chosen == "table" or (chosen == "dicom" and not wanted.tag and (tables or wanted.table)):
            wanted, look = _look(root, wanted, scan, roles or {}, is_dicom=chosen == "dicom", progress=progress)
        manifest = DATASETS[chosen].read_manifest(root, wanted, split_seed=split_seed, progress=progress)
    except MedPeftError as error:
        findings = [_problem(str(error))]
        return _build(chosen, root, wanted, None, look, tables, findings)
    findings = _judge(manifest, scan, wanted)
    return _build(chosen, root, wanted, manifest, look, tables, findings)


def _choose_form(scan: Scan, tables: list[str], table: str | None) -> Form:
    """A table where there is one, else folders of classes, else DICOM files."""
    if table or tables:
        return "dicom" if len(scan.dicoms) > len(scan.images) and not scan.images else "table"
    layout = folder_set.find_layout(scan)
    num_classes = layout.table["class"].nunique()
    if scan.dicoms and not scan.images and (num_classes < 2 or len(layout.loose) or num_classes > len(scan.dicoms) / 4):
        return "dicom"
    return "folder"


def _look(
    root: Path, options: Any, scan: Scan, roles: Mapping[str, Role], *, is_dicom: bool, progress: Progress
) -> tuple[Any, TableLook]:
    """The table as guessed and corrected, and options that say so in full."""
    keys = dicom_set.build_keys(root, scan, progress=progress) if is_dicom else None
    look = look_at_table(root, options, scan, keys=keys)
    unknown = [name for name in roles if name not in look.guess.roles or roles[name] not in ROLES]
    if unknown:
        raise DataError(f"{look.raw.path} has no column {unknown[0]!r}, or its role is none of {', '.join(ROLES)}.")
    corrected = correct(look, roles)
    guess = Guess(roles=corrected, whys=look.guess.whys | dict.fromkeys(roles, "as chosen"))
    return state_roles(options, look, corrected), replace(look, guess=guess)


def correct(look: TableLook, roles: Mapping[str, Role]) -> dict[str, Role]:
    """The roles of all columns when a person has changed some: the others give way where only one can have a role."""
    found: dict[str, Role] = {**look.guess.roles, **roles}
    for role in SINGLE_ROLES:
        if role in roles.values():
            for name in found:
                if found[name] == role and name not in roles:
                    found[name] = "unused"
    facts = {item.name: item for item in look.columns}
    chosen = {kind_of_labels(facts[name]) for name, role in roles.items() if role == "label"}
    for name in found:
        is_guessed = found[name] == "label" and name not in roles
        if is_guessed and chosen and not (chosen == {"binary"} and kind_of_labels(facts[name]) == "binary"):
            found[name] = "unused"
    return found


def state_roles(options: Any, look: TableLook, roles: Mapping[str, Role]) -> Any:
    """Options that give every column its role by name, so that reading needs no guess."""
    columns = {
        option: next((name for name, found in roles.items() if found == role), NONE)
        for role, option in SINGLE_ROLES.items()
    }
    labels = [name for name, role in roles.items() if role == "label"]
    root = look.scan.root
    path = look.raw.path
    table = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return replace(options, **columns, labels=join_names(labels) if labels else NONE, table=table)


def _judge(manifest: Manifest, scan: Scan, options: Any) -> list[Finding]:
    """What a person should know before the set is stored."""
    found = []
    if len(manifest) < 3:
        found.append(
            _problem(f"There are {len(manifest)} images only; train, val and test need one each.", "Add some.")
        )
    elif len(manifest) < FEW_IMAGES:
        found.append(
            _warning(f"There are {len(manifest)} images only: results will say next to nothing.", "Add images.")
        )
    if len(manifest.labels) > MANY_CLASSES:
        found.append(
            _warning(f"There are {len(manifest.labels):,} labels, most with few images.", "Check the column of labels.")
        )
    targets = manifest.targets()
    for label, column in zip(manifest.labels, targets.T, strict=True):
        if manifest.task == "multilabel" and len(manifest.labels) <= MANY_CLASSES and not (column == 1).any():
            found.append(_warning(f"No image has the label {label!r}.", "It cannot be learned; leave it out."))
        elif manifest.task == "multilabel" and not (column == 0).any() and len(manifest.labels) <= MANY_CLASSES:
            found.append(_warning(f"No image lacks the label {label!r}.", "It cannot be learned; leave it out."))
    if not manifest.has_patients:
        pattern = offer_pattern(manifest.table["image"].tolist())
        advice = "Name the column of patients, or how file names tell them (data.patient_pattern)."
        if pattern:
            advice = f"The file names seem to begin with the patient: set data.patient_pattern={pattern} if so."
        text = "No patients are known, so images of one patient may lie in train and test."
        found.append(_warning(text, advice))
    found += [Finding(severity="note", text=note) for note in manifest.notes]
    return found


def _build(
    form: Form, root: Path, options: Any, manifest: Manifest | None, look: TableLook | None, tables: list[str],
    findings: list[Finding],
) -> Proposal:  # fmt: skip
    usual = type(options)()
    stated = {
        item.name: getattr(options, item.name)
        for item in dataclasses.fields(options)
        if getattr(options, item.name) != getattr(usual, item.name)
    }
    columns = () if look is None else tuple(_describe(look, facts.name) for facts in look.columns)
    plain: dict[str, Any] = {"form": form, "root": root, "options": stated, "columns": columns, "tables": tuple(tables)}
    if manifest is None:
        labels = () if look is None else tuple(look.guess.all("label"))
        return Proposal(**plain, task="multilabel", labels=labels, findings=tuple(findings))
    targets = manifest.targets()
    offers = {}
    if not manifest.has_patients and (pattern := offer_pattern(manifest.table["image"].tolist())):
        offers["patient_pattern"] = pattern
    return Proposal(
        **plain, task=manifest.task, labels=manifest.labels, is_ordered=manifest.is_ordered,
        counts=tuple(int(count) for count in (targets == 1).sum(axis=0)), num_images=len(manifest),
        num_patients=int(manifest.table["patient_id"].nunique()) if manifest.has_patients else None,
        findings=tuple(findings), examples=_choose_examples(manifest), offers=offers,
    )  # fmt: skip


def _describe(look: TableLook, name: str) -> ColumnGuess:
    facts = next(item for item in look.columns if item.name == name)
    return ColumnGuess(
        name=name, role=look.guess.roles[name], examples=facts.examples, num_values=len(facts.counts),
        num_empty=facts.num_empty, why=look.guess.whys.get(name, ""),
    )  # fmt: skip


def _choose_examples(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """Images of different labels, in turn."""
    targets = manifest.targets()
    chosen: list[int] = []
    for column in range(min(targets.shape[1], _EXAMPLES)):
        rows = (targets[:, column] == 1).nonzero()[0]
        chosen += [int(row) for row in rows if int(row) not in chosen][:1]
    step = max(1, len(manifest) // _EXAMPLES)
    chosen += [row for row in range(0, len(manifest), step) if row not in chosen]
    names = []
    for row in chosen[:_EXAMPLES]:
        labels = [label for label, value in zip(manifest.labels, targets[row], strict=True) if value == 1]
        names.append((manifest.table["image"].iloc[row], ", ".join(labels) or "none of the labels"))
    return tuple(names)


def _problem(text: str, advice: str = "") -> Finding:
    return Finding(severity="problem", text=text, advice=advice)


def _warning(text: str, advice: str = "") -> Finding:
    return Finding(severity="warning", text=text, advice=advice)
