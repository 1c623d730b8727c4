"""Ways to wait for what Explain shows, for its browser test."""

import re

from lab_server import wait_until_idle
from playwright.sync_api import Page, expect

ANSWER = """(number) => {
    const main = document.querySelector('[data-testid=stMain]')
    if (!main?.innerText.includes(`Image ${number} of`)) return false
    const maps = [...main.querySelectorAll('img')].filter(item => item.alt.includes('heat map'))
    return main.innerText.includes('There is no map to show') || maps.some(item => item.complete && item.naturalWidth)
}"""


def wait_for_answer(page: Page, number: int) -> None:
    page.wait_for_function(ANSWER, arg=number, timeout=120_000)


def wait_for_image(page: Page, number: int) -> None:
    """In any view, also those whose picture is named after no map."""
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text(re.compile(f"^Image {number} of"))).to_be_visible()
    wait_until_idle(page)  # before it the placeholder may not be there yet, nor the page before gone
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    views = main.get_by_role("radio", name="Overlay", exact=True)
    expect(views.or_(main.get_by_text("There is no map to show"))).to_be_visible()
    wait_until_idle(page)


def find_position(page: Page) -> int:
    found = re.search(r"Image (\d+) of", page.get_by_test_id("stMain").inner_text())
    assert found is not None
    return int(found[1])


def show_a_map(page: Page) -> None:
    """Page on until an image has a map; a flat one is told, not drawn."""
    wait_for_image(page, find_position(page))
    for _ in range(20):
        if page.get_by_text("There is no map to show").count() == 0:
            return
        number = find_position(page)
        page.keyboard.press("ArrowRight")
        wait_for_image(page, number + 1)
    raise AssertionError("none of 20 images has a map")
