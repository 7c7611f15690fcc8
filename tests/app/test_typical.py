"""The difference from typical in the browser: the library's numbers and colors, loaded once for each model."""

import base64
import dataclasses
import hashlib
import json
import re
import urllib.error
import urllib.request

import numpy as np
import pytest
from conftest import clip_of, moving_frames, others_long, small_net, until

import aia
from aia.hub import DEFAULT_MODEL
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.visualization import render, web
from aia.visualization.view import View, limits, values
from app import browser as browser_files
from app import text
from app.result import Result
from app.service import references
from app.ui import handlers

GATED = [name for name, setting in ATTENTION_SETTINGS.items() if setting.modules]
ROOT = "http://typical.test"
FRAMES = 5


@pytest.fixture(scope="module")
def blank(browser):
    """A page that has the viewer's functions and nothing else; `files` is what its server has."""
    page = browser.new_page()
    page.set_content(f"<p>nothing here</p><script>window.gradio_config = {{ root: '{ROOT}' }}</script>")
    page.add_script_tag(content=browser_files.script("viewer"))
    page.files = {}

    def serve(route):
        content = page.files.get(route.request.url.removeprefix(f"{ROOT}/reference/"))
        headers = {"Access-Control-Allow-Origin": "*"}
        route.fulfill(body=content, headers=headers) if content is not None else route.fulfill(
            status=404, headers=headers
        )

    page.route(f"{ROOT}/**", serve)
    yield page
    page.close()


def inspected(attention: str) -> aia.Inspection:
    net = small_net(attention, size=32)
    net = aia.AIANet(dataclasses.replace(net.config, num_segments=FRAMES)).eval()
    net.load_state_dict(small_net(attention, size=32).state_dict())
    net.reference = aia.compute_reference(
        net, [clip_of(moving_frames(FRAMES, seed=s)) for s in range(3)], kind="test clips"
    )
    return aia.inspect(net, clip_of(moving_frames(FRAMES, seed=9)))


def sent(page, seen: aia.Inspection, *, lost: bool = False) -> dict:
    """An inspection as the viewer gets it; its reference is among the page's files."""
    link = references.link(seen)
    packed = references.pack(seen.reference, seen.config.attention)
    page.files = {} if lost else {f"{packed.key}/{name}": content for name, content in packed.files.items()}
    answer, data = web.pack(seen)
    return {
        "answer": json.dumps(answer | {"reference": link, "prepared": True}),  # a blank page has no address to change
        "channels": {"url": f"data:;base64,{base64.b64encode(data).decode()}"} if data else None,
    }


def opened(page, seen: aia.Inspection, *, lost: bool = False) -> None:
    """Hands an inspection to the page, where it becomes the variable `answer`."""
    page.evaluate(
        "async (value) => { window.answer = await openAnswer(value); await answer.typicalLoading; await answer.loading; }",
        sent(page, seen, lost=lost),
    )


def viewed(page, seen: aia.Inspection) -> None:
    """Shows an inspection in a whole viewer, which becomes the variable `viewer`."""
    names = ("viridis", render.DIFFERENCE, render.DIFFERENCE_DARK)
    colors = {name: base64.b64encode(render.colormap_table(name).tobytes()).decode() for name in names}
    page.evaluate(
        """([html, props]) => {
            document.body.innerHTML = html;
            startViewer(document.body, props, () => {}, () => {});
            window.viewer = document.querySelector(".viewer").viewer;
        }""",
        [
            browser_files.read("viewer/viewer.html"),
            {"value": sent(page, seen), "other": "", "colours": colors, "words": text.VIEWER},
        ],
    )
    page.wait_for_function("viewer.answers[0]?.typical && !viewer.answers[0].loading")


@pytest.mark.parametrize("attention", others_long(GATED, "cinst", "stinc", "cinst->stinc"))
def test_every_difference_and_its_limit_are_the_librarys(blank, attention):
    seen = inspected(attention)
    opened(blank, seen)
    for block in (seen.blocks[0], seen.blocks[-1]):
        channels = [None] if block.shape[1] == 1 else [None, 0, block.shape[1] - 1]
        for gate in ("combined", *block.gates):
            for channel in channels:
                place = [block.name, gate, channel]
                known = blank.evaluate("([b, g, c]) => hasTypical(answer, b, g, c)", place)
                assert known == block.has_deviation(gate, channel), place
                if not known:
                    continue
                shape, data, limit = blank.evaluate(
                    """([block, gate, channel]) => {
                      const map = differenceOf(answer, block, gate, channel);
                      return [map.shape, [...map.data], differenceLimit(answer, block, gate, channel)];
                    }""",
                    place,
                )
                view = View(block.name, gate, channel=channel)
                wanted = values(seen, view)
                got = np.broadcast_to(np.array(data, np.float32).reshape(shape), wanted.shape)
                assert np.abs(got - wanted).max() < 1 / 150, view
                assert limit == pytest.approx(limits(seen, view)[1], rel=0.05, abs=1 / 400)


