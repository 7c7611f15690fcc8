"""The first screen: what stands in it on a desktop and a phone, the film that plays by itself, and experiments by one press."""

import itertools
import re
from collections.abc import Callable, Iterator

import pytest
from browser import PATIENCE, SIZES, desktop, phone
from conftest import ROOT
from playwright.sync_api import Page, expect

from app import text

EXAMPLES = ROOT / "assets" / "examples"
FRAME = "document.querySelector('.viewer').viewer.state.frame"
PLAYING = "document.querySelector('.viewer').viewer.state.playing"
PARTS = {  # what a visitor must see without scrolling, by the size of the window
    "desktop": {
        "title": "h1",
        "model": "#model",
        "upload": "#clip [data-do=choose]",
        "camera": "#clip [data-do=camera]",
        "tabs": "#tabs .tab-container >> visible=true",
        "label": "#label",
        "confidence": ".answer .track",
        "picture": "canvas.frame >> nth=0",
        "legend": ".viewer .legend",
        "timeline": ".viewer .transport",
        "film": ".viewer .film",
        "experiments": ".viewer .tries",
        "blocks": ".viewer .ladder",
        "channels": "canvas.bars >> nth=0",
    },
    "phone": {
        "title": "h1",
        "model": "#model",
        "upload": "#clip [data-do=choose]",
        "camera": "#clip [data-do=camera]",
        "tabs": "#tabs .tab-container >> visible=true",
        "label": "#label",
        "confidence": ".answer .track",
        "picture": "canvas.frame >> nth=0",
        "timeline": ".viewer .transport",
        "film": ".viewer .film",
    },
}


def arrived(page: Page, sides: int = 1, example: str | None = None) -> None:
    """Waits for an answer with every channel's gates; `example`: of side A."""
    page.wait_for_function(
        "([sides, example]) => { const v = document.querySelector('.viewer')?.viewer;"
        " return v?.answers.length === sides && v.answers.every((one) => one.channelBytes?.length || !one.blocks.length)"
        " && (example === null || v.answers[0].link.example === example); }",
        arg=[sides, example],
    )


def new_page(browser, size: str, **options) -> Page:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, **options)
    page.set_default_timeout(PATIENCE)
    return page


@pytest.fixture(scope="module")
def pages(browser, shipped_page) -> Iterator[Callable[[str], Page]]:
    """Opens one page of each size, which its tests share: opening a page takes longer than most of them."""
    found = {}

    def page_of(size: str) -> Page:
        if size not in found:
            found[size] = page = new_page(browser, size)
            page.problems = []
            page.on("pageerror", lambda error: page.problems.append(str(error)))
            page.goto(shipped_page)
            arrived(page)
            page.played_at_first = page.evaluate(PLAYING)
        return found[size]

    yield page_of
    for page in found.values():
        page.close()


@pytest.fixture(params=SIZES)
def page(pages, request) -> Iterator[Page]:
    """The shared page of a size, as it is opened: its first tab and one side."""
    shared = pages(request.param)
    shared.get_by_role("tab", name=text.TABS["look"], exact=True).click()
    if (drop := shared.locator(".viewer [data-do=drop]")).is_visible():
        drop.click()
    arrived(shared)
    shared.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    yield shared
    assert shared.problems == []
    assert shared.evaluate("document.documentElement.scrollWidth") <= SIZES[request.param][0], "no horizontal bar"


@pytest.fixture
def moving(browser, shipped_page) -> Iterator[Page]:
    """A page of a visitor who did not ask for less motion."""
    opened = new_page(browser, "desktop", reduced_motion="no-preference")
    yield opened
    opened.close()


def boxes(page: Page, parts: dict[str, str]) -> dict[str, dict]:
    found = {}
    for name, selector in parts.items():
        box = page.locator(selector).first.bounding_box()
        assert box, f"{name} is not drawn"
        found[name] = box
    return found


def stand_in_the_first_screen(page: Page, names: list[str]) -> None:
    """The parts are inside the window as it opens, and above the tabs if these are at its foot."""
    width, height = page.viewport_size["width"], page.viewport_size["height"]
    size = "phone" if width == SIZES["phone"][0] else "desktop"
    assert page.evaluate("scrollY") == 0
    found = boxes(page, {name: PARTS[size][name] for name in names})
    floor = found["tabs"]["y"] if size == "phone" else height
    for name, box in found.items():
        assert box["x"] >= 0 and box["x"] + box["width"] <= width + 1, name
        bottom = height if name == "tabs" else floor
        assert box["y"] >= 0 and box["y"] + box["height"] <= bottom + 1, (name, box)


