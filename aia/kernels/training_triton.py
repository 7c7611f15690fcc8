"""The passes of `training.c` for a GPU, in Triton: the same names, arguments and results.

Features are `[B, T, H, W, C]`, float32, bfloat16 or float16; everything else is float32, indices are int16 or int32. Each
program has one row of a picture and some channels in registers, `[W, C]`. A pass over T has a kernel of its own, so that no two
programs add to the same number.
"""

# mypy: ignore-errors
# ruff: noqa: E741

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

CHANNELS = 32  # of a program, at least; fewer if the feature has fewer
PLACES = 64
LOWEST = tl.constexpr(-3.4e38)


def _power(value: int) -> int:
    return int(triton.next_power_of_2(value))


@triton.jit
def _mean_gate(gt, gh, gw, b, t, h, w, c, mask, T, H, W, C):
    """The mean of the three gates at places w and channels c of one row."""
    a = tl.load(gt + ((b * H + h) * W + w) * C + c, mask, 0.0)
    e = tl.load(gh + ((b * T + t) * W + w) * C + c, mask, 0.0)
    o = tl.load(gw + ((b * T + t) * H + h) * C + c, mask, 0.0)
    return (a + e + o) * 0.3333333333333333


@triton.jit
def _pool_hw(
    x, u, ph, pw, ah, aw, B, T, H, W, C, HAS_U: tl.constexpr, ARGS: tl.constexpr, BW: tl.constexpr, BC: tl.constexpr
):
    bt = tl.program_id(0).to(tl.int64)
    b, t = bt // T, bt % T
    w, c = tl.arange(0, BW)[:, None], tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    c1 = tl.program_id(1) * BC + tl.arange(0, BC)
    mask = (w < W) & (c < C)
    highest = tl.full((BW, BC), LOWEST, tl.float32)
    total = tl.zeros((BW, BC), tl.float32)
    index = tl.zeros((BW, BC), tl.int32)
    for h in range(H):
        row = (bt * H + h) * W
        v = tl.load(x + (row + w) * C + c, mask, 0.0).to(tl.float32)
        if HAS_U:
            v = v * tl.load(u + row + w, w < W, 0.0)
        inside = tl.where(mask, v, LOWEST)
        index = tl.where(inside > highest, h, index)
        highest = tl.maximum(highest, inside)
        total += v
        top, at = tl.max(inside, axis=0, return_indices=True)
        to = ((b * 2 * T + t) * H + h) * C + c1
        tl.store(pw + to, top, c1 < C)
        tl.store(pw + to + T * H * C, tl.sum(v, axis=0) / W, c1 < C)
        if ARGS:
            tl.store(aw + (bt * H + h) * C + c1, at.to(aw.dtype.element_ty), c1 < C)
    to = ((b * 2 * T + t) * W + w) * C + c
    tl.store(ph + to, highest, mask)
    tl.store(ph + to + T * W * C, total / H, mask)
    if ARGS:
        tl.store(ah + (bt * W + w) * C + c, index.to(ah.dtype.element_ty), mask)


@triton.jit
def _pool_t(x, u, pt, at, B, T, H, W, C, HAS_U: tl.constexpr, ARGS: tl.constexpr, BW: tl.constexpr, BC: tl.constexpr):
    bh = tl.program_id(0).to(tl.int64)
    b, h = bh // H, bh % H
    w, c = tl.arange(0, BW)[:, None], tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    mask = (w < W) & (c < C)
    highest = tl.full((BW, BC), LOWEST, tl.float32)
    total = tl.zeros((BW, BC), tl.float32)
    index = tl.zeros((BW, BC), tl.int32)
    for t in range(T):
        row = ((b * T + t) * H + h) * W
        v = tl.load(x + (row + w) * C + c, mask, 0.0).to(tl.float32)
        if HAS_U:
            v = v * tl.load(u + row + w, w < W, 0.0)
        index = tl.where(v > highest, t, index)
        highest = tl.maximum(highest, v)
        total += v
    to = ((b * 2 * H + h) * W + w) * C + c
    tl.store(pt + to, highest, mask)
    tl.store(pt + to + H * W * C, total / T, mask)
    if ARGS:
        tl.store(at + (bh * W + w) * C + c, index.to(at.dtype.element_ty), mask)


