"""The before/after handle: two pictures of one size in one frame, with a line to drag between them.

The handle is a native range input laid over the whole picture, so fingers, mouse, arrow keys and screen readers work as
on any slider, and the page's own arrow keys stay quiet while it has the focus. Texts come as data and are set as text.
"""

from typing import Any

import streamlit as st

HTML = """
<figure class="frame">
  <img class="before" alt="">
  <img class="after" alt="" aria-hidden="true">
  <span class="tag left" aria-hidden="true"></span>
  <span class="tag right" aria-hidden="true"></span>
  <input class="range" type="range" min="0" max="100" step="1" value="50">
  <span class="line" aria-hidden="true"><span class="knob">&#8596;</span></span>
</figure>
"""

CSS = """
.frame {
  --at: 50%;
  position: relative; margin: 0; overflow: hidden; border-radius: 0.4rem; line-height: 0;
  font-family: var(--st-font, sans-serif); touch-action: pan-y;
}
.before { width: 100%; height: auto; display: block; }
.after { position: absolute; inset: 0; width: 100%; height: 100%; clip-path: inset(0 0 0 var(--at)); }
.range {
  position: absolute; top: 0; left: -22px; width: calc(100% + 44px); height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y; appearance: none; -webkit-appearance: none;
}
.range::-webkit-slider-thumb { appearance: none; -webkit-appearance: none; width: 44px; height: 100%; }
.range::-moz-range-thumb { width: 44px; height: 100%; border: 0; }
.line {
  position: absolute; top: 0; bottom: 0; left: var(--at); width: 4px; margin-left: -2px; pointer-events: none;
  background: #ffffff; box-shadow: 0 0 0 1px rgba(0, 0, 0, 0.65);
}
.knob {
  position: absolute; top: 50%; left: 50%; width: 2.25rem; height: 2.25rem; margin: -1.125rem 0 0 -1.125rem;
  border-radius: 50%; background: var(--st-background-color, #fff); color: var(--st-text-color, #000);
  box-shadow: 0 0 0 2px #ffffff, 0 0 0 3px rgba(0, 0, 0, 0.65); line-height: 2.25rem; text-align: center;
  font-size: 1.1rem;
}
.range:focus-visible ~ .line .knob { outline: 3px solid var(--st-primary-color, #0b7a75); outline-offset: 4px; }
.tag {
  position: absolute; bottom: 0.5rem; padding: 0.2rem 0.5rem; border-radius: 0.3rem; line-height: 1.2;
  background: rgba(0, 0, 0, 0.75); color: #ffffff; font-size: 0.8rem; pointer-events: none;
}
.left { left: 0.5rem; }
.right { right: 0.5rem; }
"""

JS = """
export default function (component) {
  const { data, parentElement } = component
  const find = (name) => parentElement.querySelector("." + name)
  const frame = find("frame"), range = find("range")
  find("before").src = data.before
  find("before").alt = data.alt
  find("after").src = data.after
  find("left").textContent = data.left
  find("right").textContent = data.right
  range.setAttribute("aria-label", data.label)
  const follow = () => {
    const at = Number(range.value)
    frame.style.setProperty("--at", at + "%")
    range.setAttribute("aria-valuenow", String(at))
    range.setAttribute("aria-valuetext", data.left + " " + at + " %, " + data.right + " " + (100 - at) + " %")
  }
  const keep = (event) => { if (event.key.startsWith("Arrow")) event.stopPropagation() }  // no paging meanwhile
  range.addEventListener("input", follow)
  range.addEventListener("keydown", keep)
  follow()
  return () => {
    range.removeEventListener("input", follow)
    range.removeEventListener("keydown", keep)
  }
}
"""

_mount = st.components.v2.component("medpeft_before_after", html=HTML, css=CSS, js=JS)


def draw_before_after(before: str, after: str, *, left: str, right: str, alt: str, key: str) -> None:
    """Draw two pictures in one frame.

    Args:
        before: data URI of the picture that shows left of the handle.
        after: data URI of the one that shows right of it, of the same size.
        left, right: what they are called.
        alt: what the pictures show, for screen readers.
        key: of the component; its handle stays where it was as long as the key does.
    """
    data: dict[str, Any] = {"before": before, "after": after, "left": left, "right": right, "alt": alt}
    _mount(key=key, data={**data, "label": f"{left} to the left of the handle, {right.lower()} to the right"})