def test_everything_of_the_first_screen_stands_in_it(page):
    size = "phone" if page.viewport_size["width"] == SIZES["phone"][0] else "desktop"
    stand_in_the_first_screen(page, list(PARTS[size]))
    box = page.locator("canvas.frame").bounding_box()
    if size == "desktop":
        assert box["width"] > 600 and box["x"] < 100, "the picture is large, and on the left"
        right = page.locator(".viewer .ladder").bounding_box()
        assert right["x"] > box["x"] + box["width"], "the blocks stand beside it"
    else:
        assert box["width"] > 350, "the picture fills the width"


def test_all_tabs_can_be_reached_and_none_overlaps(page):
    tabs = page.get_by_role("tablist").first.get_by_role("tab")
    expect(tabs).to_have_text(list(text.TABS.values()))
    width, height = page.viewport_size["width"], page.viewport_size["height"]
    for chosen in [*text.TABS.values(), text.TABS["look"]]:
        page.get_by_role("tab", name=chosen, exact=True).click()
        found = tabs.evaluate_all("(all) => all.map((tab) => tab.getBoundingClientRect().toJSON())")
        for left, right in itertools.pairwise(found):
            assert left["x"] + left["width"] <= right["x"] + 1
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= width + 1 for box in found)
        if width < 1000:
            assert all(box["y"] >= 0 and box["y"] + box["height"] <= height + 1 for box in found), (
                "also after scrolling"
            )
        assert all(box["height"] >= 44 for box in found)
        expect(page.get_by_role("tab", name=chosen, exact=True)).to_have_attribute("aria-selected", "true")


@desktop
def test_no_tab_covers_the_title_and_its_mark_on_any_wide_screen(page):
    title, first = page.locator(".aia-head .info"), page.locator("#tab-look-button")
    width, height = SIZES["desktop"]
    for wide in range(1000, 2000, 45):
        page.set_viewport_size({"width": wide, "height": height})
        mark, tab = title.bounding_box(), first.bounding_box()
        assert mark["x"] + mark["width"] <= tab["x"], wide
    page.set_viewport_size({"width": width, "height": height})


@pytest.mark.long
@desktop
def test_both_sides_stand_in_line_where_only_one_has_gates(page):
    page.locator("[data-try=without-gates]").click()
    frames = page.locator("canvas.frame")
    expect(frames).to_have_count(2)
    one, other = (frames.nth(side).bounding_box() for side in (0, 1))
    assert one["y"] == other["y"] and abs(one["height"] - other["height"]) < 1
    expect(page.locator(".pane").nth(1)).to_contain_text(text.VIEWER["no_gates_b"])


@pytest.mark.long
@phone
def test_an_experiment_is_one_press_and_both_sides_stand_in_sight(page):
    for name in ("gates-off", "backwards", "without-gates"):
        button = page.locator(f"[data-try={name}]")
        expect(button).to_have_text(text.VIEWER["tries"][name])
        button.click()
        page.wait_for_function(
            "(words) => document.querySelector('[data-part=verdict]').textContent.match(words)",
            arg={"gates-off": "held at their mean", "backwards": "[Bb]ackwards", "without-gates": "A says|Both say"}[
                name
            ],
        )
        arrived(page, sides=2)
        expect(page.locator("[data-try][aria-busy=true]")).to_have_count(0)
        expect(page.locator("[data-part=verdict]")).to_be_visible()
        for side in range(2):
            expect(page.locator("canvas.frame").nth(side)).to_be_in_viewport(ratio=0.99)
        left, right = (page.locator("canvas.frame").nth(side).bounding_box() for side in range(2))
        assert left["x"] + left["width"] <= right["x"] and left["width"] == pytest.approx(right["width"], abs=1)
    answers = page.evaluate("document.querySelector('.viewer').viewer.answers.map((one) => one.blocks.length)")
    assert answers[0] > 0 and answers[1] == 0, "the same network without gates"
    page.locator(".viewer [data-do=drop]").click()
    arrived(page)
    expect(page.locator("[data-part=verdict]")).to_be_hidden()


@pytest.mark.long
@desktop
def test_only_experiments_that_the_model_allows_are_offered(page):
    before = page.locator("#model input").input_value()
    page.locator("#model input").click()
    page.get_by_role("option", name=re.compile(r"^(Gestures · )?TSM, no gates")).click()
    expect(page.locator("#summary")).to_contain_text("TSM with no AIA")
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].blocks.length === 0")
    assert page.locator("[data-try]").all_inner_texts() == [text.VIEWER["tries"]["backwards"]]
    page.locator("#model input").click()
    page.get_by_role("option", name=before).click()
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].blocks.length > 0")


# ---- the film


