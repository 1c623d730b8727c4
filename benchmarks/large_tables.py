"""Look-alikes of NIH ChestX-ray14 and CheXpert in full size: tables of made rows, and an empty file for each image."""

from pathlib import Path

import numpy as np
import pandas as pd

from medpeft_core.datasets.chexpert_tables import LABELS as CHEXPERT_LABELS
from medpeft_core.datasets.nih import LABELS as NIH_LABELS

NIH_IMAGES, NIH_PATIENTS = 112_120, 30_805
CHEXPERT_IMAGES, CHEXPERT_PATIENTS, CHEXPERT_VALID = 223_414, 64_540, 234
IMAGES_PER_ARCHIVE = 10_000  # of NIH's twelve


def make_nih(root: Path, *, num_images: int = NIH_IMAGES, num_patients: int = NIH_PATIENTS) -> None:
    """NIH's folder with Data_Entry_2017.csv and its images in images_001/images and so on."""
    rng = np.random.default_rng(0)
    patients = _draw_patients(rng, num_images, num_patients)
    follow_ups = pd.Series(patients).groupby(patients).cumcount().to_numpy()
    names = [f"{patient + 1:08d}_{number:03d}.png" for patient, number in zip(patients, follow_ups, strict=True)]
    findings = rng.random((num_images, len(NIH_LABELS))) < 0.06
    texts = ["|".join(np.array(NIH_LABELS)[row]) or "No Finding" for row in findings]
    table = pd.DataFrame(
        {
            "Image Index": names,
            "Finding Labels": texts,
            "Follow-up #": follow_ups,
            "Patient ID": patients + 1,
            "Patient Age": rng.integers(1, 95, num_images),
            "Patient Gender": rng.choice(["M", "F"], num_images),
            "View Position": rng.choice(["PA", "AP"], num_images),
            "OriginalImage[Width": 2500,
            "Height]": 2048,
            "OriginalImagePixelSpacing[x": 0.171,
            "y]": 0.171,
        }
    )
    root.mkdir(parents=True)
    table.to_csv(root / "Data_Entry_2017.csv", index=False)
    for start in range(0, num_images, IMAGES_PER_ARCHIVE):
        folder = root / f"images_{start // IMAGES_PER_ARCHIVE + 1:03d}" / "images"
        folder.mkdir(parents=True)
        for name in names[start : start + IMAGES_PER_ARCHIVE]:
            (folder / name).touch()


def make_chexpert(root: Path, *, num_images: int = CHEXPERT_IMAGES, num_patients: int = CHEXPERT_PATIENTS) -> None:
    """CheXpert-small's folder with train.csv, valid.csv and a folder for each patient and study."""
    rng = np.random.default_rng(0)
    root.mkdir(parents=True)
    _make_part(root, "train", rng, num_images, num_patients, first=1)
    _make_part(root, "valid", rng, CHEXPERT_VALID, CHEXPERT_VALID, first=num_patients + 1)


def _make_part(root: Path, part: str, rng: np.random.Generator, num_images: int, num_patients: int, first: int) -> None:
    patients = _draw_patients(rng, num_images, num_patients) + first
    numbers = pd.Series(patients).groupby(patients).cumcount().to_numpy()
    is_lateral = (numbers % 6) == 5  # about one film in seven; it shares a study with the frontal one before it
    studies = numbers - numbers // 6 + 1 - is_lateral
    paths = [
        f"{part}/patient{patient:05d}/study{study}/view{1 + lateral}_{'lateral' if lateral else 'frontal'}.jpg"
        for patient, study, lateral in zip(patients, studies, is_lateral, strict=True)
    ]
    marks = rng.choice(["", "0.0", "1.0", "-1.0"], (num_images, len(CHEXPERT_LABELS)), p=[0.6, 0.15, 0.2, 0.05])
    table = pd.DataFrame(
        {
            "Path": [f"CheXpert-v1.0-small/{path}" for path in paths],
            "Sex": rng.choice(["Male", "Female"], num_images),
            "Age": rng.integers(18, 91, num_images),
            "Frontal/Lateral": np.where(is_lateral, "Lateral", "Frontal"),
            "AP/PA": np.where(is_lateral, "", rng.choice(["AP", "PA"], num_images)),
            **dict(zip(CHEXPERT_LABELS, marks.T, strict=True)),
        }
    )
    table.to_csv(root / f"{part}.csv", index=False)
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def _draw_patients(rng: np.random.Generator, num_images: int, num_patients: int) -> np.ndarray:
    """(N,) sorted patient of each image from 0: everyone has one, and few have many."""
    weights = rng.gamma(0.5, 1.0, num_patients)
    more = rng.choice(num_patients, num_images - num_patients, p=weights / weights.sum())
    return np.sort(np.concatenate([np.arange(num_patients), more]))
