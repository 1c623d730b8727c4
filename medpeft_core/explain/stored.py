"""Answers about images of a run's data set as files, so that nothing is computed twice. Light: pages read them too.

They lie in `<cache>/explanations/<run id>/`: `<key>.json`, the map `<key>.cam.png`, the image `<key of the file>.png`.
An answer counts as long as the run has the same weights and thresholds, and the source file is as it was.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from medpeft_core.paths import cache_dir, ensure_dir, read_json, write_json
from medpeft_core.runs.run import Run

FORMAT_VERSION = 3  # to be raised whenever the same request would give another answer
MAX_KEPT_FILES = 900
EMPTY_S = 60.0  # a folder that has just become empty may be about to be filled by another process
PICTURES = ("image_path", "cam_path")

Stamp = tuple[str, int, int]


def answers_dir(run: Run) -> Path:
    """The folder of a run's answers; it need not exist."""
    return cache_dir() / "explanations" / run.run_id


def answer_key(run: Run, image: str, label: str) -> str:
    """Name of an answer; another one when the run gets other weights or thresholds."""
    parts = (*sorted(run.adapter_dir.glob("*.safetensors")), run.metrics_path)
    return hash_values((FORMAT_VERSION, run.run_id, image, label, *(stamp_file(path) for path in parts)))


def read_answer(run: Run, image: str, label: str) -> dict[str, Any] | None:
    """An answer that was computed before, with the full paths of its pictures; its files count as used now.

    Returns:
        What `Explainer.explain` gave; None when there is none, its pictures are gone, or the image's file has changed
        or is gone.
    """
    folder, key = answers_dir(run), answer_key(run, image, label)
    try:
        answer: dict[str, Any] = read_json(folder / f"{key}.json")
        source = Path(answer["source_path"])
        if list(stamp_file(source)) != answer["source_stamp"] or not source.is_file():
            return None
        answer = place_pictures(answer, folder)
        for path in (folder / f"{key}.json", *(Path(answer[name]) for name in PICTURES if answer[name] is not None)):
            os.utime(path)  # unlike `touch` it makes no file that has just been cleared away
    except (OSError, ValueError, KeyError):  # none yet, cleared away at this moment, or damaged
        return None
    return answer


def write_answer(run: Run, image: str, label: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Keep an answer whose pictures are named relative to the folder; gives it with their full paths."""
    folder = ensure_dir(answers_dir(run))
    write_json(folder / f"{answer_key(run, image, label)}.json", answer)
    drop_oldest(folder.parent)
    return place_pictures(answer, folder)


def place_pictures(answer: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The answer with full paths of its pictures."""
    return {**answer, **{name: None if answer[name] is None else str(folder / answer[name]) for name in PICTURES}}


def drop_oldest(parent: Path) -> None:
    """Keep the files used last, over all runs; an answer that lost one of its pictures is computed again."""
    for path in sorted(parent.glob("*/*"), key=lambda path: stamp_file(path)[1], reverse=True)[MAX_KEPT_FILES:]:
        with contextlib.suppress(PermissionError):  # Windows: the page reads it at this moment
            path.unlink(missing_ok=True)
    for folder in parent.iterdir():
        with contextlib.suppress(OSError):  # it still holds something, or is gone
            if time.time() - folder.stat().st_mtime > EMPTY_S:
                folder.rmdir()


def stamp_file(path: Path) -> Stamp:
    """Name, time of change and size of a file; zeros when it is missing."""
    try:
        status = path.stat()
    except OSError:
        return path.name, 0, 0
    return path.name, status.st_mtime_ns, status.st_size


def hash_values(values: Any) -> str:
    """A file name for values that JSON can hold."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]
