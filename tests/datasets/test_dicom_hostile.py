"""DICOM files that are cut, lie, or were built to fill the memory or take forever; and those that are merely old."""

import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from dicom_files import build_dicom, write_dicom
from pydicom import uid
from pydicom.encaps import encapsulate

import medpeft_core
from medpeft_core.datasets.dicom.guarded import MAX_INFLATED_BYTES
from medpeft_core.datasets.images import UnreadableImageError, read_image, read_image_bytes

SHAPE = (24, 32)
ITEM, UNDEFINED = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xff\xff\xff\xff"
# (0008,1140) Referenced Image Sequence, Explicit VR, undefined length
SEQUENCE = b"\x08\x00\x40\x11SQ\x00\x00" + UNDEFINED


def draw() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, SHAPE).astype("u1")


def read_bytes_of(path: Path) -> tuple[bytes, int]:
    """A whole file, and where its data set begins."""
    content = path.read_bytes()
    (length,) = struct.unpack("<L", content[140:144])  # (0002,0000) comes first
    return content, 144 + length


def deflate(content: bytes, start: int) -> bytes:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return content[:start] + squeezer.compress(content[start:]) + squeezer.flush()


def refuse(content: bytes, reason: str, name: str = "a.dcm") -> None:
    with pytest.raises(UnreadableImageError) as caught:
        read_image_bytes(content, name)
    assert reason in str(caught.value)


def test_deflated_files_are_read_and_bombs_are_not(tmp_path: Path) -> None:
    """A megabyte of them unfolds to a gigabyte; pydicom would unfold it all at once."""
    pixels = draw()
    path = write_dicom(tmp_path / "a.dcm", pixels, syntax=uid.DeflatedExplicitVRLittleEndian)
    np.testing.assert_array_equal(read_image(path).pixels, pixels)
    content, start = read_bytes_of(path)
    refuse(content[:-20], "is cut off")
    refuse(content[:start] + b"\xff" * 50, "is a deflated DICOM file that is damaged")
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = squeezer.compress(bytes(MAX_INFLATED_BYTES // 2)) + squeezer.compress(bytes(MAX_INFLATED_BYTES // 2 + 1))
    bomb = content[:start] + block + squeezer.flush()
    assert len(bomb) < 1_000_000
    refuse(bomb, "unpacks to more than 256 MB")


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": 60_000, "Columns": 60_000}, "is 60000 x 60000 pixels, but at most 100 megapixels"),
        ({"Rows": 8}, "needs at least 16 on each side"),
        ({"Rows": 2000}, "is cut off: its pixels should fill 64000 bytes, but 768 are there"),
        ({"NumberOfFrames": 2_000_000_000}, "states 2000000000 frames, which cannot be"),
        ({"BitsAllocated": 12}, "states 8 bits in 12"),
        ({"BitsStored": 30}, "states 30 bits in 8"),
        ({"SamplesPerPixel": 3}, "does not fit its colour model MONOCHROME2"),
        ({"PhotometricInterpretation": "HSV"}, "has the colour model 'HSV'"),
        ({"PhotometricInterpretation": None}, "has the colour model 'unknown'"),
        ({"Rows": None}, "without an image: it holds no pixels"),
        ({"PixelData": None}, "holds no pixels"),
    ],
)
def test_claims_are_checked_before_anything_is_decoded(tmp_path: Path, tags: dict, reason: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", draw(), **tags)
    tracemalloc.start()
    refuse(path.read_bytes(), reason)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "syntax", [uid.JPEG2000Lossless, uid.JPEGLosslessSV1, uid.JPEGBaseline8Bit, uid.JPEGLSLossless]
)
def test_compressed_pixels_that_contradict_the_tags_are_refused(tmp_path: Path, syntax: str) -> None:
    """A codestream of 65,000 x 65,000 pixels in a file that says 32 x 24."""
    if syntax == uid.JPEG2000Lossless:
        sizes = struct.pack(">8L", 65_000, 65_000, 0, 0, 65_000, 65_000, 0, 0)
        stream = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + sizes + b"\x00\x01\x07\x01\x01" + bytes(40)
    else:
        marker = {uid.JPEGLosslessSV1: b"\xc3", uid.JPEGBaseline8Bit: b"\xc0", uid.JPEGLSLossless: b"\xf7"}[syntax]
        frame = struct.pack(">HBHHB", 11, 8, 65_000, 65_000, 1) + b"\x01\x11\x00"
        stream = b"\xff\xd8\xff" + marker + frame + bytes(40)
    path = tmp_path / "a.dcm"
    write_encapsulated(path, stream, syntax)
    refuse(
        path.read_bytes(), "contradicts itself: its tags state 32 x 24 pixels of 1 values, its compressed pixels 65000"
    )
    write_encapsulated(path, b"no code at all, but rather long" * 9, syntax)
    refuse(path.read_bytes(), "holds damaged pixels (transfer syntax JPEG")


def write_encapsulated(path: Path, stream: bytes, syntax: str) -> None:
    dataset = build_dicom(draw(), syntax=syntax)
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)


