"""A small drawing of how much the encoder sees: one image, or a bare grid, with the hidden patches greyed out."""

from typing import Literal

import numpy as np
import streamlit as st
from PIL import Image

from medpeft_core.config import DataConfig
from medpeft_core.errors import MedPeftError
from pages.widgets.data_pictures import read_small
from pages.widgets.data_state import find_known, open_pixels
from pages.widgets.picture_blend import encode_png
from pages.widgets.pretrain_draft import count_visible

SIDE = 448  # pixels, about; each patch takes a whole number of them
HIDDEN = 128  # the grey that the pictures of a pre-training use for what is hidden
SEEN, LINE = 214, 96
MASK_SEED = 3


def draw_mask(
    grid_side: int, mask_ratio: float, data: DataConfig | None, *, width: int | Literal["stretch"] = "stretch"
) -> None:
    """The drawing, with the number of visible patches below it.

    Args:
        grid_side: patches along a side.
        mask_ratio: share that is hidden.
        data: whose first training image is shown when the set is prepared; None for a bare grid.
        width: of the picture.
    """
    num_patches = grid_side * grid_side
    num_visible = count_visible(num_patches, mask_ratio)
    picture = _find_picture(data) if data is not None else None
    st.image(
        make_mask_picture(picture, grid_side, num_visible),
        width=width,
        output_format="PNG",
        alt=f"Drawing of what the encoder sees: {num_visible} of {num_patches} patches, the others are grey.",
    )
    st.markdown(f"**{num_visible} of {num_patches} patches are visible**")


def make_mask_picture(picture: Image.Image | None, grid_side: int, num_visible: int) -> bytes:
    """PNG of a square image whose hidden patches are grey.

    Args:
        picture: of any size and mode, of which the middle square is taken; None for a bare grid.
        grid_side: patches along a side.
        num_visible: patches that are shown.
    """
    patch = max(SIDE // grid_side, 2)
    side = patch * grid_side
    if picture is None:
        pixels = np.full((side, side), SEEN, dtype=np.uint8)
    else:
        pixels = np.asarray(_square(picture).resize((side, side), Image.Resampling.BICUBIC)).copy()
    order = np.random.default_rng(MASK_SEED).permutation(grid_side * grid_side)  # smaller ratios show more, never less
    is_hidden = np.ones(grid_side * grid_side, dtype=bool)
    is_hidden[order[:num_visible]] = False
    where = np.kron(is_hidden.reshape(grid_side, grid_side), np.ones((patch, patch), dtype=bool))
    pixels[where] = HIDDEN
    if picture is None:  # without an image the patches would run into each other
        pixels[::patch] = LINE
        pixels[:, ::patch] = LINE
    return encode_png(Image.fromarray(pixels))


def _square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.convert("L").crop((left, top, left + side, top + side))


def _find_picture(data: DataConfig) -> Image.Image | None:
    """The first image of the train split, or None where the set is not prepared."""
    try:
        view = find_known(data)
        if view is None:
            return None
        rows = (view.manifest.table["split"] == "train").to_numpy().nonzero()[0]
        return read_small(view.manifest, int(rows[0]), open_pixels(view), view.reading).picture if len(rows) else None
    except (MedPeftError, OSError):
        return None
