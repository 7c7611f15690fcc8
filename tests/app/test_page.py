"""The page as visitors meet it: a real server and a real browser."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import SIZES, desktop, phone
from conftest import ROOT
from PIL import Image
from playwright.sync_api import expect

import aia
from aia.visualization import export
from aia.visualization.view import View
from app import text

EXAMPLE = ROOT / "assets" / "examples" / "swipe-left.mp4"
CHANNELS = re.compile(r"/gradio_api/.*\.bin$")  # the channels' gates of a result


@pytest.fixture(params=SIZES)
def page(browser, server, request):
    """Of both sizes, unless a test is about something that the layout does not touch."""
    width, height = SIZES[request.param]
    opened = browser.new_page(viewport={"width": width, "height": height})
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(server[0])
    yield opened
    assert problems == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width, "no horizontal bar"
    opened.close()


def choose(page, dropdown: str, option: str) -> None:
    page.locator(f"{dropdown} input").click()
    page.get_by_role("option", name=re.compile(rf"^(Other · )?{re.escape(option)}$")).click()


def state(page) -> dict:
    return json.loads(page.locator(".viewer").get_attribute("data-state"))


def wait_for_state(page, **wanted) -> None:
    page.wait_for_function(
        "(wanted) => { const s = JSON.parse(document.querySelector('.viewer').dataset.state ?? '{}');"
        " return Object.keys(wanted).every((k) => s[k] === wanted[k]); }",
        arg=wanted,
    )


def wait_for_answer(page, *, sides=1, channels=True) -> None:
    """Waits until the viewer has so many answers, with every channel's gates."""
    page.wait_for_function(
        "([sides, channels]) => { const v = document.querySelector('.viewer')?.viewer;"
        " return v?.answers.length === sides && (!channels || v.answers.every((a) => a.channelBytes?.length)); }",
        arg=[sides, channels],
    )


def picture(page, side=0) -> str:
    return page.locator("canvas.frame").nth(side).evaluate("c => c.toDataURL()")


