"""Draws clips of a camera that moves over a painted scene, as examples."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aia.errors import AIAError
from aia.synthetic.scenes import backdrop

HEIGHT, WIDTH = 240, 320
SPREAD = 2.4  # side of the painted scene over that of the frame
# Movement of the picture's content from the first frame to the last: right and down in frames, log of the enlargement, and
# degrees clockwise. The camera's own direction is the opposite.
MOVEMENTS = {
    "static": (0.0, 0.0, 0.0, 0.0),
    "pan left": (0.9, 0.0, 0.0, 0.0),
    "pan right": (-0.9, 0.0, 0.0, 0.0),
    "tilt up": (0.0, 0.8, 0.0, 0.0),
    "tilt down": (0.0, -0.8, 0.0, 0.0),
    "zoom in": (0.0, 0.0, 0.75, 0.0),
    "zoom out": (0.0, 0.0, -0.75, 0.0),
    "roll clockwise": (0.0, 0.0, 0.0, -60.0),
    "roll counter-clockwise": (0.0, 0.0, 0.0, 60.0),
}


def render_camera(label: str, scene: str, seed: int, *, fps: float = 20, seconds: float = 3.0) -> NDArray[np.uint8]:
    """Draws a clip.

    Args:
        label: One of `MOVEMENTS`.
        scene: One of `aia.synthetic.scenes.BACKDROPS`.
        seed: Of the painting and of the hand that shakes a little.
        fps: Frames per second.
        seconds: Duration.

    Returns:
        RGB uint8 `[N, 240, 320, 3]`.

    Raises:
        AIAError: There is no such movement or scene, or the clip would have no frame.
    """
    if label not in MOVEMENTS:
        raise AIAError(f"Unknown movement {label!r:.60}: choose one of {', '.join(MOVEMENTS)}.")
    count = round(fps * seconds)
    if count < 1:
        raise AIAError(f"{seconds!r} seconds at {fps!r} frames per second are no frame: give more.")
    rng = np.random.default_rng(seed)
    canvas = backdrop(scene, int(HEIGHT * SPREAD), int(WIDTH * SPREAD), rng)
    time = np.linspace(0, 1, count)
    progress = time * time * (3 - 2 * time)  # eases in and out
    moved = (progress - 0.5)[:, None] * np.array(MOVEMENTS[label])
    shake = np.cumsum(rng.normal(0, (0.0006, 0.0006, 0.0003, 0.03), (count, 4)), axis=0)
    return np.stack([_view(canvas, *numbers) for numbers in moved + shake * (label != "static")])


def _view(canvas: NDArray[np.uint8], right: float, down: float, scale: float, turn: float) -> NDArray[np.uint8]:
    """One frame of the scene, whose middle is moved, enlarged and turned."""
    height, width = canvas.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -turn, 1.15 * float(np.exp(scale)))
    matrix[:, 2] += (WIDTH / 2 - width / 2 + right * WIDTH, HEIGHT / 2 - height / 2 + down * HEIGHT)
    frame = cv2.warpAffine(canvas, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(frame, np.uint8)
