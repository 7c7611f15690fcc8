"""Packs an inspection for a browser: JSON with small pictures, means and numbers, and the channels' gates as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from isal import isal_zlib

from aia import limits
from aia.inspection.inspection import Inspection
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.visualization import render
from aia.visualization.encoding import as_text, quantized

FRAME_SIDE = 448  # pixels of a packed frame's longer side
LEVELS = 255  # steps of a mean
CHANNEL_LEVELS = 127  # steps of one channel's own gate: half as fine, a seventh less to send
_COMPRESSION = 1  # zlib's level; a higher one takes longer and gains nothing


def pack(inspection: Inspection, *, channels: bool = True) -> tuple[dict[str, Any], bytes]:
    """Packs all that a browser needs to draw every view of an inspection by itself.

    An array is `{"shape", "at", "low", "step"}`: its shape is `[T or 1, H or 1, W or 1, C or 1]`, and from `at` on it has one
    byte for each value. A byte is the level minus the previous level of its channel, modulo 256: neighbors are similar,
    so the differences compress better. Level n stands for low + step * n. The error of a mean is at most 1/510 of its
    array's range, that of a channel's own gate 1/254.

    Args:
        inspection: What to pack; its frames are scaled down to `FRAME_SIDE`.
        channels: Also packs the gates of each channel, which take ten times as much as everything else.

    Returns:
        The answer (JSON types), and the channels' gates (zlib; empty if there are none), which are not needed to draw the
        means. The answer's "data" (zlib, base64) hold the arrays in each block's "maps": the mean of every unit over
        channels. A block's "gates" are arrays in the channels' gates, for the units that have a value for each channel;
        null if left out. "channel_mean" is float32 `[C]` in base64. "applied" is `BlockGates.applied`. "multipliers" lists,
        for each module, the units whose mean gate multiplies; the block's gate is the product or the mean over modules.
    """
    means, gates = _Bytes(LEVELS), _Bytes(CHANNEL_LEVELS)
    small = render.shrink(inspection.clip.frames, FRAME_SIDE)
    complete = _complete_blocks(inspection) if channels else set()
    answer = {
        "network": inspection.title,
        "attention": inspection.config.attention,
        "multipliers": ATTENTION_SETTINGS[inspection.config.attention].multipliers,
        "times": [round(time, 4) for time in inspection.clip.times.tolist()],
        "size": [small.shape[2], small.shape[1]],
        "seen_box": list(inspection.seen_box),
        "frames": [render.data_url(frame, frame.shape[1]) for frame in small],
        "first_block": inspection.first_block,
        "blocks": [
            {
                "name": block.name,
                "shape": list(block.shape),
                "applied": block.applied,
                "maps": {unit: means.add(gate.mean(axis=1, keepdims=True)) for unit, gate in block.gates.items()},
                "gates": {u: gates.add(g) for u, g in _own(block.gates)} if block.name in complete else None,
                "channel_mean": as_text(block.channel_mean.astype("<f4").tobytes()),
            }
            for block in inspection.blocks
        ],
        "data": as_text(means.packed()),
    }
    return answer, gates.packed() if gates.length else b""


class _Bytes:
    """Arrays one after the other, one byte for each value."""

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.parts: list[np.ndarray] = []
        self.length = 0

    def add(self, values: np.ndarray) -> dict[str, Any]:
        """Appends an array `[T, C, H, W]`; returns its place and the meaning of its bytes."""
        values = values.transpose(0, 2, 3, 1)  # the order of the network's features in memory
        levels, low, step = quantized(values, self.levels)
        levels = levels.reshape(-1, values.shape[3])
        levels[1:] -= levels[:-1]  # NumPy allows for the overlap
        place = {"shape": list(values.shape), "at": self.length, "low": round(low, 6), "step": round(step, 9)}
        self.parts.append(levels)
        self.length += levels.size
        return place

    def packed(self) -> bytes:
        compressed: bytes = isal_zlib.compress(b"".join(part.data for part in self.parts), _COMPRESSION)
        return compressed


def _own(gates: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """The units whose gates have a value for each channel: all but C."""
    return [(unit, gate) for unit, gate in gates.items() if not unit.endswith("C")]


def _complete_blocks(inspection: Inspection) -> set[str]:
    """The blocks whose channels' own gates are sent: as many as fit, the small ones first."""
    sizes = sorted((sum(gate.size for _, gate in _own(block.gates)), block.name) for block in inspection.blocks)
    totals = np.cumsum([size for size, _ in sizes])
    return {name for (_, name), total in zip(sizes, totals, strict=True) if total <= limits.MAX_CHANNEL_BYTES}
