"""The network for inference: batch norms folded, activations fused, gates in compiled passes; equal except for rounding.

`attention.py` and `blocks.py` are the readable reference. The quick form is derived from a network's weights, and again after
they change. PyTorch does not count writes through `.data`, so call `AIANet.optimize` after them. The quick form keeps a second
copy of the trunk's weights, in the memory layout that the processor prefers.

The gates run in compiled passes (`inference.c`) on a CPU with a C compiler, and otherwise as `attention.py` writes them.
"""

from __future__ import annotations

import copy
import ctypes
import math
import platform
import threading
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from aia.kernels import build, layout
from aia.modeling import recording
from aia.modeling.attention import ST, C, CinST, STinC, Unit
from aia.modeling.blocks import Attention, BasicBlock, Bottleneck, InvertedResidual
from aia.modeling.fast_training import has_hooks

if TYPE_CHECKING:
    from aia.modeling.backbones import Backbone
    from aia.modeling.network import AIANet

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
HALF_PRECISION_SIZE = 64  # px; from this size on no strided convolution sees a feature two columns wide

Range = tuple[float, float]
RELU, RELU6, NONE = (0.0, math.inf), (0.0, 6.0), (-math.inf, math.inf)  # activations, as the range they clamp to
_LARGEST = torch.finfo(torch.float32).max  # stands for infinity in C, which is compiled with -ffinite-math-only

Trunk = Callable[[Tensor], Tensor]  # frames [B * T, 3, H, W] -> features [B * T, width]

_compiled: WeakKeyDictionary[nn.Module, tuple[str, _ChangeDetector, Trunk]] = WeakKeyDictionary()
_compiling = threading.Lock()
_thread = threading.local()


class NotFinite(ArithmeticError):
    """A feature holds an infinite value or NaN, which the next activation would hide."""


def quick_trunk(network: AIANet, make: Callable[[nn.Module, torch.dtype], Trunk], precision: str) -> Trunk:
    """The quick form of a network's trunk, or the trunk itself if any of its modules has hooks.

    Args:
        network: In eval mode.
        make: Makes the quick form, see `Backbone.quick`.
        precision: One of `PRECISIONS`, of features and of the trunk's weights; gates are always float32.
    """
    known = _compiled.get(network)
    if known is None or known[0] != precision or known[1].changed():
        detector = _ChangeDetector(network.backbone)
        if detector.hooked():  # the quick form may hold copies of modules, and they would keep the hooks
            return network.backbone
        with _compiling, torch.inference_mode():
            known = (precision, detector, make(network.backbone, PRECISIONS[precision]))
            _compiled[network] = known
    return network.backbone if known[1].hooked() else known[2]


def forget(network: nn.Module) -> None:
    """Drops a network's quick form, so that the next pass derives it anew."""
    _compiled.pop(network, None)


def best_precision(backbone: Backbone, device: torch.device) -> str:
    """The quickest precision on a device, as far as measured: half precision pays for ResNets on some CPUs only.

    Args:
        backbone: Of the network.
        device: Where it runs.
    """
    half = backbone.half_is_quick and device.type == "cpu" and build.multiplies_bfloat16()
    return "bfloat16" if half and _passes(torch.bfloat16) else "float32"


def usable_precision(precision: str, size: int) -> str:
    """A precision for pictures with sides of `size` px or more: float32 for the smallest.

    oneDNN 3.10 gives wrong numbers in bfloat16 for a 3x3 convolution with stride 2 over features two columns wide.
    """
    return "float32" if size < HALF_PRECISION_SIZE else precision


class _ChangeDetector:
    """Detects whether a trunk's weights or modules have changed, or have hooks; quickly, on every pass."""

    def __init__(self, trunk: nn.Module) -> None:
        self.modules = list(trunk.modules())
        self.parts = [(m._modules, name, part) for m in self.modules for name, part in m._modules.items()]
        self.weights: list[tuple[MutableMapping[str, Any], str, Tensor, int]] = [
            (kept, name, tensor, _version(tensor))
            for m in self.modules
            for kept in (m._parameters, m._buffers)
            for name, tensor in kept.items()
            if tensor is not None and tensor.ndim
        ]

    def changed(self) -> bool:
        """Whether weights or modules are others or were written to; writes through `.data` are not counted."""
        if any(kept.get(name) is not part for kept, name, part in self.parts):
            return True
        return any(
            kept.get(name) is not tensor or _version(tensor) != version for kept, name, tensor, version in self.weights
        )

    def hooked(self) -> bool:
        return any(map(has_hooks, self.modules))


