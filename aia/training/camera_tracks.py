"""Measures how the camera moves between the frames of a clip: corner tracks and a robust similarity fit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_TRACKS = 12  # fewer cannot tell the camera's movement from that of things in front of it
_CORNERS: Any = {"maxCorners": 200, "qualityLevel": 0.01, "minDistance": 5, "blockSize": 5}
_FLOW: Any = {
    "winSize": (15, 15),
    "maxLevel": 4,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.03),
}


def camera_steps(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The movement of the picture's content from each frame to the next.

    Lucas-Kanade tracks of corners, kept if they lead back to their start, and a similarity fitted with RANSAC.

    Args:
        gray: `[N, H, W]`.

    Returns:
        `[N - 1, 5]`: right (in picture widths), down (in heights), scale (log of the enlargement), turn (degrees clockwise),
        and the share of the tracks that agree. A step without enough tracks is NaN.
    """
    steps = np.full((len(gray) - 1, 5), np.nan, np.float32)
    for index, (before, after) in enumerate(pairwise(gray)):
        step = _step(before, after)
        if step is not None:
            steps[index] = step
    return steps


def _step(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[float, ...] | None:
    corners = cv2.goodFeaturesToTrack(before, **_CORNERS)
    if corners is None or len(corners) < MIN_TRACKS:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, cast(Any, None), **_FLOW)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, cast(Any, None), **_FLOW)
    good = (np.asarray(found) & np.asarray(found_back)).ravel().astype(bool) & (
        np.abs(back - corners).max(axis=(1, 2)) < 1
    )
    if good.sum() < MIN_TRACKS:
        return None
    height, width = before.shape
    center = np.array((width / 2, height / 2), np.float32)
    source, target = corners[good, 0] - center, there[good, 0] - center
    fit, inliers = cv2.estimateAffinePartial2D(source, target, method=cv2.RANSAC, ransacReprojThreshold=1.5)
    if fit is None or inliers.sum() < MIN_TRACKS:
        return None
    scale = float(np.hypot(fit[0, 0], fit[1, 0]))
    turn = float(np.degrees(np.arctan2(fit[1, 0], fit[0, 0])))  # y points down, so positive is clockwise
    return fit[0, 2] / width, fit[1, 2] / height, float(np.log(scale)), turn, float(inliers.mean())
