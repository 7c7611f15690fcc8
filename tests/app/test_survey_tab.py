"""The tab "Survey" as a visitor meets it: numbers of a survey on the page's machine, and files that a visitor opens."""

import copy
import json
import re

import made_survey
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import SIZES
from conftest import moving_frames, serving, small_net
from playwright.sync_api import expect

from aia import AIAError
from aia.surveys.report import report
from aia.visualization.render import write_mp4
from app import text
from app.service import surveys
from app.ui import handlers

pytestmark = pytest.mark.long  # surveys are made first, and a page of its own opens

WORDS = text.SURVEY


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model, and the report of a survey by it whose clips are on this machine."""
    home = tmp_path_factory.mktemp("survey-tab")
    model = home / "model"
    small_net().save_pretrained(model)
    rows = made_survey.made_rows(30)
    clip = home / "one.mp4"
    write_mp4(clip, moving_frames(12), 10)
    for row in rows:
        own = home / "clips" / row["path"]
        own.parent.mkdir(parents=True, exist_ok=True)
        own.hardlink_to(clip)
    made_by = made_survey.about(model=str(model), data=str(home / "clips"))
    report(str(made_survey.write(home / "survey", rows, made_by)), title="Walks of a square")
    return model, home / "survey" / "_report"


@pytest.fixture(scope="module")
def address(folders, tmp_path_factory):
    model, survey = folders
    home = tmp_path_factory.mktemp("survey-page")
    with serving(home, "--model", str(model), "--survey", str(survey), AIA_PRECISION="float32") as address:
        yield address


@pytest.fixture(scope="module")
def summary(folders):
    return json.loads((folders[1] / "summary.json").read_text(encoding="utf-8"))


def opened(browser, address, **options):
    page = browser.new_page(**options)
    page.goto(address)
    page.locator("#tab-survey-button").click()
    expect(page.locator(".survey h2")).to_have_text("Walks of a square")
    return page


@pytest.fixture(scope="module")
def page(browser, address):
    width, height = SIZES["desktop"]
    page, problems = opened(browser, address, viewport={"width": width, "height": height}), []
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    assert problems == []
    page.close()


def give(page, content) -> None:
    """Opens a file of the visitor's own."""
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    page.locator(".survey [data-part=file]").set_input_files(
        {"name": "summary.json", "mimeType": "application/json", "buffer": content}
    )


def test_the_numbers_of_the_file_are_on_the_page(page, summary):
    row = page.locator(".survey [data-part=blocks] tr").nth(1)
    change = summary["blocks"][1]["without"]["mean"]["change"]
    wanted = [f"−{abs(100 * end):.1f}" for end in change]
    expect(row.locator("td.number").first).to_have_text(f"{wanted[0]} ({wanted[1]} to {wanted[2]})")
    expect(page.locator(".survey [data-part=block]")).to_have_text("Block 2 of 2 (layer2.0)")
    cells = page.locator(".survey [role=gridcell][data-channel='3']")
    means = summary["blocks"][1]["channels"][0]["means"]
    middle = sum(means) / 3
    assert [cell.replace("−", "-") for cell in cells.all_inner_texts()] == [
        re.sub(r"^[+-](0.00)$", r"\1", f"{mean - middle:+.2f}") for mean in means
    ]
    expect(page.locator(".survey .profile svg .own")).to_have_count(3)
    expect(page.locator(".survey [data-part=facts]")).to_contain_text("TSM with CinST classified 30 clips")
    page.locator(".survey summary").click()
    expect(page.locator(".survey [data-part=claims]")).to_contain_text("not another training run")


def test_a_cell_leads_to_a_clip_of_its_class_at_this_block_and_channel(page, summary):
    page.locator(".survey [role=gridcell][data-channel='3'][data-kind='2']").click()
    means = summary["blocks"][1]["channels"][0]["means"]
    difference = abs(means[2] - sum(means) / 3)
    expect(page.locator(".survey [data-part=said]")).to_contain_text(
        f"channel 3 is open by {means[2]:.3f} on average, {difference:.3f} "
    )
    clip = summary["clips"][summary["blocks"][1]["typical"][2]]
    look = page.locator(".survey [data-do=look]")
    expect(look).to_have_text(f"Look at {clip}")
    look.click()
    expect(page.locator("#tab-look-button")).to_have_attribute("aria-selected", "true")
    page.wait_for_function(
        "(({block, channel}) => block === 'layer2.0' && channel === 3)(document.querySelector('.viewer').viewer.state)"
    )
    expect(page.locator("#label")).to_be_visible()
    page.locator("#tab-survey-button").click()
    expect(page.locator(".survey [aria-selected=true][data-channel='3']")).to_be_visible()


