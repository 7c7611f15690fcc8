"""Changes of light, overlays and people in front, on batches of clips `[B, T, 3, S, S]` in [0, 1] on any device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def color(x: Tensor, rng: torch.Generator, strength: float = 1.0) -> Tensor:
    """Changes light, colors, sharpness and noise of clips `[B, T, 3, S, S]` in [0, 1], each clip as a whole."""
    count, size = len(x), x.shape[-1]

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng, device=x.device)

    def one() -> Tensor:
        return uniform(count, 1, 1, 1, 1, low=-1.0, high=1.0) * strength

    x = x.clamp(1e-4, 1) ** torch.exp(0.35 * one())
    gray = x.mean(2, keepdim=True)
    x = gray + (x - gray) * (1 + 0.5 * one())
    x = torch.where(uniform(count, 1, 1, 1, 1) < 0.08 * strength, gray, x)
    mean = x.mean((1, 2, 3, 4), keepdim=True)
    x = mean + (x - mean) * (1 + 0.35 * one()) + 0.18 * one()
    x = x * (1 + 0.12 * strength * uniform(count, 1, 3, 1, 1, low=-1.0, high=1.0))
    soft = int(size * float(uniform(1, low=0.35, high=0.9)))
    blurred = F.interpolate(x.flatten(0, 1), size=(soft, soft), mode="bilinear", antialias=True)
    blurred = F.interpolate(blurred, size=(size, size), mode="bilinear").view_as(x)
    x = torch.where(uniform(count, 1, 1, 1, 1) < 0.3, blurred, x)
    grain = torch.randn(x.shape, generator=rng, device=x.device)
    return (x + grain * 0.04 * uniform(count, 1, 1, 1, 1) ** 2).clamp(0, 1)


def overlay(x: Tensor, rng: torch.Generator) -> Tensor:
    """Puts bars and boxes that stay where they are over some clips: letter boxes, score boards."""
    count, size = len(x), x.shape[-1]

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng, device=x.device)

    line = (torch.arange(size, device=x.device) + 0.5) / size
    y, x_ = line.view(1, 1, 1, -1, 1), line.view(1, 1, 1, 1, -1)
    edge = torch.where(uniform(count, 1, 1, 1, 1) < 0.5, (y - 0.5).abs() * 2, (x_ - 0.5).abs() * 2)
    bar = (edge > uniform(count, 1, 1, 1, 1, low=0.68, high=0.95)) & (uniform(count, 1, 1, 1, 1) < 0.12)
    x = torch.where(bar, uniform(count, 1, 1, 1, 1) * 0.06, x)
    left, width = uniform(count, 1, 1, 1, 1, low=0.02, high=0.6), uniform(count, 1, 1, 1, 1, low=0.15, high=0.5)
    top = torch.where(
        uniform(count, 1, 1, 1, 1) < 0.5, torch.tensor(0.04, device=x.device), torch.tensor(0.84, device=x.device)
    )
    inside = (x_ > left) & (x_ < left + width) & (y > top) & (y < top + uniform(count, 1, 1, 1, 1, low=0.05, high=0.12))
    inside = inside & (uniform(count, 1, 1, 1, 1) < 0.2)
    letters = F.interpolate(uniform(count, 1, 32, 32).round(), size=(size, size)).view(count, 1, 1, size, size)
    board = uniform(count, 1, 3, 1, 1) * 0.7 + letters * 0.3
    return torch.where(inside, board, x)


def foreground(x: Tensor, actors: Tensor, rng: torch.Generator) -> Tensor:
    """Puts soft pieces of other clips in front of some clips, like somebody whom the camera follows: both `[B, T, 3, S, S]`."""
    count, frames, size = len(x), x.shape[1], x.shape[-1]

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng, device=x.device)

    drift = torch.randn(count, frames, 2, generator=rng, device=x.device).cumsum(1) * 0.025 * uniform(count, 1, 1)
    center = uniform(count, 1, 2, low=0.25, high=0.75) + drift
    radius = uniform(count, 1, 2, low=0.08, high=0.33)
    line = (torch.arange(size, device=x.device) + 0.5) / size
    dx = (line.view(1, 1, 1, -1) - center[..., :1, None]) / radius[..., :1, None]
    dy = (line.view(1, 1, -1, 1) - center[..., 1:, None]) / radius[..., 1:, None]
    power = torch.where(uniform(count, 1, 1, 1) < 0.5, 2.0, 5.0)
    mask = torch.sigmoid((1 - (dx.abs() ** power + dy.abs() ** power)) * 12)[:, :, None]
    mask = mask * (uniform(count, 1, 1, 1, 1) < 0.45)
    return x + mask * (actors - x)