def test_bars_of_channels_are_the_librarys_differences(blank):
    seen = inspected("cinst")
    opened(blank, seen)
    block = seen.blocks[2]
    found = blank.evaluate("(name) => channelDifferences(answer, name, 'combined')", block.name)
    np.testing.assert_allclose(found["values"], block.channel_deviation, atol=1e-5)
    np.testing.assert_allclose(found["unusual"], block.channel_zscore, atol=2e-2, rtol=1e-3)
    found = blank.evaluate("(name) => channelDifferences(answer, name, 'H')", block.name)
    wanted = (block.gates["H"] - block.reference.gates["H"]).mean(axis=(0, 2, 3))
    np.testing.assert_allclose(found["values"], wanted, atol=1 / 200)


def test_numbers_have_as_many_digits_as_the_limit_needs(blank):
    spans = [1, 0.5, 0.1, 0.0999, 0.018, 0.0042, 1e-6, 0]
    assert blank.evaluate("(spans) => spans.map(digitsOf)", spans) == [render._digits(span) for span in spans]
    seen = inspected("cinst")
    viewed(blank, seen)
    for block in seen.blocks:
        for gate in ("combined", *block.gates):
            blank.evaluate("(state) => viewer.set(state)", {"block": block.name, "gate": gate})
            limit = blank.evaluate("viewer.colorsOf(viewer.lead).limits[1]")
            digits = render._digits(limit)
            low, high, said = blank.evaluate("['low', 'high', 'sentence'].map((name) => viewer.part(name).textContent)")
            assert f"−{limit:.{digits}f}" in low and f"+{limit:.{digits}f}" in high
            if found := re.search(r": ([\d.]+), usually ([\d.]+)\.", said):
                value, usual = found.groups()
                assert value != usual and len(value) == len(usual) == 2 + digits, said


def test_channels_that_are_less_open_than_usual_are_not_called_more_open(blank):
    viewed(blank, inspected("cinst"))
    more, less = text.VIEWER["unusual"]
    for shift, wanted in ((0, (True, True)), (0.2, (True, False)), (-0.4, (False, True))):
        said = blank.evaluate(
            """(shift) => {
              viewer.block.channel_mean = viewer.block.channel_mean.map((mean) => mean + shift);
              drawChannels(viewer);
              return viewer.part("ends").textContent;
            }""",
            shift,
        )
        assert (more in said, less in said) == wanted == ("(+" in said, "(−" in said), said


def test_bars_that_cannot_be_chosen_are_a_picture_and_their_buttons_are_off(blank):
    bars = "document.querySelector('canvas.bars')"
    viewed(blank, inspected("cinst"))
    assert blank.evaluate(f"[{bars}.role, {bars}.tabIndex, {bars}.ariaValueMin]") == ["slider", 0, "0"]
    viewed(blank, inspected("stinc"))  # its combined gate is the same for all channels
    assert blank.evaluate(f"[{bars}.role, {bars}.tabIndex, {bars}.ariaValueMin]") == ["img", -1, None]
    assert text.VIEWER["differences_only"] in blank.evaluate(f"{bars}.ariaLabel")
    assert blank.evaluate("[...document.querySelectorAll('.chip')].every((chip) => chip.disabled)")
    blank.evaluate("viewer.set({ gate: 'T' })")
    assert blank.evaluate(f"[{bars}.role, {bars}.tabIndex, {bars}.ariaLabel]") == ["slider", 0, "Channel"]


def test_a_setting_without_channels_of_its_own_is_not_said_to_have_any(blank):
    said = """[document.querySelector('[data-part=blocks-note]').textContent,
               ...[...document.querySelectorAll('.ladder button')].map((rung) => rung.ariaLabel)]"""
    seen = inspected("c")
    viewed(blank, seen)
    assert {block.shape[1] for block in seen.blocks} == {1}
    assert [words for words in blank.evaluate(said) if "channel" in words] == []
    viewed(blank, seen := inspected("st"))
    assert all(words.endswith("channels") for words in blank.evaluate(said))
    assert f"{seen.block(seen.first_block).shape[1]} channels" in blank.evaluate(said)[0]


