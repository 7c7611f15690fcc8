"""Times the drawing of the page's viewer in a real browser, for the changes that users make."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from aia.errors import AIAError
from aia.inspection.inspection import inspect
from aia.video.reader import read_clip
from aia.visualization import web
from aia.visualization.render import COLORMAPS, DIFFERENCE, DIFFERENCE_DARK, colormap_table
from app import browser as files
from app import text
from benchmarks.table import Options, Table
from tools.chromium import chromium

CLIP = Path(__file__).resolve().parents[1] / "assets" / "examples" / "swipe-left.mp4"
WIDTH, HEIGHT = 1440, 900
STEPS = 200  # changes of each kind
ROOT = "http://viewer.test"  # answered by the benchmark itself
CHANGES = {  # the change in step i, as JavaScript
    "scrubbing through frames": "{ frame: i % T }",
    "opacity": "{ opacity: (i % 20) / 20 }",
    "another block": "{ block: blocks[i % blocks.length] }",
    "another channel": "{ channel: i % C }",
    "another gate and scale": "{ gate: ['combined', 'T', 'H'][i % 3], scale: ['typical', 'block', 'clip'][i % 3] }",
}
_RUN = """async ([changes, steps]) => {
    const viewer = document.querySelector(".viewer").viewer;
    const { times, blocks: all } = viewer.lead;
    const [T, blocks, C] = [times.length, all.map((b) => b.name), all[0].shape[1]];
    const rows = {};
    for (const [name, code] of Object.entries(changes)) {
        const change = new Function("i", "T", "blocks", "C", `return (${code})`);
        const spent = [];
        const start = performance.now();
        for (let i = 0; i < steps; i++) {
            const before = performance.now();
            viewer.set(change(i, T, blocks, C));
            spent.push(performance.now() - before);
            await new Promise(requestAnimationFrame);
        }
        const seconds = (performance.now() - start) / 1000;
        spent.sort((a, b) => a - b);
        rows[name] = [steps / seconds, spent[steps >> 1], spent[Math.floor(steps * 0.95)]];
    }
    return rows;
}"""


def _document() -> str:
    """The viewer's elements and styles as a page."""
    style = files.read("browser/tokens.css") + files.style("viewer/viewer.css")
    return f"<!doctype html><meta charset=utf-8><style>{style}</style><div id=here>{files.read('viewer/viewer.html')}</div>"


def tables(options: Options) -> Iterator[Table]:
    """Draws in a headless Chromium, one change per displayed frame (at most 60 per second).

    Raises:
        AIAError: The model has no gates, or Playwright or a Chromium is missing.
    """
    model = options.load()
    if not model.block_names:
        raise AIAError("This model has no gates to draw; choose one with AIA, such as CinST.")
    answer, channels = web.pack(inspect(model, read_clip(CLIP, model.config.num_segments)))
    file = {"url": f"data:;base64,{base64.b64encode(channels).decode()}"}
    served = {"": _document().encode()}
    if model.reference:
        maps, typical = web.pack_reference(model.reference, model.config.attention)
        served |= {"reference/key/maps.json": json.dumps(maps).encode(), "reference/key/channels.bin": typical}
        answer["reference"] = {"key": "key", "clips": model.reference.num_clips, "kind": model.reference.kind}
    with chromium() as b:
        page = b.new_page(viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce")  # no autoplay
        page.route(f"{ROOT}/**", lambda route: route.fulfill(body=served[route.request.url.removeprefix(f"{ROOT}/")]))
        page.goto(ROOT)
        page.add_script_tag(content=files.script("viewer"))
        page.evaluate(
            """([value, colours, words]) => {
                startViewer(document.querySelector("#here"), { value, other: "", colours, words }, () => {}, () => {});
            }""",
            [
                {"answer": json.dumps(answer), "channels": file},
                {name: _base64(name) for name in (*COLORMAPS, DIFFERENCE, DIFFERENCE_DARK)},
                text.VIEWER,
            ],
        )
        page.wait_for_function("document.querySelector('.viewer').viewer.answers[0]?.channelBytes")
        rows = page.evaluate(_RUN, [CHANGES, STEPS])
    yield Table(
        f"The viewer in a headless Chromium, {model.config.title}",
        [
            {"what a visitor does": name, "frames a second": fps, "drawing, ms": median, "95 % under, ms": high}
            for name, (fps, median, high) in rows.items()
        ],
    )


def _base64(colours: str) -> str:
    return base64.b64encode(colormap_table(colours).tobytes()).decode()
