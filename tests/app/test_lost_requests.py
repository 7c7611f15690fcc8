"""A connection drops while the page waits: every control comes back, a sentence says what happened, and the page stays."""

import pytest
from playwright.sync_api import Page, expect

from app import text

pytestmark = pytest.mark.long

JOIN, STREAM = "**/gradio_api/queue/join*", "**/gradio_api/queue/data*"
LOSSES = {  # what is lost of a request -> the requests, and what becomes of each
    "request": (JOIN, lambda route: route.abort("connectionreset")),
    "request-to-a-proxy": (
        JOIN,
        lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>502</h1>"),
    ),
    "failed-request": (JOIN, lambda route: route.fulfill(status=500, json={"error": None})),
    "stream": (STREAM, lambda route: route.abort("connectionreset")),
    "rest-of-the-stream": (STREAM, lambda route: route.fulfill(content_type="text/event-stream", body="")),
}


@pytest.fixture
def page(browser, shipped_page):
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(shipped_page)
    shows(opened, sides=1)
    opened.evaluate("window.isFirst = true")
    yield opened
    assert opened.evaluate("window.isFirst"), "the page was not loaded again"
    assert problems == []
    opened.close()


def shows(page: Page, sides: int) -> None:
    page.wait_for_function(
        "(sides) => { const answers = document.querySelector('.viewer')?.viewer?.answers;"
        " return answers?.length === sides && answers.every((one) => !one.prepared); }",
        arg=sides,
    )


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=text.TABS[name], exact=True).click()


def is_told_and_closed(page: Page) -> None:
    """The sentence is shown; it is closed for the next one."""
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text(text.LOST)
    toast.locator(".toast-close").click()
    expect(toast).to_have_count(0)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


@pytest.mark.parametrize("loss", LOSSES)
def test_after_a_lost_request_every_button_works_again_and_the_page_stays(page, loss):
    requests, lose = LOSSES[loss]
    experiment = page.locator("[data-try=backwards]")
    page.route(requests, lose)
    experiment.click()
    is_told_and_closed(page)
    tab(page, "what-if")
    is_told_and_closed(page)
    page.locator("#switch").click()
    is_told_and_closed(page)
    tab(page, "compare")
    page.locator("#run-compare").click()
    is_told_and_closed(page)
    tab(page, "learn")
    is_told_and_closed(page)
    tab(page, "take")
    page.locator("#make").click()
    is_told_and_closed(page)
    page.unroute(requests)
    page.locator("#make").click()
    expect(page.locator("#file a[download]")).to_be_visible()
    experiment.click()
    shows(page, sides=2)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    tab(page, "learn")
    expect(page.locator("#learn [data-choose=block]")).to_be_visible()
    tab(page, "what-if")
    expect(page.locator("#ranking table")).to_be_visible()


def test_without_a_network_an_experiment_comes_back_and_works_once_there_is_one_again(page):
    page.context.set_offline(True)
    page.locator("[data-try=backwards]").click()
    is_told_and_closed(page)
    page.context.set_offline(False)
    page.locator("[data-try=backwards]").click()
    shows(page, sides=2)


def test_another_clip_is_chosen_after_a_lost_request(page):
    page.route(JOIN, lambda route: route.abort("connectionreset"))
    page.get_by_role("button", name="circle", exact=True).click()
    is_told_and_closed(page)
    page.unroute(JOIN)
    page.get_by_role("button", name="star", exact=True).click()
    expect(page.locator("#label")).to_have_text("star")


def test_after_a_lost_or_a_refused_lesson_the_menus_show_what_is_drawn(page):
    tab(page, "learn")
    block, units = page.locator("#learn [data-choose=block]"), page.locator("#learn [name=learn-unit]")
    expect(block).to_be_visible()
    drawn, unit = block.input_value(), page.locator("#learn [name=learn-unit]:checked").input_value()

    def shows_what_is_drawn() -> None:
        expect(block).to_have_value(drawn)
        expect(page.locator("#learn [name=learn-unit]:checked")).to_have_value(unit)
        expect(page.locator("#learn [data-fill=block]").first).to_have_text(drawn)

    page.route(JOIN, lambda route: route.abort("connectionreset"))
    block.select_option(index=0 if block.locator("option").first.get_attribute("value") != drawn else 1)
    is_told_and_closed(page)
    shows_what_is_drawn()
    units.last.click()  # not check(): its state may be put back before check() looks
    is_told_and_closed(page)
    shows_what_is_drawn()
    page.unroute(JOIN)
    block.evaluate("menu => menu.add(new Option('nowhere'))")
    block.select_option("nowhere")
    expect(page.locator("#problem")).to_contain_text("no block 'nowhere'")
    shows_what_is_drawn()
    units.last.check()
    expect(page.locator("#learn [data-fill=unit]").first).to_have_text(units.last.input_value())
    expect(page.locator("#problem .problem")).to_have_count(0)