def _version(tensor: Tensor) -> int:
    """A number that changes when a tensor's values are written to or move."""
    return tensor.data_ptr() if tensor.is_inference() else tensor.data_ptr() + tensor._version


class QuickResNet:
    """The quick form of `blocks.resnet_trunk`."""

    def __init__(self, trunk: Any, dtype: torch.dtype) -> None:
        self.stem = _Conv(trunk.conv1, trunk.bn1, dtype, RELU)
        make: Callable[[Any, torch.dtype], Trunk] = (
            _QuickBottleneck if isinstance(trunk.layer1[0], Bottleneck) else _QuickBasicBlock
        )
        stages = trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4
        self.blocks = [make(block, dtype) for stage in stages for block in stage]

    def __call__(self, x: Tensor) -> Tensor:
        """Frames `[B * T, 3, H, W]` -> features `[B * T, width]`."""
        x = F.max_pool2d(self.stem(x), 3, stride=2, padding=1)
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3))


class _QuickBottleneck:
    def __init__(self, block: Bottleneck, dtype: torch.dtype) -> None:
        self.shift = block.shift
        self.first = _Conv(block.conv1, block.bn1, dtype, RELU)
        self.second, self.gate = _gated(block.conv2, block.bn2, block.attention, dtype, RELU)
        self.last = _Conv(block.conv3, block.bn3, dtype, RELU)
        self.shortcut = _shortcut(block, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        out = self.gate(self.second(self.first(self.shift(x))))
        return self.last(out, add=self.shortcut(x))


class _QuickBasicBlock:
    def __init__(self, block: BasicBlock, dtype: torch.dtype) -> None:
        self.shift = block.shift
        self.first, self.gate = _gated(block.conv1, block.bn1, block.attention, dtype, RELU)
        self.last = _Conv(block.conv2, block.bn2, dtype, RELU)
        self.shortcut = _shortcut(block, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return self.last(self.gate(self.first(self.shift(x))), add=self.shortcut(x))


class QuickMobileNet:
    """The quick form of `blocks.mobilenet_trunk`."""

    def __init__(self, trunk: Any, dtype: torch.dtype) -> None:
        self.layers: list[Trunk] = [
            _QuickInverted(layer, dtype)
            if isinstance(layer, InvertedResidual)
            else _Conv(layer[0], layer[1], dtype, RELU6)
            for layer in trunk.features
        ]

    def __call__(self, x: Tensor) -> Tensor:
        """Frames `[B * T, 3, H, W]` -> features `[B * T, width]`."""
        for layer in self.layers:
            x = layer(x)
        return x.mean((2, 3))


class _QuickInverted:
    def __init__(self, block: InvertedResidual, dtype: torch.dtype) -> None:
        self.shift, self.add = block.shift, block.use_res_connect
        self.expand = _Conv(block.conv[0][0], block.conv[0][1], dtype, RELU6) if len(block.conv) == 4 else nn.Identity()
        depthwise: Any = block.depthwise
        self.depthwise, self.gate = _gated(depthwise[0], depthwise[1], depthwise[2], dtype, RELU6)
        self.project = _Conv(block.conv[-2], block.conv[-1], dtype, NONE)

    def __call__(self, x: Tensor) -> Tensor:
        out = self.gate(self.depthwise(self.expand(self.shift(x))))
        return self.project(out, add=x if self.add else None)


def _shortcut(block: Bottleneck | BasicBlock, dtype: torch.dtype) -> Trunk:
    return nn.Identity() if block.downsample is None else _Conv(block.downsample[0], block.downsample[1], dtype, NONE)


def _gated(
    conv: nn.Conv2d, bn: nn.BatchNorm2d, attention: nn.Module, dtype: torch.dtype, activation: Range
) -> tuple[_Conv, Trunk]:
    """A convolution and the gates after it. The activation comes after the gates if there are any."""
    if isinstance(attention, Attention):
        return _Conv(conv, bn, dtype, NONE), _Gates(attention, activation, conv.weight.device, dtype)
    return _Conv(conv, bn, dtype, activation), nn.Identity()


class _Conv:
    """Convolution, batch norm, an addition and an activation in one, by oneDNN if PyTorch has its fused call."""

    def __init__(self, conv: nn.Conv2d, bn: nn.BatchNorm2d, dtype: torch.dtype, activation: Range) -> None:
        assert bn.running_mean is not None and bn.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
        )
        self.weight, self.bias = weight.to(dtype, memory_format=torch.channels_last), bias.to(dtype)
        self.geometry = conv.padding, conv.stride, conv.dilation, conv.groups
        self.activation = activation
        self.packed: Tensor | None = None
        self.fused = _fuses(self.weight)

    def __call__(self, x: Tensor, add: Tensor | None = None) -> Tensor:
        return self._fused(x, add) if self.fused else self._plain(x, add)

    def _plain(self, x: Tensor, add: Tensor | None) -> Tensor:
        padding, stride, dilation, groups = self.geometry
        out = F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
        out = out if add is None else out.add_(add)
        return out if self.activation == NONE else out.clamp_(*self.activation)

    def _fused(self, x: Tensor, add: Tensor | None) -> Tensor:
        if self.packed is None:
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.geometry, list(x.shape))
        names: dict[Range, tuple[str, list[float]]] = {RELU: ("relu", []), RELU6: ("hardtanh", [0.0, 6.0])}
        name, numbers = names.get(self.activation, ("none", []))
        run = torch.ops.mkldnn._convolution_pointwise
        out: Tensor
        if add is None:
            out = run(x, self.packed, self.bias, *self.geometry, name, numbers, "")
        elif min(add.shape[2:]) == 1:  # such axes may have any stride in PyTorch, and oneDNN's sum does not accept all
            out = run(x, self.packed, self.bias, *self.geometry, "none", [], "").add_(add).clamp_(*self.activation)
        else:
            after = None if name == "none" else name
            out = run(x, add, self.packed, self.bias, *self.geometry, "add", 1.0, after, numbers, "")
        return out


