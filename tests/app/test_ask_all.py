"""All groups of models are asked about one clip: on a page that ships small models of three groups, and for programs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from browser import SIZES, desktop, phone
from conftest import ROOT, serving, small_net
from playwright.sync_api import Page, expect
from small_project import ACTIONS, CAMERA, GESTURES, OF_ALL_GROUPS, copy_project, save

import aia
from aia.inspection.batch import Inputs, predict
from app import text
from app.service import models, requests
from app.ui import html

EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"
BEST = {"gestures": "tsn-mobilenetv2-stinc", "camera": "camera-tsn-mobilenetv2-cinst"}
BEST |= {"actions": "actions-tsn-mobilenetv2-cinst"}
SAYS = {  # by group: an answer, and how probable it is
    "gestures": ("no gesture", "91 %"),
    "camera": ("pan left", "96 %"),
    "actions": ("not sure: surfing?", "51 %"),
}


def networks(names) -> dict:
    """A small network for each of `OF_ALL_GROUPS`."""
    return {
        name: (small_net("none" if name.endswith("-none") else "cinst", "tsn"), OF_ALL_GROUPS[name]) for name in names
    }


@pytest.fixture(scope="module")
def three_groups(tmp_path_factory) -> Iterator[str]:
    """The address of a page that ships models of three groups."""
    root = copy_project(tmp_path_factory.mktemp("three") / "project", networks(OF_ALL_GROUPS))
    with serving(tmp_path_factory.mktemp("served"), root=root, AIA_PRECISION="float32") as address:
        yield address


@pytest.fixture
def own_clip(tmp_path, video):
    """A visitor's own clip, which is no example."""
    path = tmp_path / "my clip.mp4"
    path.write_bytes(video.read_bytes())
    return path


@pytest.fixture(scope="module")
def pages(browser, three_groups) -> Iterator[Callable[[str], Page]]:
    """Opens one page of each size, which its tests share: opening a page takes longer than most of them."""
    found = {}

    def page_of(size: str) -> Page:
        if size not in found:
            width, height = SIZES[size]
            found[size] = page = browser.new_page(viewport={"width": width, "height": height})
            page.problems = []
            page.on("pageerror", lambda error: page.problems.append(str(error)))
            page.goto(three_groups)
            arrived(page)
        return found[size]

    yield page_of
    for page in found.values():
        page.close()


@pytest.fixture(params=SIZES)
def page(pages, request) -> Iterator[Page]:
    """The shared page of a size, as it is opened: all groups are asked about the first example."""
    shared = pages(request.param)
    if (again := shared.get_by_role("button", name=text.ASK_ALL_AGAIN, exact=True)).is_visible():
        again.click()
        expect(shared.locator(".card")).to_have_count(len(BEST))
    if shared.evaluate("document.querySelector('.viewer').viewer.answers[0].link.example") != "swipe-left":
        shared.locator("#clips .gallery-item", has_text="swipe left").click()
        shared.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.example === 'swipe-left'")
    looked_into(shared, "gestures")
    arrived(shared)
    shared.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    yield shared
    assert shared.problems == []
    assert shared.evaluate("document.documentElement.scrollWidth") <= SIZES[request.param][0], "no horizontal bar"


def arrived(page: Page) -> None:
    """Waits until the viewer has a computed answer and every card says something."""
    page.wait_for_function("document.querySelector('.viewer')?.viewer?.answers[0]?.channelBytes?.length")
    expect(page.locator(".card.waiting")).to_have_count(0)


def upload(page: Page, clip) -> None:
    page.locator("#clip input[type=file]").set_input_files(str(clip))


def card(page: Page, task: str):
    return page.locator(f".card[data-task={task}]")


def all_say_the_same(page: Page) -> None:
    for task, (said, probability) in SAYS.items():
        expect(card(page, task).locator(".group")).to_have_text(f"{text.GROUPS[task].title} {probability}")
        expect(card(page, task).locator(".says")).to_have_text(said)


def looked_into(page: Page, task: str) -> None:
    """Waits until one card is marked, and the viewer shows that group's best model."""
    expect(card(page, task)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".card[aria-pressed=true]")).to_have_count(1)
    page.wait_for_function(
        "(model) => document.querySelector('.viewer').viewer.answers[0].link.model === model", arg=BEST[task]
    )


def choose(page: Page, option: str) -> None:
    page.locator("#model input").click()
    page.get_by_role("option", name=option).click()


# ---- the page


@phone
def test_every_group_says_something_about_an_uploaded_clip_and_one_is_looked_into(page, own_clip):
    upload(page, own_clip)
    looked_into(page, "camera")  # the only one that knows the clip
    expect(page.locator("#label")).to_have_text("pan left")
    all_say_the_same(page)
    expect(page.locator(".card.refused")).to_have_count(2)
    expect(page.locator("#model input")).to_have_value(text.ASK_ALL)


