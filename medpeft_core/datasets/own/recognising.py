"""Telling that a folder which somebody calls their own is a published set, which has a reader of its own. Light."""

from pathlib import Path

from medpeft_core.datasets.spec import DATASETS


def recognise(root: Path) -> list[str]:
    """Names of the published sets of which everything needed lies in a folder; usually none.

    It opens no image, and looks into each folder a few times.
    """
    found = []
    for spec in DATASETS:
        if not spec.needs_root or not spec.citation:  # what has no source to cite is somebody's own
            continue
        needed = [part for part in spec.inspect(root, spec.options()) if part.is_needed]
        if needed and all(part.is_there for part in needed):
            found.append(spec.name)
    return found
