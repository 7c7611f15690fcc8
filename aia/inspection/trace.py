"""One block's attention on one clip, stage by stage, as the network computed it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn

from aia import _moved
from aia.errors import AIAError
from aia.inspection.inspection import clip_for, probabilities
from aia.modeling import recording
from aia.modeling.attention import AXES, Stages, Unit
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.blocks import Attention
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess, seen_box
from aia.modeling.recording import Switch
from aia.video.clip import Clip

GateSetting = Literal["trained", "mean", "identity"]
SETTINGS: tuple[GateSetting, ...] = get_args(GateSetting)  # of the block's gates, one forward pass each
_AXES = "CTHW"  # units are listed in this order

__getattr__ = _moved.renamed(
    __name__,
    {
        "Lesson": "aia.inspection.trace:BlockTrace",
        "UnitLesson": "aia.inspection.trace:UnitTrace",
        "lesson": "aia.inspection.trace:trace_block",
        "lesson_view": "aia.visualization.trace_view:trace_view",
    },
)


class Norm(NamedTuple):
    """A unit's batch norm, which turns a response r into weight (r - mean) / sqrt(var + eps) + bias."""

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
        kind: The module that the unit belongs to, such as "cinst".
        axes: The three axes of the pooled maps, the response and the kernel, such as "CHW".
        unit_input: The feature that the unit pools, `[T, C, H, W]`.
        pooled: Maximum and mean over the unit's axis, `[2, *axes]`.
        response: Output of the 3-D convolution, `[*axes]`.
        normalized: The response after batch norm, `[*axes]`.
        gate: The gate as it was used: C `[T, 1, H, W]`, T `[1, C, H, W]`, H `[T, C, 1, W]`, W `[T, C, H, 1]`.
        module_input: The input X of the unit's module, `[T, C, H, W]`.
        product: X . U_C, or X . G with the mean G of the three gates, `[T, C, H, W]`.
        kernel: Weights of the convolution for the maximum and the mean, `[2, 3, 3, 3]`.
        norm: The parameters of the batch norm.
        channel_mean: Whether the gate was averaged over channels before use (STinC until 2022-08-05).
    """

    unit: str
    kind: str
    axes: str
    unit_input: np.ndarray
    pooled: np.ndarray
    response: np.ndarray
    normalized: np.ndarray
    gate: np.ndarray
    module_input: np.ndarray
    product: np.ndarray
    kernel: np.ndarray
    norm: Norm
    channel_mean: bool

    def __repr__(self) -> str:
        return f"UnitTrace({self.unit!r} of {self.kind!r}, gate {'x'.join(map(str, self.gate.shape))})"


@dataclass(frozen=True, eq=False)
class BlockTrace:
    """Every stage of one block's attention on one clip.

    Attributes:
        network: The network in the paper's words, such as "TSM with CinST".
        attention: The network's setting, such as "cinst".
        block: The block's name.
        blocks: Height and width of every block's feature.
        x: The block's input X, `[T, C, H, W]`.
        units: The stages of every unit, by the unit's name.
        output: The block's output, `[T, C, H, W]`.
        frames: The part of the frames that the network saw, RGB uint8 `[T, h, w, 3]`.
        times: The frames' presentation times, seconds `[T]`.
        labels: Class names.
        probabilities: For each of `SETTINGS`, `[classes]`: with the block's gates as trained, at their mean, and at 1.
        sizes: Root mean square of the block's "input", and of its output in each of `SETTINGS`.
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
    probabilities: Mapping[GateSetting, np.ndarray]
    sizes: Mapping[str, float]

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.x.shape))
        return f"BlockTrace({self.block!r} of {self.network!r}, units {', '.join(self.units)}, X of {shape})"

    @property
    def channels(self) -> tuple[int, ...]:
        """The three channels with the largest mean of X, and the one with the smallest."""
        order = np.argsort(-self.x.mean(axis=(0, 2, 3)), kind="stable")
        return (*order[:3].tolist(), int(order[-1]))


