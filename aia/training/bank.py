"""The decoded frames of many clips on the device where the network is, and which of them a batch takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Bank:
    """The frames of many clips in one tensor.

    Attributes:
        frames: uint8 `[F, 3, H, W]` on the device.
        starts: Index of each clip's first frame.
        counts: Frames of each clip.
    """

    frames: Tensor
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, clips: list[NDArray[np.uint8]], device: torch.device | str) -> Bank:
        """Moves clips `[N, H, W, 3]` of one height and width to a device. It empties the list: they fill memory only once."""
        counts = np.array([len(clip) for clip in clips], np.int64)
        frames = torch.empty((int(counts.sum()), 3, *clips[0].shape[1:3]), dtype=torch.uint8, device=device)
        starts = np.concatenate(([0], counts.cumsum()[:-1]))
        for start in reversed(starts):
            clip = clips.pop()
            frames[start : start + len(clip)] = torch.from_numpy(clip).to(device).permute(0, 3, 1, 2)
        return cls(frames, starts, counts)

    def take(self, indices: NDArray[np.int64]) -> Tensor:
        """The frames at `indices` `[B, T]`, uint8 `[B, T, 3, H, W]`."""
        return self.frames[torch.from_numpy(indices).to(self.frames.device)]


def spread(rng: np.random.Generator, start: NDArray[Any], length: NDArray[Any], frames: int) -> NDArray[np.int64]:
    """One frame of each of T equal parts, at random or the middle one: `[B, T]`, for windows `[B]` that begin at `start`."""
    loose = rng.uniform(0, 1, (len(start), 1)) < 0.5
    inside = np.where(loose, rng.uniform(0.15, 0.85, (len(start), frames)), 0.5)
    place = (np.arange(frames) + inside) / frames * length[:, None]
    chosen: NDArray[np.int64] = (start[:, None] + np.minimum(place, length[:, None] - 1)).astype(np.int64)
    return chosen


def alike(scenes: Sequence[str]) -> NDArray[np.float64]:
    """Weights with which every scene is drawn equally often."""
    names, inverse, counts = np.unique(scenes, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = 1 / counts[inverse] / len(names)
    return weights
