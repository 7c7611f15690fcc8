"""The camera of the clip's box: the network gets what the preview shows."""

import io

import av
import numpy as np
import pytest
from browser import PATIENCE
from cameras import ALLOWED, INSECURE, camera, launched, write_film
from conftest import until
from playwright.sync_api import expect

from aia.video.reader import read_frames
from app import text
from app.service import requests

WORDS = text.CLIP_BOX
# Notes every use of the camera, and passes it on.
WATCHED = """
    window.asked = []; window.streams = [];
    const real = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
    if (real) navigator.mediaDevices.getUserMedia = async (wanted) => {
        window.asked.push(wanted);
        const stream = await real(wanted);
        window.streams.push(stream);
        return stream;
    };
"""
ALL_OFF = "window.streams.every((stream) => stream.getTracks().every((track) => track.readyState === 'ended'))"
# The colour in the middle of the left and of the right half of a picture, a canvas or a video.
HALVES = """(picture) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 32, height: 24 });
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0, 32, 24);
    return [8, 24].map((x) => [...context.getImageData(x, 12, 1, 1).data.slice(0, 3)]);
}"""


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """A camera's film: red on the left, blue on the right."""
    frame = np.zeros((240, 320, 3), np.uint8)
    frame[:, :160], frame[:, 160:] = (230, 20, 20), (20, 20, 230)
    return write_film(tmp_path_factory.mktemp("film") / "halves.mjpeg", [frame] * 30, 30)


@pytest.fixture(scope="module")
def with_camera(browser, halves):
    with launched(browser, *camera(halves)) as started:
        yield started


@pytest.fixture(scope="module")
def with_swipe(browser, tmp_path_factory):
    """A camera before which a hand swipes, 4 s after its beginning."""
    swipe = list(read_frames(requests.EXAMPLES_FOLDER / "swipe-left.mp4").frames)
    film = tmp_path_factory.mktemp("film") / "swipe.mjpeg"
    with launched(browser, *camera(write_film(film, [swipe[0]] * 100 + swipe + [swipe[-1]] * 75, 25))) as started:
        yield started


def opened(browser, address, *, allowed=True, size=(1440, 900)):
    """A new page, whose visitor allows the camera, but no microphone."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    if allowed:
        context.grant_permissions(["camera"])
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script(WATCHED)
    page.goto(address)
    page.wait_for_function("document.querySelector('.viewer')?.viewer?.answers[0]?.channelBytes?.length")
    return page


def start(page, *, rear=False) -> None:
    page.locator("#clip [data-do=camera]").click()
    expect(page.locator("#clip [data-do=record]")).to_be_enabled()
    if rear:
        page.locator("#clip [data-do=turn]").click()
        expect(page.locator("#clip [data-do=turn]")).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#clip [data-do=record]")).to_be_enabled()


def before_own_clip(page) -> None:
    """Notes what is shown, for a page whose clip may be one of its visitor's own already."""
    page.evaluate("window.shownBefore = document.querySelector('.viewer').viewer.answers[0]")


def wait_for_own_clip(page) -> None:
    page.wait_for_function(
        "(() => { const [one] = document.querySelector('.viewer').viewer.answers;"
        " return one !== window.shownBefore && one.link.example === '' && one.channelBytes?.length; })()"
    )


def halves_of(page, script: str) -> list[list[int]]:
    return page.evaluate_handle(script).evaluate(HALVES)


def recorded_frames(page) -> list[np.ndarray]:
    """Every frame of the recording in the clip's box, RGB uint8 `[H, W, 3]`."""
    content = page.evaluate(
        """async () => {
            const file = await (await fetch(document.querySelector("#clip video").src)).blob();
            return [...new Uint8Array(await file.arrayBuffer())];
        }"""
    )
    with av.open(io.BytesIO(bytes(content))) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.long
def test_the_network_gets_what_the_preview_shows_of_either_camera(with_camera, server):
    page = opened(with_camera, server[0])
    gets_what_the_preview_shows(page, rear=False)
    page.set_viewport_size({"width": 390, "height": 844})
    gets_what_the_preview_shows(page, rear=True)
    page.context.close()


def gets_what_the_preview_shows(page, *, rear: bool) -> None:
    start(page, rear=rear)
    before_own_clip(page)
    preview = halves_of(page, "document.querySelector('#clip canvas')")
    left, right = preview
    assert (left[0] > left[2] and right[2] > right[0]) is rear, (
        "the front camera's preview is a mirror, the rear one's is not"
    )
    expect(page.locator("#clip")).to_contain_text(WORDS["straight" if rear else "mirrored"])
    page.locator("#clip [data-do=record]").click()
    wait_for_own_clip(page)
    for frame in range(8):
        seen = halves_of(page, f"document.querySelector('.viewer').viewer.answers[0].pictures[{frame}]")
        assert np.abs(np.subtract(seen, preview)).max() < 40, "the network's frames are as the preview was"
    expect(page.locator("#clip video")).to_be_visible()

    recording = recorded_frames(page)
    assert len(recording) > 1
    for recorded in recording:
        assert np.abs(np.subtract(recorded[120, [80, 240]], preview)).max() < 40, (
            "and so is every frame of the recording"
        )
    # A paused video may have painted nothing yet where the machine is busy; a seek paints.
    page.evaluate("document.querySelector('#clip video').currentTime = 1")

    def replay_is_as_the_preview_was() -> bool:
        return np.abs(np.subtract(halves_of(page, "document.querySelector('#clip video')"), preview)).max() < 40

    until(lambda: replay_is_as_the_preview_was() or page.wait_for_timeout(100), PATIENCE / 1000)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


