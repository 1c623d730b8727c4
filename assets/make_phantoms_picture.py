"""Draws assets/phantoms.png: a synthetic radiograph without a finding and one for each finding, plain and boxed.

python -m assets.make_phantoms_picture
"""

import json
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from medpeft_core.config import DataConfig
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.prepare import prepare_dataset

TILE, GAP, CAPTION = 224, 6, 26
BOX_COLOUR = (255, 196, 0)
MIN_SEVERITY = 0.55


def main() -> None:
    manifest = prepare_dataset(DataConfig()).manifest
    columns = [("No finding", None), *((label, label) for label in manifest.labels)]
    width = len(columns) * (TILE + GAP) - GAP
    picture = Image.new("RGB", (width, CAPTION + 2 * TILE + GAP), "white")
    draw = ImageDraw.Draw(picture)
    for index, (caption, label) in enumerate(columns):
        row = choose(manifest, label)
        left = index * (TILE + GAP)
        draw.text((left + 2, 5), f"{caption} (synthetic)", fill="black", font=ImageFont.load_default(15))
        film = Image.open(manifest.image_root / row["image"]).convert("RGB")
        picture.paste(film, (left, CAPTION))
        picture.paste(with_boxes(film, row, label), (left, CAPTION + TILE + GAP))
    picture.save(Path(__file__).with_name("phantoms.png"), optimize=True)


def choose(manifest: Manifest, label: str | None) -> pd.Series:
    """The first PA film with this finding alone, clearly; or with none."""
    table = manifest.table[manifest.table["view"] == "PA"]
    count = table[list(manifest.labels)].sum(axis=1)
    if label is None:
        return table[count == 0].iloc[0]
    return table[(count == 1) & (table[f"severity_{label}"] > MIN_SEVERITY)].iloc[0]


def with_boxes(film: Image.Image, row: pd.Series, label: str | None) -> Image.Image:
    marked = film.copy()
    boxes = json.loads(row["boxes"]) if label and isinstance(row["boxes"], str) else []
    for box in boxes:
        corners = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
        ImageDraw.Draw(marked).rectangle(corners, outline=BOX_COLOUR, width=2)
    return marked


if __name__ == "__main__":
    main()
