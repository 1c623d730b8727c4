"""Values from JSON that anybody may have written: what pages compute with is of the right kind and size. Light."""

import json
import math
from collections.abc import Iterable
from typing import Any

Types = dict[str, tuple[type, ...]]

MAX_FLOAT = 1e39  # above every finite number in float32, and far from where sums and products overflow
MAX_INT = 2**63 - 1  # what columns of tables hold
MAX_TIME = 32_503_680_000  # unix seconds of the year 3000; some systems write no later one

NUMBER, COUNT, TEXT = (int, float, type(None)), (int, type(None)), (str, type(None))
IS_NUMBER, IS_COUNT, IS_TEXT = (int, float), (int,), (str,)


def parse_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object whose numbers are finite and whose texts can be shown.

    Raises:
        ValueError: it is something else; `json.JSONDecodeError` where it is no JSON at all.
    """
    values = json.loads(text, parse_float=_parse_float, parse_int=_parse_int, parse_constant=_parse_float)
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    if "\\u" in (text if isinstance(text, str) else text.decode()):
        json.dumps(values, ensure_ascii=False).encode()  # half a surrogate pair has no bytes
    return values


def check_types(values: Any, types: Types, *, needed: Iterable[str] = ()) -> None:
    """Refuse an object whose fields are of other types, or that lacks one.

    Args:
        values: from `parse_object`.
        types: by field, those that JSON may give; fields that are not named may be anything.
        needed: fields that must be there.

    Raises:
        ValueError: names the field.
    """
    if not isinstance(values, dict):
        raise ValueError("it holds something else where an object should be")
    for name in needed:
        if name not in values:
            raise ValueError(f"it lacks {name}")
    for name, allowed in types.items():
        if name in values and type(values[name]) not in allowed:  # `isinstance` would take true for 1
            raise ValueError(f"its {name} is no value that a run has there")


def check_items(values: Any, allowed: tuple[type, ...], what: str) -> None:
    """Refuse a table of which a value has another type; None is an empty one.

    Raises:
        ValueError: names `what`.
    """
    if not all(type(item) in allowed for item in (values or {}).values()):
        raise ValueError(f"its {what} holds a value that a run does not have there")


def check_matrix(rows: Any, size: int, what: str) -> None:
    """Refuse what is no square of counts; None is none at all.

    Args:
        rows: a list of lists.
        size: rows, and numbers in each.
        what: its name in the message.

    Raises:
        ValueError: names `what`.
    """
    if rows is None:
        return
    is_square = len(rows) == size and all(isinstance(row, list) and len(row) == size for row in rows)
    if not is_square or not all(type(item) is int and item >= 0 for row in rows for item in row):
        raise ValueError(f"its {what} is no table of counts with a row and a column for each of its {size} labels")


def check_time(value: Any) -> None:
    """Refuse a moment that no calendar has; None is one that is not known.

    Raises:
        ValueError: it is not from 1970 to 3000.
    """
    if value is not None and not 0 <= value < MAX_TIME:
        raise ValueError("it tells of a moment that is not between 1970 and 3000")


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.fabs(value) <= MAX_FLOAT:  # true for NaN too
        raise ValueError(f"it holds {text[:20]}, which is no number that a run has")
    return value


def _parse_int(text: str) -> int:
    value = int(text)
    if abs(value) > MAX_INT:
        raise ValueError(f"it holds {text[:20]}, which is no number that a run has")
    return value
