"""The viewer's answer and the functions that draw it: what the browser shows is what the library says."""

import base64
import json
import re
import urllib.error
import urllib.request

import gradio as gr
import numpy as np
import pytest
from conftest import clip_of, moving_frames, small_net, until
from packed import unpacked_gate

import aia
from aia.hub import DEFAULT_MODEL
from aia.modeling.config import ATTENTIONS
from aia.visualization import render, web
from aia.visualization.view import View, limits, values
from app import browser as browser_files
from app import viewer
from app.service import requests

GATED = [attention for attention in ATTENTIONS if attention != "none"]


@pytest.fixture(scope="module")
def blank(browser):
    """A page that has the viewer's functions and nothing else."""
    page = browser.new_page()
    page.set_content("<p>nothing here</p>")
    page.add_script_tag(content=browser_files.script("viewer"))
    yield page
    page.close()


def inspected(attention: str) -> aia.Inspection:
    return aia.inspect(small_net(attention), clip_of(moving_frames(5)))


def opened(page, seen: aia.Inspection, *, channels: bool = True) -> None:
    """Hands an inspection to the page, where it becomes the variable `answer`."""
    answer, data = web.pack(seen, channels=channels)
    file = {"url": f"data:;base64,{base64.b64encode(data).decode()}"} if data else None
    page.evaluate(
        "async (value) => { window.answer = await openAnswer(value); await answer.loading; }",
        {"answer": json.dumps(answer), "channels": file},
    )


def shown_map(page, view: View) -> np.ndarray:
    found = page.evaluate(
        "([block, gate, channel]) => { const m = mapOf(answer, block, gate, channel); return [m.shape, [...m.data]]; }",
        [view.block, view.gate, view.channel],
    )
    return np.array(found[1], np.float32).reshape(found[0])


# ---- the answer


@pytest.mark.slow
def test_an_answer_of_a_shipped_model_is_small_enough_to_wait_for():
    seen = aia.inspect(aia.load(DEFAULT_MODEL), aia.read_clip(requests.EXAMPLES_FOLDER / "square.mp4"))
    answer, channels = web.pack(seen)
    text = json.dumps(answer, separators=(",", ":"))
    assert len(text) < 3e5 and len(channels) < 1.35e6  # sent as they are


@pytest.mark.slow
def test_bytes_of_the_answer_stand_for_the_gates():
    seen = inspected("cinst->stinc")
    packed, channels = web.pack(seen)
    for block, said in zip(seen.blocks, packed["blocks"], strict=True):
        assert list(said["maps"]) == list(block.gates) and not any(unit.endswith("C") for unit in said["gates"])
        for unit, gate in block.gates.items():
            mean = gate.mean(axis=1, keepdims=True)
            got = unpacked_gate(said["maps"][unit], base64.b64decode(packed["data"]))
            assert got.shape == mean.shape and np.abs(got - mean).max() <= np.ptp(mean) / 510 + 1e-5
        for unit, place in said["gates"].items():
            got, gate = unpacked_gate(place, channels), block.gates[unit]
            assert got.shape == gate.shape and np.abs(got - gate).max() <= np.ptp(gate) / 254 + 1e-5


def test_gates_that_would_not_fit_are_left_out_and_the_means_stay(monkeypatch):
    seen = inspected("cinst")
    sizes = {block.name: sum(block.gates[unit].size for unit in "THW") for block in seen.blocks}
    monkeypatch.setattr(web.limits, "MAX_CHANNEL_BYTES", sum(sizes.values()) - 1)
    blocks = web.pack(seen)[0]["blocks"]
    left_out = [block["name"] for block in blocks if block["gates"] is None]
    assert [sizes[name] for name in left_out] == [max(sizes.values())]
    assert all({"C", "T", "H", "W"} <= set(block["maps"]) for block in blocks)


@pytest.mark.long
def test_the_file_of_the_channels_cannot_be_guessed_and_is_deleted_in_time(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks(delete_cache=(1, 1)) as page:
        shown = viewer.component()
        gr.Button().click(lambda: gr.update(value=viewer.value({}, b"gates")), None, shown, api_name="show")
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True)
    try:
        urls = [_call(f"{address}gradio_api/call/show")["value"]["channels"]["url"] for _ in range(2)]
        names = [re.fullmatch(r".*/([0-9a-f]{32})\.bin", url)[1] for url in urls]
        assert names[0] != names[1], "the same bytes under another name"
        assert urllib.request.urlopen(urls[1]).read() == b"gates"
        until(lambda: not list(tmp_path.glob("*.bin")))
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(urls[1])
    finally:
        page.close()