def test_only_units_whose_gates_tell_channels_apart_are_said_to(blank):
    for attention, is_said in (("stinc", True), ("stinc-2022-06", False)):
        seen = inspected(attention)
        viewed(blank, seen)
        told = [np.ptp(seen.blocks[0].gates[unit], axis=1).max() > 0 for unit in "THW"]
        words = blank.evaluate("[...viewer.part('can').children].map((line) => line.textContent)")
        assert told == ["for each channel" in line for line in words if line[0] in "THW"] == [is_said] * 3
        assert [line for line in words if "for each channel" not in line and "all channels" not in line] == []


def test_colors_of_a_difference_are_the_librarys(blank):
    for name in (render.DIFFERENCE, render.DIFFERENCE_DARK):
        table = render.colormap_table(name)
        painted = blank.evaluate(
            """([table, values]) => {
              const map = { shape: [1, 1, values.length], data: Float32Array.from(values) };
              return [...paint(map, 0, values.length, 1, Uint8Array.from(table), [-0.5, 0.5], true, 1).data];
            }""",
            [table.ravel().tolist(), [-0.6, -0.5, -0.1, 0.0, 0.1, 0.5, 0.6]],
        )
        frame = np.zeros((1, 1, 7, 3), np.uint8)
        values = np.array([[[-0.6, -0.5, -0.1, 0.0, 0.1, 0.5, 0.6]]], np.float32)
        drawn = render.overlay(frame, values, opacity=1, colormap=name, scale=(-0.5, 0.5), smooth=False)
        np.testing.assert_array_equal(np.array(painted).reshape(7, 4)[:, :3], drawn[0, 0])


def test_where_the_reference_does_not_arrive_nothing_is_subtracted(blank):
    seen = inspected("cinst")
    blank.evaluate("typicalByKey.clear()")
    opened(blank, seen, lost=True)
    block = seen.blocks[0]
    assert not blank.evaluate("(name) => hasTypical(answer, name, 'combined', null)", block.name)
    opened(blank, seen)
    assert blank.evaluate("(name) => hasTypical(answer, name, 'combined', null)", block.name), (
        "the next answer tries again"
    )


@pytest.mark.slow
def test_an_answer_grows_by_nothing_but_the_key_of_its_reference():
    seen = inspected("stinc")
    with_it, without = (
        len(json.dumps(references.link(one))) for one in (seen, dataclasses.replace(seen, reference=None))
    )
    assert with_it - without < 120
    other = dataclasses.replace(seen.reference, kind="other clips")
    assert references.pack(other, "stinc").key == references.pack(seen.reference, "stinc").key, "the same content"
    block = next(iter(seen.reference.blocks.values()))
    changed = dataclasses.replace(block, channel_std=block.channel_std + 0.1)
    other = dataclasses.replace(seen.reference, blocks={**seen.reference.blocks, seen.blocks[0].name: changed})
    assert references.pack(other, "stinc").key != references.pack(seen.reference, "stinc").key


def test_the_page_serves_a_reference_for_ever_and_no_other_file(shipped_page):
    model = aia.load(DEFAULT_MODEL, device="cpu")
    packed = references.pack(model.reference, model.config.attention)
    for name, content in packed.files.items():
        with urllib.request.urlopen(f"{shipped_page}/reference/{packed.key}/{name}") as response:
            assert response.read() == content and "immutable" in response.headers["cache-control"]
    unknown = hashlib.sha256(b"").hexdigest()[:32]
    for path in (f"{unknown}/maps.json", f"{packed.key}/other.json", f"{packed.key}/../maps.json", f"{packed.key}"):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{shipped_page}/reference/{path}")
        assert error.value.code == 404


@pytest.mark.long
def test_a_model_without_a_reference_gets_one_from_the_examples():
    net = small_net(size=32)
    references.make_in_background(net)
    reference = until(lambda: net.reference)
    assert (reference.kind, reference.num_clips) == ("example clips", 12)


@pytest.mark.slow
def test_a_file_of_two_sides_shows_the_differences_that_the_viewer_shows():
    known = Result("a.mp4", "net", False, (), inspected("cinst"))
    unknown = dataclasses.replace(known, inspection=known.inspection.with_reference(None))
    for other, scale in ((None, "typical"), (known, "typical"), (unknown, "absolute")):
        for letter in ("A", "B") if other else ("A",):
            assert handlers._view_of_side(known, other, letter, {})[1].scale == scale
    low, high = handlers._view_of_side(known, known, "B", {"scale": "block"})[1].scale
    assert 0 < low < high < 1
