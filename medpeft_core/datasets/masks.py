"""The manifest's `mask` where an image has several files of masks: one path, or several as JSON text."""

import json
from typing import Any


def write_masks(paths: list[str]) -> str | None:
    """The value of `mask` for some files, which are laid over each other; None for none."""
    if not paths:
        return None
    return paths[0] if len(paths) == 1 else json.dumps(paths)


def list_masks(value: Any) -> list[str]:
    """The paths that a value of `mask` names, in order; empty where it is missing."""
    if not isinstance(value, str) or not value:
        return []
    if value.startswith("["):
        try:
            names = json.loads(value)
        except ValueError:  # a file whose name begins with a bracket
            return [value]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    return [value]
