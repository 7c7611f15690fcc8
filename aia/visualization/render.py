"""Turns arrays into pictures: colormaps, overlays, a legend, MP4."""

from __future__ import annotations

import base64
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Literal, cast, get_args

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aia import _moved, files
from aia.errors import AIAError

Colormap = Literal["viridis", "cividis", "magma", "grey", "turbo"]
COLORMAPS: tuple[Colormap, ...] = get_args(Colormap)
# Colormaps of differences, on light and on dark paper: matplotlib's RdBu_r and berlin, both safe for the color-blind. Most
# differences are small and a few are large, so half of the colors are within the inner quarter of the scale.
DIFFERENCE, DIFFERENCE_DARK = "difference", "difference-dark"
DIFFERENCE_POWER = 0.5  # the color of a difference d of at most 1 is matplotlib's of d to this power
_ROWS = (*COLORMAPS, DIFFERENCE, DIFFERENCE_DARK)
UNSEEN_DIM = 0.35  # brightness of the part of a picture that the network does not see
FOOTER_PX = 34  # height of the legend under a picture
JPEG_QUALITY = 80  # of a picture for a page
INK, PAPER = (28, 32, 40), (250, 250, 248)
_TABLES = Path(__file__).with_name("colormaps.png")  # matplotlib's, one row each: importing matplotlib takes too long

__getattr__ = _moved.renamed(
    __name__,
    {
        "COLOUR_MAPS": "aia.visualization.render:COLORMAPS",
        "colour_table": "aia.visualization.render:colormap_table",
    },
)


@cache
def colormap_table(name: str) -> np.ndarray:
    """The colors of a map, uint8 `[256, 3]`.

    Raises:
        AIAError: Not one of `COLORMAPS`, `DIFFERENCE` or `DIFFERENCE_DARK`.
    """
    if name not in _ROWS:
        raise AIAError(f"There is no colormap {name!r}; choose one of {', '.join(COLORMAPS)}.")
    table: np.ndarray = np.array(Image.open(_TABLES))[_ROWS.index(name)]
    return table


def overlay(
    frames: np.ndarray,
    maps: np.ndarray,
    *,
    seen_box: tuple[float, float, float, float] = (0, 0, 1, 1),
    opacity: float = 0.5,
    colormap: str = "viridis",
    scale: tuple[float, float] = (0.0, 1.0),
    smooth: bool = True,
) -> np.ndarray:
    """Lays maps over frames.

    Args:
        frames: RGB uint8 `[T, H, W, 3]`.
        maps: `[T, h, w]`, any size.
        seen_box: Part of the frame that the maps cover, (left, top, right, bottom) as fractions; the rest is darkened.
        opacity: 0 shows only the frame, 1 only the map.
        colormap: One of `COLORMAPS`, `DIFFERENCE` or `DIFFERENCE_DARK`.
        scale: Values shown as the first and the last color; the same for all frames.
        smooth: Interpolates between a map's values; otherwise each is a rectangle.

    Returns:
        RGB uint8 `[T, H, W, 3]`.

    Raises:
        AIAError: There is no such colormap.
    """
    height, width = frames.shape[1:3]
    left, right = round(seen_box[0] * width), max(round(seen_box[2] * width), round(seen_box[0] * width) + 1)
    top, bottom = round(seen_box[1] * height), max(round(seen_box[3] * height), round(seen_box[1] * height) + 1)
    table, (low, high) = colormap_table(colormap), scale
    # cubic interpolation would draw values that no gate has
    enlarge = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST_EXACT
    dimmed = (np.arange(256) * UNSEEN_DIM).astype(np.uint8)
    out: np.ndarray = dimmed[frames]
    for picture, frame, values in zip(out, frames, maps, strict=True):
        levels = np.clip((values - low) / max(high - low, 1e-9), 0, 1).astype(np.float32) * 255
        levels = cv2.resize(levels, (right - left, bottom - top), interpolation=enlarge)
        colors = table[np.clip(levels.round(), 0, 255).astype(np.uint8)]
        part = frame[top:bottom, left:right]
        picture[top:bottom, left:right] = cv2.addWeighted(colors, opacity, part, 1 - opacity, 0)
    return out