@desktop
def test_another_card_is_one_press_away_by_pointer_and_by_key_and_asks_for_no_second_upload(page, own_clip):
    card(page, "actions").focus()
    upload(page, own_clip)
    looked_into(page, "camera")
    expect(card(page, "actions")).to_be_focused()
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    card(page, "actions").click()
    looked_into(page, "actions")
    expect(page.locator("#label")).to_have_text(text.UNKNOWN)
    expect(page.locator("#summary")).to_contain_text("none of its actions. The closest is “surfing”")
    expect(card(page, "actions")).to_be_focused()  # though it was drawn again
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(card(page, "gestures")).to_be_focused()
    page.keyboard.press("Enter")
    looked_into(page, "gestures")
    expect(page.locator("#label")).to_have_text("no gesture")
    all_say_the_same(page)
    assert [url for url in sent if "/gradio_api/upload" in url] == []
    expect(page.locator("#model input")).to_have_value(text.ASK_ALL)


@pytest.mark.long
@phone
def test_a_model_that_a_visitor_chose_is_asked_alone_until_all_are_asked_again(page, own_clip):
    upload(page, own_clip)
    looked_into(page, "camera")
    choose(page, "Camera · TSN, no gates")
    expect(page.locator(".only")).to_contain_text(text.ONLY_ONE)
    expect(page.locator(".only")).to_contain_text(text.knows_of("camera"))
    expect(page.locator(".card")).to_have_count(0)
    upload(page, EXAMPLE)
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.example === 'swipe-left'")
    assert page.evaluate("document.querySelector('.viewer').viewer.answers[0].link.model").startswith("camera-")
    expect(page.locator(".card")).to_have_count(0)
    page.get_by_role("button", name=text.ASK_ALL_AGAIN, exact=True).click()
    looked_into(page, "gestures")  # the group of the example
    expect(page.locator("#model input")).to_have_value(text.ASK_ALL)


@pytest.mark.long
@desktop
def test_the_menu_asks_all_too(page, own_clip):
    choose(page, "Actions · TSN + CinST")
    expect(page.locator(".only")).to_contain_text(text.knows_of("actions"))
    upload(page, own_clip)
    expect(page.locator("#label")).to_have_text(text.UNKNOWN)
    choose(page, text.ASK_ALL)
    looked_into(page, "camera")


@pytest.mark.long
@desktop
def test_the_menu_names_the_group_of_each_model_and_the_page_says_what_the_groups_know(page):
    page.locator("#model input").click()
    options = page.locator("#model").get_by_role("option")
    expect(options.first).to_contain_text(text.ASK_ALL)
    titles = [option.split(" · ")[0].lstrip("✓ \n") for option in options.all_inner_texts()[1:]]
    assert titles == ["Gestures", "Gestures", "Camera", "Camera", "Actions"]
    page.keyboard.press("Escape")
    page.locator("[popovertarget=about-clips]").click()
    for task in BEST:
        expect(page.locator("#about-clips")).to_contain_text(text.knows_of(task))


@pytest.mark.long
@desktop
def test_an_example_is_looked_into_by_its_own_group(page, own_clip):
    looked_into(page, "gestures")
    all_say_the_same(page)
    upload(page, own_clip)
    looked_into(page, "camera")
    page.locator("#clips .gallery-item", has_text="star").click()
    looked_into(page, "gestures")
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.example === 'star'")


@pytest.mark.long
@desktop
def test_a_link_opens_the_group_that_it_shows_or_the_model_that_its_sender_chose(page, three_groups):
    page.goto(f"{three_groups}/?example=star&model={BEST['camera']}")
    arrived(page)
    looked_into(page, "camera")
    expect(page.locator("#model input")).to_have_value(text.ASK_ALL)
    page.goto(f"{three_groups}/?example=star&model=camera-tsn-mobilenetv2-none")
    expect(page.locator(".only")).to_contain_text(text.ONLY_ONE)
    expect(page.locator("#label")).to_have_text("pan left")
    expect(page.locator("#model input")).to_have_value(re.compile("^Camera · TSN, no gates"))


def test_cards_and_result_stand_in_the_first_screen(page, own_clip):
    parts = [*(f".card[data-task={task}]" for task in BEST), "#label", ".answer .track", "canvas.frame >> nth=0"]
    for task in ("gestures", "camera"):
        if task == "camera":
            upload(page, own_clip)
        looked_into(page, task)
        width, height = page.viewport_size["width"], page.viewport_size["height"]
        floor = page.locator("#tabs .tab-container >> visible=true").bounding_box()["y"] if width < 1000 else height
        boxes = [page.locator(part).bounding_box() for part in [*parts, ".viewer .transport"]]
        for box in boxes:
            assert box["x"] >= 0 and box["x"] + box["width"] <= width + 1 and box["y"] >= 0
            assert box["y"] + box["height"] <= floor + 1
        assert len({(box["y"], box["height"]) for box in boxes[:3]}) == 1, "one row of equal cards"
        assert min(box["height"] for box in boxes[:3]) >= 44


