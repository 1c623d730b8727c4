"""A first look at somebody's own images: what the lab would make of them, and what should be corrected. Light."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.own import dicom_set, folder_set
from medpeft_core.datasets.own.column_facts import ColumnFacts
from medpeft_core.datasets.own.folder_splits import find_folder_splits
from medpeft_core.datasets.own.guessing import Guess, kind_of_labels, tell_rivals
from medpeft_core.datasets.own.judging import judge, problem, warn
from medpeft_core.datasets.own.matching import FileIndex
from medpeft_core.datasets.own.options import FOLDERS, NONE, DicomOptions, FolderOptions, TableOptions, join_names
from medpeft_core.datasets.own.patterns import offer_pattern
from medpeft_core.datasets.own.proposal import ROLES, ColumnGuess, Form, Proposal, Role
from medpeft_core.datasets.own.scanning import Scan, scan_folder
from medpeft_core.datasets.own.table_choice import (
    SINGLE_ROLES,
    TableLook,
    choose_naming_table,
    explain_passed_over,
    find_table_beside,
    label_columns,
    look_at_table,
    rank_tables,
    rate_table,
)
from medpeft_core.datasets.own.table_set import read_look
from medpeft_core.datasets.progress import Progress, ignore_progress
from medpeft_core.datasets.report_words import Finding
from medpeft_core.errors import DataError
from medpeft_core.sections import build_part

FORM_OPTIONS: dict[Form, type[Any]] = {"folder": FolderOptions, "table": TableOptions, "dicom": DicomOptions}
_EXAMPLES = 8
_TABLE_ADVICE = "If it holds the labels, mend it and read the folder as a table (form table); else it does no harm."


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
    chosen = form or _choose_form(scan, images, tables, table)
    part = FORM_OPTIONS[chosen]
    known = {item.name for item in dataclasses.fields(part)}
    elsewhere = {item.name for other in FORM_OPTIONS.values() for item in dataclasses.fields(other)} - known
    given = {name: value for name, value in (options or {}).items() if name not in elsewhere}
    if table and "table" in known:
        given["table"] = table
    wanted = build_part(part, given, section="data")
    draft = _Draft(form=chosen, scan=scan, tables=tables, options=wanted)
    try:
        draft.read(images, roles or {}, split_seed=split_seed, progress=progress)
    except DataError as error:
        return draft.build([problem(str(error), draft.advise()), *draft.tell_doubts()])
    return draft.build([*judge(draft.manifest), *draft.tell_doubts()])


def _choose_form(scan: Scan, images: FileIndex, tables: list[str], table: str | None) -> Form:
    """DICOM files where there is nothing else, which bring their patients; a table, unless it names no image here and
    folders part the images into classes; else folders."""
    if scan.dicoms and not scan.images:
        return "dicom"
    if table:
        return "table"
    if tables and rate_table(scan.root / tables[0], images)[1] == 0:
        layout = folder_set.find_layout(scan)
        return "folder" if layout.table["class"].nunique() > 1 and not layout.loose else "table"
    return "table" if tables else "folder"


@dataclass(kw_only=True, eq=False)
class _Draft:
    """What is known so far; reading may fail at any point, and what was found until then is shown all the same."""

    form: Form
    scan: Scan
    tables: list[str]
    options: Any
    has_table: bool = True
    look: TableLook | None = None
    manifest: Manifest | None = None

    def read(self, images: FileIndex, roles: Mapping[str, Role], *, split_seed: int, progress: Progress) -> None:
        """Find the manifest.

        Raises:
            DataError: the images or the table cannot be read.
        """
        how: dict[str, Any] = {"split_seed": split_seed, "progress": progress}
        files = None
        if self.form == "folder":
            self.manifest = folder_set.read_scanned_folder(self.scan, self.options, **how)
        elif self.form == "dicom":
            files = dicom_set.read_scanned_headers(self.scan, self.options, progress=progress)
            images = dicom_set.HeaderIndex(tuple(files.frame["image"]), self.scan.root, files)
            table, passed_over = "", list[str]()
            if not self.options.tag:
                table, passed_over = choose_naming_table(self.scan, self.options, images)
            if table:
                self.options = replace(self.options, table=table)
            else:
                self.has_table = False
                self.manifest = dicom_set.read_without_table(self.scan, files, self.options, split_seed, passed_over)
        if self.manifest is None:
            progress("reading the table", 0, 0)
            self._look_at(images, roles)
            assert self.look is not None
            self.manifest = read_look(self.form, self.look, self.options, files=files, **how)
        self.manifest.check()

    def _look_at(self, images: FileIndex, roles: Mapping[str, Role]) -> None:
        """The table as guessed and corrected, and options that say so in full."""
        self.look = look = look_at_table(self.scan.root, self.options, self.scan, keys=images)
        unknown = [name for name in roles if name not in look.guess.roles or roles[name] not in ROLES]
        if unknown:
            raise DataError(f"{look.raw.path} has no column {unknown[0]!r}, or its role is none of {', '.join(ROLES)}.")
        corrected = correct(look, roles)
        guess = Guess(roles=corrected, whys=look.guess.whys | dict.fromkeys(roles, "as chosen"))
        self.options = state_roles(self.options, look, corrected)
        self.look = replace(look, guess=guess)

    def build(self, findings: list[Finding]) -> Proposal:
        """The proposal."""
        options, manifest, look = self.options, self.manifest, self.look
        usual = type(options)()
        stated = {
            item.name: getattr(options, item.name)
            for item in dataclasses.fields(options)
            if getattr(options, item.name) != getattr(usual, item.name)
        }
        columns = () if look is None else tuple(_describe(look, facts) for facts in look.columns)
        plain: dict[str, Any] = {
            "form": self.form, "root": self.scan.root, "options": stated, "columns": columns,
            "tables": tuple(self.tables), "findings": tuple(findings), "offers": self._find_offers(),
        }  # fmt: skip
        if manifest is None:
            labels = () if look is None else tuple(look.guess.all("label"))
            return Proposal(**plain, task="multilabel", labels=labels)
        return Proposal(
            **plain, task=manifest.task, labels=manifest.labels, is_ordered=manifest.is_ordered,
            counts=tuple(int(count) for count in (manifest.targets() == 1).sum(axis=0)), num_images=len(manifest),
            num_patients=int(manifest.table["patient_id"].nunique()) if manifest.has_patients else None,
            examples=_choose_examples(manifest),
        )  # fmt: skip

    def tell_doubts(self) -> list[Finding]:
        """What was guessed, but may be otherwise: columns of labels, and tables that folders were preferred to."""
        if self.form == "folder":
            return [warn(text, _TABLE_ADVICE) for text in explain_passed_over(self.scan)]
        text = "" if self.look is None else tell_rivals(self.look.columns, self.look.guess)
        return [Finding(severity="note", text=text)] if text else []

    def advise(self) -> str:
        """What else could help where nothing was found."""
        table = self._find_offers().get("table")
        return f"The table {table} beside the folder names these images: choose it." if table else ""

    def _find_offers(self) -> dict[str, Any]:
        if self.manifest is None and self.form != "dicom":
            table = find_table_beside(self.scan.root, FileIndex(self.scan.pictures, self.scan.root))
            return {"table": str(table)} if table is not None and not self.tables else {}
        if self.manifest is None:
            tag = dicom_set.find_attribute(self.scan) if self.form == "dicom" and not self.options.tag else ""
            return {"tag": tag} if tag and not self.has_table else {}
        pattern = "" if self.manifest.has_patients else offer_pattern(self.manifest.table["image"].tolist())
        return {"patient_pattern": pattern} if pattern else {}


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
    if columns["split_column"] == NONE != options.split_column and find_folder_splits(look.scan.pictures):
        columns["split_column"] = FOLDERS
    known = label_columns(look, options)
    labels = [name for name in known if roles[name] == "label"]
    labels += [name for name, role in roles.items() if role == "label" and name not in known]
    root = look.scan.root
    path = look.raw.path
    table = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return replace(options, **columns, labels=join_names(labels) if labels else NONE, table=table)


def _describe(look: TableLook, facts: ColumnFacts) -> ColumnGuess:
    name = facts.name
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
