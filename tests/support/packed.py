"""Reads what `aia.visualization.arrays` packed for the browser."""

import zlib

import numpy as np


def unpacked(place: dict, data: bytes, bits: int = 8) -> np.ndarray:
    """An array of an answer's values."""
    dtype = np.dtype("<u2" if bits == 16 else "u1")
    count = np.prod(place["shape"])
    differences = np.frombuffer(zlib.decompress(data), dtype)[place["at"] :][:count].reshape(-1, place["shape"][-1])
    return place["low"] + place["step"] * differences.cumsum(axis=0, dtype=dtype).reshape(place["shape"])


def unpacked_gate(place: dict, data: bytes) -> np.ndarray:
    """A gate of the viewer, `[T, C, H, W]`."""
    return unpacked(place, data).transpose(0, 3, 1, 2)
