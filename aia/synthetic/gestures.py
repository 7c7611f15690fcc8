"""Draws labeled gesture clips with known fingertip and hand, for training and as examples.

They look like those of a head-worn camera: a pointing hand comes in from below, the arm turns about an elbow out of view,
and the surroundings shake a little. The same label, seed and options give the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from aia.errors import AIAError
from aia.modeling.config import NO_GESTURE
from aia.synthetic import hands, scenes
from aia.synthetic.scenes import Color, Image
from aia.synthetic.trajectories import LABELS, gesture_path, minimum_jerk, resample, wobble

__all__ = ["LABELS", "Look", "Rendered", "gesture_path", "render_gesture"]

POINT, OPEN, FIST, TWO = (True, False, False, False), (True,) * 4, (False,) * 4, (True, True, False, False)
MARGIN = 1.3  # side of the painted surroundings over that of the frame, so that the camera can move
SHORTEST, LONGEST = 1.0, 9.0  # duration of a clip in seconds
SMALLEST = 8  # pixels; the surroundings of a smaller clip cannot be painted
# Duration of the gesture in seconds: (low, high).
_SECONDS = {
    **dict.fromkeys(LABELS[:4], (0.7, 2.6)),
    "square": (1.8, 5.5),
    "circle (counter-clockwise)": (1.3, 4.5),
    "check mark": (1.0, 3.2),
    "caret": (1.1, 3.4),
    "cross (X)": (1.6, 4.8),
    "star": (2.4, 7.0),
    NO_GESTURE: (1.0, 5.0),
}


@dataclass(frozen=True)
class Rendered:
    """A drawn clip of N frames, with the hand in it.

    Attributes:
        frames: RGB uint8 [N, H, W, 3].
        times: Seconds from the clip's start [N].
        fingertip: float32 [N, 2], (x, y) in pixels; nan if no hand is in view; outside the frame if only a part of the hand
            is in view.
        hand: bool [N, H, W], the hand without the forearm.
        label: One of `LABELS`.
    """

    frames: NDArray[np.uint8] = field(repr=False)
    times: NDArray[np.float64] = field(repr=False)
    fingertip: NDArray[np.float32] = field(repr=False)
    hand: NDArray[np.bool_] = field(repr=False)
    label: str


@dataclass(frozen=True)
class Look:
    """How a clip looks, apart from the gesture; the defaults are clean and bright.

    Attributes:
        backdrop: One of `scenes.BACKDROPS`.
        tone: RGB of the wall; None for any.
        skin: RGB, 0 to 255.
        sleeve: RGB; None for a bare arm.
        cuff: Finger lengths between wrist and sleeve.
        pattern: Of the sleeve: "plain", "stripes" or "checks".
        band: RGB of a watch strap or bangle; None for none.
        left: Whether it is a left hand.
        size: Length of the index finger over the frame's height.
        poses: Straight fingers (index to little), one entry for each equal part of the clip.
        thumb: Whether the thumb stands out.
        elbow: Where the arm turns, as fractions of the frame, for a right hand.
        bend: How much the hand turns with the forearm, 0 to 1.
        light: Where the light comes from (x, y, z).
        shadow: Darkness of the hand's shadow on the surroundings, 0 to 1.
        shutter: Share of the frame's time during which the hand blurs.
        shake: Camera movement as a share of the frame.
        exposure: Brightness factor.
        gamma: Contrast curve.
        cast: Factors of red, green and blue.
        drift: How much the exposure varies.
        defocus: Blur of the surroundings, of the frame's height.
        soft: Blur of the hand, of the frame's height.
        grain: Deviation of the sensor noise, 0 to 255.
        quality: JPEG quality that the frames pass through; 0 for none.
        enters: Whether the hand first comes into view.
        leaves: Whether it finally goes out of view.
        empty: Whether there is no hand at all.
    """

    backdrop: str = "wall"
    tone: Color | None = None
    skin: Color = hands.SKINS[3]
    sleeve: Color | None = None
    cuff: float = 1.0
    pattern: str = "plain"
    band: Color | None = None
    left: bool = False
    size: float = 0.22
    poses: tuple[tuple[bool, ...], ...] = (POINT,)
    thumb: bool = False
    elbow: tuple[float, float] = (0.95, 1.7)
    bend: float = 0.35
    light: tuple[float, float, float] = (-0.6, -0.7, 1.0)
    shadow: float = 0.25
    shutter: float = 0.4
    shake: float = 0.006
    exposure: float = 1.0
    gamma: float = 1.0
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    drift: float = 0.0
    defocus: float = 0.0
    soft: float = 0.0
    grain: float = 0.0
    quality: int = 0
    enters: bool = False
    leaves: bool = False
    empty: bool = False

    @classmethod
    def random(cls, label: str, rng: Generator) -> Look:
        """Draws a look from the variety of real clips: dim, noisy, blurred and shaken ones too."""

        def chance(share: float) -> bool:
            return bool(rng.random() < share)

        def color(low: float = 20, high: float = 240) -> Color:
            red, green, blue = np.clip(lit * (rng.uniform(low, high) + rng.normal(0, 35, 3)), 5, 250).tolist()
            return red, green, blue

        first, second = rng.integers(len(hands.SKINS), size=2)
        share = rng.uniform(0, 1) * (abs(first - second) < 3)
        skin = (1 - share) * np.array(hands.SKINS[first]) + share * np.array(hands.SKINS[second])
        lit = rng.uniform(0.1, 0.4) if chance(0.08) else np.exp(rng.normal(0, 0.2))  # the first: backlit by a window
        return cls(
            backdrop=str(rng.choice(scenes.BACKDROPS)),
            skin=tuple(np.clip(lit * (skin + rng.normal(0, 5, 3)), 10, 252).tolist()),
            sleeve=color() if chance(0.45) else None,
            cuff=float(rng.uniform(0.15, 3)),
            pattern=str(rng.choice(["plain", "plain", "stripes", "checks"])),
            band=color() if chance(0.25) else None,
            left=chance(0.2),
            size=float(rng.uniform(0.17, 0.32)),
            poses=_idle_poses(rng) if label == NO_GESTURE else ((TWO if chance(0.04) else POINT),),
            thumb=chance(0.2),
            elbow=(float(rng.uniform(0.65, 1.4)), float(rng.uniform(1.3, 2.0))),
            bend=float(rng.uniform(0.1, 0.65)),
            light=(float(rng.normal(0, 0.7)), float(rng.normal(-0.5, 0.4)), 1.0),
            shadow=float(rng.uniform(0.1, 0.6)) if chance(0.4) else 0.0,
            shutter=float(rng.uniform(0, 0.9)),
            shake=float(rng.choice([0.004, 0.012, 0.03]) * rng.uniform(0, 1)),
            exposure=float(np.exp(rng.normal(0, 0.3))),
            gamma=float(np.exp(rng.normal(0, 0.2))),
            cast=tuple(np.exp(rng.normal(0, 0.08, 3)).tolist()),
            drift=float(rng.uniform(0, 0.3)) if chance(0.25) else 0.0,
            defocus=float(rng.uniform(0, 0.02)) if chance(0.4) else 0.0,
            soft=float(rng.uniform(0, 0.012)) if chance(0.3) else 0.0,
            grain=float(rng.uniform(0, 9)) if chance(0.6) else 0.0,
            quality=int(rng.integers(20, 90)) if chance(0.3) else 0,
            enters=chance(0.15),
            leaves=chance(0.15),
            empty=label == NO_GESTURE and chance(0.1),
        )


def render_gesture(
    label: str,
    seed: int,
    *,
    height: int = 240,
    width: int = 320,
    fps: float | None = 15.0,
    path: NDArray[np.floating[Any]] | None = None,
    duration: float | None = None,
    look: Look | None = None,
    indices: Sequence[int] | Callable[[int], Sequence[int]] | None = None,
) -> Rendered:
    """Draws a clip of one gesture.

    Args:
        label: One of `LABELS`.
        seed: Not negative; with the label it determines everything that no argument sets.
        height: Pixels, at least 8.
        width: Pixels, at least 8.
        fps: Frames per second; None for a random one from 10 to 30.
        path: Fingertip [K, 2] evenly spaced in time, as fractions of the frame (a recorded one: divide by its frame's
            width and height); None for an invented one.
        duration: Seconds of the whole clip; None for a random one from 1 to 9.
        look: How it looks; None for a random look.
        indices: The frames to draw, or a function from their number to the frames; None for all. Only these are painted
            and returned. Each looks as in the whole clip.

    Returns:
        The clip, or the chosen frames of it.

    Raises:
        AIAError: The label or the look's backdrop is unknown, or the seed, a side, the rate, the duration or an index is out
            of range.
    """
    if label not in LABELS:
        raise AIAError(f"Unknown gesture {label!r}: choose one of {', '.join(LABELS)}.")
    if seed < 0 or min(height, width) < SMALLEST:
        raise AIAError(
            f"A clip has a seed of 0 or more and sides of {SMALLEST} pixels or more, not seed {seed}, {width} x {height}."
        )
    if any(value is not None and not 0 < value < np.inf for value in (fps, duration)):
        raise AIAError(f"A clip's rate and duration are above 0, not {fps} frames per second and {duration} seconds.")
    path_rng, look_rng, time_rng, scene_rng, camera_rng = (
        np.random.default_rng([seed, LABELS.index(label), part]) for part in range(5)
    )
    look = look or Look.random(label, look_rng)
    path = gesture_path(label, path_rng) if path is None else np.asarray(path, np.float32)
    fps = float(time_rng.uniform(10, 30)) if fps is None else fps
    tips = _timeline(label, path, fps, duration, look, time_rng) * (width, height)
    count = len(tips)
    picked = np.asarray(range(count) if indices is None else indices(count) if callable(indices) else indices, int)
    if picked.size and not (picked.min() >= 0 and picked.max() < count):
        raise AIAError(f"The clip has {count} frames: choose indices from 0 to {count - 1}.")

    camera = _Camera(look, height, width, count, scene_rng, camera_rng)
    hand = _Hand(look, height, width, tips, camera_rng)
    frames = np.empty((len(picked), height, width, 3), np.uint8)
    masks = np.zeros((len(picked), height, width), bool)
    for slot, index in enumerate(picked):
        scene = camera.view(index)
        if not look.empty:
            scene, masks[slot] = hand.paint(scene, index)
        frames[slot] = camera.develop(scene, index)
    fingertip = tips[picked].astype(np.float32)
    fingertip[~masks.any((1, 2))] = np.nan
    return Rendered(frames, picked / fps, fingertip, masks, label)


def _idle_poses(rng: Generator) -> tuple[tuple[bool, ...], ...]:
    """Hand shapes of a clip without a gesture: often one for all of it, else a few in turn."""
    shapes = (POINT, OPEN, FIST, TWO)
    count = 1 if rng.random() < 0.65 else int(rng.integers(2, 6))
    return tuple(shapes[i] for i in rng.choice(4, count, p=(0.5, 0.22, 0.14, 0.14)))


def _timeline(
    label: str, path: NDArray[np.float32], fps: float, duration: float | None, look: Look, rng: Generator
) -> NDArray[np.float64]:
    """Fingertip of every frame [N, 2] as fractions of the frame: enter, wait, draw, wait, leave."""
    hidden = np.array([1 - look.elbow[0] if look.left else look.elbow[0], 1.3]) + rng.normal(0, 0.05, 2)
    ease = minimum_jerk(np.linspace(0, 1, 60))[:, None]
    coming, going = hidden + ease * (path[0] - hidden), path[-1] + ease * (hidden - path[-1])
    waits = np.where(rng.random(2) < 0.7, rng.uniform(0, 0.6, 2), 0)
    moves = [
        (rng.uniform(0.35, 0.9) * look.enters, coming),
        (waits[0], path[:1]),
        (rng.uniform(*_SECONDS[label]), path),
        (waits[1], path[-1:]),
        (rng.uniform(0.35, 0.9) * look.leaves, going),
    ]
    total = sum(length for length, _ in moves)
    seconds = float(np.clip(total, SHORTEST, LONGEST)) if duration is None else duration
    fine = 240  # samples per second; the movement is the same at every frame rate
    whole = np.vstack([resample(way, round(length * seconds / total * fine)) for length, way in moves if length > 0])
    whole = whole + rng.uniform(0.0005, 0.003) * wobble(rng, len(whole), 1.5 * seconds)
    return resample(whole, max(round(seconds * fps), 2))


class _Camera:
    """The surroundings, the camera's movement, and its sensor."""

    def __init__(self, look: Look, height: int, width: int, count: int, rng: Generator, motion: Generator) -> None:
        self.look, self.size = look, (width, height)
        self.canvas = scenes.backdrop(look.backdrop, int(height * MARGIN), int(width * MARGIN), rng, look.tone)
        if look.defocus * height > 0.3:
            self.canvas = _uint8(cv2.GaussianBlur(self.canvas, (0, 0), look.defocus * height))
        reach = look.shake * (4 if look.empty else 1)
        self.shift = reach * wobble(motion, count, motion.uniform(1, 5)) * width
        self.turn = reach * wobble(motion, count, motion.uniform(1, 4), 1)[:, 0]
        self.gain = look.exposure * (1 + look.drift * wobble(motion, count, 1.2, 1)[:, 0])
        self.offsets = motion.integers(0, 24, (count, 2))
        self.noise = motion.standard_normal((height + 24, width + 24, 3), np.float32) * look.grain

    def view(self, index: int) -> Image:
        """The surroundings in one frame: RGB uint8 [H, W, 3]."""
        width, height = self.size
        cos, sin = np.cos(self.turn[index]), np.sin(self.turn[index])
        linear = np.array([[cos, -sin], [sin, cos]])
        center = np.array([width, height]) / 2
        back = center * MARGIN + self.shift[index] - linear @ center
        matrix = np.column_stack([linear, back])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return _uint8(cv2.warpAffine(self.canvas, matrix, self.size, flags=flags, borderMode=cv2.BORDER_REFLECT_101))

    def develop(self, scene: Image, index: int) -> Image:
        """Exposes one frame, adds noise and compresses it: RGB uint8 [H, W, 3]."""
        look = self.look
        levels = np.linspace(0, 1, 256)[:, None] ** look.gamma * self.gain[index] * np.array(look.cast)
        frame = _uint8(cv2.LUT(scene, (255 * np.clip(levels, 0, 1)).astype(np.uint8)[None]))
        if look.grain:
            y, x = self.offsets[index]
            frame = _uint8(cv2.add(frame, self.noise[y : y + self.size[1], x : x + self.size[0]], dtype=cv2.CV_8U))
        if look.quality:
            jpeg = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, look.quality])[1]
            frame = _uint8(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))[..., ::-1]
        return frame


