"""Gives the arrow keys back to the page after a choice by mouse or finger: without it a list keeps the focus it got.

Whoever chose with a mouse looks at the picture again and wants to page on. Whoever uses the keyboard stays where the
choice was made, and so do sliders and text fields, to which the arrow keys belong.
"""

import streamlit as st

JS = """
const DELAY_MS = 120  // the list takes the focus back once when it closes

export default function () {
  const giveBack = (owner) => setTimeout(() => {
    const focused = document.activeElement
    // Who moved the focus elsewhere meanwhile, as to the handle of the picture, wants it there.
    if (focused && owner.contains(focused)) focused.blur()
  }, DELAY_MS)
  const findOwner = (target) => {
    if (!target.closest("[role=option]")) return target.closest("[role=radiogroup]")
    return document.querySelector("[role=combobox][aria-expanded=true]") ?? document.activeElement
  }
  const onClick = (event) => {
    const isByPointer = event.detail > 0  // a click that a key made counts none
    const owner = isByPointer && event.target.closest ? findOwner(event.target) : null
    if (owner) giveBack(owner)
  }
  const onKey = (event) => {
    const isNumber = event.target.matches && event.target.matches("input[type=number]")
    if (event.key === "Enter" && isNumber) giveBack(event.target)
  }
  document.addEventListener("click", onClick, true)
  document.addEventListener("keydown", onKey, true)
  return () => {
    document.removeEventListener("click", onClick, true)
    document.removeEventListener("keydown", onKey, true)
  }
}
"""

_mount = st.components.v2.component("medpeft_arrow_focus", js=JS)


def give_arrows_back(*, key: str) -> None:
    """Listen as long as the page is open; to be called once a page, always at the same place.

    Args:
        key: of the component.
    """
    _mount(key=key, height=1)