@pytest.mark.long
def test_the_cards_have_no_serious_fault_of_accessibility(page, own_clip):
    def faults() -> list:
        found = []
        for theme in ("dark", "light"):
            page.emulate_media(color_scheme=theme)
            page.wait_for_function("(dark) => document.body.classList.contains('dark') === dark", arg=theme == "dark")
            page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
            found += Axe().run(page, context="#answer").response["violations"]
        return [(one["id"], one["nodes"][0]["html"][:120]) for one in found]

    upload(page, own_clip)
    looked_into(page, "camera")
    assert faults() == []
    choose(page, "Camera · TSN, no gates")
    page.wait_for_function(
        "document.querySelector('.viewer').viewer.answers[0].link.model === 'camera-tsn-mobilenetv2-none'"
    )
    expect(page.locator("#summary .note")).to_be_visible()
    expect(page.locator("#answer .wrap:visible")).to_have_count(0)  # Gradio's sign of a running request
    assert faults() == []


@pytest.mark.long
@desktop
def test_an_error_leaves_the_cards_as_they_are(page, own_clip, not_a_video):
    upload(page, own_clip)
    looked_into(page, "camera")
    upload(page, not_a_video)
    expect(page.locator("#problem .problem")).to_contain_text(text.KEPT.strip())
    looked_into(page, "camera")
    card(page, "actions").click()
    looked_into(page, "actions")
    expect(page.locator("#problem .problem")).to_have_count(0)


@pytest.mark.long
def test_a_page_with_one_group_asks_nobody_else(browser, tmp_path, own_clip):
    root = copy_project(tmp_path / "project", networks(["tsn-mobilenetv2-stinc", "tsn-mobilenetv2-none"]))
    with serving(tmp_path, root=root) as address:
        page = browser.new_page()
        page.goto(address)
        arrived(page)
        upload(page, own_clip)
        page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.example === ''")
        expect(page.locator("#label")).to_have_text("no gesture")
        expect(page.locator("#cards")).to_have_count(0)
        page.locator("#model input").click()
        expect(page.locator("#model").get_by_role("option")).to_have_count(2)
        expect(page.locator("#model").get_by_role("option", name=re.compile(r"Ask all|·"))).to_have_count(0)
        page.close()


# ---- programs and tools


def test_programs_ask_all_groups(three_groups):
    from gradio_client import Client, handle_file

    client = Client(three_groups, verbose=False)
    said = client.predict(video=handle_file(str(EXAMPLE)), model="all", api_name="/classify")
    assert said["model"] == "all" and list(said["answers"]) == list(BEST)
    for task, answer in said["answers"].items():
        alone = client.predict(video=handle_file(str(EXAMPLE)), model=BEST[task], api_name="/classify")
        assert answer.keys() == alone.keys() and answer["model"] == BEST[task]
        assert (answer["label"], answer["sure"], answer["frames"]) == (alone["label"], alone["sure"], alone["frames"])
        assert answer["scores"] == pytest.approx(alone["scores"], abs=1e-4)
    listed = client.predict(api_name="/list_models")
    assert [one["group"] for one in listed] == ["gestures", "gestures", "camera", "camera", "actions"]


def test_tools_are_told_of_it_and_ask_all_groups(three_groups):
    from gradio_client import Client, handle_file
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    client = Client(three_groups, verbose=False)
    uploaded = client.predict(video=handle_file(str(EXAMPLE)), api_name="/classify")
    assert uploaded["label"] == "no gesture"

    async def asked():
        import httpx

        async with httpx.AsyncClient() as http:
            sent = await http.post(f"{three_groups}/gradio_api/upload", files={"files": EXAMPLE.read_bytes()})
        async with streamable_http_client(f"{three_groups}/gradio_api/mcp/") as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                tools = await session.list_tools()
                clip = f"{three_groups}/gradio_api/file={sent.json()[0]}"
                return tools, await session.call_tool("classify", {"video": clip, "model": "all"})

    with ThreadPoolExecutor(1) as pool:  # the browser's tests have an event loop in this thread
        tools, answer = pool.submit(asyncio.run, asked()).result()
    (classify,) = (tool for tool in tools.tools if tool.name == "classify")
    assert '"all"' in classify.inputSchema["properties"]["model"]["description"]
    assert not answer.isError and all(f"'{task}'" in answer.content[0].text for task in BEST)


