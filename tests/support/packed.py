"""Reads what `aia.visualization.web` made for the browser."""

import zlib

import numpy as np


def unpacked(place: dict, data: bytes) -> np.ndarray:
    """An array `[T, C, H, W]` of an answer's bytes."""
    count, channels = np.prod(place["shape"]), place["shape"][3]
    differences = np.frombuffer(zlib.decompress(data), np.uint8)[place["at"] :][:count].reshape(-1, channels)
    levels = differences.cumsum(axis=0, dtype=np.uint8).reshape(place["shape"])
    return (place["low"] + place["step"] * levels).transpose(0, 3, 1, 2)
