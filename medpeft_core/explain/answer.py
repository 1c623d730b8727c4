"""What a page shows about one image of a run's data set: the image, the probabilities, and where the model looked."""

import contextlib
import hashlib
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medpeft_core.datasets.images import read_image
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.errors import DataError, ExplainError
from medpeft_core.explain.cam import compute_cam
from medpeft_core.explain.load import LoadedImage, LoadedRun, load_image, load_run, predict_image
from medpeft_core.explain.overlay import build_heat_layer
from medpeft_core.paths import cache_dir, ensure_dir, read_json, write_atomically, write_json
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.known_data import KnownData

FORMAT_VERSION = 1  # to be raised whenever the same request would give another answer
MAX_SIDE = 1024  # of the pictures for the browser, in pixels
MAX_LOADED = 2
MAX_KEPT_FILES = 600


class Explainer:
    """Answers `explain`; keeps the last runs' models in memory and finished answers as files. For one thread.

    Args:
        store: the home's runs.
        known: prepared data.
    """

    def __init__(self, store: RunStore, known: KnownData) -> None:
        self._store = store
        self._known = known
        self._loaded: OrderedDict[tuple[Any, ...], LoadedRun] = OrderedDict()

    def explain(self, run_id: str, image: str, label: str) -> dict[str, Any]:
        """What a run says about an image of its data set, and where it looked for one label.

        Args:
            run_id: of the run.
            image: the name in the manifest; a path is never taken from outside.
            label: the label whose map is drawn.

        Returns:
            {"run_id", "image", "label", "probs", "targets", "thresholds" and "prevalence" by label, "image_path": PNG
            of the decoded file, "heat_path": PNG with transparency of the same size, or None when there is nothing to
            show and "cam_error" says why, "layer": that the map is taken from, "warnings": sentences, "size": [height,
            width] of the pictures, "source_size": of the file}.

        Raises:
            RunError: no such run, or it has no weights yet.
            DataError: the data are not prepared, hold no such image, or it cannot be read.
            ExplainError: the run has no such label.
        """
        run = self._store.load(run_id)
        config = run.config()
        prepared = self._known.get(config.data)
        path = find_image(prepared.manifest, image)
        folder = cache_dir() / "explanations" / run.run_id
        key = _hash((FORMAT_VERSION, run.run_id, image, label, _stamp(path), *_stamp_run(run)))
        answer = _read_answer(folder, key)
        if answer is None:
            answer = self._compute(run, path, label, folder / key)
            write_json(folder / f"{key}.json", answer)
            drop_oldest(folder.parent)
        facts = {"run_id": run.run_id, "image": image, "label": label}
        targets = find_targets(prepared.manifest, image, tuple(answer["probs"]))
        warnings = [*answer["warnings"], *_warn_of_change(run, prepared)]
        return {**answer, **facts, "targets": targets, "warnings": warnings, **_place(answer, folder)}

    def _compute(self, run: Run, path: Path, label: str, target: Path) -> dict[str, Any]:
        """Everything that takes a model; the names of the pictures are relative to their folder."""
        loaded = self._load(run)
        if label not in loaded.labels:
            raise ExplainError(f"The run {run.run_id} has no label {label!r}. Choose: {', '.join(loaded.labels)}.")
        image = load_image(loaded, path)
        ensure_dir(target.parent)
        picture = Image.fromarray(read_image(path).pixels)
        picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BILINEAR)
        image_path = target.with_name(f"{target.name}.png")
        write_atomically(image_path, lambda temporary: picture.save(temporary, format="PNG"))
        heat_path, cam_error = target.with_name(f"{target.name}.heat.png"), None
        try:
            draw_heat(loaded, image, label, size=picture.size, out=heat_path)
        except ExplainError as error:
            cam_error = str(error)
        return {
            "probs": predict_image(loaded, image),
            "thresholds": loaded.thresholds,
            "prevalence": loaded.prevalence,
            "image_path": image_path.name,
            "heat_path": heat_path.name if cam_error is None else None,
            "cam_error": cam_error,
            "layer": loaded.built.backbone.cam_layer,
            "warnings": list(image.warnings),
            "size": [picture.height, picture.width],
            "source_size": list(image.source_size),
        }

    def _load(self, run: Run) -> LoadedRun:
        key = (run.run_id, *_stamp_run(run))
        if key not in self._loaded:
            self._loaded[key] = load_run(run)
            while len(self._loaded) > MAX_LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]


