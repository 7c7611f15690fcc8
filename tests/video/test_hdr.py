"""High dynamic range: ordinary colours stay, what outshines a screen stays brighter, and PQ and HLG agree."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from aia.video import hdr, reader

# BT.709's red, green and blue as BT.2020's (ITU-R BT.2087)
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def signal_of(nits: np.ndarray, transfer: int) -> np.ndarray:
    """Light of a display, RGB in cd/m², as the values of a signal (ITU-R BT.2100)."""
    if transfer == hdr.PQ:
        power = (nits / 10000) ** (2610 / 16384)
        return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    luminance = (nits / 1000) @ [0.2627, 0.6780, 0.0593]
    scene = nits / 1000 * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def light_of(picture: np.ndarray) -> np.ndarray:
    """An sRGB picture as light, 0 to 1."""
    values = picture / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def swatches() -> np.ndarray:
    """Colours up to half of a page's white, uint8 [16, 256, 3]."""
    values = np.random.default_rng(0).integers(0, 186, (2, 32, 3)).astype(np.uint8)
    return values.repeat(8, 0).repeat(8, 1)


def write(path, signal: np.ndarray, transfer: int) -> None:
    """One picture, the same three times, without loss."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width = signal.shape[:2]
        stream.pix_fmt = "gbrp12le"
        stream.codec_context.color_trc, stream.codec_context.color_primaries = transfer, 9
        for i in range(3):
            frame = av.VideoFrame.from_ndarray(np.rint(signal * 65535).astype(np.uint16), format="rgb48le")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@pytest.mark.parametrize("transfer", [hdr.PQ, hdr.HLG])
def test_colours_below_the_knee_are_those_of_an_ordinary_video(tmp_path, transfer):
    picture = swatches()
    write(tmp_path / "film.mkv", signal_of(203 * (light_of(picture) @ TO_BT2020.T), transfer), transfer)
    clip = reader.read_clip(tmp_path / "film.mkv", 1)
    assert np.abs(clip.frames[0].astype(int) - picture).max() <= 3
    assert ["high dynamic range" in words for words in clip.warnings] == [True]


@pytest.mark.parametrize("transfer", [hdr.PQ, hdr.HLG])
def test_brighter_light_stays_brighter_and_grey_stays_grey(transfer):
    nits = np.geomspace(0.1, 1000, 400)[None, :, None].repeat(3, -1)
    picture = hdr.to_srgb(np.rint(signal_of(nits, transfer) * 65535).astype(np.uint16), transfer)[0].astype(int)
    assert (np.diff(picture[:, 0]) >= 0).all() and np.abs(np.diff(picture[:, 0])).max() < 8
    assert (picture.max(1) - picture.min(1)).max() <= 1
    assert picture[0, 0] < 5 and 240 < picture[-1, 0] < 255
    white = hdr.to_srgb(np.rint(signal_of(np.full((1, 1, 3), 203.0), transfer) * 65535).astype(np.uint16), transfer)
    assert 215 < white.min() < 235  # room is left for what shines brighter than paper


def test_pq_and_hlg_of_the_same_light_look_the_same():
    nits = np.random.default_rng(1).uniform(0, 600, (8, 8, 3))
    pictures = [hdr.to_srgb(np.rint(signal_of(nits, kind) * 65535).astype(np.uint16), kind) for kind in hdr.TRANSFERS]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 2


def test_the_brightest_colours_do_not_wrap_around():
    for transfer in hdr.TRANSFERS:
        corners = np.array(np.meshgrid(*[[0, 65535]] * 3)).reshape(3, 1, 8).transpose(1, 2, 0).astype(np.uint16)
        picture = hdr.to_srgb(corners, transfer)[0].astype(int)
        for colour, corner in zip(picture, corners[0], strict=True):
            assert (colour[corner > 0] > 180).all() and (corner.any() or not colour.any())
