"""The result of the second lesson as one dict, computed from its files. Light.

Val and test hold different patients, so their AUROCs are resampled independently of each other. What is painted over is
compared on the same resampled patients, because it is about the same images.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medpeft_core.explain.masked_files import Masked
from medpeft_core.explain.patch import PAINTINGS
from medpeft_core.lessons.shortcut import COMMAND
from medpeft_core.lessons.shortcut_words import judge_answer, judge_shortcut, write_answer
from medpeft_core.metrics.auroc import compute_auroc
from medpeft_core.metrics.bootstrap import bootstrap_means, bootstrap_samples, percentile_interval
from medpeft_core.metrics.evaluate import probs_from_logits

RESULT_VERSION = 1
CONFIDENCE, NUM_SAMPLES = 0.95, 1000
SAMPLE_SEED = 20240121  # as in a run's own figures, so that the intervals of its AUROC are the same
INDEPENDENT_SEED = SAMPLE_SEED + 1  # of val, where val is set against test
VERSIONS = ("original", *PAINTINGS)


def build_result(masked: Masked) -> dict[str, Any]:
    """Everything that the lesson tells; about half a second.

    Args:
        masked: of the lesson's run.

    Returns:
        {"schema_version", "command", "finding", "labels", "confidence", "num_samples", "splits": by name {"num_images",
        "num_patients", "num_marked", "num_positive"}, "aurocs": a row for each label with "val", "test",
        "difference" (val minus test) and the ends "_low", "_high" of each, "mark_aurocs": by split the AUROC of "the
        image has the mark" for the finding with its ends, "cells": four rows "target", "shortcut", "num_images",
        "mean_prob", "low", "high", "called" (share at or above the threshold) of test, "masking": a row for each split
        and version ("original", "masked", "control") with "auroc", its ends, and "change" from the original with its
        ends, "prob_change": by painting the mean fall of the probability over the test images with the mark, with its
        ends, "maps": "num_images", "num_flat", "num_hits", "layer", "grid", and of "share", "area" and "ratio" the
        median, the least and the greatest, "answer" and "shortcut": as `shortcut_words` judges, "words"}. What has no
        meaning is None.
    """
    about, answers = masked.about, masked.answers
    finding, labels = about["finding"], tuple(about["labels"])
    parts = {split: answers[answers["split"] == split].reset_index(drop=True) for split in ("val", "test")}
    samples = {split: _sample(part, labels, finding, seed=SAMPLE_SEED) for split, part in parts.items()}
    apart = _sample(parts["val"], labels, finding, seed=INDEPENDENT_SEED)
    result: dict[str, Any] = {
        "schema_version": RESULT_VERSION,
        "command": COMMAND,
        "finding": finding,
        "labels": list(labels),
        "confidence": CONFIDENCE,
        "num_samples": NUM_SAMPLES,
        "splits": {split: _count(part, finding) for split, part in parts.items()},
        "aurocs": [_compare_splits(parts, samples, apart, label) for label in labels],
        "mark_aurocs": {
            split: _with_ends("auroc", _auroc(part["shortcut"], part[f"target_{finding}"]), samples[split]["shortcut"])
            for split, part in parts.items()
        },
        "cells": _describe_cells(parts["test"], finding, about["thresholds"].get(finding)),
        "masking": [
            _describe_version(part, samples[split], finding, split, version)
            for split, part in parts.items()
            for version in VERSIONS
        ],
        "prob_change": _describe_changes(parts["test"], finding),
        "maps": summarise_maps(about["maps"]),
    }
    result |= {"answer": judge_answer(result), "shortcut": judge_shortcut(result)}
    return {**result, "words": write_answer(result)}


def summarise_maps(maps: Mapping[str, Any]) -> dict[str, Any]:
    """Median, least and greatest share of the maps on the mark, of the area it covers, and of one over the other."""
    share = np.array([item["share"] for item in maps["images"]], dtype=float)
    area = np.array([item["area"] for item in maps["images"]], dtype=float)
    return {
        "num_images": len(share),
        "num_flat": maps["num_flat"],
        "num_hits": sum(bool(item["is_hit"]) for item in maps["images"]),
        "layer": maps["layer"],
        "grid": maps["grid"],
        **{
            name: {"median": float(np.median(values)), "low": float(values.min()), "high": float(values.max())}
            if len(values)
            else None
            for name, values in (("share", share), ("area", area), ("ratio", share / area if len(area) else area))
        },
    }


def _sample(part: pd.DataFrame, labels: tuple[str, ...], finding: str, *, seed: int) -> dict[str, np.ndarray]:
    """(S,) AUROC in each resampling of the patients: by label, by painting (of the finding), and of the mark."""
    scores = {label: (part[f"logit_{label}"], part[f"target_{label}"]) for label in labels}
    truth = part[f"target_{finding}"]
    scores |= {f"{kind}:": (part[f"{kind}_{finding}"], truth) for kind in PAINTINGS} | {
        "shortcut": (part["shortcut"], truth)
    }
    values = np.stack([np.asarray(score, dtype=float) for score, _ in scores.values()], axis=1)  # (N, K)
    targets = np.stack([np.asarray(target, dtype=float) for _, target in scores.values()], axis=1)
    drawn = bootstrap_samples(
        values, targets, part["patient"].to_numpy(), num_samples=NUM_SAMPLES, seed=seed, metrics=("auroc",)
    )["auroc"]  # (S, K)
    return dict(zip(scores, drawn.T, strict=True))


def _compare_splits(
    parts: Mapping[str, pd.DataFrame],
    samples: Mapping[str, dict[str, np.ndarray]],
    apart: dict[str, np.ndarray],
    label: str,
) -> dict[str, Any]:
    values = {split: _auroc(part[f"logit_{label}"], part[f"target_{label}"]) for split, part in parts.items()}
    val, test = values["val"], values["test"]
    difference = None if val is None or test is None else val - test
    return {
        "label": label,
        **_with_ends("val", values["val"], samples["val"][label]),
        **_with_ends("test", values["test"], samples["test"][label]),
        **_with_ends("difference", difference, apart[label] - samples["test"][label]),
    }


def _describe_version(
    part: pd.DataFrame, samples: dict[str, np.ndarray], finding: str, split: str, version: str
) -> dict[str, Any]:
    """AUROC of the finding with an image's version, and how far it lies from that of the originals."""
    truth, original = part[f"target_{finding}"], _auroc(part[f"logit_{finding}"], part[f"target_{finding}"])
    if version == "original":
        value, drawn = original, samples[finding]
    else:
        value, drawn = _auroc(part[f"{version}_{finding}"], truth), samples[f"{version}:"]
    change = None if value is None or original is None else value - original
    return {
        "split": split,
        "version": version,
        **_with_ends("auroc", value, drawn),
        **_with_ends("change", change, drawn - samples[finding]),
    }


