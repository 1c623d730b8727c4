"""DICOM files that tests write themselves, and the formulas of the standard in a second hand."""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)


def build_dicom(pixels: np.ndarray | None = None, *, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> FileDataset:
    """A data set of grey (H, W), of frames (F, H, W) with `NumberOfFrames`, or of colour (H, W, 3).

    Args:
        pixels: of any whole-number type; its bits are all taken as stored unless `BitsStored` says otherwise.
        syntax: transfer syntax that the file will name.
        tags: by keyword; they replace what would be written otherwise, and None leaves a tag out.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["test"])
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset(
        "", {}, file_meta=meta, preamble=bytes(128), is_implicit_VR=syntax == ImplicitVRLittleEndian,
        is_little_endian=syntax != ExplicitVRBigEndian,
    )  # fmt: skip
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.Modality = "OT"
    if pixels is not None:
        is_colour = pixels.ndim == 3 and "NumberOfFrames" not in tags
        bits = 8 * pixels.dtype.itemsize
        dataset.SamplesPerPixel = 3 if is_colour else 1
        dataset.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
        dataset.Rows, dataset.Columns = pixels.shape[:2] if is_colour else pixels.shape[-2:]
        dataset.BitsAllocated, dataset.BitsStored = bits, tags.get("BitsStored", bits)
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        if is_colour:
            dataset.PlanarConfiguration = 0
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    for name, value in tags.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def write_dicom(
    path: Path, pixels: np.ndarray | None = None, *, syntax: str = ExplicitVRLittleEndian, **tags: Any
) -> Path:
    """See `build_dicom`."""
    build_dicom(pixels, syntax=syntax, **tags).save_as(path, enforce_file_format=True)
    return path


def build_table(first: int, values: np.ndarray, bits: int, *, entries: int | None = None, name: str = "") -> Dataset:
    """An item of a modality or VOI LUT sequence; `entries` is what it claims to have."""
    item = Dataset()
    item.add_new(
        "LUTDescriptor", "SS" if first < 0 else "US", [len(values) if entries is None else entries, first, bits]
    )
    item.LUTExplanation = name
    item.ModalityLUTType = "US"
    item.add_new("LUTData", "OW", values.astype("<u2").tobytes())
    return item


def apply_linear(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, pixel by pixel as it is printed there, to 0 to 255."""
    out = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    out = np.where(values <= center - 0.5 - (width - 1) / 2, 0, out)
    return np.rint(np.where(values > center - 0.5 + (width - 1) / 2, 255, out)).astype(np.uint8)


def apply_percentiles(values: np.ndarray) -> np.ndarray:
    """From the percentile 1 to the percentile 99 of all values, to 0 to 255."""
    low, high = np.percentile(values, [1, 99])
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
