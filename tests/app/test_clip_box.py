"""The clip's box takes any file, and the server's reader decides."""

import http.client
import json
import re
import urllib.request
from pathlib import Path

import pytest
from browser import PATIENCE
from cameras import camera, launched
from conftest import ROOT
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import expect
from video_files import picture, write_video

from aia import limits
from aia.video.source import FORMAT_NAMES
from app import text
from app.service import requests

NAMES = re.findall(r"\w+(?=,| or|$)", FORMAT_NAMES)
WRITTEN = {  # how PyAV writes each of them, and its ending
    "MP4": ("mp4", "libx264", "yuv420p"),
    "MOV": ("MOV", "libx264", "yuv420p"),  # as cameras write it
    "WebM": ("webm", "libvpx", "yuv420p"),
    "MKV": ("mkv", "libx264", "yuv420p"),
    "AVI": ("avi", "mpeg4", "yuv420p"),
    "TS": ("ts", "libx264", "yuv420p"),
    "MPG": ("mpg", "mpeg2video", "yuv420p"),
    "GIF": ("gif", "gif", "rgb8"),
    "FLV": ("flv", "flv1", "yuv420p"),
    "OGV": ("ogv", "libvpx", "yuv420p"),
    "WMV": ("wmv", "wmv2", "yuv420p"),
}


def written(folder: Path, name: str, count: int) -> Path:
    if name == "AVIF":  # by Pillow: PyAV's encoder would change how this process is scheduled
        pictures = [Image.fromarray(picture(number, 192, 128)) for number in range(count)]
        pictures[0].save(folder / "clip.avif", save_all=True, append_images=pictures[1:], duration=40)
        return folder / "clip.avif"
    ending, codec, pixels = WRITTEN[name]
    return write_video(folder / f"clip.{ending}", count, codec=codec, pix_fmt=pixels, size=(192, 128))


@pytest.fixture(scope="module")
def shared(browser, server):
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.goto(server[0])
    yield opened
    opened.close()


@pytest.fixture
def page(shared):
    """One page for all, since opening it takes longer than most tests; no test leaves an error on it."""
    shared.wait_for_function("document.querySelector('.viewer')?.viewer?.answers[0]?.channelBytes?.length")
    yield shared
    expect(shared.locator("#problem .problem")).to_have_count(0)
    expect(shared.locator("#clip [role=alert]")).to_be_hidden()


def give(page, file, box="#clip") -> None:
    page.locator(f"{box} input[type=file]").set_input_files(str(file))


def test_page_box_and_docs_name_the_same_formats(page):
    limits = " ".join((ROOT / "docs" / "limits.md").read_text(encoding="utf-8").split())
    assert f"({FORMAT_NAMES})" in limits
    expect(page.locator("#about-clips")).to_contain_text(FORMAT_NAMES)
    assert page.locator("#clip input[type=file]").get_attribute("accept") is None, "the dialog offers every file"
    assert not set(NAMES) ^ (WRITTEN.keys() | {"AVIF"}), "the next test makes a file of each"


@pytest.mark.long
def test_a_file_of_every_format_is_taken_and_answered_without_an_error(page, tmp_path):
    for place, name in enumerate(NAMES):
        count = 20 + place
        give(page, written(tmp_path, name, count))
        expect(page.locator("#summary")).to_contain_text(re.compile(rf"of {count} frames"))
        page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].channelBytes?.length")
        last = page.evaluate("document.querySelector('.viewer').viewer.answers[0].times.length") - 1
        assert last == 7, name
        assert page.locator("#problem .problem").count() == 0, name
        assert page.locator("[data-testid=toast-body]").count() == 0, name
        played = page.locator("#clip video").count() == 1
        assert played or "Your browser cannot play clip." in page.locator("#clip").inner_text(), name
        assert played or name not in ("MP4", "WebM"), name


@pytest.mark.long
def test_the_file_is_read_as_it_is_for_programs_too(server, tmp_path):
    client = Client(server[0], verbose=False)
    for name in ("GIF", "TS", "AVIF"):
        file = written(tmp_path, name, 24)
        found = client.predict(handle_file(file), server[1][0], api_name="/classify")
        assert found["frames"] == [1, 4, 7, 10, 13, 16, 19, 22], name


def test_what_is_no_video_gets_the_readers_sentence(page, tmp_path):
    for name, data in (("notes.txt", b"no film" * 99), ("film.mp4", b"no film" * 99), ("noending", b"\0" * 99)):
        file = tmp_path / name
        file.write_bytes(data)
        give(page, file)
        expect(page.locator("#problem")).to_contain_text(f"“{name}” could not be opened as a video")
        expect(page.locator("#problem")).to_contain_text(FORMAT_NAMES)
        page.locator("#problem .close").click()
        assert page.locator("[data-testid=toast-body]").count() == 0