class _Hand:
    """The hand and forearm of one clip, painted at the fingertip."""

    def __init__(self, look: Look, height: int, width: int, tips: NDArray[np.float64], rng: Generator) -> None:
        self.look, self.size, self.tips = look, (width, height), tips
        scale = max(look.size * height, 6)
        light = (-look.light[0], *look.light[1:]) if look.left else look.light
        drawn = {pose: hands.draw_hand(pose, look.thumb, look.skin, scale, light) for pose in dict.fromkeys(look.poses)}
        self.hands = [drawn[pose] for pose in look.poses]
        self.arm, self.wrist = hands.draw_arm(look.skin, look.sleeve, look.cuff, look.pattern, look.band, scale, light)
        self.mirror = np.diag([-1.0 if look.left else 1.0, 1.0])
        self.elbow = np.array([1 - look.elbow[0] if look.left else look.elbow[0], look.elbow[1]]) * (width, height)
        self.zoom = 1 + 0.06 * wobble(rng, len(tips), 2, 1)[:, 0]
        self.sway = 0.08 * wobble(rng, len(tips), 2, 1)[:, 0]
        self.speed = np.gradient(tips, axis=0)
        self.fall = rng.normal((0.0, 0.15), 0.1) * height  # offset of the shadow

    def paint(self, scene: Image, index: int) -> tuple[Image, NDArray[np.bool_]]:
        """Paints the hand into a frame: RGB uint8 [H, W, 3] and the hand's mask bool [H, W]."""
        sprite, tip, wrist = self.hands[index * len(self.hands) // len(self.tips)]
        at, zoom = self.tips[index], self.zoom[index]
        elbow = self.elbow + 0.25 * (at - np.array(self.size) / 2)
        elbow[1] = max(elbow[1], at[1] + 0.7 * self.size[1])  # the arm never comes from above
        turn = self.look.bend * _angle(elbow - at) + self.sway[index]
        joint = at + zoom * _rotation(turn) @ self.mirror @ (wrist - tip)
        hand = self._warp(sprite, zoom * _rotation(turn) @ self.mirror, tip, at)
        arm = self._warp(self.arm, zoom * _rotation(_angle(elbow - joint)) @ self.mirror, self.wrist, joint)
        mask = hand[..., 3] > 127
        layer = self._blurred(_over(hand, arm), index)
        if self.look.shadow:
            scene = self._shaded(scene, layer[..., 3])
        behind = cv2.multiply(scene, _three(255 - layer[..., 3]), scale=1 / 255)
        return _uint8(cv2.add(behind, layer[..., :3])), mask

    def _warp(
        self, sprite: Image, linear: NDArray[np.float64], anchor: NDArray[np.float64], at: NDArray[np.float64]
    ) -> Image:
        """Turns and scales a sprite, and moves its anchor to a point of the frame: RGBA [H, W, 4]."""
        matrix = np.column_stack([linear, at - linear @ anchor])
        return _uint8(cv2.warpAffine(sprite, matrix, self.size, flags=cv2.INTER_LINEAR))

    def _blurred(self, layer: Image, index: int) -> Image:
        """Adds motion blur for the time that the shutter is open, and defocus."""
        way = self.look.shutter * self.speed[index]
        reach = int(np.ceil(min(np.hypot(*way), 40) / 2))
        if reach > 0:
            kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
            ends = np.round((reach + np.outer([-0.5, 0.5], way * min(1, 40 / np.hypot(*way)))) * 16).astype(int)
            cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0, 1, cv2.LINE_8, 4)
            layer = _uint8(cv2.filter2D(layer, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE))
        soft = self.look.soft * self.size[1]
        return _uint8(cv2.GaussianBlur(layer, (0, 0), soft)) if soft > 0.3 else layer

    def _shaded(self, scene: Image, alpha: Image) -> Image:
        """Darkens the surroundings in the hand's shadow."""
        small = cv2.resize(alpha, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        matrix = np.column_stack([np.eye(2), self.fall / 4])
        small = cv2.warpAffine(small, matrix, small.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        small = cv2.GaussianBlur(small, (0, 0), self.size[1] / 90)
        shadow = cv2.resize(small, self.size, interpolation=cv2.INTER_LINEAR)
        light = _uint8(cv2.convertScaleAbs(shadow, alpha=-self.look.shadow, beta=255))
        return _uint8(cv2.multiply(scene, _three(light), scale=1 / 255))


def _angle(way: NDArray[np.float64]) -> float:
    """The lean of a downward direction to the right, in radians."""
    return float(np.arctan2(way[0], way[1]))


def _rotation(angle: float) -> NDArray[np.float64]:
    """The rotation of "down" to the right by an angle: [2, 2]."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _over(top: Image, bottom: Image) -> Image:
    """Draws one premultiplied RGBA image over another."""
    through = 255 - top[..., 3]
    return _uint8(cv2.add(top, cv2.multiply(bottom, cv2.merge([through] * 4), scale=1 / 255)))


def _three(channel: Image) -> Image:
    return _uint8(cv2.merge([channel] * 3))


def _uint8(image: object) -> Image:
    """The same image with a precise type, which OpenCV's functions lack."""
    return np.asarray(image, np.uint8)
