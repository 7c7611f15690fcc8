"""Reads eight frames of a file with `aia.read_clip` and other libraries, and checks whether they are the right frames."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np

from aia.video import worker
from aia.video.clip import sample_indices
from aia.video.reader import read_clip
from benchmarks import scaled
from benchmarks.table import Options, Table, timed

SEGMENTS = 8
RATE = 30  # frames a second of the drawn clips
LONG = 1000  # frames; longer clips get a third of the rounds, since slow readers take many seconds
PRINT_STEP = 16  # pixels between those that are compared to identify a frame
X264 = {"preset": "superfast", "crf": "23"}
VP9 = {"deadline": "realtime", "cpu-used": "8"}


@dataclass(frozen=True)
class Drawn:
    """A clip to draw."""

    seconds: int
    width: int
    height: int
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: X264)
    suffix: str = ".mp4"


CLIPS = {
    "H.264, 3 s, 320 x 240": Drawn(3, 320, 240),
    "H.264, 10 s, 1280 x 720": Drawn(10, 1280, 720),
    "H.264, 60 s, 1280 x 720, one key frame": Drawn(
        60, 1280, 720, options={**X264, "x264-params": "keyint=infinite:scenecut=0"}
    ),
    "H.264, 60 s, 1280 x 720, a key frame in 12": Drawn(
        60, 1280, 720, options={**X264, "x264-params": "keyint=12:min-keyint=12:scenecut=0"}
    ),
    "H.264, 3 s, 3840 x 2160": Drawn(3, 3840, 2160),
    "HEVC, 10 s, 1280 x 720": Drawn(10, 1280, 720, "libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "VP9, 10 s, 1280 x 720": Drawn(10, 1280, 720, "libvpx-vp9", VP9, ".webm"),
}
BASELINE = "PyAV, in order"


def tables(options: Options) -> Iterator[Table]:
    """Times each reader on drawn clips or on the given video."""
    if options.video:
        yield _compared(options.video.name, options.video, options.repeats)
        return
    for name, clip in CLIPS.items():
        if clip.codec in av.codecs_available:
            with tempfile.TemporaryDirectory() as folder:
                yield _compared(name, draw(Path(folder) / f"drawn{clip.suffix}", clip), options.repeats)
    yield scaled.table(options)


def _compared(name: str, path: Path, repeats: int) -> Table:
    truth = _prints(path)
    table = timed(
        f"{name}: {SEGMENTS} of {len(truth)} frames",
        {way: partial(read, path) for way, read in WAYS.items()},
        baseline=BASELINE,
        repeats=repeats if len(truth) < LONG else -(-repeats // 3),
    )
    for row in table.rows:
        row["right frames"] = f"{_right(WAYS[row['part']](path), truth)} of {SEGMENTS}"
    return table


# ---------------------------------------------------------------- ways to read


def _aia(path: Path) -> list[np.ndarray]:
    return list(read_clip(path, SEGMENTS).frames)


def _pyav_in_order(path: Path, threads: str = "SLICE") -> list[np.ndarray]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = threads
        wanted = _wanted(container, stream)
        frames = []
        for index, frame in enumerate(container.decode(stream)):
            if index in wanted:
                frames.append(frame.to_ndarray(format="rgb24"))
            if index >= wanted[-1]:
                break
        return frames


def _pyav_seeking(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = []
        for index in _wanted(container, stream):
            assert stream.average_rate and stream.time_base
            target = (stream.start_time or 0) + round(index / stream.average_rate / stream.time_base)
            container.seek(target, stream=stream)
            frame = next((f for f in container.decode(stream) if f.pts is not None and f.pts >= target), None)
            if frame:
                frames.append(frame.to_ndarray(format="rgb24"))
        return frames


def _wanted(container: av.container.InputContainer, stream: av.VideoStream) -> list[int]:
    """Indices by the number of frames in the header, or by the duration there."""
    assert container.duration and stream.average_rate
    return sample_indices(stream.frames or round(container.duration / av.time_base * stream.average_rate), SEGMENTS)


def _opencv_in_order(path: Path) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    wanted = sample_indices(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), SEGMENTS)
    frames = []
    for index in range(wanted[-1] + 1):
        if video.grab() and index in wanted:
            frames.append(video.retrieve()[1][..., ::-1])
    return frames


def _opencv_seeking(path: Path) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    frames = []
    for index in sample_indices(int(video.get(cv2.CAP_PROP_FRAME_COUNT)), SEGMENTS):
        video.set(cv2.CAP_PROP_POS_FRAMES, index)
        read, frame = video.read()
        if read:
            frames.append(frame[..., ::-1])
    return frames


WAYS: dict[str, Callable[[Path], list[np.ndarray]]] = {
    "aia.read_clip": _aia,
    "the same in a separate process, as the page": lambda path: list(worker.read_clip(path, SEGMENTS).frames),
    BASELINE: _pyav_in_order,
    "PyAV, in order, a thread a core": lambda path: _pyav_in_order(path, "AUTO"),
    "PyAV, seeking to each": _pyav_seeking,
    "OpenCV, in order": _opencv_in_order,
    "OpenCV, seeking to each": _opencv_seeking,
}


# ---------------------------------------------------------------- which frames they are


def _prints(path: Path) -> np.ndarray:
    """Some pixels of every frame, by a plain decode of the whole file: `[N, h, w, 3]`."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return np.stack([_print(frame.to_ndarray(format="rgb24")) for frame in frames])


def _print(picture: np.ndarray) -> np.ndarray:
    return picture[::PRINT_STEP, ::PRINT_STEP].astype(np.int16)


def _right(pictures: list[np.ndarray], truth: np.ndarray) -> int:
    """Number of pictures that resemble the expected frame most. Other libraries' colors may differ a little."""
    right = 0
    for picture, index in zip(pictures, sample_indices(len(truth), SEGMENTS), strict=False):
        sample = _print(picture)
        if sample.shape == truth.shape[1:]:
            differences = np.abs(truth - sample).mean(axis=(1, 2, 3))
            right += bool(differences[index] <= differences.min())
    return right


def draw(path: Path, clip: Drawn) -> Path:
    """Draws a moving background and a moving square, so that every frame looks different."""
    width, height, margin = clip.width, clip.height, 200
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    ground = cv2.resize(coarse, (width + margin, height + margin), interpolation=cv2.INTER_CUBIC)
    side = height // 6
    with av.open(str(path), "w") as output:
        stream = output.add_stream(clip.codec, rate=RATE, options=clip.options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_type = "FRAME"  # otherwise each picture is cut into slices, as few other encoders do
        for t in range(clip.seconds * RATE):
            down, right = (int(margin / 2 * (1 + wave(t / 23))) for wave in (np.sin, np.cos))
            picture = ground[down : down + height, right : right + width].copy()
            top, left = int((height - side) / 2 * (1 + np.cos(t / 13))), int((width - side) / 2 * (1 + np.sin(t / 11)))
            picture[top : top + side, left : left + side] = (250, 200, 40)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode())
    return path
