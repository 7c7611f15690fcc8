"""A page that was left open: its clip and result are gone, or the server was started again. A sentence says so."""

import asyncio
import json
import re
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import warm
from browser import PATIENCE
from conftest import ROOT, serving, until
from playwright.sync_api import expect

from app import text
from app.ui import layout

EXAMPLES = ROOT / "assets" / "examples"
GONE = re.compile(r"no longer on the server.*upload (it|your clip) again", re.IGNORECASE | re.DOTALL)


class Visitor:
    """A browser's page, left open."""

    def __init__(self, browser, address):
        self.page = browser.new_page(viewport={"width": 1280, "height": 600})
        self.page.set_default_timeout(PATIENCE)
        self.page.goto(address)
        self.shows("swipe left")

    def shows(self, label: str) -> None:
        """Waits for a result, more than the prepared one that the page opens with."""
        expect(self.page.locator("#label")).to_have_text(re.compile(label), timeout=PATIENCE)
        self.page.wait_for_function(
            "() => document.querySelector('.viewer')?.viewer?.answers.some((answer) => !answer.prepared)"
        )

    def give(self, clip: Path) -> None:
        self.page.locator("#clip input[type=file]").first.set_input_files(str(clip))
        self.shows("star")

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()

    def press(self, button: str) -> None:
        self.page.locator(f"#{button}").click()

    def choose_model(self, number: int) -> None:
        self.page.locator("#model input").click()
        self.page.get_by_role("option").nth(number).click()

    def is_told(self, words: re.Pattern | str) -> None:
        """Waits for a sentence, sees that it can be seen, and closes it."""
        problem = self.page.locator("#problem .problem")
        expect(problem).to_have_text(words if isinstance(words, re.Pattern) else f"{words}×", timeout=PATIENCE)
        expect(problem).to_be_in_viewport()
        expect(self.page.get_by_test_id("toast-body")).to_have_count(0)
        problem.locator(".close").click()
        expect(problem).to_have_count(0)

    def has_no_clip(self) -> None:
        """The box asks for a clip."""
        expect(self.page.locator("#clip video")).to_have_count(0, timeout=PATIENCE)
        expect(self.page.locator("#clip input[type=file]").first).to_be_attached()

    def presses_whatever_needs_the_result(self) -> None:
        self.tab("What if")
        self.is_told(text.RESULT_GONE)
        self.press("switch")
        self.is_told(text.RESULT_GONE)
        self.press("rank")
        self.is_told(text.RESULT_GONE)
        self.tab("Compare")
        self.press("run-compare")
        self.is_told(text.RESULT_GONE)
        self.tab("Learn")
        self.is_told(text.RESULT_GONE)
        self.tab("Export")
        self.press("make")
        self.is_told(text.RESULT_GONE)
        self.press("python-button")
        self.is_told(text.RESULT_GONE)


@pytest.fixture
def clip(tmp_path):
    return shutil.copy(EXAMPLES / "star.mp4", tmp_path / "my clip.mp4")


def test_every_sentence_says_what_to_do():
    assert GONE.search(text.CLIP_GONE) and GONE.search(text.RESULT_GONE)
    words = {1: "1 seconds", 59: "59 seconds", 60: "a minute", 600: "10 minutes", 3600: "an hour", 7200: "120 minutes"}
    assert {seconds: text.how_long(seconds) for seconds in words} == words
    assert "an hour" in text.CLIP_GONE and "an hour" in text.RESULT_GONE


