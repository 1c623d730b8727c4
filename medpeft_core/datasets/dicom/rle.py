"""The run-length coding of DICOM (PS3.5 Annex G), with an end to what a run may unfold to."""

import struct

import numpy as np

HEADER_BYTES = 64


def decode_rle(content: bytes, *, rows: int, columns: int, samples: int, num_bytes: int) -> np.ndarray:
    """One frame: (rows, columns) or (rows, columns, samples) unsigned, of 1, 2 or 4 bytes.

    Raises:
        ValueError: it does not hold what it should.
    """
    num_segments, *offsets = struct.unpack("<16L", content[:HEADER_BYTES])
    if num_segments != samples * num_bytes:
        raise ValueError(f"{num_segments} segments instead of {samples * num_bytes}")
    num_pixels = rows * columns
    planes = np.zeros((samples, num_pixels, num_bytes), np.uint8)  # most significant byte first
    for segment in range(num_segments):
        end = offsets[segment + 1] if segment + 1 < num_segments else len(content)
        plane = _unfold(content[offsets[segment] : end], num_pixels)
        planes[segment // num_bytes, :, segment % num_bytes] = np.frombuffer(plane, np.uint8)
    values = planes.view(f">u{num_bytes}")[..., 0].astype(f"=u{num_bytes}")  # (samples, pixels)
    shaped = values.reshape(samples, rows, columns)
    return shaped[0] if samples == 1 else np.ascontiguousarray(shaped.transpose(1, 2, 0))


def _unfold(segment: bytes, size: int) -> bytearray:
    unfolded = bytearray()
    place, end = 0, len(segment)
    while len(unfolded) < size:
        if place >= end:
            raise ValueError("a segment is too short")
        count = segment[place]
        if count < 128:
            unfolded += segment[place + 1 : place + 2 + count]
            place += 2 + count
        else:
            if count > 128:
                unfolded += segment[place + 1 : place + 2] * (257 - count)
                place += 1
            place += 1
    del unfolded[size:]
    return unfolded
