"""The pictures of a pre-training to take along: one as PNG, or all as an animation for slides; made on the click."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from medpeft_core.pretraining.files import MASKED, ORIGINAL
from medpeft_core.runs.run import Run
from pages.widgets.picture_blend import add_strip, encode_png
from pages.widgets.wording import DISCLAIMER, SYNTHETIC

FRAME_MS, LAST_FRAME_MS = 350, 2500
MIN_WIDTH = 900  # pixels; small images are enlarged
TITLE_SIZE, TITLE_HEIGHT = 20, 34  # pixels
PAPER, INK = "#ffffff", "#1a1a1a"

Event = dict[str, Any]


def draw_save_menu(run: Run, events: Sequence[Event], shown: Event, *, masked_words: str, is_synthetic: bool) -> None:
    """Two downloads in a popover. Nothing is drawn before one of them is clicked.

    Args:
        run: the pre-training.
        events: of type "rebuilt", by epoch, whose files are there.
        shown: the one that the reader looks at.
        masked_words: how much the encoder sees.
        is_synthetic: whether the images are, which the pictures then say.
    """
    words = [*([SYNTHETIC] if is_synthetic else []), f"{run.run_id}. {DISCLAIMER} MedPEFT Lab."]

    def join(event: Event) -> Image.Image:
        return join_rows(run.pictures_dir, event, masked_words=masked_words, words=words)

    with st.popover("Save", icon=":material/download:", type="tertiary", key="pretrain_save"):
        st.caption("For slides and papers, on white. Made on this computer.")
        for label, ending, mime, make in (
            ("This epoch (PNG)", "png", "image/png", lambda: encode_png(join(shown), " ".join(words))),
            ("All epochs as animation (GIF)", "gif", "image/gif", lambda: encode_film([join(item) for item in events])),
        ):
            st.download_button(
                label,
                data=make,
                file_name=f"{run.run_id}-{'all' if ending == 'gif' else shown['epoch']}.{ending}",
                mime=mime,
                key=f"pretrain_save_{ending}",
                icon=":material/image:" if ending == "png" else ":material/animation:",
                on_click="ignore",
                width="stretch",
            )


def join_rows(folder: Path, event: Event, *, masked_words: str, words: Sequence[str]) -> Image.Image:
    """Original, masked and rebuilt below each other, each with its title, over a strip of small text.

    Args:
        folder: of the pictures.
        event: of type "rebuilt".
        masked_words: how much the encoder sees.
        words: sentences of the strip.
    """
    epoch = event["epoch"]
    rows = (
        (ORIGINAL, "Original"),
        (MASKED, f"What the encoder sees: {masked_words}"),
        (Path(event["picture"]).name, f"Rebuilt after epoch {epoch}" if epoch else "Rebuilt by the untrained model"),
    )
    strips = [(_enlarge(Image.open(folder / name)), title) for name, title in rows]
    width = max(strip.width for strip, _ in strips)
    whole = Image.new("RGB", (width, sum(strip.height + TITLE_HEIGHT for strip, _ in strips)), PAPER)
    pen, font, top = ImageDraw.Draw(whole), ImageFont.load_default(size=TITLE_SIZE), 0
    for strip, title in strips:
        pen.text((4, top + (TITLE_HEIGHT - TITLE_SIZE) // 2), title, fill=INK, font=font)
        whole.paste(strip, (0, top + TITLE_HEIGHT))
        top += TITLE_HEIGHT + strip.height
    return add_strip(whole, words)


def encode_film(frames: Sequence[Image.Image]) -> bytes:
    """An animated GIF that repeats and rests on its last frame."""
    grey = [frame.convert("L") for frame in frames]
    stream = io.BytesIO()
    durations = [FRAME_MS] * (len(grey) - 1) + [LAST_FRAME_MS]
    grey[0].save(stream, "GIF", save_all=True, append_images=grey[1:], duration=durations, loop=0)
    return stream.getvalue()


def _enlarge(strip: Image.Image) -> Image.Image:
    factor = max(-(-MIN_WIDTH // strip.width), 1)
    size = (strip.width * factor, strip.height * factor)
    return strip.convert("RGB").resize(size, Image.Resampling.BICUBIC)
