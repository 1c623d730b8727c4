"""Small data sets as people bring them, and visits to the part of the Data page that takes them."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 40
CLASSES = ("healthy", "sick")
ODD_COLUMNS = ("Bildname", "Wer", "Gerät", "Befund", "Alter")


def draw_image(path: Path, number: int, *, is_bright: bool) -> None:
    """A grey picture of its own whose class can be seen: a bright or a dark square on noise."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(60, 120, (SIDE, SIDE)).astype(np.uint8)
    pixels[12:28, 12:28] = 230 if is_bright else 10
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def make_class_folder(folder: Path, *, per_class: int = 20, classes: tuple[str, ...] = CLASSES) -> Path:
    """A folder per class."""
    for place, name in enumerate(classes):
        for number in range(per_class):
            draw_image(folder / name / f"{number:03d}.png", place * 1000 + number, is_bright=place % 2 == 1)
    return folder


def make_table_folder(folder: Path, *, num_images: int = 40) -> Path:
    """A table with odd names of columns and semicolons, and images in a folder beside it; two images a patient."""
    lines = [";".join(ODD_COLUMNS)]
    for number in range(num_images):
        is_sick = number // 2 % 2 == 1
        draw_image(folder / "bilder" / f"b{number:03d}.png", number, is_bright=is_sick)
        lines.append(
            f"b{number:03d};P{number // 2:03d};Gerät {number % 3};{'krank' if is_sick else 'gesund'};{30 + number}"
        )
    (folder / "tabelle.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
