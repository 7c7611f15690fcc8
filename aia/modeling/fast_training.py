"""AIA's modules for training: few compiled passes over the feature on the CPU, differentiable, equal to `attention.py`.

The gates cost several times a small trunk otherwise. A C compiler is needed once; where there is none, everything goes on
with `attention.py`, which stays the reference. Inference has passes of its own, in `fast_inference.py`.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn

from aia.kernels import build
from aia.modeling import recording
from aia.modeling.recording import DIMS


def library() -> ctypes.CDLL | None:
    """The compiled passes, or None where they cannot be had."""
    return build.library("training.c")


def usable(x: Tensor) -> bool:
    """Whether a feature can take the compiled passes."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and library() is not None
    )


def _call(name: str, *arguments: Tensor | int | None) -> None:
    build.call(getattr(library(), name), *arguments)


class _PoolTHW(torch.autograd.Function):
    """x `[B, T, H, W, C]`, u `[B, T, H, W]` or None -> max and mean of x . u over T, over H and over W."""

    @staticmethod
    def forward(ctx, x: Tensor, u: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        b, t, h, w, c = x.shape
        shapes = (b, h, w, c), (b, t, w, c), (b, t, h, c)
        pooled = tuple(x.new_empty(s[0], 2, *s[1:]) for s in shapes)
        train = any(ctx.needs_input_grad)
        args = [x.new_empty(s, dtype=torch.int32) if train else None for s in shapes]
        _call("pool_thw", x, u, *x.shape, *pooled, *args)
        if train:
            ctx.save_for_backward(x, u, *args)
        return pooled

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        x, u, *args = ctx.saved_tensors
        dx, du = torch.empty_like(x), None if u is None else torch.empty_like(u)
        _call("pool_thw_backward", x, u, *x.shape, *(g.contiguous() for g in grads), *args, dx, du)
        return dx, du


class _PoolC(torch.autograd.Function):
    """Max and mean over C of x `[B, T, H, W, C]`, or of x . G where gates are given -> `[B, 2, T, H, W]`."""

    @staticmethod
    def forward(ctx, x: Tensor, *gates: Tensor) -> Tensor:
        pooled = x.new_empty(x.shape[0], 2, *x.shape[1:4])
        train = any(ctx.needs_input_grad)
        arg = x.new_empty(x.shape[:4], dtype=torch.int32) if train else None
        _call("pool_c", x, *(gates or (None,) * 3), *x.shape, pooled, arg)
        if train:
            ctx.save_for_backward(x, arg, *gates)
        return pooled

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:
        x, arg, *gates = ctx.saved_tensors
        dx, dgates = torch.empty_like(x), [torch.empty_like(g) for g in gates]
        none = (None,) * 3
        _call("pool_c_backward", x, *(gates or none), grad.contiguous(), arg, *x.shape, dx, *(dgates or none))
        return dx, *dgates


class _GateTHW(torch.autograd.Function):
    """x . (T + H + W) / 3."""

    @staticmethod
    def forward(ctx, x: Tensor, *gates: Tensor) -> Tensor:
        ctx.save_for_backward(x, *gates)
        y = torch.empty_like(x)
        _call("gate_thw", x, *gates, *x.shape, y)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:
        x, *gates = ctx.saved_tensors
        dx, dgates = torch.empty_like(x), [torch.empty_like(g) for g in gates]
        _call("gate_thw_backward", x, *gates, grad.contiguous(), *x.shape, dx, *dgates)
        return dx, *dgates


class _GateC(torch.autograd.Function):
    """x . u."""

    @staticmethod
    def forward(ctx, x: Tensor, u: Tensor) -> Tensor:
        ctx.save_for_backward(x, u)
        y = torch.empty_like(x)
        _call("gate_c", x, u, *x.shape, y)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, u = ctx.saved_tensors
        dx, du = torch.empty_like(x), torch.empty_like(u)
        _call("gate_c_backward", x, u, grad.contiguous(), *x.shape, dx, du)
        return dx, du


class _GateOf(torch.autograd.Function):
    """sigmoid(BN(K * pooled)): `[B, 2, L, M, N]`, kernel `[1, 2, 3, 3, 3]` -> `[B, L, M, N]`.

    One-channel batch norm by hand: PyTorch's own is slow for it. `mean` and `var` are the running ones, or None to take
    the batch's, which are returned beside the gate.
    """

    @staticmethod
    def forward(ctx, pooled, kernel, weight, bias, mean, var, eps):
        kernel = kernel.contiguous()
        y = pooled.new_empty(pooled.shape[0], *pooled.shape[2:])
        _call("thin_conv", pooled, kernel, *y.shape, y)
        ctx.batch = mean is None
        if ctx.batch:
            mean = y.mean()
        y -= mean
        if ctx.batch:
            var = y.flatten().dot(y.flatten()) / y.numel()
        scale = torch.rsqrt(var + eps)
        gate = torch.sigmoid(torch.addcmul(bias, y, scale * weight))
        ctx.save_for_backward(pooled, kernel, weight, y, scale, gate)
        ctx.mark_non_differentiable(mean, var)
        return gate, mean, var

    @staticmethod
    def backward(ctx, grad, *_):
        pooled, kernel, weight, y, scale, gate = ctx.saved_tensors
        d = torch.ops.aten.sigmoid_backward(grad.contiguous(), gate)
        dbias, dweight = d.sum(), torch.dot(d.flatten(), y.flatten()) * scale
        if ctx.batch:
            d.sub_(dbias / d.numel()).addcmul_(y, scale * dweight / d.numel(), value=-1)
        d *= weight * scale
        dpooled, dkernel = torch.empty_like(pooled), torch.empty_like(kernel)
        _call("thin_conv_backward", pooled, kernel, d, *d.shape, dpooled, dkernel)
        return dpooled, dkernel, dweight.view(1), dbias.view(1), None, None, None


# How a unit's kernel and gate turn between the published order of axes and the one with C last.
_KERNEL = {"C": (0, 1, 2, 3, 4), "T": (0, 1, 3, 4, 2), "H": (0, 1, 2, 4, 3), "W": (0, 1, 2, 3, 4)}
_GATE = {"C": (0, 1, 2, 3), "T": (0, 3, 1, 2), "H": (0, 1, 3, 2), "W": (0, 1, 3, 2)}  # to the published order
_BACK = {"C": (0, 1, 2, 3), "T": (0, 2, 3, 1), "H": (0, 1, 3, 2), "W": (0, 1, 3, 2)}


def _gate(unit: nn.Module, pooled: Tensor) -> Tensor:
    """The unit's gate for its pooled maps, in the layout of this file, after the recorder and the switches saw it."""
    bn, kernel = unit.bn, unit.conv.weight.permute(_KERNEL[unit.axis])
    running = (None, None) if bn.training else (bn.running_mean, bn.running_var)
    gate, mean, var = _GateOf.apply(pooled, kernel, bn.weight, bn.bias, *running, bn.eps)
    if bn.training:
        _track(bn, mean, var, gate.numel())
    dim = DIMS[unit.axis]
    seen = recording.record_gate(unit.location, gate.permute(_GATE[unit.axis]).unsqueeze(dim))
    return seen.squeeze(dim).permute(_BACK[unit.axis]).contiguous()


@torch.no_grad()
def _track(bn: nn.BatchNorm3d, mean: Tensor, var: Tensor, count: int) -> None:
    """What batch norm does to its running statistics; the running variance is the unbiased one."""
    bn.num_batches_tracked += 1
    bn.running_mean.lerp_(mean, bn.momentum)
    bn.running_var.lerp_(var * (count / max(1, count - 1)), bn.momentum)


def c(module: nn.Module, x: Tensor) -> Tensor:
    """X . U_C(X)."""
    return _GateC.apply(x, _gate(module.C, _PoolC.apply(x)))


def _st_gates(module: nn.Module, x: Tensor, u: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    pooled = _PoolTHW.apply(x, u)
    return tuple(_gate(unit, maps) for unit, maps in zip((module.T, module.H, module.W), pooled, strict=True))


def st(module: nn.Module, x: Tensor) -> Tensor:
    """X . G(X)."""
    return _GateTHW.apply(x, *_st_gates(module, x))


def cinst(module: nn.Module, x: Tensor) -> Tensor:
    """X . G(X . U_C(X))."""
    return _GateTHW.apply(x, *_st_gates(module, x, _gate(module.C, _PoolC.apply(x))))


def stinc(module: nn.Module, x: Tensor) -> Tensor:
    """X . U_C(X . G(X))."""
    return _GateC.apply(x, _gate(module.C, _PoolC.apply(x, *_st_gates(module, x))))


_FORWARD = {"C": c, "ST": st, "CinST": cinst, "STinC": stinc}


def forward(module: nn.Module, v: Tensor) -> Tensor:
    """One of the four modules of `attention.py` on `v` `[B, T, C, H, W]`; same shape."""
    if any(unit.channel_mean for unit in module.children()):
        return module(v)  # the STinC of before 2022-08-05: converted, never trained
    x = v.permute(0, 1, 3, 4, 2).contiguous()  # [B, T, H, W, C]: no copy where v is channels last already
    return _FORWARD[type(module).__name__](module, x).permute(0, 1, 4, 2, 3)
