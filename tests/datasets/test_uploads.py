"""Uploads: what is read, what is refused and in which words, and that nothing of them reaches a disk."""

import hashlib
import io
import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_dicom
from PIL import Image

from medpeft_core.datasets.images import Reading, UnreadableImageError, read_image
from medpeft_core.datasets.pixel_cache import load_for_model
from medpeft_core.datasets.uploads import (
    MAX_BYTES,
    MAX_DICOM_BYTES,
    MAX_SHOWN_SIDE,
    clean_name,
    encode_png,
    read_upload,
)

CACHE_SIZE = 64


def encode(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def draw(mode: str = "L", size: tuple[int, int] = (120, 90)) -> Image.Image:
    """A picture with a light left half, noise and, in colour, a tint."""
    width, height = size
    grey = np.random.default_rng(0).integers(0, 120, (height, width), dtype=np.uint8)
    grey[:, : width // 2] += 100
    if mode == "L":
        return Image.fromarray(grey)
    return Image.fromarray(np.stack([grey, grey // 2, grey // 3], axis=-1)).convert(mode)


def decode(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def make_header_bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is very large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def write_wide_colours() -> bytes:
    """A PNG of 16 bits a colour, which Pillow itself does not write."""
    values = np.random.default_rng(0).integers(0, 65_535, (90, 120, 3)).astype(">u2")
    header = struct.pack(">IIBBBBB", 120, 90, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def write_animation() -> bytes:
    return encode(draw(), save_all=True, append_images=[draw().rotate(90), draw()])


def rotate_by_exif() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return encode(draw(), "JPEG", exif=exif)


ACCEPTED = {
    "grey PNG": encode(draw()),
    "colour PNG": encode(draw("RGB")),
    "16-bit PNG": encode(Image.fromarray(np.asarray(draw()).astype(np.uint16) * 100)),
    "palette PNG": encode(draw("RGB").convert("P")),
    "16-bit colour PNG": write_wide_colours(),
    "1-bit PNG": encode(draw().convert("1")),
    "transparent PNG": encode(draw("RGBA")),
    "animated PNG": write_animation(),
    "grey JPEG": encode(draw(), "JPEG"),
    "colour JPEG": encode(draw("RGB"), "JPEG"),
    "progressive JPEG": encode(draw("RGB"), "JPEG", progressive=True),
    "turned JPEG": rotate_by_exif(),
}
REFUSED = {
    "empty": (b"", "is empty (0 bytes)"),
    "text": (b"patient 1 is fine\n" * 100, "is a text file, no image at all"),
    "text of other letters": ("Größe: 12 µm\n".encode() * 300, "is a text file, no image at all"),
    "noise": (bytes(range(256)) * 9, "is neither a PNG nor a JPEG image"),
    "GIF": (encode(draw(), "GIF"), "but a GIF image"),
    "WebP": (encode(draw(), "WEBP"), "but a WebP image"),
    "TIFF": (encode(draw(), "TIFF"), "but a TIFF image"),
    "BMP": (encode(draw(), "BMP"), "but a BMP image"),
    "PDF": (b"%PDF-1.7\n" + bytes(500), "but a PDF document"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "but an SVG drawing"),
    "CMYK": (encode(draw("RGB").convert("CMYK"), "JPEG"), "CMYK colours"),
    "cut PNG": (encode(draw())[:400], "is cut off or damaged"),
    "cut JPEG": (encode(draw("RGB"), "JPEG")[:900], "is cut off or damaged"),
    "header only": (b"\x89PNG\r\n\x1a\n", "has a damaged header"),
    "bomb": (make_header_bomb(60_000, 60_000), "at most 50 megapixels"),
    "long bomb": (make_header_bomb(2**31 - 1, 16), "at most 50 megapixels"),
    "short": (make_header_bomb(500, 500), "is cut off or damaged"),
    "dot": (encode(Image.new("L", (1, 1))), "at least 16 on each side"),
    "DICOM without tags": (bytes(128) + b"DICM" + bytes(100), "is cut off"),
    "too many bytes": (b"\x89PNG\r\n\x1a\n" + bytes(MAX_BYTES), "at most 25 MB"),
}


@pytest.mark.parametrize("kind", list(ACCEPTED))
def test_read_upload_gives_the_pixels_that_a_file_would_give(tmp_path: Path, kind: str) -> None:
    """The model must see of an upload exactly what it would see of the file, whatever that is called."""
    path = tmp_path / "image.bin"
    path.write_bytes(ACCEPTED[kind])
    pixels, source_size, warnings = load_for_model(path, CACHE_SIZE)
    upload = read_upload(ACCEPTED[kind], "x.txt", cache_size=CACHE_SIZE)
    sent = decode(upload.pixels)
    np.testing.assert_array_equal(sent if sent.ndim == 2 else sent.transpose(2, 0, 1), pixels.squeeze())
    np.testing.assert_array_equal(decode(upload.shown), read_image(path).pixels)
    assert upload.source_size == source_size
    assert upload.notes[: len(warnings)] == warnings
    assert upload.is_colour == (pixels.shape[0] == 3)
    assert upload.digest == hashlib.sha256(ACCEPTED[kind]).hexdigest()


@pytest.mark.parametrize("kind", list(REFUSED))
def test_read_upload_says_why_it_refuses(kind: str) -> None:
    content, reason = REFUSED[kind]
    with pytest.raises(UnreadableImageError) as caught:
        read_upload(content, "thorax.png", cache_size=CACHE_SIZE)
    assert str(caught.value).startswith("thorax.png ")
    assert reason in str(caught.value)


def test_read_upload_knows_dicom_by_its_name_too() -> None:
    with pytest.raises(UnreadableImageError, match=r"IM0001\.DCM is not a DICOM file, or its header is damaged\."):
        read_upload(bytes(2000), "IM0001.DCM", cache_size=CACHE_SIZE)
    with pytest.raises(UnreadableImageError, match="is a text file, no image at all"):
        read_upload(b"patient 1\n" * 100, "IM0001.DCM", cache_size=CACHE_SIZE)


def test_read_upload_of_dicom_gives_the_pixels_that_the_file_would_give(tmp_path: Path) -> None:
    """By the run's own window and frame, or by those that somebody chose; without the name of the patient."""
    frames = np.random.default_rng(0).integers(0, 4095, (3, 80, 100)).astype("u2")
    path = write_dicom(
        tmp_path / "scan.dcm", frames, NumberOfFrames=3, BitsStored=12, WindowCenter=[2000, 500],
        WindowWidth=[3000, 400], PatientName="Miller^Ann", PatientID="4711",
    )  # fmt: skip
    content = path.read_bytes()
    for reading in (Reading(), Reading(window="2", frame="3"), Reading(window="full", frame="middle")):
        pixels, source_size, warnings = load_for_model(path, CACHE_SIZE, reading)
        upload = read_upload(content, "scan", cache_size=CACHE_SIZE, reading=reading)
        np.testing.assert_array_equal(decode(upload.pixels), pixels[0])
        assert (upload.source_size, upload.notes) == (source_size, warnings)
        assert upload.choices is not None
        assert upload.choices.num_frames == 3
        assert "Miller" not in repr(upload)
        assert "4711" not in repr(upload)


def test_read_upload_takes_larger_dicom_files_than_others() -> None:
    with pytest.raises(UnreadableImageError, match="has 65 MB, but at most 64 MB are read. Choose a file with fewer"):
        read_upload(bytes(128) + b"DICM" + bytes(MAX_DICOM_BYTES + 1024**2), "scan.dcm", cache_size=CACHE_SIZE)


def test_read_upload_tells_what_was_changed() -> None:
    notes = {kind: " ".join(read_upload(ACCEPTED[kind], "x", cache_size=64).notes) for kind in ACCEPTED}
    assert "first picture" in notes["animated PNG"]
    assert "over black" in notes["transparent PNG"]
    assert "16-bit" in notes["16-bit PNG"] or "14-bit" in notes["16-bit PNG"]
    assert "16 bits a colour; the upper 8 of each were read" in notes["16-bit colour PNG"]
    assert notes["grey PNG"] == notes["colour JPEG"] == ""


def test_read_upload_turns_what_exif_says() -> None:
    assert read_upload(ACCEPTED["turned JPEG"], "x", cache_size=64).source_size == (120, 90)


def test_read_upload_of_forty_megapixels_is_small_afterwards() -> None:
    ramp = np.tile(np.linspace(0, 255, 8000).astype(np.uint8), (5000, 1))
    upload = read_upload(encode_png(ramp), "film.png", cache_size=256)
    assert upload.source_size == (5000, 8000)
    assert max(decode(upload.shown).shape) == MAX_SHOWN_SIDE
    assert decode(upload.pixels).shape == (256, 410)


def test_read_upload_writes_nothing(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    home.mkdir()
    for content in ACCEPTED.values():
        read_upload(content, "x.png", cache_size=CACHE_SIZE)
    assert list(folder.iterdir()) == list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.png", "a.png"), ("up/sub/a.png", "a.png"), ("C:\\Users\\x\\a.png", "a.png"), ("", "image"), ("..", ".."),
        ("<b>x</b>.png", "b>.png"), ("a\nb\x00.png", "ab.png"), ("/", "image"),
    ],
)  # fmt: skip
def test_clean_name_drops_folders_and_control_characters(name: str, shown: str) -> None:
    assert clean_name(name) == shown


def test_clean_name_cuts_long_ones() -> None:
    assert len(clean_name("x" * 500 + ".png")) == 80
    assert clean_name("x" * 500 + ".png").endswith(".png")


def test_sixteen_bit_images_keep_their_values(tmp_path: Path) -> None:
    """The lookup table that saves memory gives what the formula gives, for either byte order."""
    values = np.random.default_rng(0).integers(0, 60_000, (300, 200)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = np.rint(values.astype(np.int64) * (255 / 65_535)).astype(np.uint8)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, expected)
    Image.fromarray(values).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, expected)
    assert os.path.getsize(tmp_path / "a.png") > 0