@pytest.mark.long
def test_after_the_clips_time_every_button_says_that_it_is_gone(browser, tmp_path, clip):
    with serving(tmp_path, AIA_DELETE_AFTER_SECONDS="30") as address:
        Visitor(browser, address).page.close()  # the model is loaded, so that the clip is still there when it is read
        visitor = Visitor(browser, address)
        with visitor.page.expect_response("**/gradio_api/upload*") as uploaded:
            visitor.give(clip)
        kept = Path(uploaded.value.json()[0])
        assert kept.is_relative_to(tmp_path / "uploads")
        until(lambda: not kept.exists())
        visitor.tab("Export")
        until(lambda: visitor.press("python-button") or visitor.page.locator("#problem .problem").count())
        visitor.is_told(re.compile("for about 30 seconds"))

        def told(button):
            visitor.press(button)
            visitor.is_told(re.compile(r"no longer on the server.*Upload it again|This result is no longer"))

        visitor.tab("What if")
        visitor.is_told(re.compile("This result is no longer on the server"))
        told("switch")
        told("rank")
        visitor.tab("Compare")
        told("run-compare")
        visitor.tab("Learn")
        visitor.is_told(re.compile("This result is no longer on the server"))
        visitor.tab("Export")
        told("make")
        told("python-button")

        visitor.tab("What if")
        visitor.is_told(re.compile("This result is no longer on the server"))
        expect(visitor.page.locator("#clip video")).to_have_count(1)
        visitor.press("run")
        visitor.is_told(re.compile("Your clip is no longer on the server.*Upload it again"))
        visitor.has_no_clip()
        visitor.choose_model(1)
        visitor.is_told(re.compile("This result is no longer on the server"))
        visitor.page.get_by_text("circle", exact=True).first.click()
        visitor.shows("circle")
        expect(visitor.page.locator("#problem .problem")).to_have_count(0)
        visitor.page.close()