def test_after_a_lost_request_the_visitor_stays_here_and_may_press_again(page):
    page.locator(".survey [role=gridcell][data-channel='3'][data-kind='1']").click()
    look, shown = page.locator(".survey [data-do=look]"), "document.querySelector('.viewer').viewer.state"
    before = page.evaluate(shown)
    page.route("**/gradio_api/queue/join*", lambda route: route.abort())
    look.click()
    toast = page.get_by_test_id("toast-body")
    expect(toast).to_contain_text(text.LOST)
    toast.locator(".toast-close").click()
    expect(look).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("#tab-survey-button")).to_have_attribute("aria-selected", "true")
    assert page.evaluate(shown) == before
    page.unroute("**/gradio_api/queue/join*")
    look.click()
    expect(page.locator("#tab-look-button")).to_have_attribute("aria-selected", "true")
    page.locator("#tab-survey-button").click()


def test_the_keyboard_reaches_every_cell_and_another_block(page):
    page.locator(".survey [data-block='layer1.0']").press("Enter")
    expect(page.locator(".survey [data-part=block]")).to_have_text("Block 1 of 2 (layer1.0)")
    expect(page.locator(".survey [data-block='layer1.0']")).to_be_focused()
    page.locator(".survey [role=gridcell][tabindex='0']").focus()
    before = page.evaluate("document.activeElement.dataset.channel")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    chosen = page.evaluate("({...document.activeElement.dataset, on: document.activeElement.ariaSelected})")
    assert chosen["kind"] == "1" and chosen["channel"] != before and chosen["on"] == "true"
    expect(page.locator(".survey [data-part=said]")).to_contain_text("right (10 clips)")
    page.get_by_role("radio", name="wide open").check()
    expect(page.locator(".survey [data-part=said]")).to_contain_text("gates wide open")


def test_a_visitors_own_file_stays_in_the_browser_and_finds_our_example_of_its_class(page, summary):
    own = copy.deepcopy(summary) | {"title": "My own"}
    own["classes"][1:] = ["circle (counter-clockwise)", "check mark"]
    sent = []
    page.on("request", lambda request: sent.append(request.method))
    give(page, own)
    expect(page.locator(".survey h2")).to_have_text("My own")
    page.locator(".survey [data-profile='1']").click()
    expect(page.locator(".survey [data-do=look]")).to_have_text("Look at our example circle")
    page.locator(".survey [data-profile='2']").click()
    expect(page.locator(".survey [data-do=look]")).to_have_text("Look at our example check mark")
    page.locator(".survey [data-profile='0']").click()
    expect(page.locator(".survey [data-part=nowhere]")).to_have_text(WORDS["nowhere"])
    page.locator(".survey [data-part=ends] button").first.click()
    expect(page.locator(".survey [data-part=nowhere]")).to_have_text(WORDS["clip_nowhere"])
    blocks = [block | {"without": {}} for block in own["blocks"]]
    give(page, own | {"model": {"name": "user/$&", "network": "a $& net, resnet18"}, "blocks": blocks})
    expect(page.locator(".survey [data-part=facts]")).to_contain_text("a $& net (resnet18) classified")
    page.locator(".survey [data-profile='1']").click()
    expect(page.locator(".survey [data-part=said]")).to_have_text("circle (counter-clockwise) (10 clips).")
    expect(page.locator(".survey [data-part=nowhere]")).to_contain_text("does not offer the model user/$&")
    assert "POST" not in sent


def test_a_hostile_file_is_refused_in_one_sentence_or_shown_as_text(page, summary):
    give(page, summary | {"title": "Before"})
    expect(page.locator(".survey h2")).to_have_text("Before")

    def changed(change):
        content = copy.deepcopy(summary)
        change(content)
        return content

    damaged = [
        changed(lambda c: c["blocks"][0].update(profile="<b>")),
        changed(lambda c: c["blocks"][0]["profiles"].pop()),
        changed(lambda c: c["blocks"][1]["lowest"].append([999, 0.5])),
        changed(lambda c: c["blocks"].append(None)),
        changed(lambda c: c["blocks"][1].update(highest=[5])),
        changed(lambda c: c.update(classes=["x" * 201] * 3)),
        changed(lambda c: c.update(blocks=[c["blocks"][0]] * 201)),
        changed(lambda c: c.update(clips={"length": 3})),
        json.dumps(changed(lambda c: c["blocks"][0]["channels"][0].update(eta=12345)))
        .replace("12345", "1e999")
        .encode(),
    ]
    wrong = [
        ("size", b"[" + b"1," * 210_000 + b"1]"),
        ("json", b"not json"),
        ("json", b"[" * 100_000),
        ("format", {"format": "something"}),
        ("format", b"null"),
        ("version", summary | {"version": 2}),
        *(("values", content) for content in damaged),
    ]
    for reason, content in wrong:
        give(page, content)
        expect(page.locator(".survey [data-part=problem]")).to_have_text(WORDS["bad"][reason])
        expect(page.locator(".survey h2")).to_have_text("Before")
        give(page, summary | {"title": "Before"})
        expect(page.locator(".survey [data-part=problem]")).to_be_hidden()
    markup = "<img src=x onerror=document.title='run'>"
    content = changed(lambda c: c.update(title=markup, clips=[f"{markup}{i}" for i in range(len(c["clips"]))]))
    content["classes"][0], content["blocks"][1]["name"] = f"{markup}\u202e", markup
    content["examples"] = {"0": markup, "constructor": "circle", "__proto__": "circle"}
    give(page, content)
    expect(page.locator(".survey h2")).to_have_text(markup)
    page.locator(".survey [data-kind='0']").first.click()
    expect(page.locator(".survey [data-part=said]")).to_contain_text(markup)
    assert page.locator(".survey img").count() == 0 and page.title() != "run"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    give(page, summary | {"title": "Without blocks", "blocks": []})
    expect(page.locator(".survey [data-part=blocks-help]")).to_have_text(WORDS["no_blocks"])


