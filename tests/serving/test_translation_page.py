"""The page of a translation as a person uses it, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def dictionary_url(
    start: Callable[..., AbstractContextManager[Any]], dictionary_bundle: Path
) -> Iterator[str]:
    with start("--bundle", str(dictionary_bundle)) as service:
        yield service.url


def test_a_text_is_translated_while_it_is_written(page: Any, dictionary_url: str) -> None:
    page.goto(dictionary_url)
    page.wait_for_selector("#translation:has-text('la petite maison')")  # the first example
    assert page.locator("header").get_by_text("Translates English to French.").is_visible()
    page.get_by_role("textbox", name="Text").fill("the red door")
    page.wait_for_selector("#translation:has-text('la rouge porte')")
    assert page.locator("#alternatives li").first.inner_text().startswith("une rouge porte")
    assert page.locator(".choices button[aria-pressed=true]").count() == 0


def test_a_translation_shows_where_it_looked(page: Any, dictionary_url: str) -> None:
    page.goto(dictionary_url)
    page.get_by_role("button", name="the house sees the door").click()
    page.wait_for_selector("#translation:has-text('voit')")
    table = page.locator("#alignment")
    assert table.locator("th[scope=col]").all_inner_texts() == [
        "the", "house", "sees", "the", "door", "∎",
    ]  # fmt: skip
    sees = table.get_by_role("row", name="voit")
    assert sees.locator("td").all_inner_texts() == ["", "", "100", "", "", ""]
    sees.locator("td").nth(2).hover()
    assert table.locator(".at").all_inner_texts() == ["sees", "voit"]


def test_a_text_that_cannot_be_translated_says_why(page: Any, dictionary_url: str) -> None:
    page.goto(dictionary_url)
    page.wait_for_selector("#translation:has-text('maison')")
    text = page.get_by_role("textbox", name="Text")
    with page.expect_response("**/predict*"):
        text.fill("дом")
    page.wait_for_selector("#error:has-text('unknown to the model: д о м')")
    page.complaints.clear()  # the browser logs the 422
    assert not page.locator("#answer").is_visible()
    text.fill("")
    page.wait_for_selector("#error:has-text('Write a sentence')")


def test_a_long_translation_fits_on_a_phone(page: Any, dictionary_url: str) -> None:
    page.set_viewport_size(PHONE)
    page.goto(dictionary_url)
    page.get_by_role("textbox", name="Text").fill("the red door and the small house " * 3)
    page.wait_for_selector("#alignment tr:nth-child(20)")
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


def test_every_control_has_a_name(page: Any, dictionary_url: str) -> None:
    page.goto(dictionary_url)
    page.wait_for_selector("#answer:not([hidden])")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, textarea, a")]
            .filter(e => e.offsetParent)
            .filter(e => !(e.textContent.trim() || e.labels?.length
                           || e.getAttribute("aria-labelledby")))
            .map(e => e.outerHTML)"""
    )
    assert not nameless
    assert page.locator("[aria-live=polite]").count() == 1