@pytest.mark.long
@pytest.mark.parametrize("rear", [False, True], ids=["front", "rear"])
def test_a_swipe_before_the_camera_has_its_name_in_the_visitors_own_view(with_swipe, shipped_page, rear):
    for _ in range(4):  # on a busy machine a recording may lack the frames of the swipe
        page = opened(with_swipe, shipped_page)
        start(page, rear=rear)
        # What is recorded begins 3 s after the press and ends at 6 s. So the button is pressed when the film has just begun
        # anew: at a change that is followed, and was preceded, by stillness.
        page.evaluate(
            """async () => {
                const context = Object.assign(document.createElement("canvas"), { width: 16, height: 12 }).getContext("2d");
                const look = () => {
                    context.drawImage(document.querySelector("#clip canvas"), 0, 0, 16, 12);
                    return context.getImageData(0, 0, 16, 12).data;
                };
                let [old, before, since] = [look(), 0, performance.now()]; // the stillness before the last change
                while (before < 1200 || performance.now() - since < 300) {
                    await new Promise((resolve) => setTimeout(resolve, 50));
                    const now = look();
                    if (now.some((level, i) => Math.abs(level - old[i]) > 8))
                        [before, since] = [performance.now() - since, performance.now()];
                    old = now;
                }
            }"""
        )
        page.locator("#clip [data-do=record]").click()
        wait_for_own_clip(page)
        label = page.locator("#label").text_content()
        page.context.close()
        if label.startswith("swipe"):
            break
    assert label == ("swipe left" if rear else "swipe right")


@pytest.mark.long
def test_by_keys_alone_no_microphone_or_large_picture_is_asked_for_and_the_camera_is_off_but_for_a_recording(
    with_camera, server
):
    page = opened(with_camera, server[0])
    assert page.evaluate("window.asked") == [], "the camera is off until somebody asks for it"
    page.locator("#clip [data-do=camera]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#clip [data-do=record]")).to_be_focused()
    (asked,) = page.evaluate("window.asked")
    assert asked["audio"] is False
    assert (asked["video"]["width"]["ideal"], asked["video"]["height"]["ideal"]) == (320, 240)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#clip [data-do=choose]")).to_be_focused()
    assert page.evaluate(ALL_OFF)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#clip [data-do=record]")).to_be_focused()
    page.keyboard.press("Space")
    wait_for_own_clip(page)
    assert page.evaluate("Boolean(document.activeElement.closest('#clip'))")
    assert page.evaluate(ALL_OFF), "it goes off with the end of the recording"
    recorded = page.evaluate("document.querySelector('#clip video').src")
    start(page)
    page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', { get: () => true });"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    assert page.evaluate(ALL_OFF)
    expect(page.locator("#clip [role=alert]")).to_have_text(WORDS["hidden"])
    assert page.evaluate("document.querySelector('#clip video').src") == recorded, "the clip before is still there"
    page.context.close()


@pytest.mark.long
def test_a_recording_is_stopped_early_left_or_replaced_by_a_file(with_camera, server):
    page = opened(with_camera, server[0])
    record = page.locator("#clip [data-do=record]")
    start(page)
    record.click()
    expect(record).to_have_text(WORDS["stop"])
    record.click()
    expect(record).to_have_text(WORDS["record"])
    record.click()
    expect(page.locator("#clip")).to_contain_text(WORDS["recording"])
    page.locator("#clip [data-do=off]").click()
    assert page.evaluate(ALL_OFF)
    page.wait_for_timeout(1000)
    assert page.locator("#clip video").count() == 0, "what was left is not used"
    start(page)
    record.click()
    expect(page.locator("#clip")).to_contain_text(WORDS["recording"])
    page.wait_for_timeout(1000)
    record.click()
    wait_for_own_clip(page)
    start(page)
    page.locator("#clip input[type=file]").set_input_files(str(requests.EXAMPLES_FOLDER / "star.mp4"))
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.example === 'star'")
    assert page.evaluate(ALL_OFF)
    page.context.close()


@pytest.mark.long
def test_a_camera_that_cannot_be_had_is_one_sentence(browser, with_camera, server):
    with launched(browser, ALLOWED) as without_camera:
        cases = [
            (with_camera, server[0], False, "refused"),
            (without_camera, server[0], False, "missing"),
            (with_camera, server[0].replace("127.0.0.1", INSECURE), True, "insecure"),
        ]
        for found, address, allowed, name in cases:
            page = opened(found, address, allowed=allowed)
            page.locator("#clip [data-do=camera]").click()
            expect(page.locator("#clip [role=alert]")).to_have_text(WORDS[name])
            expect(page.locator("#clip [data-do=choose]")).to_be_visible()
            assert page.locator("[data-testid=toast-body]").count() == 0
            page.context.close()
