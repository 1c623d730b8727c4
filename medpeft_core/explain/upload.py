"""What a run says about an uploaded image that is in memory only: nothing of it is written to a disk."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL.PngImagePlugin import PngImageFile

from medpeft_core.datasets.images import scale_short_side
from medpeft_core.datasets.uploads import encode_png
from medpeft_core.errors import DataError, ExplainError
from medpeft_core.explain.cam import find_cam
from medpeft_core.explain.likeness import Likeness
from medpeft_core.explain.load import LoadedImage, LoadedRun, predict_image
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.first_batch import to_pixels

NAME = Path("upload")  # what an upload is really called never comes here


class Predictor:
    """Answers `predict` and `predict_ready`. For one thread.

    Args:
        store: the home's runs.
        load: a run's model, from memory where it can be.
        likeness: compares an image with what a run was trained on.
    """

    def __init__(self, store: RunStore, load: Callable[[Run], LoadedRun], likeness: Likeness) -> None:
        self._store = store
        self._load = load
        self._likeness = likeness

    def ready(self, run_id: str) -> dict[str, Any]:
        """Load a run's model, so that the first image need not wait for it."""
        self._load(self._store.load(run_id))
        return {}

    def predict(self, run_id: str, pixels: str, source_size: list[int], label: str | None = None) -> dict[str, Any]:
        """Probabilities and a heat map.

        Args:
            run_id: of the run.
            pixels: base64 of an 8-bit PNG, what `datasets.uploads.read_upload` made of the upload.
            source_size: height and width of the upload.
            label: whose map is drawn; None: the one that is furthest above its threshold, or the likeliest class.

        Returns:
            {"run_id", "task", "label", "probs", "thresholds" and "prevalence" by label, "square": base64 PNG of exactly
            what the model sees, "image_size": its side, "cam": base64 of an 8-bit grey PNG that lies over the whole
            image, 0 to 255 for a map of 0 to 1, or None where "cam_error" says why, "grid": [rows, columns] that the
            map has at its layer, or None, "layer", "is_synthetic": whether the run was trained on synthetic images,
            "warnings": how the image differs from those of the training set}.

        Raises:
            RunError: no such run, or it has no weights.
            DataError: the pixels are no PNG.
            ExplainError: the run has no such label.
        """
        loaded = self._load(self._store.load(run_id))
        image, scaled = decode_pixels(loaded, pixels, source_size)
        probs = predict_image(loaded, image)
        chosen = label if label is not None else choose_label(probs, loaded.thresholds)
        if chosen not in probs:
            raise ExplainError(f"The run {run_id} has no label {chosen!r}. Choose: {', '.join(probs)}.")
        backbone = loaded.config.backbone
        assert backbone.mean is not None
        assert backbone.std is not None
        square = to_pixels(image.images, mean=backbone.mean, std=backbone.std)[0]  # (S, S, 3)
        cam, cam_error, grid = None, None, None
        try:
            found = find_cam(loaded, image, chosen)
            cam, grid = _encode(np.rint(found.values * 255).astype(np.uint8)), list(found.grid)
        except ExplainError as error:
            cam_error = str(error)
        return {
            "run_id": loaded.run_id,
            "task": loaded.task,
            "label": chosen,
            "probs": probs,
            "thresholds": loaded.thresholds,
            "prevalence": loaded.prevalence,
            "square": _encode(square),
            "image_size": int(square.shape[0]),
            "cam": cam,
            "cam_error": cam_error,
            "grid": grid,
            "layer": loaded.built.backbone.cam_layer,
            "is_synthetic": loaded.is_synthetic,
            "warnings": self._likeness.compare(loaded.config.data, scaled, tuple(source_size)),
        }


def decode_pixels(loaded: LoadedRun, pixels: str, source_size: list[int]) -> tuple[LoadedImage, np.ndarray]:
    """What `load_image` makes of a file, from pixels in memory; its source counts as large as what was sent.

    Returns:
        The image for the model, and the pixels before the centre square was taken, uint8 (H, W) or (H, W, 3).

    Raises:
        DataError: it is no 8-bit PNG, grey or RGB.
    """
    try:
        picture = PngImageFile(io.BytesIO(base64.b64decode(pixels, validate=True)))
        picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError("The uploaded image did not arrive whole. Upload it again.") from error
    if picture.mode not in ("L", "RGB"):
        raise DataError(f"The uploaded image has pixels of type {picture.mode}, but 8-bit grey or RGB is read.")
    scaled = scale_short_side(np.asarray(picture), loaded.config.data.cache_size)
    planes = scaled[None] if scaled.ndim == 2 else scaled.transpose(2, 0, 1)  # (C, H, W)
    size = (scaled.shape[0], scaled.shape[1])
    images = loaded.transform.plain(torch.tensor(np.ascontiguousarray(planes))[None], torch.tensor([list(size)]))
    return LoadedImage(path=NAME, images=images, source_size=size, cached_size=size, warnings=()), scaled


def choose_label(probs: dict[str, float], thresholds: dict[str, float | None]) -> str:
    """The label that is furthest above its threshold, or least below; the most probable where none has a threshold."""
    margins = {label: probs[label] - limit for label, limit in thresholds.items() if limit is not None}
    ranked = {label: value for label, value in margins.items() if label in probs} or probs
    return max(ranked, key=lambda label: ranked[label])


def _encode(pixels: np.ndarray) -> str:
    return base64.b64encode(encode_png(pixels)).decode()
