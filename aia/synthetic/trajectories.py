"""Human-like fingertip paths of each gesture, and of a hand that draws none.

Paths are fractions of the frame (x / width, y / height, y down), evenly spaced in time. Stroke order, direction and size
follow the recorded finger paths of EgoGestAR.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from aia.errors import AIAError
from aia.modeling.config import NO_GESTURE

LABELS = (
    "swipe up",
    "swipe down",
    "swipe left",
    "swipe right",
    "square",
    "circle (counter-clockwise)",
    "check mark",
    "caret",
    "cross (X)",
    "star",
    NO_GESTURE,
)
IDLE_KINDS = ("still", "wander", "wave", "aborted", "twitch")
POINTS = 200  # as many as in the recorded paths
ASPECT = 4 / 3  # of the frame that a path is tilted in
_LOW, _HIGH = np.array((0.05, 0.07)), np.array((0.95, 0.9))  # the part of the frame for fingertips

Array: TypeAlias = NDArray[np.float32]
Floats: TypeAlias = NDArray[Any]  # of the precision of the input

# Corners in the order drawn, in a box of side 1 around 0, y down.
_CORNERS: dict[str, tuple[tuple[float, float], ...]] = {
    "swipe up": ((0, 0.5), (0, -0.5)),
    "swipe down": ((0, -0.5), (0, 0.5)),
    "swipe left": ((0.5, 0), (-0.5, 0)),
    "swipe right": ((-0.5, 0), (0.5, 0)),
    "square": ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5)),
    "check mark": ((-0.5, -0.25), (-0.3, 0.5), (0.5, -0.5)),
    "caret": ((-0.5, 0.5), (-0.08, -0.5), (0.5, 0.5)),
    "cross (X)": ((-0.4, -0.5), (0.35, 0.45), (-0.5, 0.5), (0.5, -0.5)),
    "star": ((-0.3, 0.5), (0, -0.5), (0.35, 0.48), (-0.5, -0.1), (0.5, -0.18), (-0.3, 0.5)),
}
# Width and height of the box, as fractions of the frame: (low, high) each.
_SIZES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "swipe up": ((0.1, 0.1), (0.38, 0.8)),
    "swipe down": ((0.1, 0.1), (0.38, 0.8)),
    "swipe left": ((0.3, 0.82), (0.1, 0.1)),
    "swipe right": ((0.3, 0.82), (0.1, 0.1)),
    "square": ((0.26, 0.58), (0.3, 0.66)),
    "circle (counter-clockwise)": ((0.2, 0.48), (0.32, 0.68)),
    "check mark": ((0.34, 0.68), (0.22, 0.56)),
    "caret": ((0.24, 0.56), (0.4, 0.66)),
    "cross (X)": ((0.28, 0.54), (0.45, 0.75)),
    "star": ((0.34, 0.62), (0.45, 0.78)),
}


def smooth(path: Floats, sigma: float) -> Floats:
    """Smooths a sequence [K, D] in time with a width in samples; keeps its ends."""
    if sigma <= 0:
        return path
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), "valid") for column in padded.T], axis=1)


def minimum_jerk(time: Floats) -> Floats:
    """Distance (0 to 1) at a time (0 to 1) of a reaching hand, whose speed is bell-shaped."""
    time = np.clip(time, 0, 1)
    distance: Floats = time**3 * (10 - 15 * time + 6 * time**2)
    return distance


def resample(path: Floats, count: int) -> Floats:
    """Takes `count` points, evenly spaced in time: [K, 2] -> [count, 2]."""
    old, new = np.linspace(0, 1, len(path)), np.linspace(0, 1, count)
    return np.stack([np.interp(new, old, column) for column in path.T], axis=1)


def wobble(rng: Generator, count: int, cycles: float, dims: int = 2) -> Floats:
    """Smooth random movement around 0 of about unit size, with up to `cycles` turns in `count` samples: [count, D]."""
    rates = rng.uniform(0.2, 1, (3, dims)) * cycles
    phases = rng.uniform(0, 2 * np.pi, (3, dims))
    time = np.linspace(0, 1, count)[:, None, None]
    waves: Floats = np.sin(2 * np.pi * rates * time + phases) * rng.uniform(0.4, 1, (3, dims))
    return np.asarray(waves.sum(1) / 1.5)


def gesture_path(label: str, rng: Generator) -> Array:
    """Draws one gesture as a person would.

    Args:
        label: One of `LABELS`; for "no gesture" a random idle movement.
        rng: Source of all variation.

    Returns:
        Fingertip [200, 2] as fractions of the frame (x right, y down), evenly spaced in time, stroke only.

    Raises:
        AIAError: The label is unknown.
    """
    if label not in LABELS:
        raise AIAError(f"Unknown gesture {label!r}: choose one of {', '.join(LABELS)}.")
    if label == NO_GESTURE:
        return idle_path(str(rng.choice(IDLE_KINDS)), rng)
    shape = _circle(rng) if label not in _CORNERS else _strokes(label, rng)
    return _place(_uneven(shape, rng), label, rng)


def idle_path(kind: str, rng: Generator) -> Array:
    """Moves a hand that draws no gesture.

    Args:
        kind: One of `IDLE_KINDS`.
        rng: Source of all variation.

    Returns:
        Fingertip [200, 2] as fractions of the frame, evenly spaced in time.

    Raises:
        AIAError: The kind is unknown.
    """
    center = rng.uniform((0.25, 0.25), (0.75, 0.65))
    if kind == "still":
        path = center + 0.012 * wobble(rng, POINTS, 3)
    elif kind == "wave":
        turns, reach = rng.uniform(2, 5), rng.uniform(0.05, 0.16)
        swing = np.sin(2 * np.pi * turns * np.linspace(0, 1, POINTS) + rng.uniform(0, 6))
        path = center + np.stack([reach * swing, 0.4 * reach * swing**2], axis=1) + 0.02 * wobble(rng, POINTS, 2)
    elif kind == "twitch":
        away = rng.normal(0, 0.1, 2) * np.sin(np.pi * np.linspace(0, 1, POINTS)[:, None] ** rng.uniform(0.6, 2)) ** 2
        path = center + away + 0.01 * wobble(rng, POINTS, 4)
    elif kind == "aborted":
        # Cut so that the part is not a gesture itself (half a square's first side would be a swipe).
        label, low, high = [("square", 0.4, 0.7), ("circle (counter-clockwise)", 0.35, 0.6), ("star", 0.45, 0.75)][
            rng.integers(3)
        ]
        complete = gesture_path(label, rng)
        path = smooth(resample(complete[: int(POINTS * rng.uniform(low, high))], POINTS), 2)
    elif kind == "wander":
        stops = center + rng.normal(0, rng.uniform(0.06, 0.22), (rng.integers(4, 9), 2))
        path = smooth(resample(stops, POINTS), 14) + 0.01 * wobble(rng, POINTS, 8)
    else:
        raise AIAError(f"Unknown idle movement {kind!r}: choose one of {', '.join(IDLE_KINDS)}.")
    return np.clip(path, 0.03, 0.97).astype(np.float32)


def _strokes(label: str, rng: Generator) -> Floats:
    """Straight strokes between a gesture's corners, each with its own curvature and bell-shaped speed: [K, 2] in the box."""
    corners = np.array(_CORNERS[label], float)
    corners += rng.normal(0, 0.045, corners.shape)
    if rng.random() < 0.3:
        corners = np.vstack([corners, corners[-1]])
        corners[-2] += rng.uniform(0.03, 0.08) * (corners[-1] - corners[-3])  # overshoots the end and returns
    evenness = rng.uniform(0, 0.5)  # 0: stops at every corner, 1: never slows down
    parts = []
    for start, end in pairwise(corners):
        way = end - start
        steps = max(int(400 * np.hypot(*way) ** rng.uniform(0.4, 0.8) * rng.lognormal(0, 0.15)), 8)
        time = np.linspace(0, 1, steps, endpoint=False)[:, None]
        done = evenness * time + (1 - evenness) * minimum_jerk(time)
        bow = rng.normal(0, 0.04) * np.array([-way[1], way[0]])
        parts.append(start + done * way + 4 * done * (1 - done) * bow)
    path = np.vstack([*parts, corners[-1:]])
    return smooth(resample(path, 2 * POINTS), rng.uniform(1, 7))


