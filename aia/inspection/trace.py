"""One block's attention on one clip, stage by stage, as the network computed it; and a small view of it to draw."""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aia.errors import AIAError
from aia.modeling import recording
from aia.modeling.attention import AXES, Attention, Stages, Unit
from aia.modeling.config import split_attention
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess, seen_box
from aia.modeling.recording import Switch
from aia.video.reader import Clip
from aia.visualization import render

SETTINGS = ("trained", "mean", "identity")  # of the block's gates, one forward pass each
FEATURE_VALUES = 2**16  # a view of a larger feature leaves out rows and columns
STAGE_VALUES = 12 * 2**12  # the same for each map of a unit
FINE_VALUES = 90_000  # up to so many values a view has 16 bits for each, beyond 8
TOP = 5  # labels in a view, beside those that a setting makes the most probable
BINS = 32  # of the histogram of the values that go into the sigmoid
PICTURE_PX = 96  # width of a frame in a view


class Norm(NamedTuple):
    """A unit's batch norm: weight (r - mean) / sqrt(var + eps) + bias."""

    mean: float
    var: float
    weight: float
    bias: float
    eps: float


@dataclass(frozen=True, eq=False)
class UnitTrace:
    """The stages of one unit, float32, in the order in which they are computed.

    Attributes:
        unit: "C", "T", "H" or "W", in a composite of two modules "1.C", ...
        kind: The module it belongs to, such as "cinst".
        axes: The three axes of the pooled maps, the response and the kernel, such as "CHW".
        unit_input: What the unit pooled, `[T, C, H, W]`.
        pooled: Maximum and mean over the unit's axis, `[2, *axes]`.
        response: Of the 3-D convolution, `[*axes]`.
        normalised: The response after batch norm, `[*axes]`.
        gate: As it was used: C `[T, 1, H, W]`, T `[1, C, H, W]`, H `[T, C, 1, W]`, W `[T, C, H, 1]`.
        multiplied: The input X of its module, `[T, C, H, W]`.
        product: X . U_C, or X . G with the mean G of the three gates, `[T, C, H, W]`.
        kernel: `[2, 3, 3, 3]`, of the maximum and the mean.
        norm: The numbers of the batch norm.
        channel_mean: Whether the gate was averaged over channels before use (STinC until 2022-08-05).
    """

    unit: str
    kind: str
    axes: str
    unit_input: np.ndarray
    pooled: np.ndarray
    response: np.ndarray
    normalised: np.ndarray
    gate: np.ndarray
    module_input: np.ndarray
    product: np.ndarray
    kernel: np.ndarray
    norm: Norm
    channel_mean: bool


@dataclass(frozen=True, eq=False)
class BlockTrace:
    """What one block's attention did to one clip.

    Attributes:
        network: In the paper's words, such as "TSM with CinST".
        attention: The network's setting, such as "cinst".
        block: The block's name.
        blocks: (H, W) of every block's feature.
        x: The module's input, `[T, C, H, W]`.
        units: The stages of every unit, by its name.
        output: The module's output, `[T, C, H, W]`.
        frames: The part of the frames that the network saw, RGB uint8 `[T, h, w, 3]`.
        times: When they are shown, seconds `[T]`.
        labels: Class names.
        probabilities: `[classes]` for each of `SETTINGS`: the block's gates as trained, at their mean, and at 1.
        sizes: Root mean square of the module's "input", and of its output in each of `SETTINGS`.
    """

    network: str
    attention: str
    block: str
    blocks: Mapping[str, tuple[int, int]]
    x: np.ndarray
    units: Mapping[str, UnitTrace]
    output: np.ndarray
    frames: np.ndarray
    times: np.ndarray
    labels: tuple[str, ...]
    probabilities: Mapping[str, np.ndarray]
    sizes: Mapping[str, float]

    @property
    def channels(self) -> tuple[int, ...]:
        """The three channels with the largest mean of X, and the one with the smallest."""
        order = np.argsort(-self.x.mean(axis=(0, 2, 3)), kind="stable")
        return (*order[:3].tolist(), int(order[-1]))


