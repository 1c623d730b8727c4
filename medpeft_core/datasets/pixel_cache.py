"""A finished pixel cache: all images of a data set, decoded once into one memory-mapped file and read by row.

A cache is a folder with `pixels.u8` (the images one after the other, each as C, H, W), `images.parquet` (one row per
image) and `index.json`. Making one is the job of `pixels.py`.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from medpeft_core.datasets.images import AS_STORED, Reading, read_image, scale_short_side
from medpeft_core.errors import DataError
from medpeft_core.paths import read_json

FORMAT_VERSION = 1  # to be raised whenever the same files would give other pixels
PIXELS_FILE, TABLE_FILE, HEADER_FILE = "pixels.u8", "images.parquet", "index.json"

FileState = tuple[int, int]


def load_for_model(
    path: Path, cache_size: int, reading: Reading = AS_STORED
) -> tuple[np.ndarray, tuple[int, int], tuple[str, ...]]:
    """One image as the cache holds it, so that training and prediction see the same pixels.

    Returns:
        Pixels, uint8 (C, H, W) with C 1 or 3 and the short side at most `cache_size`; (height, width) of the source;
        warnings.

    Raises:
        UnreadableImageError: see `read_image`.
    """
    decoded = read_image(path, reading)
    height, width = decoded.pixels.shape[:2]
    scaled = scale_short_side(decoded.pixels, cache_size)
    pixels = scaled[None] if scaled.ndim == 2 else scaled.transpose(2, 0, 1)  # (C, H, W)
    return np.ascontiguousarray(pixels), (height, width), decoded.warnings


def find_state(path: Path) -> FileState:
    """Size in bytes and time of change in ns of a file; -1 and -1 where it is missing."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def pixel_cache_key(paths: list[Path], names: list[str], *, cache_size: int, reading: Reading = AS_STORED) -> str:
    """Name of the cache of these files: it changes when a file is changed, added, removed or moved to another row.

    Args:
        paths: the files; a missing one counts as such.
        names: what identifies them wherever the data set lies, usually their paths inside it.
        cache_size: short side in pixels.
        reading: of DICOM files; another one gives other pixels.
    """
    return key_of_states([find_state(path) for path in paths], names, cache_size=cache_size, reading=reading)


def key_of_states(states: list[FileState], names: list[str], *, cache_size: int, reading: Reading) -> str:
    """As `pixel_cache_key`, from what was found of the files before."""
    digest = hashlib.sha256(f"{FORMAT_VERSION}\n{cache_size}\n".encode())
    if reading != AS_STORED:
        digest.update(f"{reading.window}\0{reading.frame}\n".encode())
    for (size, changed_ns), name in zip(states, names, strict=True):
        digest.update(f"{name}\0{size}\0{changed_ns}\n".encode())
    return digest.hexdigest()[:32]


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelCache:
    """The decoded images of one data set, by row.

    Attributes:
        folder: where it lies.
        cache_size: short side in pixels.
        channels: 1 when every image is grey, else 3 for all.
        heights, widths: (N,) int64 as stored.
        source_sizes: (N, 2) int64, height and width of the source file.
        errors: row -> what is wrong with the file, as the end of a sentence that begins with its name.
        warnings: row -> what was changed while decoding.
        digests: (N,) text, SHA-256 over shape and pixels as the model gets them; "" for unreadable images.
    """

    folder: Path
    cache_size: int
    channels: int
    heights: np.ndarray
    widths: np.ndarray
    source_sizes: np.ndarray
    errors: dict[int, str]
    warnings: dict[int, str]
    digests: np.ndarray
    _bytes: np.ndarray = field(repr=False)
    _offsets: np.ndarray = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The finished cache in `folder`; its pixels stay on disk until they are read.

        Raises:
            DataError: there is no cache, it is damaged, or another version of the lab wrote it.
        """
        try:
            header = read_json(folder / HEADER_FILE)
            table = pd.read_parquet(folder / TABLE_FILE)
            num_bytes = (folder / PIXELS_FILE).stat().st_size
            is_whole = header["format_version"] == FORMAT_VERSION and header["num_bytes"] == num_bytes
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"There is no usable pixel cache in {folder}. Prepare the data set again.") from error
        if not is_whole or header["num_images"] != len(table):
            raise DataError(
                f"The pixel cache in {folder} is damaged or from another version. Prepare the data set again."
            )
        pixels = np.zeros(0, np.uint8)
        if num_bytes:  # an empty file cannot be mapped
            pixels = np.asarray(np.memmap(folder / PIXELS_FILE, dtype=np.uint8, mode="r"))
        return cls(
            folder=folder, cache_size=header["cache_size"], channels=header["channels"],
            heights=table["height"].to_numpy(np.int64), widths=table["width"].to_numpy(np.int64),
            source_sizes=table[["source_height", "source_width"]].to_numpy(np.int64),
            errors=_texts_by_row(table["error"]), warnings=_texts_by_row(table["warning"]),
            digests=table["digest"].to_numpy(dtype=str), _bytes=pixels, _offsets=table["offset"].to_numpy(np.int64),
        )  # fmt: skip

    @property
    def num_images(self) -> int:
        """Rows, unreadable images included."""
        return len(self.heights)

    @property
    def nbytes(self) -> int:
        """Size of all pixels."""
        return self._bytes.nbytes

    @property
    def is_uniform(self) -> bool:
        """Whether all images have one shape, so that `array` works; unreadable ones take the shape of the others."""
        return self.nbytes > 0 and bool(
            (self.heights == self.heights[0]).all() and (self.widths == self.widths[0]).all()
        )

    def array(self) -> np.ndarray:
        """(N, C, H, W) read-only view of all pixels without a copy; unreadable images are black.

        Raises:
            ValueError: the images have several shapes; ask `is_uniform` first.
        """
        if not self.is_uniform:
            raise ValueError("The images of this cache have several shapes, so they are no single array.")
        return self._bytes.reshape(self.num_images, self.channels, int(self.heights[0]), int(self.widths[0]))

    def get(self, row: int) -> np.ndarray:
        """(C, H, W) read-only view of one image.

        Raises:
            DataError: the image could not be decoded.
        """
        if row in self.errors:
            raise DataError(f"Image {row} of the pixel cache {self.errors[row]}.")
        shape = self.channels, int(self.heights[row]), int(self.widths[row])
        start = int(self._offsets[row])
        return self._bytes[start : start + shape[0] * shape[1] * shape[2]].reshape(shape)

    def gather(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Copies of some images as one batch.

        Args:
            indices: (B,) rows, repeats allowed.

        Returns:
            uint8 (B, C, Hmax, Wmax), zero to the right of and below smaller images, and int64 (B, 2) true heights and
            widths.

        Raises:
            DataError: one of the images could not be decoded.
        """
        sizes = np.stack([self.heights[indices], self.widths[indices]], axis=1)
        if self.errors:
            for row in indices.tolist():
                self.get(row)
        if self.is_uniform:
            return self.array()[indices], sizes
        height, width = sizes.max(axis=0, initial=0)
        batch = np.zeros((len(indices), self.channels, height, width), np.uint8)
        for place, row in enumerate(indices.tolist()):
            batch[place, :, : sizes[place, 0], : sizes[place, 1]] = self.get(row)
        return batch, sizes


def digest_pixels(pixels: np.ndarray) -> str:
    """SHA-256 over shape and bytes: equal for two images exactly when a model cannot tell them apart."""
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _texts_by_row(column: pd.Series) -> dict[int, str]:
    return {row: text for row, text in enumerate(column.tolist()) if text}
