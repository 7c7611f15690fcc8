"""The tab Live in a browser: what it says of drawn gestures, that the network sees what the visitor sees, and how it stops."""

import base64
import io
import re

import numpy as np
import pytest
import web
from axe_playwright_python.sync_playwright import Axe
from browser import PATIENCE, SIZES
from cameras import ALLOWED, INSECURE, camera, launched, write_film
from conftest import serving, small_net, until
from PIL import Image
from playwright.sync_api import expect

from aia import limits
from aia.video.reader import read_clip, read_frames
from app import text
from app.service import requests

WORDS = text.LIVE
GESTURES = {
    **{"swipe-left": "swipe left", "swipe-right": "swipe right", "swipe-up": "swipe up", "swipe-down": "swipe down"},
    **{"circle": "circle (counter-clockwise)", "check-mark": "check mark", "caret": "caret", "cross": "cross (X)"},
    **{"star": "star", "square": "square"},
}
STILL = (20, 12)  # frames before and after a gesture, at least
TURN = 112  # frames of a gesture's turn, at least: a slow machine looks seldom, and a window of 3 s must lie within the turn
FPS = 20
BIT = 12  # pixels of a square, black or white; four of them in a corner tell which gesture a frame belongs to
# Every camera that is opened, and every answer with the gesture's mark in the oldest and the newest frame of its window.
WATCHED = """
    window.asked = []; window.streams = []; window.windows = [];
    const real = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
    if (real) navigator.mediaDevices.getUserMedia = async (wanted) => {
        window.asked.push(wanted);
        const stream = await real(wanted);
        window.streams.push(stream);
        return stream;
    };
    window.watchAnswers = () => {
        const { live } = document.querySelector(".live");
        const take = live.take.bind(live);
        const mark = (place) => {
            const { data } = live.frames.sent.at(-place).picture.getContext("2d").getImageData(0, 1, 16, 1);
            return [1, 5, 9, 12].reduce((number, x, bit) => number + (data[4 * x] > 128 ? 1 << bit : 0), 0);
        };
        live.take = (answer, time) => {
            const { places, label, known, probability } = answer;
            const isWhole = new Set(places).size === places.length; // a busy machine's camera may miss frames
            window.windows.push([mark(places[0]), mark(places.at(-1)), label, known && isWhole ? probability : 0]);
            take(answer, time);
        };
    };
"""
ALL_OFF = "window.streams.every((stream) => stream.getTracks().every((track) => track.readyState === 'ended'))"


@pytest.fixture(scope="module")
def with_halves(browser, tmp_path_factory):
    """A camera that sees red on the left, blue on the right, and a green corner."""
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[:, :160], frame[:, 160:], frame[:60, :80] = (230, 20, 20), (20, 20, 230), (20, 200, 20)
    with launched(
        browser, *camera(write_film(tmp_path_factory.mktemp("film") / "halves.mjpeg", [frame] * 30, 30))
    ) as one:
        yield one


@pytest.fixture(scope="module")
def with_gestures(browser, tmp_path_factory):
    """A camera before which every gesture is drawn in turn. A corner of the picture tells which one it is."""
    film = []
    for number, name in enumerate(GESTURES):
        frames = list(read_frames(requests.EXAMPLES_FOLDER / f"{name}.mp4").frames)
        more = max(TURN - len(frames) - sum(STILL), 0)
        before, after = STILL[0] + more - more // 2, STILL[1] + more // 2
        shown = np.stack([*[frames[0]] * before, *frames, *[frames[-1]] * after])
        for bit in range(4):
            shown[:, :BIT, bit * BIT : (bit + 1) * BIT] = 255 * (number >> bit & 1)
        film.extend(shown)
    with launched(browser, *camera(write_film(tmp_path_factory.mktemp("film") / "all.mjpeg", film, FPS))) as one:
        yield one


