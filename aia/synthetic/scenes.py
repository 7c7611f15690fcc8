"""Drawn surroundings and hands for synthetic clips: everything is painted with numpy and OpenCV, nothing is a photo."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[float, float, float]

# Fingers in finger lengths, right hand seen from its back, the tip of the straight index finger at (0, 0), y down.
_KNUCKLES = np.array([(0.10, 1.0), (0.36, 0.93), (0.60, 1.0), (0.80, 1.16)])
_TIPS = np.array([(0.0, 0.0), (0.38, -0.14), (0.72, 0.02), (1.06, 0.42)])
_RADII = (0.135, 0.15, 0.145, 0.125)
_PALM = np.array(
    # Round the back of the hand from the index knuckle by way of the little finger to the wrist and the thumb.
    (
        *((-0.06, 1.0), (0.1, 0.9), (0.4, 0.86), (0.66, 0.95), (0.9, 1.12), (0.93, 1.5)),
        *((0.76, 1.9), (0.68, 2.3), (0.16, 2.3), (0.06, 1.95), (-0.1, 1.5)),
    )
)
WRIST = np.array([0.42, 2.12])
_HAND_ORIGIN = np.array([0.8, 0.45])  # of (0, 0) in the hand's canvas
_HAND_SIZE = (2.1, 2.95)
_ARM_ORIGIN = np.array([0.9, 0.4])  # of the wrist in the arm's canvas
_ARM_SIZE = (1.8, 7.0)

SKINS: tuple[Colour, ...] = (
    (250, 220, 200),
    (240, 200, 172),
    (226, 178, 142),
    (206, 152, 112),
    (180, 124, 84),
    (148, 98, 66),
    (112, 72, 50),
    (78, 50, 38),
)
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


def noise(rng: Generator, height: int, width: int, scale: float, stretch: float = 1.0, octaves: int = 3) -> np.ndarray:
    """Cloudy noise of mean 0 and deviation 1.

    Args:
        rng: Where it comes from.
        height: Pixels.
        width: Pixels.
        scale: Size of the largest clouds in pixels.
        stretch: How much taller than wide the clouds are.
        octaves: How many halvings of the scale are added up.

    Returns:
        float32 [height, width].
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        size = max(scale / 2**octave, 1)
        rows, columns = int(height / (size * stretch)) + 2, int(width / size) + 2
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 1.7**octave
    return total / (total.std() + 1e-6)


def backdrop(kind: str, height: int, width: int, rng: Generator, tone: Colour | None = None) -> Image:
    """Paint the surroundings.

    Args:
        kind: One of `BACKDROPS`.
        height: Pixels.
        width: Pixels.
        rng: Where all variation comes from.
        tone: RGB of the wall; None for any.

    Returns:
        RGB uint8 [height, width, 3].
    """
    canvas = _sheet(height, width, _tint(rng) if tone is None else np.array(tone, np.float32), rng)
    painter = _PAINTERS.get(kind)
    if painter is not None:
        canvas = painter(canvas, rng)
    grain = noise(rng, height, width, float(rng.uniform(2, 8)), octaves=2) * rng.uniform(0, 4)
    return _clip(canvas.astype(np.float32) + grain[..., None])


