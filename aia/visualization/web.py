"""An inspection as an answer for a browser: JSON with small pictures, means and numbers, and the channels' gates as bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from aia import limits
from aia.inspection.inspection import Inspection
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.visualization import render
from aia.visualization.arrays import ArrayPacker

FRAME_SIDE = 448  # pixels of a packed frame's longer side
LEVELS = 255  # steps of a mean
CHANNEL_LEVELS = 127  # of one channel's own gate: half as fine, a seventh less to send


def pack(seen: Inspection, *, channels: bool = True) -> tuple[dict[str, Any], bytes]:
    """Packs what a browser needs to draw every view of an inspection by itself.

    An array is a `PackedArray`, `[T or 1, H or 1, W or 1, C or 1]`. A mean is off by at most 1/510 of its array's range, a
    channel's own gate by 1/254.

    Args:
        seen: What to pack; its frames are scaled down to `FRAME_SIDE`.
        channels: Also packs the gates of each channel by itself, ten times as much as all the rest.

    Returns:
        The answer, JSON types, and the bytes of the channels' gates (zlib; empty where there are none), which it does not
        need to draw the means. Its "data" are the bytes (zlib, base64) that the arrays in each block's "maps" lie in: the
        mean of every unit over channels; "gates", in the channels' bytes, are the units that tell channels apart, null where
        left out. "channel_mean" is in base64 too, `[C]`, float32. "applied" says which of the units multiply the feature, and
        how: see `BlockGates`. "units" names the axis that each unit pools. "multipliers" lists, for each module, the units
        whose mean gate multiplies; the block's gate is the "mean" or the "product" of the modules', as "combine" says.
    """
    means, gates = ArrayPacker(LEVELS), ArrayPacker(CHANNEL_LEVELS)
    small = render.shrink(seen.clip.frames, FRAME_SIDE)
    sent = _sent_blocks(seen) if channels else set()
    setting = ATTENTION_SETTINGS[seen.config.attention]
    answer = {
        "network": seen.title,
        "attention": seen.config.attention,
        "units": {unit: unit[-1] for unit in chain.from_iterable(setting.units)},
        "multipliers": setting.multipliers,
        "combine": setting.combine,
        "times": [round(time, 4) for time in seen.clip.times.tolist()],
        "size": [small.shape[2], small.shape[1]],
        "seen_box": list(seen.seen_box),
        "frames": [render.data_url(frame, frame.shape[1]) for frame in small],
        "first_block": seen.first_block,
        "blocks": [
            {
                "name": block.name,
                "shape": list(block.shape),
                "applied": block.applied,
                "maps": {
                    unit: means.add(_channels_last(gate.mean(axis=1, keepdims=True)))
                    for unit, gate in block.gates.items()
                },
                "gates": {u: gates.add(_channels_last(g)) for u, g in _own(block.gates)}
                if block.name in sent
                else None,
                "channel_mean": _text(block.channel_mean.astype("<f4").tobytes()),
            }
            for block in seen.blocks
        ],
        "data": _text(means.packed()),
    }
    return answer, gates.packed() if gates.length else b""


def _channels_last(values: np.ndarray) -> np.ndarray:
    """`[T, C, H, W]` as the network's features are in memory."""
    transposed: np.ndarray = values.transpose(0, 2, 3, 1)
    return transposed


def _own(gates: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """The units whose gates tell channels apart: all but C."""
    return [(unit, gate) for unit, gate in gates.items() if not unit.endswith("C")]


def _sent_blocks(seen: Inspection) -> set[str]:
    """The blocks whose channels' own gates fit, the small ones first."""
    sizes = sorted((sum(gate.size for _, gate in _own(block.gates)), block.name) for block in seen.blocks)
    totals = np.cumsum([size for size, _ in sizes])
    return {name for (_, name), total in zip(sizes, totals, strict=True) if total <= limits.MAX_CHANNEL_BYTES}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
