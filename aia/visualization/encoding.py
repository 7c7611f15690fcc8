"""How arrays travel to a browser: as levels of 8 or 16 bits, and as text in base64."""

from __future__ import annotations

import base64
from typing import NamedTuple

import numpy as np


class Levels(NamedTuple):
    """An array in steps.

    Attributes:
        levels: Unsigned integers, little-endian, in the array's shape: level n stands for low + step * n.
        low: The lowest value.
        step: The difference between two levels.
    """

    levels: np.ndarray
    low: float
    step: float


def quantized(values: np.ndarray, steps: int) -> Levels:
    """Rounds an array to one of `steps` + 1 levels between its lowest and its highest value, at most 65535 + 1."""
    low = float(values.min())
    step = max(float(values.max()) - low, 1e-9) / steps
    levels = ((values - low) * (1 / step) + 0.5).astype("<u2" if steps > 255 else "u1", order="C")
    return Levels(levels, low, step)


def as_text(data: bytes) -> str:
    """Bytes as text that JSON can hold (base64)."""
    return base64.b64encode(data).decode()
