"""The .npz files of MedMNIST, read image by image: one of them unpacks to 16 GB, and none is believed before that."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from medpeft_core.datasets.manifest import SPLITS
from medpeft_core.datasets.med_mnist_facts import MULTI_LABEL, MedMnistFacts
from medpeft_core.errors import DataError

MAX_MEMBERS = 64
MAX_HEADER_CHARACTERS = 10_000
MAX_LABEL_BYTES = 8
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # numpy writes no other
_DAMAGE = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class _Array:
    """An array in the archive, as its header describes it."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class MedMnistFile:
    """An opened .npz file whose arrays are the expected ones, as far as their headers tell.

    Args:
        path: the file.
        facts: what it should hold; it may have fewer images, never more.

    Raises:
        DataError: it is no such file, or holds other arrays.
    """

    def __init__(self, path: Path, facts: MedMnistFacts) -> None:
        self.path, self.facts = path, facts
        try:
            self._zip = zipfile.ZipFile(path)
        except (*_DAMAGE, zipfile.LargeZipFile) as error:
            raise self._refuse(f"it cannot be opened ({error})") from error
        try:
            names = [item.filename for item in self._zip.infolist()]
            if len(names) > MAX_MEMBERS or len(set(names)) < len(names):
                raise self._refuse(f"it holds {len(names)} arrays, or one twice")
            self._images = {split: self._look(f"{split}_images") for split in SPLITS}
            self._labels = {split: self._look(f"{split}_labels") for split in SPLITS}
            for split in SPLITS:
                self._check_images(split)
                self._check_labels(split)
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def count(self, split: str) -> int:
        """Images of a split."""
        return self._images[split].shape[0]

    def read_targets(self, split: str) -> np.ndarray:
        """(N, K) float64 with 0 or 1, in the order of the labels.

        Raises:
            DataError: a number stands for no label, or the file is damaged.
        """
        array, num_labels = self._labels[split], len(self.facts.labels)
        with self._open(array) as file:
            content = self._take(file, array.num_bytes, array)
        numbers = np.frombuffer(content, dtype=array.dtype).astype(np.int64).reshape(self.count(split), -1)
        highest = 1 if self.facts.task == MULTI_LABEL else num_labels - 1
        odd = numbers[(numbers < 0) | (numbers > highest)]
        if odd.size:
            raise self._refuse(f"{array.name} holds {odd[0]}, but labels go from 0 to {highest}")
        if self.facts.task == MULTI_LABEL:
            return numbers.astype(np.float64)
        return np.eye(num_labels)[numbers[:, 0]]

    def read_images(self, split: str) -> Iterator[np.ndarray]:
        """The images of a split one after the other: (H, W) or (H, W, 3) uint8.

        Raises:
            DataError: the file is damaged.
        """
        array = self._images[split]
        shape = array.shape[1:]
        with self._open(array) as file:
            for _ in range(array.shape[0]):
                yield np.frombuffer(self._take(file, math.prod(shape), array), dtype=np.uint8).reshape(shape)

    def _look(self, name: str) -> _Array:
        """Read the header of an array, and hold it against the size that the archive states."""
        try:
            info = self._zip.getinfo(f"{name}.npy")
        except KeyError as error:
            raise self._refuse(f"it holds no {name}") from error
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise self._refuse(f"{name} is encrypted, or packed in a way that numpy does not use")
        try:
            with self._zip.open(info) as file:
                shape, is_fortran, dtype = _read_header(file)
                header_bytes = file.tell()
        except _DAMAGE as error:
            raise self._refuse(f"{name} has no header that can be read ({error})") from error
        if dtype.hasobject:
            raise self._refuse(f"{name} holds Python objects, which are never loaded")
        array = _Array(name, shape, dtype)
        if is_fortran or min(shape, default=0) < 1 or info.file_size != header_bytes + array.num_bytes:
            raise self._refuse(f"{name} states the shape {shape}, which is not what it holds")
        return array

    def _check_images(self, split: str) -> None:
        array, facts = self._images[split], self.facts
        pixels = (facts.side, facts.side) if facts.channels == 1 else (facts.side, facts.side, 3)
        if array.dtype != np.uint8 or array.shape[1:] != pixels:
            raise self._refuse(
                f"{array.name} holds {array.dtype} of shape {array.shape[1:]} for an image instead of uint8 of shape "
                f"{pixels}"
            )
        if array.shape[0] > facts.num_images[split]:
            raise self._refuse(f"{array.name} holds {array.shape[0]:,} images, more than {facts.num_images[split]:,}")

    def _check_labels(self, split: str) -> None:
        array = self._labels[split]
        columns = len(self.facts.labels) if self.facts.task == MULTI_LABEL else 1
        is_number = array.dtype.kind in "iub" and array.dtype.itemsize <= MAX_LABEL_BYTES
        if not is_number or array.shape not in ((self.count(split), columns), (self.count(split),) * (columns == 1)):
            raise self._refuse(
                f"{array.name} holds {array.dtype} of shape {array.shape} instead of whole numbers of shape "
                f"{(self.count(split), columns)}"
            )

    def _open(self, array: _Array) -> IO[bytes]:
        """The archive's member, behind its header."""
        try:
            file = self._zip.open(f"{array.name}.npy")
            _read_header(file)
        except _DAMAGE as error:
            raise self._refuse(f"{array.name} is damaged ({error})") from error
        return file

    def _take(self, file: IO[bytes], num_bytes: int, array: _Array) -> bytes:
        try:
            content = file.read(num_bytes)
        except _DAMAGE as error:
            raise self._refuse(f"{array.name} is damaged ({error})") from error
        if len(content) < num_bytes:
            raise self._refuse(f"{array.name} ends too early")
        return content

    def _refuse(self, reason: str) -> DataError:
        return DataError(
            f"{self.path} is not {self.facts.title} at {self.facts.side} pixels: {reason}. Get {self.facts.file_name} "
            f"anew from {self.facts.url}"
        )


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and type. Reads nothing beyond the header and loads no pickle."""
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    return readers[version](file, max_header_size=MAX_HEADER_CHARACTERS)
