"""Believable answers of a run on images with a shortcut, without training one: for the lesson and its page."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from stored_runs import make_run

from medpeft_core.explain.masked_files import Masked, write_masked
from medpeft_core.lessons.shortcut import build_config
from medpeft_core.runs.run import Run

LABELS = ("Cardiomegaly", "Effusion", "Consolidation", "Nodule", "Pneumothorax")
FINDING = "Effusion"
SIDE = 24  # pixels of the pictures


def make_answers(*, lean: float = 4.0, skill: float = 1.0, num_images: int = 400, seed: int = 0) -> pd.DataFrame:
    """As `explain.masking.mask_answers` gives them.

    Args:
        lean: by how much the mark raises the logit of the finding.
        skill: by how much the finding itself does.
        num_images: of each split; two are of one patient.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for split in ("val", "test"):
        targets = (rng.random((num_images, len(LABELS))) < 0.3).astype(float)
        k = LABELS.index(FINDING)
        share = np.where(targets[:, k] == 1, 0.9, 0.05) if split == "val" else np.full(num_images, 0.5)
        has_mark = rng.random(num_images) < share
        logits = skill * targets + rng.normal(0, 1, targets.shape) - 1
        columns: dict[str, Any] = {
            "image": [f"{split}_{number:04d}.png" for number in range(num_images)],
            "split": split,
            "patient": [f"{split}_{number // 2 * 2:04d}.png" for number in range(num_images)],
            "shortcut": has_mark.astype(int),
        }
        for number, label in enumerate(LABELS):
            plain = logits[:, number]
            seen = plain + (lean * has_mark if label == FINDING else 0)
            columns |= {f"target_{label}": targets[:, number], f"logit_{label}": seen}
            columns |= {f"masked_{label}": plain, f"control_{label}": seen}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def make_about(answers: pd.DataFrame) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What goes beside the answers, and the pictures of two examples, the second without a map."""
    examples, pictures = [], {}
    marked = answers[(answers["split"] == "test") & (answers["shortcut"] == 1)]
    for number, target in enumerate((1, 0), start=1):
        row = marked[marked[f"target_{FINDING}"] == target].iloc[0]
        kinds = ["original.webp", "masked.webp", "control.webp", "mark.png", *(["cam.png"] if target else [])]
        pictures |= {f"example-{number}-{kind}": _draw(kind, number) for kind in kinds}
        probs = {
            name: float(1 / (1 + np.exp(-row[f"{kind}_{FINDING}"])))
            for name, kind in (("original", "logit"), ("masked", "masked"), ("control", "control"))
        }
        files = {kind.partition(".")[0]: f"example-{number}-{kind}" for kind in kinds}
        examples.append({"image": row["image"], "target": target, "probs": probs, "files": files})
    images = [
        {"image": name, "target": 0, "share": 0.01 * number, "area": 0.01, "is_hit": number > 2}
        for number, name in enumerate(marked["image"].iloc[:5], start=1)
    ]
    maps = {"num_asked": 6, "num_flat": 1, "layer": "blocks.5.norm1", "grid": [12, 12], "images": images}
    about = {
        "finding": FINDING,
        "labels": list(LABELS),
        "thresholds": dict.fromkeys(LABELS, 0.3),
        "maps": maps,
        "examples": examples,
    }
    return about, pictures


def make_masked(**options: Any) -> Masked:
    """In memory alone; options as for `make_answers`."""
    answers = make_answers(**options)
    return Masked(folder=Path("nowhere"), answers=answers, about=make_about(answers)[0])


def make_lesson_run(home: Path, *, status: str = "finished", epochs_done: int = 4, **options: Any) -> Run:
    """A run with the lesson's settings; options as for `stored_runs.make_run`."""
    config = build_config().to_dict()
    settings = {name: config[name] for name in ("data", "augment")} | {
        "backbone": {name: config["backbone"][name] for name in ("name", "weights")} | {"image_size": 96},
        "train": {name: config["train"][name] for name in ("epochs", "batch_size", "cpu_threads")},
    }
    return make_run(
        home,
        status=status,
        epochs_done=epochs_done,
        epochs=config["train"]["epochs"],
        method="full",
        backbone=config["backbone"]["name"],
        fraction=config["data"]["fraction"],
        settings=settings,
        **options,
    )


def keep_masked(run: Run, **options: Any) -> Path:
    """The files that the compute process would have left; options as for `make_answers`."""
    answers = make_answers(**options)
    return write_masked(run, answers, *make_about(answers))


def _draw(kind: str, number: int) -> bytes:
    pixels = np.full((SIDE, SIDE), 40 * number, np.uint8)
    if kind == "mark.png":
        pixels = np.zeros((SIDE, SIDE), np.uint8)
        pixels[2:6, 2:6] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG" if kind.endswith("png") else "WEBP")
    return stream.getvalue()
