"""A block's trace as JSON, small enough to be drawn in a browser."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from math import ceil, prod
from typing import Any

import numpy as np

from aia.errors import AIAError
from aia.inspection.trace import BlockTrace, UnitTrace
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.visualization import render

FEATURE_VALUES = 2**16  # a view of a larger feature leaves out rows and columns
STAGE_VALUES = 12 * 2**12  # the same for each map of a unit
FINE_VALUES = 90_000  # up to so many values a view has 16 bits for each, beyond 8
TOP = 5  # labels in a view, beside those that a setting makes the most probable
BINS = 32  # of the histogram of the values that go into the sigmoid
PICTURE_PX = 96  # width of a frame in a view


def trace_view(trace: BlockTrace, unit: str = "", channels: Sequence[int] | None = None) -> dict[str, Any]:
    """Gives what a page needs to draw a trace: JSON types, some 100 kB to 300 kB.

    A packed array is `{"axes", "shape", "channels", "step", "low", "high", "bits", "data"}`. "shape" is that of the
    whole array; only the listed channels were packed, and of rows and columns only every `step`-th. "data" holds its
    values in C order, 8 or 16 `bits` each (little-endian, base64), from 0 for "low" to the largest for "high". A gate is
    packed without the axis that its unit pools away.

    Args:
        trace: From `trace_block`.
        unit: The unit whose stages are wanted; the first one by default.
        channels: Which channels of features and gates are packed; `trace.channels` by default.

    Raises:
        AIAError: No such unit or channel.
    """
    shown = _shown(trace, unit)
    channels = trace.channels if channels is None else tuple(channels)
    count = trace.x.shape[1]
    if not channels or not all(0 <= channel < count for channel in channels):
        raise AIAError(f"{trace.block} has the channels 0 to {count - 1}; choose some of them.")
    around = sorted({c + d for c in channels for d in (-1, 0, 1)} & set(range(count)))  # what the kernel reads
    x = _Cut(trace.x, "TCHW", channels, FEATURE_VALUES)
    gates = {name: _Cut(*_squeezed(one), channels, FEATURE_VALUES, x.step) for name, one in trace.units.items()}
    largest = _Cut(shown.pooled[0], shown.axes, around, STAGE_VALUES)
    mean = _Cut(shown.pooled[1], shown.axes, around, STAGE_VALUES, largest.step)
    response = _Cut(shown.response, shown.axes, channels, STAGE_VALUES, largest.step)
    bits = 16 if sum(cut.values.size for cut in (x, *gates.values(), largest, mean, response)) <= FINE_VALUES else 8
    low, high = float(shown.normalized.min()), float(shown.normalized.max())
    setting = ATTENTION_SETTINGS[trace.attention]
    return {
        "network": trace.network,
        "block": trace.block,
        "blocks": [[name, *size] for name, size in trace.blocks.items()],
        "unit": shown.unit,
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
        "axes": shown.axes,
        "kernel": _rounded(shown.kernel),
        "norm": {name: round(value, 8) for name, value in shown.norm._asdict().items()},
        "normalised": [low, high],
        "histogram": np.histogram(shown.normalized, BINS, (low, high))[0].tolist(),
        "channel_mean": shown.channel_mean,
        "sizes": {name: round(value, 6) for name, value in trace.sizes.items()},
        "scores": _scores(trace),
    }


def _shown(trace: BlockTrace, unit: str) -> UnitTrace:
    names = tuple(trace.units)
    if unit and unit not in names:
        raise AIAError(f"{trace.block} has no unit {unit!r:.60}; choose one of {', '.join(names)}.")
    return trace.units[unit or names[0]]


def _squeezed(unit: UnitTrace) -> tuple[np.ndarray, str]:
    """A gate without the axis that was pooled away, and the axes it still has."""
    axis = unit.unit[-1]
    return unit.gate.squeeze("TCHW".index(axis)), "TCHW".replace(axis, "")


class _Cut:
    """Some channels of an array, and as many of its rows and columns as a limit allows, or every `step`-th."""

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
        low, high = float(self.values.min()), float(self.values.max())
        levels = (self.values - low) * ((2**bits - 1) / max(high - low, 1e-12))
        data = np.rint(levels).astype("<u2" if bits == 16 else "u1").tobytes()
        return {
            "axes": self.axes,
            "shape": list(self.shape),
            "channels": self.channels,
            "step": self.step,
            "low": low,
            "high": high,
            "bits": bits,
            "data": base64.b64encode(data).decode(),
        }


def _scores(trace: BlockTrace) -> list[dict[str, Any]]:
    """The most probable labels as trained, and whatever is the most probable in another setting."""
    found = trace.probabilities
    wanted = [*np.argsort(-found["trained"], kind="stable")[:TOP], *(p.argmax() for p in found.values())]
    return [
        {"label": trace.labels[i], **{mode: round(float(p[i]), 6) for mode, p in found.items()}}
        for i in dict.fromkeys(int(i) for i in wanted)
    ]


def _rounded(values: np.ndarray) -> list:
    return np.round(values.astype(float), 6).tolist()