def _fuses(weight: Tensor) -> bool:
    """Whether PyTorch has the fused call and it is known to be quick: it is meant for PyTorch's own compiler, on x86."""
    if weight.device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # PyTorch's own has no types
    if not available or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    half = weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return half or weight.dtype == torch.float32


class _Gates:
    """A block's AIA and the activation after it; it may overwrite its input."""

    def __init__(self, attention: Attention, activation: Range, device: torch.device, dtype: torch.dtype) -> None:
        self.block, self.combination, self.activation = attention.block, attention.combination, activation
        modules = [module for module in (attention.first, attention.second) if module is not None]
        compiled = device.type == "cpu" and all(type(module) in _STEPS for module in modules)
        passes = _passes(dtype) if compiled else None
        self.reference = None if passes else copy.deepcopy(attention).float()
        self.modules = [_Module(module, passes) for module in modules] if passes else []

    def __call__(self, x: Tensor) -> Tensor:
        if self.reference is not None:
            gated: Tensor = self.reference(x.float())
            return gated.clamp(*self.activation).to(x.dtype)
        v = recording.split_clips(x.permute(0, 2, 3, 1).contiguous())  # [B, T, H, W, C], no copy: channels are last
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


_STEPS = {C: b"Cx", ST: b"GX", CinST: b"CgX", STinC: b"Gcx"}  # each module's steps in `inference.c`
_COMPUTES: dict[str, tuple[layout.Axis, ...]] = {"C": ("C",), "c": ("C",), "G": ("T", "H", "W"), "g": ("T", "H", "W")}
_GATES: tuple[layout.Axis, ...] = ("T", "H", "W", "C")  # in their order in memory


