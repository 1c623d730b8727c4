"""Explain as a clinician uses it: page with the keyboard, drag the handle, lay two runs beside each other, save."""

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

import pytest
from explain_waits import find_position, show_a_map, wait_for_answer, wait_for_image
from lab_server import ROOT, Server, wait_until_idle
from PIL import Image
from playwright.sync_api import BrowserContext, Page, WebSocket, expect

NUM_PAGES = 10
DATA = [
    "--dataset",
    "phantom",
    "--set",
    "data.num_patients=120",
    "--set",
    "data.size=96",
    "--set",
    "data.cache_size=96",
]
RUNS = (
    ["--backbone", "test_resnet", "--method", "full", "--image-size", "96", "--epochs", "3"],
    ["--backbone", "test_vit", "--method", "lora", "--image-size", "96", "--epochs", "2"],
)


@pytest.fixture
def run_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two finished runs on a small synthetic set in the home of this test."""
    monkeypatch.setenv("MEDPEFT_HOME", str(tmp_path / "home"))
    for settings in RUNS:
        command = [sys.executable, "-m", "medpeft_core", "train", *DATA, *settings, "--device", "cpu"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return sorted(path.name for path in (tmp_path / "home" / "runs").iterdir())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_explain_journey(
    make_server: Callable[..., Server], context: BrowserContext, page: Page, run_ids: list[str], tmp_path: Path
) -> None:
    """From a bookmark on a fresh server through ten images, all by the keyboard; nothing leaves the machine."""
    first, second = run_ids
    addresses: list[str] = []
    context.on("request", lambda request: addresses.append(request.url))
    server = make_server()
    kept = server.home / "cache" / "explanations"
    assert list((kept / first).glob("*.json")), "a finished run leaves the maps that are seen first"
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.goto(f"{server.url}/explain?run={first}")
    wait_for_answer(page, 1)
    seen = set()
    for number in range(1, NUM_PAGES + 1):
        wait_for_answer(page, number)
        wait_until_idle(page)
        assert ("image=" in page.url) or number == 1
        seen.add(page.get_by_role("img", name=re.compile("^Test image")).first.get_attribute("alt"))
        page.keyboard.press("ArrowRight")
    assert len(seen) == NUM_PAGES, "each page must show another image"
    wait_for_answer(page, NUM_PAGES + 1)
    page.keyboard.press("ArrowLeft")
    wait_for_answer(page, NUM_PAGES)

    check_arrows_stay_in_fields(page)
    check_arrows_after_the_mouse(page)
    check_list_outlives_the_sidebar(page, sockets[-1])
    check_no_frame_around_the_page(page)
    show_a_map(page)
    check_handle(page)
    check_focus_stays_where_it_was_moved(page)
    check_nothing_of_another_view_stays(page, sockets[-1])
    check_download(page, tmp_path)
    check_phone(page, server, first)
    check_two_runs(page, server, first, second)

    shutil.move(next((server.home / "datasets").glob("phantom-*")), tmp_path / "elsewhere")
    page.goto(f"{server.url}/explain?run={first}&image=20")
    expect(page.get_by_text("This image cannot be explained")).to_be_visible(timeout=120_000)
    expect(page.get_by_text("The probabilities are stored with the run")).to_be_visible()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    assert page.get_by_test_id("stException").count() == 0
    assert all(urlparse(address).hostname == "127.0.0.1" for address in addresses if address.startswith("http"))


def check_arrows_stay_in_fields(page: Page) -> None:
    """An arrow key in a field moves its cursor, and turns no page; a number typed there jumps."""
    number = find_position(page)
    field = page.get_by_role("spinbutton", name=re.compile("^Image, 1 to"))
    for box in (field, page.get_by_role("combobox", name="Label to explain")):
        box.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(800)
        assert find_position(page) == number
    field.fill("3")
    field.press("Enter")
    wait_for_answer(page, 3)
    page.get_by_role("heading", name="Explain", exact=True).click()
    page.keyboard.press("ArrowRight")
    wait_for_answer(page, 4)


def check_arrows_after_the_mouse(page: Page) -> None:
    """Arrow keys died exactly when they were wanted: after a list, a view or a number had been chosen by hand."""

    def turn(what: str) -> None:
        wait_until_idle(page)
        page.wait_for_function("document.activeElement === document.body")
        number = find_position(page)
        page.keyboard.press("ArrowRight")
        wait_for_image(page, number + 1)
        assert find_position(page) == number + 1, what

    page.get_by_role("combobox", name="Images").click()
    page.get_by_role("option", name=re.compile("Most certain and right")).click()
    expect(page).to_have_url(re.compile("show=right"))
    turn("a list")
    page.get_by_role("combobox", name="Images").click()
    page.get_by_role("option", name=re.compile("All test images")).click()
    expect(page).not_to_have_url(re.compile("show="))
    field = page.get_by_role("spinbutton", name=re.compile("^Image, 1 to"))
    field.click()
    field.fill("5")
    field.press("Enter")
    wait_for_answer(page, 5)
    turn("a number")
    show_a_map(page)
    for view in ("Side by side", "Slider", "Original", "Overlay"):
        show_a_map(page)
        page.get_by_role("radio", name=view, exact=True).click()
        turn(view)
    choice = page.get_by_role("combobox", name="Label to explain")
    choice.focus()
    choice.fill("Effusion")
    choice.press("Enter")  # whoever uses the keyboard stays where the choice was made
    expect(page).to_have_url(re.compile("label=Effusion"))
    wait_until_idle(page)
    page.wait_for_timeout(500)
    expect(choice).to_be_focused()


def check_list_outlives_the_sidebar(page: Page, socket: WebSocket) -> None:
    """A chosen list was gone again, and another image there, where the sidebar was renewed before the page answered."""
    for delay_ms in (1900, 1930, 1960):  # the sidebar is renewed two seconds after it was
        page.get_by_role("combobox", name="Images").click()
        page.get_by_role("option", name=re.compile("All test images")).click()
        expect(page).not_to_have_url(re.compile("show="))
        field = page.get_by_role("spinbutton", name=re.compile("^Image, 1 to"))
        field.fill("3")
        field.press("Enter")
        wait_for_image(page, 3)
        page.get_by_role("combobox", name="Images").click()
        page.wait_for_timeout(500)
        with socket.expect_event("framesent"):
            pass  # nobody touches the page: this is the sidebar
        page.wait_for_timeout(delay_ms)
        page.get_by_role("option", name=re.compile("Most certain and right")).click()
        page.wait_for_timeout(800)
        wait_for_image(page, 1)
        expect(page).to_have_url(re.compile("show=right"))


def check_no_frame_around_the_page(page: Page) -> None:
    """A click on blank page and a key drew a thick grey frame around everything."""
    page.get_by_role("heading", name="Explain", exact=True).click()
    page.keyboard.press("ArrowUp")
    main = page.get_by_test_id("stMain")
    expect(main).to_be_focused()
    assert main.evaluate("element => getComputedStyle(element, '::before').boxShadow") == "none"
    assert main.evaluate("element => getComputedStyle(element).outlineStyle") == "none"


def check_handle(page: Page) -> None:
    """The before/after handle is a slider to keyboards and screen readers, and keeps the arrow keys to itself."""
    page.get_by_role("radio", name="Slider", exact=True).click()
    handle = page.get_by_role("slider", name=re.compile("^Original to the left of the handle"))
    expect(handle).to_have_attribute("aria-valuenow", "50")
    wait_until_idle(page)
    number = find_position(page)
    handle.press("ArrowRight")
    handle.press("ArrowRight")
    expect(handle).to_have_attribute("aria-valuenow", "52")
    expect(handle).to_have_attribute("aria-valuetext", "Original 52 %, Overlay 48 %")
    handle.press("Home")
    expect(handle).to_have_attribute("aria-valuenow", "0")
    page.wait_for_timeout(800)
    assert find_position(page) == number
    box = handle.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
    assert 65 <= int(handle.get_attribute("aria-valuenow") or 0) <= 85


def check_focus_stays_where_it_was_moved(page: Page) -> None:
    """Who took the handle right after a choice by mouse lost it a blink later: the arrow keys turned pages instead."""
    handle = page.get_by_role("slider", name=re.compile("^Original to the left of the handle"))
    handle.evaluate(
        "handle => document.addEventListener('click', () => setTimeout(() => handle.focus()), "
        "{once: true, capture: true})"  # faster than any hand, and long before the focus is given back
    )
    number = find_position(page)
    page.get_by_role("radio", name="Slider", exact=True).click()  # chosen already, so nothing is drawn anew
    expect(handle).to_be_focused()
    page.wait_for_timeout(500)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(handle).to_have_attribute("aria-valuenow", "1")
    page.wait_for_timeout(800)
    assert find_position(page) == number


def check_nothing_of_another_view_stays(page: Page, socket: WebSocket) -> None:
    """Below the overlay the page went on to say how to drag a handle, where the sidebar was renewed in that moment."""
    hint = page.get_by_text("Drag the handle over the picture")
    for delay_ms in (1750, 1800, 1850, 1900, 1950):  # the sidebar is renewed two seconds after it was
        page.get_by_role("radio", name="Slider", exact=True).click()
        expect(hint).to_be_visible()
        wait_until_idle(page)
        with socket.expect_event("framesent"):
            pass  # nobody touches the page: this is the sidebar
        page.wait_for_timeout(delay_ms)
        page.get_by_role("radio", name="Overlay", exact=True).click()
        expect(page.get_by_role("img", name=re.compile("The same image with the heat map"))).to_be_visible()
        expect(hint).to_have_count(0)
    wait_until_idle(page)


def check_download(page: Page, folder: Path) -> None:
    """What is saved has the pixels of the source and says what it is."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Overlay as PNG").click()
    waiting.value.save_as(folder / "saved.png")
    assert re.fullmatch(r"[\w-]+\.png", waiting.value.suggested_filename)
    with Image.open(io.BytesIO((folder / "saved.png").read_bytes())) as picture:
        assert picture.width >= 96
        assert picture.height > 96, "a strip below says what it is"
        assert "not for clinical use" in picture.text["Description"]  # type: ignore[attr-defined]


