"""Reads what a user typed, or a JSON file holds, as the type that a setting is annotated with; and the way back."""

import types
import typing
from typing import Any

from medpeft_core.errors import ConfigError


def coerce(value: Any, hint: Any, name: str) -> Any:
    """`value` as the type that a field is annotated with; text such as "1e-3" or "0.5,0.5,0.5" is read as that type.

    Raises:
        ConfigError: the value is no such thing.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
            return None
        return coerce(value, next(item for item in arguments if item is not type(None)), name)
    if origin is tuple:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise ConfigError(f"{name} is {value!r}, but it must be a list such as 1,2,3.")
        return tuple(coerce(item, arguments[0], name) for item in items)
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{name} is {value!r}, but it must be a table of settings.")
        return dict(value)
    return _coerce_plain(value, hint, name)


def write_text(value: Any) -> str:
    """A value as text that `coerce` reads back, exactly."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, tuple | list):
        return ",".join(map(write_text, value))
    return str(value)


def _coerce_plain(value: Any, hint: type, name: str) -> Any:
    try:
        if hint is bool:
            if isinstance(value, bool):
                return value
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[str(value).lower()]
        if hint is int and not isinstance(value, bool):
            number = float(value) if isinstance(value, str) and not value.lstrip("+-").isdigit() else value
            if int(number) != float(number):
                raise ValueError
            return int(number)
        if hint is float and not isinstance(value, bool):
            number = float(value)
            if number != number or number in (float("inf"), float("-inf")):
                raise ValueError
            return number
        if hint is str and isinstance(value, str | int | float):
            return str(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        pass
    wanted = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}[hint]
    raise ConfigError(f"{name} is {value!r}, but it must be {wanted}.")
