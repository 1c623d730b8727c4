"""The windows and tables that a DICOM file offers for looking at its grey values (PS3.3 C.11.2), by number."""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from medpeft_core.datasets.dicom.header import MAX_TABLE_BYTES, Header

MAX_WINDOWS = 99
MAX_EXPLANATION = 60  # characters
MAX_ENTRIES = 65536
LUT_BITS = (8, 16)


@dataclass(frozen=True, kw_only=True, eq=False)
class LookupTable:
    """A modality or VOI look-up table.

    Attributes:
        first: the input value of entry 0; smaller ones get entry 0 too, larger ones than the table has get the last.
        values: (E,) uint16.
        bits: of an output value.
    """

    first: int
    values: np.ndarray
    bits: int

    def starting_below(self, lowest: float) -> Self:
        """The same table for inputs from `lowest` on: where these are negative, 65,000 is meant as -536."""
        is_wrapped = lowest < 0 and self.first >= MAX_ENTRIES // 2
        return replace(self, first=self.first - MAX_ENTRIES) if is_wrapped else self

    def apply(self, inputs: np.ndarray) -> np.ndarray:
        """(…) float32 out of whole numbers (…)."""
        places = np.clip(np.rint(inputs).astype(np.int64) - self.first, 0, len(self.values) - 1)
        return self.values[places].astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """One offer: a look-up table, or centre, width and function.

    Attributes:
        title: for people.
        table: None for a window, and for a table that contradicts itself.
        is_table: whether the offer is a table.
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID".
    """

    title: str
    is_table: bool = False
    table: LookupTable | None = None
    center: float = math.nan
    width: float = math.nan
    function: str = "LINEAR"


def list_windows(header: Header, frame: int = 0) -> tuple[Window, ...]:
    """What a file offers for one frame, counted from 0: its tables first, then its windows, in the file's order."""
    place = header.of_frame("FrameVOILUTSequence", frame)
    found = []
    for number, item in enumerate(place.items("VOILUTSequence")[:MAX_WINDOWS], 1):
        name = _shorten(item.text("LUTExplanation")) or f"table {number}"
        table = read_table(item)
        if table is not None and int(table.values.max()) * 4 < 2**table.bits:
            table = None  # it states more bits than it uses: taken at its word, the picture would be nearly black
        found.append(Window(title=name, is_table=True, table=table))
    centers, widths = place.numbers("WindowCenter"), place.numbers("WindowWidth")
    names = place.texts("WindowCenterWidthExplanation")
    function = place.text("VOILUTFunction").upper() or "LINEAR"
    for number, (center, width) in enumerate(zip(centers, widths, strict=False)):
        numbers = f"centre {center:g}, width {width:g}"
        name = _shorten(names[number]) if number < len(names) else ""
        title = f"{name} ({numbers})" if name else numbers
        found.append(Window(title=title, center=center, width=width, function=function))
    return tuple(found[:MAX_WINDOWS])


def read_table(item: Header) -> LookupTable | None:
    """A look-up table from its item; None where its descriptor and its data contradict each other."""
    descriptor = item.numbers("LUTDescriptor")
    if len(descriptor) != 3 or not all(math.isfinite(value) for value in descriptor):
        return None
    entries, first, bits = (int(value) for value in descriptor)
    entries %= MAX_ENTRIES  # a signed reading of 40,000 is negative
    entries = entries or MAX_ENTRIES
    values = read_entries(item, "LUTData", entries)
    if values is None or not LUT_BITS[0] <= bits <= LUT_BITS[1] or int(values.max()) >= 2**bits:
        return None
    return LookupTable(first=first, values=values, bits=bits)


def read_entries(item: Header, name: str, entries: int) -> np.ndarray | None:
    """(entries,) uint16 from words, or from bytes where there are just as many; None where neither fits."""
    content = item.content(name, MAX_TABLE_BYTES)
    if len(content) == 2 * entries:
        return np.frombuffer(content, ">u2" if item.is_big_endian else "<u2").astype(np.uint16)
    if len(content) - entries in (0, 1):
        return np.frombuffer(content, np.uint8)[:entries].astype(np.uint16)
    return None


def _shorten(text: str) -> str:
    printable = "".join(character for character in text if character.isprintable()).strip()
    return printable if len(printable) <= MAX_EXPLANATION else f"{printable[: MAX_EXPLANATION - 1]}…"
