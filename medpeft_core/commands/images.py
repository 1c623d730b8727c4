"""Single images: how the lab reads them, what a run predicts, where it looked."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medpeft_core.commands.class_figures import describe_answer, find_likeliest
from medpeft_core.commands.console import ProgressBar, print_json, print_table, tell
from medpeft_core.config import DataConfig
from medpeft_core.datasets.images import Reading, read_image, scale_short_side
from medpeft_core.datasets.views import read_how
from medpeft_core.errors import DataError, ExplainError
from medpeft_core.paths import write_atomically
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore

DISCLAIMER = "Research and teaching only, not for clinical use."
SYNTHETIC_WARNING = "This model has learned from synthetic images only; on real ones its answers mean nothing."


def view(image: Path, out: Path, *, size: int | None, window: str | None, frame: str | None, as_json: bool) -> None:
    """Write an image as the readers decode it, before any augmentation, as an 8-bit PNG.

    Raises:
        ConfigError: a window or frame that no file can have.
        DataError: the image cannot be read, or `out` cannot be written.
    """
    decoded = read_image(image, choose_reading(DataConfig(), window, frame))
    pixels = scale_short_side(decoded.pixels, size) if size else decoded.pixels
    save_png(pixels, out)
    for warning in decoded.warnings:
        tell(f"Note: {warning}")
    height, width = pixels.shape[:2]
    if as_json:
        facts = {
            "image": str(image),
            "out": str(out),
            "width": width,
            "height": height,
            "warnings": list(decoded.warnings),
        }
        choices = {} if decoded.choices is None else dataclasses.asdict(decoded.choices)
        print_json({**facts, "channels": 1 if pixels.ndim == 2 else 3, **choices})
        return
    if decoded.choices is not None and len(decoded.choices.windows) > 1:
        offers = "; ".join(f"{number}: {title}" for number, title in enumerate(decoded.choices.windows, 1))
        tell(f"Windows of the file: {offers}. Used: {decoded.choices.window}.")
    tell(f"Wrote {out}, {width} x {height} pixels.")


def choose_reading(data: DataConfig, window: str | None, frame: str | None) -> Reading:
    """How a data set reads DICOM files, or as these say instead.

    Raises:
        ConfigError: a window or frame that no file can have.
    """
    said: dict[str, Any] = {name: value for name, value in (("window", window), ("frame", frame)) if value is not None}
    return read_how(dataclasses.replace(data, **said))


def predict(run_id: str, images: list[Path], *, window: str | None, frame: str | None, as_json: bool) -> None:
    """Print the probabilities of a run for images; nothing is stored.

    Raises:
        MedPeftError: no such run, no weights yet, or an image that cannot be read.
    """
    run = load_trained(run_id)
    reading = choose_reading(run.config().data, window, frame)
    from medpeft_core.explain.load import load_image, load_run, predict_image  # heavy

    results: list[dict[str, Any]] = []
    with ProgressBar() as progress:
        for done, path in enumerate(images):
            progress("checking images", done, len(images))
            read_image(path, reading)  # a bad file should not cost the time of loading a model
        loaded = load_run(run)
        for done, path in enumerate(images):
            progress("predicting", done, len(images))
            image = load_image(loaded, path, reading)
            results.append(
                {"image": str(path), "probs": predict_image(loaded, image), "warnings": list(image.warnings)}
            )
    if loaded.task == "multiclass":
        results = [{**result, "likeliest": find_likeliest(result["probs"])} for result in results]
    if as_json:
        print_json(
            {
                "run_id": loaded.run_id,
                "task": loaded.task,
                "is_synthetic": loaded.is_synthetic,
                "thresholds": loaded.thresholds,
                "prevalence": loaded.prevalence,
                "images": results,
                "notice": DISCLAIMER,
            }
        )
        return
    for result in results:
        probs = result["probs"]
        assert isinstance(probs, dict)
        rows = [
            (
                label,
                value,
                loaded.thresholds.get(label),
                describe_answer(probs, label, loaded.thresholds.get(label), task=loaded.task),
                loaded.prevalence[label],
            )
            for label, value in probs.items()
        ]
        print_table(
            ("label", "probability", "threshold", "", "prevalence in training"), rows, title=str(result["image"])
        )
        for warning in result["warnings"]:
            tell(f"Note: {warning}")
    if loaded.is_synthetic:
        print(SYNTHETIC_WARNING)
    print(DISCLAIMER)


def explain(
    run_id: str, path: Path, out: Path, *, cam_out: Path | None, label: str | None, cam: str, window: str | None,
    frame: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Write the image with a class activation map over it, and on demand the map itself.

    Without a label the most probable one is explained.

    Raises:
        MedPeftError: no such run, label or map, an image that cannot be read, or a map that would show nothing.
    """
    run = load_trained(run_id)
    from medpeft_core.explain.cam import CAM_METHODS, compute_cam  # heavy
    from medpeft_core.explain.load import load_image, load_run, predict_image
    from medpeft_core.explain.overlay import build_overlay

    if cam not in CAM_METHODS:
        raise ExplainError(f"There is no map {cam!r}. Choose: {', '.join(CAM_METHODS)}.")
    reading = choose_reading(run.config().data, window, frame)
    decoded = read_image(path, reading)
    loaded = load_run(run)
    image = load_image(loaded, path, reading)
    probs = predict_image(loaded, image)
    chosen = label if label is not None else max(probs, key=lambda name: probs[name])
    heat = compute_cam(loaded, image, chosen, method=cam)
    save_png(build_overlay(decoded.pixels, heat), out)
    if cam_out is not None:
        write_atomically(_checked_parent(cam_out), lambda temporary: _save_array(temporary, heat))
    layer = loaded.built.backbone.cam_layer
    if as_json:
        facts = {
            "run_id": loaded.run_id,
            "image": str(path),
            "label": chosen,
            "prob": probs[chosen],
            "cam": cam,
            "layer": layer,
            "is_synthetic": loaded.is_synthetic,
            "notice": DISCLAIMER,
        }
        print_json(
            {**facts, "out": str(out), "cam_out": str(cam_out) if cam_out else None, "warnings": list(image.warnings)}
        )
    else:
        tell(f"Wrote {out}: {cam} of {chosen!r} (probability {probs[chosen]:.3f}) at layer {layer}. {DISCLAIMER}")
        if loaded.is_synthetic:
            tell(SYNTHETIC_WARNING)


def load_trained(run_id: str) -> Run:
    """A run that can predict, looked at before anything slow is done.

    Raises:
        RunError: no such run, a damaged config, or a pre-training.
    """
    run = RunStore.open_default().load(run_id)
    run.config()
    return run


def save_png(pixels: np.ndarray, out: Path) -> None:
    """Write an 8-bit image as PNG, whole or not at all.

    Raises:
        DataError: not a .png name, or the folder is missing.
    """
    if out.suffix.lower() != ".png":
        raise DataError(f"--out is {str(out)!r}, but it must end in .png.")
    write_atomically(_checked_parent(out), lambda temporary: Image.fromarray(pixels).save(temporary, format="PNG"))


def _checked_parent(path: Path) -> Path:
    if not path.parent.is_dir():
        raise DataError(f"The folder {str(path.parent)!r} of {path.name} does not exist. Make it first.")
    return path


def _save_array(path: Path, values: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, values, allow_pickle=False)
