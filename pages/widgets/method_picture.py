"""The drawing of a method on a page, in the colours of the theme.

`st.html` strips SVG, and `st.image` would show it without the theme's colours. The SVG comes as data and is drawn by
the core from words of its own; nothing that a person or a file wrote may go into it.
"""

import streamlit as st

from medpeft_core.figures.method_drawing import MethodDrawing

HTML = """
<div class="drawing"></div>
"""

CSS = """
.drawing { color: var(--st-text-color, #172b2e); max-width: 320px; margin: 0 auto; }
.drawing svg { width: 100%; height: auto; display: block; }
"""

JS = """
export default function (component) {
  const { data, parentElement } = component
  const place = parentElement.querySelector(".drawing")
  if (place.dataset.shown === data.svg) return  // the page was drawn again, the picture is the same
  place.innerHTML = data.svg
  place.dataset.shown = data.svg
}
"""

_mount = st.components.v2.component("medpeft_method_picture", html=HTML, css=CSS, js=JS)


def draw_method_picture(drawing: MethodDrawing, *, key: str) -> None:
    """Show a drawing; its words are in it as its text alternative."""
    _mount(key=key, data={"svg": drawing.svg})
