"""What a visitor sees before Gradio's scripts have arrived, and what they never see or hear: Gradio's keys."""

import gzip
import re
import urllib.request

import pytest
from browser import SIZES
from conftest import others_long, until
from playwright.sync_api import Page, expect
from starlette.responses import HTMLResponse
from starlette.testclient import TestClient

from app import text
from app.ui.first_paint import FirstPaint

BRIGHTNESS = """(name) => {
  const color = getComputedStyle(document.body)[name].match(/\\d+/g).slice(0, 3).map(Number);
  return color.reduce((sum, value) => sum + value, 0) / 3;
}"""
KEY = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*\.[a-z0-9]+(?:_[a-z0-9]+)*")


@pytest.fixture(params=others_long(SIZES, "phone"))
def waiting(browser, shipped_page, request):
    """A page whose scripts are on their way, until `waiting.arrive()`."""
    width, height = SIZES[request.param]
    page = browser.new_page(viewport={"width": width, "height": height})
    held = []
    page.route("**/assets/*.js", lambda route: held.append(route) if page.waits else route.continue_())
    page.waits = True

    def arrive():
        page.waits = False
        for route in held:
            route.continue_()

    page.arrive = arrive
    page.goto(shipped_page, wait_until="commit")
    yield page
    page.close()


def test_the_sketch_is_drawn_before_the_scripts_arrive_and_makes_way_for_the_page(waiting: Page):
    sketch = waiting.locator("#first-paint")
    for words in (text.TITLE, *text.TABS.values()):
        expect(sketch.get_by_text(words, exact=True)).to_be_in_viewport()
    picture = sketch.locator(".picture").bounding_box()
    for scheme in ("dark", "light"):
        waiting.emulate_media(color_scheme=scheme)
        ink, paper = (waiting.evaluate(BRIGHTNESS, name) for name in ("color", "backgroundColor"))
        assert (ink < paper) == (scheme == "light") and abs(ink - paper) > 128
    waiting.arrive()
    expect(waiting.locator("canvas.frame").first).to_be_visible()
    expect(sketch).to_be_hidden()
    real = until(waiting.locator("canvas.frame").first.bounding_box)  # it is drawn anew with the computed answer
    overlap = min(picture["y"] + picture["height"], real["y"] + real["height"]) - max(picture["y"], real["y"])
    assert overlap > 0.7 * real["height"], "the sketch has the picture in the picture's place"
    assert waiting.evaluate("document.documentElement.scrollWidth") <= waiting.viewport_size["width"]


def test_the_page_is_sent_compressed_and_begins_with_what_is_drawn_first(shipped_page):
    def get(**headers):
        request = urllib.request.Request(shipped_page, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.headers, answer.read()

    headers, plain = get()
    assert "content-encoding" not in headers and int(headers["content-length"]) == len(plain)
    compressed_headers, compressed = get(**{"Accept-Encoding": "gzip"})
    assert compressed_headers["content-encoding"] == "gzip" and gzip.decompress(compressed) == plain
    assert len(compressed) < len(plain) / 2
    assert plain.index(b'id="first-paint"') < 8_000 < plain.index(b"window.gradio_api_info")


def test_the_sketch_is_sent_below_a_root_path_too():
    async def page(scope, receive, send):
        await HTMLResponse("<head></head><script>window.gradio_config = {}</script>")(scope, receive, send)

    for path in ("/", "/studio/"):  # a proxy may have removed the root path
        client = TestClient(FirstPaint(page), root_path="/studio")
        assert 'id="first-paint"' in client.get(path).text
        assert 'id="first-paint"' not in client.get(f"{path}config").text


@pytest.mark.long
def test_gradios_own_loading_is_never_shown_and_none_of_its_keys_is_shown_or_spoken(browser, server):
    page = browser.new_page()
    page.add_init_script("""
      window.seen = [];
      window.spoken = new Set();
      new MutationObserver(() => {
        const loading = document.querySelector("gradio-app .loading");
        if (loading && !document.querySelector("#bar")) window.seen.push(loading.checkVisibility());
        document.querySelectorAll("[role=status], [aria-live]").forEach(
          (one) => window.spoken.add(one.textContent.trim()));
      }).observe(document, { childList: true, subtree: true, characterData: true });
    """)
    page.goto(server[0])
    expect(page.locator("canvas.frame").first).to_be_visible()
    seen = page.evaluate("window.seen")
    assert seen and not any(seen)
    page.get_by_role("button", name="circle", exact=True).click()
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.example === 'circle'")
    page.get_by_role("tab", name=text.TABS["what-if"], exact=True).click()
    expect(page.locator("#ranking table")).to_be_visible()
    page.wait_for_function("word => window.spoken.has(word)", arg=text.GRADIO["common.complete"])
    assert [said for said in page.evaluate("[...window.spoken]") if KEY.fullmatch(said)] == []
    page.close()