@triton.jit
def _pool_thw_backward(
    x, u, dpt, dph, dpw, at, ah, aw, dx, du, B, T, H, W, C, HAS_U: tl.constexpr, BW: tl.constexpr, BC: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)  # one of the B * T * H rows
    h, bt = row % H, row // H
    b, t = bt // T, bt % T
    w, w1 = tl.arange(0, BW)[:, None], tl.arange(0, BW)
    scale = tl.full((BW, 1), 1.0, tl.float32)
    if HAS_U:
        scale = tl.load(u + row * W + w, w < W, 0.0)
    dot = tl.zeros((BW,), tl.float32)
    for first in range(0, C, BC):
        c = first + tl.arange(0, BC)[None, :]
        mask, cmask = (w < W) & (c < C), c < C
        place_t, place_h, place_w = (h * W + w) * C + c, (t * W + w) * C + c, (t * H + h) * C + c
        mt, nt = dpt + b * 2 * H * W * C + place_t, dpt + (b * 2 + 1) * H * W * C + place_t
        mh, nh = dph + b * 2 * T * W * C + place_h, dph + (b * 2 + 1) * T * W * C + place_h
        mw, nw = dpw + b * 2 * T * H * C + place_w, dpw + (b * 2 + 1) * T * H * C + place_w
        dv = tl.load(nt, mask, 0.0) / T + tl.load(nh, mask, 0.0) / H + tl.load(nw, cmask, 0.0) / W
        dv += tl.where(tl.load(at + b * H * W * C + place_t, mask, 0) == t, tl.load(mt, mask, 0.0), 0.0)
        dv += tl.where(tl.load(ah + b * T * W * C + place_h, mask, 0) == h, tl.load(mh, mask, 0.0), 0.0)
        dv += tl.where(tl.load(aw + b * T * H * C + place_w, cmask, 0) == w, tl.load(mw, cmask, 0.0), 0.0)
        if HAS_U:
            v = tl.load(x + (row * W + w) * C + c, mask, 0.0).to(tl.float32)
            dot += tl.sum(tl.where(mask, dv * v, 0.0), axis=1)
        tl.store(dx + (row * W + w) * C + c, (dv * scale).to(dx.dtype.element_ty), mask)
    if HAS_U:
        tl.store(du + row * W + w1, dot, w1 < W)


