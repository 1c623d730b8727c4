"""Every DICOM file of the sample: beside a rendering of its raw values by the formulas of the standard, or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_files import apply_linear, apply_percentiles

from medpeft_core.datasets.dicom.tags import read_tags
from medpeft_core.datasets.images import UnreadableImageError, read_image, read_image_bytes, read_size

FILM = "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm"
NEGATIVE = "Fake_MONOHR1.dcm"
REFUSED = {
    "MR_truncated.dcm": "is cut off: its pixels should fill 8192 bytes, but 8130 are there",
    "empty_charset_LEI.dcm": "is a DICOM file without an image: it holds no pixels",
    "rtplan.dcm": "is a treatment plan without an image: it holds no pixels",
}


def render_ct(dataset: Any, raw: np.ndarray) -> np.ndarray:
    return apply_percentiles(raw * 1.0 - 1024)  # slope 1, intercept -1024, no window


def render_modality_table(dataset: Any, raw: np.ndarray) -> np.ndarray:
    table = np.array(dataset.ModalityLUTSequence[0].LUTData, np.float64)  # 4096 entries from -2048 on
    return apply_percentiles(table[raw.astype(int) + 2048])


def render_voi_table(dataset: Any, raw: np.ndarray) -> np.ndarray:
    table = np.array(dataset.VOILUTSequence[0].LUTData, np.float64)  # 256 entries from 0 on, 16 bits
    return np.rint(table[raw] / 65535 * 255).astype(np.uint8)


def render_palette(dataset: Any, raw: np.ndarray) -> np.ndarray:
    names = [f"{name}PaletteColorLookupTableData" for name in ("Red", "Green", "Blue")]
    tables = [np.frombuffer(dataset[name].value, "<u2").astype(np.float64) for name in names]  # 256 entries, 16 bits
    return np.stack([np.rint(table[raw] / 65535 * 255) for table in tables], -1).astype(np.uint8)


RENDERINGS: dict[str, Callable[[Any, np.ndarray], np.ndarray]] = {
    FILM: lambda dataset, raw: raw,  # 8 bits, MONOCHROME2, no window
    NEGATIVE: lambda dataset, raw: 255 - raw,
    "CT_small.dcm": render_ct,
    "JPEG-LL.dcm": lambda dataset, raw: apply_percentiles(raw.astype(np.float64)),
    "MR_small_RLE.dcm": lambda dataset, raw: apply_linear(raw.astype(np.float64), 600, 1600),
    "RG1_J2KI.dcm": lambda dataset, raw: 255 - apply_linear(raw.astype(np.float64), 15000, 30000),
    "RG3_J2KR.dcm": lambda dataset, raw: 255 - apply_linear(raw.astype(np.float64), 550, 1024),
    "SC_rgb_rle_16bit.dcm": lambda dataset, raw: np.rint(raw / 65535 * 255).astype(np.uint8),
    "US1_J2KR.dcm": lambda dataset, raw: raw,
    "examples_palette.dcm": render_palette,
    "mlut_18.dcm": render_modality_table,
    "vlut_04.dcm": render_voi_table,
}
# A second decoder for each: Pillow or gdcm where the lab uses another one, pydicom's own where the lab has its own.
SECOND_DECODERS = {
    FILM: "gdcm", NEGATIVE: "gdcm", "RG1_J2KI.dcm": "gdcm", "RG3_J2KR.dcm": "pillow", "US1_J2KR.dcm": "pillow",
    "MR_small_RLE.dcm": "pydicom", "SC_rgb_rle_16bit.dcm": "pydicom",
}  # fmt: skip


def test_every_file_of_the_sample_has_a_place_here(samples: Path) -> None:
    assert {path.name for path in samples.iterdir()} == {*RENDERINGS, *REFUSED}


@pytest.mark.parametrize("name", list(RENDERINGS))
def test_read_image_shows_a_sample_as_the_standard_says(samples: Path, name: str) -> None:
    """Black and white the right way round and the window right; lossy decoders may differ by a rounding or two."""
    dataset = pydicom.dcmread(samples / name)
    raw = pydicom.pixels.pixel_array(dataset, decoding_plugin=SECOND_DECODERS.get(name, ""))
    expected = RENDERINGS[name](dataset, raw)
    decoded = read_image(samples / name)
    assert decoded.pixels.dtype == np.uint8
    difference = np.abs(decoded.pixels.astype(int) - expected.astype(int))
    is_lossy = name in (FILM, NEGATIVE, "RG1_J2KI.dcm")
    assert difference.max() <= (2 if is_lossy else 0)
    assert difference.mean() < 0.1
    assert expected.std() > 10
    assert read_size(samples / name) == decoded.pixels.shape[:2]


@pytest.mark.parametrize("name", list(REFUSED))
def test_read_image_refuses_a_sample_and_names_the_reason(samples: Path, name: str) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        read_image(samples / name)
    assert str(caught.value).startswith(f"{name} {REFUSED[name]}.")


def test_a_film_under_monochrome1_is_the_exact_negative(samples: Path) -> None:
    film, negative = read_image(samples / FILM), read_image(samples / NEGATIVE)
    np.testing.assert_array_equal(negative.pixels, 255 - film.pixels)
    height, width = film.pixels.shape
    lung = film.pixels[height // 3 : height // 2, width // 4 : width // 3].mean()
    spine = film.pixels[height // 2 : 2 * height // 3, 15 * width // 32 : 17 * width // 32].mean()
    assert lung < spine - 50  # air is dark, bone and heart are light


def test_read_image_bytes_gives_the_same_pixels(samples: Path) -> None:
    for name in ("RG3_J2KR.dcm", "examples_palette.dcm"):
        in_memory = read_image_bytes((samples / name).read_bytes(), "no ending")
        on_disk = read_image(samples / name)
        np.testing.assert_array_equal(in_memory.pixels, on_disk.pixels)
        assert (in_memory.warnings, in_memory.choices) == (on_disk.warnings, on_disk.choices)


def test_read_tags_of_real_files(samples: Path) -> None:
    film, leg = read_tags(samples / FILM), read_tags(samples / "RG3_J2KR.dcm")
    assert (film.age, film.sex, film.view, film.laterality) == (62.0, "M", "PA", None)
    assert film.patient_id == "16d7f894-55d7-4d95-8957-d18987f0e981"
    assert (leg.view, leg.laterality, leg.study_date) == ("AP", "R", "2004-08-26")
    assert leg.age == pytest.approx(25.4, abs=0.05)  # born 1979-04-08
    assert leg.site == "N.C.C. HIGASHI"
    assert leg.windows == ("centre 550, width 1024",)
    assert read_tags(samples / "rtplan.dcm").num_frames == 0
    assert read_tags(samples / "MR_truncated.dcm").patient_id == "4MR1"  # its tags are whole
