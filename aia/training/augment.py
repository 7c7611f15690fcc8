"""Augments a training clip: picks frames, mirrors and reverses them with their label, warps them, changes their color.

Every function draws from the generator it is given, so that the same generator gives the same clip.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from aia.training.recipe import Recipe

Frames: TypeAlias = NDArray[np.uint8]  # [T, H, W, 3]

# TSN's multi-scale crop (Wang et al., ECCV 2016): sides as shares of the shorter side, positions in quarters of the rest.
CROP_SCALES = (1.0, 0.875, 0.75, 0.66)
CROP_PLACES = [(row, column) for row in range(5) for column in range(5) if (row + column) % 2 == 0]


def segment_indices(count: int, segments: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """One random frame in each of equal segments (the published rule)."""
    shares = (np.arange(segments) + rng.random(segments)) / segments
    return np.minimum((shares * count).astype(np.int64), count - 1)


def loose_indices(count: int, segments: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The published rule, or sometimes the middle frames, on a clip whose ends may be cut a little."""
    start, stop = (0.0, 1.0) if rng.random() < 0.5 else (rng.uniform(0, 0.06), rng.uniform(0.94, 1))
    within = rng.random(segments) if rng.random() < 0.7 else np.full(segments, 0.5)
    shares = start + (stop - start) * (np.arange(segments) + within) / segments
    return np.minimum((shares * count).astype(np.int64), count - 1)


def without_gesture(frames: Frames, segments: int, rng: np.random.Generator) -> Frames:
    """A clip without a gesture: uint8 `[segments, H, W, 3]`.

    A still frame, a frame seen by a camera that pans and zooms, flat shapes that move over a frame, or noise.
    """
    frame, (height, width) = frames[rng.integers(len(frames))], frames.shape[1:3]
    choice, size = rng.random(), np.array((width, height))
    if choice < 0.2:
        return _noise(height, width, segments, rng)
    if choice < 0.45:
        return np.repeat(frame[None], segments, axis=0)
    if choice < 0.7:
        return _shapes(frame, segments, rng)
    start, stop = rng.uniform(-0.12, 0.12, (2, 2)) * size  # the camera's pan in pixels
    zooms = np.exp(rng.uniform(-0.1, 0.2, 2))
    moved = []
    for share in np.linspace(0, 1, segments):
        zoom = zooms[0] + (zooms[1] - zooms[0]) * share
        shift = start + (stop - start) * share + rng.normal(0, 0.004 * height, 2) + size / 2 * (1 - zoom)
        matrix = np.column_stack([np.eye(2) * zoom, shift])
        moved.append(cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101))
    return np.stack(moved)


def _noise(height: int, width: int, segments: int, rng: np.random.Generator) -> Frames:
    """Fine to coarse noise, new in each frame or the same."""
    grain = int(rng.choice([4, 12, 40, height]))
    mean, spread = rng.uniform(40, 215), rng.uniform(10, 90)
    count = segments if rng.random() < 0.5 else 1
    noise = np.clip(rng.normal(mean, spread, (count, grain, grain, 3)), 0, 255).astype(np.uint8)
    return np.stack([cv2.resize(noise[i % count], (width, height)) for i in range(segments)])


def _shapes(frame: NDArray[np.uint8], segments: int, rng: np.random.Generator) -> Frames:
    """One to four flat ellipses, boxes or outlines that move over a plain color, blurred noise or a frame."""
    side, width = frame.shape[:2]
    across = np.array((width, side))
    ground = rng.random()
    if ground < 0.4:
        frame = np.full_like(frame, rng.integers(0, 256, 3))
    elif ground < 0.7:
        frame = _noise(side, width, 1, rng)[0]
    pictures = [frame.copy() for _ in range(segments)]
    for _ in range(rng.integers(1, 5)):
        color = tuple(map(int, rng.integers(0, 256, 3)))
        place, way = rng.uniform(0, 1, 2) * across, rng.uniform(-0.8, 0.8, 2) * across
        size, turn, spin = rng.uniform(0.03, 0.25, 2) * side, rng.uniform(0, 360), rng.uniform(-180, 180)
        kind, beat = rng.integers(3), rng.uniform(0, 0.2, 2) * side
        for i, picture in enumerate(pictures):
            share = i / max(1, segments - 1)
            center = place + way * share + beat * np.sin(2 * np.pi * share * 2)
            if kind == 0:
                axes = tuple(map(int, size))
                cv2.ellipse(picture, tuple(map(int, center)), axes, turn + spin * share, 0, 360, color, -1, cv2.LINE_AA)
            else:
                box = (
                    (float(center[0]), float(center[1])),
                    (float(size[0] * 2), float(size[1] * 2)),
                    turn + spin * share,
                )
                corners = cv2.boxPoints(box).astype(np.int32)
                cv2.drawContours(picture, [corners], 0, color, -1 if kind == 1 else 3, cv2.LINE_AA)
    return np.stack(pictures)