@triton.jit
def _apply_thw(x, gt, gh, gw, y, B, T, H, W, C, BW: tl.constexpr, BC: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    h, bt = row % H, row // H
    b, t = bt // T, bt % T
    w, c = tl.arange(0, BW)[:, None], tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    mask = (w < W) & (c < C)
    g = _mean_gate(gt, gh, gw, b, t, h, w, c, mask, T, H, W, C)
    v = tl.load(x + (row * W + w) * C + c, mask, 0.0).to(tl.float32)
    tl.store(y + (row * W + w) * C + c, (v * g).to(y.dtype.element_ty), mask)


@triton.jit
def _gradient(x, dy, dmax, dmean, arg, row, w, c, mask, W, C, POOLED: tl.constexpr):
    """The gradient that reaches x . G at one row: as given, or from the gradients of the maximum and mean over C."""
    if POOLED:
        dv = tl.load(dmean + w, w < W, 0.0) / C + tl.where(
            tl.load(arg + row * W + w, w < W, 0) == c, tl.load(dmax + w, w < W, 0.0), 0.0
        )
    else:
        dv = tl.load(dy + (row * W + w) * C + c, mask, 0.0).to(tl.float32)
    return dv


@triton.jit
def _gated_backward_hw(
    x, gt, gh, gw, dy, arg, dx, dgh, dgw, B, T, H, W, C, POOLED: tl.constexpr, BW: tl.constexpr, BC: tl.constexpr
):
    bt = tl.program_id(0).to(tl.int64)
    b, t = bt // T, bt % T
    w, c = tl.arange(0, BW)[:, None], tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    c1 = tl.program_id(1) * BC + tl.arange(0, BC)
    mask = (w < W) & (c < C)
    total = tl.zeros((BW, BC), tl.float32)
    for h in range(H):
        row = bt * H + h
        dmax = dy + ((b * 2 * T + t) * H + h) * W
        dv = _gradient(x, dy, dmax, dmax + T * H * W, arg, row, w, c, mask, W, C, POOLED)
        v = tl.load(x + (row * W + w) * C + c, mask, 0.0).to(tl.float32)
        g = _mean_gate(gt, gh, gw, b, t, h, w, c, mask, T, H, W, C)
        tl.store(dx + (row * W + w) * C + c, (dv * g).to(dx.dtype.element_ty), mask)
        dg = tl.where(mask, dv * v, 0.0) * 0.3333333333333333
        total += dg
        tl.store(dgw + row * C + c1, tl.sum(dg, axis=0), c1 < C)
    tl.store(dgh + (bt * W + w) * C + c, total, mask)


@triton.jit
def _gated_backward_t(x, dy, arg, dgt, B, T, H, W, C, POOLED: tl.constexpr, BW: tl.constexpr, BC: tl.constexpr):
    bh = tl.program_id(0).to(tl.int64)
    b, h = bh // H, bh % H
    w, c = tl.arange(0, BW)[:, None], tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    mask = (w < W) & (c < C)
    total = tl.zeros((BW, BC), tl.float32)
    for t in range(T):
        row = (b * T + t) * H + h
        dmax = dy + ((b * 2 * T + t) * H + h) * W
        dv = _gradient(x, dy, dmax, dmax + T * H * W, arg, row, w, c, mask, W, C, POOLED)
        total += dv * tl.load(x + (row * W + w) * C + c, mask, 0.0).to(tl.float32)
    tl.store(dgt + (bh * W + w) * C + c, total * 0.3333333333333333, mask)


@triton.jit
def _pool_c(
    x,
    gt,
    gh,
    gw,
    pooled,
    arg,
    B,
    T,
    H,
    W,
    C,
    GATED: tl.constexpr,
    ARGS: tl.constexpr,
    BW: tl.constexpr,
    BC: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    h, bt = row % H, row // H
    b, t = bt // T, bt % T
    w, w1 = tl.arange(0, BW)[:, None], tl.arange(0, BW)
    highest = tl.full((BW,), LOWEST, tl.float32)
    total = tl.zeros((BW,), tl.float32)
    index = tl.zeros((BW,), tl.int32)
    for first in range(0, C, BC):
        c = first + tl.arange(0, BC)[None, :]
        mask = (w < W) & (c < C)
        v = tl.load(x + (row * W + w) * C + c, mask, 0.0).to(tl.float32)
        if GATED:
            v = v * _mean_gate(gt, gh, gw, b, t, h, w, c, mask, T, H, W, C)
        top, at = tl.max(tl.where(mask, v, LOWEST), axis=1, return_indices=True)
        index = tl.where(top > highest, at + first, index)
        highest = tl.maximum(highest, top)
        total += tl.sum(tl.where(mask, v, 0.0), axis=1)
    to = ((b * 2 * T + t) * H + h) * W + w1
    tl.store(pooled + to, highest, w1 < W)
    tl.store(pooled + to + T * H * W, total / C, w1 < W)
    if ARGS:
        tl.store(arg + row * W + w1, index.to(arg.dtype.element_ty), w1 < W)


@triton.jit
def _plain_backward(dy, arg, dx, B, T, H, W, C, BW: tl.constexpr, BC: tl.constexpr):
    """The gradient of the maximum and mean over C of x itself."""
    row = tl.program_id(0).to(tl.int64)
    h, bt = row % H, row // H
    b, t = bt // T, bt % T
    w, c = tl.arange(0, BW)[:, None], tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    mask = (w < W) & (c < C)
    dmax = dy + ((b * 2 * T + t) * H + h) * W
    dv = _gradient(dy, dy, dmax, dmax + T * H * W, arg, row, w, c, mask, W, C, True)
    tl.store(dx + (row * W + w) * C + c, dv.to(dx.dtype.element_ty), mask)


@triton.jit
def _apply_c(x, u, y, places, C, BW: tl.constexpr, BC: tl.constexpr):
    p = tl.program_id(0).to(tl.int64) * BW + tl.arange(0, BW)[:, None]
    c = tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    mask = (p < places) & (c < C)
    v = tl.load(x + p * C + c, mask, 0.0).to(tl.float32) * tl.load(u + p, p < places, 0.0)
    tl.store(y + p * C + c, v.to(y.dtype.element_ty), mask)


@triton.jit
def _apply_c_backward(x, u, dy, dx, du, places, C, BW: tl.constexpr, BC: tl.constexpr):
    p = tl.program_id(0).to(tl.int64) * BW + tl.arange(0, BW)[:, None]
    p1 = tl.program_id(0).to(tl.int64) * BW + tl.arange(0, BW)
    scale = tl.load(u + p, p < places, 0.0)
    dot = tl.zeros((BW,), tl.float32)
    for first in range(0, C, BC):
        c = first + tl.arange(0, BC)[None, :]
        mask = (p < places) & (c < C)
        d = tl.load(dy + p * C + c, mask, 0.0).to(tl.float32)
        dot += tl.sum(d * tl.load(x + p * C + c, mask, 0.0).to(tl.float32), axis=1)
        tl.store(dx + p * C + c, (d * scale).to(dx.dtype.element_ty), mask)
    tl.store(du + p1, dot, p1 < places)


@triton.jit
def _thin_conv(pooled, kernel, y, places, L, M, N, BLOCK: tl.constexpr):
    p = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    n, m, l, b = p % N, p // N % M, p // (N * M) % L, p // (N * M * L)
    total = tl.zeros((BLOCK,), tl.float32)
    for i in tl.static_range(2):
        for dl in tl.static_range(3):
            for dm in tl.static_range(3):
                for dn in tl.static_range(3):
                    ll, mm, nn = l + dl - 1, m + dm - 1, n + dn - 1
                    inside = (p < places) & (ll >= 0) & (ll < L) & (mm >= 0) & (mm < M) & (nn >= 0) & (nn < N)
                    k = tl.load(kernel + ((i * 3 + dl) * 3 + dm) * 3 + dn)
                    total += k * tl.load(pooled + (((b * 2 + i) * L + ll) * M + mm) * N + nn, inside, 0.0)
    tl.store(y + p, total, p < places)


@triton.jit
def _thin_conv_data(kernel, d, dpooled, places, L, M, N, BLOCK: tl.constexpr):
    p = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    n, m, l, b = p % N, p // N % M, p // (N * M) % L, p // (N * M * L)
    first, second = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for dl in tl.static_range(3):
        for dm in tl.static_range(3):
            for dn in tl.static_range(3):
                ll, mm, nn = l - dl + 1, m - dm + 1, n - dn + 1
                inside = (p < places) & (ll >= 0) & (ll < L) & (mm >= 0) & (mm < M) & (nn >= 0) & (nn < N)
                g = tl.load(d + ((b * L + ll) * M + mm) * N + nn, inside, 0.0)
                first += g * tl.load(kernel + (dl * 3 + dm) * 3 + dn)
                second += g * tl.load(kernel + 27 + (dl * 3 + dm) * 3 + dn)
    to = ((b * 2 * L + l) * M + m) * N + n
    tl.store(dpooled + to, first, p < places)
    tl.store(dpooled + to + L * M * N, second, p < places)


@triton.jit
def _tap(pooled, g, b, i, l, m, n, ok, L, M, N, dm: tl.constexpr, dn: tl.constexpr):
    mm, nn = m + dm - 1, n + dn - 1
    inside = ok & (mm >= 0) & (mm < M) & (nn >= 0) & (nn < N)
    return g * tl.load(pooled + (((b * 2 + i) * L + l) * M + mm) * N + nn, inside, 0.0)


@triton.jit
def _thin_conv_kernel(pooled, d, parts, places, L, M, N, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr):
    program, plane = tl.program_id(0), tl.program_id(1)  # plane: map i and tap dl
    i, dl = plane // 3, plane % 3
    zero = tl.zeros((BLOCK,), tl.float32)
    a0, a1, a2, a3, a4, a5, a6, a7, a8 = zero, zero, zero, zero, zero, zero, zero, zero, zero
    for start in range(program * BLOCK, places, PROGRAMS * BLOCK):
        p = (start + tl.arange(0, BLOCK)).to(tl.int64)
        n, m, l, b = p % N, p // N % M, p // (N * M) % L, p // (N * M * L)
        g = tl.load(d + p, p < places, 0.0)
        ll = l + dl - 1
        ok = (p < places) & (ll >= 0) & (ll < L)
        a0 += _tap(pooled, g, b, i, ll, m, n, ok, L, M, N, 0, 0)
        a1 += _tap(pooled, g, b, i, ll, m, n, ok, L, M, N, 0, 1)
        a2 += _tap(pooled, g, b, i, ll, m, n, ok, L, M, N, 0, 2)
        a3 += _tap(pooled, g, b, i, ll, m, n, ok, L, M, N, 1, 0)
        a4 += _tap(pooled, g, b, i, ll, m, n, ok, L, M, N, 1, 1)
        a5 += _tap(pooled, g, b, i, ll, m, n, ok, L, M, N, 1, 2)
        a6 += _tap(pooled, g, b, i, ll, m, n, ok, L, M, N, 2, 0)
        a7 += _tap(pooled, g, b, i, ll, m, n, ok, L, M, N, 2, 1)
        a8 += _tap(pooled, g, b, i, ll, m, n, ok, L, M, N, 2, 2)
    to = parts + program * 54 + plane * 9
    tl.store(to, tl.sum(a0))
    tl.store(to + 1, tl.sum(a1))
    tl.store(to + 2, tl.sum(a2))
    tl.store(to + 3, tl.sum(a3))
    tl.store(to + 4, tl.sum(a4))
    tl.store(to + 5, tl.sum(a5))
    tl.store(to + 6, tl.sum(a6))
    tl.store(to + 7, tl.sum(a7))
    tl.store(to + 8, tl.sum(a8))


def _tile(W: int, C: int) -> dict[str, int]:
    channels = min(_power(C), max(CHANNELS, 1024 // _power(W)))
    return {"BW": _power(W), "BC": min(channels, 128)}


def _chunks(tile: dict[str, int], C: int) -> int:
    return int(triton.cdiv(C, tile["BC"]))


def pool_thw(x: Tensor, u: Tensor | None, B: int, T: int, H: int, W: int, C: int, *out: Tensor) -> None:
    """As in `training.c`."""
    pt, ph, pw, at, ah, aw = out
    tile, flags = _tile(W, C), {"HAS_U": u is not None, "ARGS": at is not None}
    shape = (B, T, H, W, C)
    _pool_hw[(B * T, _chunks(tile, C))](x, _or(u, x), ph, pw, _or(ah, x), _or(aw, x), *shape, **flags, **tile)
    _pool_t[(B * H, _chunks(tile, C))](x, _or(u, x), pt, _or(at, x), *shape, **flags, **tile)


def pool_thw_backward(x: Tensor, u: Tensor | None, B: int, T: int, H: int, W: int, C: int, *rest: Any) -> None:
    """As in `training.c`."""
    *given, dx, du = rest
    _pool_thw_backward[(B * T * H,)](
        x, _or(u, x), *given, dx, _or(du, x), B, T, H, W, C, HAS_U=u is not None, **_tile(W, C)
    )


def apply_thw(x: Tensor, gt: Tensor, gh: Tensor, gw: Tensor, B: int, T: int, H: int, W: int, C: int, y: Tensor) -> None:
    """As in `training.c`."""
    tile = _tile(W, C)
    _apply_thw[(B * T * H, _chunks(tile, C))](x, gt, gh, gw, y, B, T, H, W, C, **tile)


def apply_thw_backward(x: Tensor, gt: Tensor, gh: Tensor, gw: Tensor, dy: Tensor, *rest: Any) -> None:
    """As in `training.c`."""
    *shape, dx, dgt, dgh, dgw = rest
    _gated_backward(x, (gt, gh, gw), dy, dy, shape, dx, (dgt, dgh, dgw), pooled=False)


def pool_c(
    x: Tensor, gt: Any, gh: Any, gw: Any, B: int, T: int, H: int, W: int, C: int, pooled: Tensor, arg: Any
) -> None:
    """As in `training.c`."""
    _pool_c[(B * T * H,)](
        *(x, _or(gt, x), _or(gh, x), _or(gw, x), pooled, _or(arg, x), B, T, H, W, C),
        GATED=gt is not None,
        ARGS=arg is not None,
        **_tile(W, C),
    )


def pool_c_backward(x: Tensor, gt: Any, gh: Any, gw: Any, dy: Tensor, arg: Tensor, *rest: Any) -> None:
    """As in `training.c`."""
    B, T, H, W, C, dx, dgt, dgh, dgw = rest
    if gt is None:
        tile = _tile(W, C)
        _plain_backward[(B * T * H, _chunks(tile, C))](dy, arg, dx, B, T, H, W, C, **tile)
    else:
        _gated_backward(x, (gt, gh, gw), dy, arg, (B, T, H, W, C), dx, (dgt, dgh, dgw), pooled=True)


def _gated_backward(
    x: Tensor, gates: Any, dy: Tensor, arg: Tensor, shape: Any, dx: Tensor, dgates: Any, pooled: bool
) -> None:
    B, T, H, W, C = shape
    tile, (dgt, dgh, dgw) = _tile(W, C), dgates
    chunks = _chunks(tile, C)
    _gated_backward_hw[(B * T, chunks)](x, *gates, dy, arg, dx, dgh, dgw, *shape, POOLED=pooled, **tile)
    _gated_backward_t[(B * H, chunks)](x, dy, arg, dgt, *shape, POOLED=pooled, **tile)


def apply_c(x: Tensor, u: Tensor, B: int, T: int, H: int, W: int, C: int, y: Tensor) -> None:
    """As in `training.c`."""
    places, tile = B * T * H * W, _tile(PLACES, C)
    _apply_c[(triton.cdiv(places, tile["BW"]), _chunks(tile, C))](x, u, y, places, C, **tile)


def apply_c_backward(
    x: Tensor, u: Tensor, dy: Tensor, B: int, T: int, H: int, W: int, C: int, dx: Tensor, du: Tensor
) -> None:
    """As in `training.c`."""
    places, tile = B * T * H * W, _tile(PLACES, C)
    _apply_c_backward[(triton.cdiv(places, tile["BW"]),)](x, u, dy, dx, du, places, C, **tile)


def thin_conv(pooled: Tensor, kernel: Tensor, B: int, L: int, M: int, N: int, y: Tensor) -> None:
    """As in `training.c`."""
    places = B * L * M * N
    _thin_conv[(triton.cdiv(places, 256),)](pooled, kernel, y, places, L, M, N, BLOCK=256)


def thin_conv_backward(
    pooled: Tensor, kernel: Tensor, d: Tensor, B: int, L: int, M: int, N: int, dpooled: Tensor, dkernel: Tensor
) -> None:
    """As in `training.c`."""
    places = B * L * M * N
    _thin_conv_data[(triton.cdiv(places, 256),)](kernel, d, dpooled, places, L, M, N, BLOCK=256)
    programs = min(128, _power(triton.cdiv(places, 1024)))
    parts = torch.empty(programs, 54, dtype=torch.float32, device=d.device)
    _thin_conv_kernel[(programs, 6)](pooled, d, parts, places, L, M, N, PROGRAMS=programs, BLOCK=512)
    dkernel.copy_(parts.sum(0).view_as(dkernel))


def _or(tensor: Tensor | None, other: Tensor) -> Tensor:
    """A pointer for an argument that is not used."""
    return other if tensor is None else tensor
