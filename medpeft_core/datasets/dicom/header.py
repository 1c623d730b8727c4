"""The tags of a DICOM file up to its pixels, read with care: what is malformed or absurdly long counts as missing."""

import functools
import io
import struct
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from medpeft_core.datasets.decoded import UnreadableImageError
from medpeft_core.datasets.dicom.guarded import AGAIN, CUT_OFF, START_BYTES, GuardedFile, has_prefix

NO_HEADER = "is not a DICOM file, or its header is damaged"
MAX_VALUE_BYTES = 64 * 1024  # of a number or a text; 99 windows fit
MAX_TABLE_BYTES = 4 * 1024**2  # of a look-up table
MAX_SEQUENCE_READS = 100_000  # a frame of an enhanced file takes about 20

_PIXEL_TAGS = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns",
    "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "WindowCenter", "WindowWidth",
    "WindowCenterWidthExplanation", "VOILUTFunction", "RescaleIntercept", "RescaleSlope", "ModalityLUTSequence",
    "VOILUTSequence", "PresentationLUTShape", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    "BurnedInAnnotation", "SOPClassUID", "Modality",
)  # fmt: skip
_OVERLAY_TAGS = tuple(0x60000010 + (group << 16) for group in range(0, 32, 2))  # their rows, groups 6000 to 601E
_PEOPLE_TAGS = (
    "PatientID", "PatientAge", "PatientBirthDate", "PatientSex", "ViewPosition", "ViewCodeSequence", "ImageLaterality",
    "Laterality", "StudyDate", "InstitutionName", "Manufacturer", "ManufacturerModelName", "SOPInstanceUID",
    "SeriesInstanceUID", "StudyInstanceUID", "AccessionNumber",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Header:
    """Tags of one file, or of one item of a sequence in it.

    Attributes:
        syntax: UID of the transfer syntax; empty where the file does not name it.
        pixels_at: where in the file the element with the pixels begins; the end of the file where there is none.
        was_cut: whether the file ends within its tags.
        is_big_endian: byte order of its numbers.
    """

    dataset: Any
    syntax: str = ""
    pixels_at: int = 0
    was_cut: bool = False
    is_big_endian: bool = False
    _parsed: dict[str, tuple[Self, ...]] = field(default_factory=dict, repr=False)

    def text(self, name: str) -> str:
        """The first value as text, without spaces around it; empty where there is none."""
        return next(iter(self.texts(name)), "")

    def texts(self, name: str) -> tuple[str, ...]:
        """All values as text."""
        return tuple(str(value).strip(" \0") for value in self._values(name, MAX_VALUE_BYTES) if value is not None)

    def numbers(self, name: str, *, max_bytes: int = MAX_VALUE_BYTES) -> tuple[float, ...]:
        """All values as numbers; empty where one of them is none."""
        try:
            return tuple(float(value) for value in self._values(name, max_bytes) if value not in (None, ""))
        except list_errors():
            return ()

    def number(self, name: str) -> float | None:
        """The first value as a number; None where there is none."""
        return next(iter(self.numbers(name)), None)

    def count(self, name: str) -> int:
        """A whole number; 0 where there is none."""
        value = self.number(name)
        return int(value) if value is not None and abs(value) < 2**63 else 0

    def content(self, name: str, max_bytes: int = MAX_TABLE_BYTES) -> bytes:
        """The value as it lies in the file; empty where it is missing, too long, or no longer bytes."""
        value = self._raw_value(name)
        return value if isinstance(value, bytes) and len(value) <= max_bytes else b""

    def items(self, name: str) -> tuple[Self, ...]:
        """The items of a sequence; none where it would take long to walk through them."""
        if name not in self._parsed:
            try:
                found = self._parse_items(self.dataset.get_item(name))
                items = tuple(type(self)(dataset=item, is_big_endian=self.is_big_endian) for item in found)
            except list_errors():  # also where it is missing
                items = ()
            self._parsed[name] = items
        return self._parsed[name]

    def _parse_items(self, element: Any) -> Iterable[Any]:
        if not isinstance(element.value, bytes):
            return element.value if element.VR == "SQ" else ()
        from pydicom.charset import convert_encodings
        from pydicom.filereader import read_sequence

        encodings = convert_encodings(list(self.texts("SpecificCharacterSet")) or None)
        guarded = cast(BinaryIO, GuardedFile(io.BytesIO(element.value), MAX_SEQUENCE_READS))
        size = len(element.value)
        return read_sequence(guarded, element.is_implicit_VR, element.is_little_endian, size, encodings)

    @property
    def has_overlay(self) -> bool:
        """Whether drawings lie beside the pixels."""
        return any(tag in self.dataset for tag in _OVERLAY_TAGS)

    def of_frame(self, macro: str, frame: int) -> Self:
        """Where the tags of a functional group stand for a frame, counted from 0: this header itself in plain files."""
        groups = self.items("PerFrameFunctionalGroupsSequence")[frame : frame + 1]
        for group in (*groups, *self.items("SharedFunctionalGroupsSequence")[:1]):
            for item in group.items(macro)[:1]:
                return item
        return self

    def _values(self, name: str, max_bytes: int) -> tuple[Any, ...]:
        raw = self._raw_value(name)
        if isinstance(raw, bytes) and len(raw) > max_bytes:
            return ()
        try:
            value = self.dataset.get(name)
            if value is None or isinstance(value, bytes):
                return ()
            return (value,) if isinstance(value, str) or not hasattr(value, "__iter__") else tuple(value)
        except list_errors():
            return ()

    def _raw_value(self, name: str) -> Any:
        try:
            return self.dataset.get_item(name).value
        except list_errors():  # also where it is missing
            return None


def read_header(path: Path, file: BinaryIO, *, with_people: bool = False) -> Header:
    """The tags before the pixels; the pixels are not touched.

    Args:
        path: for messages.
        file: that does not lie deflated, see `guarded.inflate_if_deflated`.
        with_people: also the tags about the patient, the study and the place.

    Raises:
        UnreadableImageError: no DICOM file at all, or one that nobody can walk through.
    """
    import pydicom

    silence_pydicom()
    guarded = GuardedFile(file)
    is_marked = has_prefix(guarded.read(START_BYTES))
    guarded.seek(0)
    tags = [*_PIXEL_TAGS, *_OVERLAY_TAGS, *(_PEOPLE_TAGS if with_people else ())]
    try:
        dataset = pydicom.dcmread(guarded, stop_before_pixels=True, force=True, specific_tags=tags)
    except list_errors() as error:
        if isinstance(error, RecursionError) or guarded.has_many_parts:
            reason = "is a DICOM file whose header is nested too deep or has too many parts"
            raise UnreadableImageError(path, reason, "Leave it out.") from error
        reason = CUT_OFF if is_marked and guarded.was_cut else NO_HEADER
        raise UnreadableImageError(path, reason, AGAIN) from error
    syntax = Header(dataset=dataset.file_meta).text("TransferSyntaxUID")
    header = Header(
        dataset=dataset, syntax=syntax, pixels_at=guarded.tell(), was_cut=guarded.was_cut,
        is_big_endian=dataset.original_encoding[1] is False,
    )  # fmt: skip
    if not syntax and not any(header.text(name) for name in ("SOPClassUID", "Modality", "Rows")):
        raise UnreadableImageError(path, CUT_OFF if is_marked else NO_HEADER, AGAIN)
    return header


@functools.cache
def list_errors() -> tuple[type[Exception], ...]:
    """What pydicom and the decoders behind it raise on damaged files."""
    from pydicom.errors import BytesLengthException, InvalidDicomError

    return (
        BytesLengthException, InvalidDicomError, OSError, EOFError, ValueError, TypeError, LookupError, AttributeError,
        ArithmeticError, RuntimeError, AssertionError, ImportError, MemoryError, struct.error, zlib.error,
    )  # fmt: skip


def silence_pydicom() -> None:
    """Keep pydicom's warnings off the console.

    A filter that stays: `warnings.catch_warnings` would swap the filters of all threads, and images are decoded in
    several at once.
    """
    warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