@pytest.mark.long
def test_a_file_is_dropped_cleared_and_given_again(page, tmp_path):
    file = written(tmp_path, "GIF", 24)
    handle = page.evaluate_handle(
        "([data, name]) => { const box = new DataTransfer();"
        " box.items.add(new File([new Uint8Array(data)], name)); return box; }",
        [list(file.read_bytes()), file.name],
    )
    page.locator("#clip .box").dispatch_event("drop", {"dataTransfer": handle})
    expect(page.locator("#summary")).to_contain_text("of 24 frames")
    page.locator("#clip").get_by_label("Clear").click()
    expect(page.locator("#clip .box")).to_have_attribute("data-view", "empty")
    give(page, file)
    expect(page.locator("#clip")).to_contain_text("Your browser cannot play clip.gif")
    expect(page.locator("#problem .problem")).to_have_count(0)


@pytest.mark.long
def test_the_box_of_the_other_clip_is_the_same(browser, server, tmp_path):
    with launched(browser, *camera()) as with_camera:
        context = with_camera.new_context(viewport={"width": 390, "height": 844}, permissions=["camera"])
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(server[0])
        page.wait_for_function("document.querySelector('.viewer')?.viewer?.answers[0]?.channelBytes?.length")
        page.get_by_role("tab", name=text.TABS["compare"], exact=True).click()
        page.locator("#which").get_by_text(text.ANOTHER_CLIP).click()
        sides = "document.querySelector('.viewer').viewer.answers"
        for name in ("GIF", "TS"):
            give(page, written(tmp_path, name, 24), "#other-clip")
            expect(page.locator("#other-clip")).to_contain_text(f"Your browser cannot play clip.{name.lower()}")
            page.locator("#run-compare").click()
            page.wait_for_function(f"{sides}.length === 2 && {sides}[1].link.example === '' && {sides}[1].channelBytes")
            page.locator("#other-clip").get_by_label("Clear").click()
            page.locator(".viewer [data-do=drop]").click()
        page.locator("#other-clip [data-do=camera]").click()
        page.locator("#other-clip [data-do=record]").click()
        expect(page.locator("#other-clip video:not(.source)")).to_be_visible()
        page.locator("#run-compare").click()
        page.wait_for_function(f"{sides}.length === 2 && {sides}[1].link.example === ''")
        assert page.locator("#problem .problem").count() == 0
        context.close()


def test_a_clip_that_is_too_large_or_cannot_be_sent_is_one_sentence(page, tmp_path):
    large, sent = tmp_path / "large.mp4", []
    with large.open("wb") as file:
        file.truncate(limits.MAX_UPLOAD_BYTES + 1)
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/upload") else None)
    give(page, large)
    expect(page.locator("#clip [role=alert]")).to_have_text(text.TOO_LARGE_CLIP)
    assert sent == []
    page.route("**/gradio_api/upload", lambda route: route.abort())
    give(page, requests.EXAMPLES_FOLDER / "star.mp4")
    expect(page.locator("#clip [role=alert]")).to_have_text(text.CLIP_BOX["no_server"])
    page.unroute("**/gradio_api/upload")
    page.route("**/gradio_api/upload", lambda route: route.fulfill(status=507, json={"detail": text.NO_DISK}))
    give(page, requests.EXAMPLES_FOLDER / "star.mp4")
    expect(page.locator("#clip [role=alert]")).to_have_text(text.NO_DISK)
    assert page.locator("[data-testid=toast-body]").count() == 0
    page.unroute("**/gradio_api/upload")
    give(page, requests.EXAMPLES_FOLDER / "star.mp4")
    expect(page.locator("#clip video")).to_be_visible()
    expect(page.locator("#clip [role=alert]")).to_be_hidden()


def test_the_box_hands_on_uploads_and_no_other_file_of_the_server(server):
    config = json.loads(urllib.request.urlopen(f"{server[0]}/config").read())
    ids = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    events = config["dependencies"]
    event = next(one for one in events if [ids["clip"], "upload"] in one["targets"] and one["backend_fn"])
    own = str(requests.EXAMPLES_FOLDER / "star.mp4")
    file = {"_type": "gradio.FileData"}
    address = f"{server[0]}/gradio_api/file={own}"
    for given in ({"path": own, "meta": file}, {"path": own}, own, [own], {"path": address, "meta": file}):
        session = "a" * 12
        data = [{ids["clip"]: given, ids["model"]: server[1][0]}.get(one) for one in event["inputs"]]
        body = json.dumps({"data": data, "fn_index": event["id"], "session_hash": session}).encode()
        asked = urllib.request.Request(f"{server[0]}/gradio_api/queue/join", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(asked).read()
        connection = http.client.HTTPConnection(server[0].removeprefix("http://"), timeout=60)
        connection.request("GET", f"/gradio_api/queue/data?session_hash={session}")
        lines = connection.getresponse().read().decode().splitlines()
        messages = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
        (done,) = [message for message in messages if message["msg"] == "process_completed"]
        told = json.dumps(done["output"], ensure_ascii=False)
        assert text.BAD_INPUT in told or text.CLIP_GONE in told, (given, done)
        assert "star" not in told, "and nothing of what is in it"
        connection.close()


def test_gradio_writes_nothing_beside_the_source():
    assert list((ROOT / "app").rglob("*.pyi")) == []