def mirror_or_reverse(frames: Frames, kind: str, recipe: Recipe, rng: np.random.Generator) -> tuple[Frames, str]:
    """Mirrors or reverses a clip, or both, at random among the changes whose resulting class the recipe names, or leaves it."""
    choices = [(kind, 1, 1)]
    choices += [(recipe.flip[kind], 1, -1)] if kind in recipe.flip else []
    choices += [(recipe.reverse[kind], -1, 1)] if kind in recipe.reverse else []
    choices += [(recipe.flip_reverse[kind], -1, -1)] if kind in recipe.flip_reverse else []
    new_kind, time_step, column_step = choices[rng.integers(len(choices))]
    return frames[::time_step, :, ::column_step], new_kind


def multi_scale_crop(frames: Frames, size: int, rng: np.random.Generator) -> Frames:
    """TSN's crop, one for the whole clip, its sides at most one step of scale apart: uint8 `[T, size, size, 3]`."""
    height, width = frames.shape[1:3]
    steps = range(len(CROP_SCALES))
    pairs = [(i, j) for i in steps for j in steps if abs(i - j) <= 1]
    tall, wide = (int(min(height, width) * CROP_SCALES[i]) for i in pairs[rng.integers(len(pairs))])
    row, column = CROP_PLACES[rng.integers(len(CROP_PLACES))]
    top, left = row * (height - tall) // 4, column * (width - wide) // 4
    cropped = frames[:, top : top + tall, left : left + wide]
    return np.stack([cv2.resize(frame, (size, size), interpolation=cv2.INTER_LINEAR) for frame in cropped])


def warp_clip(frames: Frames, size: int, rng: np.random.Generator) -> Frames:
    """One random rotation, scale, stretch and shift for the whole clip: uint8 `[T, size, size, 3]`."""
    side = frames.shape[1]
    angle = np.deg2rad(rng.normal(0, 6))
    zoom = size / side * np.exp(rng.uniform(-0.15, 0.25))
    stretch = np.exp(rng.normal(0, 0.1) * np.array([1, -1]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag(zoom * stretch)
    shift = size / 2 * (1 + rng.uniform(-0.15, 0.15, 2)) - matrix @ np.full(2, side / 2)
    whole = np.column_stack([matrix, shift])
    border = int(rng.choice([cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE]))
    return np.stack([cv2.warpAffine(f, whole, (size, size), flags=cv2.INTER_LINEAR, borderMode=border) for f in frames])


def jitter_color(frames: Frames, rng: np.random.Generator) -> NDArray[np.float32]:
    """One random exposure, contrast, cast and saturation for the clip, blur and noise: float32 in [0, 1]."""
    tone = np.linspace(0, 1, 256) ** np.exp(rng.normal(0, 0.2))
    tone = (tone - 0.5) * np.exp(rng.normal(0, 0.15)) + 0.5 + rng.normal(0, 0.05)
    x: NDArray[np.float32] = tone.astype(np.float32)[
        frames
    ]  # a table: a power of each pixel would take most of the time
    gray = x.mean(axis=3, keepdims=True)
    x = gray + (x - gray) * np.float32(0 if rng.random() < 0.1 else np.exp(rng.normal(0, 0.3)))
    x *= np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)
    if rng.random() < 0.2:
        sigma = rng.uniform(0.4, 1.5)
        x = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in x])
    if rng.random() < 0.3:
        x += rng.standard_normal(x.shape, dtype=np.float32) * np.float32(rng.uniform(0.005, 0.04))
    return np.clip(x, 0, 1, out=x)