def hand(pose: tuple[bool, ...], thumb: bool, skin: Colour, scale: float, light: Colour) -> tuple[Image, np.ndarray]:
    """Draw a right hand seen from its back, fingers up.

    Args:
        pose: Which of index, middle, ring and little finger are straight.
        thumb: Whether the thumb stands out.
        skin: RGB, 0 to 255.
        scale: Length of the index finger in pixels.
        light: Direction (x, y, z) that the light comes from.

    Returns:
        The hand as RGBA uint8 [H, W, 4] with colour premultiplied, and three points [3, 2] (x, y) in its pixels:
        fingertip, wrist and the middle of the palm.
    """
    width, height = (int(side * scale) for side in _HAND_SIZE)
    rgb, alpha = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    parts: list[tuple[np.ndarray, float]] = [(_polygon(_PALM, scale, (height, width)), 0.0)]
    for knuckle, tip, radius, straight in reversed(list(zip(_KNUCKLES, _TIPS, _RADII, pose, strict=True))):
        end = tip if straight else np.add(knuckle, (-0.03, 0.24))
        start = np.add(knuckle, (0.02, 0.12) if straight else (0, 0.03))
        limb = _limb(start, end, radius * 1.08, radius * (0.76 if straight else 0.9), scale, (height, width))
        parts.append((limb, 0.9 if straight else 0.22))
    thumb_end = (-0.46, 1.12) if thumb else (0.07, 1.27)
    parts.append((_limb((0.1, 1.72), thumb_end, 0.19, 0.12, scale, (height, width)), 0.8 if thumb else 0.35))
    for mask, edge in parts:
        shade = _relief(mask, light)
        soft = cv2.GaussianBlur(mask, (0, 0), max(scale / 60, 0.6))
        crease = np.clip(cv2.GaussianBlur(mask, (0, 0), scale / 16) - mask, 0, 1) * edge
        rgb *= (1 - 0.75 * crease)[..., None]
        rgb += soft[..., None] * (np.array(skin, np.float32) * shade[..., None] - rgb)
        alpha = np.maximum(alpha, soft)
    _details(rgb, pose, skin, scale)
    tip = _TIPS[pose.index(True)] if any(pose) else _KNUCKLES[1] + (0, 0.05)
    points = (np.stack([tip, WRIST, (0.42, 1.4)]) + _HAND_ORIGIN) * scale
    rgb = np.clip(rgb, 0, alpha[..., None] * 255)  # blended in by alpha, so the colour is premultiplied already
    return np.dstack([rgb, alpha * 255]).astype(np.uint8), points


def arm(
    skin: Colour, sleeve: Colour | None, cuff: float, pattern: str, band: Colour | None, scale: float, light: Colour
) -> tuple[Image, np.ndarray]:
    """Draw a forearm hanging down from the wrist.

    Args:
        skin: RGB, 0 to 255.
        sleeve: RGB of the sleeve; None for a bare arm.
        cuff: Where the sleeve begins, in finger lengths from the wrist.
        pattern: "plain", "stripes" or "checks".
        band: RGB of a watch strap or bangle; None for none.
        scale: Length of the index finger in pixels.
        light: Direction (x, y, z) that the light comes from.

    Returns:
        RGBA uint8 [H, W, 4] with colour premultiplied, and the wrist [2] (x, y) in its pixels.
    """
    width, height = (int(side * scale) for side in _ARM_SIZE)
    shape = (height, width)
    bare = _limb((0, 0), (0, 6.9), 0.27, 0.66, scale, shape, _ARM_ORIGIN)
    rgb = np.array(skin, np.float32) * _round(bare, light)[..., None] * bare[..., None]
    alpha = bare
    if band is not None:
        strip = bare.copy()
        strip[: int((_ARM_ORIGIN[1] + 0.12) * scale)] = 0
        strip[int((_ARM_ORIGIN[1] + 0.34) * scale) :] = 0
        rgb += strip[..., None] * (np.array(band, np.float32) * _round(bare, light)[..., None] - rgb)
    if sleeve is not None:
        cloth = _limb((0, cuff), (0, 6.9), 0.36 + 0.06 * cuff, 0.86, scale, shape, _ARM_ORIGIN)
        cloth[: int((_ARM_ORIGIN[1] + cuff) * scale)] = 0
        colour = np.broadcast_to(np.array(sleeve, np.float32), (height, width, 3)) * _round(cloth, light)[..., None]
        period = max(scale * 0.22, 2)
        rows, columns = np.mgrid[:height, :width] / period
        if pattern != "plain":
            colour = colour * np.where(rows % 2 < 1, 1.0, 0.55)[..., None]
        if pattern == "checks":
            colour = colour * np.where(columns % 2 < 1, 1.0, 0.6)[..., None]
        rgb += cloth[..., None] * (colour - rgb)
        alpha = np.maximum(alpha, cloth)
    sprite = np.dstack([np.clip(rgb, 0, 255), alpha * 255]).astype(np.uint8)
    return cv2.GaussianBlur(sprite, (0, 0), max(scale / 80, 0.5)), _ARM_ORIGIN * scale


