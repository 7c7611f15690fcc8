"""Arrays as bytes for a browser: one encoding for the viewer and the lesson, which `app/browser/arrays.js` opens."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from isal import isal_zlib

_COMPRESSION = 1  # of zlib: a higher level takes longer and gains nothing, since gates look like noise to it


class PackedArray(TypedDict):
    """Where an array's values are, and what they stand for: level n is low + step * n.

    Attributes:
        shape: Of the array.
        at: Index of its first value among all packed values.
        low: Its smallest value.
        step: What one level adds.
    """

    shape: list[int]
    at: int
    low: float
    step: float


class ArrayPacker:
    """Packs arrays one after the other, each value as one of a few levels.

    A value is stored as its level less that of the previous value with the same index on the last axis, modulo the range of
    the integers: neighbors are alike, so the differences compress better. A value is off by at most half a step.

    Args:
        levels: The largest level. Up to 255 a value takes one byte, beyond two, little-endian.
    """

    def __init__(self, levels: int) -> None:
        self.levels = levels
        self._dtype = np.dtype("u1" if levels < 256 else "<u2")
        self._parts: list[memoryview] = []
        self.length = 0

    def add(self, values: np.ndarray) -> PackedArray:
        """Appends an array."""
        low = float(values.min())
        step = max(float(values.max()) - low, 1e-9) / self.levels
        levels = ((values - low) * (1 / step) + 0.5).astype(self._dtype, order="C").reshape(-1, values.shape[-1])
        levels[1:] -= levels[:-1]  # numpy copies where they overlap
        place: PackedArray = {
            "shape": list(values.shape),
            "at": self.length,
            "low": float(f"{low:.7g}"),
            "step": float(f"{step:.7g}"),
        }
        self._parts.append(levels.data)
        self.length += levels.size
        return place

    def packed(self) -> bytes:
        """All values, compressed by zlib."""
        return isal_zlib.compress(b"".join(self._parts), _COMPRESSION)
