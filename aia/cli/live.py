"""`aia live`: feeds a camera or a video to an `aia.Stream`, and shows each answer in a window or as a line of JSON."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time as clock
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from aia.errors import AIAError
from aia.inspection.stream import MAX_SIDE, Stream

if TYPE_CHECKING:
    from aia.inspection.inspection import Inspection
    from aia.modeling.network import AIANet

WINDOW = "AIA live"
RATE_WINDOWS = 20  # that the rate of answers is averaged over
_END_KEYS = (27, ord("q"))  # Escape and q


class Frame(NamedTuple):
    """A picture, RGB uint8 `[H, W, 3]`, and its time in seconds from the first one."""

    time: float
    pixels: np.ndarray


@dataclass(frozen=True)
class Source:
    """Where frames come from.

    Attributes:
        frames: The frames, in order.
        waits: Whether frames wait until they are taken. Otherwise they come at their times, and answers must keep up.
    """

    frames: Iterator[Frame]
    waits: bool


@dataclass(frozen=True)
class Answer:
    """The models' answers for one window.

    Attributes:
        time: Of the window's last frame, in seconds from the first frame.
        rate: Answers a second, averaged over `RATE_WINDOWS`.
        inspections: One of each model.
    """

    time: float
    rate: float
    inspections: Sequence[Inspection]


# Shows an answer or, before the first, a frame; None between answers, when nothing is new. False ends the stream.
Output = Callable[[Answer | Frame | None], bool]


def open_source(name: str, *, fast: bool = False, mirror: bool | None = None) -> Source:
    """Opens a camera or a video file.

    Args:
        name: A file, or a camera's number if there is no such file.
        fast: A file's frames wait until they are taken; otherwise they come at their times.
        mirror: Whether pictures are mirrored; those of a camera by default, since it mostly faces its user.

    Raises:
        AIAError: There is no such camera or file.
    """
    is_camera = name.isdecimal() and not os.path.lexists(name)
    if is_camera and fast:
        raise AIAError("A camera has its own speed; --fast is for video files.")
    frames = _camera_frames(int(name)) if is_camera else _file_frames(name)
    first = next(frames)  # so that a source without frames fails before a model is loaded
    frames = _chain(first, frames)
    if mirror if mirror is not None else is_camera:
        frames = (Frame(frame.time, frame.pixels[:, ::-1]) for frame in frames)
    return Source(frames if fast or is_camera else _at_their_times(frames), waits=fast)


def open_output(*, window: bool = False, lines: bool = False) -> Output:
    """A window if it is wanted or possible, and otherwise lines of JSON.

    Args:
        window: A window is wanted.
        lines: Lines are wanted.

    Raises:
        AIAError: A wanted window is impossible, or both are wanted.
    """
    if window and lines:
        raise AIAError("The answers go into a window or into lines of JSON; give --window or --json.")
    obstacle = "" if lines else _window_obstacle()
    if window and obstacle:
        raise AIAError(obstacle)
    return print_line if lines or obstacle else show_window


def run(models: Sequence[AIANet], source: Source, show: Output, *, seconds: float, interval: float) -> None:
    """Inspects windows of a source until it ends or the output returns False.

    If answers take longer than frames, the frames in between are kept for the next window but get no answer of their own.

    Args:
        models: From `aia.load`; all look at the same windows.
        source: From `open_source`.
        show: Takes each answer.
        seconds: Length of a window.
        interval: Seconds from one answer to the next, at least.

    Raises:
        AIAError: The source failed or is shorter than a window, or a length cannot be used.
    """
    stream = Stream(models[0], seconds, interval=interval)
    ends: deque[float] = deque(maxlen=RATE_WINDOWS)
    batches: Generator[list[Frame], None, None] = (
        ([frame] for frame in source.frames) if source.waits else _batches(source.frames)
    )
    with closing(batches):
        for batch in batches:
            for time, pixels in batch[:-1]:
                stream.add(pixels, time)
            last = batch[-1]
            inspection = stream.push(last.pixels, last.time)
            if inspection is None:
                if not show(None if ends else last):
                    return
                continue
            others = [stream.inspect(model) for model in models[1:]]
            ends.append(clock.perf_counter())
            rate = (len(ends) - 1) / (ends[-1] - ends[0]) if len(ends) > 1 else 0.0
            if not show(Answer(last.time, rate, [inspection, *(other for other in others if other)])):
                return
    if not ends:
        raise AIAError(f"The source is shorter than {seconds:g} seconds; give a smaller number of --seconds.")


def print_line(shown: Answer | Frame | None) -> bool:
    """Prints an answer as a line of JSON."""
    if isinstance(shown, Answer):
        answers = {inspection.config.task or inspection.model: _fields(inspection) for inspection in shown.inspections}
        said = next(iter(answers.values())) if len(answers) == 1 else {"answers": answers}
        print(json.dumps({"time": round(shown.time, 3), **said, "fps": round(shown.rate, 1)}), flush=True)
    return True


def _fields(inspection: Inspection) -> dict[str, Any]:
    return {
        "label": inspection.label,
        "confidence": round(float(inspection.probabilities.max()), 4),
        "sure": inspection.is_confident,
        "model": inspection.model,
    }


def show_window(shown: Answer | Frame | None) -> bool:
    """Draws the last frame with the gates over it and the answers under it; False once the user has closed the window."""
    import cv2

    if shown is not None:
        picture = shown.pixels if isinstance(shown, Frame) else _picture(shown)
        cv2.imshow(WINDOW, np.ascontiguousarray(picture[..., ::-1]))  # OpenCV wants BGR
    ended = cv2.waitKey(1) & 0xFF in _END_KEYS or cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) < 1
    if ended:
        cv2.destroyAllWindows()
    return not ended


def _picture(answer: Answer) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    from aia.visualization.figure import frame_picture
    from aia.visualization.render import INK, PAPER
    from aia.visualization.view import View

    first = answer.inspections[0]
    picture = frame_picture(first, View(frame=len(first.clip.frames) - 1))
    lines = [
        f"{'' if inspection.is_confident else 'not sure; closest: '}{inspection.label} {inspection.probabilities.max():.0%}"
        for inspection in answer.inspections
    ]
    text = Image.new("RGB", (picture.shape[1], 28 * len(lines) + 24), PAPER)
    draw = ImageDraw.Draw(text)
    for number, line in enumerate(lines):
        draw.text((8, 4 + 28 * number), line, INK, ImageFont.load_default(22))
    draw.text((8, text.height - 20), f"{answer.rate:.1f} answers a second", INK, ImageFont.load_default(13))
    return np.concatenate([picture, np.asarray(text)])


def _window_obstacle() -> str:
    """Why no window can be opened; empty if one can."""
    import cv2

    gui = next((line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")), "")
    if gui.split()[-1:] == ["NONE"]:
        return "This OpenCV has no windows: install opencv-python in place of opencv-python-headless, or use --json."
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "There is no display for a window: start the command in a desktop session, or use --json."
    return ""


def _camera_frames(number: int) -> Iterator[Frame]:
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error below says it in one sentence
    camera = cv2.VideoCapture(number)
    try:
        start, count = clock.monotonic(), 0
        while True:
            taken, picture = camera.read()
            if not taken:
                break
            yield Frame(clock.monotonic() - start, picture[..., ::-1])
            count += 1
    finally:
        camera.release()
    if count:
        raise AIAError(f"Camera {number} gives no more pictures: connect it again.")
    raise AIAError(
        f"Camera {number} cannot be used: connect one, close other programs that use it, or give a video file."
    )


def _file_frames(name: str) -> Iterator[Frame]:
    from aia.video.reader import iterate_frames

    for time, pixels in iterate_frames(name, max_side=MAX_SIDE, display_name=name):
        yield Frame(time, pixels)


def _chain(first: Frame, frames: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from frames


def _at_their_times(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Lets each frame come when it is due."""
    start: float | None = None
    for frame in frames:
        start = clock.monotonic() - frame.time if start is None else start
        clock.sleep(max(0.0, start + frame.time - clock.monotonic()))
        yield frame


def _batches(frames: Iterator[Frame]) -> Generator[list[Frame], None, None]:
    """Yields the frames that have come since the last batch, one or more; a thread reads them as they come."""
    arrived: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
    stopped = threading.Event()

    def read() -> None:
        try:
            for frame in frames:
                if stopped.is_set():
                    return
                arrived.put(frame)
        finally:
            arrived.put(None)

    with ThreadPoolExecutor(1, thread_name_prefix="camera") as pool:
        reading = pool.submit(read)
        try:
            frame = arrived.get()
            while frame is not None:
                batch = [frame]
                while not arrived.empty() and (frame := arrived.get()) is not None:
                    batch.append(frame)
                yield batch
                if frame is not None:
                    frame = arrived.get()
        finally:
            stopped.set()
        reading.result()
