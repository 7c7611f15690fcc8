"""Chromium with other flags than the tests' own: with a film in place of a camera, and names for this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from playwright.sync_api import Browser

from tools.chromium import FLAGS, find_chromium

INSECURE = "studio.test"  # a name of this machine that is no secure address, as that of a page in one's own network
ALLOWED = "--use-fake-ui-for-media-stream"  # every camera and microphone that is asked for


@contextmanager
def launched(browser: Browser, *flags: str) -> Iterator[Browser]:
    """Another browser, a whole one if there is one, with more flags."""
    rule = f"--host-resolver-rules=MAP {INSECURE} 127.0.0.1"
    other = browser.browser_type.launch(executable_path=find_chromium(whole=True)[0], args=[*FLAGS, rule, *flags])
    try:
        yield other
    finally:
        other.close()


def camera(film: Path | None = None) -> list[str]:
    """Flags for a camera: a film again and again, or Chromium's own test picture."""
    shown = [] if film is None else [f"--use-file-for-fake-video-capture={film}"]
    return ["--use-fake-device-for-media-stream", *shown]


def write_film(path: Path, frames: Sequence[np.ndarray], fps: int) -> Path:
    """Frames as the camera's film, an MJPEG file."""
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", format="mjpeg") as output:
        stream = output.add_stream("mjpeg", rate=fps, options={"qmin": "2", "qmax": "3"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            output.mux(stream.encode(picture.reformat(format="yuvj420p")))
        output.mux(stream.encode())
    return path
