"""Small sets of classes for tests of pages: grades of MedMNIST, and photographs of Fitzpatrick17k with skin types."""

from pathlib import Path

import numpy as np
from PIL import Image

from medpeft_core.datasets.med_mnist_facts import find_facts

COUNTS = {"train": 20, "val": 5, "test": 10}
GRADES = {"name": "retinamnist", "size": "28"}


def make_grades(home: Path) -> Path:
    """The .npz file of RetinaMNIST with a few images, where the lab downloads it to."""
    facts, rng = find_facts(**GRADES), np.random.default_rng(0)
    arrays = {}
    for split, count in COUNTS.items():
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, 28, 28, 3), np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 5)[:, None].astype(np.uint8)
    path = home / "datasets" / "medmnist" / facts.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def make_photographs(root: Path, *, num_images: int = 60, num_conditions: int = 30, missing: int = 0) -> Path:
    """A folder of Fitzpatrick17k with photographs of 20 x 16 pixels; the first ones may be missing."""
    (root / "images").mkdir(parents=True)
    lines = ["md5hash,fitzpatrick_scale,label,nine_partition_label,three_partition_label,qc,url"]
    for number in range(num_images):
        scale = ("-1", "1", "3", "6")[number % 4]
        condition, url = f"condition {number % num_conditions:02d}", f"https://www.dermaamin.com/{number}.jpg"
        lines.append(f"{number:032x},{scale},{condition},inflammatory,non-neoplastic,,{url}")
        if number < missing:
            continue
        Image.new("RGB", (20, 16), (number, 2 * number, 0)).save(root / "images" / f"{number:032x}.jpg")
    (root / "fitzpatrick17k.csv").write_text("\n".join(lines) + "\n")
    return root
