"""The tab "Learn" as a visitor meets it: a page with this component alone, a real network, a real browser."""

import re

import gradio as gr
import numpy as np
import pytest
from browser import SIZES, desktop, phone
from conftest import clip_of, moving_frames, small_net
from playwright.sync_api import expect

from aia.inspection.trace import trace_block
from app import browser as browser_files
from app import learn

STEPS = ("Feature", "Pooling", "Convolution", "Gate", "Product", "Nesting", "Effect")
CLIP = clip_of(moving_frames(8))
NETS = {attention: small_net(attention, "tsm") for attention in ("cinst", "stinc", "stinc->cinst")}
NETS["extreme"] = small_net("cinst", "tsm")  # its values go beyond the ends of the sigmoid's axis
for name, weights in NETS["extreme"].state_dict().items():
    if name.endswith(".C.bn.weight"):
        weights.fill_(30)


@pytest.fixture(scope="module")
def address():
    """A page with the component, and a button for each network that gives it the clip."""

    def follow(attention):
        return attention, learn.payload(NETS[attention], CLIP, "layer2.0")

    def choose(attention, chosen: gr.EventData):
        return learn.payload(NETS[attention], CLIP, chosen.block, chosen.unit)

    with gr.Blocks() as page:
        shown = gr.State()
        tab = learn.component()
        for attention in NETS:
            gr.Button(attention).click(lambda attention=attention: follow(attention), None, [shown, tab])
        gr.Button("none").click(lambda: learn.notice("This model has no AIA."), None, tab)
        tab.select(choose, shown, tab)
    page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, css_paths=browser_files.TOKENS)
    yield page.local_url
    page.close()


@pytest.fixture(params=SIZES)
def page(browser, address, request):
    """Of both sizes, unless a test is about something that the layout does not touch."""
    width, height = SIZES[request.param]
    opened = browser.new_page(viewport={"width": width, "height": height})
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: message.type == "error" and problems.append(message.text))
    opened.goto(address)
    yield opened
    no_bar(opened)
    assert problems == []
    opened.close()


