"""Which pixels of an image are painted over to hide the mark of a shortcut, and which as a control. Light."""

import numpy as np

from medpeft_core.datasets.manifest import Manifest
from medpeft_core.errors import ExplainError
from medpeft_core.explain.fill import fill_region, grow
from medpeft_core.explain.marks import find_shortcut

MARGIN_SHARE = 0.01  # of the image's side, painted over around the mark, whose edge is blurred
MIN_MARGIN = 2  # pixels
PAINTINGS = ("masked", "control")


def find_patch(manifest: Manifest, image: str, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the mark of an image and a narrow margin around it.

    Args:
        manifest: of the data set.
        image: its name in there.
        size: height and width of the pixels that are painted.

    Raises:
        ExplainError: the image has no mark.
        DataError: its file of masks cannot be read.
    """
    mark = find_shortcut(manifest, image, size)
    if mark is None:
        raise ExplainError(f"The masks of {image} do not show the mark. Draw the data set again.")
    return grow(mark, max(MIN_MARGIN, round(MARGIN_SHARE * min(size))))


def paint(pixels: np.ndarray, patch: np.ndarray, image: str) -> dict[str, np.ndarray]:
    """(C, H, W) uint8 by painting: "masked", the patch painted over; "control", its mirrored place on the other side.

    Args:
        pixels: (C, H, W) uint8.
        patch: (H, W) bool, as `find_patch` gives it.
        image: the name of the image, which decides the grain: the same whenever it is painted.
    """
    seed = int.from_bytes(image.encode()[-8:], "little")
    return {
        "masked": fill_region(pixels, patch, seed=seed),
        "control": fill_region(pixels, patch[:, ::-1] & ~patch, seed=seed),
    }
