"""Packs a block's trace for a browser: JSON of 100 to 300 kB."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod
from typing import Any

import numpy as np

from aia.errors import AIAError
from aia.inspection.trace import BlockTrace, UnitTrace
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.visualization import render
from aia.visualization.encoding import as_text, quantized

FEATURE_VALUES = 2**16  # a view of a larger feature leaves out rows and columns
STAGE_VALUES = 12 * 2**12  # the same limit for each map of a unit
FINE_VALUES = 90_000  # a view with more values has 8 bits for each, otherwise 16
TOP = 5  # labels in a view, besides those that are the most probable in a setting
BINS = 32  # of the histogram of the sigmoid's inputs
PICTURE_PX = 96  # width of a frame in a view


def trace_view(trace: BlockTrace, unit: str = "", channels: Sequence[int] | None = None) -> dict[str, Any]:
    """Packs all that a page needs to draw a trace, as JSON types.

    A packed array is `{"axes", "shape", "channels", "step", "low", "high", "bits", "data"}`. "shape" is that of the
    whole array; only the listed channels were packed, and of rows and columns only every `step`-th. "data" holds its
    values in C order, 8 or 16 `bits` each (little-endian, base64), from 0 for "low" to the largest for "high". A gate is
    packed without the axis that its unit pools.

    Args:
        trace: From `trace_block`.
        unit: The unit whose stages are wanted; the first one by default.
        channels: Which channels of features and gates are packed; `trace.channels` by default.

    Raises:
        AIAError: No such unit or channel.
    """
    chosen = _unit(trace, unit)
    channels = trace.channels if channels is None else tuple(channels)
    count = trace.x.shape[1]
    if not channels or not all(0 <= channel < count for channel in channels):
        raise AIAError(f"{trace.block} has the channels 0 to {count - 1}; choose some of them.")
    around = sorted({c + d for c in channels for d in (-1, 0, 1)} & set(range(count)))  # what the kernel reads
    x = _Cut(trace.x, "TCHW", channels, FEATURE_VALUES)
    gates = {name: _Cut(*_squeezed(each), channels, FEATURE_VALUES, x.step) for name, each in trace.units.items()}
    largest = _Cut(chosen.pooled[0], chosen.axes, around, STAGE_VALUES)
    mean = _Cut(chosen.pooled[1], chosen.axes, around, STAGE_VALUES, largest.step)
    response = _Cut(chosen.response, chosen.axes, channels, STAGE_VALUES, largest.step)
    bits = 16 if sum(cut.values.size for cut in (x, *gates.values(), largest, mean, response)) <= FINE_VALUES else 8
    low, high = float(chosen.normalized.min()), float(chosen.normalized.max())
    setting = ATTENTION_SETTINGS[trace.attention]
    return {
        "network": trace.network,
        "block": trace.block,
        "blocks": [[name, *size] for name, size in trace.blocks.items()],
        "unit": chosen.unit,
        "units": list(trace.units),
        "modules": list(setting.kinds),
        "combination": setting.combination,
        "shape": list(trace.x.shape),
        "channels": list(channels),
        "means": _rounded(trace.x.mean(axis=(0, 2, 3))[list(channels)]),
        "times": _rounded(trace.times),
        "frames": [render.data_url(frame, PICTURE_PX) for frame in trace.frames],
        "x": x.packed(bits),
        "gates": {name: cut.packed(bits) for name, cut in gates.items()},
        "max": largest.packed(bits),
        "mean": mean.packed(bits),
        "response": response.packed(bits),
        "axes": chosen.axes,
        "kernel": _rounded(chosen.kernel),
        "norm": {name: round(value, 8) for name, value in chosen.norm._asdict().items()},
        "normalised": [low, high],
        "histogram": np.histogram(chosen.normalized, BINS, (low, high))[0].tolist(),
        "channel_mean": chosen.channel_mean,
        "sizes": {name: round(value, 6) for name, value in trace.sizes.items()},
        "scores": _scores(trace),
    }


def _unit(trace: BlockTrace, unit: str) -> UnitTrace:
    names = tuple(trace.units)
    if unit and unit not in names:
        raise AIAError(f"{trace.block} has no unit {unit!r:.60}; choose one of {', '.join(names)}.")
    return trace.units[unit or names[0]]


def _squeezed(unit: UnitTrace) -> tuple[np.ndarray, str]:
    """A gate without the axis that its unit pools, and the other axes."""
    axis = unit.unit[-1]
    return unit.gate.squeeze("TCHW".index(axis)), "TCHW".replace(axis, "")


class _Cut:
    """Some channels of an array, and every `step`-th of its rows and columns: as many as a limit allows."""

    def __init__(self, array: np.ndarray, axes: str, channels: Sequence[int], limit: int, step: int = 0) -> None:
        self.shape, self.axes, self.channels = array.shape, axes, list(channels)
        self.step = step or self._fitting(limit)
        for place, axis in enumerate(axes):
            if axis == "C":
                array = array.take(self.channels, place)
            elif axis in "HW":
                array = array.take(range(0, array.shape[place], self.step), place)
        self.values = array

    def _fitting(self, limit: int) -> int:
        sides = dict(zip(self.axes, self.shape, strict=True))
        rest = prod(len(self.channels) if a == "C" else n for a, n in sides.items() if a not in "HW")
        picture = [n for axis, n in sides.items() if axis in "HW"]
        steps = range(1, max(picture) + 1)
        return next((s for s in steps if rest * prod(ceil(n / s) for n in picture) <= limit), max(picture))

    def packed(self, bits: int) -> dict[str, Any]:
        levels, low, step = quantized(self.values, 2**bits - 1)
        return {
            "axes": self.axes,
            "shape": list(self.shape),
            "channels": self.channels,
            "step": self.step,
            "low": low,
            "high": low + step * (2**bits - 1),
            "bits": bits,
            "data": as_text(levels.tobytes()),
        }


def _scores(trace: BlockTrace) -> list[dict[str, Any]]:
    """The most probable labels as trained, and the most probable one in every other setting."""
    settings = trace.probabilities
    wanted = [*np.argsort(-settings["trained"], kind="stable")[:TOP], *(p.argmax() for p in settings.values())]
    return [
        {"label": trace.labels[i], **{name: round(float(p[i]), 6) for name, p in settings.items()}}
        for i in dict.fromkeys(int(i) for i in wanted)
    ]


def _rounded(values: np.ndarray) -> list[Any]:
    rounded: list[Any] = np.round(values.astype(float), 6).tolist()
    return rounded
