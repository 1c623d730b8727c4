"""Results of the first lesson for tests of its figures and its page; the numbers are made up."""

from typing import Any

FINDINGS = ("Cardiomegaly", "Effusion", "Consolidation", "Nodule", "Pneumothorax")
COUNTS = {0.01: 28, 0.1: 280, 1.0: 2800}
SIZES = {
    "linear": ("Linear probe", 965, 5_000),
    "lora": ("LoRA, rank 8", 74_501, 310_000),
    "full": ("Full fine-tuning", 2_800_000, 11_200_000),
    "full_random": ("Full, from random weights", 2_800_000, 11_200_000),
}
LEVELS = {"linear": 0.58, "lora": 0.62, "full": 0.61, "full_random": 0.53}
GAINS = {0.01: 0.0, 0.1: 0.11, 1.0: 0.22}
LOSES, UNCLEAR, WINS = -0.04, 0.0, 0.04  # LoRA minus full


def make_finding(
    *,
    deltas: dict[float, float] | None = None,
    methods: tuple[str, ...] = ("linear", "lora", "full", "full_random"),
    fractions: tuple[float, ...] = (0.01, 0.1, 1.0),
    cells_done: int = 52,
    cells_all: int = 52,
    num_seeds: int = 5,
    words: str = "LoRA and full fine-tuning cannot be told apart at 28 images.",
    is_short: bool = False,
) -> dict[str, Any]:
    """A result whose mean difference LoRA minus full at each fraction is that of `deltas`, its interval around it."""
    deltas = deltas if deltas is not None else dict.fromkeys(fractions, UNCLEAR)
    return {
        "schema_version": 1,
        "protocol": "0123456789ab",
        "is_short": is_short,
        "is_synthetic": True,
        "command": f"python -m medpeft_core finding{' --short' if is_short else ''}",
        "labels": list(FINDINGS),
        "confidence": 0.95,
        "num_test_images": 800,
        "num_test_patients": 430,
        "cells_done": cells_done,
        "cells_all": cells_all,
        "fractions": [
            {
                "fraction": fraction,
                "num_images": COUNTS[fraction] + 0.2,  # a mean over seeds, which draw patients
                "num_steps": 240.0,
                "num_patients": COUNTS[fraction] // 2,
                "positives": {label: COUNTS[fraction] / (5 + k) for k, label in enumerate(FINDINGS)},
            }
            for fraction in fractions
        ],
        "methods": [
            {
                "method": method,
                "title": SIZES[method][0],
                "num_trainable_params": SIZES[method][1],
                "num_params": 2_800_000,
                "adapter_bytes": SIZES[method][2],
            }
            for method in methods
        ],
        "points": [
            _make_point(method, fraction, label, k, num_seeds)
            for method in methods
            for fraction in fractions
            for k, label in enumerate(("macro", *FINDINGS))
        ],
        "differences": [
            _make_difference(fraction, label, delta + 0.004 * k, num_seeds)
            for fraction, delta in deltas.items()
            for k, label in enumerate(("macro", *FINDINGS))
        ],
        "words": words,
    }


def _make_point(method: str, fraction: float, label: str, number: int, num_seeds: int) -> dict[str, Any]:
    mean = LEVELS[method] + GAINS[fraction] + 0.02 * number
    has_interval = num_seeds > 1
    return {
        "method": method,
        "fraction": fraction,
        "label": label,
        "mean": mean,
        "low": mean - 0.03 if has_interval else None,
        "high": mean + 0.03 if has_interval else None,
        "num_seeds": num_seeds,
        "seeds": [mean + 0.008 * (seed - (num_seeds - 1) / 2) for seed in range(num_seeds)],
    }


def _make_difference(fraction: float, label: str, mean: float, num_seeds: int) -> dict[str, Any]:
    has_interval = num_seeds > 1
    return {
        "first": "full",
        "second": "lora",
        "fraction": fraction,
        "label": label,
        "mean": mean,
        "low": mean - 0.025 if has_interval else None,
        "high": mean + 0.025 if has_interval else None,
        "num_seeds": num_seeds,
        "num_seeds_better": num_seeds if mean > 0.02 else num_seeds // 2 if mean > -0.02 else 0,
        "seed_sd": 0.01 if has_interval else None,
        "patient_sd": 0.008,
    }
