"""Times the tab Live: windows a second, and the time from a camera's frame to its drawing, against a bare forward pass."""

from __future__ import annotations

import dataclasses
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import torch

from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess
from aia.video.reader import read_clip
from benchmarks.page import Page, served
from benchmarks.table import Options, Table
from tools.chromium import chromium
from tools.live_client import LiveClient, jpegs
from tools.page_server import EXAMPLES

CLIP = EXAMPLES / "swipe-left.mp4"
SECONDS = 10  # of each measurement, after the first window
FASTEST = 1 / 15  # seconds between the windows of one visitor, as in the browser
CAMERA = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=fps=30"]  # Chromium's own test picture
_STATE = """() => {
    const { live } = document.querySelector(".live");
    return { latencies: live.latencies, windows: live.windows, milliseconds: live.answer?.milliseconds };
}"""


def tables(options: Options) -> Iterator[Table]:
    """Times one visitor with a browser on the same machine, three visitors, and an upload in between.

    Three visitors are programs that send what a browser sends: real browsers draw on machines of their own.

    Raises:
        AIAError: Playwright or a browser is missing.
    """
    bare = _bare_forward(options)
    with served(options) as page:
        alone = _upload(page, options.repeats)
        with _browser(page) as live:
            start = live.evaluate(_STATE)["windows"]
            time.sleep(SECONDS)
            state = live.evaluate(_STATE)
            rate = (state["windows"] - start) / SECONDS
            latencies = sorted(state["latencies"])
            beside_one = _upload(page, options.repeats)
        rows = [
            _row(
                "one visitor, in a browser on this machine", rate, statistics.median(latencies), _late(latencies), bare
            )
        ]
        for visitors in (1, 3):
            stop = threading.Event()
            measured = [_Visitor(page, options.model, stop) for _ in range(visitors)]
            time.sleep(SECONDS)
            rates = [visitor.rate() for visitor in measured]
            times = sorted(latency for visitor in measured for latency in list(visitor.times))
            if visitors == 3:
                beside_three = _upload(page, options.repeats)
            stop.set()
            for visitor in measured:
                visitor.thread.join()
            name = "one visitor, a program" if visitors == 1 else f"{visitors} visitors, programs (the slowest one)"
            rows.append(_row(name, min(rates), statistics.median(times), _late(times), bare))
    yield Table(f"Live with {options.model}, {SECONDS} s each; a visitor sends 15 frames a second at most", rows)
    uploads = {"nobody": alone, "one visitor in a browser": beside_one, "three programs": beside_three}
    yield Table(
        f"An upload of a {read_clip(CLIP, 8).duration:.1f} s clip while Live is used; {options.repeats} rounds",
        [
            {"Live is used by": name, "ms": round(1000 * seconds), "over nobody": round(seconds / alone, 2)}
            for name, seconds in uploads.items()
        ],
    )


def _row(name: str, rate: float, median: float, late: float, bare: float) -> dict[str, Any]:
    return {
        "part": name,
        "windows a second": round(rate, 1),
        "ms from frame to answer": round(median),
        "95 %": round(late),
        "bare forward ms": round(bare, 1),
    }


def _late(ordered: list[float]) -> float:
    return ordered[int(0.95 * (len(ordered) - 1))]


def _bare_forward(options: Options) -> float:
    """Median milliseconds of the same trunk without gates."""
    model = options.load()
    trunk = AIANet(dataclasses.replace(model.config, attention="none")).eval().to(model.device)
    own = model.state_dict()
    trunk.load_state_dict({name: own[name] for name in trunk.state_dict()})
    trunk.optimize(model.precision)
    x = preprocess(read_clip(CLIP, model.config.num_segments).frames, model.config).to(model.device)
    times = []
    with torch.inference_mode():
        for _ in range(options.repeats + 3):
            start = time.perf_counter()
            trunk(x).cpu()
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[3:])


def _upload(page: Page, repeats: int) -> float:
    """Median seconds of an upload."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        page.visit(CLIP)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


class _Visitor:
    """A program that sends frames as fast as they are answered."""

    def __init__(self, page: Page, model: str, stop: threading.Event) -> None:
        self.times: list[float] = []  # milliseconds from frame to answer
        self.begun = time.perf_counter()
        self.thread = threading.Thread(target=self._run, args=(str(page.client.base_url), model, stop), daemon=True)
        self.thread.start()

    def _run(self, address: str, model: str, stop: threading.Event) -> None:
        frames, sent = jpegs(CLIP), 0
        with httpx.Client(base_url=address, timeout=60) as http:
            session = LiveClient(http)
            while not stop.is_set():
                start = time.perf_counter()
                head, _ = session.send([(start, frames[sent % len(frames)])], model=model)
                sent += 1
                now = time.perf_counter()
                if "view" in head:
                    if not self.times:
                        self.begun = now
                    self.times.append(1000 * (now - start))
                time.sleep(max(0, start + FASTEST - now))
            session.close()

    def rate(self) -> float:
        """Windows a second since the first one."""
        return len(self.times) / (time.perf_counter() - self.begun)


@contextmanager
def _browser(page: Page) -> Iterator[Any]:
    """A headless browser whose camera is on in Live, after its first window."""
    with chromium(*CAMERA) as browser:
        tab = browser.new_context(viewport={"width": 1440, "height": 900}, permissions=["camera"]).new_page()
        tab.goto(str(page.client.base_url))
        tab.get_by_role("tab", name="Live", exact=True).click()
        tab.locator("#live [data-do=start]").click()
        tab.wait_for_function("document.querySelector('.live').live.windows > 20")
        yield tab
