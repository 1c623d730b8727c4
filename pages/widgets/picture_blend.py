"""Lays a heat map and outlines over an image, quickly enough to follow a slider. Pixels only, no widgets."""

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, PngImagePlugin

TABLES = Path(__file__).resolve().parents[2] / "assets" / "colour_maps.png"
JPEG_QUALITY = 93
MIN_SHOWN_SIDE = 700  # pixels, about what a picture gets on a wide screen
COLOUR_MAPS = {"inferno": "Inferno", "viridis": "Viridis", "gray": "Grey", "turbo": "Turbo (rainbow)"}
OUTLINE_COLOURS = ("#00e5ff", "#ff9df0", "#b6ff3c", "#ffd23c", "#ffffff")
HALO = "#000000"
STRIP_COLOUR, STRIP_INK = "#ffffff", "#1a1a1a"
MIN_STRIP_WIDTH, MIN_STRIP_SIZE = 360, 11  # pixels; a run's id must fit
STRIP_WIDTH_PER_SIZE = 60  # pixels of the picture's width for each of the letters' size
MIN_SIDE_PER_LINE = 400  # pixels of the image's short side for each pixel of a line's width, beyond the first


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The border of something that is marked in an image.

    Attributes:
        name: what is marked, as the legend calls it.
        kind: "mask" or "box".
        geometry: of a mask an 8-bit grey PNG, not 0 inside, of the image's shape but of any size; of a box its left,
            top, width and height as shares (0 to 1) of the image.
        is_main: whether it belongs to what the map is about; others are drawn on demand.
    """

    name: str
    kind: str
    geometry: bytes | tuple[float, float, float, float]
    is_main: bool = True


def lay_map(image: Image.Image, cam: Image.Image, opacity: float, colour_map: str) -> Image.Image:
    """The image with the heat map over it; where the map is 0 the image shows unchanged.

    Args:
        image: of any mode.
        cam: 8-bit grey, 0 to 255 for a map of 0 to 1; scaled to the image when it has another size.
        opacity: of the strongest place, 0 to 1.
        colour_map: one of `COLOUR_MAPS`.

    Returns:
        RGB of the image's size.
    """
    if cam.size != image.size:
        cam = cam.resize(image.size, Image.Resampling.BILINEAR)
    colours = Image.fromarray(colour_table(colour_map)[np.asarray(cam)])  # (H, W, 3)
    return Image.composite(colours, image.convert("RGB"), cam.point(lambda value: round(value * opacity)))


@functools.cache
def colour_table(colour_map: str) -> np.ndarray:
    """(256, 3) uint8, the colours of a map from 0 to 1, as matplotlib has them, whose import would take a second."""
    with Image.open(TABLES) as tables:  # a row for each of COLOUR_MAPS
        return np.asarray(tables.convert("RGB"))[list(COLOUR_MAPS).index(colour_map)]


def draw_outlines(image: Image.Image, outlines: Sequence[Outline]) -> Image.Image:
    """The image with numbered borders, each in a light colour with a dark rim, so that they show on any picture."""
    shown = image.convert("RGB")
    for number, outline in enumerate(outlines, start=1):
        colour = OUTLINE_COLOURS[(number - 1) % len(OUTLINE_COLOURS)]
        area = _fill(outline, shown.size)
        bounds = area.getbbox()
        if bounds is None:
            continue
        width = 1 + min(shown.size) // MIN_SIDE_PER_LINE
        border = ImageChops.subtract(_grow(area, width), area)
        rim = ImageChops.subtract(_grow(area, 2 * width), _shrink(area, width))
        shown.paste(HALO, mask=rim)
        shown.paste(colour, mask=border)
        _draw_number(shown, str(number), bounds, colour, width)
    return shown


def encode_png(picture: Image.Image, description: str = "") -> bytes:
    """The picture as PNG; a description goes into the file's own text fields."""
    info = PngImagePlugin.PngInfo()
    if description:
        info.add_itxt("Description", description)
    return _encode(picture, "PNG", compress_level=1, pnginfo=info)


