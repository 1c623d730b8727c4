"""A finished run's model, ready for single images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from medpeft_core.config import RunConfig
from medpeft_core.datasets.images import Reading
from medpeft_core.datasets.pixel_cache import load_for_model
from medpeft_core.datasets.views import read_how
from medpeft_core.errors import RunError
from medpeft_core.metrics.evaluate import probs_from_logits
from medpeft_core.reports.predictions import find_thresholds
from medpeft_core.runs.run import Run
from medpeft_core.training.augment import BatchTransform
from medpeft_core.training.best import load_best
from medpeft_core.training.build import BuiltModel, build_model, build_transform


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A run's best model in eval mode on the CPU.

    Attributes:
        thresholds: by label, the probability chosen on val; None where val had one class, and where the labels are
            classes that exclude each other, of which the likeliest is the answer.
        prevalence: by label, the share of positives in the training set.
    """

    run_id: str
    config: RunConfig
    built: BuiltModel
    transform: BatchTransform
    labels: tuple[str, ...]
    task: str
    is_synthetic: bool
    thresholds: dict[str, float | None]
    prevalence: dict[str, float | None]


@dataclass(frozen=True, kw_only=True)
class LoadedImage:
    """One image as a model sees it.

    Attributes:
        images: (1, 3, S, S) normalised.
        source_size: height and width of the file in pixels.
        cached_size: height and width after scaling, before the centre square was taken.
        warnings: what was odd about the file.
    """

    path: Path
    images: torch.Tensor
    source_size: tuple[int, int]
    cached_size: tuple[int, int]
    warnings: tuple[str, ...]


def load_run(run: Run) -> LoadedRun:
    """Build the run's model and load its best weights.

    Raises:
        RunError: the run has no weights yet, or does not say what its labels are.
        BackboneError: its base weights are gone or have changed.
    """
    config, provenance, metrics = run.config(), run.provenance(), run.metrics() or {}
    labels = tuple(provenance.get("labels", ()))
    if not labels:
        raise RunError(
            f"The run {run.run_id} does not say which labels it has: its provenance.json is incomplete. Train it again."
        )
    built = build_model(config, num_classes=len(labels))
    load_best(built.adapted, run.adapter_dir)
    built.adapted.network.eval()
    return LoadedRun(
        run_id=run.run_id,
        config=config,
        built=built,
        transform=build_transform(config, built.backbone, device="cpu"),
        labels=labels,
        task=provenance["task"],
        is_synthetic=bool(provenance.get("is_synthetic")),
        thresholds=find_thresholds(metrics) if metrics else dict.fromkeys(labels),
        prevalence={label: _share(provenance.get("positives", {}).get(label)) for label in labels},
    )


def load_image(loaded: LoadedRun, path: Path, reading: Reading | None = None) -> LoadedImage:
    """Decode an image exactly as the run's data set was decoded, or as `reading` says.

    Raises:
        DataError: the file is missing, damaged, or no image that the lab reads.
    """
    how = reading or read_how(loaded.config.data)
    pixels, source_size, warnings = load_for_model(path, loaded.config.data.cache_size, how)
    height, width = pixels.shape[-2:]
    images = loaded.transform.plain(torch.tensor(pixels)[None], torch.tensor([[height, width]]))
    return LoadedImage(
        path=path, images=images, source_size=source_size, cached_size=(height, width), warnings=warnings
    )


def predict_image(loaded: LoadedRun, image: LoadedImage) -> dict[str, float]:
    """Probability of each label."""
    with torch.inference_mode():
        logits = loaded.built.adapted.network(image.images).float().numpy()
    probs = probs_from_logits(logits.astype(np.float64), loaded.task)[0]
    return {label: float(value) for label, value in zip(loaded.labels, probs, strict=True)}


def _share(counts: dict[str, int] | None) -> float | None:
    known = counts["num_positive"] + counts["num_negative"] if counts else 0
    return counts["num_positive"] / known if counts and known else None