def with_legend(
    frames: np.ndarray, captions: list[str], *, colormap: str = "viridis", scale: tuple[float, float] = (0.0, 1.0)
) -> np.ndarray:
    """Adds a footer to every frame: a caption of one or two lines, and the color scale with its numbers.

    The footer has the same height under frames of any size.

    Args:
        frames: RGB uint8 `[T, H, W, 3]`.
        captions: One for each frame.
        colormap: One of `COLORMAPS`, `DIFFERENCE` or `DIFFERENCE_DARK`.
        scale: The values of the first and the last color.

    Returns:
        RGB uint8 `[T, H + FOOTER_PX, W, 3]`.

    Raises:
        AIAError: There is no such colormap.
    """
    count, height, width = frames.shape[:3]
    out = np.empty((count, height + FOOTER_PX, width, 3), np.uint8)
    out[:, :height] = frames
    bar_width = min(width // 4, 160)
    bar = colormap_table(colormap)[np.linspace(0, 255, bar_width).astype(int)]
    font = ImageFont.load_default(13)
    low, high = (number.replace("−", "-") for number in scale_numbers(scale)[::2])  # Pillow's font has no minus sign
    for picture, caption in zip(out, captions, strict=True):
        footer = Image.new("RGB", (width, FOOTER_PX), PAPER)
        footer.paste(Image.fromarray(np.tile(bar, (12, 1, 1))), (width - bar_width - 8, 4))
        draw = ImageDraw.Draw(footer)
        draw.text((8, FOOTER_PX / 2), caption, INK, font, anchor="lm", spacing=1)
        small = ImageFont.load_default(11)
        draw.text((width - bar_width - 8, 17), low, INK, small)
        draw.text((width - 8, 17), high, INK, small, anchor="ra")
        picture[height:] = np.asarray(footer)
    return out


def scale_numbers(scale: tuple[float, float]) -> tuple[str, str, str]:
    """The lowest, middle and highest value of a scale as text, with enough digits to distinguish them."""
    low, high = scale
    if scale == (0, 1):
        return "0", "0.5", "1"
    if low == -high and high > 0:  # a difference
        return f"−{high:.{_digits(high)}f}", "0", f"+{high:.{_digits(high)}f}"
    digits = _digits(high - low)
    return f"{low:.{digits}f}", f"{(low + high) / 2:.{digits}f}", f"{high:.{digits}f}"


def _digits(span: float) -> int:
    """How many digits distinguish the values within a span."""
    return int(np.clip(1 - np.floor(np.log10(span)), 2, 4)) if span > 0 else 2


def shrink(frames: np.ndarray, max_side: int) -> np.ndarray:
    """Frames `[T, H, W, 3]` scaled down until the longer side has `max_side` pixels; never up."""
    height, width = frames.shape[1:3]
    scale = max_side / max(height, width)
    if scale >= 1:
        return frames
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # averaging over areas takes five times as long, and looks better only if fewer than half of the pixels remain
    interpolation = cv2.INTER_AREA if scale <= 0.5 else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, size, interpolation=interpolation) for frame in frames])


def strip(frames: np.ndarray, *, height: int = 180, gap: int = 4) -> np.ndarray:
    """All frames side by side, scaled to `height`: RGB uint8."""
    width = max(1, round(frames.shape[2] * height / frames.shape[1]))
    pictures = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
    blank = np.full((height, gap, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, blank)][:-1], axis=1)


def playback_fps(num_frames: int, duration: float) -> float:
    """Frames per second at which T sampled frames play about as long as the clip, between 2 and 10."""
    return float(np.clip(num_frames / max(duration, 1e-3), 2, 10))


def write_mp4(path: Path, frames: np.ndarray, fps: float, *, crf: int = 20) -> None:
    """Writes an MP4 that browsers play: H.264, yuv420p, index first.

    Args:
        path: Overwritten if it exists.
        frames: RGB uint8 `[T, H, W, 3]`; an odd last row or column is repeated, since yuv420p needs even sizes.
        fps: Frames per second.
        crf: Quality of libx264: 18 looks like the source, 28 is small.
    """
    height, width = frames.shape[1:3]
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    index_first = {"movflags": "faststart"}
    with (
        files.writing(path) as part,
        av.open(str(part.absolute()), "w", format="mp4", options=index_first) as container,
    ):
        rate = Fraction(fps).limit_denominator(1000)
        # libx264's "mbtree" reads memory that it never wrote: the same frames would give different bytes each time.
        options = {"crf": str(crf), "preset": "veryfast", "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def write_lossless(path: Path, frames: np.ndarray, fps: float) -> None:
    """Writes a WebM that Chromium and Firefox play and whose frames keep every digit: lossless VP9 in RGB.

    Args:
        path: Overwritten if it exists.
        frames: RGB uint8 `[T, H, W, 3]`.
        fps: Frames per second.
    """
    with files.writing(path) as part, av.open(str(part.absolute()), "w", format="webm") as container:
        options = {"lossless": "1", "deadline": "realtime", "cpu-used": "8"}
        rate = Fraction(fps).limit_denominator(1000)
        stream = cast("av.VideoStream", container.add_stream("libvpx-vp9", rate=rate, options=options))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "gbrp"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="gbrp")))
        container.mux(stream.encode())


def write_png(path: Path, picture: np.ndarray) -> None:
    """Writes one RGB picture."""
    with files.writing(path) as part:
        Image.fromarray(picture).save(part)


def data_url(picture: np.ndarray, width: int) -> str:
    """One RGB picture as a JPEG that a page can hold, scaled to `width` pixels."""
    height = max(1, round(width * picture.shape[0] / picture.shape[1]))
    small = cv2.cvtColor(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    # WebP is half as large, but 20 times as slow
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