def no_bar(page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no horizontal bar"


def give(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def go_to(page, step: str) -> None:
    page.get_by_role("tab", name=step).click()


def filled(page, name: str) -> str:
    return page.locator(f"#learn [data-fill='{name}']:visible").first.text_content()


def as_number(text: str) -> float:
    return float(text.replace("−", "-").replace(" ", "").replace(",", ""))


def marked(page) -> tuple[int, ...]:
    """The marked (frame, channel, row, column), as the first picture of X in step 5 says it."""
    label = page.locator("#learn [role=application][aria-label^='X:']").first.get_attribute("aria-label")
    frame, channel, row, column = map(
        int, re.search(r"frame (\d+), channel (\d+), row (\d+), column (\d+)", label).groups()
    )
    return frame - 1, channel, row - 1, column - 1


def choose_unit(page, unit: str) -> None:
    page.locator(f"#learn [name=learn-unit][value='{unit}']").check()
    expect(page.locator("#learn [data-fill=unit]").first).to_have_text(unit)


@phone
def test_without_a_clip_it_says_what_to_do_and_without_gates_why(page):
    expect(page.locator("#learn")).to_contain_text("without a clip, give the page one first")
    expect(page.get_by_role("tab")).to_have_count(0)
    give(page, "none")
    expect(page.locator("#learn")).to_contain_text("This model has no AIA.")
    give(page, "cinst")
    expect(page.locator("#learn h3:visible")).to_have_text("The feature X")


def test_a_visitor_walks_through_seven_steps_and_opens_every_answer(page):
    give(page, "cinst")
    for number, name in enumerate(STEPS, start=1):
        expect(page.get_by_role("tab", selected=True)).to_contain_text(name)
        expect(page.locator("#learn article:visible")).to_have_count(1)
        expect(page.locator("#learn article:visible math:visible")).to_have_count(1)
        answer = page.locator("#learn article:visible details p:visible").first
        expect(answer).to_be_hidden()
        page.get_by_text("Show answer").locator("visible=true").click()
        expect(answer).to_be_visible()
        expect(page.locator("#learn [data-stage] :is(canvas, table, svg)").first).to_be_visible()
        text = page.locator("#learn").inner_text()
        assert not re.search("undefined|NaN|null", text), text
        no_bar(page)
        if number < len(STEPS):
            page.locator("#learn [data-turn='1']").click()
    expect(page.locator("#learn [data-turn='1']")).to_be_hidden()
    expect(page.locator("#learn")).to_contain_text("Attention is not an explanation")
    page.locator("#learn [data-turn='-1']").click()
    expect(page.get_by_role("tab", selected=True)).to_contain_text("Nesting")


@pytest.mark.long
@desktop
def test_the_keyboard_walks_the_steps_and_moves_the_mark(page):
    give(page, "cinst")
    page.get_by_role("tab", name="Feature").focus()
    for key, name in (("ArrowRight", "Pooling"), ("End", "Effect"), ("ArrowLeft", "Nesting"), ("Home", "Feature")):
        page.keyboard.press(key)
        expect(page.get_by_role("tab", selected=True)).to_contain_text(name)
        expect(page.get_by_role("tab", selected=True)).to_be_focused()
    go_to(page, "Product")
    picture = page.locator("#learn [role=application][aria-label^='X:']").first
    picture.focus()
    before = marked(page)
    page.keyboard.press("ArrowDown" if before[2] < 3 else "ArrowUp")
    after = marked(page)
    assert after[2] - before[2] == (1 if before[2] < 3 else -1) and after[:2] == before[:2]
    expect(page.locator("#learn [data-said]")).to_have_text(picture.get_attribute("aria-label"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("page", "attention", "units"),
    [
        pytest.param("desktop", "cinst", "CTHW", marks=pytest.mark.long),
        ("phone", "stinc->cinst", ("1.C", "2.H")),
    ],
    indirect=["page"],
)
def test_the_numbers_on_the_page_are_those_of_the_lesson(page, attention, units):
    give(page, attention)
    learned = trace_block(NETS[attention], CLIP, "layer2.0")
    for name in units:
        choose_unit(page, name)
        unit = learned.units[name]
        go_to(page, "Product")
        page.locator("#learn [role=application][aria-label^='X:'] canvas").first.click(position={"x": 30, "y": 60})
        at = marked(page)
        where = dict(zip("TCHW", at, strict=True))
        own = tuple(where[axis] for axis in unit.axes)
        gate = unit.gate[tuple(0 if n == 1 else i for i, n in zip(at, unit.gate.shape, strict=True))]
        close = {"abs": 0.0051 + 1e-3}  # two digits, and what packing rounds away

        assert as_number(filled(page, "x")) == pytest.approx(unit.module_input[at], **close)
        assert as_number(filled(page, "product")) == pytest.approx(unit.product[at], **close)
        go_to(page, "Gate")
        assert as_number(filled(page, "response")) == pytest.approx(unit.response[own], **close)
        assert as_number(filled(page, "normalised")) == pytest.approx(unit.normalized[own], **close)
        assert as_number(filled(page, "sigmoid")) == pytest.approx(gate, **close)
        go_to(page, "Convolution")
        parts = as_number(filled(page, "max-part")) + as_number(filled(page, "mean-part"))
        assert parts == pytest.approx(unit.response[own], abs=0.012)
        go_to(page, "Pooling")
        page.get_by_text("Show answer").locator("visible=true").click()
        assert as_number(filled(page, "max")) == pytest.approx(unit.pooled[0][own], **close)
        assert as_number(filled(page, "mean")) == pytest.approx(unit.pooled[1][own], **close)
        page.get_by_text("Show answer").locator("visible=true").click()
        go_to(page, "Feature")
        assert as_number(filled(page, "gate-count")) == unit.gate.size

    go_to(page, "Effect")
    shown = page.locator("#learn tbody td").all_inner_texts()
    order = np.argsort(-learned.probabilities["trained"])
    wanted = [
        f"{100 * learned.probabilities[mode][i]:.1f} %" for i in order for mode in ("trained", "mean", "identity")
    ]
    assert [text.strip() for text in shown] == wanted


@pytest.mark.long
@desktop
def test_another_block_or_unit_is_followed_and_the_step_and_the_mark_stay(page):
    give(page, "stinc")
    go_to(page, "Product")
    before = marked(page)
    choose_unit(page, "W")
    expect(page.get_by_role("tab", selected=True)).to_contain_text("Product")
    expect(page.locator("#learn [name=learn-unit]:checked")).to_have_value("W")
    assert marked(page) == before
    page.locator("#learn [data-choose=block]").select_option("layer4.1")
    go_to(page, "Feature")
    expect(page.locator("#learn article:visible")).to_contain_text("8 · 512 · 2 · 2")
    expect(page.locator("#learn [data-fill=unit]").first).to_have_text("W")
    frame, channel = page.locator("#learn [data-choose=frame]"), page.locator("#learn [data-choose=channel]")
    last = channel.locator("option").last.get_attribute("value")
    channel.select_option(last)
    frame.fill("5")
    go_to(page, "Product")
    assert marked(page)[:2] == (5, int(last))


@pytest.mark.long
@desktop
def test_frames_play_and_only_the_gate_of_t_stays_the_same(page):
    give(page, "cinst")
    go_to(page, "Gate")
    canvas = "[...document.querySelectorAll('#learn [data-stage] canvas')].at(0).toDataURL()"
    for unit, moves in (("T", False), ("C", True)):
        choose_unit(page, unit)
        frame = page.locator("#learn [data-choose=frame]")
        frame.fill("0")
        seen = {page.evaluate(canvas)}
        page.get_by_role("button", name="Play the frames").click()
        for at in range(1, 4):
            page.wait_for_function(f"document.querySelector('#learn [data-choose=frame]').value === '{at}'")
            seen.add(page.evaluate(canvas))
        page.get_by_role("button", name="Pause").click()
        assert (len(seen) > 1) == moves
    page.get_by_role("button", name="Play the frames").click()
    page.evaluate("document.querySelector('#learn').hidden = true")  # as in a tab that is not open
    expect(page.locator("#learn [data-play]")).to_have_attribute("aria-label", "Play the frames")


@pytest.mark.long
@desktop
@pytest.mark.parametrize("name", ["cinst", "extreme"])
def test_bars_of_the_histogram_stand_at_their_values_also_where_some_lie_beyond_the_axis(page, name):
    give(page, name)
    values = trace_block(NETS[name], CLIP, "layer2.0").units["C"].normalized
    go_to(page, "Gate")
    end = as_number(page.locator("#learn .curve text").nth(-2).text_content())  # the last number of the axis
    assert (np.abs(values).max() > end) == (name == "extreme")
    edges = 40 + 270 * (np.linspace(values.min(), values.max(), 33).clip(-end, end) + end) / (2 * end)
    places = "bars => bars.map((bar) => [bar.x, bar.width].map((one) => one.baseVal.value))"
    starts, widths = np.transpose(page.locator("#learn .curve .bar").evaluate_all(places))
    assert starts == pytest.approx(edges[:-1], abs=0.01) and starts + widths == pytest.approx(edges[1:], abs=0.01)


@pytest.mark.long
@phone
def test_whatever_is_pressed_is_large_enough_for_a_finger(page):
    give(page, "cinst")
    expect(page.get_by_role("tab")).to_have_count(7)
    sizes = page.evaluate(
        """[...document.querySelectorAll("#learn :is(button, select, summary, input)")]
        .filter((one) => one.offsetParent).map((one) => [one.outerHTML.slice(0, 60), one.offsetHeight, one.offsetWidth])"""
    )
    assert len(sizes) > 12 and [one for one in sizes if one[1] < 44] == []
