"""Batches of camera movement: rendered over stills, rendered over clips of a still camera, and real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from aia.training import camera
from aia.training.bank import Bank, alike, spread
from aia.training.effects import color, foreground, overlay

Window: TypeAlias = tuple[int, int, int]  # first step, last step + 1, label


class CameraBatches:
    """Clips of camera movement: rendered over stills, rendered over clips of a still camera, and real ones.

    Args:
        clips: Decoded clips.
        windows: Parts of each clip whose movement is plain, see `labeled_windows`.
        scenes: Name of each clip's scene; scenes are sampled equally often.
        stills: Decoded pictures, each a clip of one frame.
        size: Side of the input in pixels.
        frames: T.
        seed: Of all random choices.
        oversample: See `camera.warp`.
    """

    PARTS = (0.40, 0.22, 0.38)
    KINDS: ClassVar = {"static": 0.22, "pan": 0.36, "tilt": 0.06, "zoom": 0.20, "roll": 0.04, "none": 0.12}

    def __init__(
        self,
        clips: Bank,
        windows: Sequence[Sequence[Window]],
        scenes: Sequence[str],
        stills: Bank,
        *,
        size: int,
        frames: int = 8,
        seed: int = 0,
        oversample: int = 2,
    ) -> None:
        self.clips, self.stills, self.size, self.frames, self.oversample = clips, stills, size, frames, oversample
        self.device = clips.frames.device
        self.rng = torch.Generator(self.device).manual_seed(seed)
        self.numpy = np.random.default_rng(seed)
        by_kind: dict[str, list[tuple[int, int, int, str]]] = {kind: [] for kind in self.KINDS}
        for start, scene, parts in zip(clips.starts, scenes, windows, strict=True):
            for begin, end, label in parts:
                by_kind[kind_of(label)].append((int(start) + begin, end - begin + 1, label, scene))
        self.windows = {kind: np.array([w[:3] for w in found]) for kind, found in by_kind.items() if found}
        self.weights = {kind: alike([w[3] for w in found]) for kind, found in by_kind.items() if found}

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        """B clips float32 `[B, T, 3, S, S]` in [0, 1], and labels `[B]`."""
        real, over_clips = int(count * self.PARTS[2]), int(count * self.PARTS[1])
        if not self.windows:
            real = 0
        if "static" not in self.windows:
            over_clips = 0
        parts = [self._rendered(self._labels(count - real - over_clips), self._stills)]
        if over_clips:
            parts.append(self._rendered(self._labels(over_clips), self._still_camera))
        if real:
            parts.append(self._real(real))
        x, y = (torch.cat(part) for part in zip(*parts, strict=True))
        return color(overlay(x, self.rng), self.rng), y

    def _uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=self.rng, device=self.device)

    def over_stills(self, labels: Tensor) -> Tensor:
        """Clips of given labels `[B]`, rendered over stills, in their own colors."""
        return self._rendered(labels, self._stills)[0].clamp(0, 1)

    def _labels(self, count: int) -> Tensor:
        return torch.randint(0, len(camera.LABELS), (count,), generator=self.rng, device=self.device)

    def _rendered(self, labels: Tensor, ground: Callable[[int, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        count = len(labels)
        move = camera.random_movement(labels, self.frames, self.rng)
        at = torch.randint(0, self.frames, (count, 1, 1), generator=self.rng, device=self.device)
        content = move.content - move.content.gather(1, at.expand(-1, 1, 4))
        side = self._uniform(count, 1, low=0.62, high=1.0)
        stretch = torch.exp(self._uniform(count, 1, low=-0.15, high=0.15))
        window = torch.cat(
            (self._uniform(count, 2, low=-1.0, high=1.0) * (1 - side), side * stretch, side / stretch), 1
        )
        depth = F.interpolate(
            self._uniform(count, 1, 4, 4, low=-0.35, high=0.35), size=(self.size,) * 2, mode="bicubic"
        )
        depth = depth * self._uniform(count, 1, 1, 1) * (self._uniform(count, 1, 1, 1) < 0.6)
        rolls = (labels >= camera.movement_label(3, 1)) & (labels < camera.NONE_INDEX)
        depth = torch.where(rolls[:, None, None, None], torch.zeros(1, device=self.device), depth)
        x = camera.warp(ground(count, move.shots), content, self.size, window, depth, self.oversample)
        return foreground(x, self._actors(count), self.rng), labels

    def _stills(self, count: int, shots: Tensor) -> Tensor:
        source = self.numpy.integers(0, len(self.stills.counts), (count, 3))
        return self.stills.take(np.take_along_axis(source, shots.cpu().numpy(), 1))

    def _still_camera(self, count: int, shots: Tensor) -> Tensor:
        taken = [self._windows("static", count) for _ in range(3)]
        sources = np.stack([spread(self.numpy, w[:, 0], w[:, 1], self.frames) for w in taken], axis=1)
        return self.clips.take(np.take_along_axis(sources, shots.cpu().numpy()[:, None], 1)[:, 0])

    def _windows(self, kind: str, count: int) -> NDArray[Any]:
        return self.windows[kind][self.numpy.choice(len(self.windows[kind]), count, p=self.weights[kind])]

    def _actors(self, count: int) -> Tensor:
        clip = self.numpy.integers(0, len(self.clips.counts), count)
        length = np.minimum(self.clips.counts[clip], self.numpy.integers(8, 30, count))
        start = self.clips.starts[clip] + (self.numpy.random(count) * (self.clips.counts[clip] - length + 1)).astype(
            int
        )
        pictures = self.clips.take(spread(self.numpy, start, length, self.frames))
        side = self._uniform(count, 1, low=0.5, high=1.0)
        window = torch.cat((self._uniform(count, 2, low=-1.0, high=1.0) * (1 - side), side, side), 1)
        still = torch.zeros(count, self.frames, 4, device=self.device)
        flat = torch.zeros(count, 1, 1, 1, device=self.device)
        return camera.warp(pictures, still, self.size, window, flat, 1)

    def _real(self, count: int) -> tuple[Tensor, Tensor]:
        kinds = [kind for kind in self.KINDS if kind in self.windows]
        share = np.array([self.KINDS[kind] for kind in kinds])
        chosen = self.numpy.choice(len(kinds), count, p=share / share.sum())
        rows = np.concatenate([self._windows(kinds[k], 1) for k in chosen])
        pictures = self.clips.take(spread(self.numpy, rows[:, 0], rows[:, 1], self.frames))
        side = self._uniform(count, 1, low=0.85, high=1.0)
        stretch = torch.exp(self._uniform(count, 1, low=-0.08, high=0.08))
        window = torch.cat(
            (self._uniform(count, 2, low=-1.0, high=1.0) * (1 - side), side * stretch, side / stretch), 1
        )
        still = torch.zeros(count, self.frames, 4, device=self.device)
        flat = torch.zeros(count, 1, 1, 1, device=self.device)
        x = camera.warp(pictures, still, self.size, window.clamp(max=1.0), flat, self.oversample)
        mirror, back = self.numpy.random(count) < 0.5, self.numpy.random(count) < 0.5
        turns = np.where(self.numpy.random(count) < 0.45, self.numpy.integers(1, 4, count), 0)
        labels = [
            camera.changed(int(row[2]), change(bool(m), bool(b), int(t)))
            for row, m, b, t in zip(rows, mirror, back, turns, strict=True)
        ]
        clips = [
            transform(clip, bool(m), bool(b), int(t)) for clip, m, b, t in zip(x, mirror, back, turns, strict=True)
        ]
        return torch.stack(clips), torch.tensor(labels, device=self.device)


def labeled_windows(steps: NDArray[np.float32]) -> list[Window]:
    """The parts of a measured clip whose movement is plain.

    Args:
        steps: From each frame to the next, see `camera_tracks.camera_steps`.
    """
    found = []
    for length in sorted({9, 15, 24, 36, len(steps)}):
        for begin in range(0, len(steps) - length + 1, max(1, length // 3)):
            label = camera.label_of(steps[begin : begin + length])
            if label is not None:
                found.append((begin, begin + length, label))
    return found


def kind_of(label: int) -> str:
    """The kind of movement of a label, without its direction."""
    if label in (camera.STATIC, camera.NONE_INDEX):
        return "static" if label == camera.STATIC else "none"
    return ("pan", "tilt", "zoom", "roll")[(label - 1) // 2]


def change(mirror: bool, backwards: bool, quarters: int) -> NDArray[np.float32]:
    """The effect of `transform` on a movement: a 4 x 4 matrix."""
    matrix = np.eye(4, dtype=np.float32)
    if mirror:
        matrix = camera.MIRROR @ matrix
    if backwards:
        matrix = camera.BACKWARDS @ matrix
    for _ in range(quarters):
        matrix = camera.QUARTER @ matrix
    return matrix


def transform(clip: Tensor, mirror: bool, backwards: bool, quarters: int) -> Tensor:
    """Mirrors a square clip `[T, 3, S, S]`, plays it backwards, and turns it clockwise by quarters, in this order."""
    if mirror:
        clip = clip.flip(-1)
    if backwards:
        clip = clip.flip(0)
    return torch.rot90(clip, -quarters, (-2, -1)) if quarters else clip
