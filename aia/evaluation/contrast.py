"""Measures whether what is drawn by default says something about a clip, and whether one can see it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from aia.errors import AIAError
from aia.inspection.inspection import inspect
from aia.modeling.network import AIANet
from aia.video.clip import Clip
from aia.visualization import render

FEWEST_CLIPS = 4
# What a block needs to be shown first.
SPECIFIC, SPAN, SATURATED = 0.9, 0.5, 0.05


@dataclass(frozen=True)
class Contrast:
    """How specific and how visible the drawing of one block's combined gate is, over several clips.

    Attributes:
        block: Its name.
        limit: The difference that the last color stands for.
        specific: Share of the variance that is specific to a clip, 0 to 1; the rest is the same picture for all clips. An
            analysis of variance with the clips as a random effect, so that few clips do not make it smaller or larger.
        span: The part of the colors between the 5th and the 95th percentile of the values, 0 to 1, on the clip where it is
            smallest. Colors are counted along the color map, by their CIELAB distances.
        saturated: The part of the cells beyond the last color, 0 to 1, on the clip where it is largest.
    """

    block: str
    limit: float
    specific: float
    span: float
    saturated: float

    @property
    def is_clear(self) -> bool:
        """Whether the block is fit to be shown first."""
        return self.specific >= SPECIFIC and self.span >= SPAN and self.saturated <= SATURATED


def measure_contrast(model: AIANet, clips: Sequence[Clip | str | os.PathLike[str]]) -> list[Contrast]:
    """Measures every block of a model with a reference.

    Args:
        model: From `aia.load`, with AIA and a reference.
        clips: Clips that the reference was not made from, `FEWEST_CLIPS` or more.

    Raises:
        AIAError: The model has no gates or no reference, there are too few clips, or one cannot be read.
    """
    if not model.block_names or model.reference is None:
        raise AIAError(
            f"{model.name} has no gates, or nothing says what is usual for them; see `python -m aia reference`."
        )
    if len(clips) < FEWEST_CLIPS:
        raise AIAError(f"Contrast is measured on {FEWEST_CLIPS} clips or more, not {len(clips)}.")
    limits: dict[str, float] = {}
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in model.block_names}
    for clip in clips:
        for block in inspect(model, clip).blocks:  # keep no inspection: each holds the frames of its clip
            drawn[block.name].append(block.deviation().ravel())
            limits[block.name] = block.deviation_limit()
    measured = []
    for name, limit in limits.items():
        flat = np.stack(drawn[name])
        low, high = np.percentile(flat, (5, 95), axis=1)
        span = _place(high / limit) - _place(low / limit)
        saturated = (np.abs(flat) > limit).mean(axis=1)
        measured.append(Contrast(name, limit, _specific(flat), float(span.min()), float(saturated.max())))
    return measured


def _specific(values: np.ndarray) -> float:
    """The share of the variance between clips, of values `[N, cells]`."""
    within = values.var(axis=0, ddof=1).mean()
    common = max(0.0, values.mean(axis=0).var() - within / len(values))
    return float(within / max(within + common, 1e-12))


def _place(values: np.ndarray) -> np.ndarray:
    """Where a value from -1 to 1 lies along the colors of differences, 0 to 1."""
    table = render.colormap_table(render.DIFFERENCE)
    lab = cv2.cvtColor(table[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(lab, axis=0), axis=1))])
    placed: np.ndarray = np.interp(np.clip(values, -1, 1), np.linspace(-1, 1, len(along)), along / along[-1])
    return placed


def table(measured: dict[str, list[Contrast]], first: dict[str, str]) -> str:
    """Markdown: every block of every model; `first` names the block that the page shows first."""
    lines = [
        f"Fit to be shown first: at least {SPECIFIC:.0%} specific to the clip, at least {SPAN:.0%} of the colors, and at most "
        f"{SATURATED:.0%} of the cells beyond the last color.",
        "",
        "| model | block | last color | specific to the clip | span of colors (least) | beyond (most) | fit |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for model, rows in measured.items():
        for row in rows:
            fit = "shown first" if row.block == first.get(model) else "yes" if row.is_clear else ""
            numbers = f"±{row.limit:.3f} | {row.specific:.0%} | {row.span:.0%} | {row.saturated:.1%}"
            lines.append(f"| {model} | {row.block} | {numbers} | {fit} |")
    return "\n".join(lines)