@pytest.fixture(scope="module")
def small_page(tmp_path_factory):
    """A page with a small model first; yields its address, the model and the folder of its files."""
    home = tmp_path_factory.mktemp("live")
    small_net("cinst").save_pretrained(home / "small")
    arguments = ("--model", str(home / "small"))
    with serving(home, *arguments, AIA_LIVE_SESSIONS="2", AIA_PRECISION="float32") as address:
        yield address, str(home / "small"), home / "uploads" / "aia-studio"


def opened(browser, address, *, allowed=True, size="desktop"):
    """The tab Live of a new page."""
    width, height = SIZES[size]
    phone = {"has_touch": True, "is_mobile": True} if size == "phone" else {}
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce", **phone)
    if allowed:
        context.grant_permissions(["camera"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script(WATCHED)
    page.goto(address)
    page.get_by_role("tab", name=text.TABS["live"], exact=True).click()
    page.wait_for_function("document.querySelector('.live')?.live")
    page.evaluate("window.watchAnswers()")
    return page


@pytest.fixture(scope="module")
def shared(with_halves, small_page):
    """One page for several tests; each comes to its tab Live, with the camera off, and leaves it off."""
    page = opened(with_halves, small_page[0])
    assert page.evaluate("window.asked") == [], "the camera is off until somebody asks for it"
    yield page
    page.context.close()


def start(page) -> None:
    page.locator("#live [data-do=start]").click()
    wait_for_windows(page)


def wait_for_windows(page, count=2) -> None:
    page.evaluate("window.windows.length = 0")
    page.wait_for_function(f"window.windows.length >= {count}")


def preview(page) -> np.ndarray:
    """What the camera's canvas shows, RGB."""
    url = page.evaluate("document.querySelector('#live [data-part=preview]').toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def moment_of(page, folder) -> np.ndarray:
    """Looks at the moment, and returns the frames that the network got."""
    before = set(folder.glob("*/moment.webm"))

    def new() -> set:
        # On a busy machine the window may not be full at this moment: then a sentence says so, and the camera goes on.
        page.evaluate("document.querySelector('#live [data-do=look]').click()")
        page.wait_for_timeout(2000)
        return set(folder.glob("*/moment.webm")) - before

    until(new)
    (path,) = set(folder.glob("*/moment.webm")) - before
    return read_clip(path, 8).frames


@pytest.mark.long
def test_the_stream_says_what_is_drawn_and_a_moment_of_it_is_looked_at(with_gestures, shipped_page):
    page = opened(with_gestures, shipped_page, size="phone")
    page.locator("#live [data-state=model]").select_option("tsm-mobilenetv2-cinst")
    page.locator("#live [data-state=seconds]").fill("3")
    start(page)
    assert page.evaluate("window.asked.at(-1).video.facingMode.ideal") == "environment", "a phone's rear camera first"
    best: dict[str, dict[str, float]] = {name: {} for name in GESTURES}

    def heard() -> int:
        """How many gestures were named right in the windows that hold nothing else."""
        for oldest, newest, label, probability in page.evaluate("window.windows.splice(0)"):
            if oldest == newest and probability:
                of_gesture = best[list(GESTURES)[newest]]
                of_gesture[label] = max(of_gesture.get(label, 0), probability)
        return sum(max(said, key=said.get) == GESTURES[name] for name, said in best.items() if said)

    for _ in range(600):  # a busy machine misses some in the first rounds
        page.wait_for_timeout(1000)
        if heard() >= 9 and sum(map(bool, best.values())) == 10:
            break
    assert heard() >= 9, best
    history = page.locator("#live [data-part=history] li")
    expect(history.nth(3)).to_be_attached()
    assert history.first.locator("time").inner_text()

    page.wait_for_function(
        "(labels) => labels.includes(document.querySelector('.live').live.answer?.label)", arg=list(GESTURES.values())
    )

    def looks() -> bool:  # a refused moment leaves the camera on
        page.evaluate("document.querySelector('#live [data-do=look]').click()")
        page.wait_for_timeout(2000)
        return page.locator("#tab-look-button").first.get_attribute("aria-selected") == "true"

    until(looks)
    page.wait_for_function(
        "document.querySelector('.viewer').viewer.answers[0]?.link.model === 'tsm-mobilenetv2-cinst'"
        " && document.querySelector('.viewer').viewer.answers[0].link.example === ''"
    )
    expect(page.get_by_role("tab", name=text.TABS["look"], exact=True)).to_have_attribute("aria-selected", "true")
    assert page.evaluate(ALL_OFF)
    expect(page.locator("#clip video")).to_be_visible()
    page.get_by_role("tab", name=text.TABS["what-if"], exact=True).click()
    expect(page.locator("#ranking")).to_contain_text("changes most")
    page.context.close()


@pytest.mark.long
def test_live_stops_when_nobody_watches_and_says_why(with_halves, small_page):
    address, _, folder = small_page
    page = opened(with_halves, address)
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0]?.channelBytes?.length")  # has a file
    files = {path for path in folder.rglob("*") if path.is_file()}
    problem = page.locator("#live [role=alert]")
    key = "document.querySelector('.live').live.channel.key"

    start(page)
    session = page.evaluate(key)
    page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', { get: () => window.away });"
        " window.away = true; document.dispatchEvent(new Event('visibilitychange')); window.away = false; }"
    )
    expect(problem).to_have_text(WORDS["hidden"])
    assert page.evaluate(ALL_OFF)
    until(lambda: web.post(f"{address}/live/{session}").status_code == 404)  # the server has forgotten it

    start(page)
    page.get_by_role("tab", name=text.TABS["look"], exact=True).click()
    page.wait_for_function(ALL_OFF)
    page.get_by_role("tab", name=text.TABS["live"], exact=True).click()
    expect(problem).to_have_text(WORDS["left"])

    start(page)
    page.context.set_offline(True)
    expect(problem).to_have_text(WORDS["lost"])
    assert page.evaluate(ALL_OFF)
    page.context.set_offline(False)

    start(page)
    web.post(f"{address}/live/{page.evaluate(key)}/close")
    expect(problem).to_have_text(text.LIVE_GONE)

    taken: list[str] = []

    def all_taken() -> bool:
        answer = web.post(f"{address}/live")
        taken.extend([answer.json()["session"]] if answer.status_code == 200 else [])
        return len(taken) == 2

    until(all_taken)  # the session whose connection was lost has a place until its time is over
    page.locator("#live [data-do=start]").click()
    expect(problem).to_have_text(text.LIVE_FULL.replace(f" {limits.LIVE_SESSIONS} ", " 2 "))
    assert page.evaluate(ALL_OFF)
    for session in taken:
        web.post(f"{address}/live/{session}/close")

    start(page)
    session = page.evaluate(key)
    page.goto("about:blank")
    until(lambda: web.post(f"{address}/live/{session}").status_code == 404)
    assert {path for path in folder.rglob("*") if path.is_file()} - files == set(), "no frame on disk"
    page.context.close()


@pytest.mark.long
def test_the_network_sees_what_the_preview_shows_with_either_camera(shared, small_page):
    page, (_, _, folder) = shared, small_page
    start(page)
    assert page.evaluate("window.asked.at(-1).audio") is False
    seen = preview(page)
    assert seen[120, 40, 2] > 200 and seen[120, 280, 0] > 200 and seen[20, 300, 1] > 150, "a mirror"
    frames = moment_of(page, folder)
    assert (
        np.abs(frames.astype(int) - seen).mean() < 4
        and np.abs(frames[:, ::8, 4::8].astype(int) - seen[::8, 4::8]).max() < 60
    )

    page.get_by_role("tab", name=text.TABS["live"], exact=True).click()
    start(page)
    page.locator("#live [data-do=turn]").click()
    expect(page.locator("#live [data-do=turn]")).to_have_attribute("aria-pressed", "true")
    wait_for_windows(page)
    assert page.evaluate(
        "window.streams.slice(0, -1).every((s) => s.getTracks().every((t) => t.readyState === 'ended'))"
    )
    seen = preview(page)
    assert seen[120, 40, 0] > 200 and seen[120, 280, 2] > 200 and seen[20, 20, 1] > 150, "no mirror"
    frames = moment_of(page, folder)
    assert np.abs(frames.astype(int) - seen).mean() < 4
    page.get_by_role("tab", name=text.TABS["live"], exact=True).click()


@pytest.mark.long
@pytest.mark.parametrize("size", SIZES)
def test_live_stands_in_the_first_screen_and_has_no_serious_fault_of_accessibility(
    request, with_halves, small_page, size
):
    page = opened(with_halves, small_page[0], size=size) if size == "phone" else request.getfixturevalue("shared")
    width, height = SIZES[size]
    floor = page.locator("#tabs .tab-container >> visible=true").bounding_box()["y"] if size == "phone" else height

    def stand(*parts: str) -> None:
        for part in parts:
            box = page.locator(f"#live {part}").bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= width + 1, part
            assert box["y"] >= 0 and box["y"] + box["height"] <= floor + 1, (part, box)
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    stand(".screen", "[data-do=start]", "[data-state=model]")
    start(page)
    stand(".screen", ".saying", "[data-do=look]", "[data-do=stop]", "[data-do=turn]", ".film")
    picture, drawn = (page.locator(f"#live [data-part={name}]").bounding_box() for name in ("preview", "map"))
    assert picture == drawn, "the map lies on the picture"
    names = page.locator("#live [data-state=block] option")
    assert names.count() > 3
    page.locator("#live [data-state=block]").select_option(index=1)
    wait_for_windows(page)
    assert page.evaluate("document.querySelector('.live').live.lead.blocks[0].name") == names.nth(1).get_attribute(
        "value"
    )
    for _ in range(5):  # a button that has just become usable is between two colors for a moment
        found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        if not found:
            break
        page.wait_for_timeout(500)
    assert [(v["id"], [node["html"][:120] for node in v["nodes"]]) for v in found] == []
    page.locator("#live [data-do=stop]").click()
    assert page.evaluate(ALL_OFF)
    if size == "phone":
        page.context.close()


@pytest.mark.long
def test_an_ongoing_label_is_noted_once_until_something_else_is_watched(shared):
    lines = shared.locator("#live [data-part=history] li")
    before = lines.count()

    def noted(count: int) -> None:
        """Goes on with a sure label until there are so many lines, and then a little longer."""
        script = """(count) => {
            const { history } = document.querySelector(".live").live;
            history.add({ known: true, label: "star", probability: 0.4, percent: "40 %" });
            return history.line && history.list.children.length === count;
        }"""
        shared.wait_for_function(script, arg=before + count)
        assert shared.evaluate(script, before + count)

    noted(1)
    for name in ("block", "byItself", "byItself"):
        shared.locator(f"#live [data-state={name}]").dispatch_event("input")
        noted(1)
    seconds = shared.locator("#live [data-state=seconds]")
    usual = seconds.input_value()
    seconds.fill("3" if usual != "3" else "2")
    noted(2)
    seconds.fill(usual)
    noted(3)
    shared.evaluate("(({ live }) => live.turnTo(live.state.task))(document.querySelector('.live'))")
    noted(4)


@pytest.mark.long
def test_a_slow_network_has_a_rate_below_one(shared):
    start(shared)
    taken = """(ago) => {
        const { live } = document.querySelector(".live");
        const now = performance.now();
        performance.now = () => now; // an own property, which hides the clock
        live.drawn = ago.map((ms) => now - ms);
        live.take(live.answer, now);
        delete performance.now;
        return live.part("rate").textContent;
    }"""
    # ms since the latest windows -> windows in a second
    wanted = {(): "", (8000,): "0.1", (9000, 5000): "0.2", (960,): "1.0", (1830, 1300, 700): "1.6"}
    wanted[1750, 1500, 1000, 500, 250] = "3"
    for ago, rate in wanted.items():
        found = shared.evaluate(taken, list(ago))
        assert found == (WORDS["rate"].format(rate=rate) if rate else ""), ago
    shared.locator("#live [data-do=stop]").click()


@pytest.mark.long
def test_a_late_session_a_stale_answer_and_a_refused_moment_do_no_harm(shared, small_page):
    page, (address, _, _) = shared, small_page
    live, key = page.locator("#live"), "document.querySelector('.live').live.channel.key"
    status, problem, look = (live.locator(name) for name in ("[role=status]", "[role=alert]", "[data-do=look]"))

    held = []
    page.route(f"{address}/live", lambda route: held.append(route), times=1)
    live.locator("[data-do=start]").click()
    until(lambda: held or page.wait_for_timeout(50))
    live.locator("[data-do=stop]").click()
    start(page)
    session = page.evaluate(key)
    response = held[0].fetch()
    held[0].fulfill(response=response)
    until(lambda: web.post(f"{address}/live/{response.json()['session']}").status_code == 404)
    wait_for_windows(page)
    assert page.evaluate(key) == session, "the late session has not ended this one"

    page.route("**/moment", lambda route: route.fulfill(status=507, json={"detail": "The disk is full."}))
    look.click()
    expect(status).to_have_text("The disk is full.")
    wait_for_windows(page)
    page.unroute("**/moment")

    drawn = "document.querySelectorAll('#live .film canvas').length + document.querySelector('#live h2 + .line b').innerText"
    assert page.evaluate(drawn) != "0"
    waiting = b'{"waiting":true}'
    frames = re.compile(r"/live/[\w-]+\?")
    page.route(frames, lambda route: route.fulfill(body=len(waiting).to_bytes(4, "little") + waiting))
    expect(status).to_contain_text(WORDS["filling"])
    assert page.evaluate(drawn) == "0" and look.is_disabled()
    page.unroute(frames)
    wait_for_windows(page)
    chosen = page.evaluate(
        """(drawn) => {
            const menu = document.querySelector("#live [data-state=model]");
            menu.selectedIndex -= 1; // a model without gates
            menu.dispatchEvent(new Event("input", { bubbles: true }));
            return [eval(drawn), document.querySelector("#live [role=status]").textContent];
        }""",
        drawn,
    )
    assert chosen[0] == "0" and chosen[1].startswith(WORDS["filling"])
    expect(live.locator("[data-part=gateless]")).to_be_visible()
    live.locator("[data-do=stop]").click()
    assert page.evaluate(drawn) == "0"
    expect(live.locator("[data-part=gateless]")).to_be_hidden()

    page.route(f"{address}/live", lambda route: route.fulfill(body="<html>"), times=1)
    live.locator("[data-do=start]").click()
    expect(problem).to_have_text(WORDS["lost"])
    assert page.evaluate(ALL_OFF)

    start(page)
    look.click()
    expect(page.locator("#tab-look-button")).to_be_focused()


@pytest.mark.long
def test_a_camera_that_cannot_be_had_is_one_sentence(browser, with_halves, small_page):
    with launched(browser, ALLOWED) as without_camera:
        cases = [
            (with_halves, small_page[0], False, "refused"),
            (without_camera, small_page[0], False, "missing"),
            (with_halves, small_page[0].replace("127.0.0.1", INSECURE), True, "insecure"),
        ]
        for found, address, allowed, name in cases:
            page = opened(found, address, allowed=allowed)
            page.locator("#live [data-do=start]").click()
            expect(page.locator("#live [role=alert]")).to_have_text(WORDS[name])
            expect(page.locator("#live [data-do=start]")).to_be_visible()
            page.context.close()
