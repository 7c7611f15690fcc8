"""The network for inference: batch norms folded, activations fused, gates in compiled passes; equal but for rounding.

`attention.py` and `network.py` stay the readable reference. What is made here is derived from a network's weights and made anew
when they change; it keeps a second copy of the trunk's weights, laid out as the processor likes them.

The compiled passes (`inference.c`) run where a C compiler is found; where not, or on a GPU, the modules of `attention.py` do.
"""

from __future__ import annotations

import copy
import ctypes
import math
import platform
import threading
from collections.abc import Callable
from functools import lru_cache
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.models import mobilenetv2, resnet

from aia.kernels import build
from aia.modeling import recording
from aia.modeling.attention import Attention, Unit
from aia.modeling.recording import DIMS

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
HALF_PRECISION_SIZE = 64  # px; from here on no strided convolution sees a feature two columns wide
RELU, RELU6, NONE = (0.0, math.inf), (0.0, 6.0), (-math.inf, math.inf)  # activations, as the range they hold values in
_LARGEST = torch.finfo(torch.float32).max  # infinity, to C code that knows none
_made: WeakKeyDictionary[nn.Module, tuple[str, _ChangeDetector, Backbone]] = WeakKeyDictionary()
_making = threading.Lock()
_thread = threading.local()

Backbone = Callable[[Tensor], Tensor]


class NotFinite(ArithmeticError):
    """A feature holds a value that is no number, or too large for one; the activations to come would hide it."""


def backbone(network: nn.Module, precision: str) -> Backbone:
    """The quick form of a network's trunk, or the trunk itself where somebody hooked one of its modules.

    Args:
        network: An `AIANet` in eval mode.
        precision: One of `PRECISIONS`: what features and the trunk's weights are; gates are always float32.

    Returns:
        A function from frames `[B * T, 3, H, W]` to features `[B * T, width]`.
    """
    known = _made.get(network)
    if known is None or known[0] != precision or known[1].changed():
        with _making, torch.inference_mode():
            make = _MobileNet if isinstance(network.backbone, mobilenetv2.MobileNetV2) else _ResNet
            known = (precision, _ChangeDetector(network.backbone), make(network.backbone, PRECISIONS[precision]))
            _made[network] = known
    return network.backbone if known[1].hooked() else known[2]


def best_precision(arch: str, device: torch.device) -> str:
    """The precision that is quickest on a device, as far as we measured: half precision pays for ResNets on some CPUs only.

    Args:
        arch: The backbone, one of `aia.modeling.config.ARCHS`.
        device: Where it runs.
    """
    if arch.startswith("resnet") and device.type == "cpu" and build.multiplies_bfloat16() and _passes(torch.bfloat16):
        return "bfloat16"
    return "float32"


def usable_precision(precision: str, size: int) -> str:
    """A precision for pictures with sides of `size` px or more: float32 for the smallest.

    oneDNN 3.10 gives wrong numbers in bfloat16 for a 3x3 convolution with stride 2 over features two columns wide.
    """
    return "float32" if size < HALF_PRECISION_SIZE else precision


class _ChangeDetector:
    """Sees whether a trunk's weights or modules are other ones than they were, or hooked; quickly, on every pass."""

    def __init__(self, trunk: nn.Module) -> None:
        self.modules = list(trunk.modules())
        self.parts = [(m._modules, name, part) for m in self.modules for name, part in m._modules.items()]
        self.weights = [
            (kept, name, tensor, _version(tensor))
            for m in self.modules
            for kept in (m._parameters, m._buffers)
            for name, tensor in kept.items()
            if tensor is not None and tensor.ndim
        ]

    def changed(self) -> bool:
        if any(kept.get(name) is not part for kept, name, part in self.parts):
            return True
        return any(
            kept.get(name) is not tensor or _version(tensor) != version for kept, name, tensor, version in self.weights
        )

    def hooked(self) -> bool:
        return any(module._forward_hooks or module._forward_pre_hooks for module in self.modules)


