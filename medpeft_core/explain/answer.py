"""What a page shows about one image of a run's data set: the image, the probabilities, and where the model looked."""

import base64
import io
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medpeft_core.datasets.images import read_image
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.datasets.views import read_how
from medpeft_core.errors import DataError, ExplainError
from medpeft_core.explain.cam import Cam, find_cam
from medpeft_core.explain.load import LoadedImage, LoadedRun, load_image, load_run, predict_image
from medpeft_core.explain.marks import Mark, compute_localisation, find_marks, find_shortcut
from medpeft_core.explain.stored import answer_key, answers_dir, hash_values, read_answer, stamp_file, write_answer
from medpeft_core.paths import ensure_dir, write_atomically
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.known_data import KnownData

MAX_SIDE = 1024  # of the pictures for the browser, in pixels
MAX_LOADED = 2


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
            of the decoded file, "cam_path": 8-bit grey PNG of the same size, 0 to 255 for a map of 0 to 1, or None when
            there is nothing to show and "cam_error" says why, "layer": that the map is taken from, "grid": [rows,
            columns] that it has there, "marks": places that the data set marks, as `describe_mark` gives them,
            "localisation": of the map as `compute_localisation` gives it, or None, "warnings": sentences,
            "image_warnings": those of them on how the file was read, "size": [height, width] of the pictures,
            "source_size": of the file, "source_path": the file}.

        Raises:
            RunError: no such run, or it has no weights yet.
            DataError: the data are not prepared, hold no such image, or it cannot be read.
            ExplainError: the run has no such label.
        """
        run = self._store.load(run_id)
        prepared = self._known.get(run.config().data)
        path = find_image(prepared.manifest, image)
        answer = read_answer(run, image, label)
        if answer is None:
            answer = write_answer(run, image, label, self._compute(run, prepared, path, image, label))
        # the data may have changed since the answer was kept
        targets = find_targets(prepared.manifest, image, tuple(answer["probs"]))
        return {**answer, "targets": targets, "warnings": [*answer["image_warnings"], *_warn_of_change(run, prepared)]}

    def _compute(self, run: Run, prepared: PreparedData, path: Path, image: str, label: str) -> dict[str, Any]:
        """Everything that takes a model; the names of the pictures are relative to their folder."""
        loaded = self.load(run)
        if label not in loaded.labels:
            raise ExplainError(f"The run {run.run_id} has no label {label!r}. Choose: {', '.join(loaded.labels)}.")
        seen = load_image(loaded, path)
        stamp = list(stamp_file(path))
        picture = Image.fromarray(read_image(path, read_how(run.config().data)).pixels)
        picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BILINEAR)
        folder, key = ensure_dir(answers_dir(run)), answer_key(run, image, label)
        image_path = folder / f"{hash_values((image, *stamp))}.png"
        if not image_path.is_file():
            write_atomically(image_path, lambda temporary: picture.save(temporary, format="PNG"))
        marks = find_marks(prepared.manifest, image, seen.source_size)
        shortcut = find_shortcut(prepared.manifest, image, seen.source_size)
        if shortcut is not None:
            marks.append(Mark(label="Shortcut", kind="mask", inside=shortcut))
        answer = {
            "run_id": run.run_id,
            "image": image,
            "label": label,
            "probs": predict_image(loaded, seen),
            "targets": find_targets(prepared.manifest, image, loaded.labels),
            "thresholds": loaded.thresholds,
            "prevalence": loaded.prevalence,
            "image_path": image_path.name,
            "layer": loaded.built.backbone.cam_layer,
            "marks": [describe_mark(mark, picture.size) for mark in marks],
            "image_warnings": list(seen.warnings),
            "warnings": [*seen.warnings, *_warn_of_change(run, prepared)],
            "size": [picture.height, picture.width],
            "source_size": list(seen.source_size),
            "source_path": str(path),
            "source_stamp": stamp,
        }
        return {**answer, **_draw_cam(loaded, seen, label, marks, size=picture.size, out=folder / f"{key}.cam.png")}

    def load(self, run: Run) -> LoadedRun:
        """A run's model, from memory when it was used lately and has not changed; raises as `load_run`."""
        parts = (*sorted(run.adapter_dir.glob("*.safetensors")), run.metrics_path)
        key = (run.run_id, *(stamp_file(path) for path in parts))
        if key not in self._loaded:
            self._loaded[key] = load_run(run)
            while len(self._loaded) > MAX_LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]


def encode_cam(cam: Cam, size: tuple[int, int]) -> bytes:
    """A map as 8-bit grey PNG of the given width and height, 0 to 255 for 0 to 1."""
    grey = Image.fromarray((cam.values * 255).round().astype(np.uint8))
    stream = io.BytesIO()
    grey.resize(size, Image.Resampling.BILINEAR).save(stream, format="PNG")
    return stream.getvalue()


def describe_mark(mark: Mark, size: tuple[int, int]) -> dict[str, Any]:
    """A mark for a page whose picture has this width and height.

    Returns:
        {"label", "kind", "png": base64 of an 8-bit PNG, not 0 inside, None for boxes, "boxes": [left, top, width,
        height] as shares of the image}.
    """
    height, width = mark.inside.shape
    described: dict[str, Any] = {"label": mark.label, "kind": mark.kind, "png": None, "boxes": []}
    if mark.kind == "box":
        shares = [(x / width, y / height, w / width, h / height) for x, y, w, h in mark.boxes]
        return {**described, "boxes": [list(box) for box in shares]}
    stream = io.BytesIO()
    shown = Image.fromarray(mark.inside.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)
    shown.save(stream, format="PNG")
    return {**described, "png": base64.b64encode(stream.getvalue()).decode()}


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


def _draw_cam(
    loaded: LoadedRun, image: LoadedImage, label: str, marks: Sequence[Mark], *, size: tuple[int, int], out: Path
) -> dict[str, Any]:
    """Write the map; what there is to say about it."""
    try:
        cam = find_cam(loaded, image, label)
    except ExplainError as error:
        return {"cam_path": None, "cam_error": str(error), "grid": None, "localisation": None}
    content = encode_cam(cam, size)
    write_atomically(out, lambda temporary: _write(temporary, content))
    marked = next((mark for mark in marks if mark.label == label), None)
    localisation = None if marked is None else compute_localisation(cam.values, marked.inside, cam.square)
    return {"cam_path": out.name, "cam_error": None, "grid": list(cam.grid), "localisation": localisation}


def _warn_of_change(run: Run, prepared: PreparedData) -> list[str]:
    if run.provenance().get("data_fingerprint") in (None, prepared.fingerprint):
        return []
    return ["The data set has changed since this run was trained, so the image may have been in another split."]


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
