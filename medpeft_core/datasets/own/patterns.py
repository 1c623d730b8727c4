"""A patient's id out of file names, by a pattern that a person can read and no text can make slow. Light."""

import os
import re
from collections import Counter

from medpeft_core.errors import DataError

_ID = re.compile(r"\{id(?::(\d{1,2}))?\}")
MAX_PATTERN = 100  # characters
_OFFERED = ("{id}_*", "{id}-*", "{id} *", "{id}.*", "*/{id}/*", "*/*/{id}/*")
_HAS_DIGIT = re.compile(r"\d")
_MIN_IMAGES = 6


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that cannot name patients.

    Raises:
        DataError: it lacks {id} or has it twice, or is too long.
    """
    if len(pattern) > MAX_PATTERN or len(_ID.findall(pattern)) != 1:
        raise DataError(
            f"data.patient_pattern is {pattern!r}, but it must hold {{id}} once, such as {{id}}_* for names that begin "
            "with the patient, * for anything else."
        )


def find_ids(paths: list[str], pattern: str) -> list[str | None]:
    """The patient of each path; None where the pattern does not fit.

    {id} takes as little as possible, but one character at least; {id:4} takes four. * takes as little as possible as
    well. A pattern with a "/" is held against the whole path, others against the file's name without its ending.

    Raises:
        DataError: see `check_pattern`.
    """
    check_pattern(pattern)
    is_whole = "/" in pattern
    steps = _parse(pattern)
    return [_match(path if is_whole else os.path.splitext(path.rpartition("/")[2])[0], steps) for path in paths]


def offer_pattern(paths: list[str]) -> str:
    """A pattern that seems to fit: names that begin with something that holds digits and repeats; else ""."""
    if len(paths) < _MIN_IMAGES:
        return ""
    for pattern in _OFFERED:
        ids = [name for name in find_ids(paths, pattern) if name is not None]
        if len(ids) < 0.95 * len(paths):
            continue
        counts = Counter(ids)
        has_digits = sum(bool(_HAS_DIGIT.search(name)) for name in counts) >= 0.9 * len(counts)
        if has_digits and 2 < len(counts) <= 0.8 * len(ids) and max(counts.values()) <= 0.2 * len(ids):
            return pattern
    return ""


def _parse(pattern: str) -> list[tuple[str, str]]:
    """("text", what must stand there), ("any", ""), ("id", its length or "")."""
    steps: list[tuple[str, str]] = []
    found = _ID.search(pattern)
    assert found is not None  # check_pattern has seen to it
    for part, is_id in ((pattern[: found.start()], False), ("", True), (pattern[found.end() :], False)):
        if is_id:
            steps.append(("id", found.group(1) or ""))
            continue
        for number, text in enumerate(part.split("*")):
            if number:
                steps.append(("any", ""))
            if text:
                steps.append(("text", text))
    return steps


def _match(name: str, steps: list[tuple[str, str]]) -> str | None:
    """One walk through the name: every text is looked for from where the last one ended, so nothing is tried twice."""
    place = 0
    opened: str | None = None  # "any" or "id" that waits for the text behind it
    began, found = 0, None
    for kind, text in steps:
        if kind == "text":
            if opened is None:
                if not name.startswith(text, place):
                    return None
                place += len(text)
                continue
            at = name.find(text, place + (1 if opened == "id" else 0))
            if at < 0:
                return None
            if opened == "id":
                found = name[began:at]
            place, opened = at + len(text), None
        elif kind == "id" and text:
            if opened is not None or place + int(text) > len(name):
                return None
            found = name[place : place + int(text)]
            place += int(text)
        else:
            if kind == "any" and opened == "id":  # {id}* would be everything or nothing
                return None
            opened, began = kind, place
    if opened == "id":
        found = name[began:]
        place = len(name)
    if opened is None and place < len(name):
        return None
    return found or None