def draw_heat(loaded: LoadedRun, image: LoadedImage, label: str, *, size: tuple[int, int], out: Path) -> None:
    """Write the map for a label as a PNG with transparency; `size` is its width and height.

    Raises:
        ExplainError: there is nothing to show.
    """
    cam = Image.fromarray(compute_cam(loaded, image, label)).resize(size, Image.Resampling.BILINEAR)
    layer = Image.fromarray(build_heat_layer(np.asarray(cam).clip(0, 1)))
    write_atomically(out, lambda temporary: layer.save(temporary, format="PNG"))


def find_image(manifest: Manifest, image: str) -> Path:
    """The file of an image of the data set.

    Raises:
        DataError: the data set has no image of that name.
    """
    if not (manifest.table["image"] == image).any():
        raise DataError(
            f"The data set {manifest.dataset!r} has no image {image!r}. Choose one that it lists; it may have changed "
            "since the run was trained."
        )
    return manifest.image_root / image


def find_targets(manifest: Manifest, image: str, labels: tuple[str, ...]) -> dict[str, int | None]:
    """What is known of an image: 0, 1 or None for each label, None also for a label that the data set lacks."""
    row = manifest.table.loc[manifest.table["image"] == image].iloc[0]
    values = {label: row.get(label, np.nan) for label in labels}
    return {label: None if np.isnan(value) else int(value) for label, value in values.items()}


def drop_oldest(parent: Path) -> None:
    """Keep the files used last, over all runs; an answer that lost one of its pictures is computed again."""
    for path in sorted(parent.glob("*/*"), key=lambda path: _stamp(path)[1], reverse=True)[MAX_KEPT_FILES:]:
        with contextlib.suppress(PermissionError):  # Windows: the page reads it at this moment
            path.unlink(missing_ok=True)
    for folder in parent.iterdir():
        with contextlib.suppress(OSError):  # it still holds something
            folder.rmdir()


def _read_answer(folder: Path, key: str) -> dict[str, Any] | None:
    """An answer that was computed before, if its pictures are still there; its files count as used now."""
    path = folder / f"{key}.json"
    if not path.is_file():
        return None
    answer: dict[str, Any] = read_json(path)
    files = [path, *(folder / answer[name] for name in ("image_path", "heat_path") if answer[name] is not None)]
    if not all(file.is_file() for file in files):
        return None
    for file in files:
        file.touch()
    return answer


def _place(answer: dict[str, Any], folder: Path) -> dict[str, str | None]:
    names = {name: answer[name] for name in ("image_path", "heat_path")}
    return {name: None if value is None else str(folder / value) for name, value in names.items()}


def _warn_of_change(run: Run, prepared: PreparedData) -> list[str]:
    if run.provenance().get("data_fingerprint") in (None, prepared.fingerprint):
        return []
    return ["The data set has changed since this run was trained, so the image may have been in another split."]


def _stamp_run(run: Run) -> tuple[Any, ...]:
    """What changes when the run gets other weights or thresholds."""
    return tuple(_stamp(path) for path in (*sorted(run.adapter_dir.glob("*.safetensors")), run.metrics_path))


def _stamp(path: Path) -> tuple[str, int, int]:
    """Name, time of change and size of a file; zeros when it is missing."""
    try:
        status = path.stat()
    except OSError:
        return path.name, 0, 0
    return path.name, status.st_mtime_ns, status.st_size


def _hash(values: Any) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]
