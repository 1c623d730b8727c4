"""The picture viewer: an image and where a model looked in it, in several views; works on bytes in memory only.

`draw_viewer` draws the choices and one picture. Two pictures under one set of choices: `choose_look` once, then
`draw_picture` for each.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st
from PIL import Image

from pages.widgets.before_after import draw_before_after
from pages.widgets.picture_blend import (
    COLOUR_MAPS,
    Outline,
    colour_table,
    decode,
    draw_outlines,
    encode_jpeg,
    encode_png,
    join_side_by_side,
    lay_map,
)
from pages.widgets.wording import DISCLAIMER, escape_markdown

__all__ = ["Look", "Outline", "Picture", "choose_look", "draw_picture", "draw_viewer"]

OVERLAY, SIDE_BY_SIDE, SLIDER, ORIGINAL = "overlay", "side", "slider", "original"
VIEWS = {OVERLAY: "Overlay", SIDE_BY_SIDE: "Side by side", SLIDER: "Slider", ORIGINAL: "Original"}
VIEW_HELP = "Slider: drag the handle over the picture, or move it with the arrow keys."
DEFAULT_OPACITY = 60  # percent, as on the command line
COLOUR_HELP = (
    "Inferno, viridis and grey rise in brightness as evenly as the map does, also for colour-blind eyes. Turbo shows "
    "edges that are not in the map."
)
SCALE_WORDS = "Colours run from no influence to the strongest place of this image; a weak map looks as strong as any."
BAR_HEIGHT = 10  # pixels


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image as the viewer shows it.

    Attributes:
        image: PNG of the decoded source, at most about 1024 pixels large.
        cam: 8-bit grey PNG of the same size, 0 to 255 for a map of 0 to 1; None where there is none.
        reason: why there is no map, in a sentence; None: it is not told here.
        title: markdown above the picture; escape what comes from files. Empty: none.
        label: what the map is about, as text.
        alt: what the image is, in words for screen readers, as text.
        outlines: what is marked in the image; drawn when the reader wants them.
        download_name: of the saved file, without its ending.
        description: written into a saved file beside the disclaimer, as text.
        load_source: the source in its own pixels as PNG, for a download; called on the click, in another thread. None:
            `image` is the source.
    """

    image: bytes
    cam: bytes | None
    label: str
    alt: str
    reason: str | None = None
    title: str = ""
    outlines: tuple[Outline, ...] = ()
    download_name: str = "image"
    description: str = ""
    load_source: Callable[[], bytes] | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """How pictures are to be shown; `opacity` is 0 to 1."""

    view: str
    opacity: float
    colour_map: str
    has_outlines: bool


def draw_viewer(picture: Picture, *, key: str) -> None:
    """One picture with its choices.

    Args:
        picture: what to show.
        key: begins the key of each widget; the choices made under it last for the session.
    """
    place = st.container()
    look = choose_look(key=key, has_map=picture.cam is not None, has_outlines=bool(picture.outlines))
    with place:
        draw_picture(picture, look, key=key)


def choose_look(*, key: str, has_map: bool, has_outlines: bool) -> Look:
    """The reader's choices of view, opacity, colours and outlines.

    Args:
        key: begins the key of each widget.
        has_map: false: there is nothing but the original to look at, and only outlines can be chosen.
        has_outlines: whether anything is marked in the image.
    """
    view, percent, colour_map, with_outlines = ORIGINAL, DEFAULT_OPACITY, next(iter(COLOUR_MAPS)), has_outlines
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        if has_map:
            view = _choose_view(key)
        if has_map and view != ORIGINAL:
            percent, colour_map = _choose_colours(key)
        if has_outlines:
            with_outlines = st.toggle(
                "Outlines",
                value=True,
                key=f"{key}_outlines",
                persist_state="session",
                help="The borders of what the data set marks in this image. The model never saw them.",
            )
    return Look(view=view, opacity=percent / 100, colour_map=colour_map, has_outlines=with_outlines)


