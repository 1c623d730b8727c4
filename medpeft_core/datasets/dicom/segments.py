"""Palettes that a DICOM file stores in segments (PS3.3 C.7.9.2): entries, slopes, and copies of earlier segments."""

import numpy as np

_DISCRETE, _LINEAR, _COPY = 0, 1, 2


def unfold_segments(content: bytes, entries: int, *, bits: int, is_big_endian: bool) -> np.ndarray | None:
    """(entries,) uint16; None where the segments do not make exactly as many."""
    words = (
        np.frombuffer(content[: len(content) // 2 * 2], ">u2" if is_big_endian else "<u2")
        if bits == 16
        else (np.frombuffer(content, np.uint8))
    )
    numbers = [int(word) for word in words]
    unfolded: list[int] = []
    try:
        place = 0
        while len(unfolded) < entries:
            place = _unfold_one(numbers, place, unfolded, entries, bits)
    except (IndexError, ValueError):
        return None
    return np.array(unfolded, np.uint16) if len(unfolded) == entries else None


def _unfold_one(numbers: list[int], place: int, unfolded: list[int], entries: int, bits: int) -> int:
    """Append one segment; returns where the next one begins."""
    kind, length = numbers[place], numbers[place + 1]
    if kind == _DISCRETE:
        if place + 2 + length > len(numbers) or len(unfolded) + length > entries:
            raise ValueError("a segment is too long")
        unfolded += numbers[place + 2 : place + 2 + length]
        return place + 2 + length
    if kind == _LINEAR:
        if not 0 < length <= entries - len(unfolded) or not unfolded:
            raise ValueError("a slope is too long, or begins nowhere")
        start, end = unfolded[-1], numbers[place + 2]
        unfolded += [round(start + (end - start) * step / length) for step in range(1, length + 1)]
        return place + 3
    if kind == _COPY:
        size = 16 // bits  # of the offset in entries: 32 bits as two words or four bytes, the lowest first
        parts = numbers[place + 2 : place + 2 + 2 * size]
        offset = sum(part << (bits * step) for step, part in enumerate(parts)) // (bits // 8)
        for _ in range(length):
            if len(unfolded) >= entries or numbers[offset] == _COPY:
                raise ValueError("a copy of too much")
            offset = _unfold_one(numbers, offset, unfolded, entries, bits)
        return place + 2 + 2 * size
    raise ValueError(f"segment of unknown kind {kind}")
