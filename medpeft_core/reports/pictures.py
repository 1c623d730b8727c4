"""Charts as files: PNG and SVG of a Vega-Lite spec, made without a browser and without a network. Light."""

from typing import Any

import vl_convert

SCALE = 3  # a chart for paper is 17 cm wide at 300 dots an inch


def render_png(spec: dict[str, Any]) -> bytes:
    """A PNG picture.

    Args:
        spec: with its size and its data inside, as `figures.prepare_print` gives it.
    """
    return bytes(vl_convert.vegalite_to_png(spec, scale=SCALE, allowed_base_urls=[]))


def render_svg(spec: dict[str, Any]) -> bytes:
    """An SVG drawing, UTF-8; texts stay texts."""
    return str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])).encode()
