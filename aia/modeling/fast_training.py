"""AIA's modules for training: few compiled passes over the feature on the CPU, differentiable, equal to `attention.py`.

Without them the gates cost several times as much as a small trunk. `attention.py` is the reference, and runs if there is no C
compiler. Inference has its own passes, see `fast_inference.py`.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from aia.kernels import build, layout
from aia.modeling import recording
from aia.modeling.attention import ST, C, CinST, STinC, Unit

log = logging.getLogger(__name__)
GPU_TYPES = torch.float32, torch.bfloat16, torch.float16  # of features, for `training_triton.py`
Gates = tuple[Tensor, Tensor, Tensor]  # of T, H and W


def library() -> ctypes.CDLL | None:
    """The compiled passes, or None if they cannot be compiled."""
    return build.library("training.c")


def usable(module: nn.Module, x: Tensor) -> bool:
    """Whether the compiled passes give what a module of `attention.py` gives for a feature.

    On a GPU only in training, since each new shape is compiled.
    """
    if type(module) not in _FORWARD or has_hooks(module) or not all(map(_is_plain, module.children())):
        return False
    if x.device.type == "cuda":
        return torch.is_grad_enabled() and x.dtype in GPU_TYPES and _gpu() is not None
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and library() is not None
    )


def has_hooks(module: nn.Module) -> bool:
    """Whether a module has hooks of its own, which run only if the module is called."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def _is_plain(unit: nn.Module) -> bool:
    """Whether a unit is as `attention.py` builds it, which is what the compiled passes compute."""
    if not isinstance(unit, Unit) or unit.channel_mean:  # the STinC of before 2022-08-05 is converted, never trained
        return False
    conv, bn = unit.conv, unit.bn
    return (
        type(conv) is nn.Conv3d
        and type(bn) is nn.BatchNorm3d  # and not SyncBatchNorm, whose statistics are those of all processes
        and bn.momentum is not None
        and conv.weight.dtype == bn.weight.dtype == torch.float32
        and not any(map(has_hooks, (unit, conv, bn)))
    )


@cache
def _gpu() -> Any:
    """The passes in Triton, or None if it is missing or cannot compile for this GPU."""
    try:
        passes = import_module("aia.kernels.training_triton")
        one = torch.ones(1, 1, 1, 1, 1, device="cuda")
        passes.apply_c(one, one, 1, 1, 1, 1, 1, torch.empty_like(one))
    except Exception as error:  # of Triton, its compiler or the driver
        log.warning("Training without compiled passes on the GPU: %s", type(error).__name__)
        return None
    return passes


def _call(name: str, x: Tensor, *arguments: Tensor | int | None) -> None:
    if _on_gpu(x):
        with torch.cuda.device(x.device) if x.is_cuda else nullcontext():
            getattr(_gpu(), name)(x, *arguments)
    else:
        build.call(getattr(library(), name), x, *arguments)


def _on_gpu(x: Tensor) -> bool:
    return x.device.type == "cuda"


class _PoolTHW(torch.autograd.Function):
    """x `[B, T, H, W, C]`, u `[B, T, H, W]` or None -> max and mean of x . u over T, over H and over W."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, u: Tensor | None) -> Gates:
        b, t, h, w, c = x.shape
        shapes = (b, h, w, c), (b, t, w, c), (b, t, h, c)
        pt, ph, pw = (x.new_empty(s[0], 2, *s[1:], dtype=torch.float32) for s in shapes)
        train, index = any(ctx.needs_input_grad), torch.int16 if _on_gpu(x) else torch.int32
        args = [x.new_empty(s, dtype=index) if train else None for s in shapes]
        _call("pool_thw", x, u, *x.shape, pt, ph, pw, *args)
        if train:
            ctx.save_for_backward(x, u, *args)
        return pt, ph, pw

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        x, u, *args = ctx.saved_tensors
        dx, du = torch.empty_like(x), None if u is None else torch.empty_like(u)
        _call("pool_thw_backward", x, u, *x.shape, *(g.contiguous() for g in grads), *args, dx, du)
        return dx, du


class _PoolC(torch.autograd.Function):
    """Max and mean over C of x `[B, T, H, W, C]`, or of x . G if gates are given -> `[B, 2, T, H, W]`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *gates: Tensor) -> Tensor:
        pooled = x.new_empty(x.shape[0], 2, *x.shape[1:4], dtype=torch.float32)
        train = any(ctx.needs_input_grad)
        arg = x.new_empty(x.shape[:4], dtype=torch.int32) if train else None
        _call("pool_c", x, *(gates or (None,) * 3), *x.shape, pooled, arg)
        if train:
            ctx.save_for_backward(x, arg, *gates)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, arg, *gates = ctx.saved_tensors
        dx, dgates = torch.empty_like(x), [torch.empty_like(g) for g in gates]
        none = (None,) * 3
        _call("pool_c_backward", x, *(gates or none), grad.contiguous(), arg, *x.shape, dx, *(dgates or none))
        return dx, *dgates


