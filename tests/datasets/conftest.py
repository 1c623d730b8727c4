"""Small made data sets, and the real sample where it is at hand."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medpeft_core.datasets.manifest import Manifest

SAMPLE_VARIABLE = "MEDPEFT_SAMPLE_DATA"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab home of this test alone."""
    folder = tmp_path / "home"
    monkeypatch.setenv("MEDPEFT_HOME", str(folder))
    return folder


@pytest.fixture
def nih_sample() -> Path:
    """781 real chest films with table and lists."""
    chosen = os.environ.get(SAMPLE_VARIABLE)
    if not chosen:
        pytest.skip(f"{SAMPLE_VARIABLE} is not set, so the sample films are not at hand")
    return Path(chosen) / "nih-cxr-sample"


@pytest.fixture
def save_image(tmp_path: Path) -> Callable[..., Path]:
    """`save_image(name, pixels)` writes an array as an image file and gives its path."""

    def save(name: str, pixels: np.ndarray, **options: object) -> Path:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **options)
        return path

    return save


@pytest.fixture
def make_manifest(tmp_path: Path) -> Callable[..., Manifest]:
    """`make_manifest(patients, splits, targets)` with one label for each column of `targets`."""

    def make(patients: list, splits: list[str] | str = "train", targets: np.ndarray | None = None) -> Manifest:
        if targets is None:
            targets = np.arange(len(patients))[:, None] % 2
        labels = tuple(f"label_{column}" for column in range(targets.shape[1]))
        table = pd.DataFrame({"image": [f"{row:05d}.png" for row in range(len(patients))]})
        table["patient_id"] = pd.Series(patients, dtype=object)
        table["split"] = splits
        table[list(labels)] = targets.astype(float)
        return Manifest(dataset="made", task="multilabel", labels=labels, image_root=tmp_path, table=table)

    return make


@pytest.fixture
def make_nih(tmp_path: Path) -> Callable[..., Path]:
    """`make_nih(num_patients)` writes an NIH folder: 3 films of 20 x 20 a patient, findings in turn, and no lists."""

    def make(
        num_patients: int = 20, images: str = "images", header: str = "Image Index,Finding Labels,Follow-up #"
    ) -> Path:
        root = tmp_path / "nih"
        (root / images).mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        lines = [f"{header},Patient ID,Patient Age,Patient Gender,View Position"]
        for number in range(3 * num_patients):
            patient, findings = number // 3 + 1, ("No Finding", "Mass|Hernia", "Pneumonia")[number % 3]
            name = f"{patient:08d}_{number % 3:03d}.png"
            Image.fromarray(rng.integers(0, 256, (20, 20), np.uint8)).save(root / images / name)
            lines.append(f"{name},{findings},{number % 3},{patient},{30 + patient % 50},{'MF'[patient % 2]},PA")
        (root / "Data_Entry_2017.csv").write_text("\n".join(lines) + "\n")
        return root

    return make
