"""One block's attention on one clip, stage by stage, as the network computed it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aia.errors import AIAError
from aia.modeling import recording
from aia.modeling.attention import AXES, Stages, Unit
from aia.modeling.attention_settings import ATTENTION_SETTINGS
from aia.modeling.blocks import Attention
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess, seen_box
from aia.modeling.recording import Switch
from aia.video.clip import Clip

SETTINGS = ("trained", "mean", "identity")  # of the block's gates, one forward pass each


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
        normalized: The response after batch norm, `[*axes]`.
        gate: As it was used: C `[T, 1, H, W]`, T `[1, C, H, W]`, H `[T, C, 1, W]`, W `[T, C, H, 1]`.
        module_input: The input X of its module, `[T, C, H, W]`.
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
    normalized: np.ndarray
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
    for kind, module in zip(ATTENTION_SETTINGS[setting].kinds, (attention.first, attention.second), strict=False):
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