class _ApplyTHW(torch.autograd.Function):
    """x . (T + H + W) / 3."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *gates: Tensor) -> Tensor:
        ctx.save_for_backward(x, *gates)
        y = torch.empty_like(x)
        _call("apply_thw", x, *gates, *x.shape, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, *gates = ctx.saved_tensors
        dx, dgates = torch.empty_like(x), [torch.empty_like(g) for g in gates]
        _call("apply_thw_backward", x, *gates, grad.contiguous(), *x.shape, dx, *dgates)
        return dx, *dgates


class _ApplyC(torch.autograd.Function):
    """x . u."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, u: Tensor) -> Tensor:
        ctx.save_for_backward(x, u)
        y = torch.empty_like(x)
        _call("apply_c", x, u, *x.shape, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, u = ctx.saved_tensors
        dx, du = torch.empty_like(x), torch.empty_like(u)
        _call("apply_c_backward", x, u, grad.contiguous(), *x.shape, dx, du)
        return dx, du


class _ConvBNSigmoid(torch.autograd.Function):
    """sigmoid(BN(K * pooled)): `[B, 2, L, M, N]`, kernel `[2, 3, 3, 3]` -> `[B, L, M, N]`.

    The batch norm of one channel is written out because PyTorch's own is slow for it. `mean` and `var` are the running ones,
    or None for the batch's, which are returned with the gate.
    """

    @staticmethod
    def forward(
        ctx: Any,
        pooled: Tensor,
        kernel: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor | None,
        var: Tensor | None,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        kernel = kernel.contiguous()
        y = pooled.new_empty(pooled.shape[0], *pooled.shape[2:])
        _call("thin_conv", pooled, kernel, *y.shape, y)
        ctx.batch = mean is None
        if mean is None:
            mean = y.mean()
        y -= mean
        if var is None:
            var = y.flatten().dot(y.flatten()) / y.numel()
        scale = torch.rsqrt(var + eps)
        gate = torch.sigmoid(torch.addcmul(bias, y, scale * weight))
        ctx.save_for_backward(pooled, kernel, weight, y, scale, gate)
        ctx.mark_non_differentiable(mean, var)
        return gate, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        pooled, kernel, weight, y, scale, gate = ctx.saved_tensors
        d = torch.ops.aten.sigmoid_backward(grad.contiguous(), gate)
        dbias, dweight = d.sum(), torch.dot(d.flatten(), y.flatten()) * scale
        if ctx.batch:
            d.sub_(dbias / d.numel()).addcmul_(y, scale * dweight / d.numel(), value=-1)
        d *= weight * scale
        dpooled, dkernel = torch.empty_like(pooled), torch.empty_like(kernel)
        _call("thin_conv_backward", pooled, kernel, d, *d.shape, dpooled, dkernel)
        return dpooled, dkernel, dweight.view(1), dbias.view(1), None, None, None


def _gate(unit: Unit, pooled: Tensor) -> Tensor:
    """The unit's gate for its pooled maps, recorded and switched, in the order of `layout.h`."""
    bn, kernel = unit.bn, unit.conv.weight.squeeze(0).permute(layout.KERNEL[unit.axis])
    running = (None, None) if bn.training else (bn.running_mean, bn.running_var)
    gate, mean, var = _apply(_ConvBNSigmoid, pooled, kernel, bn.weight, bn.bias, *running, bn.eps)
    if bn.training:
        _track(bn, mean, var, gate.numel())
    dim = layout.DIMS[unit.axis]
    used = recording.record_gate(unit.location, gate.permute(layout.TO_REFERENCE[unit.axis]).unsqueeze(dim))
    return used.squeeze(dim).permute(layout.FROM_REFERENCE[unit.axis]).contiguous()


def _apply(function: type[torch.autograd.Function], *arguments: Tensor | float | None) -> Any:
    return function.apply(*arguments)  # type: ignore[no-untyped-call]  # PyTorch's own has no types


@torch.no_grad()
def _track(bn: nn.BatchNorm3d, mean: Tensor, var: Tensor, count: int) -> None:
    """Updates the running statistics as batch norm does; the running variance is the unbiased one."""
    assert bn.num_batches_tracked is not None and bn.running_mean is not None and bn.running_var is not None
    assert bn.momentum is not None
    bn.num_batches_tracked += 1
    bn.running_mean.lerp_(mean, bn.momentum)
    bn.running_var.lerp_(var * (count / max(1, count - 1)), bn.momentum)


def _st_gates(module: ST, x: Tensor, u: Tensor | None = None) -> Gates:
    pt, ph, pw = _apply(_PoolTHW, x, u)
    return _gate(module.T, pt), _gate(module.H, ph), _gate(module.W, pw)


def c(module: C, x: Tensor) -> Tensor:
    """X . U_C(X)."""
    out: Tensor = _apply(_ApplyC, x, _gate(module.C, _apply(_PoolC, x)))
    return out


def st(module: ST, x: Tensor) -> Tensor:
    """X . G(X)."""
    out: Tensor = _apply(_ApplyTHW, x, *_st_gates(module, x))
    return out


def cinst(module: CinST, x: Tensor) -> Tensor:
    """X . G(X . U_C(X))."""
    out: Tensor = _apply(_ApplyTHW, x, *_st_gates(module, x, _gate(module.C, _apply(_PoolC, x))))
    return out


def stinc(module: STinC, x: Tensor) -> Tensor:
    """X . U_C(X . G(X))."""
    out: Tensor = _apply(_ApplyC, x, _gate(module.C, _apply(_PoolC, x, *_st_gates(module, x))))
    return out


_FORWARD: dict[type[nn.Module], Callable[[Any, Tensor], Tensor]] = {C: c, ST: st, CinST: cinst, STinC: stinc}


def forward(module: nn.Module, v: Tensor) -> Tensor:
    """A module of `attention.py` for which the passes are `usable`, on `v` `[B, T, C, H, W]`; same shape."""
    x = v.permute(0, 1, 3, 4, 2).contiguous()  # [B, T, H, W, C]: no copy if v is channels last
    with torch.autocast(x.device.type, enabled=False):
        return _FORWARD[type(module)](module, x).permute(0, 1, 4, 2, 3)
