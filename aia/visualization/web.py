"""An inspection as an answer for a browser: JSON with small pictures, means and numbers, and the channels' gates as bytes."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np

from aia import limits
from aia.inspection.gates import LIMIT_SPREADS, SMALLEST_STD, BlockGates
from aia.inspection.inspection import Inspection
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.reference import COMBINED, Reference
from aia.visualization import render
from aia.visualization.arrays import ArrayPacker

FRAME_SIDE = 448  # pixels of a packed frame's longer side
LEVELS = 255  # steps of a mean
CHANNEL_LEVELS = 127  # of one channel's own gate: half as fine, a seventh less to send


def pack(inspection: Inspection, *, channels: bool = True) -> tuple[dict[str, Any], bytes]:
    """Packs what a browser needs to draw every view of an inspection by itself.

    An array is a `PackedArray`, `[T or 1, H or 1, W or 1, C or 1]`. A mean is off by at most 1/510 of its array's range, a
    channel's own gate by 1/254.

    Args:
        inspection: What to pack; its frames are scaled down to `FRAME_SIDE`.
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
    small = render.shrink(inspection.clip.frames, FRAME_SIDE)
    sent = _sent_blocks(inspection.blocks) if channels else set()
    answer = {
        **_facts(inspection),
        "size": [small.shape[2], small.shape[1]],
        "frames": [render.data_url(frame, frame.shape[1]) for frame in small],
        "blocks": [
            {
                **_block(block, means),
                "gates": {u: gates.add(_channels_last(g)) for u, g in _own(block.gates)}
                if block.name in sent
                else None,
            }
            for block in inspection.blocks
        ],
        "data": _text(means.packed()),
    }
    return answer, gates.packed() if gates.length else b""


def pack_block(inspection: Inspection, block: str) -> tuple[dict[str, Any], bytes]:
    """Packs one block's means for a browser that has the frames itself, and in the form of `pack`.

    Args:
        inspection: What to pack.
        block: A block's name; any other name stands for the first block.

    Returns:
        The answer, JSON types, and its "data" as bytes (zlib).
    """
    means = ArrayPacker(LEVELS)
    names = [candidate.name for candidate in inspection.blocks]
    name = block if block in names else inspection.first_block
    height, width = inspection.clip.frames.shape[1:3]
    answer = {
        **_facts(inspection),
        "size": [width, height],
        "names": names,
        "blocks": [{**_block(inspection.block(name), means), "gates": None}] if name else [],
    }
    return answer, means.packed()


def _facts(inspection: Inspection) -> dict[str, Any]:
    """The part of an answer about the network and the clip."""
    setting = ATTENTION_SETTINGS[inspection.config.attention]
    return {
        "network": inspection.title,
        "attention": inspection.config.attention,
        "units": {unit: unit[-1] for unit in chain.from_iterable(setting.units)},
        "multipliers": setting.multipliers,
        "combine": setting.combine,
        "times": [round(time, 4) for time in inspection.clip.times.tolist()],
        "seen_box": list(inspection.seen_box),
        "first_block": inspection.first_block,
    }


def _block(block: BlockGates, means: ArrayPacker) -> dict[str, Any]:
    """The part of an answer about a block, without its channels' own gates."""
    return {
        "name": block.name,
        "shape": list(block.shape),
        "applied": block.applied,
        "maps": {u: means.add(_channels_last(gate.mean(axis=1, keepdims=True))) for u, gate in block.gates.items()},
        "channel_mean": _floats(block.channel_mean),
    }


def pack_reference(reference: Reference, attention: str) -> tuple[dict[str, Any], bytes]:
    """Packs what is typical for a network's gates, in the form of `pack`, so that a browser can subtract it from any answer.

    Args:
        reference: What to pack.
        attention: The network's setting, such as "cinst".

    Returns:
        JSON types, and bytes as in `pack`. The "maps" of a block also hold "combined". "spreads" says how many standard
        deviations a limit stands for. "profile_limit" is that of the mean of a frame, "limits" are `deviation_limit` of each
        gate, "channel_limits" the logarithms of those of its channels `[1, 1, 1, C]`, among the bytes; "channel_mean" and
        "channel_std" are the means and standard deviations over the reference clips, float32 `[C]` in base64.
    """
    means, gates = ArrayPacker(LEVELS), ArrayPacker(LEVELS)
    setting = ATTENTION_SETTINGS[attention]
    blocks = [BlockGates(name, attention, b.gates, reference=b) for name, b in reference.blocks.items()]
    sent = _sent_blocks(blocks)
    packed = {
        "units": {unit: unit[-1] for unit in chain.from_iterable(setting.units)},
        "multipliers": setting.multipliers,
        "combine": setting.combine,
        "spreads": LIMIT_SPREADS,
        "smallest_std": SMALLEST_STD,
        "blocks": [
            {
                "name": block.name,
                "shape": list(block.shape),
                "maps": {
                    COMBINED: means.add(known.map_mean[COMBINED][..., None]),
                    **{u: means.add(_channels_last(g.mean(axis=1, keepdims=True))) for u, g in block.gates.items()},
                },
                "gates": {u: gates.add(_channels_last(g)) for u, g in _own(block.gates)}
                if block.name in sent
                else None,
                "profile_limit": block.profile_limit(),
                "limits": {gate: block.deviation_limit(gate) for gate in known.map_mean},
                "channel_limits": {
                    gate: gates.add(np.log(LIMIT_SPREADS * np.maximum(spread, SMALLEST_STD))[None, None, None])
                    for gate, spread in known.channel_spread.items()
                },
                "channel_mean": _floats(known.channel_mean),
                "channel_std": _floats(known.channel_std),
            }
            for block in blocks
            for known in [reference.blocks[block.name]]
        ],
        "data": _text(means.packed()),
    }
    return packed, gates.packed() if gates.length else b""


def _floats(values: np.ndarray) -> str:
    return _text(values.astype("<f4").tobytes())


def _channels_last(values: np.ndarray) -> np.ndarray:
    """`[T, C, H, W]` as the network's features are in memory."""
    transposed: np.ndarray = values.transpose(0, 2, 3, 1)
    return transposed


def _own(gates: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """The units whose gates tell channels apart: all but C."""
    return [(unit, gate) for unit, gate in gates.items() if not unit.endswith("C")]


def _sent_blocks(blocks: Iterable[BlockGates]) -> set[str]:
    """The blocks whose channels' own gates fit, the small ones first."""
    sizes = sorted((sum(gate.size for _, gate in _own(block.gates)), block.name) for block in blocks)
    totals = np.cumsum([size for size, _ in sizes])
    return {name for (_, name), total in zip(sizes, totals, strict=True) if total <= limits.MAX_CHANNEL_BYTES}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