def _version(tensor: Tensor) -> int:
    """What grows when values are written into a tensor, and changes when they move."""
    return tensor.data_ptr() if tensor.is_inference() else tensor.data_ptr() + tensor._version


class _ResNet:
    def __init__(self, trunk: resnet.ResNet, dtype: torch.dtype) -> None:
        self.stem = _Conv(trunk.conv1, trunk.bn1, dtype, RELU)
        make = _Bottleneck if isinstance(trunk.layer1[0], resnet.Bottleneck) else _BasicBlock
        self.blocks = [
            make(block, dtype)
            for name in ("layer1", "layer2", "layer3", "layer4")
            for block in trunk.get_submodule(name)
        ]

    def __call__(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 3, stride=2, padding=1)
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3))


class _Bottleneck:
    def __init__(self, block: resnet.Bottleneck, dtype: torch.dtype) -> None:
        self.shift = block.shift
        self.first = _Conv(block.conv1, block.bn1, dtype, RELU)
        self.second, self.gate = _gated(block.conv2, block.bn2, block.attention, dtype, RELU)
        self.last = _Conv(block.conv3, block.bn3, dtype, RELU)
        self.shortcut = _shortcut(block, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        out = self.gate(self.second(self.first(self.shift(x))))
        return self.last(out, add=self.shortcut(x))


class _BasicBlock:
    def __init__(self, block: resnet.BasicBlock, dtype: torch.dtype) -> None:
        self.shift = block.shift
        self.first, self.gate = _gated(block.conv1, block.bn1, block.attention, dtype, RELU)
        self.last = _Conv(block.conv2, block.bn2, dtype, RELU)
        self.shortcut = _shortcut(block, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return self.last(self.gate(self.first(self.shift(x))), add=self.shortcut(x))


class _MobileNet:
    def __init__(self, trunk: mobilenetv2.MobileNetV2, dtype: torch.dtype) -> None:
        self.layers = [
            _Inverted(layer, dtype)
            if isinstance(layer, mobilenetv2.InvertedResidual)
            else _Conv(layer[0], layer[1], dtype, RELU6)
            for layer in trunk.features
        ]

    def __call__(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x.mean((2, 3))


class _Inverted:
    def __init__(self, block: mobilenetv2.InvertedResidual, dtype: torch.dtype) -> None:
        self.shift, self.add = block.shift, block.use_res_connect
        self.expand = _Conv(block.conv[0][0], block.conv[0][1], dtype, RELU6) if len(block.conv) == 4 else nn.Identity()
        conv, bn, *rest = block.depthwise
        self.depthwise, self.gate = _gated(conv, bn, rest[0], dtype, RELU6)
        self.project = _Conv(*block.conv[-2:], dtype, NONE)

    def __call__(self, x: Tensor) -> Tensor:
        out = self.gate(self.depthwise(self.expand(self.shift(x))))
        return self.project(out, add=x if self.add else None)


def _shortcut(block: nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return nn.Identity() if block.downsample is None else _Conv(*block.downsample, dtype, NONE)


def _gated(
    conv: nn.Conv2d, bn: nn.BatchNorm2d, attention: nn.Module, dtype: torch.dtype, activation: tuple[float, float]
):
    """A convolution and what gates it; the activation comes last, so it belongs to the one that does."""
    if isinstance(attention, Attention):
        return _Conv(conv, bn, dtype, NONE), _Gates(attention, activation, conv.weight.device, dtype)
    return _Conv(conv, bn, dtype, activation), nn.Identity()


class _Conv:
    """Convolution, batch norm, an addition and an activation in one, by oneDNN where PyTorch has its fused call."""

    def __init__(
        self, conv: nn.Conv2d, bn: nn.BatchNorm2d, dtype: torch.dtype, activation: tuple[float, float]
    ) -> None:
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
        )
        self.weight, self.bias = weight.to(dtype, memory_format=torch.channels_last), bias.to(dtype)
        self.where = conv.padding, conv.stride, conv.dilation, conv.groups
        self.activation = activation
        self.packed: Tensor | None = None
        self.fused = _fuses(self.weight)

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        padding, stride, dilation, groups = self.where
        if not self.fused:
            out = F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
            out = out if add is None else out.add_(add)
            return out if self.activation == NONE else out.clamp_(*self.activation)
        if self.packed is None:
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.where, list(x.shape))
        name, numbers = {RELU: ("relu", []), RELU6: ("hardtanh", [0.0, 6.0]), NONE: ("none", [])}[self.activation]
        run = torch.ops.mkldnn._convolution_pointwise
        if add is None:
            return run(x, self.packed, self.bias, *self.where, name, numbers, "")
        if min(add.shape[2:]) == 1:  # PyTorch may stride such axes in any way, but oneDNN does not take all for a sum
            return run(x, self.packed, self.bias, *self.where, "none", [], "").add_(add).clamp_(*self.activation)
        name = None if name == "none" else name
        return run(x, add, self.packed, self.bias, *self.where, "add", 1.0, name, numbers, "")


def _fuses(weight: Tensor) -> bool:
    """Whether the fused call is there, and known to be quick; it is PyTorch's own, for what its compiler makes on x86."""
    if weight.device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    half = weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return half or weight.dtype == torch.float32


class _Gates:
    """A block's module and the activation behind it; it may write into the feature it is given."""

    def __init__(
        self, attention: Attention, activation: tuple[float, float], device: torch.device, dtype: torch.dtype
    ) -> None:
        self.block, self.combination, self.activation = attention.block, attention.combination, activation
        modules = [module for module in (attention.first, attention.second) if module is not None]
        passes = _passes(dtype) if device.type == "cpu" else None
        self.reference = None if passes else copy.deepcopy(attention)
        self.modules = [_Module(module, passes) for module in modules] if passes else []

    def __call__(self, x: Tensor) -> Tensor:
        if self.reference is not None:
            return self.reference(x.float()).clamp(*self.activation).to(x.dtype)
        segments = recording.num_segments()
        v = (
            x.permute(0, 2, 3, 1).contiguous().unflatten(0, (-1, segments))
        )  # [B, T, H, W, C], no copy: channels lie last
        keep = recording.wants_features()
        first, *second = self.modules
        if self.combination == "average":
            out = (first(v) + second[0](v)).mul_(0.5)
        elif keep:
            out = first(v) if not second else second[0](first(v))
        else:
            for module in self.modules[:-1]:
                v = module(v, NONE, v)
            return self.modules[-1](v, self.activation, v).flatten(0, 1).permute(0, 3, 1, 2)
        if keep:
            recording.record_features(self.block, *(y.permute(0, 1, 4, 2, 3).float() for y in (v, out)))
        return out.clamp_(*self.activation).flatten(0, 1).permute(0, 3, 1, 2)


# The axes of a unit's kernel, and of its gate `[B, ...]`, in the order of `inference.c`, where C comes last.
_KERNEL = {"C": (0, 1, 2, 3), "T": (0, 2, 3, 1), "H": (0, 1, 3, 2), "W": (0, 1, 2, 3)}
_PUBLISHED = {"C": (0, 1, 2, 3), "T": (0, 3, 1, 2), "H": (0, 1, 3, 2), "W": (0, 1, 3, 2)}  # the gate, back from it
_OURS = {"C": (0, 1, 2, 3), "T": (0, 2, 3, 1), "H": (0, 1, 3, 2), "W": (0, 1, 3, 2)}


class _Module:
    """C, ST, CinST or STinC on `[B, T, H, W, C]`."""

    def __init__(self, module: nn.Module, passes: ctypes.CDLL) -> None:
        self.kind, self.passes = type(module).__name__, passes
        self.units: dict[str, Unit] = {unit.axis: unit for unit in module.children()}
        self.taps, self.shifts = {}, {}
        for axis, unit in self.units.items():
            scale = unit.bn.weight * torch.rsqrt(unit.bn.running_var + unit.bn.eps)
            self.taps[axis] = (unit.conv.weight[0] * scale).permute(_KERNEL[axis]).contiguous()
            self.shifts[axis] = (unit.bn.bias - unit.bn.running_mean * scale).item()

    def __call__(self, x: Tensor, activation: tuple[float, float] = NONE, out: Tensor | None = None) -> Tensor:
        """Gates x into `out`, which may be x itself, and holds the values in the activation's range."""
        if self.kind in ("C", "CinST"):
            u = self._gate_c(x)
        if self.kind != "C":
            thw = self._gates_thw(x, u if self.kind == "CinST" else None)
        if self.kind == "STinC":
            u = self._gate_c(x, *thw)
        gates = (u,) if self.kind in ("C", "STinC") else thw
        out = torch.empty_like(x) if out is None else out
        low, high = (max(-_LARGEST, min(_LARGEST, value)) for value in activation)
        apply = self.passes.apply_c if len(gates) == 1 else self.passes.apply_thw
        build.call(apply, x, *gates, *x.shape, low, high, out)
        return out

    def _gates_thw(self, x: Tensor, u: Tensor | None) -> tuple[Tensor, ...]:
        b, t, h, w, c = x.shape
        shapes = {"T": (b, h, w, c), "H": (b, t, w, c), "W": (b, t, h, c)}
        gates = {axis: torch.empty(shape) for axis, shape in shapes.items()}
        taps, shifts = [self.taps[axis] for axis in "THW"], [self.shifts[axis] for axis in "THW"]
        self._gate("gates_thw", x, u, *x.shape, *taps, *shifts, self._room(x), *gates.values())
        return tuple(_visited(self.units[axis], gate) for axis, gate in gates.items())

    def _gate_c(self, x: Tensor, *thw: Tensor) -> Tensor:
        gate = torch.empty(x.shape[:4])
        self._gate("gate_c", x, *(thw or (None,) * 3), *x.shape, self.taps["C"], self.shifts["C"], self._room(x), gate)
        return _visited(self.units["C"], gate)

    def _gate(self, name: str, *arguments: Tensor | float | int | None) -> None:
        if build.call(getattr(self.passes, name), *arguments):
            raise NotFinite

    def _room(self, x: Tensor) -> Tensor:
        """Room for pooled maps, kept by the thread: fresh memory costs as much as filling it."""
        size = _room(self.passes, x.shape)
        if getattr(_thread, "room", None) is None or _thread.room.nbytes < size:
            _thread.room = torch.empty(size, dtype=torch.uint8)
        return _thread.room


@lru_cache(maxsize=256)
def _room(passes: ctypes.CDLL, shape: torch.Size) -> int:
    return passes.room(*shape)


def _visited(unit: Unit, gate: Tensor) -> Tensor:
    """The gate after the recorder and the switches saw it, in the order of `inference.c`."""
    if unit.channel_mean:
        gate = gate.mean(-1, keepdim=True).expand_as(gate).contiguous()
    if not recording.is_recording():
        return gate
    dim = DIMS[unit.axis]
    published = gate.permute(_PUBLISHED[unit.axis]).unsqueeze(dim)
    seen = recording.record_gate(unit.location, published)
    return gate if seen is published else seen.squeeze(dim).permute(_OURS[unit.axis]).contiguous()


def _passes(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The functions of `inference.c` for features of a type, or None where they cannot be had."""
    if dtype == torch.float32:
        return build.library("inference.c")
    return build.library("inference.c", "BFLOAT16") if dtype == torch.bfloat16 else None
