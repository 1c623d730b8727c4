"""Which file a cell of a table means: by path, by the end of a path, by name, with or without ending. Light."""

import filecmp
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from medpeft_core.datasets.image_files import DICOM_ENDINGS, IMAGE_ENDINGS

_AMBIGUOUS = ""
_NUMBER = re.compile(r"([0-9]+)(?:[.,]0+)?")
_ENDINGS = (*IMAGE_ENDINGS, *DICOM_ENDINGS)
OUTSIDE = ".."


@dataclass(frozen=True, kw_only=True)
class Match:
    """What came of looking for files.

    Attributes:
        files: value -> path below the root, for those that were found.
        missing: values without a file.
        ambiguous: values that fit several files.
        outside: values that lead out of the folder; they are no part of `missing`.
        how: "path", "path without ending", "name", or what else found them: the loosest rule that was needed.
        several: value -> all its files, where one value means several on purpose, as a patient does.
    """

    files: dict[str, str]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    how: str = "path"
    several: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_by_file(self) -> bool:
        """Whether names of files were compared, not ids."""
        return self.how in ("path", "path without ending", "name")


@dataclass(eq=False)
class FileIndex:
    """The files of a folder, to be found by what people write into tables.

    Upper and lower case, Unicode forms (NFC, NFD), backslashes and a leading "./" make no difference. A value finds a
    file whose path ends in it, or whose path is the end of it; so "CheXpert/train/1.jpg" is found in the folder
    CheXpert. Where this finds none of the values, names alone are compared, if they are unique.
    """

    paths: tuple[str, ...]
    root: Path | None = None
    _exact: frozenset[str] = field(init=False, repr=False)
    _with_ending: dict[str, str] = field(init=False, repr=False)
    _without: dict[str, str] | None = field(init=False, repr=False, default=None)
    _by_name: dict[str, list[str]] | None = field(init=False, repr=False, default=None)
    _by_number: dict[str, str] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        self._exact = frozenset(self.paths)
        self._with_ending = _index_ends(self.paths, has_ending=True)

    def match(self, values: Iterable[str]) -> Match:
        """The files of distinct values; empty ones are passed over."""
        files: dict[str, str] = {}
        missing: list[str] = []
        ambiguous: list[str] = []
        outside: list[str] = []
        how = "path"
        for value in values:
            if not value:
                continue
            if value in self._exact:
                files[value] = value
                continue
            parts = self._split(value)
            if parts is None:
                outside.append(value)
                continue
            found, is_bare = self._find(parts)
            if found:
                files[value] = found
                how = "path without ending" if is_bare else how
            elif found == _AMBIGUOUS:
                same = self._find_same(parts)
                if same:
                    files[value] = same
                else:
                    ambiguous.append(value)
            else:
                missing.append(value)
        if missing and not files and not ambiguous:
            files = self._match_names(missing)
            if files:
                how, missing = "name", [value for value in missing if value not in files]
        return Match(files=files, missing=tuple(missing), ambiguous=tuple(ambiguous), outside=tuple(outside), how=how)

    def add_numbers(self, match: Match) -> Match:
        """A match with the files that are meant by numbers whose zeros or ending are lost: 7 or 7.0 for 00007.png.

        Only where one file fits, which no other value has found, and where values are files and no ids of patients.
        """
        if not match.missing or not (match.is_by_file or not match.files):
            return match
        if self._by_number is None:
            self._by_number = {}
            for path in self.paths:
                number = _find_number(path.rpartition("/")[2])
                if number is not None:
                    self._by_number[number] = _AMBIGUOUS if number in self._by_number else path
        taken = {*match.files.values(), _AMBIGUOUS, None}
        found = {value: self._by_number.get(_find_number(value) or "") for value in match.missing}
        files = {value: path for value, path in found.items() if path and path not in taken}
        if not files:
            return match
        return replace(
            match, files=match.files | files, how=f"{match.how} or number" if match.files else "number",
            missing=tuple(value for value in match.missing if value not in files),
        )  # fmt: skip

    def _split(self, value: str) -> list[str] | None:
        """The steps of a path; None where it climbs out of the root."""
        text = fold(value)
        if self.root is not None and _is_absolute(text):
            top = fold(str(self.root)).rstrip("/") + "/"
            text = text.removeprefix(top)
        parts = [part for part in text.split("/") if part not in ("", ".")]
        return None if OUTSIDE in parts else parts

    def _find(self, parts: list[str]) -> tuple[str | None, bool]:
        """The file, "" where several fit, or None; and whether its ending was left out."""
        found = _look(self._with_ending, parts)
        if found is not None:
            return found, False
        if self._without is None:
            self._without = _index_ends(self.paths, has_ending=False)
        found = _look(self._without, parts)
        if found is None and parts and parts[-1] != strip_ending(parts[-1]):  # 1.png in the table, 1.jpg on disk
            found = _look(self._without, [*parts[:-1], strip_ending(parts[-1])])
        return found, True

    def _find_same(self, parts: list[str]) -> str | None:
        """The first of the files that a value fits, where all of them hold the same bytes."""
        if self.root is None:
            return None
        if self._by_name is None:
            self._by_name = {}
            for path in self.paths:
                self._by_name.setdefault(strip_ending(fold(path).rpartition("/")[2]), []).append(path)
        end = strip_ending("/".join(parts))
        found = [path for path in self._by_name.get(strip_ending(parts[-1]), ())
                 if f"/{strip_ending(fold(path))}".endswith(f"/{end}")]  # fmt: skip
        whole = [path for path in found if fold(path).endswith(parts[-1])]
        first, *others = sorted(whole or found, key=lambda path: (path.count("/"), path))
        return (
            first if all(filecmp.cmp(self.root / first, self.root / path, shallow=False) for path in others) else None
        )

    def _match_names(self, values: list[str]) -> dict[str, str]:
        """By name alone, where the names are unique among the values as well; folders then count for nothing."""
        names: dict[str, list[str]] = {}
        for value in values:
            names.setdefault(fold(value).rpartition("/")[2], []).append(value)
        if any(len(same) > 1 for same in names.values()):
            return {}
        found = {same[0]: self._find([name])[0] for name, same in names.items()}
        return {value: path for value, path in found.items() if path}


