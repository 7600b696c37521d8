"""The page as a person uses it, in a real browser."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def orange(tmp_path: Path) -> Path:
    """A photograph-sized picture: three quarters of its light are red."""
    file = tmp_path / "an orange.png"
    Image.new("RGB", (640, 480), (150, 50, 0)).save(file)
    return file


def bars(page: Any) -> list[str]:
    return [" ".join(text.split()) for text in page.locator("#bars li").all_inner_texts()]


def width(page: Any, bar: int) -> float:
    """The bar's share of its track, once it has grown."""
    page.wait_for_timeout(400)
    track = page.locator("#bars .track").nth(bar)
    return float(track.evaluate("t => t.firstChild.offsetWidth / t.offsetWidth"))


def is_wider_than_the_window(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def test_a_chosen_picture_gets_its_classes_as_bars(
    page: Any, colours_url: str, orange: Path
) -> None:
    page.goto(colours_url)
    page.get_by_label("Choose a picture").set_input_files(orange)
    page.wait_for_selector("#label:has-text('red 75.0 %')")  # the first sample is red too
    assert bars(page) == ["red 75.0 %", "green 25.0 %", "blue 0.0 %"]
    assert width(page, 0) == pytest.approx(0.75, abs=0.02)
    assert page.locator("#result").get_attribute("aria-busy") == "false"


def test_the_page_opens_with_the_first_sample(page: Any, colours_url: str) -> None:
    page.goto(colours_url)
    page.wait_for_selector("#label:has-text('red')")
    pressed = page.locator(".samples button[aria-pressed=true]")
    assert pressed.count() == 1
    assert pressed.locator("img").get_attribute("src") == "samples/0.png"


def test_a_slow_first_sample_does_not_overtake_a_chosen_picture(
    page: Any, colours_url: str, orange: Path
) -> None:
    held: list[Any] = []
    page.route("**/samples/0.png", lambda route: held.append(route))
    page.goto(colours_url, wait_until="domcontentloaded")
    page.wait_for_function("document.getElementById('file') !== null")
    while not held:
        page.wait_for_timeout(20)
    page.locator("#file").set_input_files(orange)
    page.wait_for_selector("#label:has-text('red 75.0 %')")
    for route in held:
        route.continue_()
    page.wait_for_timeout(300)
    assert page.locator("#label").inner_text() == "red 75.0 %"
    assert page.locator(".samples button[aria-pressed=true]").count() == 0


def test_a_sample_is_classified_by_click_and_by_keyboard(page: Any, colours_url: str) -> None:
    page.goto(colours_url)
    page.wait_for_selector("#label:has-text('red')")
    page.get_by_role("button", name="Sample 2").click()
    page.wait_for_selector("#label:has-text('green')")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#label:has-text('blue')")


def test_the_overlay_can_be_shown_and_hidden(page: Any, colours_url: str, orange: Path) -> None:
    page.goto(colours_url)
    page.locator("#file").set_input_files(orange)
    page.wait_for_selector("#label:has-text('75.0')")
    picture, switch = page.locator("#picture"), page.get_by_role("switch")
    assert picture.get_attribute("src").startswith("blob:")
    switch.check()
    assert picture.get_attribute("src").startswith("data:image/png;base64,")
    page.wait_for_function("document.getElementById('picture').naturalWidth === 16")
    switch.uncheck()
    page.wait_for_function("document.getElementById('picture').naturalWidth === 640")


def test_a_dropped_and_a_pasted_picture_are_classified(
    page: Any, colours_url: str, orange: Path
) -> None:
    page.goto(colours_url)
    page.wait_for_selector("#label:has-text('red')")
    file = io.BytesIO()
    Image.new("RGB", (20, 20), (0, 0, 90)).save(file, "PNG")
    give = """([bytes, kind]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
        const event = kind === "drop"
            ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
        document.getElementById("drop").dispatchEvent(event);
    }"""
    page.evaluate(give, [list(file.getvalue()), "drop"])
    page.wait_for_selector("#label:has-text('blue 100.0 %')")
    page.evaluate(give, [list(orange.read_bytes()), "paste"])
    page.wait_for_selector("#label:has-text('red 75.0 %')")


def test_a_file_that_is_no_picture_is_refused_on_the_page(
    page: Any, colours_url: str, tmp_path: Path, orange: Path
) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not a picture at all", encoding="utf-8")
    page.goto(colours_url)
    page.wait_for_selector("#answer:not([hidden])")
    page.locator("#file").set_input_files(text)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text().startswith("Not a picture in a format that is read here. Send JPEG")
    assert page.locator("#answer").is_hidden(), "an old answer must not stand beside an error"
    page.locator("#file").set_input_files(orange)
    page.wait_for_selector("#label:has-text('75.0')")
    assert alert.is_hidden()
    (expected,) = page.complaints  # a browser logs each answer that is a 4xx
    assert "422" in expected
    page.complaints.clear()


def test_too_large_a_file_is_not_even_sent(page: Any, colours_url: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(17 * 1024 * 1024))
    page.goto(colours_url)
    page.wait_for_selector("#answer:not([hidden])")
    page.locator("#file").set_input_files(large)
    page.get_by_role("alert").wait_for()
    assert "too large" in page.get_by_role("alert").inner_text()


def test_moving_a_slider_changes_the_prediction(page: Any, price_url: str) -> None:
    page.goto(price_url)
    page.wait_for_selector("#label:has-text('172.5')")  # 50 + 2 · 80 − 3 · 12.5
    page.get_by_role("slider", name="size").fill("100")
    page.wait_for_selector("#label:has-text('212.5')")
    assert page.get_by_role("spinbutton", name="size").input_value() == "100"
    assert page.locator("#change").inner_text() == "40 above the average row's 172.5"
    page.get_by_role("slider", name="age of the house").press("Home")
    page.wait_for_selector("#label:has-text('250')")


def test_typing_a_number_moves_its_slider(page: Any, price_url: str) -> None:
    page.goto(price_url)
    page.get_by_role("spinbutton", name="size").fill("20.5")
    page.wait_for_selector("#label:has-text('53.5')")
    assert float(page.get_by_role("slider", name="size").input_value()) == pytest.approx(20.5)
    assert page.get_by_text("outside the training data").count() == 0
    page.get_by_role("spinbutton", name="size").fill("1000")
    page.wait_for_selector("#label:has-text('2012.5')")
    assert page.get_by_text("outside the training data").is_visible()


def test_an_example_fills_the_form(page: Any, price_url: str) -> None:
    page.goto(price_url)
    page.get_by_role("button", name="Example 2").click()
    page.wait_for_selector("#label:has-text('131.25')")  # 50 + 2 · 45.5 − 3 · 3.25
    assert page.get_by_role("spinbutton", name="age of the house").input_value() == "3.25"
    page.get_by_role("button", name="Average").click()
    page.wait_for_selector("#label:has-text('172.5')")


def test_a_field_left_empty_is_named(page: Any, price_url: str) -> None:
    page.goto(price_url)
    page.wait_for_selector("#answer:not([hidden])")
    page.get_by_role("spinbutton", name="size").fill("")
    page.get_by_role("alert").wait_for()
    assert "size needs a number" in page.get_by_role("alert").inner_text().lower()


def test_a_row_of_texts_choices_and_missing_values(page: Any, passengers_url: str) -> None:
    page.goto(passengers_url)
    # The first example: 2 · [female] − 30 / 20 + 8 / 100, and a sigmoid.
    page.wait_for_selector("#label:has-text('survived 64.1 %')")
    age = page.get_by_role("spinbutton", name="Age")
    assert age.input_value() == ""
    assert age.get_attribute("placeholder") == "missing"
    assert page.get_by_role("textbox", name="Name").input_value() == "O'Dwyer, Miss. Ellen"
    port = page.get_by_role("combobox", name="Port")
    assert port.locator("option").all_inner_texts() == ["missing", "C", "Q", "S"]

    age.fill("80")
    page.wait_for_selector("#label:has-text('died 87.2 %')")
    port.select_option("C")
    page.wait_for_selector("#label:has-text('died 71.5 %')")
    page.get_by_role("combobox", name="Sex").select_option("male")
    page.wait_for_selector("#label:has-text('died 94.9 %')")
    page.get_by_role("textbox", name="Name").fill("")
    page.get_by_role("button", name="Example 3").click()
    page.wait_for_selector("#label:has-text('survived 71.1 %')")
    assert port.input_value() == "", "its port is missing"
    assert page.get_by_role("button", name="Average").count() == 0, "there is no average name"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("service", ["colours_url", "price_url", "passengers_url"])
def test_nothing_is_wider_than_a_phone(
    page: Any, service: str, scheme: str, request: pytest.FixtureRequest
) -> None:
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme=scheme)
    page.goto(request.getfixturevalue(service))
    page.wait_for_selector("#answer:not([hidden])")
    page.locator("summary").click()
    assert page.locator("pre").is_visible()
    assert not is_wider_than_the_window(page)


def test_on_a_phone_the_answer_comes_into_sight(page: Any, colours_url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 600})
    page.goto(colours_url)
    page.wait_for_selector("#label:has-text('red')")
    page.get_by_role("button", name="Sample 2").click()
    page.wait_for_selector("#label:has-text('green')")
    page.wait_for_function(
        "document.getElementById('picture').getBoundingClientRect().top < innerHeight"
    )


def test_every_control_has_a_name(
    page: Any, colours_url: str, price_url: str, passengers_url: str
) -> None:
    for url in (colours_url, price_url, passengers_url):
        page.goto(url)
        page.wait_for_selector("#answer:not([hidden])")
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, img, a")]
                .filter(e => e.offsetParent || e.type === "file")
                .filter(e => !(e.ariaLabel || e.alt || e.textContent.trim() || e.labels?.length
                               || e.querySelector("img[alt]")))
                .map(e => e.outerHTML)"""
        )
        assert not nameless
        assert page.locator("[aria-live=polite]").count() == 1
        assert page.locator("html").get_attribute("lang") == "en"
