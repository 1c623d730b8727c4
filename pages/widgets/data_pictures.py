"""Images of a data set as small and large pictures, with the places of findings drawn on them. No widgets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from medpeft_core.datasets.images import AS_STORED, Reading, UnreadableImageError, read_image
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.pixel_cache import PixelCache
from medpeft_core.explain.marks import Mark, find_marks
from pages.widgets.picture_blend import Outline, encode_png

THUMBNAIL_SIDE, MAX_SIDE = 200, 1024  # pixels, the long side of a tile and of the large picture
MARK_KINDS = {"mask": "Outlines", "box": "Boxes"}
MARK_COLUMNS = {"mask": "mask", "box": "boxes"}


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """One image, ready to be shown.

    Attributes:
        picture: scaled.
        size: height and width of the source.
        warnings: what was changed to read it.
    """

    picture: Image.Image
    size: tuple[int, int]
    warnings: tuple[str, ...] = ()


def read_small(manifest: Manifest, row: int, cache: PixelCache | None, reading: Reading = AS_STORED) -> Loaded:
    """One image at the size of a tile; from the decoded pixels where they are kept, else from its file.

    Args:
        manifest: of the data set.
        row: of the manifest.
        cache: the decoded pixels, where they are kept.
        reading: of its DICOM files.

    Raises:
        DataError: the image cannot be read; says its name and why.
    """
    if cache is None or row >= cache.num_images:
        return _read_file(manifest.paths()[row], THUMBNAIL_SIDE, reading)
    if row in cache.errors:
        image = Path(str(manifest.table["image"].iloc[row]))
        raise UnreadableImageError(image, cache.errors[row], "Get the file again, or leave it out.")
    pixels = cache.get(row)  # (C, H, W)
    shown = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    height, width = cache.source_sizes[row].tolist()
    return Loaded(picture=_shrink(Image.fromarray(shown), THUMBNAIL_SIDE), size=(height, width))


def read_large(path: Path, reading: Reading = AS_STORED) -> Loaded:
    """One image as its file holds it, or as `reading` says of a DICOM file.

    Raises:
        UnreadableImageError: see `read_image`.
    """
    return _read_file(path, MAX_SIDE, reading)


def list_mark_kinds(manifest: Manifest) -> list[str]:
    """Which of "mask" and "box" the data set has for any image; opens no file."""
    table = manifest.table
    return [kind for kind, name in MARK_COLUMNS.items() if name in table and table[name].notna().any()]


def read_outlines(manifest: Manifest, row: int, kind: str, *, size: tuple[int, int]) -> list[Outline]:
    """The places of the findings of one image.

    Args:
        manifest: of the data set.
        row: of the manifest.
        kind: "mask" or "box": which of the two to read where the image has both.
        size: height and width of the source.

    Raises:
        DataError: the mask or the boxes cannot be read.
    """
    others = [name for other, name in MARK_COLUMNS.items() if other != kind]
    one = manifest.select(np.array([row]))
    one = one.with_table(one.table.drop(columns=others, errors="ignore"))
    marks = find_marks(one, str(one.table["image"].iloc[0]), size)
    return [outline for mark in marks for outline in _convert(mark, size)]


def _read_file(path: Path, side: int, reading: Reading) -> Loaded:
    decoded = read_image(path, reading)
    height, width = decoded.pixels.shape[:2]
    picture = _shrink(Image.fromarray(decoded.pixels), side)
    return Loaded(picture=picture, size=(height, width), warnings=decoded.warnings)


def _shrink(picture: Image.Image, side: int) -> Image.Image:
    picture.thumbnail((side, side), Image.Resampling.BILINEAR)
    return picture


def _convert(mark: Mark, size: tuple[int, int]) -> list[Outline]:
    if mark.kind == "mask":
        picture = Image.fromarray(mark.inside.astype(np.uint8) * 255)
        return [Outline(name=mark.label, kind="mask", geometry=encode_png(picture))]
    height, width = size
    return [
        Outline(name=mark.label, kind="box", geometry=(left / width, top / height, wide / width, high / height))
        for left, top, wide, high in mark.boxes
    ]