def _limb(start, end, first, last, scale, shape, origin=_HAND_ORIGIN) -> np.ndarray:
    """Mask of a tapered round stick between two points given in finger lengths: float32 [H, W]."""
    a, b = (np.asarray(start) + origin) * scale, (np.asarray(end) + origin) * scale
    way = (b - a) / (np.hypot(*(b - a)) + 1e-6)
    side = np.array([-way[1], way[0]]) * scale
    mask = np.zeros(shape, np.uint8)
    corners = np.stack([a + side * first, b + side * last, b - side * last, a - side * first])
    cv2.fillPoly(mask, [_fixed(corners)], 1, cv2.LINE_8, 4)
    for centre, radius in ((a, first), (b, last)):
        cv2.circle(mask, _fixed(centre).tolist(), int(radius * scale * 16), 1, -1, cv2.LINE_8, 4)
    return mask.astype(np.float32)


def _polygon(points: np.ndarray, scale: float, shape: tuple[int, int]) -> np.ndarray:
    """Mask of a polygon with its corners rounded off: float32 [H, W]."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [_fixed((points + _HAND_ORIGIN) * scale)], 1, cv2.LINE_8, 4)
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), scale / 14)
    return (blurred > 0.5).astype(np.float32)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Pixels to OpenCV's fixed-point sixteenths."""
    return np.round(np.asarray(points) * 16).astype(np.int32)


