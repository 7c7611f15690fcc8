"""Drawn hands and forearms for synthetic clips, painted with numpy and OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from aia.synthetic.scenes import Color, Floats, Image

# Fingers in finger lengths, right hand seen from its back, the tip of the straight index finger at (0, 0), y down.
_KNUCKLES = np.array([(0.10, 1.0), (0.36, 0.93), (0.60, 1.0), (0.80, 1.16)])
_TIPS = np.array([(0.0, 0.0), (0.38, -0.14), (0.72, 0.02), (1.06, 0.42)])
_RADII = (0.135, 0.15, 0.145, 0.125)
_PALM = np.array(
    # Around the back of the hand: index knuckle, little finger, wrist, thumb.
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

SKINS: tuple[Color, ...] = (
    (250, 220, 200),
    (240, 200, 172),
    (226, 178, 142),
    (206, 152, 112),
    (180, 124, 84),
    (148, 98, 66),
    (112, 72, 50),
    (78, 50, 38),
)


class Hand(NamedTuple):
    """A drawn hand and two points (x, y) in its pixels.

    Attributes:
        image: RGBA uint8 [H, W, 4], color premultiplied.
        fingertip: Of the first straight finger [2].
        wrist: [2].
    """

    image: Image
    fingertip: NDArray[np.float64]
    wrist: NDArray[np.float64]


def draw_hand(pose: Sequence[bool], thumb: bool, skin: Color, scale: float, light: Color) -> Hand:
    """Draws a right hand seen from its back, fingers up.

    Args:
        pose: Which of index, middle, ring and little finger are straight.
        thumb: Whether the thumb stands out.
        skin: RGB, 0 to 255.
        scale: Length of the index finger in pixels.
        light: Direction (x, y, z) that the light comes from.
    """
    width, height = (int(side * scale) for side in _HAND_SIZE)
    rgb, alpha = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    parts: list[tuple[Floats, float]] = [(_polygon(_PALM, scale, (height, width)), 0.0)]
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
    points = (np.stack([tip, WRIST]) + _HAND_ORIGIN) * scale
    rgb = np.clip(rgb, 0, alpha[..., None] * 255)  # parts are blended by alpha, so the color is already premultiplied
    return Hand(np.dstack([rgb, alpha * 255]).astype(np.uint8), *points)


def draw_arm(
    skin: Color, sleeve: Color | None, cuff: float, pattern: str, band: Color | None, scale: float, light: Color
) -> tuple[Image, NDArray[np.float64]]:
    """Draws a forearm hanging down from the wrist.

    Args:
        skin: RGB, 0 to 255.
        sleeve: RGB of the sleeve; None for a bare arm.
        cuff: Where the sleeve begins, in finger lengths from the wrist.
        pattern: "plain", "stripes" or "checks".
        band: RGB of a watch strap or bangle; None for none.
        scale: Length of the index finger in pixels.
        light: Direction (x, y, z) that the light comes from.

    Returns:
        RGBA uint8 [H, W, 4] with color premultiplied, and the wrist [2] (x, y) in its pixels.
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
        color = np.broadcast_to(np.array(sleeve, np.float32), (height, width, 3)) * _round(cloth, light)[..., None]
        rgb += cloth[..., None] * (_with_pattern(color, pattern, scale) - rgb)
        alpha = np.maximum(alpha, cloth)
    sprite = np.dstack([np.clip(rgb, 0, 255), alpha * 255]).astype(np.uint8)
    blurred: Image = np.asarray(cv2.GaussianBlur(sprite, (0, 0), max(scale / 80, 0.5)), np.uint8)
    return blurred, _ARM_ORIGIN * scale


def _with_pattern(color: NDArray[Any], pattern: str, scale: float) -> NDArray[Any]:
    """Prints a pattern on the cloth of a sleeve [H, W, 3]."""
    rows, columns = np.mgrid[: color.shape[0], : color.shape[1]] / max(scale * 0.22, 2)
    if pattern != "plain":
        color = color * np.where(rows % 2 < 1, 1.0, 0.55)[..., None]
    if pattern == "checks":
        color = color * np.where(columns % 2 < 1, 1.0, 0.6)[..., None]
    return color


def _limb(
    start: ArrayLike,
    end: ArrayLike,
    first: float,
    last: float,
    scale: float,
    shape: tuple[int, int],
    origin: NDArray[np.float64] = _HAND_ORIGIN,
) -> Floats:
    """Mask of a tapered round stick between two points given in finger lengths: float32 [H, W]."""
    a, b = (np.asarray(start) + origin) * scale, (np.asarray(end) + origin) * scale
    way = (b - a) / (np.hypot(*(b - a)) + 1e-6)
    side = np.array([-way[1], way[0]]) * scale
    mask = np.zeros(shape, np.uint8)
    corners = np.stack([a + side * first, b + side * last, b - side * last, a - side * first])
    cv2.fillPoly(mask, [_fixed(corners)], 1, cv2.LINE_8, 4)
    for center, radius in ((a, first), (b, last)):
        cv2.circle(mask, _fixed(center).tolist(), int(radius * scale * 16), 1, -1, cv2.LINE_8, 4)
    return mask.astype(np.float32)


def _polygon(points: NDArray[np.float64], scale: float, shape: tuple[int, int]) -> Floats:
    """Mask of a polygon with rounded corners: float32 [H, W]."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [_fixed((points + _HAND_ORIGIN) * scale)], 1, cv2.LINE_8, 4)
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), scale / 14)
    return (blurred > 0.5).astype(np.float32)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Converts pixels to OpenCV's fixed-point sixteenths."""
    return np.round(np.asarray(points) * 16).astype(np.int32)


def _relief(mask: Floats, light: Color) -> Floats:
    """Brightness of a shape that bulges like a cushion: float32 [H, W], around 1."""
    depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    top = min(depth.max(), 0.32 * mask.shape[1]) + 1e-6
    bulge = np.sqrt(np.clip(1 - (1 - np.clip(depth / top, 0, 1)) ** 2, 0, 1)) * top
    smooth = cv2.GaussianBlur(bulge, (0, 0), max(top / 4, 1))
    slope_x, slope_y = (np.asarray(cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x, scale=1 / 8), np.float32) for x in (1, 0))
    return _lit(slope_x, slope_y, light)


def _round(mask: Floats, light: Color) -> Floats:
    """Brightness of an upright round stick, row by row: float32 [H, W], around 1."""
    half = mask.sum(1, keepdims=True) / 2 + 1e-3
    across = (np.arange(mask.shape[1], dtype=np.float32) - (_ARM_ORIGIN[0] / _ARM_SIZE[0]) * mask.shape[1]) / half
    slope: Floats = -0.9 * np.clip(across, -1, 1) ** 3
    return _lit(slope, np.zeros_like(slope), light)


def _lit(slope_x: Floats, slope_y: Floats, light: Color) -> Floats:
    """Lambert's law plus ambient light for a surface with the given slopes."""
    x, y, z = np.asarray(light) / np.linalg.norm(light)
    facing = (z - slope_x * x - slope_y * y) / np.sqrt(1 + slope_x**2 + slope_y**2)
    return np.asarray(0.5 + 0.55 * np.clip(facing, 0, 1), np.float32)


def _details(rgb: Floats, pose: Sequence[bool], skin: Color, scale: float) -> None:
    """Paints nails and joint creases on the straight fingers, in place."""
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
            first, last = (_fixed((middle + s * side + _HAND_ORIGIN) * scale).tolist() for s in (-1, 1))
            cv2.line(rgb, first, last, dark, max(int(scale / 40), 1), cv2.LINE_AA, 4)