class _Module:
    """One of `_STEPS` on `[B, T, H, W, C]`."""

    def __init__(self, module: nn.Module, passes: ctypes.CDLL) -> None:
        self.steps, self.passes = _STEPS[type(module)], passes
        self.units = {unit.axis: unit for unit in module.children() if isinstance(unit, Unit)}
        taps: dict[layout.Axis, Tensor] = {}
        shifts: dict[layout.Axis, float] = {}
        for axis, unit in self.units.items():
            assert unit.bn.running_mean is not None and unit.bn.running_var is not None
            scale = unit.bn.weight * torch.rsqrt(unit.bn.running_var + unit.bn.eps)
            taps[axis] = (unit.conv.weight[0] * scale).float().permute(layout.KERNEL[axis]).contiguous()
            shifts[axis] = (unit.bn.bias - unit.bn.running_mean * scale).item()
        self.averages = any(unit.channel_mean for unit in self.units.values())
        self.weights = [*map(taps.get, _GATES), *(shifts.get(axis, 0.0) for axis in _GATES)]

    def __call__(self, x: Tensor, activation: Range = NONE, out: Tensor | None = None) -> Tensor:
        """Gates x into `out`, which may be x itself, and clamps the values to the activation's range."""
        b, t, h, w, c = x.shape
        out = torch.empty_like(x) if out is None else out
        changed = self.averages or recording.has_switches()
        maps = _kept("maps", _workspace_bytes(self.passes, x.shape))
        size, kept = b * (h * w * c + t * w * c + t * h * c + t * h * w), recording.is_recording()
        fresh = kept or changed  # a recorded gate stays; the defaults of PyTorch may be other than float32 and the CPU
        gates = torch.empty(size, dtype=torch.float32, device="cpu") if fresh else _kept("gates", 4 * size)
        low, high = (max(-_LARGEST, min(_LARGEST, value)) for value in activation)
        # A changed gate is computed in a step of its own, before the steps that use it.
        for steps in [self.steps[i : i + 1] for i in range(len(self.steps))] if changed else [self.steps]:
            if build.call(self.passes.run, steps, x, b, t, h, w, c, *self.weights, maps, gates, low, high, out):
                raise NotFinite
            if kept or changed:
                self._record(steps, gates, (b, t, h, w, c))
        return out

    def _record(self, steps: bytes, gates: Tensor, shape: tuple[int, int, int, int, int]) -> None:
        """Records the gates that some steps computed, and writes the changed ones where the next steps read them."""
        b, t, h, w, c = shape
        shapes = (b, h, w, c), (b, t, w, c), (b, t, h, c), (b, t, h, w)
        parts = torch.split(gates, [math.prod(part) for part in shapes])
        computed = {axis for step in steps.decode() for axis in _COMPUTES.get(step, ())}
        for axis, part, part_shape in zip(_GATES, parts, shapes, strict=True):
            if axis in computed:
                gate = part.view(part_shape)
                used = _recorded(self.units[axis], gate)
                if used is not gate:
                    gate.copy_(used)


def _kept(name: str, size: int) -> Tensor:
    """A buffer that the thread keeps and reuses: getting fresh memory costs as much as filling it, and it is in no cache."""
    memory: Tensor | None = getattr(_thread, name, None)
    if memory is None or memory.nbytes < size:
        memory = torch.empty(size, dtype=torch.uint8, device="cpu")
        setattr(_thread, name, memory)
    return memory


@lru_cache(maxsize=256)
def _workspace_bytes(passes: ctypes.CDLL, shape: torch.Size) -> int:
    passes.workspace_bytes.restype = ctypes.c_size_t  # ctypes would take it for an int, in which 2 GiB are negative
    return int(passes.workspace_bytes(*shape))


def _recorded(unit: Unit, gate: Tensor) -> Tensor:
    """The gate, recorded and switched, in the order of `layout.h`."""
    if unit.channel_mean:
        gate = gate.mean(-1, keepdim=True).expand_as(gate).contiguous()
    if not recording.is_recording():
        return gate
    dim = layout.DIMS[unit.axis]
    computed = gate.permute(layout.TO_REFERENCE[unit.axis]).unsqueeze(dim)
    used = recording.record_gate(unit.location, computed)
    return gate if used is computed else used.squeeze(dim).permute(layout.FROM_REFERENCE[unit.axis]).contiguous()


def _passes(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The functions of `inference.c` for features of a type, or None if they cannot be compiled."""
    if dtype == torch.float32:
        return build.library("inference.c")
    return build.library("inference.c", "BFLOAT16") if dtype == torch.bfloat16 else None
