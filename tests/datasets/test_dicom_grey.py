"""Grey values of DICOM files: the order of the steps, windows by number, and what is done where they are no use."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import apply_linear, apply_percentiles, build_table, write_dicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from medpeft_core.datasets.images import DecodedImage, Reading, UnreadableImageError, read_image, read_size

SHAPE = (24, 32)
PERCENTILES_SAID = "the percentiles 1 to 99 of its values were used"


def draw(low: int, high: int, dtype: str = "u2") -> np.ndarray:
    """Noise over the whole range, both ends included."""
    pixels = np.random.default_rng(0).integers(low, high, SHAPE, endpoint=True)
    pixels[0, 0], pixels[0, 1] = low, high
    return pixels.astype(dtype)


def read(folder: Path, pixels: np.ndarray, *, window: str = "auto", frame: str = "first", **tags: Any) -> DecodedImage:
    return read_image(write_dicom(folder / "a.dcm", pixels, **tags), Reading(window=window, frame=frame))


def test_signed_ct_with_two_windows(tmp_path: Path) -> None:
    stored = draw(-1000, 2047, "i2")
    tags = {
        "BitsStored": 12, "RescaleSlope": 1, "RescaleIntercept": -24, "WindowCenter": [-600, 40],
        "WindowWidth": [1500, 400], "WindowCenterWidthExplanation": ["LUNG", "SOFT TISSUE"],
    }  # fmt: skip
    units = stored.astype(float) - 24
    for wanted, used, center, width in (("auto", "1", -600, 1500), ("1", "1", -600, 1500), ("2", "2", 40, 400)):
        decoded = read(tmp_path, stored, window=wanted, **tags)
        np.testing.assert_array_equal(decoded.pixels, apply_linear(units, center, width))
        assert decoded.warnings == ()
        assert decoded.choices is not None
        assert decoded.choices.window == used
        assert decoded.choices.windows == ("LUNG (centre -600, width 1500)", "SOFT TISSUE (centre 40, width 400)")
    third = read(tmp_path, stored, window="3", **tags)
    np.testing.assert_array_equal(third.pixels, apply_linear(units, -600, 1500))
    assert third.warnings == ("The file has 2 windows, so window 3 was not found; its first was used.",)
    np.testing.assert_array_equal(read(tmp_path, stored, window="percentiles", **tags).pixels, apply_percentiles(units))
    full = np.rint((units - units.min()) / (units.max() - units.min()) * 255)
    np.testing.assert_array_equal(read(tmp_path, stored, window="full", **tags).pixels, full)


def test_the_other_functions_of_a_window(tmp_path: Path) -> None:
    stored = draw(0, 4095)
    tags = {"BitsStored": 12, "WindowCenter": 2000, "WindowWidth": 800}
    sigmoid = 255 / (1 + np.exp(-4 * (stored.astype(float) - 2000) / 800))
    np.testing.assert_array_equal(read(tmp_path, stored, VOILUTFunction="SIGMOID", **tags).pixels, np.rint(sigmoid))
    exact = np.clip((stored.astype(float) - 2000) / 800 + 0.5, 0, 1) * 255
    np.testing.assert_array_equal(read(tmp_path, stored, VOILUTFunction="LINEAR_EXACT", **tags).pixels, np.rint(exact))
    unknown = read(tmp_path, stored, VOILUTFunction="CUBIC", **tags)
    np.testing.assert_array_equal(unknown.pixels, apply_linear(stored.astype(float), 2000, 800))
    assert "'CUBIC' is unknown; LINEAR was used" in unknown.warnings[0]
    narrow = read(tmp_path, stored, BitsStored=12, WindowCenter=2000, WindowWidth=1).pixels
    np.testing.assert_array_equal(narrow, np.where(stored > 1999.5, 255, 0))


@pytest.mark.parametrize(
    ("photometric", "shape", "is_negative"),
    [
        ("MONOCHROME2", None, False), ("MONOCHROME2", "IDENTITY", False), ("MONOCHROME1", None, True),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "INVERSE", True),  # as every digital film that is a negative: one statement, not two
    ],
)  # fmt: skip
def test_a_negative_is_turned_over_once(tmp_path: Path, photometric: str, shape: str | None, is_negative: bool) -> None:
    stored = draw(0, 4095)
    tags = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096, "PhotometricInterpretation": photometric}
    pixels = read(tmp_path, stored, **tags, **({"PresentationLUTShape": shape} if shape else {})).pixels
    plain = apply_linear(stored.astype(float), 2048, 4096)
    np.testing.assert_array_equal(pixels, 255 - plain if is_negative else plain)


def test_tables_come_after_the_modality_and_before_the_windows(tmp_path: Path) -> None:
    stored = draw(0, 1023)
    modality = build_table(0, np.arange(1024)[::-1] * 2, 16)  # not a straight line upwards: the order would show
    curve = np.rint(np.sqrt(np.arange(2048) / 2047) * 1023)
    voi = build_table(0, curve, 10, name="SOFT")
    tags = {
        "BitsStored": 10, "ModalityLUTSequence": [modality], "VOILUTSequence": [voi], "WindowCenter": 1000,
        "WindowWidth": 500,
    }  # fmt: skip
    units = (1023 - stored.astype(int)) * 2
    decoded = read(tmp_path, stored, **tags)
    np.testing.assert_array_equal(decoded.pixels, np.rint(curve[units] / 1023 * 255))
    assert decoded.choices is not None
    assert decoded.choices.windows == ("SOFT", "centre 1000, width 500")
    np.testing.assert_array_equal(read(tmp_path, stored, window="2", **tags).pixels, apply_linear(units, 1000, 500))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({}, "The file has no window"),
        ({"WindowCenter": 2000, "WindowWidth": 0}, "is impossible"),
        ({"WindowCenter": 2000, "WindowWidth": -5}, "is impossible"),
        ({"WindowCenter": "nan", "WindowWidth": 100}, "is impossible"),
        ({"WindowCenter": 50_000, "WindowWidth": 100}, "leaves one grey value of the whole picture"),
        ({"WindowCenter": 1e30, "WindowWidth": 1e-30, "VOILUTFunction": "SIGMOID"}, "leaves one grey value"),
        ({"VOILUTSequence": [build_table(0, np.arange(100), 16, entries=4096)]}, "contradicts itself"),
        ({"VOILUTSequence": [build_table(0, np.arange(4096) * 16, 12)]}, "contradicts itself"),
        ({"VOILUTSequence": [build_table(0, np.arange(4096), 16)]}, "contradicts itself"),  # 12 bits, said to be 16
        ({"VOILUTSequence": [build_table(60_000, np.arange(4096) * 16, 16)]}, "leaves one grey value"),
    ],
)
def test_windows_of_no_use_fall_back_to_percentiles(tmp_path: Path, tags: dict[str, Any], words: str) -> None:
    stored = draw(100, 4095)
    decoded = read(tmp_path, stored, BitsStored=12, **tags)
    np.testing.assert_array_equal(decoded.pixels, apply_percentiles(stored))
    assert decoded.choices is not None
    assert decoded.choices.window == "percentiles"
    (warning,) = decoded.warnings
    assert words in warning
    assert PERCENTILES_SAID in warning


def test_eight_bits_without_window_are_shown_as_stored(tmp_path: Path) -> None:
    stored = draw(20, 190, "u1")
    decoded = read(tmp_path, stored)
    np.testing.assert_array_equal(decoded.pixels, stored)
    assert decoded.warnings == ()
    np.testing.assert_array_equal(read(tmp_path, stored % 64, BitsStored=6).pixels, np.rint((stored % 64) / 63 * 255))


def test_padding_is_kept_out_of_the_percentiles(tmp_path: Path) -> None:
    stored = draw(-1000, 1000, "i2")
    stored[:, 20:] = -2000
    decoded = read(tmp_path, stored, PixelPaddingValue=-2000)
    low, high = np.percentile(stored[:, :20], [1, 99])
    expected = np.rint(np.clip((stored.astype(float) - low) / (high - low), 0, 1) * 255)
    np.testing.assert_array_equal(decoded.pixels, expected)
    ranged = np.where(stored == -2000, np.random.default_rng(1).integers(-2000, -1990, SHAPE), stored).astype("i2")
    as_range = read(tmp_path, ranged, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1991)
    np.testing.assert_array_equal(as_range.pixels, expected)
    assert not read(tmp_path, np.full(SHAPE, 7, "u2"), PixelPaddingValue=7).pixels.any()  # nothing but padding


def test_unused_bits_do_not_count(tmp_path: Path) -> None:
    """Overlays lay in the upper bits of old files, and some wrote their 12 bits there."""
    stored = draw(0, 4095)
    plain = read(tmp_path, stored, BitsStored=12, WindowCenter=2048, WindowWidth=4096).pixels
    tags = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    np.testing.assert_array_equal(read(tmp_path, stored | 0xA000, **tags).pixels, plain)
    np.testing.assert_array_equal(read(tmp_path, (stored << 4) | 0x5, HighBit=15, **tags).pixels, plain)
    signed = (stored.astype(int) - 2048).astype("i2")
    wrapped = (signed.view("u2") & 0x0FFF).view("i2")  # the sign is in bit 11 only
    expected = apply_linear(signed.astype(float), 0, 4096)
    tags = {"BitsStored": 12, "WindowCenter": 0, "WindowWidth": 4096}
    np.testing.assert_array_equal(read(tmp_path, wrapped, **tags).pixels, expected)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_byte_orders(tmp_path: Path, syntax: str) -> None:
    stored = draw(0, 4095)
    table = build_table(0, np.arange(4096) * 16, 16)
    if syntax == ExplicitVRBigEndian:
        table.LUTData = (np.arange(4096) * 16).astype(">u2").tobytes()
    decoded = read(tmp_path, stored, syntax=syntax, BitsStored=12, VOILUTSequence=[table])
    np.testing.assert_array_equal(decoded.pixels, np.rint(stored.astype(float) * 16 / 65535 * 255))


def test_one_frame_of_several(tmp_path: Path) -> None:
    frames = np.stack([draw(0, 4095) // (number + 1) for number in range(4)])
    tags = {"NumberOfFrames": 4, "BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    for wanted, number in (("first", 0), ("middle", 1), ("last", 3), ("3", 2)):
        decoded = read(tmp_path, frames, frame=wanted, **tags)
        np.testing.assert_array_equal(decoded.pixels, apply_linear(frames[number].astype(float), 2048, 4096))
        assert decoded.choices is not None
        assert (decoded.choices.frame, decoded.choices.num_frames) == (number + 1, 4)
        assert decoded.warnings == (f"The file has 4 frames; number {number + 1} was read.",)
    with pytest.raises(UnreadableImageError, match="has 4 frames, but frame 5 was asked for. Choose one from 1 to 4."):
        read(tmp_path, frames, frame="5", **tags)


def test_an_enhanced_file_keeps_its_windows_by_frame(tmp_path: Path) -> None:
    frames = np.stack([draw(0, 4095)] * 2)
    groups = []
    for center in (1000, 3000):
        window, scale, group = Dataset(), Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = center - 100, 500
        scale.RescaleSlope, scale.RescaleIntercept = 1, -100
        group.FrameVOILUTSequence, group.PixelValueTransformationSequence = [window], [scale]
        groups.append(group)
    tags = {"NumberOfFrames": 2, "PerFrameFunctionalGroupsSequence": groups}
    for number, center in enumerate((1000, 3000)):
        pixels = read(tmp_path, frames, frame=str(number + 1), **tags).pixels
        np.testing.assert_array_equal(pixels, apply_linear(frames[number].astype(float), center, 500))


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    stored = draw(0, 255, "u1")
    for tags, size in (({"PixelSpacing": [1.0, 0.5]}, (48, 32)), ({"PixelAspectRatio": [1, 2]}, (24, 64))):
        decoded = read(tmp_path, stored, **tags)
        assert decoded.pixels.shape == size == read_size(tmp_path / "a.dcm")
        assert "The file's pixels are not square; it was stretched from 32 x 24" in decoded.warnings[0]
    for spacing in ([0.2, 0.2], [0.0, 0.0], [1.0, 1000.0]):  # square, missing, a mistake
        assert read(tmp_path, stored, PixelSpacing=spacing).pixels.shape == SHAPE


def test_what_should_be_known_is_said(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", draw(0, 255, "u1"), BurnedInAnnotation="YES")
    burned = read_image(path)
    assert "text is burned into its pixels" in burned.warnings[0]
    dataset = pydicom.dcmread(path)
    dataset.BurnedInAnnotation = "NO"
    dataset.add_new(0x60000010, "US", 24)
    dataset.save_as(path)
    assert read_image(path).warnings == ("The file has drawings beside the pixels (overlays); they are not shown.",)


def test_a_rescale_that_makes_no_sense_is_left_out(tmp_path: Path) -> None:
    stored = draw(0, 4095)
    decoded = read(tmp_path, stored, RescaleSlope=0, RescaleIntercept=5, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_array_equal(decoded.pixels, apply_linear(stored.astype(float), 2048, 4096))
    assert "rescale slope 0 and intercept 5 make no sense" in decoded.warnings[0]
    assert not math.isnan(decoded.pixels.mean())