def check_phone(page: Page, server: Server, run_id: str) -> None:
    """The film began 830 pixels down the page of a phone, so that it and Next were never seen together."""
    size = page.viewport_size
    assert size is not None
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server.url}/explain?run={run_id}")
    wait_for_answer(page, 1)
    wait_until_idle(page)
    film = page.get_by_role("img", name=re.compile("^Test image")).first.bounding_box()
    following = page.get_by_role("button", name="Next").bounding_box()
    table = page.get_by_test_id("stDataFrame").bounding_box()
    assert film is not None
    assert following is not None
    assert table is not None
    assert film["y"] + film["height"] <= 844
    assert 0 <= following["y"] < film["y"]
    assert following["x"] + following["width"] <= 390
    assert table["x"] + table["width"] <= 390
    page.set_viewport_size(size)


def check_two_runs(page: Page, server: Server, first: str, second: str) -> None:
    """Both runs on one image, each with its picture; the choice is in the address."""
    page.goto(f"{server.url}/explain?run={first}&with={second}&label=Effusion")
    wait_for_answer(page, 1)
    main = page.get_by_test_id("stMain")
    expect(main.get_by_text(re.compile("^A · Full fine-tuning"))).to_be_visible()
    expect(main.get_by_text(re.compile("^B · LoRA"))).to_be_visible()
    expect(main.get_by_text("What the two models say")).to_be_visible()
    page.get_by_role("combobox", name="Images").click()
    page.get_by_role("option", name=re.compile("The two runs disagree")).click()
    expect(page).to_have_url(re.compile("show=disagree"))
    assert f"with={second}" in page.url