def _relief(mask: np.ndarray, light: Colour) -> np.ndarray:
    """Brightness of a shape bulging like a cushion: float32 [H, W], around 1."""
    depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    top = min(depth.max(), 0.32 * mask.shape[1]) + 1e-6
    bulge = np.sqrt(np.clip(1 - (1 - np.clip(depth / top, 0, 1)) ** 2, 0, 1)) * top
    bulge = cv2.GaussianBlur(bulge, (0, 0), max(top / 4, 1))
    return _lit(cv2.Sobel(bulge, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(bulge, cv2.CV_32F, 0, 1, scale=1 / 8), light)


def _round(mask: np.ndarray, light: Colour) -> np.ndarray:
    """Brightness of an upright round stick, row by row: float32 [H, W], around 1."""
    half = mask.sum(1, keepdims=True) / 2 + 1e-3
    across = (np.arange(mask.shape[1], dtype=np.float32) - (_ARM_ORIGIN[0] / _ARM_SIZE[0]) * mask.shape[1]) / half
    slope = -0.9 * np.clip(across, -1, 1) ** 3
    return _lit(slope, np.zeros_like(slope), light)


def _lit(slope_x: np.ndarray, slope_y: np.ndarray, light: Colour) -> np.ndarray:
    """Lambert's law plus ambient light for a surface with the given slopes."""
    x, y, z = np.asarray(light) / np.linalg.norm(light)
    facing = (z - slope_x * x - slope_y * y) / np.sqrt(1 + slope_x**2 + slope_y**2)
    return (0.5 + 0.55 * np.clip(facing, 0, 1)).astype(np.float32)


def _details(rgb: np.ndarray, pose: tuple[bool, ...], skin: Colour, scale: float) -> None:
    """Paint nails and joint creases on the straight fingers, in place."""
    dark, pale = [0.8 * c for c in skin], [min(1.08 * c + 14, 255) for c in skin]
    for tip, knuckle, straight in zip(_TIPS, _KNUCKLES, pose, strict=True):
        if not straight:
            continue
        way = (knuckle - tip) / np.linalg.norm(knuckle - tip)
        angle = float(np.degrees(np.arctan2(way[1], way[0]))) - 90
        nail = tuple(_fixed((tip + 0.015 * way + _HAND_ORIGIN) * scale).tolist())
        axes = (int(0.058 * scale * 16), int(0.08 * scale * 16))
        cv2.ellipse(rgb, nail, axes, angle, 0, 360, pale, -1, cv2.LINE_AA, 4)
        for share in (0.36, 0.68):
            middle = tip + share * (knuckle - tip)
            side = 0.07 * np.array([-way[1], way[0]])
            ends = [tuple(_fixed((middle + s * side + _HAND_ORIGIN) * scale).tolist()) for s in (-1, 1)]
            cv2.line(rgb, *ends, dark, max(int(scale / 40), 1), cv2.LINE_AA, 4)


def _tint(rng: Generator, low: float = 40, high: float = 235) -> np.ndarray:
    """A random, mostly dull colour: float32 [3]."""
    hue, value = rng.uniform(0, 1), rng.uniform(low, high)
    wheel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return (value * (1 - 0.75 * rng.uniform(0, 1) ** 2 * (1 - wheel))).astype(np.float32)


def _sheet(height: int, width: int, colour: np.ndarray, rng: Generator) -> Image:
    """An even surface under uneven light: uint8 [height, width, 3]."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    slope = rng.normal(0, 0.25, 2)
    light = 1 + slope[0] * (x / width - 0.5) + slope[1] * (y / height - 0.5)
    light += rng.uniform(0, 0.05) * noise(rng, height, width, height / 2, octaves=2)
    return _clip(colour * light[..., None])


def _clip(image: np.ndarray) -> Image:
    return np.clip(image, 0, 255).astype(np.uint8)


def _box(canvas: Image, rng: Generator, x: float, y: float, w: float, h: float, colour=None, outline=True) -> None:
    """Paint one framed rectangle, given in fractions of the canvas."""
    height, width = canvas.shape[:2]
    low, high = (int(x * width), int(y * height)), (int((x + w) * width), int((y + h) * height))
    colour = (_tint(rng) if colour is None else np.asarray(colour)).tolist()
    cv2.rectangle(canvas, low, high, colour, -1)
    if outline:
        cv2.rectangle(canvas, low, high, [0.6 * c for c in colour], max(height // 90, 1))


def _floor(canvas: Image, rng: Generator, at: float) -> Image:
    """A table top or floor below the given height, with wood grain."""
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
        cv2.line(canvas, (int(x * width), 0), (int(x * width), height), edge.tolist(), rng.integers(1, 9))
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
            centre = (int(foot + bend * up + spread), int(height * (1.02 - up * 0.8)))
            green = rng.uniform((20, 70, 15), (110, 180, 80))
            axes = (int(rng.uniform(0.02, 0.05) * width), int(rng.uniform(0.01, 0.025) * width))
            cv2.ellipse(canvas, centre, axes, rng.uniform(0, 180), 0, 360, green.tolist(), -1, cv2.LINE_AA)
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
        centre = (rng.uniform(0, 1, 2) * (width, height)).astype(int).tolist()
        axes = (rng.uniform(0.02, 0.2, 2) * width).astype(int).tolist()
        if rng.random() < 0.5:
            cv2.ellipse(canvas, centre, axes, rng.uniform(0, 180), 0, 360, _tint(rng).tolist(), -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints((centre, axes, float(rng.uniform(0, 180)))).astype(np.int32)
            cv2.fillPoly(canvas, [corners], _tint(rng).tolist(), cv2.LINE_AA)
    return canvas


def _texture(canvas: Image, rng: Generator) -> Image:
    height, width = canvas.shape[:2]
    clouds = [noise(rng, height, width, width / rng.uniform(2, 30), rng.uniform(0.3, 3)) for _ in range(3)]
    together = np.stack(clouds, -1) * rng.uniform(0, 30) + clouds[0][..., None] * rng.uniform(5, 40)
    return _clip(canvas + together)


def _mix(canvas: Image, rng: Generator) -> Image:
    """Two surroundings side by side, parted by a slanted edge, as with a door or a corner."""
    height, width = canvas.shape[:2]
    first, second = rng.choice(list(_PAINTERS)[:-2], 2, replace=False)
    one = _PAINTERS[first](canvas.copy(), rng)
    other = _PAINTERS[second](_sheet(height, width, _tint(rng), rng), rng)
    top, bottom = rng.uniform(0.2, 0.8) * width + rng.normal(0, 0.06, 2) * width
    edge = np.linspace(top, bottom, height)[:, None]
    return np.where((np.arange(width) < edge)[..., None], one, other)


def _dark(canvas: Image, rng: Generator) -> Image:
    painter = list(_PAINTERS.values())[rng.integers(len(_PAINTERS) - 1)]
    return _clip(painter(canvas, rng) * rng.uniform(0.06, 0.3))


_PAINTERS = {
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
    "mix": _mix,  # these two stay last: they pick among the others
    "dark": _dark,
}
