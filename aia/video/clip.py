"""The frames of one video, and the published rule that chooses them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames read from one video.

    Attributes:
        frames: Pictures, uint8 [T, H, W, 3], RGB, upright, at the source's size unless a `max_side` was given.
        indices: Frame numbers in the video, int64 [T], 0-based in presentation order, within [0, num_frames).
        times: Presentation times, float64 [T], in seconds from the file's first frame (which is 0.0).
        fps: Mean frame rate of the whole file: `num_frames / duration`.
        duration: Seconds from the file's first frame to the end of its last one; a longer audio track does not count.
        num_frames: The number of frames of the file that can be decoded.
        warnings: Sentences for the user; empty if the file is sound.

    Example:
        >>> import aia
        >>> aia.read_clip("assets/examples/circle.mp4", num_segments=4)
        Clip(4 frames 320x240 at 0.40 to 3.05 s of 3.50 s, 70 frames at 20 fps)
    """

    frames: np.ndarray
    indices: np.ndarray
    times: np.ndarray
    fps: float
    duration: float
    num_frames: int
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        count, height, width = self.frames.shape[:3]
        first, last = sorted((self.times[0], self.times[-1])) if count else (0.0, 0.0)
        warnings = f", {len(self.warnings)} warnings" if self.warnings else ""
        return (
            f"Clip({count} frames {width}x{height} at {first:.2f} to {last:.2f} s of {self.duration:.2f} s, "
            f"{self.num_frames} frames at {self.fps:.4g} fps{warnings})"
        )

    def backwards(self) -> Clip:
        """Return the frames in reverse order; `indices` and `times` are reversed with them."""
        return replace(self, frames=self.frames[::-1], indices=self.indices[::-1], times=self.times[::-1])


def sample_indices(num_frames: int, num_segments: int) -> list[int]:
    """Return the middle frame of each of `num_segments` equal parts, 0-based; frames repeat in a shorter video.

    The published test-time rule: tick = N / T, frame k is int(tick / 2 + tick * k).

    >>> from aia.video import sample_indices
    >>> sample_indices(9, 8)
    [0, 1, 2, 3, 5, 6, 7, 8]
    """
    tick = num_frames / num_segments
    return [int(tick / 2 + tick * k) for k in range(num_segments)]
