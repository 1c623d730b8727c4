"""Choosing a method in a real browser: the list of all, why one does not fit, another one, and what it would do."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_faults import find_faults
from lab_server import Server, wait_until_idle
from playwright.sync_api import Browser, Locator, Page, expect

ANSWER_MS = 180_000  # the compute process imports torch first
PHONE = {"width": 390, "height": 844}


def choose_backbone(page: Page, title: str) -> None:
    """Type the title of a backbone and hit Enter, as people do."""
    field = page.get_by_role("combobox", name="Backbone").first  # for a moment the old one stands beside the new one
    field.click()
    field.fill(title)
    field.press("Enter")
    expect(field).to_have_value(re.compile(f"^{title}, "))
    wait_until_idle(page)


def open_list(page: Page) -> Locator:
    page.get_by_role("button", name="All methods").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Use SSF")).to_be_visible()
    return dialog


@pytest.mark.slow
def test_method_is_chosen_from_the_list_of_all(make_server: Callable[..., Server], page: Page) -> None:
    """A greyed one says why; another one is taken, told and drawn; it is kept when it fits no longer."""
    server = make_server()
    page.goto(f"{server.url}/train")
    choose_backbone(page, "ResNet-18")
    dialog = open_list(page)
    greyed = dialog.locator(".st-key-method_list_card_vpt_deep")
    expect(greyed.get_by_role("button", name="Use VPT-deep")).to_be_disabled()
    expect(greyed).to_contain_text("Does not fit: it needs one sequence of tokens that goes through all blocks")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    open_list(page).get_by_role("button", name="Use Conv-Adapter").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("combobox", name="Method")).to_have_value("Conv-Adapter, additive")
    card = page.locator(".st-key-train_method_card")
    expect(card.get_by_role("img", name="Trains small adapters beside the convolutions; and the head.")).to_be_visible()
    expect(card).to_contain_text(re.compile(r"Trained share: [\d.]+ %"), timeout=ANSWER_MS)
    expect(card).to_contain_text(re.compile(r"Added inference cost: [\d.]+ % more multiply-adds"))
    expect(page.get_by_role("combobox", name="Method")).to_have_value("Conv-Adapter, additive")  # no tick undid it

    choose_backbone(page, "ViT-Tiny/16")
    expect(page.get_by_text("Conv-Adapter does not fit ViT-Tiny/16, a plain ViT")).to_be_visible()
    expect(page.get_by_role("combobox", name="Method")).to_have_value("Conv-Adapter, additive")
    page.get_by_role("button", name="Use LoRA instead").click()
    expect(card.get_by_role("img", name="Trains q and v of the attention")).to_be_visible()
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_list_of_methods_can_be_read_on_a_phone(
    make_server: Callable[..., Server], browser: Browser, theme: Any
) -> None:
    server = make_server()
    context = browser.new_context(color_scheme=theme, viewport=PHONE)
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{server.url}/train")
    choose_backbone(page, "ResNet-18")
    dialog = open_list(page)
    wait_until_idle(page)
    assert dialog.evaluate("item => item.scrollWidth <= item.clientWidth"), "nothing lies beyond the edge"
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert find_faults(page) == []
    dialog.get_by_role("button", name="Use SSF").click()
    expect(dialog).to_have_count(0)
    drawing = page.get_by_role("img", name="Trains a scale and a shift")  # the last method's is there for a moment too
    expect(drawing).to_be_visible()
    wait_until_idle(page)
    assert 250 < drawing.evaluate("item => item.getBoundingClientRect().width") <= PHONE["width"]
    context.close()