def trace_block(model: AIANet, clip: Clip, block: str) -> BlockTrace:
    """Runs a clip through a network and keeps every stage of one block's attention. Safe on a model that others use.

    Args:
        model: From `aia.load`, with AIA.
        clip: From `aia.read_clip`.
        block: One of the model's `block_names`.

    Raises:
        AIAError: The model has no AIA, or no such block.
    """
    attention = _attention(model, block)
    x = preprocess(clip.frames, model.config).to(model.device)
    with torch.inference_mode():
        seen = {mode: _run(model, x, block, () if mode == "trained" else (Switch(mode, block),)) for mode in SETTINGS}
        trained = seen["trained"][1]
        feature = trained.inputs[block]
        units = _units(attention, model.config.attention, feature)
    shapes = {
        name: [g.shape for location, g in trained.gates.items() if location.block == name] for name in model.block_names
    }
    left, top, right, bottom = seen_box(*clip.frames.shape[1:3], model.config)
    height, width = clip.frames.shape[1:3]
    return BlockTrace(
        network=model.config.method,
        attention=model.config.attention,
        block=block,
        blocks={name: np.broadcast_shapes(*found)[3:] for name, found in shapes.items()},
        x=_array(feature),
        units=units,
        output=_array(trained.outputs[block]),
        frames=clip.frames[:, round(top * height) : round(bottom * height), round(left * width) : round(right * width)],
        times=clip.times,
        labels=model.config.labels,
        probabilities={
            mode: logits.div(model.config.temperature).softmax(0).numpy() for mode, (logits, _) in seen.items()
        },
        sizes={"input": _size(feature)} | {mode: _size(kept.outputs[block]) for mode, (_, kept) in seen.items()},
    )


def _attention(model: AIANet, block: str) -> Attention:
    found = {module.block: module for module in model.modules() if isinstance(module, Attention)}
    if not found:
        raise AIAError("This model has no AIA, so there is no attention to follow; choose one with AIA, such as CinST.")
    if block not in tuple(found):
        raise AIAError(f"This model has no block {block!r:.60}; choose one of {', '.join(found)}.")
    return found[block]


def _run(model: AIANet, x: Tensor, block: str, switches: Sequence[Switch]) -> tuple[Tensor, recording.Recording]:
    """Logits of one clip on the CPU, and what was recorded, with the features of one block only."""
    with recording.recording(switches, features=True) as seen:
        seen.inputs, seen.outputs = _Only(block), _Only(block)
        return model(x)[0].float().cpu(), seen


class _Only(dict):
    """Keeps one block's feature of a recording and lets the others go."""

    def __init__(self, block: str) -> None:
        self.block = block

    def __setitem__(self, block: str, feature: Tensor) -> None:
        if block == self.block:
            super().__setitem__(block, feature)


def _units(attention: Attention, setting: str, x: Tensor) -> dict[str, UnitTrace]:
    """Runs the module on its input `[1, T, C, H, W]` again; a copy of it, so that no hook touches the shared one."""
    attention = copy.deepcopy(attention)
    attention.fused = False
    inputs: dict[nn.Module, Tensor] = {}
    for module in attention.modules():
        module.register_forward_pre_hook(lambda module, given: inputs.__setitem__(module, given[0]))
    with recording.segments_per_clip(x.shape[1]):
        attention(x.flatten(0, 1))
    units = {}
    for kind, module in zip(split_attention(setting)[0], (attention.first, attention.second), strict=False):
        stages = {unit.axis: unit.stages(inputs[unit]) for unit in module.children()}
        mean = sum(stages[axis].gate for axis in "THW") / 3 if "T" in stages else None
        for unit in sorted(module.children(), key=lambda unit: "CTHW".index(unit.axis)):
            gate = stages["C"].gate if unit.axis == "C" else mean
            x = inputs[module]
            units[unit.location.unit] = _unit(unit, kind, inputs[unit], stages[unit.axis], x, x * gate)
    return units


def _unit(unit: Unit, kind: str, unit_input: Tensor, stages: Stages, x: Tensor, product: Tensor) -> UnitTrace:
    bn = unit.bn
    return UnitTrace(
        unit=unit.location.unit,
        kind=kind,
        axes=AXES[unit.axis],
        unit_input=_array(unit_input),
        **{name: _array(values) for name, values in stages._asdict().items()},
        module_input=_array(x),
        product=_array(product),
        kernel=_array(unit.conv.weight),
        norm=Norm(*(float(value) for value in (bn.running_mean, bn.running_var, bn.weight, bn.bias, bn.eps))),
        channel_mean=unit.channel_mean,
    )


