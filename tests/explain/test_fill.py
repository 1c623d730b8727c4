"""Painting over a part of an image."""

import numpy as np
import pytest

from medpeft_core.explain.fill import fill_region, grow

SIZE = 40


def make_region() -> np.ndarray:
    region = np.zeros((SIZE, SIZE), bool)
    region[5:15, 20:34] = True
    return region


def test_fill_continues_a_slope() -> None:
    """A plane fits its border best by itself, so painting over a part of it changes nothing."""
    rows, columns = np.indices((SIZE, SIZE))
    plane = (20 + 2 * rows + 3 * columns).astype(np.uint8)[None]
    marked = plane.copy()
    marked[0][make_region()] = 255
    filled = fill_region(marked, make_region(), seed=0)
    assert np.abs(filled.astype(int) - plane).max() <= 1


def test_fill_leaves_the_rest_and_the_input_alone() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (3, SIZE, SIZE), dtype=np.uint8)
    before, region = pixels.copy(), make_region()
    filled = fill_region(pixels, region, seed=0)
    assert (pixels == before).all()
    assert (filled[:, ~region] == before[:, ~region]).all()
    assert (filled[:, region] != before[:, region]).any()


def test_fill_has_the_grain_of_its_surroundings() -> None:
    """A smooth spot in a grainy image would show, to people and to models."""
    noise = np.random.default_rng(2).normal(120, 12, (1, SIZE, SIZE)).round().astype(np.uint8)
    region = make_region()
    filled = fill_region(noise, region, seed=3)
    assert 7 < filled[0][region].std() < 18
    assert (filled == fill_region(noise, region, seed=3)).all()
    assert (filled != fill_region(noise, region, seed=4)).any()


def test_fill_works_at_the_edge_of_the_image() -> None:
    pixels = np.full((1, SIZE, SIZE), 77, np.uint8)
    region = np.zeros((SIZE, SIZE), bool)
    region[:6, :6] = True
    marked = pixels.copy()
    marked[0][region] = 255
    assert (fill_region(marked, region, seed=0) == 77).all()


def test_fill_of_nothing_is_a_copy_and_of_everything_is_refused() -> None:
    pixels = np.zeros((1, SIZE, SIZE), np.uint8)
    filled = fill_region(pixels, np.zeros((SIZE, SIZE), bool), seed=0)
    assert filled is not pixels
    assert (filled == pixels).all()
    with pytest.raises(ValueError, match="whole image"):
        fill_region(pixels, np.ones((SIZE, SIZE), bool), seed=0)


def test_grow_takes_steps_and_stops_at_the_edge() -> None:
    region = np.zeros((5, 5), bool)
    region[0, 2] = True
    assert grow(region, 1).sum() == 4
    assert not grow(region, 1)[1, 1]
    assert region.sum() == 1, "the input stays as it is"
