"""What a visitor's system asks for: high contrast, little motion, a language, keys instead of a pointer, no clipboard."""

import io
import json

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import PATIENCE
from cameras import INSECURE, camera, launched
from conftest import ROOT, until
from PIL import Image
from playwright.sync_api import expect

from app import text

pytestmark = pytest.mark.long  # each opens a page in a way of its own

ARRIVED = "document.querySelector('.viewer')?.viewer?.answers[0]?.channelBytes?.length"


def opened(browser, address, **settings):
    media = {name: settings.pop(name, None) for name in ("forced_colors", "color_scheme", "reduced_motion")}
    page = browser.new_page(**{"viewport": {"width": 1440, "height": 900}, **settings})
    page.set_default_timeout(PATIENCE)
    page.emulate_media(**media)
    page.goto(address)
    page.wait_for_function(ARRIVED)
    return page


def ground(page, selector: str) -> tuple[int, ...]:
    """The colour just inside of an element's left border, as it is drawn."""
    pixels = pixels_of(page, selector)
    return tuple(pixels[len(pixels) // 2, 4])


def pixels_of(page, selector: str) -> np.ndarray:
    picture = page.locator(selector).first.screenshot(animations="disabled")
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def far(one, two) -> bool:
    return int(np.abs(np.subtract(one, two, dtype=int)).max()) > 60


def test_high_contrast_shows_every_state_on_light_and_on_dark(browser, server):
    page = opened(browser, server[0], forced_colors="active", reduced_motion="reduce")
    faults = []

    def schemes():
        """Shows the page in each scheme in turn."""
        for scheme in ("light", "dark"):
            page.emulate_media(forced_colors="active", color_scheme=scheme)
            page.wait_for_function("(dark) => document.body.classList.contains('dark') === dark", arg=scheme == "dark")
            yield scheme

    def differ(chosen: str, other: str) -> None:
        assert far(ground(page, chosen), ground(page, other)), (chosen, other)

    def legible(selector: str) -> None:
        words = pixels_of(page, selector).reshape(-1, 3)
        assert far(words.max(0), words.min(0)), selector

    def examine(name: str) -> None:
        page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
        contrast = Axe().run(page, options={"runOnly": ["color-contrast"]})  # the other rules: test_page.py
        found = [v for v in contrast.response["violations"] if v["impact"] in ("serious", "critical")]
        faults.extend((name, v["id"], [node["html"][:120] for node in v["nodes"]]) for v in found)

    for scheme in schemes():
        differ("[role=tab][aria-selected=true]", "[role=tab][aria-selected=false]")
        for part in (".segmented", ".ladder"):
            differ(f"{part} [aria-checked=true]", f"{part} [aria-checked=false]")
        differ(".film [aria-current=true]", ".film [aria-current=false]")
        differ(".film [aria-current=false] .mean i", ".film [aria-current=false]")
        differ(".answer .track span", "body")
        page.locator(".viewer .menu summary").click()
        cells = page.locator(".viewer [data-state=cells]")
        before = pixels_of(page, ".viewer [data-state=cells]")
        cells.check()
        assert far(before, pixels_of(page, ".viewer [data-state=cells]"))
        cells.uncheck()
        page.keyboard.press("Escape")
        for button in ("[data-try=gates-off]", ".segmented [aria-checked=true]", "#clip [data-do=choose]"):
            legible(button)
        examine(f"look, {scheme}")

    page.get_by_role("tab", name=text.TABS["what-if"], exact=True).click()
    expect(page.locator("#ranking")).to_contain_text("changes most")
    page.locator("#units input:checked").first.uncheck()
    for scheme in schemes():
        for kind in ("#units input", "#mode input"):
            on, off = pixels_of(page, f"{kind}:checked"), pixels_of(page, f"{kind}:not(:checked)")
            assert far(on[5:11, 5:11], off[5:11, 5:11]), kind
        for direction in ("up", "down"):
            if page.locator(f"#ranking .gain .{direction}").count():
                wide = f"#ranking tr:has(.{direction}):first-of-type .gain, #ranking tr:has(.{direction}) .gain"
                bar = pixels_of(page, wide)
                assert far(bar.max((0, 1)), bar.min((0, 1))), direction
        page.locator("#mode").scroll_into_view_if_needed()
        edge = pixels_of(page, "#switch")
        assert far(edge[len(edge) // 2, 0], edge[len(edge) // 2, 4]), "a button has a border"
        examine(f"what if, {scheme}")

    page.get_by_role("tab", name=text.TABS["learn"], exact=True).click()
    expect(page.locator("#learn article").first).to_be_visible()
    for scheme in schemes():
        page.locator("#learn [role=tab]").first.click()
        differ("#learn .steps [aria-selected=true] b", "#learn .steps [aria-selected=false] b")
        differ("#learn .units input:checked + span", "#learn .units input:not(:checked) + span")
        play = pixels_of(page, "#learn .play")
        assert far(play[22, 22], play[22, 4]), "the mark of the play button"
        examine(f"learn, {scheme}")
        page.locator("#learn [role=tab]").nth(6).click()
        differ("#learn tbody .track span", "body")
    assert faults == []
    page.close()


def test_high_contrast_shows_which_camera_is_on(browser, server):
    with launched(browser, *camera()) as with_camera:
        page = opened(with_camera, server[0], forced_colors="active", permissions=["camera"])
        page.locator("#clip [data-do=camera]").click()
        expect(page.locator("#clip [data-do=record]")).to_be_enabled()
        front = ground(page, "#clip [data-do=turn]")
        page.locator("#clip [data-do=turn]").click()
        expect(page.locator("#clip [data-do=turn]")).to_have_attribute("aria-pressed", "true")
        page.mouse.move(0, 0)
        assert far(front, ground(page, "#clip [data-do=turn]"))


def test_the_page_slides_to_a_result_only_for_those_who_like_it(browser, server):
    page = opened(browser, server[0], reduced_motion="reduce", viewport={"width": 390, "height": 844})
    page.evaluate(
        """() => {
            window.ways = [];
            const scroll = Element.prototype.scrollIntoView;
            Element.prototype.scrollIntoView = function (how) { ways.push(how.behavior); scroll.call(this, how); };
        }"""
    )
    for motion, way, clip in (("reduce", "instant", "star"), ("no-preference", "smooth", "circle")):
        page.emulate_media(reduced_motion=motion)
        page.evaluate("window.ways.length = 0; scrollTo({ top: 900, behavior: 'instant' })")
        page.wait_for_function("scrollY > 500")
        page.locator("#clip input[type=file]").set_input_files(ROOT / "assets" / "examples" / f"{clip}.mp4")
        page.wait_for_function(f"document.querySelector('.viewer').viewer.answers[0].link.example === '{clip}'")
        page.wait_for_function("scrollY < 300")
        assert set(page.evaluate("window.ways")) == {way}  # how it looks is the browser's, and slower on a busy machine
    page.close()


def test_english_words_are_said_to_be_english_in_every_browser(browser, server):
    page = opened(browser, server[0], locale="ja-JP")
    assert page.evaluate("document.documentElement.lang") == "en"
    expect(page.locator("footer")).to_contain_text("Use via API")  # Gradio's own words
    page.locator("#clip input[type=file]").set_input_files(ROOT / "assets" / "examples" / "star.mp4")
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.example === 'star'")
    assert page.evaluate("document.documentElement.lang") == "en"
    page.close()


@pytest.mark.parametrize(
    "focused",
    [".film button[data-frame='2']", ".ladder [aria-checked=true]", "canvas.bars", ".viewer [data-do=play]"],
)
def test_the_focus_stays_when_the_answer_and_its_channels_arrive(browser, shipped_page, focused):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    held = {"/queue/join": [], ".bin": []}  # the first paint needs neither

    def hold(end: str):
        page.route(f"**/*{end}*", lambda route: held[end].append(route) if not held[end] else route.continue_())

    def let_go(end: str) -> None:
        until(lambda: held[end] or page.wait_for_timeout(50))
        held[end][0].continue_()

    hold("/queue/join")
    hold(".bin")
    page.goto(shipped_page)
    page.wait_for_function("document.querySelector('.viewer')?.viewer?.answers[0]?.prepared")
    page.locator(focused).focus()
    marks = "JSON.stringify(document.activeElement.dataset)"
    before = page.evaluate(marks)
    assert json.loads(before)
    let_go("/queue/join")
    page.wait_for_function("!document.querySelector('.viewer').viewer.answers[0].prepared")
    assert page.evaluate(marks) == before, "the answer has arrived"
    let_go(".bin")
    page.wait_for_function(ARRIVED)
    page.wait_for_timeout(200)
    assert page.evaluate(marks) == before, "its channels too"
    page.close()


def test_the_focus_is_never_lost_in_the_viewer(browser, server):
    page = opened(browser, server[0])
    page.locator("[data-part=ends] .chip").first.focus()
    page.keyboard.press("Enter")  # pins a channel
    page.keyboard.press("g")  # another gate has other channels
    inside = "document.activeElement.closest('.viewer') !== null"
    assert page.evaluate(inside)
    page.locator("[data-part=ends] .chip").first.focus()
    page.keyboard.press("Enter")
    page.locator("[data-do=unpin]").focus()
    page.keyboard.press("Enter")  # it hides itself
    assert page.evaluate(inside)
    page.locator(".film button").nth(1).focus()
    page.evaluate("document.querySelector('#clip input').focus()")
    page.get_by_role("button", name="star", exact=True).first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.example === 'star'")
    assert not page.evaluate(inside), "and it is not taken from elsewhere"
    page.close()


def test_a_link_is_shown_where_neither_clipboard_nor_dialogs_are_allowed(browser, server):
    with launched(browser) as other:
        address = server[0].replace("127.0.0.1", INSECURE)
        page = opened(other, address)
        dialogs = []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        assert page.evaluate("navigator.clipboard === undefined")
        page.locator(".ladder button").nth(2).click()
        page.get_by_role("button", name="Copy link").click()
        field = page.get_by_label(text.VIEWER["copy_yourself"])
        expect(field).to_be_focused()
        assert dialogs == []
        shown = field.input_value()
        assert page.evaluate("document.activeElement.selectionEnd") == len(shown)
        block = page.evaluate("document.querySelector('.viewer').viewer.state.block")
        again = opened(other, shown)
        again.wait_for_function("(block) => document.querySelector('.viewer').viewer.state.block === block", arg=block)
        page.get_by_text("star", exact=True).first.click()
        expect(field).to_be_hidden()
