"""Drawn surroundings for synthetic clips, painted with numpy and OpenCV; no photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from aia.errors import AIAError

Image: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Color: TypeAlias = tuple[float, float, float]

BACKDROPS = (
    "wall",
    "desk",
    "room",
    "shelves",
    "cabinet",
    "curtain",
    "fabric",
    "plants",
    "landscape",
    "blobs",
    "texture",
    "mix",
    "dark",
)


def noise(rng: Generator, height: int, width: int, scale: float, stretch: float = 1.0, octaves: int = 3) -> Floats:
    """Cloudy noise of mean 0 and deviation 1.

    Args:
        rng: Source of the noise.
        height: Pixels.
        width: Pixels.
        scale: Size of the largest clouds in pixels.
        stretch: How much taller than wide the clouds are.
        octaves: How many scales are added up, each half the one before.

    Returns:
        float32 [height, width].
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = max(scale / 2**octave, 1)
        rows, columns = int(height / (size * stretch)) + 2, int(width / size) + 2
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        clouds: Floats = np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        total += clouds / 1.7**octave
    normalized: Floats = total / (total.std() + 1e-6)
    return normalized


def backdrop(kind: str, height: int, width: int, rng: Generator, tone: Color | None = None) -> Image:
    """Paints the surroundings.

    Args:
        kind: One of `BACKDROPS`.
        height: Pixels.
        width: Pixels.
        rng: Source of all variation.
        tone: RGB of the wall; None for any.

    Returns:
        RGB uint8 [height, width, 3].

    Raises:
        AIAError: There are no such surroundings.
    """
    if kind not in BACKDROPS:
        raise AIAError(f"Unknown surroundings {kind!r:.60}: choose one of {', '.join(BACKDROPS)}.")
    canvas = _sheet(height, width, _tint(rng) if tone is None else np.array(tone, np.float32), rng)
    painter = _PAINTERS.get(kind)
    if painter is not None:
        canvas = painter(canvas, rng)
    grain = noise(rng, height, width, float(rng.uniform(2, 8)), octaves=2) * rng.uniform(0, 4)
    return _clip(canvas.astype(np.float32) + grain[..., None])


def _tint(rng: Generator, low: float = 40, high: float = 235) -> Floats:
    """A random, mostly dull color: float32 [3]."""
    hue, value = rng.uniform(0, 1), rng.uniform(low, high)
    wheel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return np.asarray(value * (1 - 0.75 * rng.uniform(0, 1) ** 2 * (1 - wheel)), np.float32)


