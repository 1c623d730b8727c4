"""What a run answers when the mark that betrays a finding is painted over, and whether its maps lie on it.

For data sets that draw such a mark (`phantom_shortcut`). As a control the same patch is painted over at the mirrored
place of the same images, where there is no mark: so people see that it is not the painting that changes the answer.
The results are files, told in `masked_files.py`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.prepare import PreparedData
from medpeft_core.datasets.progress import Progress
from medpeft_core.errors import ExplainError
from medpeft_core.explain.load import LoadedRun
from medpeft_core.explain.mark_maps import draw_examples, measure_maps
from medpeft_core.explain.masked_files import find_masked, write_masked
from medpeft_core.explain.patch import PAINTINGS, find_patch, paint
from medpeft_core.runs.run import Run
from medpeft_core.runs.store import RunStore
from medpeft_core.training.known_data import KnownData
from medpeft_core.training.results import load_predictions

BATCH = 64


def tell_nobody(what: str, done: int, total: int) -> None:
    """The progress of those whom nobody watches."""


class Masker:
    """Answers `mask_shortcut`. For one thread.

    Args:
        store: the home's runs.
        known: prepared data.
        load: a run's model, from memory where it can be.
    """

    def __init__(self, store: RunStore, known: KnownData, load: Callable[[Run], LoadedRun]) -> None:
        self._store = store
        self._known = known
        self._load = load

    def mask(self, run_id: str, finding: str, *, progress: Progress = tell_nobody) -> dict[str, Any]:
        """Ask a run about its val and test images with the mark painted over, and draw some maps; keep it all as files.

        Args:
            run_id: of an evaluated run.
            finding: the label that the mark goes with.
            progress: told of every batch and map.

        Returns:
            {"folder": where the files lie}; nothing is computed when they are there and still true.

        Raises:
            RunError: no such run, or it was not evaluated.
            DataError: the data are not prepared, or cannot be read.
            ExplainError: the data set marks no shortcut, or the run has no such label.
        """
        run = self._store.load(run_id)
        folder = find_masked(run)
        if folder is None:
            prepared, loaded = self._known.get(run.config().data), self._load(run)
            check_maskable(prepared.manifest, loaded, finding)
            answers = mask_answers(run, loaded, prepared, progress=progress)
            maps = measure_maps(loaded, prepared.manifest, finding, progress=progress)
            examples, pictures = draw_examples(loaded, prepared.manifest, answers, finding)
            about = {
                "finding": finding,
                "labels": list(loaded.labels),
                "thresholds": loaded.thresholds,
                "maps": maps,
                "examples": examples,
            }
            folder = write_masked(run, answers, about, pictures)
        return {"folder": str(folder)}


def check_maskable(manifest: Manifest, loaded: LoadedRun, finding: str) -> None:
    """Refuse a run whose images have no mark to paint over.

    Raises:
        ExplainError: the data set marks no shortcut, the labels exclude each other, or the run has no such label.
    """
    if finding not in loaded.labels:
        raise ExplainError(f"The run {loaded.run_id} has no label {finding!r}. Choose: {', '.join(loaded.labels)}.")
    if "shortcut" not in manifest.table.columns or loaded.task != "multilabel":
        raise ExplainError(
            f"The data set {manifest.dataset!r} marks no shortcut in its images, so there is nothing to paint over. "
            "Choose a run on phantom_shortcut."
        )


def mask_answers(run: Run, loaded: LoadedRun, prepared: PreparedData, *, progress: Progress) -> pd.DataFrame:
    """A row for each val and test image, in the order of the stored predictions.

    Columns: `image`, `split`, `patient` (the first image of the patient, which is the same in every home), `shortcut`
    (1: it has the mark), and for each label `target_<label>`, `logit_<label>` (as stored with the run),
    `masked_<label>` and `control_<label>` (logits of the painted image; an image without the mark is not painted).

    Raises:
        RunError: there are no stored predictions.
        DataError: the data set has changed since.
    """
    parts = []
    for split in ("val", "test"):
        stored, logits, targets = load_predictions(run.predictions_dir / f"{split}.parquet", loaded.labels)
        marks = prepared.manifest.table.set_index("image")["shortcut"].reindex(stored["image"]).to_numpy()
        if np.isnan(marks).any():
            raise ExplainError(f"The data set has changed since the run {run.run_id} was trained. Train it again.")
        has_mark = marks == 1
        asked = _ask_again(loaded, prepared, stored.loc[has_mark, "image"].tolist(), split, progress)
        columns: dict[str, Any] = {
            "image": stored["image"],
            "split": split,
            "patient": stored.groupby("patient_id")["image"].transform("min"),
            "shortcut": has_mark.astype(int),
        }
        for k, label in enumerate(loaded.labels):
            columns |= {f"target_{label}": targets[:, k], f"logit_{label}": logits[:, k]}
            for kind in PAINTINGS:
                columns[f"{kind}_{label}"] = logits[:, k].copy()
                columns[f"{kind}_{label}"][has_mark] = asked[kind][:, k]
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _ask_again(
    loaded: LoadedRun, prepared: PreparedData, names: list[str], split: str, progress: Progress
) -> dict[str, np.ndarray]:
    """Logits (M, K) of each painting of the named images."""
    cache_rows = pd.Series(prepared.cache_rows, index=prepared.manifest.table["image"])
    parts: dict[str, list[np.ndarray]] = {kind: [np.zeros((0, len(loaded.labels)))] for kind in PAINTINGS}
    for start in range(0, len(names), BATCH):
        progress(f"painting over the mark in {split} images", start, len(names))
        painted = []
        for name in names[start : start + BATCH]:
            pixels = np.array(prepared.cache.get(int(cache_rows[name])))  # (C, H, W), a copy
            painted.append(paint(pixels, find_patch(prepared.manifest, name, pixels.shape[1:]), name))
        for kind in PAINTINGS:
            parts[kind].append(_predict(loaded, [item[kind] for item in painted]))
    return {kind: np.concatenate(values) for kind, values in parts.items()}


def _predict(loaded: LoadedRun, images: list[np.ndarray]) -> np.ndarray:
    """(B, K) logits; images of several shapes are padded, as the cache's batches are."""
    sizes = torch.tensor([image.shape[1:] for image in images])  # (B, 2)
    height, width = (int(length) for length in sizes.amax(dim=0))
    batch = torch.zeros((len(images), images[0].shape[0], height, width), dtype=torch.uint8)
    for place, image in enumerate(images):
        batch[place, :, : image.shape[1], : image.shape[2]] = torch.from_numpy(image)
    with torch.inference_mode():
        logits: np.ndarray = loaded.built.adapted.network(loaded.transform.plain(batch, sizes)).float().numpy()
    return logits
