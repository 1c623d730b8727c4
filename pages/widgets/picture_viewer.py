"""The picture viewer: an image and where a model looked in it, in several views; works on bytes in memory only.

`draw_viewer` draws the choices and one picture. Two pictures under one set of choices: `choose_look` once, then
`draw_picture` and `draw_download` for each.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from pages.widgets.before_after import draw_before_after
from pages.widgets.picture_blend import (
    COLOUR_MAPS,
    Outline,
    add_strip,
    colour_table,
    decode,
    draw_outlines,
    encode_jpeg,
    encode_png,
    enlarge_small,
    join_side_by_side,
    lay_map,
)
from pages.widgets.wording import DISCLAIMER, escape_markdown

__all__ = ["Look", "Outline", "Picture", "choose_look", "draw_picture", "draw_viewer"]

OVERLAY, SIDE_BY_SIDE, SLIDER, ORIGINAL = "overlay", "side", "slider", "original"
VIEWS = {OVERLAY: "Overlay", SIDE_BY_SIDE: "Side by side", SLIDER: "Slider", ORIGINAL: "Original"}
MAIN, ALL, NONE = "main", "all", "none"
OUTLINES = {MAIN: "Of this label", ALL: "Of all labels", NONE: "None"}
OUTLINES_HELP = "The borders of what the data set marks in this image. The model never saw them."
DEFAULT_OPACITY = 60  # percent, as on the command line
COLOUR_HELP = (
    "Inferno, viridis and grey rise in brightness as evenly as the map does, also for colour-blind eyes. Turbo shows "
    "edges that are not in the map."
)
SCALE_WORDS = "From the weakest to the strongest place of this image: a weak map looks strong too."
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
        run_id: of the run whose map it is, written below a saved picture.
        notice: what else must be known of a saved picture, such as that it is synthetic, as text. Empty: nothing.
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
    run_id: str = ""
    notice: str = ""
    description: str = ""
    load_source: Callable[[], bytes] | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """How pictures are to be shown; `opacity` is 0 to 1."""

    view: str
    opacity: float
    colour_map: str
    outlines: str

    def choose_outlines(self, picture: Picture) -> tuple[Outline, ...]:
        """Those of a picture's outlines that are to be drawn."""
        return tuple(
            item for item in picture.outlines if self.outlines == ALL or (self.outlines == MAIN and item.is_main)
        )


def draw_viewer(picture: Picture, *, key: str) -> None:
    """One picture with its choices.

    Args:
        picture: what to show.
        key: begins the key of each widget; the choices made under it last for the session.
    """
    if picture.title:
        st.markdown(picture.title)
    look, place = choose_look(key=key, has_map=picture.cam is not None, has_outlines=bool(picture.outlines))
    with place:
        draw_picture(picture, look, key=key)
    draw_download(picture, look, key=key)


def choose_look(*, key: str, has_map: bool, has_outlines: bool) -> tuple[Look, DeltaGenerator]:
    """The reader's choices: the view above the picture, opacity, colours and outlines below it.

    Args:
        key: begins the key of each widget.
        has_map: false: there is nothing but the original to look at, and only outlines can be chosen.
        has_outlines: whether anything is marked in the image.

    Returns:
        The choices, and the place between them where the picture belongs.
    """
    view, percent, colour_map, outlines = ORIGINAL, DEFAULT_OPACITY, next(iter(COLOUR_MAPS)), MAIN
    if has_map:
        view = _choose_view(key)
    place = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if has_map and view != ORIGINAL:
            percent, colour_map = _choose_colours(key)
        if has_outlines:
            outlines = _choose_outlines(key)
    return Look(view=view, opacity=percent / 100, colour_map=colour_map, outlines=outlines), place


def draw_picture(picture: Picture, look: Look, *, key: str) -> None:
    """One picture in the look that was chosen, with its legend; title and download are left to the caller."""
    view = look.view if picture.cam is not None else ORIGINAL
    outlines = look.choose_outlines(picture)
    image = enlarge_small(decode(picture.image))
    plain = draw_outlines(image, outlines)
    if view == ORIGINAL:
        st.image(encode_jpeg(plain), width="stretch", alt=picture.alt)
        if picture.cam is None and picture.reason:  # below it: on a phone the picture comes first, of two they align
            st.info(escape_markdown(picture.reason), title="There is no map to show", icon=":material/blur_off:")
    else:
        overlay = _lay(picture, look, image, outlines)
        _draw_map(picture, look, view, plain, overlay, key=key)
    _draw_legend(outlines)
    if view == SLIDER:
        st.caption("Drag the handle over the picture, or move it with the arrow keys.")


def draw_download(picture: Picture, look: Look, *, key: str) -> None:
    """A button that saves what is shown."""
    view = look.view if picture.cam is not None else ORIGINAL
    st.download_button(
        {SIDE_BY_SIDE: "Both as PNG", ORIGINAL: "Image as PNG"}.get(view, "Overlay as PNG"),
        data=lambda: build_download(picture, look),
        file_name=f"{picture.download_name}.png",
        mime="image/png",
        key=f"{key}_download",
        icon=":material/download:",
        on_click="ignore",
        help="What is shown, in the pixels of the source file, with a strip below it that says what it is.",
    )


def build_download(picture: Picture, look: Look) -> bytes:
    """What is shown as PNG in the pixels of the source, over a strip of words; the slider gives the overlay."""
    source = decode(picture.image if picture.load_source is None else picture.load_source())
    outlines = look.choose_outlines(picture)
    shown = draw_outlines(source, outlines)
    has_map = picture.cam is not None and look.view != ORIGINAL
    if has_map:
        overlay = _lay(picture, look, source, outlines)
        shown = join_side_by_side(shown, overlay) if look.view == SIDE_BY_SIDE else overlay
    words = (
        f"Heat map (Grad-CAM) for {picture.label}." if has_map else "",
        f"Run {picture.run_id}." if picture.run_id else "",
        picture.notice,
        DISCLAIMER,
    )
    labelled = add_strip(shown, [text for text in words if text])
    return encode_png(labelled, f"{picture.description} {picture.notice} {DISCLAIMER}".strip())


def _draw_map(picture: Picture, look: Look, view: str, plain: Image.Image, overlay: Image.Image, *, key: str) -> None:
    """The views that need the map."""
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
        "View of the picture",
        list(VIEWS),
        default=OVERLAY,
        required=True,
        format_func=VIEWS.__getitem__,
        key=f"{key}_view",
        persist_state="session",
        label_visibility="collapsed",
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
        width=160,
    )
    colour_map = st.selectbox(
        "Colours",
        list(COLOUR_MAPS),
        format_func=COLOUR_MAPS.__getitem__,
        key=f"{key}_colours",
        persist_state="session",
        help=COLOUR_HELP,
        width=145,
    )
    return percent, colour_map


def _choose_outlines(key: str) -> str:
    return st.selectbox(
        "Outlines",
        list(OUTLINES),
        format_func=OUTLINES.__getitem__,
        key=f"{key}_outlines",
        persist_state="session",
        help=OUTLINES_HELP,
        width=145,
    )


def _draw_legend(outlines: tuple[Outline, ...]) -> None:
    if outlines:
        names = (f"**{number}** {escape_markdown(item.name)}" for number, item in enumerate(outlines, start=1))
        st.caption(f"Outlined by the data set: {', '.join(names)}")


def _write_uri(picture: Image.Image) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(picture)).decode()}"
