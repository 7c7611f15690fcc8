"""Batches of everyday actions, and of clips that show none of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from aia.training import camera
from aia.training.bank import Bank, alike, spread
from aia.training.effects import color, overlay


class ActionBatches:
    """Clips of everyday actions, and of none of them.

    Args:
        clips: Decoded clips.
        labels: Of each clip.
        scenes: Name of each clip's scene; scenes of a label are sampled equally often.
        size: Side of the input in pixels.
        frames: T.
        seed: Of all random choices.
        none_label: The label "none of these"; -1 for none. Clips whose tiles are mixed get it, too.
        none: Share of clips with that label.
        oversample: See `camera.warp`.
    """

    def __init__(
        self,
        clips: Bank,
        labels: Sequence[int],
        scenes: Sequence[str],
        *,
        size: int,
        frames: int = 8,
        seed: int = 0,
        none_label: int = -1,
        none: float = 0.12,
        oversample: int = 2,
    ) -> None:
        self.clips, self.size, self.frames, self.oversample = clips, size, frames, oversample
        self.device = clips.frames.device
        self.labels = np.array(labels)
        self.none_label = none_label
        self.rng = torch.Generator(self.device).manual_seed(seed)
        self.numpy = np.random.default_rng(seed)
        names = np.array([f"{label}/{scene}" for label, scene in zip(labels, scenes, strict=True)])
        is_none = self.labels == none_label
        weights = np.zeros(len(names))
        for label in np.unique(self.labels):
            chosen = self.labels == label
            share = none if label == none_label else (1 - none) / len(np.unique(self.labels[~is_none]))
            weights[chosen] = alike(list(names[chosen])) * share
        self.weights = weights / weights.sum()

    def __call__(self, count: int) -> tuple[Tensor, Tensor]:
        """B clips float32 `[B, T, 3, S, S]` in [0, 1], and labels `[B]`."""
        rng, device = self.numpy, self.device
        chosen = rng.choice(len(self.labels), count, p=self.weights)
        counts = self.clips.counts[chosen]
        length = np.minimum(counts, np.maximum(8, (counts * rng.uniform(0.35, 1.0, count)).astype(int)))
        start = self.clips.starts[chosen] + (rng.random(count) * (counts - length + 1)).astype(int)
        index = spread(rng, start, length, self.frames)
        pictures = self.clips.take(index)

        def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
            return low + (high - low) * torch.rand(*shape, generator=self.rng, device=device)

        side = torch.sqrt(uniform(count, 1, low=0.35, high=1.2)).clamp(max=1.0)  # about a quarter of them whole
        stretch = torch.exp(uniform(count, 1, low=-0.25, high=0.25))
        sides = torch.cat((side * stretch, side / stretch), 1).clamp(max=1.0)
        window = torch.cat((uniform(count, 2, low=-1.0, high=1.0) * (1 - sides), sides), 1)
        still = torch.zeros(count, self.frames, 4, device=device)
        still[..., 3] = uniform(count, 1, low=-8.0, high=8.0) * (uniform(count, 1) < 0.4)
        flat = torch.zeros(count, 1, 1, 1, device=device)
        x = camera.warp(pictures, still, self.size, window, flat, self.oversample)
        mirror = uniform(count, 1, 1, 1, 1) < 0.5
        x = torch.where(mirror, x.flip(-1), x)
        labels = torch.from_numpy(self.labels[chosen]).to(device)
        if self.none_label >= 0 and x.shape[-1] % 4 == 0:
            x, labels = self._scrambled(x, labels)
        return color(overlay(x, self.rng), self.rng), labels

    def _scrambled(self, x: Tensor, labels: Tensor, share: float = 0.05) -> tuple[Tensor, Tensor]:
        """Makes some clips none of these: tiles in another order, as textures without the action."""
        count = round(len(x) * share)
        frames, side = x.shape[1], x.shape[-1] // 4
        tiles = x[:count].view(count, frames, 3, 4, side, 4, side).permute(0, 3, 5, 1, 2, 4, 6).flatten(1, 2)
        order = torch.rand(count, 16, generator=self.rng, device=x.device).argsort(1)
        tiles = tiles[torch.arange(count, device=x.device)[:, None], order]
        tiles = tiles.view(count, 4, 4, frames, 3, side, side).permute(0, 3, 4, 1, 5, 2, 6)
        x = torch.cat((tiles.reshape(count, *x.shape[1:]), x[count:]))
        return x, torch.cat((torch.full_like(labels[:count], self.none_label), labels[count:]))