def _circle(rng: Generator) -> Floats:
    """A counter-clockwise circle on the screen, from the upper right: [K, 2] in the box."""
    time = np.linspace(0, 1, 2 * POINTS)
    evenness = rng.uniform(0.5, 1)
    done = evenness * time + (1 - evenness) * minimum_jerk(time)
    angle = np.radians(rng.normal(65, 32) + rng.normal(361, 17) * done)
    radius = 0.5 * (1 + rng.normal(0, 0.07) * (done - 0.5) + 0.05 * wobble(rng, 2 * POINTS, 3, 1)[:, 0])
    return np.stack([radius * np.cos(angle), -radius * np.sin(angle)], axis=1)


def _uneven(path: Floats, rng: Generator) -> Floats:
    """The same path, [200, 2], at a slowly changing pace."""
    pace = np.exp(rng.uniform(0, 0.45) * wobble(rng, POINTS, 2, 1)[:, 0])
    clock = np.cumsum(pace) - pace[0]
    now, old = clock / clock[-1], np.linspace(0, 1, len(path))
    return np.stack([np.interp(now, old, column) for column in path.T], axis=1)


def _place(shape: Floats, label: str, rng: Generator) -> Array:
    """Scales, tilts and moves a boxed shape into the frame, and adds tremor."""
    widths, heights = _SIZES[label]
    path = shape * (rng.uniform(*widths), rng.uniform(*heights)) * (ASPECT, 1)
    tilt = np.radians(rng.normal(0, 5))
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    path = path @ turn / (ASPECT, 1) + rng.uniform(0, 0.004) * wobble(rng, len(path), 18)
    path /= max(1, *(np.ptp(path, axis=0) / (_HIGH - _LOW)))  # overshoot and tilt may have made it too large
    low, high = _LOW - path.min(0), _HIGH - path.max(0)
    center = np.clip(rng.normal((0.5, 0.47), (0.13, 0.08)), low, high)
    return np.asarray(path + center, np.float32)