def encode_jpeg(picture: Image.Image) -> bytes:
    """The picture as JPEG for the page: it is made anew at each step of a slider, which PNG would slow down."""
    return _encode(picture.convert("RGB"), "JPEG", quality=JPEG_QUALITY, subsampling=0)  # colours are what it is about


def enlarge_small(picture: Image.Image) -> Image.Image:
    """A small picture at a whole multiple of its size, so that lines drawn over it are fine; others as they are."""
    factor = MIN_SHOWN_SIDE // max(*picture.size, 1)
    if factor < 2:
        return picture
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BILINEAR)


def join_side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two pictures of one size in one, with a narrow gap."""
    gap = max(left.width // 64, 2)
    joined = Image.new("RGB", (left.width + gap + right.width, max(left.height, right.height)), "white")
    joined.paste(left.convert("RGB"), (0, 0))
    joined.paste(right.convert("RGB"), (left.width + gap, 0))
    return joined


def add_strip(picture: Image.Image, words: Sequence[str]) -> Image.Image:
    """The picture, untouched, over a strip of small text; a narrow one gets a margin at its right for the words.

    Args:
        picture: of any mode; its pixels lie in the same place in the result.
        words: sentences; each begins a line and is broken where it does not fit.
    """
    width = max(picture.width, MIN_STRIP_WIDTH)
    size = max(width // STRIP_WIDTH_PER_SIZE, MIN_STRIP_SIZE)
    font, margin, line_height = ImageFont.load_default(size=size), size // 2, round(1.4 * size)
    lines = [line for text in words for line in _break_line(text, font, width - 2 * margin)]
    height = picture.height + line_height * len(lines) + 2 * margin
    whole = Image.new("RGB", (width, height), STRIP_COLOUR)
    whole.paste(picture.convert("RGB"), (0, 0))
    pen = ImageDraw.Draw(whole)
    for number, line in enumerate(lines):
        pen.text((margin, picture.height + margin + number * line_height), line, fill=STRIP_INK, font=font)
    return whole


def _break_line(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> list[str]:
    """The text in lines of at most this width; a word that is wider is broken too."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while font.getlength(line) > width and len(line) > 1:
            fits = max(n for n in range(1, len(line) + 1) if n == 1 or font.getlength(line[:n]) <= width)
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line] if line else lines


@functools.lru_cache(maxsize=32)
def decode(content: bytes) -> Image.Image:
    """A decoded picture, kept for the next step of a slider; not to be changed."""
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        return picture.copy()


def _fill(outline: Outline, size: tuple[int, int]) -> Image.Image:
    """Mode L: 255 inside."""
    if isinstance(outline.geometry, bytes):
        mask = decode(outline.geometry).convert("L").point(lambda value: 255 if value else 0)
        smooth = mask.resize(size, Image.Resampling.BILINEAR)  # a smooth border where a small image is shown large
        return smooth.point(lambda value: 255 if value > 127 else 0)
    left, top, width, height = outline.geometry
    area = Image.new("L", size)
    corners = (left * size[0], top * size[1], (left + width) * size[0] - 1, (top + height) * size[1] - 1)
    if corners[2] >= corners[0] and corners[3] >= corners[1]:
        ImageDraw.Draw(area).rectangle(corners, fill=255)
    return area


def _grow(area: Image.Image, pixels: int) -> Image.Image:
    return area.filter(ImageFilter.MaxFilter(2 * pixels + 1))


def _shrink(area: Image.Image, pixels: int) -> Image.Image:
    return area.filter(ImageFilter.MinFilter(2 * pixels + 1))


def _draw_number(shown: Image.Image, text: str, bounds: tuple[int, ...], colour: str, width: int) -> None:
    size = max(min(shown.size) // 24, 10)
    place = (min(bounds[2] + 2 * width, shown.width - size), max(bounds[1] - size // 2, 0))
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(shown).text(place, text, fill=colour, font=font, stroke_width=max(width, 1), stroke_fill=HALO)


def _encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()