# ---- who is looked into, and what fails


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    """Task -> the folder of a small model."""
    home = tmp_path_factory.mktemp("models")
    found = {}
    for knows in (GESTURES, CAMERA, ACTIONS):
        save(home / knows.task, small_net(), knows)
        found[knows.task] = str(home / knows.task)
    return found


def answers(*knows):
    """What small models say about a clip, by their task."""
    from conftest import clip_of, moving_frames

    clip = clip_of(moving_frames(8))
    found = {}
    for one in knows:
        config = replace(small_net().config, labels=tuple(one.logits), threshold=one.threshold, task=one.task)
        network = aia.AIANet(config).eval()
        network.head.weight.data.zero_()
        network.head.bias.data.copy_(torch.tensor([*one.logits.values()]))
        found[one.task] = predict(network, [Inputs([config], lambda _: clip)])[0]
    return found


@pytest.mark.long
def test_the_most_certain_of_those_that_know_the_clip_is_looked_into_and_the_camera_after_them():
    star = GESTURES._replace(logits={"star": 3.0, "swipe left": 0.0, "no gesture": 0.0})
    surfing = ACTIONS._replace(logits={"surfing": 5.0, "fencing": 0.0, "none of these": 0.0})
    assert requests.first_to_show(answers(star, surfing)) == "actions", "0.99 is more than 0.91"
    assert requests.first_to_show(answers(star, ACTIONS)) == "gestures", "the other is not sure"
    assert requests.first_to_show(answers(GESTURES, CAMERA, ACTIONS)) == "camera", "the others do not know it"
    assert requests.first_to_show(answers(star, CAMERA, ACTIONS)) == "gestures", "every clip has a camera"
    assert requests.first_to_show(answers(GESTURES, ACTIONS)) == "", "nobody knows it"


@pytest.mark.long
def test_a_clip_that_nobody_knows_is_looked_into_by_the_group_that_the_visitor_looks_at(folders, own_clip):
    best = {task: folders[task] for task in ("gestures", "actions")}
    assert requests.ask_all(str(own_clip), best, current="actions").model == folders["actions"]
    assert requests.ask_all(str(own_clip), best).model == folders["gestures"]


@pytest.mark.long
def test_a_model_that_cannot_be_loaded_is_no_reason_not_to_ask_the_others(folders, own_clip, tmp_path):
    broken = tmp_path / "broken"
    save(broken, small_net(), ACTIONS)
    (broken / "model.safetensors").write_bytes(b"no weights")
    result = requests.ask_all(str(own_clip), {**folders, "actions": str(broken)})
    assert result.model == folders["camera"] and result.inspection.label == "pan left"
    assert text.card(result.asked["actions"]) == (text.NO_ANSWER, "", False)
    assert "damaged" in html.cards([*folders], "camera", result.asked), "the card tells why"
    with pytest.raises(aia.AIAError, match="damaged"):
        requests.ask_all(str(own_clip), {"actions": str(broken)})


def test_what_is_looked_into_is_what_the_model_says_alone(folders, own_clip):
    together, alone = (
        requests.ask_all(str(own_clip), folders),
        requests.inspect_video(str(own_clip), folders["camera"], [folders["camera"]]),
    )
    assert together.inspection.logits == pytest.approx(alone.inspection.logits)
    assert together.inspection.held.logits == pytest.approx(alone.inspection.held.logits)
    assert together.asked["camera"].probabilities == pytest.approx(alone.inspection.probabilities, abs=1e-4)


@pytest.mark.long
def test_models_that_take_other_frames_or_pictures_get_their_own(folders, own_clip, tmp_path):
    network = small_net()
    network.config = replace(network.config, num_segments=5, input_size=64, resize=(64, 64))
    save(tmp_path / "other", network, ACTIONS)
    result = requests.ask_all(str(own_clip), {**folders, "actions": str(tmp_path / "other")})
    assert len(result.asked["actions"].indices) == 5 and len(result.asked["camera"].indices) == 8


@pytest.mark.long
def test_groups_are_those_of_the_models_that_are_offered(folders, tmp_path):
    save(tmp_path / "mine", small_net(), CAMERA._replace(task="birds"))
    mine = str(tmp_path / "mine")
    names = [mine, *folders.values()]
    assert models.asked_models(names) == folders and models.group(mine) == ""
    assert models.first_choice(names) == mine, "a model that was put first stays the first choice"
    assert models.first_choice([*folders.values(), mine]) == "all"
    assert models.first_choice([folders["camera"]]) == folders["camera"]
    assert [entry.split(" · ")[0] for entry, _ in models.choices(names)] == ["Gestures", "Camera", "Actions", "Other"]
    assert json.dumps(models.menu([mine])) == json.dumps([["mine", mine]])