@pytest.mark.long
def test_the_film_plays_by_itself_until_a_visitor_touches_it(moving, shipped_page):
    moving.goto(shipped_page)
    arrived(moving)
    seen = {moving.evaluate(FRAME)}
    for _ in range(3):
        moving.wait_for_function(f"(seen) => !seen.includes({FRAME})", arg=list(seen))
        seen.add(moving.evaluate(FRAME))
    expect(moving.get_by_role("button", name="Pause")).to_be_visible()
    moving.locator(".film button").nth(2).click()
    assert moving.evaluate(PLAYING) is False and moving.evaluate(FRAME) == 2
    moving.wait_for_function("location.search.includes('frame=2')")
    moving.locator("#clip input[type=file]").set_input_files(str(EXAMPLES / "star.mp4"))
    arrived(moving, example="star")
    assert moving.evaluate(PLAYING) is False, "a visitor who stopped the film wants it still"
    moving.get_by_role("button", name="Play", exact=True).click()
    moving.wait_for_function("!location.search.includes('frame=')")
    assert moving.evaluate(PLAYING) is True


TOUCHES = {
    "pause": lambda page: page.locator(".viewer [data-do=play]").click(),
    "next": lambda page: page.locator(".viewer [data-do=on]").click(),
    "slider": lambda page: page.locator(".viewer [data-state=frame]").fill("3"),
    "picture": lambda page: page.locator("canvas.frame").click(),
    "link": lambda page: page.get_by_role("button", name="Copy link").click(),
    "table": lambda page: page.locator("summary", has_text="as a table").click(),
}


@pytest.mark.long
def test_whatever_needs_a_still_frame_stops_the_film_and_another_block_or_gate_does_not(moving, shipped_page):
    moving.goto(shipped_page)
    arrived(moving)
    moving.locator(".ladder button").nth(4).click()
    moving.locator(".viewer").get_by_role("radio", name="T", exact=True).click()
    assert moving.evaluate(PLAYING)
    for name, touch in TOUCHES.items():
        assert moving.evaluate(PLAYING), name
        touch(moving)
        moving.wait_for_function(f"!{PLAYING}")
        moving.get_by_role("button", name="Play", exact=True).click()


@pytest.mark.long
def test_the_film_stands_still_for_those_who_want_less_motion_and_on_the_frame_of_a_link(pages, moving, shipped_page):
    assert not pages("desktop").played_at_first
    moving.goto(f"{shipped_page}/?example=star&frame=5")
    arrived(moving, example="star")
    assert not moving.evaluate(PLAYING) and moving.evaluate(FRAME) == 5


# ---- what stands behind a mark


@phone
def test_explanations_and_controls_open_by_key_and_by_touch_and_close_again(page):
    marks = page.locator(".info:visible")
    assert marks.count() >= 3
    for mark in marks.all():
        panel = page.locator(f"#{mark.get_attribute('popovertarget')}")
        expect(panel).to_be_hidden()
        mark.focus()
        page.keyboard.press("Enter")
        expect(panel).to_be_visible()
        assert len(panel.inner_text()) > 40
        page.keyboard.press("Escape")
        expect(panel).to_be_hidden()
    menu = page.locator(".viewer .menu")
    menu.locator("summary").click()
    expect(page.locator(".viewer [data-state=opacity]")).to_be_visible()
    page.locator("#label").click()
    expect(page.locator(".viewer [data-state=opacity]")).to_be_hidden()


@pytest.mark.long
def test_whatever_is_pressed_is_large_enough_for_a_finger(browser, shipped_page):
    page = new_page(browser, "phone", has_touch=True, is_mobile=True, reduced_motion="reduce")
    page.goto(shipped_page)
    arrived(page)
    pressed = (
        ":is(button, select, summary, .secondary-wrap, [type=range], label:has(> [type=checkbox], > [type=radio]))"
    )
    for tab in ("look", "what-if", "compare", "take"):
        page.get_by_role("tab", name=text.TABS[tab], exact=True).tap()
        sizes = page.evaluate(
            """(pressed) => [...document.querySelectorAll(`:is(#bar, #clips, #desk) ${pressed}`)]
            .filter((one) => one.checkVisibility())
            .map((one) => [one.outerHTML.slice(0, 90), one.offsetWidth, one.offsetHeight])""",
            pressed,
        )
        assert len(sizes) > 20
        assert [one for one in sizes if min(one[1:]) < 44 and "secondary-wrap" not in one[0]] == []
        assert [one for one in sizes if one[2] < 32] == []
    page.close()