class Restarted:
    """`python app.py` on one port, which can be killed and started again; its uploads lie where they do by default."""

    def __init__(self, home: Path, **environment: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address, self.log = f"http://127.0.0.1:{self.port}", home / "log"
        self.variables = {"TMPDIR": str(home), **environment}
        self.process = None

    def start(self) -> None:
        self.process = warm.start(ROOT / "app.py", ["--port", str(self.port)], self.variables, self.log)
        until(self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return urllib.request.urlopen(self.address, timeout=5).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def restarted(tmp_path):
    server = Restarted(tmp_path, AIA_SESSIONS="1")
    server.start()
    yield server
    server.kill()


@pytest.mark.long
def test_after_restarts_and_while_it_is_down_every_button_says_what_is_gone_and_the_page_goes_on(
    browser, restarted, clip
):
    first = Visitor(browser, restarted.address)
    first.give(clip)
    buttons, file = (Visitor(browser, restarted.address) for _ in range(2))
    first.tab("What if")
    first.is_told(text.RESULT_GONE)  # the page keeps one result, and another visitor came
    first.press("run")
    first.shows("star")
    first.tab("Look")
    expect(first.page.locator("#problem .problem")).to_have_count(0)

    buttons.give(clip)
    file.page.get_by_text("circle", exact=True).first.click()
    file.shows("circle")
    file.tab("Export")
    file.press("make")
    expect(file.page.locator("#file a[download]")).to_be_visible(timeout=PATIENCE)

    restarted.kill()
    restarted.start()
    buttons.presses_whatever_needs_the_result()
    expect(buttons.page.locator("#clip video")).to_have_count(1)
    buttons.tab("Learn")  # what it showed is asked for again after a run; the sentence of the run stays
    buttons.is_told(text.RESULT_GONE)
    buttons.press("run")
    buttons.is_told(text.CLIP_GONE)
    buttons.has_no_clip()
    buttons.give(clip)
    first.choose_model(1)
    first.is_told(text.CLIP_GONE)
    first.has_no_clip()
    file.page.locator("#file a[download]").click()
    file.is_told(text.RESULT_GONE)
    file.page.get_by_text("cross", exact=True).first.click()
    file.shows("cross")
    assert "cross" in file.page.locator("#clip video").get_attribute("src"), "the box shows the new result's clip"
    file.page.close()

    restarted.kill()
    buttons.press("run")
    expect(buttons.page.get_by_test_id("toast-body")).to_contain_text(text.LOST, timeout=PATIENCE)
    first.page.locator("#clip input[type=file]").first.set_input_files(str(clip))
    expect(first.page.locator("#clip")).to_contain_text(text.CLIP_BOX["no_server"], timeout=PATIENCE)
    restarted.start()
    buttons.give(clip)  # the page has stayed as it was
    first.give(clip)
    for visitor in (first, buttons):
        visitor.page.close()


@pytest.mark.parametrize("handler", ["what_if", "compare"])
def test_after_a_restart_a_choice_from_a_menu_of_the_old_result_is_told_to_be_gone(handler):
    page = layout.build()
    (function,) = (one for one in page.fns.values() if one.name == handler and one.api_visibility == "private")
    chosen = {"where": "layer1.0", "other-model": "user/added", "units": ["C"], "mode": "mean", "which": text.BACKWARDS}
    values = [chosen.get(getattr(component, "elem_id", None)) for component in function.inputs]
    with ThreadPoolExecutor(1) as pool:  # the browser's tests have an event loop in this thread
        answer = pool.submit(asyncio.run, page.process_api(function, values)).result()
    assert text.RESULT_GONE in str(answer["data"])


# ---- programs


def fetched(address: str, body: object = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    try:
        return urllib.request.urlopen(asked, timeout=60).read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def upload(address: str) -> str:
    head = b'--B\r\nContent-Disposition: form-data; name="files"; filename="mine.mp4"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    body = head + (EXAMPLES / "star.mp4").read_bytes() + b"\r\n--B--\r\n"
    asked = urllib.request.Request(f"{address}/gradio_api/upload", body, kind)
    return json.load(urllib.request.urlopen(asked, timeout=60))[0]


def called(address: str, endpoint: str, data: list) -> str:
    """The stream of an endpoint's answer."""
    event = json.loads(fetched(f"{address}/gradio_api/call/{endpoint}", {"data": data}))["event_id"]
    return fetched(f"{address}/gradio_api/call/{endpoint}/{event}")


@pytest.mark.long
def test_programs_are_told_the_same_of_a_clip_that_is_gone_or_was_never_there(server):
    address = server[0]
    there = Path(upload(address))
    deleted = there.parent.with_name("0" * 64) / there.name
    outside = (
        str(EXAMPLES / "star.mp4"),
        "/etc/passwd",
        "/nothing/there.mp4",
        "../../x.mp4",
        "C:\\x.mp4",
        "",
        "x" * 3000,
    )
    for path in (str(deleted), str(there.parent), *outside):
        clip = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for endpoint, rest in (("classify", [None]), ("lesson", [None, "", ""]), ("as_python", [None, None])):
            found = re.findall(r"event: error\ndata: (.*)", called(address, endpoint, [clip, *rest]))
            assert json.loads(found[-1])["error"] == text.CLIP_GONE, (endpoint, path)
        own = {"path": str(there), "meta": {"_type": "gradio.FileData"}}
        found = re.findall(r"event: error\ndata: (.*)", called(address, "compare", [own, None, "", clip, False]))
        assert json.loads(found[-1])["error"] == text.CLIP_GONE, "the other clip is not the first one"


def test_an_answer_that_was_fetched_already_or_never_asked_for_is_told(server):
    address = server[0]
    event = json.loads(fetched(f"{address}/gradio_api/call/list_models", {"data": []}))["event_id"]
    place = f"{address}/gradio_api/call/list_models"
    assert "event: complete" in fetched(f"{place}/{event}")
    for one in (event, "made-up", "0" * 32):
        assert json.loads(fetched(f"{place}/{one}")) == {"detail": text.ANSWER_GONE}


@pytest.mark.long
def test_the_first_paint_never_comes_after_the_result(browser, shipped_page):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.route("**/run/predict*", lambda route: (time.sleep(2), route.continue_()))
    with page.expect_response("**/run/predict*"):
        page.goto(shipped_page)
    page.wait_for_timeout(1000)  # it is drawn
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0]?.channelBytes?.length")
    page.close()
