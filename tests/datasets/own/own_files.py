"""Small folders of own data for the tests: images, tables, DICOM files, zips."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medpeft_core.datasets import DATASETS
from medpeft_core.datasets.manifest import Manifest
from medpeft_core.datasets.progress import ignore_progress
from medpeft_core.sections import build_part


def write_images(root: Path, *names: str) -> Path:
    """Images of 16 x 16 pixels, each with its own grey; gives the root."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = np.full((16, 16), 40 + number % 200, np.uint8)
        grey[number // 200 % 16] = 250
        Image.fromarray(grey).save(path)
    return root


def make_folders(root: Path, *, count: int = 6, classes: tuple[str, ...] = ("normal", "ill")) -> Path:
    """A folder per class with names such as p01_0.png: two images a patient."""
    return write_images(
        root, *(f"{name}/{name[0]}{number // 2:02d}_{number}.png" for name in classes for number in range(count))
    )


def make_table(root: Path, text: str, *, images: int = 12, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    """Images 00.png, 01.png and so on in `images/`, and a table."""
    write_images(root, *(f"images/{number:02d}.png" for number in range(images)))
    (root / name).write_bytes(text.encode(encoding))
    return root


def read_own(form: str, root: Path, **options: Any) -> Manifest:
    """What a reader makes of a folder."""
    spec = DATASETS[form]
    read_options = build_part(spec.options, options, section="data")
    return spec.read_manifest(root, read_options, split_seed=0, progress=ignore_progress)


def write_dicom(path: Path, **tags: Any) -> Path:
    """A DICOM file of 16 x 16 pixels; tags may add to it or replace what it has."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SOPInstanceUID = tags.pop("SOPInstanceUID", None) or generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    pixels = tags.pop("pixels", np.arange(256, dtype=np.uint16).reshape(16, 16))
    if pixels is not None:
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.PixelData = pixels.tobytes()
    for name, value in {"Modality": "DX", **tags}.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    """A zip with files of these names, which are written as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            archive.writestr(info, content)
    return path
