"""Colour in DICOM files, and the transfer syntaxes that they come in."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import openjpeg.utils
import pytest
from dicom_files import build_dicom, write_dicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate

from medpeft_core.datasets.images import Reading, UnreadableImageError, read_image

SHAPE = (72, 80)
CHANNELS = ("Red", "Green", "Blue")


def draw_colour(dtype: str = "u1") -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top, (*SHAPE, 3), endpoint=True).astype(dtype)


def draw_smooth() -> np.ndarray:
    """A slope of grey without noise, as lossy codes like it: uint8 (64, 64)."""
    rows, columns = np.mgrid[:64, :64]
    return (rows * 2 + columns).astype(np.uint8)


def to_ybr(rgb: np.ndarray) -> np.ndarray:
    """PS3.3 C.7.6.3.1.2, as it is printed there."""
    red, green, blue = (rgb[..., channel].astype(float) for channel in range(3))
    luma = 0.2990 * red + 0.5870 * green + 0.1140 * blue
    blueness = -0.1687 * red - 0.3313 * green + 0.5000 * blue + 128
    redness = 0.5000 * red - 0.4187 * green - 0.0813 * blue + 128
    return np.rint(np.clip(np.stack([luma, blueness, redness], -1), 0, 255)).astype(np.uint8)


def build_palette(tables: np.ndarray, *, first: int = 0, bits: int = 16, is_segmented: bool = False) -> dict[str, Any]:
    """Tags of a palette of (3, E); in segments, as one slope after its first entry where `tables` is linear."""
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, table in zip(CHANNELS, tables.astype(int), strict=True):
        kind = "<u2" if bits == 16 else "u1"
        words = [0, 1, table[0], 1, len(table) - 1, table[-1]] if is_segmented else table
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [len(table) % 65536, first, bits]
        prefix = "Segmented" if is_segmented else ""
        tags[f"{prefix}{name}PaletteColorLookupTableData"] = np.array(words).astype(kind).tobytes()
    return tags


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_rgb(tmp_path: Path, dtype: str, planar: int) -> None:
    rgb = draw_colour(dtype)
    dataset = build_dicom(rgb, PlanarConfiguration=planar)
    if planar:
        dataset.PixelData = rgb.transpose(2, 0, 1).tobytes()
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    decoded = read_image(tmp_path / "a.dcm")
    np.testing.assert_array_equal(decoded.pixels, np.rint(rgb / np.iinfo(dtype).max * 255))
    assert decoded.choices is not None
    assert decoded.choices.window == ""


def test_rgb_of_equal_channels_becomes_grey(tmp_path: Path) -> None:
    grey = draw_colour()[..., :1]
    assert read_image(write_dicom(tmp_path / "a.dcm", np.repeat(grey, 3, -1))).pixels.shape == SHAPE


def test_ybr_full_and_422(tmp_path: Path) -> None:
    rgb = draw_colour() // 2 + 60
    path = write_dicom(tmp_path / "a.dcm", to_ybr(rgb), PhotometricInterpretation="YBR_FULL")
    assert np.abs(read_image(path).pixels.astype(int) - rgb).max() <= 2  # two roundings
    wide = np.repeat(rgb[:, ::2], 2, axis=1)  # pairs of one colour, so that sharing it loses nothing
    ybr = to_ybr(wide)
    packed = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], -1)
    dataset = build_dicom(ybr, PhotometricInterpretation="YBR_FULL_422")
    dataset.PixelData = packed.tobytes()
    dataset.save_as(path, enforce_file_format=True)
    assert np.abs(read_image(path).pixels.astype(int) - wide).max() <= 2


@pytest.mark.parametrize("is_segmented", [False, True])
def test_palettes_of_sixteen_bits(tmp_path: Path, is_segmented: bool) -> None:
    places = np.random.default_rng(0).integers(0, 300, SHAPE).astype("u2")  # entries from 50 to 249
    tables = np.stack([np.arange(200) * 300, 65535 - np.arange(200) * 100, np.arange(200) * 7])
    tags = build_palette(tables, first=50, is_segmented=is_segmented)
    decoded = read_image(write_dicom(tmp_path / "a.dcm", places, **tags))
    chosen = np.clip(places.astype(int) - 50, 0, 199)
    np.testing.assert_array_equal(decoded.pixels, np.stack([np.rint(table[chosen] / 257) for table in tables], -1))


def test_palettes_of_eight_bits_and_those_that_lie(tmp_path: Path) -> None:
    places = np.arange(SHAPE[0] * SHAPE[1], dtype=np.int64).reshape(SHAPE) % 256
    tables = np.stack([np.arange(256), 255 - np.arange(256), np.arange(256) // 2])
    expected = np.stack([table[places] for table in tables], -1)
    for bits in (8, 16):  # 16: many machines say so and hold 8
        path = write_dicom(tmp_path / "a.dcm", places.astype("u1"), **build_palette(tables, bits=bits))
        np.testing.assert_array_equal(read_image(path).pixels, expected)
    tags = build_palette(tables)
    tags["GreenPaletteColorLookupTableData"] = bytes(10)
    with pytest.raises(UnreadableImageError, match="no usable palette: the one for green is missing or contradicts"):
        read_image(write_dicom(tmp_path / "a.dcm", places.astype("u1"), **tags))


def write_wrapped(path: Path, dataset: FileDataset, content: bytes, syntax: str, **tags: Any) -> Path:
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    dataset.PixelData = encapsulate([bytes(content)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def compress(dataset: FileDataset, syntax: str, path: Path) -> Path:
    """Write a data set without loss; JPEG 2000 by openjpeg itself, because pydicom would want one more package."""
    if syntax == uid.JPEG2000Lossless:
        is_colour = dataset.SamplesPerPixel == 3
        content = openjpeg.utils.encode_array(
            dataset.pixel_array, bits_stored=dataset.BitsStored, photometric_interpretation=1 if is_colour else 2
        )
        dataset.PhotometricInterpretation = "YBR_RCT" if is_colour else "MONOCHROME2"
        return write_wrapped(path, dataset, content, syntax)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless])
def test_lossless_syntaxes_give_what_was_stored(tmp_path: Path, syntax: str) -> None:
    """Signed 12 bits, which each of them codes in its own way, and colour."""
    grey = np.random.default_rng(0).integers(-2048, 2047, SHAPE).astype("i2")
    tags = {"BitsStored": 12, "WindowCenter": 100, "WindowWidth": 3000}
    plain = read_image(write_dicom(tmp_path / "a.dcm", grey, **tags)).pixels
    path = compress(build_dicom(grey, **tags), syntax, tmp_path / "b.dcm")
    np.testing.assert_array_equal(read_image(path).pixels, plain)
    rgb = draw_colour()
    np.testing.assert_array_equal(read_image(compress(build_dicom(rgb), syntax, tmp_path / "b.dcm")).pixels, rgb)


def test_jpeg_baseline_in_grey_and_colour(tmp_path: Path) -> None:
    grey = draw_smooth()
    colour = np.stack([grey, 255 - grey, np.full_like(grey, 90)], -1)
    for pixels, photometric in ((grey, "MONOCHROME2"), (colour, "YBR_FULL_422")):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=98)
        dataset = build_dicom(pixels, PhotometricInterpretation=photometric)
        path = write_wrapped(tmp_path / "a.dcm", dataset, stream.getvalue(), uid.JPEGBaseline8Bit)
        assert np.abs(read_image(path).pixels.astype(int) - pixels).mean() < 2.5


def test_a_frame_out_of_several_compressed_ones(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, *SHAPE)).astype("u1")
    path = compress(build_dicom(frames, NumberOfFrames=3), uid.RLELossless, tmp_path / "a.dcm")
    for number in range(3):
        np.testing.assert_array_equal(read_image(path, Reading(frame=str(number + 1))).pixels, frames[number])


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        (uid.MPEG4HP41, "MPEG-4 AVC/H.264 High Profile / Level 4.1"),
        (uid.JPEGExtended12Bit, "JPEG Extended (Process 2 and 4)"),
        ("1.2.3.4.5", "1.2.3.4.5"),
    ],
)
def test_a_syntax_without_decoder_is_named(tmp_path: Path, syntax: str, name: str) -> None:
    twelve_bits = b"\xff\xd8\xff\xc1\x00\x0b\x0c\x00\x48\x00\x50\x01\x01\x11\x00\xff\xd9\x00"
    dataset = build_dicom(np.zeros(SHAPE, "u2"), BitsStored=12)
    path = write_wrapped(tmp_path / "a.dcm", dataset, twelve_bits, syntax)
    with pytest.raises(UnreadableImageError) as caught:
        read_image(path)
    assert f"has the transfer syntax {name}" in str(caught.value)
    assert "Convert it to PNG with a DICOM viewer first." in str(caught.value)
