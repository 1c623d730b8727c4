"""Sections of a config: plain dicts to checked dataclasses and back, whichever settings they hold. Light."""

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any, Self

from medpeft_core.coerce import coerce
from medpeft_core.errors import ConfigError

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class SectionedConfig:
    """Sections that go through JSON unchanged; a subclass brings them, each a dataclass with a default."""

    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers: what config.json holds."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The config that `to_dict` described.

        Raises:
            ConfigError: a section or field is unknown, of the wrong type or out of range, or the file comes from a
                newer version.
        """
        version = values.get("schema_version", SCHEMA_VERSION)
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            raise ConfigError(
                f"This config has schema version {version}, but this version of the lab reads up to {SCHEMA_VERSION}. "
                "Update the lab."
            )
        sections: dict[str, Any] = {}
        hints = typing.get_type_hints(cls)
        for name, value in values.items():
            if name == "schema_version":
                continue
            if name not in hints:
                raise ConfigError(f"There is no config section {name!r}. Choose: {', '.join(cls.sections())}.")
            sections[name] = build_part(hints[name], value, section=name)
        return cls(**sections)

    @classmethod
    def sections(cls) -> list[str]:
        """The names of the sections, in order."""
        return [item.name for item in dataclasses.fields(cls) if item.name != "schema_version"]


def build_part(part_type: type[Any], values: Any, *, section: str) -> Any:
    """One frozen dataclass from a plain dict, with every field checked by name, type and range.

    Args:
        part_type: a dataclass whose fields are numbers, strings, booleans, tuples of numbers or dicts.
        values: field name to value; absent fields take their defaults. Text is read as the field's type.
        section: first part of the names in messages.

    Raises:
        ConfigError: an unknown field, or a value of another type or out of range.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{section} is {values!r}, but it must be a table of settings.")
    hints = typing.get_type_hints(part_type)
    for name in values:
        if name not in hints:
            known = ", ".join(hints) or "none"
            raise ConfigError(f"There is no setting {section}.{name}. Settings of {section}: {known}.")
    return part_type(**{name: coerce(value, hints[name], f"{section}.{name}") for name, value in values.items()})
