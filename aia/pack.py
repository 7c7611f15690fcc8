"""An inspection as one JSON answer for a browser: small pictures, every gate as bytes, and the numbers behind them."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from aia import render
from aia.inspection import BlockGates, Inspection

FRAME_SIDE = 448  # pixels of a packed frame's longer side
LEVELS = 255  # steps of a mean
CHANNEL_LEVELS = 127  # of one channel's own gate: half as fine, a seventh less to send
MAX_CHANNEL_BYTES = 12 << 20  # of all channels' own gates; beyond it the largest blocks send their means only
_LEVEL = 1  # of zlib: more takes longer and gains nothing, gates look like noise to it


def pack(seen: Inspection, *, channels: bool = True) -> dict[str, Any]:
    """Packs what a browser needs to draw every view of an inspection by itself.

    An array is `{"shape", "at", "low", "step"}`: one byte a value from `at` on in the bytes it belongs to, and byte b stands
    for low + step * b. A mean is off by at most 1/510 of its array's range, a channel's own gate by 1/254.

    Args:
        seen: What to pack; its frames are scaled down to `FRAME_SIDE`.
        channels: Also packs the gates of each channel by itself, ten times as much as all the rest.

    Returns:
        JSON types. "data" and "channel_data" are the bytes (zlib, base64) that the arrays in each block's "maps" (means over
        channels: "combined" `[T, h, w]` and every unit in its native shape) and "gates" (`[T or 1, C or 1, H or 1, W or 1]`,
        null where left out) lie in. "applied" says which of the units multiply the feature: see `BlockGates`.
    """
    maps, gates = _Bytes(LEVELS), _Bytes(CHANNEL_LEVELS)
    small = render.shrink(seen.clip.frames, FRAME_SIDE)
    sent = _sent_blocks(seen) if channels else set()
    blocks = [
        {
            "name": block.name,
            "shape": list(block.shape),
            "applied": block.applied,
            "maps": {gate: maps.add(values) for gate, values in _mean_maps(block).items()},
            "gates": {u: gates.add(g) for u, g in block.gates.items()} if block.name in sent else None,
            "channel_mean": _rounded(block.channel_mean),
        }
        for block in seen.blocks
    ]
    return {
        "network": seen.title,
        "attention": seen.config.attention,
        "times": _rounded(seen.clip.times),
        "size": [small.shape[2], small.shape[1]],
        "seen_box": list(seen.seen_box),
        "frames": [_picture(frame) for frame in small],
        "first_block": seen.first_block,
        "blocks": blocks,
        "data": maps.text(),
        "channel_data": gates.text(),
    }


class _Bytes:
    """Arrays in a row, one byte a value."""

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.parts: list[bytes] = []
        self.length = 0

    def add(self, values: np.ndarray) -> dict[str, Any]:
        """Appends an array; returns where it lies and what its bytes stand for."""
        low, step = float(values.min()), max(float(np.ptp(values)), 1e-9) / self.levels
        levels = np.rint((values - low) / step).astype(np.uint8)
        place = {"shape": list(values.shape), "at": self.length, "low": round(low, 6), "step": round(step, 9)}
        self.parts.append(levels.tobytes())
        self.length += levels.size
        return place

    def text(self) -> str:
        return base64.b64encode(zlib.compress(b"".join(self.parts), _LEVEL)).decode()


def _mean_maps(block: BlockGates) -> dict[str, np.ndarray]:
    """The gate that multiplies the feature and every unit's own, as means over channels, `[T or 1, h or 1, w or 1]`."""
    return {"combined": block.spatiotemporal_map} | {unit: gate.mean(axis=1) for unit, gate in block.gates.items()}


def _sent_blocks(seen: Inspection) -> set[str]:
    """The blocks whose channels' own gates fit, the small ones first."""
    sizes = sorted((sum(g.size for g in block.gates.values()), block.name) for block in seen.blocks)
    totals = np.cumsum([size for size, _ in sizes])
    return {name for (_, name), total in zip(sizes, totals, strict=True) if total <= MAX_CHANNEL_BYTES}


def _rounded(values: np.ndarray) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


def _picture(frame: np.ndarray) -> str:
    return f"data:image/webp;base64,{base64.b64encode(render.webp(frame, frame.shape[1])).decode()}"