def test_runs_that_unfold_without_end_are_cut(tmp_path: Path) -> None:
    header = struct.pack("<16L", 1, 64, *[0] * 14)
    path = tmp_path / "a.dcm"
    write_encapsulated(path, header + b"\x81\x07" * 500_000, uid.RLELossless)  # 64 million pixels of 768
    tracemalloc.start()
    assert (read_image(path).pixels == 7).all()
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    write_encapsulated(path, header + b"\x81\x07", uid.RLELossless)
    refuse(path.read_bytes(), "holds damaged pixels (transfer syntax RLE Lossless")
    write_encapsulated(path, struct.pack("<16L", 15, *[64] * 15), uid.RLELossless)
    refuse(path.read_bytes(), "holds damaged pixels")


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    content, start = read_bytes_of(write_dicom(tmp_path / "a.dcm", draw()))
    deep = "whose header is nested too deep or has too many parts"
    refuse(content[:start] + (SEQUENCE + ITEM) * 5000 + content[start:], deep)
    refuse(content[:start] + SEQUENCE + (b"\xfe\xff\x00\xe0" + bytes(4)) * 410_000, deep)


def test_lengths_beyond_the_end_are_refused(tmp_path: Path) -> None:
    content, start = read_bytes_of(write_dicom(tmp_path / "a.dcm", draw()))
    giant = b"\x09\x00\x10\x00UN\x00\x00\xf0\xff\xff\xff"  # a private value of 4 GB
    refuse(content[:start] + giant + content[start:], "is cut off")
    for end in (start + 5, start + 40, len(content) - 700, len(content) - 1):
        refuse(content[:end], "is cut off")
    for length in (150, 132):
        refuse(content[:length], "is cut off")


def test_values_of_a_million_parts_count_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    dataset = build_dicom(draw())
    dataset.add_new("ViewPosition", "UT", "PA")
    dataset.save_as(path)
    content = path.read_bytes()
    many = b"1\\" * 3_000_000
    window = b"\x28\x00\x50\x10UN\x00\x00" + struct.pack("<L", len(many)) + many
    at = content.index(b"\xe0\x7f\x10\x00")
    inner = b"\x09\x00\x00\x10LO\x00\x00" * 1_000_000
    tables = b"\x28\x00\x10\x30SQ\x00\x00" + struct.pack("<L", len(inner) + 8)
    item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(inner)) + inner
    window += tables + item
    decoded = read_image_bytes(content[:at] + window + content[at:], "a.dcm")
    assert decoded.choices is not None
    assert decoded.choices.windows == ()


def test_old_files_without_preamble_are_read(tmp_path: Path) -> None:
    """Group 0002 or 0008 first; named .dcm or not; and without any word on the transfer syntax."""
    pixels = draw()
    content, start = read_bytes_of(write_dicom(tmp_path / "a.dcm", pixels))
    for bare in (content[132:], content[start:]):
        for name in ("IM0001", "a.dcm"):
            np.testing.assert_array_equal(read_image_bytes(bare, name).pixels, pixels)
    implicit = write_dicom(tmp_path / "b.dcm", pixels, syntax=uid.ImplicitVRLittleEndian)
    content, start = read_bytes_of(implicit)
    np.testing.assert_array_equal(read_image_bytes(content[start:], "IM0001").pixels, pixels)


def test_what_only_bears_the_name_is_refused(tmp_path: Path) -> None:
    refuse(b"", "is empty (0 bytes)")
    refuse(b"hello, this is a letter\n" * 30, "is not a DICOM file, or its header is damaged")
    refuse(np.random.default_rng(0).bytes(5000), "a.dcm ")


def test_nothing_is_printed_and_random_damage_is_an_error_of_ours(tmp_path: Path) -> None:
    """One fresh process: every damaged copy gives an image or `UnreadableImageError`, and the console stays empty."""
    for name, syntax in (("jls", uid.JPEGLSLossless), ("rle", uid.RLELossless)):
        dataset = build_dicom(draw(), WindowWidth=5)
        dataset.add_new("WindowCenter", "LO", "1.5\\x")
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(tmp_path / f"{name}.dcm")
    write_dicom(tmp_path / "plain.dcm", draw(), PatientName="x" * 60)
    code = f"""
import random
from pathlib import Path
from medpeft_core.datasets.images import UnreadableImageError, read_image_bytes
for path in sorted(Path({str(tmp_path)!r}).glob("*.dcm")):
    content = path.read_bytes()
    for seed in range(60):
        damaged = bytearray(content)
        dice = random.Random(seed)
        for _ in range(dice.randint(0, 12)):
            damaged[dice.randrange(132, len(damaged))] = dice.randrange(256)
        if seed % 3 == 0:
            del damaged[dice.randrange(140, len(damaged)):]
        try:
            read_image_bytes(bytes(damaged), "a.dcm", max_pixels=1_000_000)
        except UnreadableImageError:
            pass
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        cwd=Path(medpeft_core.__file__).parent.parent, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