def _call(endpoint: str) -> dict:
    """What an endpoint without inputs answers."""
    request = urllib.request.Request(endpoint, b'{"data": []}', {"Content-Type": "application/json"})
    event = json.load(urllib.request.urlopen(request))["event_id"]
    lines = urllib.request.urlopen(f"{endpoint}/{event}").read().decode().splitlines()
    return json.loads(lines[lines.index("event: complete") + 1].removeprefix("data: "))[0]


# ---- what the browser makes of it


@pytest.mark.parametrize("attention", GATED)
def test_every_map_in_the_browser_is_the_librarys(blank, attention):
    seen = inspected(attention)
    opened(blank, seen)
    for block in (seen.blocks[0], seen.blocks[-1]):
        channels = [None] if block.shape[1] == 1 else [None, 0, block.shape[1] - 1]
        for view in (View(block.name, gate, channel=c) for gate in ("combined", *block.gates) for c in channels):
            wanted = values(seen, view)
            got = np.broadcast_to(shown_map(blank, view), wanted.shape)
            assert np.abs(got - wanted).max() < 1 / 200, view


def test_scales_of_the_browser_are_the_librarys(blank):
    seen = inspected("cinst")
    opened(blank, seen)
    block = seen.blocks[3].name
    for scale in ("absolute", "clip", "block"):
        for gate, channel in (("combined", None), ("T", 5), ("C", None)):
            view = View(block, gate, channel=channel, scale=scale)
            state = {"block": block, "gate": gate, "channel": channel, "scale": scale}
            got = blank.evaluate("(state) => limitsOf([answer], state)", state)
            assert got == pytest.approx(limits(seen, view), abs=1 / 200), view


@pytest.mark.parametrize("cells", [False, True])
def test_pixels_of_the_browser_are_the_librarys(blank, cells):
    rng = np.random.default_rng(0)
    maps = rng.random((2, 5, 7), dtype=np.float32)
    frames = np.zeros((2, 40, 63, 3), np.uint8)
    wanted = render.overlay(frames, maps, opacity=1, colormap="magma", smooth=not cells)
    got = blank.evaluate(
        """([data, table, cells]) => {
            const map = { shape: [2, 5, 7], data: Float32Array.from(data) };
            return [...paint(map, 1, 63, 40, bytesOf(table), [0, 1], cells, 1).data];
        }""",
        [maps.ravel().tolist(), base64.b64encode(render.colormap_table("magma").tobytes()).decode(), cells],
    )
    got = np.array(got, np.uint8).reshape(40, 63, 4)
    assert (got[..., 3] == 255).all()
    gap = np.abs(got[..., :3].astype(int) - wanted[1].astype(int)).max(-1)
    assert np.quantile(gap, 0.99) <= 4 and gap.max() <= 12  # neighbouring colours of the table, at most


def test_means_of_channels_and_frames_are_the_librarys(blank):
    seen = inspected("st")
    opened(blank, seen)
    block = seen.blocks[2]
    for gate in "THW":
        got = blank.evaluate("([block, gate]) => channelMeans(answer, block, gate)", [block.name, gate])
        assert got == pytest.approx(block.gates[gate].mean((0, 2, 3)).tolist(), abs=1 / 200)
    got = blank.evaluate("(block) => profileOf(mapOf(answer, block, 'combined', null), 5)", block.name)
    assert got == pytest.approx(block.temporal_profile.tolist(), abs=1 / 200)


def test_a_link_may_hold_anything(blank):
    query = "?block=nowhere&gate=toString&frame=-3&channel=1e9&scale=huge&colours=constructor&opacity=NaN&cells=maybe"
    found = blank.evaluate("(query) => fromQuery(query)", query)
    wanted = {"block": "nowhere", "gate": "toString", "channel": 10**9, "colours": "constructor", "cells": False}
    assert found == wanted
    opened(blank, inspected("cinst"))
    state = blank.evaluate("(found) => valid({ ...START, ...found }, answer)", found)
    first = inspected("cinst").first_block
    assert (state["block"], state["gate"], state["frame"], state["channel"]) == (first, "combined", 0, None)


@pytest.mark.parametrize("attention", ["cinst", "stinc"])
def test_without_the_channels_gates_the_means_are_drawn_and_none_is_made_up(blank, attention):
    seen = inspected(attention)
    opened(blank, seen, channels=False)
    block = seen.blocks[2]
    for gate in ("combined", *block.gates):
        wanted = values(seen, View(block.name, gate))
        for channel in (None, 3):
            got = np.broadcast_to(shown_map(blank, View(block.name, gate, channel=channel)), wanted.shape)
            assert np.abs(got - wanted).max() < 1 / 200, "the mean stands for a channel that is not here"
    means = "([block, gate]) => channelMeans(answer, block, gate)"
    assert blank.evaluate(means, [block.name, "combined"]) == pytest.approx(block.channel_mean.tolist(), abs=1e-4)
    assert blank.evaluate(means, [block.name, "T"]) == []
