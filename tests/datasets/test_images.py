"""Reading image files of all kinds, whole and broken."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from medpeft_core.datasets.images import UnreadableImageError, read_image, read_size, scale_short_side

GREY = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)


def write_png_header(path: Path, width: int, height: int) -> Path:
    """A PNG of 8-bit grey that claims a size and brings no pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 64)),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_read_image_keeps_lossless_pixels(save_image, name, pixels):
    decoded = read_image(save_image(name, pixels))
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert decoded.pixels.dtype == np.uint8
    assert decoded.warnings == ()


def test_read_image_reads_jpeg_as_pillow_does(save_image):
    path = save_image("a.jpg", COLOUR, quality=95)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(path).pixels, np.asarray(image))


def test_read_image_finds_the_format_by_content_and_not_by_name(save_image):
    path = save_image("a.bmp", GREY)
    np.testing.assert_array_equal(read_image(path.rename(path.with_suffix(".png"))).pixels, GREY)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_read_image_turns_grey_colour_files_into_grey(tmp_path, mode):
    """Some NIH films are RGBA files with three equal channels."""
    path = tmp_path / "a.png"
    Image.fromarray(GREY).convert(mode).save(path)
    np.testing.assert_array_equal(read_image(path).pixels, GREY)


def test_read_image_lays_transparency_over_black(save_image):
    alpha = np.full((20, 30, 1), 255, np.uint8)
    alpha[:, :10] = 0
    pixels = read_image(save_image("a.png", np.concatenate([COLOUR, alpha], axis=2))).pixels
    assert (pixels[:, :10] == 0).all()
    np.testing.assert_array_equal(pixels[:, 10:], COLOUR[:, 10:])


def test_read_image_resolves_a_palette(tmp_path):
    image = Image.fromarray((GREY // 128).astype(np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 0, 250])
    image.save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png").pixels
    np.testing.assert_array_equal(pixels[..., 0], np.where(GREY < 128, 255, 0))
    np.testing.assert_array_equal(pixels[..., 2], np.where(GREY < 128, 0, 250))


def test_read_image_makes_one_bit_black_and_white(tmp_path):
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, np.where(GREY > 100, 255, 0))


@pytest.mark.parametrize(
    ("highest", "full"), [(255, 255), (256, 1023), (1023, 1023), (3000, 4095), (9000, 16383), (40000, 65535)]
)
def test_read_image_scales_deep_grey_by_its_bits(save_image, highest, full):
    values = np.linspace(0, highest, 600).round().astype(np.uint16).reshape(20, 30)
    decoded = read_image(save_image("a.png", values))
    np.testing.assert_array_equal(decoded.pixels, np.rint(values / full * 255))
    assert f"scaled from 0-{full}" in decoded.warnings[0]


def test_read_image_reads_32_bit_integers(save_image):
    values = np.full((20, 30), 4095, np.int32)
    assert (read_image(save_image("a.tiff", values)).pixels == 255).all()
    with pytest.raises(UnreadableImageError, match="grey values from -1 to -1, but only 0 to 65535"):
        read_image(save_image("b.tiff", np.full((20, 30), -1, np.int32)))


def test_read_image_applies_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, np.rot90(GREY, -1))


def test_read_image_takes_the_first_frame(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / "a.tiff", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tiff").pixels, GREY)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tiff"])
def test_read_image_refuses_a_cut_off_file(save_image, name):
    path = save_image(name, np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(
        UnreadableImageError, match=rf"{name} (is cut off or damaged|has a damaged header)\. Get the file again"
    ):
        read_image(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_read_image_refuses_a_file_whose_end_was_never_written(save_image):
    path = save_image("a.png", np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[:5000] + b"\0" * (len(content) - 5000))
    with pytest.raises(UnreadableImageError, match="is cut off or damaged"):
        read_image(path)


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"\x89PNG\r\n\x1a\n" + b"\xff" * 99]
)
def test_read_image_refuses_a_damaged_header(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"has a damaged header|is cut off or damaged"):
        read_image(tmp_path / "a.png")


def test_read_image_refuses_what_is_no_image(tmp_path):
    (tmp_path / "note.png").write_text("This is a text, whatever its name says.")
    with pytest.raises(UnreadableImageError, match=r"note\.png is not a PNG, JPEG, BMP, TIFF or DICOM image\. Conv"):
        read_image(tmp_path / "note.png")
    Image.fromarray(GREY).save(tmp_path / "a.gif")
    with pytest.raises(UnreadableImageError, match="is not a PNG"):
        read_image(tmp_path / "a.gif")


def test_read_image_refuses_empty_missing_and_folder(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(UnreadableImageError, match=r"empty\.png is empty \(0 bytes\)"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(UnreadableImageError, match=r"gone\.png does not exist\. It was looked for in"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(UnreadableImageError, match="is a folder"):
        read_image(tmp_path)


def test_read_image_refuses_a_strip(save_image):
    with pytest.raises(UnreadableImageError, match="is 1 x 200 pixels, but an image needs at least 16"):
        read_image(save_image("a.png", np.zeros((200, 1), np.uint8)))
    assert read_image(save_image("b.png", np.zeros((16, 16), np.uint8))).pixels.shape == (16, 16)


@pytest.mark.parametrize(("width", "height"), [(60000, 60000), (10001, 10000), (2**31 - 1, 16)])
def test_read_image_refuses_a_huge_header_without_decoding(tmp_path, width, height):
    path = write_png_header(tmp_path / "bomb.png", width, height)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadableImageError, match=f"is {width} x {height} pixels, but at most 100 megapixels"):
            read_image(path)


def test_read_image_refuses_floats_and_cmyk(save_image, tmp_path):
    with pytest.raises(UnreadableImageError, match="holds floating-point numbers"):
        read_image(save_image("a.tiff", GREY.astype(np.float32)))
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImageError, match="holds CMYK colours"):
        read_image(tmp_path / "a.jpg")


def test_read_size_reads_the_header_alone(tmp_path, save_image):
    assert read_size(write_png_header(tmp_path / "a.png", 1024, 512)) == (512, 1024)
    with pytest.raises(UnreadableImageError):
        read_size(tmp_path / "gone.png")


@pytest.mark.parametrize(("shape", "scaled"), [((40, 60), (10, 15)), ((61, 40, 3), (15, 10, 3)), ((40, 40), (10, 10))])
def test_scale_short_side_keeps_the_aspect_ratio(shape, scaled):
    assert scale_short_side(np.zeros(shape, np.uint8), 10).shape == scaled


def test_scale_short_side_never_enlarges():
    assert scale_short_side(GREY, 64) is GREY
    assert scale_short_side(GREY, 20) is GREY


def test_scale_short_side_averages_instead_of_skipping():
    """Stripes of one pixel become even grey; taking every eighth pixel would give black or white."""
    stripes = np.tile(np.array([0, 255], np.uint8), (128, 64))
    assert np.abs(scale_short_side(stripes, 16)[2:-2, 2:-2].astype(int) - 127).max() <= 3


def test_scale_short_side_keeps_the_mean():
    smooth = (np.add.outer(np.arange(256), np.arange(256)) / 2).astype(np.uint8)
    assert abs(scale_short_side(smooth, 64).mean() - smooth.mean()) < 1
