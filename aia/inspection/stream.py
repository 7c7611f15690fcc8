"""`Stream`: takes frames one by one, as from a camera, and inspects the last few seconds of them repeatedly."""

from __future__ import annotations

import threading
import time as clock
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from aia.errors import AIAError
from aia.inspection.inspection import Inspection, inspect_input
from aia.limits import MAX_ASPECT, MAX_SECONDS, MAX_SEGMENTS
from aia.video.clip import Clip

if TYPE_CHECKING:
    from torch import Tensor

    from aia.modeling.config import AIAConfig
    from aia.modeling.network import AIANet

MAX_FRAMES = 128  # in a window; frames that come faster are thinned out
MAX_SIDE = 320  # px; twice what the shipped networks look at
MIN_SECONDS = 0.01  # of a window; a shorter one holds no frame of any camera
_ROUNDING = 1e-6  # seconds; times of frames are sums and quotients


@dataclass(eq=False)
class _Frame:
    """A frame of the window.

    Attributes:
        pixels: RGB, uint8 `[H, W, 3]`.
        time: In seconds.
        inputs: Networks' inputs for it, `[S, S, 3]`, by their preprocessing.
    """

    pixels: np.ndarray
    time: float
    inputs: dict[tuple[object, ...], Tensor] = field(default_factory=dict)


class Stream:
    """Inspects the last seconds of a stream of frames. All methods may be called from several threads.

    A window holds the frames of the last `seconds`. It is divided into T equal parts, and the network sees the frame that is
    shown in the middle of each: the published rule of `aia.video.sample_indices`, by time, since a camera's frames may come
    unevenly. The memory stays flat: a window has at most `MAX_FRAMES` small frames, and its frames are prepared for the
    network once, however many windows they belong to.

    Args:
        model: From `aia.load`. The attribute `model` may be replaced while the stream runs.
        seconds: Length of the window.
        interval: Seconds from one inspection by `push` to the next, at least; 0 inspects at every frame.
        max_side: The longer side in pixels that frames are reduced to; a smaller frame stays as it is.

    Raises:
        AIAError: A length, interval or size that cannot be used.

    Example:
        >>> import aia
        >>> stream = aia.Stream(aia.load("tsm-mobilenetv2-cinst", device="cpu"), seconds=2.4)
        >>> video = aia.read_clip("assets/examples/swipe-left.mp4", num_segments=48)
        >>> inspections = [stream.push(frame, time) for frame, time in zip(video.frames, video.times)]
        >>> inspections[0] is None, inspections[-1].label
        (True, 'swipe left')
    """

    def __init__(self, model: AIANet, seconds: float = 2.5, *, interval: float = 0.0, max_side: int = MAX_SIDE) -> None:
        if not MIN_SECONDS <= seconds <= MAX_SECONDS:
            raise AIAError(f"A stream's window lasts {MIN_SECONDS} to {MAX_SECONDS} seconds, not {seconds!r}.")
        if not 0 <= interval < float("inf"):
            raise AIAError(f"Windows follow each other after 0 or more seconds, not {interval!r}.")
        if max_side < 1:
            raise AIAError(f"Frames are reduced to a longer side of 1 pixel or more, not {max_side!r}.")
        self.model, self.seconds, self.interval, self.max_side = model, float(seconds), interval, max_side
        self._frames: deque[_Frame] = deque()
        self._due = -float("inf")  # when the next inspection by `push` may begin, in the frames' time
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Stream({self.model!r}, {self.seconds:g} s, {len(self)} frames)"

    def __len__(self) -> int:
        """The number of frames in the window."""
        return len(self._frames)

    def push(self, frame: np.ndarray, time: float | None = None) -> Inspection | None:
        """Adds a frame and inspects the window.

        Args:
            frame: RGB, uint8 `[H, W, 3]`, of any size; it is copied. A size other than the last frame's begins a new window.
            time: When it was taken, in seconds of any clock, not before the last frame; the time of the call by default.

        Returns:
            The inspection, whose `clip` holds the T frames that the network saw; or None if the window is not yet full, or
            if no inspection is due.

        Raises:
            AIAError: This is not a frame, it is too narrow for the network, its time lies before the last frame's, or the
                network's logits are not finite.
        """
        if not self.add(frame, time):
            return None
        model = self.model
        chosen = self._choose(model.config.num_segments)
        return _inspect(model, *chosen) if chosen and self._is_due() else None

    def add(self, frame: np.ndarray, time: float | None = None) -> bool:
        """Adds a frame without an inspection; see `push`.

        Returns:
            Whether it was kept; a frame that comes too soon after the last is left out, see `MAX_FRAMES`.

        Raises:
            AIAError: This is not a frame, it is too narrow for any network, or its time lies before the last frame's.
        """
        pixels = _small(frame, self.max_side)
        with self._lock:
            time = clock.monotonic() if time is None else float(time)
            last = self._frames[-1] if self._frames else None
            if not np.isfinite(time) or (last and time < last.time):
                raise AIAError(f"A frame of {time!r} s cannot follow the one before it; call clear() for a new stream.")
            if last and last.pixels.shape != pixels.shape:
                self._frames.clear()
            elif last and time - last.time < self.seconds / MAX_FRAMES - _ROUNDING:
                return False
            self._frames.append(_Frame(pixels, time))
            while self._frames[0].time <= time - self.seconds + _ROUNDING:
                self._frames.popleft()
        return True

    def inspect(self, model: AIANet | None = None) -> Inspection | None:
        """Inspects the window as it is now; the same as `aia.inspect(model, stream.clip(T))` with the network's T.

        Args:
            model: Another network than the stream's.

        Returns:
            The inspection, or None if the window is not yet full.

        Raises:
            AIAError: The frames are too narrow for the network, or its logits are not finite.
        """
        model = model or self.model
        chosen = self._choose(model.config.num_segments, full_for=self.model.config.num_segments)
        return chosen and _inspect(model, *chosen)

    def clip(self, num_segments: int | None = None) -> Clip | None:
        """The window as a clip, for all that an uploaded video can go through.

        Args:
            num_segments: The number of frames T to choose; as many as the model takes by default.

        Returns:
            The clip, as if the window were a video: `indices` and `times` count from its first frame. None if the window is
            not yet full.

        Raises:
            AIAError: Fewer frames than 1, or more than `MAX_SEGMENTS`.
        """
        least = self.model.config.num_segments  # if a window is full enough for the model, it is for any number
        chosen = self._choose(least if num_segments is None else num_segments, full_for=least)
        return chosen and chosen[1]

    def clear(self) -> None:
        """Forgets all frames."""
        with self._lock:
            self._frames.clear()
            self._due = -float("inf")

    def _is_due(self) -> bool:
        """Whether an inspection may begin, which puts off the next one."""
        with self._lock:
            if not self._frames or self._frames[-1].time < self._due - _ROUNDING:
                return False
            self._due = self._frames[-1].time + self.interval
            return True

    def _choose(self, num_segments: int, full_for: int | None = None) -> tuple[list[_Frame], Clip] | None:
        """The T frames of the window, and the clip that they are; None if the window is not yet full enough."""
        if not 1 <= num_segments <= MAX_SEGMENTS:
            raise AIAError(f"A clip has 1 to {MAX_SEGMENTS} frames, not {num_segments!r:.60}.")
        with self._lock:
            window = list(self._frames)
        if len(window) < 2:
            return None
        times = np.array([frame.time for frame in window]) - window[0].time
        duration = float(times[-1]) * len(window) / (len(window) - 1)  # the last frame is shown as long as the mean one
        least = 1 - 0.5 / (full_for or num_segments)  # of the window: else the first part has no frame in its middle
        if duration < self.seconds * least:
            return None
        middles = duration * (np.arange(num_segments) + 0.5) / num_segments
        indices = np.searchsorted(times, middles + _ROUNDING, side="right") - 1
        frames = [window[index] for index in indices]
        clip = Clip(
            frames=np.stack([frame.pixels for frame in frames]),
            indices=indices,
            times=times[indices],
            fps=len(window) / duration,
            duration=duration,
            num_frames=len(window),
        )
        return frames, clip