def trace_block(model: AIANet, clip: Clip | str | os.PathLike[str], block: str) -> BlockTrace:
    """Runs a clip through a network and keeps every stage of one block's attention. Safe to call from several threads.

    Args:
        model: From `aia.load`, with AIA.
        clip: From `aia.read_clip`, or the path of a video.
        block: One of the model's `block_names`.

    Raises:
        AIAError: The model has no AIA or no such block, the video cannot be read or is too narrow for the model, or the
            logits are not finite.
    """
    attention = _attention(model, block)
    clip = clip_for(model, clip)
    x = preprocess(clip.frames, model.config).to(model.device)
    with torch.inference_mode():
        passes = {mode: _run(model, x, block, () if mode == "trained" else (Switch(mode, block),)) for mode in SETTINGS}
        probabilities(model, passes["trained"].logits)  # refuses numbers that are not finite
        trained = passes["trained"].recorded
        feature = trained.inputs[block]
        units = _units(attention, model.config.attention, feature)
    shapes = {
        name: [gate.shape for location, gate in trained.gates.items() if location.block == name]
        for name in model.block_names
    }
    height, width = clip.frames.shape[1:3]
    box = np.array(seen_box(height, width, model.config)) * (width, height, width, height)
    left, top, right, bottom = box.round().astype(int)
    return BlockTrace(
        network=model.config.method,
        attention=model.config.attention,
        block=block,
        blocks={name: (size[3], size[4]) for name, gates in shapes.items() for size in [np.broadcast_shapes(*gates)]},
        x=_array(feature),
        units=units,
        output=_array(trained.outputs[block]),
        frames=clip.frames[:, top : max(bottom, top + 1), left : max(right, left + 1)],
        times=clip.times,
        labels=model.config.labels,
        probabilities={
            mode: done.logits.div(model.config.temperature).softmax(0).numpy() for mode, done in passes.items()
        },
        sizes={"input": _size(feature), **{mode: _size(done.recorded.outputs[block]) for mode, done in passes.items()}},
    )


def _attention(model: AIANet, block: str) -> Attention:
    modules = {module.block: module for module in model.modules() if isinstance(module, Attention)}
    if not modules:
        raise AIAError("This model has no AIA, so there is no attention to follow; choose one with AIA, such as CinST.")
    if block not in tuple(modules):
        raise AIAError(f"This model has no block {block!r:.60}; choose one of {', '.join(modules)}.")
    return modules[block]


class _Pass(NamedTuple):
    """One forward pass: the clip's logits on the CPU, and the recording, with the features of one block only."""

    logits: Tensor
    recorded: recording.Recording


def _run(model: AIANet, x: Tensor, block: str, switches: Sequence[Switch]) -> _Pass:
    with recording.recording(switches, features=True) as recorded:
        recorded.inputs, recorded.outputs = _OneBlock(block), _OneBlock(block)
        return _Pass(model(x)[0].float().cpu(), recorded)


class _OneBlock(dict[str, Tensor]):
    """Keeps one block's feature of a recording and drops the others."""

    def __init__(self, block: str) -> None:
        self.block = block

    def __setitem__(self, block: str, feature: Tensor) -> None:
        if block == self.block:
            super().__setitem__(block, feature)


def _units(attention: Attention, setting: str, x: Tensor) -> dict[str, UnitTrace]:
    """Runs the block's attention on its input `[1, T, C, H, W]` again, in another module: the model gets no hooks."""
    again = Attention(setting, attention.block).to(x.device, torch.float32).eval()
    again.load_state_dict(attention.state_dict())
    inputs: dict[nn.Module, Tensor] = {}
    for module in again.modules():
        module.register_forward_pre_hook(partial(_keep_input, inputs))
    with recording.segments_per_clip(x.shape[1]):
        again(x.flatten(0, 1).float())
    traces = {}
    modules = [module for module in (again.first, again.second) if module is not None]
    for kind, module in zip(ATTENTION_SETTINGS[setting].kinds, modules, strict=True):
        units = sorted((u for u in module.children() if isinstance(u, Unit)), key=lambda unit: _AXES.index(unit.axis))
        stages = {unit.axis: unit.stages(inputs[unit]) for unit in units}
        for unit in units:
            gate = (
                stages["C"].gate if unit.axis == "C" else (stages["T"].gate + stages["H"].gate + stages["W"].gate) / 3
            )
            traces[unit.location.unit] = _unit(unit, kind, inputs[unit], stages[unit.axis], inputs[module], gate)
    return traces


def _keep_input(inputs: dict[nn.Module, Tensor], module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    inputs[module] = arguments[0]


def _unit(unit: Unit, kind: str, unit_input: Tensor, stages: Stages, x: Tensor, gate: Tensor) -> UnitTrace:
    """The trace of one unit; `gate` is what multiplies the module's input `x`."""
    bn = unit.bn
    norm = (value for value in (bn.running_mean, bn.running_var, bn.weight, bn.bias, bn.eps) if value is not None)
    return UnitTrace(
        unit=unit.location.unit,
        kind=kind,
        axes=AXES[unit.axis],
        unit_input=_array(unit_input),
        **{name: _array(values) for name, values in stages._asdict().items()},
        module_input=_array(x),
        product=_array(x * gate),
        kernel=_array(unit.conv.weight),
        norm=Norm(*map(float, norm)),
        channel_mean=unit.channel_mean,
    )


def _array(values: Tensor) -> np.ndarray:
    """The first of a batch."""
    array: np.ndarray = values[0].detach().float().cpu().numpy()
    return array


def _size(values: Tensor) -> float:
    return float(values.float().square().mean().sqrt())