def fold(text: str) -> str:
    """A path as it is compared: small letters, one Unicode form, "/" between folders."""
    if text.isascii():
        return text.lower().replace("\\", "/")
    return unicodedata.normalize("NFC", text).casefold().replace("\\", "/")


def strip_ending(name: str) -> str:
    """A file name without an ending of images; other dots, such as those of UIDs, stay."""
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in _ENDINGS else name


def _find_number(name: str) -> str | None:
    """The number that a name is, without zeros before it; None for other names."""
    found = _NUMBER.fullmatch(strip_ending(name))
    return (found.group(1).lstrip("0") or "0") if found else None


def _is_absolute(text: str) -> bool:
    return text.startswith("/") or text[1:3] == ":/"


def _index_ends(paths: tuple[str, ...], *, has_ending: bool) -> dict[str, str]:
    """Every end of every path -> the path; "" where several paths end so. A whole path always wins."""
    ends: dict[str, str] = {}
    whole: dict[str, str] = {}
    for path in paths:
        text = fold(path)
        if not has_ending:
            text = strip_ending(text)
        whole[text] = _AMBIGUOUS if text in whole else path
        at = text.find("/")
        while at >= 0:
            end = text[at + 1 :]
            ends[end] = path if ends.get(end, path) == path else _AMBIGUOUS
            at = text.find("/", at + 1)
    return ends | whole


def _look(index: dict[str, str], parts: list[str]) -> str | None:
    """A file whose path ends in these steps, or whose whole path is their end."""
    text = "/".join(parts)
    found = index.get(text)
    if found is not None:
        return found
    for start in range(1, len(parts)):
        end = "/".join(parts[start:])
        path = index.get(end)
        if path and fold(path).count("/") == len(parts) - start - 1:
            return path
    return None