def _small(frame: np.ndarray, max_side: int) -> np.ndarray:
    """A copy of a frame, reduced if its longer side has more pixels.

    Raises:
        AIAError: This is not a frame, or it is too narrow for a network.
    """
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise AIAError("A frame is an array of RGB values, uint8 [H, W, 3].")
    height, width = frame.shape[:2]
    if not 0 < max(height, width) <= MAX_ASPECT * min(height, width):
        raise AIAError(f"A frame of {width} x {height} pixels is empty or too narrow; crop it.")
    scale = max_side / max(height, width)
    if scale >= 1:
        return np.array(frame, order="C")
    import cv2  # takes a while to import, and small frames do not need it

    size = max(1, round(width * scale)), max(1, round(height * scale))
    small: np.ndarray = cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA)
    return small


def _inspect(model: AIANet, frames: Sequence[_Frame], clip: Clip) -> Inspection:
    import torch  # takes seconds to import, and a stream can be filled without it

    start = clock.perf_counter()
    x = torch.stack([_input(frame, model.config) for frame in frames]).permute(0, 3, 1, 2).unsqueeze(0)
    return inspect_input(model, clip, x, preprocess_seconds=clock.perf_counter() - start)


def _input(frame: _Frame, config: AIAConfig) -> Tensor:
    """A network's input for a frame, `[S, S, 3]` as in memory; made once for all networks with the same preprocessing."""
    from aia.modeling.preprocess import preprocess

    key = config.input_size, config.resize, config.mean, config.std
    if key not in frame.inputs:
        frame.inputs[key] = preprocess(frame.pixels[None], config)[0, 0].permute(1, 2, 0)
    return frame.inputs[key]
