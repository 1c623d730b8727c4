"""Whether the heat maps of a run lie on the mark that betrays a finding, and some pictures of it."""

import contextlib
import io
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.pixel_cache import load_for_model
from medpeft_core.datasets.progress import Progress
from medpeft_core.datasets.views import read_how
from medpeft_core.errors import ExplainError
from medpeft_core.explain.answer import encode_cam
from medpeft_core.explain.cam import find_cam
from medpeft_core.explain.load import LoadedRun, load_image
from medpeft_core.explain.marks import compute_localisation, find_shortcut
from medpeft_core.explain.patch import PAINTINGS, find_patch, paint
from medpeft_core.metrics.evaluate import probs_from_logits

NUM_MAPS = 30
NUM_EXAMPLES = 2  # of images with the finding, and as many of images without it
PICTURE_QUALITY = 90


def measure_maps(loaded: LoadedRun, manifest: Manifest, finding: str, *, progress: Progress) -> dict[str, Any]:
    """How much of the maps for a finding lies on the mark, over the first test images that have it.

    Returns:
        {"num_asked", "num_flat": how many maps show nothing and are left out, "layer", "grid": [rows, columns] that a
        map has there, or None, "images": a list of {"image", "target": 0 or 1, "share": of the map's sum that lies on
        the mark and its margin, "area": the share of the image that these cover, "is_hit": the strongest place lies
        there}}.
    """
    test = manifest.split("test")
    marked = test.table[test.table["shortcut"] == 1].iloc[:NUM_MAPS]
    found: list[dict[str, Any]] = []
    grid = None
    for number, (name, target) in enumerate(zip(marked["image"], marked[finding], strict=True)):
        progress("drawing heat maps", number, len(marked))
        image = load_image(loaded, manifest.image_root / name)
        try:
            cam = find_cam(loaded, image, finding)
        except ExplainError:  # a flat map
            continue
        place = compute_localisation(cam.values, find_patch(manifest, name, image.source_size), cam.square)
        if place is not None:
            grid = list(cam.grid)
            found.append(
                {
                    "image": name,
                    "target": int(target),
                    "share": place["share"],
                    "area": place["chance"],
                    "is_hit": place["is_hit"],
                }
            )
    return {
        "num_asked": len(marked),
        "num_flat": len(marked) - len(found),
        "layer": loaded.built.backbone.cam_layer,
        "grid": grid,
        "images": found,
    }


def choose_examples(answers: pd.DataFrame, finding: str) -> list[str]:
    """Test images with the mark, first of those with the finding, then of those without it: the most ordinary ones.

    Ordinary is an image whose answer changes by about the median of its kind when the mark is painted over, so that the
    pictures show neither the best nor the worst case.

    Args:
        answers: as `masking.mask_answers` gives them.
        finding: the label that the mark goes with.
    """
    marked = answers[(answers["split"] == "test") & (answers["shortcut"] == 1)]
    chosen: list[str] = []
    for target in (1, 0):
        rows = marked[marked[f"target_{finding}"] == target]
        change = rows[f"logit_{finding}"] - rows[f"masked_{finding}"]
        order = (change - change.median()).abs().sort_values(kind="stable").index[:NUM_EXAMPLES]
        chosen += rows.loc[order, "image"].tolist()
    return chosen


def draw_examples(
    loaded: LoadedRun, manifest: Manifest, answers: pd.DataFrame, finding: str
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """Some images as they are, with the mark and with the mirrored place painted over, and the map of the first.

    Returns:
        A list of {"image", "target": 0 or 1, "probs": of the finding for "original", "masked" and "control", "files":
        the same keys and "mark" (not 0 inside it) and, where the map is not flat, "cam", to names of files}; and the
        files by name.
    """
    examples: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    for number, name in enumerate(choose_examples(answers, finding), start=1):
        row: Any = answers[answers["image"] == name].iloc[0]
        original = load_for_model(
            manifest.image_root / name, loaded.config.data.cache_size, read_how(loaded.config.data)
        )[0]  # (C, H, W)
        size = original.shape[1], original.shape[2]
        painted = paint(original, find_patch(manifest, name, size), name)
        contents = {"original.webp": _encode(original)} | {f"{kind}.webp": _encode(painted[kind]) for kind in PAINTINGS}
        contents["mark.png"] = _encode_mask(find_shortcut(manifest, name, size))
        with contextlib.suppress(ExplainError):  # a flat map: the page then shows none
            cam = find_cam(loaded, load_image(loaded, manifest.image_root / name), finding)
            contents["cam.png"] = encode_cam(cam, size[::-1])
        files |= {f"example-{number}-{ending}": content for ending, content in contents.items()}
        logits = np.array([[row[f"{kind}_{finding}"]] for kind in ("logit", *PAINTINGS)])  # (3, 1)
        probs = probs_from_logits(logits, loaded.task)[:, 0]
        examples.append(
            {
                "image": name,
                "target": int(row[f"target_{finding}"]),
                "probs": dict(zip(("original", *PAINTINGS), map(float, probs), strict=True)),
                "files": {ending.partition(".")[0]: f"example-{number}-{ending}" for ending in contents},
            }
        )
    return examples, files


def _encode(pixels: np.ndarray) -> bytes:
    """A small WebP of (C, H, W) uint8."""
    stream = io.BytesIO()
    shown = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    shown.convert("RGB").save(stream, format="WEBP", quality=PICTURE_QUALITY)
    return stream.getvalue()


def _encode_mask(inside: np.ndarray | None) -> bytes:
    assert inside is not None  # `find_patch` has refused an image without a mark
    stream = io.BytesIO()
    Image.fromarray(inside.astype(np.uint8) * 255).save(stream, format="PNG", optimize=True)
    return stream.getvalue()