def _array(values: Tensor) -> np.ndarray:
    """The first of a batch."""
    return values[0].detach().float().cpu().numpy()


def _size(values: Tensor) -> float:
    return float(values.float().square().mean().sqrt())


def trace_view(lesson: BlockTrace, unit: str = "", channels: Sequence[int] | None = None) -> dict[str, Any]:
    """Makes of a lesson what a page needs to draw it: JSON types, some 100 kB to 300 kB.

    A packed array is `{"axes", "shape", "channels", "step", "low", "high", "bits", "data"}`. "shape" is that of the
    whole array; only the listed channels were packed, and of rows and columns only every `step`-th. "data" holds its
    values in C order, 8 or 16 `bits` each (little-endian, base64), from 0 for "low" to the largest for "high". A gate is
    packed without the axis that its unit pools away.

    Args:
        lesson: From `lesson`.
        unit: The unit whose stages are wanted; the first one by default.
        channels: Which channels of features and gates are packed; `lesson.channels` by default.

    Raises:
        AIAError: No such unit or channel.
    """
    shown = _shown(lesson, unit)
    channels = lesson.channels if channels is None else tuple(channels)
    count = lesson.x.shape[1]
    if not channels or not all(0 <= channel < count for channel in channels):
        raise AIAError(f"{lesson.block} has the channels 0 to {count - 1}; choose some of them.")
    around = sorted({c + d for c in channels for d in (-1, 0, 1)} & set(range(count)))  # what the kernel reads
    x = _Cut(lesson.x, "TCHW", channels, FEATURE_VALUES)
    gates = {name: _Cut(*_squeezed(one), channels, FEATURE_VALUES, x.step) for name, one in lesson.units.items()}
    largest = _Cut(shown.pooled[0], shown.axes, around, STAGE_VALUES)
    mean = _Cut(shown.pooled[1], shown.axes, around, STAGE_VALUES, largest.step)
    response = _Cut(shown.response, shown.axes, channels, STAGE_VALUES, largest.step)
    bits = 16 if sum(cut.values.size for cut in (x, *gates.values(), largest, mean, response)) <= FINE_VALUES else 8
    low, high = float(shown.normalised.min()), float(shown.normalised.max())
    kinds, combination = split_attention(lesson.attention)
    return {
        "network": lesson.network,
        "block": lesson.block,
        "blocks": [[name, *size] for name, size in lesson.blocks.items()],
        "unit": shown.unit,
        "units": list(lesson.units),
        "modules": list(kinds),
        "combination": combination,
        "shape": list(lesson.x.shape),
        "channels": list(channels),
        "means": _rounded(lesson.x.mean(axis=(0, 2, 3))[list(channels)]),
        "times": _rounded(lesson.times),
        "frames": [render.data_url(frame, PICTURE_PX) for frame in lesson.frames],
        "x": x.packed(bits),
        "gates": {name: cut.packed(bits) for name, cut in gates.items()},
        "max": largest.packed(bits),
        "mean": mean.packed(bits),
        "response": response.packed(bits),
        "axes": shown.axes,
        "kernel": _rounded(shown.kernel),
        "norm": {name: round(value, 8) for name, value in shown.norm._asdict().items()},
        "normalised": [low, high],
        "histogram": np.histogram(shown.normalised, BINS, (low, high))[0].tolist(),
        "channel_mean": shown.channel_mean,
        "sizes": {name: round(value, 6) for name, value in lesson.sizes.items()},
        "scores": _scores(lesson),
    }


def _shown(lesson: BlockTrace, unit: str) -> UnitTrace:
    names = tuple(lesson.units)
    if unit and unit not in names:
        raise AIAError(f"{lesson.block} has no unit {unit!r:.60}; choose one of {', '.join(names)}.")
    return lesson.units[unit or names[0]]


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


def _scores(lesson: BlockTrace) -> list[dict[str, Any]]:
    """The most probable labels as trained, and whatever is the most probable in another setting."""
    found = lesson.probabilities
    wanted = [*np.argsort(-found["trained"], kind="stable")[:TOP], *(p.argmax() for p in found.values())]
    return [
        {"label": lesson.labels[i], **{mode: round(float(p[i]), 6) for mode, p in found.items()}}
        for i in dict.fromkeys(int(i) for i in wanted)
    ]


def _rounded(values: np.ndarray) -> list:
    return np.round(values.astype(float), 6).tolist()