def _sheet(height: int, width: int, color: Floats, rng: Generator) -> Image:
    """A plain surface under uneven light: uint8 [height, width, 3]."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    slope = rng.normal(0, 0.25, 2)
    light = 1 + slope[0] * (x / width - 0.5) + slope[1] * (y / height - 0.5)
    light += rng.uniform(0, 0.05) * noise(rng, height, width, height / 2, octaves=2)
    return _clip(color * light[..., None])


def _clip(image: NDArray[Any]) -> Image:
    return np.asarray(np.clip(image, 0, 255).astype(np.uint8))


def _box(
    canvas: Image,
    rng: Generator,
    x: float,
    y: float,
    w: float,
    h: float,
    color: Sequence[float] | NDArray[Any] | None = None,
    outline: bool = True,
) -> None:
    """Paints one framed rectangle, given in fractions of the canvas."""
    height, width = canvas.shape[:2]
    low, high = (int(x * width), int(y * height)), (int((x + w) * width), int((y + h) * height))
    fill: list[float] = (_tint(rng) if color is None else np.asarray(color)).tolist()
    cv2.rectangle(canvas, low, high, fill, -1)
    if outline:
        cv2.rectangle(canvas, low, high, [0.6 * c for c in fill], max(height // 90, 1))


def _floor(canvas: Image, rng: Generator, at: float) -> Image:
    """Paints a table top or floor with wood grain below the given height."""
    height, width = canvas.shape[:2]
    row = int(at * height)
    wood = np.array((110, 72, 44)) + rng.uniform(0, 1) * np.array((115, 108, 90)) + rng.normal(0, 6, 3)
    grain = noise(rng, height - row, width, width / 4, 0.08) * rng.uniform(2, 12)
    canvas[row:] = _clip(wood + grain[..., None])
    cv2.line(canvas, (0, row), (width, row), (0.55 * wood).tolist(), max(height // 80, 1), cv2.LINE_AA)
    return canvas


def _desk(canvas: Image, rng: Generator) -> Image:
    _floor(canvas, rng, at := float(rng.uniform(0.5, 0.8)))
    for _ in range(rng.integers(0, 4)):
        w, h = rng.uniform(0.08, 0.3), rng.uniform(0.08, 0.35)
        _box(canvas, rng, rng.uniform(0, 0.8), at - h + rng.uniform(0, 0.1), w, h)
    if rng.random() < 0.5:  # a monitor
        x = rng.uniform(0.1, 0.5)
        _box(canvas, rng, x, at - 0.4, 0.34, 0.3, (35, 35, 40))
        _box(canvas, rng, x + 0.015, at - 0.385, 0.31, 0.26, _tint(rng, 90, 240), False)
        _box(canvas, rng, x + 0.14, at - 0.1, 0.06, 0.1, (45, 45, 50), False)
    return canvas


def _room(canvas: Image, rng: Generator) -> Image:
    _floor(canvas, rng, float(rng.uniform(0.62, 0.85)))
    x, w, h = rng.uniform(0.1, 0.6), rng.uniform(0.15, 0.35), rng.uniform(0.25, 0.5)
    _box(canvas, rng, x, 0.12, w, h, rng.uniform(190, 250, 3))  # a window or a picture
    if rng.random() < 0.6:
        frame = _tint(rng, 60, 230)
        _box(canvas, rng, x + w / 2 - 0.006, 0.12, 0.012, h, frame, False)
        _box(canvas, rng, x, 0.12 + h / 2, w, 0.014, frame, False)
    for _ in range(rng.integers(1, 5)):
        w, h = rng.uniform(0.1, 0.35), rng.uniform(0.12, 0.45)
        _box(canvas, rng, rng.uniform(-0.1, 0.9), rng.uniform(0.4, 0.8), w, h)
    return canvas


def _shelves(canvas: Image, rng: Generator) -> Image:
    rows = rng.integers(2, 5)
    for row in range(rows):
        bottom, x = (row + 1) / rows, 0.02
        while x < 0.95:
            w, h = rng.uniform(0.02, 0.09), rng.uniform(0.4, 0.85) / rows
            if rng.random() < 0.85:
                _box(canvas, rng, x, bottom - h, w, h)
            x += w
        _box(canvas, rng, 0, bottom - 0.015, 1, 0.03, (120, 85, 55), False)
    return canvas


def _cabinet(canvas: Image, rng: Generator) -> Image:
    height, width = canvas.shape[:2]
    canvas = _clip(canvas + (noise(rng, height, width, width / 12, 8) * rng.uniform(2, 14))[..., None])
    edge = canvas.mean((0, 1)) * rng.uniform(0.2, 0.8)
    for x in np.cumsum(rng.uniform(0.15, 0.4, 4)) - 0.1:
        cv2.line(canvas, (int(x * width), 0), (int(x * width), height), edge.tolist(), int(rng.integers(1, 9)))
        if rng.random() < 0.6:
            _box(canvas, rng, x + 0.02, rng.uniform(0.3, 0.7), 0.012, 0.12, (50, 50, 50))
    return canvas


def _curtain(canvas: Image, rng: Generator) -> Image:
    height, width = canvas.shape[:2]
    y, x = np.mgrid[:height, :width] / width
    phase = x * rng.uniform(30, 90) + 0.6 * noise(rng, height, width, width / 5, 4) + rng.normal(0, 0.6) * y
    cloth = canvas.astype(np.float32) * (1 + rng.uniform(0.1, 0.35) * np.sin(phase))[..., None]
    if rng.random() < 0.4:
        spots = noise(rng, height, width, width / rng.uniform(6, 16), octaves=2)[..., None] > 0.5
        cloth = np.where(spots, 0.5 * cloth + 0.5 * _tint(rng), cloth)
    return _clip(cloth)


def _fabric(canvas: Image, rng: Generator) -> Image:
    height, width = canvas.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    period, angle = width / rng.uniform(8, 40), rng.uniform(0, np.pi)
    u, v = (x * np.cos(angle) + y * np.sin(angle)) / period, (y * np.cos(angle) - x * np.sin(angle)) / period
    kind = rng.integers(4)
    if kind == 0:
        mark = u % 1 < 0.5
    elif kind == 1:
        mark = (u % 1 < 0.5) ^ (v % 1 < 0.5)
    elif kind == 2:
        mark = (u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < 0.06
    else:
        mark = (u + abs(v % 4 - 2)) % 1 < 0.5
    other = _sheet(height, width, _tint(rng), rng)
    return np.where(mark[..., None], other, canvas)


def _plants(canvas: Image, rng: Generator) -> Image:
    height, width = canvas.shape[:2]
    for _ in range(rng.integers(2, 5)):
        foot, bend = rng.uniform(0, width), rng.normal(0, width / 12)
        for _ in range(40):
            up = rng.uniform(0, 1)
            spread = rng.normal(0, width / 16)
            center = (int(foot + bend * up + spread), int(height * (1.02 - up * 0.8)))
            green = rng.uniform((20, 70, 15), (110, 180, 80))
            axes = (int(rng.uniform(0.02, 0.05) * width), int(rng.uniform(0.01, 0.025) * width))
            cv2.ellipse(canvas, center, axes, rng.uniform(0, 180), 0, 360, green.tolist(), -1, cv2.LINE_AA)
    return canvas


def _landscape(canvas: Image, rng: Generator) -> Image:
    height, width = canvas.shape[:2]
    horizon = int(height * rng.uniform(0.25, 0.6))
    fade = np.linspace(0, 1, horizon)[:, None, None]
    sky = (np.array((120, 165, 215)) + rng.uniform(0, 1) * np.array((70, 50, 35))) * (1 - fade) + rng.uniform(
        215, 250
    ) * fade
    cloud = np.clip(noise(rng, horizon, width, width / 3, 0.4), 0, 2)[..., None] * rng.uniform(0, 30)
    canvas[:horizon] = _clip(sky + cloud)
    grass = np.array((75, 115, 45)) + rng.uniform(0, 1) * np.array((85, 62, 55)) + rng.normal(0, 8, 3)
    meadow = noise(rng, height - horizon, width, width / 5, 0.3)[..., None] * (
        rng.uniform(6, 20) + rng.uniform(0, 4, 3)
    )
    canvas[horizon:] = _clip(grass + meadow)
    for x in rng.uniform(0, width, rng.integers(5, 40)):
        size = rng.uniform(0.012, 0.06) * width
        green = rng.uniform((25, 55, 20), (90, 130, 60)).tolist()
        cv2.ellipse(canvas, (int(x), int(horizon + size * 0.3)), (int(size), int(size * 0.7)), 0, 0, 360, green, -1, 16)
    if rng.random() < 0.4:  # seen through a window
        _box(canvas, rng, -0.1, rng.uniform(0.75, 0.9), 1.2, 0.4)
    return canvas


def _blobs(canvas: Image, rng: Generator) -> Image:
    height, width = canvas.shape[:2]
    for _ in range(rng.integers(5, 40)):
        center = (rng.uniform(0, 1, 2) * (width, height)).astype(int).tolist()
        axes = (rng.uniform(0.02, 0.2, 2) * width).astype(int).tolist()
        if rng.random() < 0.5:
            cv2.ellipse(canvas, center, axes, rng.uniform(0, 180), 0, 360, _tint(rng).tolist(), -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints((center, axes, float(rng.uniform(0, 180)))).astype(np.int32)
            cv2.fillPoly(canvas, [corners], _tint(rng).tolist(), cv2.LINE_AA)
    return canvas


def _texture(canvas: Image, rng: Generator) -> Image:
    height, width = canvas.shape[:2]
    clouds = [noise(rng, height, width, width / rng.uniform(2, 30), rng.uniform(0.3, 3)) for _ in range(3)]
    together = np.stack(clouds, -1) * rng.uniform(0, 30) + clouds[0][..., None] * rng.uniform(5, 40)
    return _clip(canvas + together)


def _mix(canvas: Image, rng: Generator) -> Image:
    """Two surroundings side by side with a slanted edge between them, as at a door or a corner."""
    height, width = canvas.shape[:2]
    left_kind, right_kind = rng.choice(list(_PAINTERS)[:-2], 2, replace=False)
    left = _PAINTERS[left_kind](canvas.copy(), rng)
    right = _PAINTERS[right_kind](_sheet(height, width, _tint(rng), rng), rng)
    top, bottom = rng.uniform(0.2, 0.8) * width + rng.normal(0, 0.06, 2) * width
    edge = np.linspace(top, bottom, height)[:, None]
    return np.where((np.arange(width) < edge)[..., None], left, right)


def _dark(canvas: Image, rng: Generator) -> Image:
    painter = list(_PAINTERS.values())[rng.integers(len(_PAINTERS) - 1)]
    return _clip(painter(canvas, rng) * rng.uniform(0.06, 0.3))


_PAINTERS: dict[str, Callable[[Image, Generator], Image]] = {
    "desk": _desk,
    "room": _room,
    "shelves": _shelves,
    "cabinet": _cabinet,
    "curtain": _curtain,
    "fabric": _fabric,
    "plants": _plants,
    "landscape": _landscape,
    "blobs": _blobs,
    "texture": _texture,
    "mix": _mix,  # the last two choose among the others
    "dark": _dark,
}
