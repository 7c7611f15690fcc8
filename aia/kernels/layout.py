"""The order of axes: of features, of the published kernels, and of the compiled passes (`layout.h` has the same for C)."""

from __future__ import annotations

from typing import Literal

Axis = Literal["C", "T", "H", "W"]

DIMS: dict[Axis, int] = {"C": 2, "T": 1, "H": 3, "W": 4}  # the place of each axis in a feature [B, T, C, H, W]

# The three axes of each unit's pooled maps, response and kernel, in the order of the published code.
PUBLISHED: dict[Axis, str] = {"C": "THW", "T": "CHW", "H": "TCW", "W": "THC"}
# The same axes as a gate has them in [B, T, C, H, W] without the pooled axis, and as the compiled passes have them: C last.
_REFERENCE: dict[Axis, str] = {"C": "THW", "T": "CHW", "H": "TCW", "W": "TCH"}
_COMPILED: dict[Axis, str] = {"C": "THW", "T": "HWC", "H": "TWC", "W": "THC"}

Order = tuple[int, int, int, int]


def _orders(given: dict[Axis, str], wanted: dict[Axis, str]) -> dict[Axis, Order]:
    """For each unit, the argument of `permute` that turns `[X, *given]` into `[X, *wanted]`."""
    orders: dict[Axis, Order] = {}
    for unit, axes in wanted.items():
        first, second, third = (1 + given[unit].index(axis) for axis in axes)
        orders[unit] = 0, first, second, third
    return orders


KERNEL = _orders(PUBLISHED, _COMPILED)  # a kernel [2, ...] of the published code, for the compiled passes
FROM_REFERENCE = _orders(_REFERENCE, _COMPILED)  # a gate [B, ...] of `attention.py`, for the compiled passes
TO_REFERENCE = _orders(_COMPILED, _REFERENCE)  # and back