def test_a_phone_shows_all_within_its_width_large_enough_for_a_finger_and_without_faults(browser, address):
    width, height = SIZES["phone"]
    size = {"width": width, "height": height}
    page = opened(browser, address, viewport=size, has_touch=True, is_mobile=True)
    page.locator(".survey [role=gridcell]").first.click()
    expect(page.locator(".survey [data-do=look]")).to_be_visible()
    outside = page.evaluate(
        """[...document.querySelectorAll("#survey *, #tabs [role=tab]")].filter((one) => one.getClientRects().length)
        .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
        .filter(([, box]) => box.left < -0.5 || box.right > innerWidth + 0.5)"""
    )
    assert outside == []
    small = page.evaluate(
        """[...document.querySelectorAll(
            "#survey :is(button, select, summary, label, [role=gridcell]), #tabs [role=tab]"
        )]
        .filter((one) => one.getClientRects().length).map((one) => [one.outerHTML.slice(0, 80), one.offsetHeight])
        .filter(([, height]) => height < 44)"""
    )
    assert small == []
    assert page.locator("#tabs [role=tab]:visible").count() == len(text.TABS)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_function("(dark) => document.body.classList.contains('dark') === dark", arg=theme == "dark")
        page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
        found = Axe().run(page, context="#survey").response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:120]) for one in found] == [], theme
    page.close()


def test_every_shipped_survey_opens_and_names_no_folder(page):
    shipped = sorted(surveys.FOLDER.glob("*.json"))
    assert shipped
    for path in shipped:
        content = json.loads(path.read_text(encoding="utf-8"))
        page.locator(".survey [data-part=menu]").select_option(path.stem)
        expect(page.locator(".survey h2")).to_have_text(content["title"])
        expect(page.locator(".survey [data-part=blocks] tr")).to_have_count(len(content["blocks"]))
        expect(page.locator(".survey [data-part=problem]")).to_be_hidden()
        assert path.stat().st_size < 256_000 and not [clip for clip in content["clips"] if clip.startswith("/")]


def test_a_survey_that_cannot_be_loaded_is_one_sentence(browser, address):
    page = browser.new_page()
    page.route("**/survey/*.json", lambda route: route.fulfill(status=404))
    page.goto(address)
    page.locator("#tab-survey-button").click()
    expect(page.locator(".survey [data-part=problem]")).to_have_text(WORDS["lost"])
    menu = page.locator(".survey [data-part=menu]")
    expect(menu).to_have_value("")  # a visitor can choose the same one again
    page.unroute("**/survey/*.json")
    menu.select_option("Walks of a square")
    expect(page.locator(".survey h2")).to_have_text("Walks of a square")
    expect(menu.locator("option:checked")).to_have_text("Walks of a square")
    page.close()


def test_only_clips_of_the_named_survey_can_be_asked_for(folders, tmp_path):
    model, survey = folders
    surveys.offer([survey])
    for target in (
        {},
        {"survey": "own-1", "clip": -1, "model": str(model)},
        {"survey": "own-1", "clip": "/etc/passwd", "model": str(model)},
        {"survey": ["own-1"], "clip": {"a": 1}, "model": {"b": 2}},
        {"survey": "../own-1", "clip": 0, "model": str(model)},
        {"example": "../circle", "model": str(model)},
    ):
        found = handlers.look_at_surveyed(target, [str(model)], {}, lambda *_: None)
        assert set(found) == {"problem"} and "This clip is not on the page" in found["problem"]["value"]
    found = handlers.look_at_surveyed({"example": "circle", "model": "other"}, [str(model)], {}, lambda *_: None)
    assert "There is no model" in found["problem"]["value"]
    assert surveys.content("own-2") is None
    with pytest.raises(AIAError, match="no summary of a survey"):
        surveys.offer([tmp_path])