def draw_picture(picture: Picture, look: Look, *, key: str) -> None:
    """One picture in the look that was chosen, with its legend and its download."""
    if picture.title:
        st.markdown(picture.title)
    if picture.cam is None and picture.reason:
        st.info(escape_markdown(picture.reason), title="There is no map to show", icon=":material/blur_off:")
    view = look.view if picture.cam is not None else ORIGINAL
    outlines = picture.outlines if look.has_outlines else ()
    plain = draw_outlines(decode(picture.image), outlines)
    if view == ORIGINAL:
        st.image(encode_jpeg(plain), width="stretch", alt=picture.alt)
    else:
        _draw_map(picture, look, view, plain, outlines, key)
    _draw_legend(outlines)
    st.download_button(
        {SIDE_BY_SIDE: "Both as PNG", ORIGINAL: "Image as PNG"}.get(view, "Overlay as PNG"),
        data=lambda: build_download(picture, look),
        file_name=f"{picture.download_name}.png",
        mime="image/png",
        key=f"{key}_download",
        icon=":material/download:",
        on_click="ignore",
        help="What is shown, in the pixels of the source file.",
    )


def build_download(picture: Picture, look: Look) -> bytes:
    """What is shown as PNG in the pixels of the source; the slider gives the overlay."""
    source = decode(picture.image if picture.load_source is None else picture.load_source())
    outlines = picture.outlines if look.has_outlines else ()
    shown = draw_outlines(source, outlines)
    if picture.cam is not None and look.view != ORIGINAL:
        overlay = _lay(picture, look, source, outlines)
        shown = join_side_by_side(shown, overlay) if look.view == SIDE_BY_SIDE else overlay
    return encode_png(shown, f"{picture.description} {DISCLAIMER}".strip())


def _draw_map(
    picture: Picture, look: Look, view: str, plain: Image.Image, outlines: tuple[Outline, ...], key: str
) -> None:
    """The views that need the map."""
    overlay = _lay(picture, look, decode(picture.image), outlines)
    percent = f"{look.opacity:.0%}".replace("%", " %")
    alt = f"The same image with the heat map for {picture.label} at {percent} opacity."
    if view == SLIDER:
        both = f"{picture.alt} Right of the handle: {alt[0].lower()}{alt[1:]}"
        before, after = _write_uri(plain), _write_uri(overlay)
        draw_before_after(before, after, left="Original", right="Overlay", alt=both, key=f"{key}_handle")
    elif view == SIDE_BY_SIDE:
        for column, shown, text in zip(st.columns(2), (plain, overlay), (picture.alt, alt), strict=True):
            column.image(encode_jpeg(shown), width="stretch", alt=text)
    else:
        st.image(encode_jpeg(overlay), width="stretch", alt=f"{picture.alt} {alt}")
    bar = Image.fromarray(colour_table(look.colour_map)[None].repeat(BAR_HEIGHT, axis=0))  # (height, 256, 3)
    st.image(encode_png(bar), width="stretch", alt=f"Scale of the colours, {COLOUR_MAPS[look.colour_map]}.")
    st.caption(SCALE_WORDS)


def _lay(picture: Picture, look: Look, image: Image.Image, outlines: tuple[Outline, ...]) -> Image.Image:
    assert picture.cam is not None
    return draw_outlines(lay_map(image, decode(picture.cam), look.opacity, look.colour_map), outlines)


def _choose_view(key: str) -> str:
    return st.segmented_control(
        "View",
        list(VIEWS),
        default=OVERLAY,
        required=True,
        format_func=VIEWS.__getitem__,
        key=f"{key}_view",
        persist_state="session",
        help=VIEW_HELP,
    )


def _choose_colours(key: str) -> tuple[int, str]:
    percent = st.slider(
        "Opacity of the map",
        0,
        100,
        DEFAULT_OPACITY,
        format="%d %%",
        key=f"{key}_opacity",
        persist_state="session",
        width=180,
    )
    colour_map = st.selectbox(
        "Colours",
        list(COLOUR_MAPS),
        format_func=COLOUR_MAPS.__getitem__,
        key=f"{key}_colours",
        persist_state="session",
        help=COLOUR_HELP,
        width=150,
    )
    return percent, colour_map


def _draw_legend(outlines: tuple[Outline, ...]) -> None:
    if outlines:
        names = (f"**{number}** {escape_markdown(item.name)}" for number, item in enumerate(outlines, start=1))
        st.caption(f"Outlined by the data set: {', '.join(names)}")


def _write_uri(picture: Image.Image) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(picture)).decode()}"