def _describe_cells(test: pd.DataFrame, finding: str, threshold: float | None) -> list[dict[str, Any]]:
    probs = _probs(test, f"logit_{finding}")
    cells = []
    for target in (1, 0):
        for shortcut in (1, 0):
            is_here = ((test[f"target_{finding}"] == target) & (test["shortcut"] == shortcut)).to_numpy()
            here = probs[is_here]
            called = float(np.mean(here >= threshold)) if len(here) and threshold is not None else None
            cells.append(
                {
                    "target": target,
                    "shortcut": shortcut,
                    "num_images": len(here),
                    **_mean_with_ends("mean_prob", here, test.loc[is_here, "patient"]),
                    "called": called,
                }
            )
    return cells


def _describe_changes(test: pd.DataFrame, finding: str) -> dict[str, Any]:
    """How far the probability falls, on average, when the mark, or the control patch, is painted over."""
    marked = test[test["shortcut"] == 1]
    original = _probs(marked, f"logit_{finding}")
    falls = {kind: original - _probs(marked, f"{kind}_{finding}") for kind in PAINTINGS}
    falls["beyond_control"] = falls["masked"] - falls["control"]
    return {
        "num_images": len(marked),
        **{name: _mean_with_ends("mean", values, marked["patient"]) for name, values in falls.items()},
    }


def _count(part: pd.DataFrame, finding: str) -> dict[str, int]:
    return {
        "num_images": len(part),
        "num_patients": int(part["patient"].nunique()),
        "num_marked": int(part["shortcut"].sum()),
        "num_positive": int((part[f"target_{finding}"] == 1).sum()),
    }


def _auroc(scores: "pd.Series[Any]", targets: "pd.Series[Any]") -> float | None:
    value = compute_auroc(scores.to_numpy(dtype=float), targets.to_numpy(dtype=float))
    return None if np.isnan(value) else float(value)


def _probs(part: pd.DataFrame, column: str) -> np.ndarray:
    """(N,) probabilities."""
    return probs_from_logits(part[[column]].to_numpy(dtype=float), "multilabel")[:, 0]


def _with_ends(name: str, value: float | None, samples: np.ndarray) -> dict[str, float | None]:
    """The figure with the ends of its interval, as `name`, `name_low`, `name_high`, or as `low`, `high` for "auroc"."""
    interval = percentile_interval(samples, CONFIDENCE)
    prefix = "" if name == "auroc" else f"{name}_"
    ends = {f"{prefix}low": interval.low, f"{prefix}high": interval.high}
    usable = value is not None and interval.num_valid_samples > 0
    return {name: value, **{key: end if usable else None for key, end in ends.items()}}


def _mean_with_ends(name: str, values: np.ndarray, patients: "pd.Series[Any]") -> dict[str, float | None]:
    """The mean of the images with the interval of resampled patients."""
    if len(values) == 0:
        return {name: None, "low": None, "high": None}
    drawn = bootstrap_means(values, patients.to_numpy(), num_samples=NUM_SAMPLES, seed=SAMPLE_SEED)
    interval = percentile_interval(drawn, CONFIDENCE)
    return {name: float(values.mean()), "low": interval.low, "high": interval.high}
