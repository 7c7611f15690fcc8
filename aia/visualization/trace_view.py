"""A block's trace as JSON, small enough to be drawn in a browser."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from math import ceil, prod
from typing import Any

import numpy as np

from aia.errors import AIAError
from aia.inspection.trace import BlockTrace, UnitTrace
from aia.modeling.attention_settings import ATTENTION_SETTINGS, AttentionSetting
from aia.visualization import render
from aia.visualization.arrays import ArrayPacker

FEATURE_VALUES = 2**16  # a view of a larger feature leaves out rows and columns
STAGE_VALUES = 12 * 2**12  # the same for each map of a unit
FINE_VALUES = 90_000  # a view of at most this many values has 16 bits for each, a larger one 8
TOP = 5  # labels in a view, besides those that a setting makes the most probable
BINS = 32  # of the histogram of the values that go into the sigmoid
PICTURE_PX = 96  # width of a frame in a view


def trace_view(trace: BlockTrace, unit: str = "", channels: Sequence[int] | None = None) -> dict[str, Any]:
    """Returns what a page needs to draw a trace: JSON types, some 100 kB to 300 kB.

    A packed array is a `PackedArray` with its "axes", the "channels" that were packed, and the "stride": of rows and
    columns, only every `stride`-th was packed. A gate is packed without the axis that its unit pools away. The arrays'
    values are in "data" (zlib, base64), 8 or 16 "bits" each. "modules" says what multiplies what, see `_module`.

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
    gates = {name: _Cut(*_squeezed(traced), channels, FEATURE_VALUES, x.stride) for name, traced in trace.units.items()}
    largest = _Cut(shown.pooled[0], shown.axes, around, STAGE_VALUES)
    mean = _Cut(shown.pooled[1], shown.axes, around, STAGE_VALUES, largest.stride)
    response = _Cut(shown.response, shown.axes, channels, STAGE_VALUES, largest.stride)
    bits = 16 if sum(cut.values.size for cut in (x, *gates.values(), largest, mean, response)) <= FINE_VALUES else 8
    packer = ArrayPacker(2**bits - 1)
    low, high = float(shown.normalized.min()), float(shown.normalized.max())
    setting = ATTENTION_SETTINGS[trace.attention]
    return {
        "network": trace.network,
        "block": trace.block,
        "blocks": [[name, *size] for name, size in trace.blocks.items()],
        "unit": shown.unit,
        "units": list(trace.units),
        "modules": [_module(trace, setting, place) for place in range(len(setting.modules))],
        "combination": setting.combination,
        "shape": list(trace.x.shape),
        "channels": list(channels),
        "means": _rounded(trace.x.mean(axis=(0, 2, 3))[list(channels)]),
        "times": _rounded(trace.times),
        "frames": [render.data_url(frame, PICTURE_PX) for frame in trace.frames],
        "x": x.packed(packer),
        "gates": {name: cut.packed(packer) for name, cut in gates.items()},
        "max": largest.packed(packer),
        "mean": mean.packed(packer),
        "response": response.packed(packer),
        "bits": bits,
        "data": base64.b64encode(packer.packed()).decode(),
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
    """Some channels of an array, and as many of its rows and columns as a limit allows, or every `stride`-th."""

    def __init__(self, array: np.ndarray, axes: str, channels: Sequence[int], limit: int, stride: int = 0) -> None:
        self.shape, self.axes, self.channels = array.shape, axes, list(channels)
        self.stride = stride or self._fitting(limit)
        for place, axis in enumerate(axes):
            if axis == "C":
                array = array.take(self.channels, place)
            elif axis in "HW":
                array = array.take(range(0, array.shape[place], self.stride), place)
        self.values = array

    def _fitting(self, limit: int) -> int:
        sides = dict(zip(self.axes, self.shape, strict=True))
        rest = prod(len(self.channels) if a == "C" else n for a, n in sides.items() if a not in "HW")
        picture = [n for axis, n in sides.items() if axis in "HW"]
        strides = range(1, max(picture) + 1)
        return next((s for s in strides if rest * prod(ceil(n / s) for n in picture) <= limit), max(picture))

    def packed(self, packer: ArrayPacker) -> dict[str, Any]:
        return {**packer.add(self.values), "axes": self.axes, "channels": self.channels, "stride": self.stride}


def _module(trace: BlockTrace, setting: AttentionSetting, place: int) -> dict[str, Any]:
    """One of the setting's modules, as data.

    "units" names the unit that pools each axis. The mean gate of the units in "multiplies" multiplies the module's input X.
    They see X times the mean gate of those in "steers", or X itself if there are none. X is the block's feature where
    "follows" is null, or else the output of the module at that place. "averaged" is whether gates are averaged over channels.
    """
    kind = setting.modules[place]
    names = dict(zip(kind.units, setting.units[place], strict=True))
    steers = [axis for axis in kind.units if axis not in kind.multiplies]
    return {
        "title": kind.title,
        "units": names,
        "multiplies": list(kind.multiplies),
        "steers": steers,
        "follows": place - 1 if place and setting.combination == "cascade" else None,
        "averaged": any(trace.units[name].channel_mean for name in names.values()),
    }


def _scores(trace: BlockTrace) -> list[dict[str, Any]]:
    """The most probable labels as trained, and whatever is the most probable in another setting."""
    probabilities = trace.probabilities
    wanted = [
        *np.argsort(-probabilities["trained"], kind="stable")[:TOP],
        *(p.argmax() for p in probabilities.values()),
    ]
    return [
        {"label": trace.labels[i], **{mode: round(float(p[i]), 6) for mode, p in probabilities.items()}}
        for i in dict.fromkeys(int(i) for i in wanted)
    ]


def _rounded(values: np.ndarray) -> list[Any]:
    numbers: list[Any] = np.round(values.astype(float), 6).tolist()
    return numbers
