"""Tone mapping: PQ or HLG signals with BT.2020 colors in, sRGB pictures out.

Each signal value stands for light (ITU-R BT.2100), and 1 is the white of a page, 203 cd/m² (ITU-R BT.2408). Light below
`KNEE` is unchanged, so that a picture without highlights keeps its look. All brighter light is compressed into the rest.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

PQ, HLG = TRANSFERS = 16, 18  # transfer characteristics, as numbered in ITU-T H.273
WHITE = 203.0  # cd/m²
PEAK, GAMMA = 1000.0, 1.2  # of HLG's reference display: cd/m², and the exponent from scene light to display light
KNEE = 0.5
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
LUMINANCE = np.array([0.2627, 0.678, 0.0593], np.float32)  # weights of BT.2020's red, green and blue
BAND = 64  # rows at a time; a whole picture in float32 would need a lot of memory


def to_srgb(signal: np.ndarray, transfer: int) -> np.ndarray:
    """Tone-map a picture.

    Args:
        signal: RGB, uint16 `[H, W, 3]`, full range.
        transfer: `PQ` or `HLG`.

    Returns:
        uint8 `[H, W, 3]`.
    """
    picture = np.empty(signal.shape, np.uint8)
    for top in range(0, len(signal), BAND):
        light = _light_of_signal(transfer).take(signal[top : top + BAND])
        if transfer == HLG:
            light *= PEAK / WHITE * (light @ LUMINANCE)[..., None] ** (GAMMA - 1)
        light = np.maximum(light @ TO_BT709.T, 0)
        red, green, blue = np.moveaxis(light, -1, 0)
        brightest = np.maximum(np.maximum(np.maximum(red, green), blue), 1e-6)[..., None]  # max() is 20 times slower
        excess = np.maximum(brightest - KNEE, 0) / (1 - KNEE)
        light *= np.where(excess > 0, KNEE + (1 - KNEE) * excess / (1 + excess), brightest) / brightest
        picture[top : top + BAND] = _srgb_of_light().take((light * 65535).astype(np.uint16))
    return picture


@lru_cache
def _light_of_signal(transfer: int) -> np.ndarray:
    """Tabulate the light of every 16-bit signal value: on the display for PQ, in the scene for HLG."""
    signal = np.linspace(0, 1, 1 << 16)
    if transfer == PQ:
        root = signal ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return (light * 10000 / WHITE).astype(np.float32)
    dark = signal**2 / 3
    bright = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(signal <= 0.5, dark, bright).astype(np.float32)


@lru_cache
def _srgb_of_light() -> np.ndarray:
    """Tabulate the 8-bit sRGB value of light from 0 to 1 in 65535 steps."""
    light = np.linspace(0, 1, 1 << 16)
    values: np.ndarray = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    rounded: np.ndarray = np.rint(255 * values)
    return rounded.astype(np.uint8)
