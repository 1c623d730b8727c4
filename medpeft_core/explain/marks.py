"""What a data set marks in an image, and how well a heat map falls on it. Light."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.masks import list_masks
from medpeft_core.datasets.phantom_job import SHORTCUT_BIT
from medpeft_core.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Mark:
    """The place of one finding in one image.

    Attributes:
        label: the finding.
        kind: "mask" or "box".
        inside: (H, W) bool, in the pixels of the source file.
        boxes: of kind "box": left, top, width, height in pixels of the source file.
    """

    label: str
    kind: str
    inside: np.ndarray
    boxes: tuple[tuple[float, float, float, float], ...] = ()


def find_marks(manifest: Manifest, image: str, size: tuple[int, int]) -> list[Mark]:
    """The places that a data set marks in an image, a mask before boxes of the same finding.

    In a mask image bit k (value 1 << k) marks the finding at position k of the labels. Where each image has one label,
    or the data set has one, whatever is not 0 marks it.

    Args:
        manifest: of the data set.
        image: its name in there.
        size: height and width of the source file.

    Returns:
        In the order of the labels; empty where nothing is marked.

    Raises:
        DataError: the marks cannot be read.
    """
    row = manifest.table.loc[manifest.table["image"] == image].iloc[0]
    masks = _read_masks(manifest, row, size)
    boxes = _read_boxes(row.get("boxes"), image)
    found = []
    for label in manifest.labels:
        if label in masks:
            found.append(Mark(label=label, kind="mask", inside=masks[label]))
        elif label in boxes:
            inside = fill_boxes(boxes[label], size)
            if inside.any():
                found.append(Mark(label=label, kind="box", inside=inside, boxes=tuple(boxes[label])))
    return found


def find_shortcut(manifest: Manifest, image: str, size: tuple[int, int]) -> np.ndarray | None:
    """(H, W) bool, where the mark of a shortcut lies in an image; None where the image or the data set has none.

    It is what `phantom_shortcut` draws beside a finding, and no finding itself: `find_marks` leaves it out.

    Args:
        manifest: of the data set.
        image: its name in there.
        size: height and width of the answer.

    Raises:
        DataError: the masks cannot be read.
    """
    row = manifest.table.loc[manifest.table["image"] == image].iloc[0]
    if row.get("shortcut") != 1:
        return None
    values = _read_mask_values(manifest, row, size)
    inside = None if values is None else (values >> SHORTCUT_BIT) & 1 == 1
    return inside if inside is not None and inside.any() else None


def fill_boxes(boxes: Sequence[tuple[float, float, float, float]], size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool, true within any of the boxes (left, top, width, height in pixels)."""
    inside = np.zeros(size, dtype=bool)
    for left, top, width, height in boxes:
        rows = slice(max(round(top), 0), max(round(top + height), 0))
        inside[rows, max(round(left), 0) : max(round(left + width), 0)] = True
    return inside


def compute_localisation(
    cam: np.ndarray, inside: np.ndarray, square: tuple[int, int, int, int]
) -> dict[str, float | bool] | None:
    """How much of a map lies where the finding is.

    Args:
        cam: (H, W) in [0, 1], not 0 everywhere.
        inside: (H, W) bool, the finding's place.
        square: top, left, height, width of the part that the model saw.

    Returns:
        {"share": of the map's sum that lies inside, "chance": what a map spread evenly over the part that the model saw
        would have there, "is_hit": the strongest place lies inside (pointing game)}; None where the model saw nothing
        of the finding.

    Reference: Zhang et al. 2018, Top-down neural attention by excitation backprop, IJCV 126 (pointing game, here
    without its margin of 15 pixels).
    """
    top, left, height, width = square
    seen = inside[top : top + height, left : left + width]
    total = float(cam.sum(dtype=np.float64))
    if not seen.any() or total <= 0:
        return None
    strongest = np.unravel_index(int(cam.argmax()), cam.shape)
    return {
        "share": float(cam[inside].sum(dtype=np.float64)) / total,
        "chance": float(seen.mean()),
        "is_hit": bool(inside[strongest]),
    }


def _read_masks(manifest: Manifest, row: "pd.Series[Any]", size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Label to (H, W) bool, for each finding that the mask image marks."""
    values = _read_mask_values(manifest, row, size)
    if values is None:
        return {}
    if len(manifest.labels) == 1 or manifest.task == "multiclass":
        only = next((label for label in manifest.labels if row[label] == 1), None)
        return {only: values > 0} if only is not None and values.any() else {}
    masks = {label: (values >> position) & 1 == 1 for position, label in enumerate(manifest.labels[:8])}
    return {label: mask for label, mask in masks.items() if mask.any()}


def _read_mask_values(manifest: Manifest, row: "pd.Series[Any]", size: tuple[int, int]) -> np.ndarray | None:
    """(H, W) uint8 of the image's files of masks, of whatever size they have, laid over each other; None for none."""
    values: np.ndarray | None = None
    for name in list_masks(row.get("mask")):
        read = _read_mask_file(manifest.image_root / name, size)
        values = read if values is None else values | read
    return values


def _read_mask_file(path: Path, size: tuple[int, int]) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            shown = picture if picture.mode == "L" else picture.convert("L")
            return np.asarray(shown.resize((size[1], size[0]), Image.Resampling.NEAREST))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"The mask {path} cannot be read: {error}. Draw or copy the data set again.") from error


def _read_boxes(text: Any, image: str) -> dict[str, list[tuple[float, float, float, float]]]:
    if not isinstance(text, str) or not text:
        return {}
    boxes: dict[str, list[tuple[float, float, float, float]]] = {}
    try:
        for box in json.loads(text):
            corner = float(box["x"]), float(box["y"]), float(box["width"]), float(box["height"])
            boxes.setdefault(str(box["label"]), []).append(corner)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"The boxes of {image} cannot be read: {error!r}. Prepare the data set again.") from error
    return boxes
