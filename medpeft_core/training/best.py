"""adapter/: the best weights so far, replaced as a whole folder."""

import shutil
from pathlib import Path

from medpeft_core.errors import RunError
from medpeft_core.methods.adapted import AdaptedModel
from medpeft_core.paths import rename, sync_files


def save_best(adapted: AdaptedModel, folder: Path) -> None:
    """Write the trained weights beside `folder` and put them in its place; `load_best` knows a crash in between."""
    fresh, old = _neighbours(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        adapted.save(fresh)
        sync_files(fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        rename(folder, old)
    rename(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def mend_best(folder: Path) -> None:
    """Put back what a worker that died between two renames left; only a run's own worker may call this."""
    fresh, old = _neighbours(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    if not folder.exists() and old.exists():
        rename(old, folder)
    shutil.rmtree(old, ignore_errors=True)


def load_best(adapted: AdaptedModel, folder: Path) -> None:
    """Load the best weights into a freshly built model; changes no file, since a worker may be replacing them.

    Raises:
        RunError: there are none yet.
        MethodError: they are damaged or of another model.
    """
    _, old = _neighbours(folder)
    whole = folder if folder.exists() else old
    if not whole.exists():
        raise RunError(
            f"The run {folder.parent.name} has no trained weights yet. Let it reach its first evaluation, or resume it."
        )
    adapted.load(whole)


def _neighbours(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
