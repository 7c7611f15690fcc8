"""What a first-time visitor stumbled over: words that are cut off, bars without room, a progress sign over a sentence."""

import re

import pytest
from browser import SIZES
from playwright.sync_api import Page, expect

from aia.visualization import export
from app import browser as scripts
from app import text


@pytest.fixture
def open_page(browser, shipped_page):
    opened = []

    def open_at(size: str, **options) -> Page:
        width, height = SIZES[size]
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        opened.append(page)
        page.goto(shipped_page)
        page.wait_for_function(
            "() => { const answers = document.querySelector('.viewer')?.viewer?.answers;"
            " return answers?.length && !answers[0].prepared; }"
        )
        return page

    yield open_at
    for page in opened:
        page.close()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=text.TABS[name], exact=True).click()


@pytest.mark.long
def test_every_format_can_be_read_in_the_closed_menu_of_a_phone(open_page):
    page = open_page("phone", has_touch=True, is_mobile=True, reduced_motion="reduce")
    tab(page, "take")
    menu = page.locator("#format input")
    for name, format in export.FORMATS.items():
        menu.tap()
        page.get_by_role("option", name=f"{name}: {format.description}", exact=True).tap()
        expect(menu).to_have_value(f"{name}: {format.description}")
        needed, room = menu.evaluate("""(input) => {
          const style = getComputedStyle(input), pen = document.createElement("canvas").getContext("2d");
          pen.font = style.font;
          const end = document.querySelector("#format .icon-wrap").getBoundingClientRect().left;
          return [pen.measureText(input.value).width, end - input.getBoundingClientRect().left - parseFloat(style.paddingLeft)];
        }""")
        assert needed <= room, name


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
def test_two_sides_bars_have_room_beside_long_labels_and_the_progress_sign_covers_no_sentence(open_page, size):
    page = open_page(size)
    page.get_by_role("button", name="circle", exact=True).click()
    expect(page.locator("#label")).to_contain_text("counter-clockwise")
    tab(page, "compare")
    page.locator("#run-compare").click()
    expect(page.locator("#compared .scores")).to_have_count(2)
    widths = page.locator("#compared .scores .track").evaluate_all("(bars) => bars.map((bar) => bar.offsetWidth)")
    assert len(widths) == 10 and min(widths) > 50
    page.locator(".viewer [data-do=drop]").click()
    held = []
    page.route("**/gradio_api/queue/join*", lambda route: held.append(route))
    tab(page, "what-if")
    work = page.locator("#ranking .progress-text")
    expect(work).to_be_visible()
    work, sentence = work.bounding_box(), page.locator("[data-part=sentence]").bounding_box()
    assert work["y"] + work["height"] <= sentence["y"] or work["x"] >= sentence["x"] + sentence["width"]


def test_the_page_says_usual_and_programs_say_typical():
    def sentences(value):
        if isinstance(value, dict):
            value = list(value.values())
        return [one for item in value for one in sentences(item)] if isinstance(value, list | tuple) else [str(value)]

    said = sentences({name: value for name, value in vars(text).items() if name.isupper()})
    html = re.sub(r"<[^>]+>", " ", scripts.read("viewer/viewer.html") + scripts.read("learn/learn.html"))
    assert any("usual" in sentence for sentence in said) and "from usual" in html
    assert [sentence for sentence in (*said, html) if "typical" in sentence] == []