@phone
def test_an_opened_tab_comes_into_sight_on_a_phone(page):
    for tab, part in (("compare", "#run-compare"), ("take", "#make"), ("what-if", "#switch"), ("look", "#label")):
        page.get_by_role("tab", name=text.TABS[tab], exact=True).click()
        expect(page.locator(part)).to_be_in_viewport()


@phone
def test_controls_whose_words_a_phone_hides_keep_their_names(page):
    expect(page.get_by_role("combobox", name="Scale", exact=True)).to_be_visible()
    expect(page.locator(".viewer summary[aria-label=Display]")).to_be_visible()


@desktop
def test_live_looks_by_itself_only_for_a_model_that_may_say_nothing(page):
    page.get_by_role("tab", name=text.TABS["live"], exact=True).click()
    menu, by_itself = page.locator("#live [data-state=model]"), page.locator("#live [data-part=byItself]")
    before = menu.input_value()
    for model, fits_every_clip in (("camera-tsn-mobilenetv2-cinst", True), ("tsn-mobilenetv2-stinc", False)):
        menu.select_option(model)
        assert by_itself.evaluate("label => label.hidden") == fits_every_clip
    menu.select_option(before)


@desktop
def test_the_five_labels_are_one_click_away(page):
    expect(page.locator(".scores")).to_be_hidden()
    page.locator("#summary summary").click()
    expect(page.locator("#summary .scores li")).to_have_count(5)


@pytest.mark.long
def test_another_switch_is_drawn_at_once(browser, server):
    """On a page with a small model: a shipped one takes long to rank its blocks for another switch."""
    page = new_page(browser, "desktop")
    page.goto(server[0])
    arrived(page)
    page.get_by_role("tab", name=text.TABS["what-if"], exact=True).click()
    page.locator("#units").get_by_label("C", exact=True).uncheck()
    arrived(page, sides=2)
    expect(page.locator("#what-if")).to_contain_text("T H W held at their mean")
    page.locator("#mode").get_by_text("wide open").click()
    expect(page.locator("#what-if")).to_contain_text("T H W wide open")
    page.close()


@pytest.mark.long
@desktop
def test_side_b_is_offered_for_export_only_where_there_is_one(page):
    page.get_by_role("tab", name=text.TABS["take"], exact=True).click()
    expect(page.locator("#make")).to_be_visible()
    expect(page.locator("#side")).to_have_count(0)
    page.locator("[data-try=backwards]").click()
    arrived(page, sides=2)
    expect(page.locator("#side")).to_be_visible()
    page.locator(".viewer [data-do=drop]").click()
    expect(page.locator("#side")).to_have_count(0)


@pytest.mark.long
@desktop
def test_the_lesson_follows_the_viewers_block_gate_and_frame(page):
    page.locator(".ladder button").nth(5).click()
    page.locator(".viewer").get_by_role("radio", name="H", exact=True).click()
    page.locator(".film button").nth(2).click()
    block = page.evaluate("document.querySelector('.viewer').viewer.state.block")
    page.get_by_role("tab", name=text.TABS["learn"], exact=True).click()
    expect(page.locator("#learn [data-choose=block]")).to_have_value(block)
    expect(page.locator("#learn [name=learn-unit]:checked")).to_have_value("H")
    expect(page.locator("#learn [data-choose=frame]")).to_have_value("2")
    page.locator("#learn [data-choose=block]").select_option("features.9")
    expect(page.locator("#learn [data-fill=block]").first).to_have_text("features.9")
    page.get_by_role("tab", name=text.TABS["look"], exact=True).click()
    assert page.evaluate("document.querySelector('.viewer').viewer.state.block") == "features.9"


@desktop
def test_the_sentence_speaks_of_the_block_that_is_shown(page):
    for block in (1, 9, 17):
        page.locator(".ladder button").nth(block - 1).click()
        expect(page.locator("[data-part=sentence]")).to_contain_text(f"Block {block} of 17")


@desktop
def test_beside_the_label_stands_the_answer_without_the_gates_choices_and_opens_what_if(page):
    expect(page.locator("#summary .held")).to_contain_text("held at their mean: ")
    page.locator("#summary .held button").click()
    expect(page.get_by_role("tab", name=text.TABS["what-if"], exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.locator("#switch")).to_be_in_viewport()


# ---- an upload: last, since every clip's blocks are ranked anew


def test_after_an_upload_label_and_picture_stand_in_the_first_screen(page):
    page.locator("#clip input[type=file]").set_input_files(str(EXAMPLES / "star.mp4"))
    arrived(page, example="star")
    expect(page.locator("#label")).to_have_text("star")
    expect(page.locator("#clip video")).to_be_visible()
    stand_in_the_first_screen(page, ["title", "upload", "camera", "tabs", "label", "confidence", "picture", "timeline"])
