"""adapter/: the best weights so far, replaced as a whole folder."""

import shutil
from pathlib import Path

from medpeft_core.errors import RunError
from medpeft_core.methods.adapted import AdaptedModel


def save_best(adapted: AdaptedModel, folder: Path) -> None:
    """Write the trained weights beside `folder` and put them in its place; `load_best` mends a crash in between."""
    fresh, old = _neighbours(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        adapted.save(fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_best(adapted: AdaptedModel, folder: Path) -> None:
    """Load the best weights into a freshly built model.

    Raises:
        RunError: there are none yet.
        MethodError: they are damaged or of another model.
    """
    _, old = _neighbours(folder)
    if not folder.exists() and old.exists():
        old.rename(folder)
    if not folder.exists():
        raise RunError(
            f"The run {folder.parent.name} has no trained weights yet. Let it reach its first evaluation, or resume it."
        )
    adapted.load(folder)


def _neighbours(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