def tab(page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def upload(page, server, file=EXAMPLE) -> None:
    wait_for_answer(page)
    if page.locator("#clip video").count():
        page.locator("#clip").get_by_label("Clear").click()
    page.locator("#clip input[type=file]").first.set_input_files(str(file))


@phone
def test_the_first_visit_shows_a_living_example_and_what_the_model_knows(page, server):
    wait_for_answer(page)
    expect(page.locator("#label")).to_have_text(re.compile("^(left|right|still)$"))
    expect(page.locator("body")).to_contain_text("This model knows 3 labels: left, right, still")
    expect(page.locator("body")).to_contain_text("attention is not an explanation")
    expect(page.locator("body")).to_contain_text("deleted about an hour later")
    assert state(page)["block"] in aia.load(server[1][0]).config.blocks
    colours = page.locator("canvas.frame").evaluate(
        "c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"
    )
    assert colours > 100, "a picture, not a blank"


@desktop
def test_a_visitor_uploads_looks_around_by_keyboard_and_gives_a_bad_file(page, server, not_a_video, tmp_path):
    own = tmp_path / "Ü my clip.mp4"
    own.write_bytes((ROOT / "assets" / "examples" / "star.mp4").read_bytes())
    wait_for_answer(page)
    before = picture(page)
    upload(page, server, own)
    page.wait_for_function("(old) => document.querySelector('canvas.frame').toDataURL() !== old", arg=before)
    wait_for_answer(page)
    page.wait_for_function("!location.search.includes('example=')")  # a link holds no clip

    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/gradio_api/" in request.url else None)
    page.locator(".viewer [data-do=on]").focus()
    start = state(page)
    page.keyboard.press("ArrowRight")
    wait_for_state(page, frame=(start["frame"] + 1) % 8)
    page.keyboard.press("ArrowUp" if start["block"] == "layer4.1" else "ArrowDown")
    assert state(page)["block"] != start["block"]
    for gate in ("C", "T", "H", "W", "combined"):
        page.keyboard.press("g")
        wait_for_state(page, gate=gate)
    page.keyboard.press("s")
    wait_for_state(page, scale="absolute")
    page.keyboard.press("c")
    wait_for_state(page, cells=True)
    old = picture(page)
    page.locator(".viewer .menu summary").click()
    page.locator(".viewer [data-state=opacity]").fill("0.9")
    wait_for_state(page, opacity=0.9)
    assert picture(page) != old
    page.locator(".ladder button").first.click()
    page.locator(".film button").last.click()
    wait_for_state(page, frame=7)
    page.keyboard.press("?")
    expect(page.locator(".viewer dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator(".viewer [data-do=play]").click()
    page.wait_for_function("document.querySelector('.viewer').viewer.state.frame === 2")
    page.locator(".viewer [data-do=play]").click()
    assert asked == [], "everything is drawn in the browser"

    label = page.locator("#label").inner_text()
    upload(page, server, not_a_video)
    expect(page.locator("#problem")).to_contain_text("“holiday.mp4” could not be opened as a video")
    assert page.locator("#label").inner_text() == label, "nothing is lost"
    assert "Traceback" not in page.locator("body").inner_text()
    page.locator("#problem .close").press("Enter")
    expect(page.locator("#problem .problem")).to_have_count(0)
    expect(page.get_by_role("tab", name="Look", exact=True)).to_be_focused()


@pytest.mark.long
@desktop
def test_a_channel_is_previewed_pinned_and_let_go(page, server):
    wait_for_answer(page)
    bars = page.locator("canvas.bars")
    bars.scroll_into_view_if_needed()
    everyone = picture(page)
    bars.hover(position={"x": 3, "y": 60})
    page.wait_for_function("(old) => document.querySelector('canvas.frame').toDataURL() !== old", arg=everyone)
    assert state(page)["channel"] is None, "pointing is a preview"
    bars.click(position={"x": 3, "y": 60})
    pinned = state(page)["channel"]
    expect(page.locator("[data-part=shown]")).to_have_text(f"Shown: channel {pinned} alone.")
    page.keyboard.press("Escape")
    wait_for_state(page, channel=None)
    bars.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    second = state(page)["channel"]
    assert second is not None
    bars.hover(position={"x": 200, "y": 60})
    page.mouse.move(0, 0)
    expect(page.locator("[data-part=shown]")).to_contain_text(f"channel {second} alone")
    page.locator("[data-part=unpin]").click()
    wait_for_state(page, channel=None)
    page.wait_for_function("(old) => document.querySelector('canvas.frame').toDataURL() === old", arg=everyone)


def inspected_as_on(page, model) -> aia.Inspection:
    """The example as the page has it: compared with the page's examples if these were ready when it was inspected."""
    network = aia.load(model, device="cpu")
    if page.evaluate("Boolean(document.querySelector('.viewer').viewer.answers[0].reference)"):
        network.reference = aia.compute_reference(network, sorted(EXAMPLE.parent.glob("*.mp4")))
    return aia.inspect(network, aia.read_clip(EXAMPLE))


@desktop
def test_the_value_under_the_pointer_and_the_table_are_the_gates(page, server):
    wait_for_answer(page)
    page.locator(".viewer [data-state=scale]").select_option("absolute")
    seen = aia.inspect(aia.load(server[1][0], device="cpu"), aia.read_clip(EXAMPLE))
    found = state(page)
    values = seen.block(found["block"]).spatiotemporal_map[found["frame"]]
    frame = page.locator("canvas.frame")
    box = frame.bounding_box()
    frame.hover(position={"x": box["width"] / 2 + 1, "y": box["height"] / 2 + 1})
    wanted = values[values.shape[0] // 2, values.shape[1] // 2]
    read = page.locator(".readout").inner_text()
    assert float(read.split()[0]) == pytest.approx(wanted, abs=0.003) and found["block"] in read
    page.locator("summary", has_text="as a table").click()
    found = page.locator("[data-part=cells] table").first.locator("td")
    expect(found).to_have_count(values.size)
    cells = found.all_inner_texts()
    assert np.array(cells, float) == pytest.approx(values.ravel(), abs=0.003)


@pytest.mark.long
@desktop
def test_a_copied_link_opens_the_same_view(page, server, browser):
    wait_for_answer(page)
    page.get_by_text("star", exact=True).first.click()
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.example === 'star'")
    wait_for_answer(page)
    page.locator(".ladder button").nth(1).click()
    page.locator(".viewer").get_by_role("radio", name="H", exact=True).click()
    page.locator(".viewer [data-state=scale]").select_option("block")
    page.locator(".film button").nth(2).click()
    wanted, shown = state(page), picture(page)
    page.wait_for_function(
        "(wanted) => wanted.every((part) => location.search.includes(part))",
        arg=["example=star", "frame=2", "gate=H", "scale=block", f"block={wanted['block']}"],
    )
    other = browser.new_page(viewport=page.viewport_size)
    other.goto(page.evaluate("location.href"))
    other.wait_for_function("document.querySelector('.viewer')?.viewer?.answers[0]?.link.example === 'star'")
    wait_for_answer(other)
    assert state(other) == wanted and picture(other) == shown
    other.goto(f"{server[0]}/?example=nothing&model=<b>x</b>&block=%00&frame=9999")
    expect(other.locator("#problem")).to_contain_text("and the example 'nothing', which this page does not have")
    expect(other.locator("#problem b")).to_have_count(0)
    wait_for_answer(other)
    other.close()


@phone
def test_a_switched_gate_moves_the_prediction_and_the_maps(page, server):
    wait_for_answer(page)
    tab(page, "What if")
    expect(page.locator("#ranking")).to_contain_text("changes most at block")
    assert page.locator("#ranking tbody tr").count() == 8
    page.locator("#ranking tbody button").first.click()
    assert f"({state(page)['block']})" in page.locator("#ranking tbody button").first.inner_text()
    page.locator("#mode").get_by_text("wide open").click()
    page.locator("#switch").click()
    expect(page.locator("#what-if")).to_contain_text("all gates wide open")
    wait_for_answer(page, sides=2)
    clip, net = aia.read_clip(EXAMPLE), aia.load(server[1][0], device="cpu")
    before, after = aia.inspect(net, clip), aia.inspect(net, clip, switches=[aia.Switch("identity")])
    moved = {row.split("\t")[0]: row for row in page.locator("#what-if tbody").inner_text().splitlines()}
    for i, label in enumerate(before.labels):
        assert f"{after.logits[i] - before.logits[i]:+.2f}".replace("-", "−") in moved[label]
    assert picture(page, 1) != picture(page, 0), "a gate at 1 looks open everywhere"
    page.locator(".viewer [data-do=drop]").click()
    wait_for_answer(page, sides=1)
    expect(page.locator("#what-if section")).to_have_count(0)
    page.locator("#switch").click()
    wait_for_answer(page, sides=2)


@pytest.mark.long
@desktop
def test_forwards_and_backwards_and_two_models_are_compared(page, server):
    wait_for_answer(page)
    tab(page, "Compare")
    page.locator("#run-compare").click()
    wait_for_answer(page, sides=2)
    times = page.evaluate("document.querySelector('.viewer').viewer.answers.map((a) => a.times)")
    assert times[0] == times[1][::-1]
    page.locator("#which").get_by_text("the same", exact=True).click()
    choose(page, "#other-model", Path(server[1][2]).name)
    page.locator("#run-compare").click()
    expect(page.locator(".pane").nth(1)).to_contain_text("TSN, no gates")
    expect(page.locator(".pane").nth(1)).to_contain_text("has no gates")
    page.locator("#which").get_by_text("another clip").click()
    expect(page.locator("#other-clip")).to_be_visible()
    page.locator("#run-compare").click()
    expect(page.locator("#problem")).to_contain_text("no other clip yet")
    page.locator("#other-clip input[type=file]").first.set_input_files(str(EXAMPLE.with_name("star.mp4")))
    expect(page.locator("#other-clip video")).to_be_visible()
    page.locator("#run-compare").click()
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[1]?.link.example === 'star'")


@pytest.mark.long
@desktop
def test_a_model_with_another_gate_one_without_and_one_that_does_not_know(page, server):
    wait_for_answer(page)
    choose(page, "#model", Path(server[1][1]).name)
    page.wait_for_function("document.querySelector('.viewer').viewer.lead.attention === 'stinc'")
    expect(page.locator("#about-gates")).to_contain_text("T, H and W only weighed")
    choose(page, "#model", Path(server[1][2]).name)
    expect(page.locator(".pane")).to_contain_text("choose a model with AIA")
    expect(page.locator("#summary .note")).to_contain_text("a clip played backwards gets the same answer")
    expect(page.locator(".film button")).to_have_count(8)
    expect(page.locator(".ladder")).to_be_hidden()
    tab(page, "What if")
    expect(page.locator("#ranking")).to_contain_text("no gates to switch")
    expect(page.locator("#problem .problem")).to_have_count(0)  # looking is no mistake
    page.locator("#switch").click()
    expect(page.locator("#problem")).to_contain_text("no gates to switch")
    choose(page, "#model", Path(server[1][3]).name)
    expect(page.locator("#label")).to_have_text(text.UNKNOWN)
    expect(page.locator("#summary")).to_contain_text("below 99.9 % it says that it does not know")
    expect(page.locator("#summary .note")).to_have_count(0)


@pytest.mark.long
@desktop
def test_every_format_is_made_reopens_and_the_python_runs(page, server, tmp_path):
    wait_for_answer(page)
    page.locator(".viewer").get_by_role("radio", name="T", exact=True).click()
    tab(page, "Export")
    seen = inspected_as_on(page, server[1][0])
    view = View.from_state(state(page))
    for format in export.FORMATS:
        name, what = export.FORMATS[format].file_name, export.FORMATS[format].description
        choose(page, "#format", f"{format}: {what}")
        page.locator("#make").click()
        link = page.locator("#file a[download]").first
        expect(link).to_have_attribute("href", re.compile(re.escape(name)))
        got = urllib.request.urlopen(link.evaluate("link => link.href")).read()
        wanted = export.export_view(seen, view, format, tmp_path).read_bytes()
        if format.endswith(".csv"):
            table, expected = (list(csv.reader(io.StringIO(data.decode()))) for data in (got, wanted))
            assert table[0] == expected[0] and len(table) == len(expected)
            column = expected[0].index({"values.csv": "value", "channels.csv": "mean_gate"}[format])
            numbers, due = (np.array([row[column] for row in rows[1:]], float) for rows in (table, expected))
            assert numbers == pytest.approx(due, abs=1e-4)
        elif format in ("frame.png", "strip.png", "figure.png"):
            drawn, due = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int) for data in (got, wanted))
            # The page's network may round differently: by one level, which near zero is a step of the colors of differences.
            assert np.abs(drawn - due).max() <= 8, format
        assert got[:4] == wanted[:4] and len(got) == pytest.approx(len(wanted), rel=0.2), format
    page.locator("#python-button").click()
    expect(page.locator("#python")).to_contain_text("import aia")
    program = "\n".join(page.locator("#python .cm-line").all_inner_texts())
    fresh = tmp_path / "ran"
    fresh.mkdir()
    command = [sys.executable, "-c", program.replace("assets/", f"{ROOT}/assets/")]
    subprocess.run(command, cwd=fresh, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert (fresh / "aia-frame.png").read_bytes() == (tmp_path / "aia-frame.png").read_bytes()


@pytest.mark.long
@desktop
def test_sides_of_other_lengths_and_blocks_share_timeline_scale_and_exports(page, server, tmp_path):
    wait_for_answer(page)
    tab(page, "Compare")
    page.locator("#which").get_by_text("the same", exact=True).click()
    choose(page, "#other-model", Path(server[1][4]).name)
    page.locator("#run-compare").click()
    wait_for_answer(page, sides=2)
    expect(page.locator(".film .row").nth(1).locator("button")).to_have_count(12)
    page.locator(".film .row").nth(1).locator("button").nth(11).click()
    wait_for_state(page, frame=11)
    assert page.locator(".film [aria-current=true]").count() == 2, "one frame of each side"
    page.locator(".viewer").get_by_role("radio", name="T", exact=True).click()
    page.locator(".viewer [data-state=scale]").select_option("block")
    low, high = (float(page.locator(f"[data-part={end}]").inner_text()) for end in ("low", "high"))
    tab(page, "Export")
    page.locator("#side").get_by_text("B", exact=True).click()
    choose(page, "#format", f"values.csv: {export.FORMATS['values.csv'].description}")
    page.locator("#make").click()
    expect(page.locator("#file a[download]").first).to_have_attribute("href", re.compile("values.csv"))
    page.locator("#side").get_by_text("A", exact=True).click()
    page.locator("#python-button").click()
    expect(page.locator("#python")).to_contain_text("frame=7")
    program = page.locator("#python .cm-content").inner_text()
    ends = [float(number) for number in re.search(r"scale=\(([\d.e-]+), ([\d.e-]+)\)", program).groups()]
    assert ends == pytest.approx([low, high], abs=5e-3)


@pytest.mark.long
@phone
def test_the_mechanism_is_taught_on_the_visitors_own_clip(page, server):
    wait_for_answer(page)
    tab(page, "Learn")
    lesson = page.locator("#learn")
    expect(lesson.get_by_role("tab")).to_have_count(7)
    expect(page.locator("#viewer")).to_be_hidden()
    for step in range(7):
        lesson.get_by_role("tab").nth(step).click()
        expect(lesson.locator(f"article[data-step='{step + 1}']")).to_be_visible()
        expect(lesson.locator(f"article[data-step='{step + 1}'] summary").first).to_have_text("Show answer")
    seen = aia.inspect(aia.load(server[1][0], device="cpu"), aia.read_clip(EXAMPLE))
    expect(lesson).to_contain_text(seen.first_block)
    lesson.locator("select[data-choose=block]").select_option("layer2.0")
    expect(lesson.locator("article[data-step='1'] [data-fill=block]").first).to_have_text("layer2.0")
    choose(page, "#model", Path(server[1][2]).name)
    expect(lesson).to_contain_text("no gates to explain")
    choose(page, "#model", Path(server[1][1]).name)
    expect(lesson).to_contain_text("TSM with STinC")


@pytest.mark.long
@desktop
def test_while_learn_is_open_the_sentence_about_a_bad_clip_stays_and_a_good_one_is_followed(page, server, not_a_video):
    wait_for_answer(page)
    tab(page, "Learn")
    frame = page.locator("#learn [data-stage] img").first
    before = frame.get_attribute("src")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/queue/join" in request.url else None)
    upload(page, server, not_a_video)
    expect(page.locator("#problem")).to_contain_text("“holiday.mp4” could not be opened as a video")
    page.wait_for_timeout(1000)
    assert len(asked) == 1, "the lesson of the old result is not asked for again"
    expect(page.locator("#problem")).to_contain_text("“holiday.mp4” could not be opened as a video")
    assert frame.get_attribute("src") == before
    upload(page, server, EXAMPLE.with_name("star.mp4"))
    expect(frame).not_to_have_attribute("src", before)
    expect(page.locator("#problem .problem")).to_have_count(0)


@pytest.mark.long
def test_no_tab_has_a_serious_fault_of_accessibility_in_either_theme(browser, server):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.emulate_media(reduced_motion="reduce")  # a tab fades in, and a half-faded color is no color to judge
    page.goto(f"{server[0]}/?__theme=light")
    wait_for_answer(page)
    assert not page.evaluate("document.body.classList.contains('dark')")  # which is what Gradio's dark theme is
    for name in text.TABS.values():
        tab(page, name)
        if name == text.TABS["what-if"]:
            expect(page.locator("#ranking")).to_contain_text("changes most")
            page.locator("#switch").click()
            wait_for_answer(page, sides=2)
        if name == text.TABS["learn"]:
            expect(page.locator("#learn article").first).to_be_attached()
        if name == text.TABS["take"]:
            page.locator("#python-button").click()
            expect(page.locator("#python")).to_contain_text("import aia")
        for theme, rules in (("light", None), ("dark", {"runOnly": ["color-contrast"]})):
            page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
            page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
            found = Axe().run(page, options=rules).response["violations"]
            serious = [v for v in found if v["impact"] in ("serious", "critical")]
            assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in serious] == [], (name, theme)
        page.evaluate("document.body.classList.remove('dark')")
    page.close()


@pytest.mark.long
def test_a_link_to_the_shipped_page_opens_its_view_and_the_first_paint_needs_no_model(browser, shipped_page):
    page = browser.new_page()
    page.goto(shipped_page)
    wait_for_answer(page, channels=False)
    expect(page.locator("#label")).to_have_text("swipe left")
    wait_for_answer(page)
    page.goto(f"{shipped_page}/?example=star&gate=T&channel=5&block=features.4&frame=2")
    page.wait_for_function("document.querySelector('.viewer')?.viewer?.answers[0]?.link.example === 'star'")
    wait_for_answer(page)
    found = state(page)
    assert [found[name] for name in ("gate", "channel", "block", "frame")] == ["T", 5, "features.4", 2]
    expect(page.locator("#label")).to_have_text("star")
    page.close()


@pytest.mark.long
@desktop
def test_the_strongest_channels_are_those_of_the_clip_that_is_shown(page, server):
    wait_for_answer(page)
    page.locator(".viewer [data-state=scale]").select_option("absolute")
    for example, label in (("star", "star"), ("circle", "circle")):
        page.get_by_text(label, exact=True).first.click()
        page.wait_for_function(
            "(name) => document.querySelector('.viewer').viewer.answers[0].link.example === name", arg=example
        )
        wait_for_answer(page)
        seen = aia.inspect(aia.load(server[1][0], device="cpu"), aia.read_clip(EXAMPLE.with_name(f"{example}.mp4")))
        means = seen.block(state(page)["block"]).channel_mean
        best = int(means.argmax())
        expect(page.locator("[data-part=ends] .chip").first).to_have_text(f"{best} ({means[best]:.2f})")


@pytest.mark.long
@phone
def test_only_a_clip_can_be_run_again_and_a_model_is_changed_though_the_box_is_empty(page, server):
    wait_for_answer(page)
    again = page.get_by_role("button", name=text.RUN)
    expect(again).to_be_hidden()
    upload(page, server)
    expect(page.locator("#clip video")).to_be_visible()
    expect(again).to_be_visible()
    with page.expect_request("**/queue/join*"):
        again.click()
    page.locator("#clip").get_by_label("Clear").click()
    expect(again).to_be_hidden()
    choose(page, "#model", Path(server[1][1]).name)
    page.wait_for_function("document.querySelector('.viewer').viewer.lead.attention === 'stinc'")


@pytest.mark.long
@phone
def test_who_chooses_quickly_gets_the_last_choice(page, server):
    wait_for_answer(page)
    for name in ("circle", "cross", "star"):
        page.get_by_text(name, exact=True).first.click()
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].link.example === 'star'")
    page.wait_for_timeout(1500)
    assert page.evaluate("document.querySelector('.viewer').viewer.answers[0].link.example") == "star"


@pytest.mark.long
@desktop
def test_the_channels_gates_are_fetched_once_and_the_means_are_drawn_without_them(page):
    wait_for_answer(page)
    fetched = []
    page.on("request", lambda request: fetched.append(request.url) if CHANNELS.search(request.url) else None)
    page.route(CHANNELS, lambda route: route.abort())
    page.get_by_text("star", exact=True).first.click()
    page.wait_for_function("document.querySelector('.viewer').viewer.answers[0].lost")
    expect(page.locator("[data-part=shown]")).to_contain_text("could not be loaded")
    before = picture(page)
    page.locator(".viewer [data-do=on]").click()
    assert picture(page) != before, "the viewer goes on with the means"
    page.locator("canvas.bars").click(position={"x": 3, "y": 60})
    assert state(page)["channel"] is None, "there is no map to pin"
    page.locator(".viewer").get_by_role("radio", name="T", exact=True).click()
    expect(page.locator("canvas.bars")).to_be_hidden()
    assert len(fetched) == 1

    page.unroute(CHANNELS)
    page.get_by_text("star", exact=True).first.click()  # once more
    wait_for_answer(page)
    expect(page.locator("[data-part=shown]")).not_to_contain_text("could not be loaded")
    page.locator("canvas.bars").click(position={"x": 3, "y": 60})
    assert state(page)["channel"] is not None
    page.locator(".film button").first.click()
    assert len(fetched) == 2, "one file for each result"


@pytest.mark.long
def test_a_pinned_channel_waits_for_its_gates(browser, server):
    page = browser.new_page()
    held = []
    page.route(CHANNELS, lambda route: held.append(route))
    page.goto(f"{server[0]}/?example=star&channel=5&gate=T&block=layer2.0")
    page.wait_for_function("document.querySelector('.viewer')?.viewer?.answers[0]?.link.example === 'star'")
    expect(page.locator("[data-part=shown]")).to_contain_text("are on their way")
    mean = picture(page)
    assert state(page)["channel"] == 5
    for route in held:
        route.continue_()
    wait_for_answer(page)
    expect(page.locator("[data-part=shown]")).to_contain_text("channel 5 alone")
    assert state(page)["channel"] == 5 and picture(page) != mean
    page.close()
