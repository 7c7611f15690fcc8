"""Turns decoded frames into RGB pictures: scaled, upright, in sRGB, on white where they are transparent."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, cast

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from aia import limits
from aia.video import hdr
from aia.video.scan import Scan
from aia.video.source import Source, decoder_options

BLOCK_ADDITION: Final = "matroska_block_additional"  # WebM stores opacity in it, behind `ALPHA_ID`
ALPHA_ID = bytes(7) + b"\1"
ALPHA_CODECS = ("vp8", "vp9")  # whose opacity is a second stream of the same codec
OPAQUE = 240  # of 255; scaling and lossy coding leave opaque pictures below 255, which is not visible
RESIZED = "The picture size changes within the file: all frames are shown at the size of the first."
TRANSPARENT = "Transparent parts of the picture are shown on white."
HIDDEN_ALPHA = "The video has transparent parts: they are shown with the colors that are stored beneath."
TONE_MAPPED = "The video is marked as high dynamic range: it is tone-mapped to sRGB."


class Orientation(NamedTuple):
    """How a stored picture becomes upright: transpose it if `turned`, then step through rows and columns by 1 or -1."""

    turned: bool
    row_step: int
    column_step: int


class Pictures:
    """The wanted frames of a video as RGB, filled while the video is decoded.

    Attributes:
        source: The file.
        indices: The wanted frames; repeats are allowed.
        max_side: The longer side of the pictures in pixels, at most; None for the source's size.
        frames: uint8 [T, H, W, 3], one row for each index; None until the first is taken.
        notes: Sentences about changes to the pictures: `RESIZED`, `TRANSPARENT`, `TONE_MAPPED`.
    """

    def __init__(self, source: Source, indices: Sequence[int], max_side: int | None) -> None:
        self.source, self.indices, self.max_side = source, list(indices), max_side
        self.frames: np.ndarray | None = None
        self.notes: set[str] = set()
        self._rows: dict[int, list[int]] = {}
        for row, index in enumerate(self.indices):
            self._rows.setdefault(index, []).append(row)

    def take(self, index: int, frame: av.VideoFrame, transfer: int) -> None:
        """Store the frame if it is wanted.

        Args:
            index: The number of the frame in the video.
            frame: The decoded frame.
            transfer: Its transfer characteristics, as numbered in ITU-T H.273.
        """
        if index not in self._rows:
            return
        self.source.check_picture(frame.width, frame.height)
        scale = min(1.0, (self.max_side or math.inf) / max(frame.width, frame.height))
        size = (max(1, round(frame.height * scale)), max(1, round(frame.width * scale)))
        turned, row_step, column_step = _orientation(frame)
        if self.frames is None:
            upright = size[::-1] if turned else size
            if len(self.indices) * math.prod(size) * 3 > limits.MAX_PICTURE_BYTES:
                raise self.source.error("has more picture data than fits in memory: give a smaller max_side.")
            self.frames = np.empty((len(self.indices), *upright, 3), np.uint8)
        upright = self.frames.shape[1:3]
        height, width = upright[::-1] if turned else upright
        if (height, width) != size:
            self.notes.add(RESIZED)
        try:
            image = self._srgb(frame, transfer, height, width)
        except MemoryError:  # not a fault of the file
            raise
        except (av.FFmpegError, ValueError):
            kind = frame.format.name
            raise self.source.error(
                f"stores colors in a format that cannot be shown ({kind}): save it as H.264 MP4."
            ) from None
        pixels = image.view("V3")[..., 0]  # [H, W]: transposing single bytes would take twice as long
        self.frames.view("V3")[self._rows[index], ..., 0] = (pixels.T if turned else pixels)[::row_step, ::column_step]

    def _srgb(self, frame: av.VideoFrame, transfer: int, height: int, width: int) -> np.ndarray:
        """Return the frame at this size as RGB, uint8 [height, width, 3]."""
        if transfer in hdr.TRANSFERS:
            self.notes.add(TONE_MAPPED)
            return hdr.to_srgb(frame.to_ndarray(format="rgb48le", height=height, width=width), transfer)
        color = frame.to_ndarray(format="rgb24", height=height, width=width)
        if not any(component.is_alpha for component in frame.format.components):
            return color
        # Not "rgba": at widths of 2 or 4 more than a multiple of 8, FFmpeg writes wrong opacities into packed pixels.
        alpha = frame.to_ndarray(format="gbrap", height=height, width=width)[..., 3:]
        lowest_alpha = alpha.min()
        if lowest_alpha == 255:
            return color
        if lowest_alpha < OPAQUE:
            self.notes.add(TRANSPARENT)
        on_white: np.ndarray = np.round(color * (alpha / np.float32(255)) + (255 - alpha))
        return on_white.astype(np.uint8)


def _orientation(frame: av.VideoFrame) -> Orientation:
    """Read the display matrix, which moves a point to (a x + c y, b x + d y); other angles are rounded to right angles."""
    try:
        side_data = SideDataContainer(frame)  # type: ignore[call-arg]  # PyAV's stub lacks the constructor
        data = side_data.get("DISPLAYMATRIX")  # frame.side_data would create a reference cycle that keeps the frame
    except ValueError:  # PyAV has no name for other side data of the frame (such as EXIF), but knows the angle
        angle = math.radians(frame.rotation)  # counterclockwise
        a, b, c, d = math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    else:
        if data is None:
            return Orientation(False, 1, 1)
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    down, right = (b, c) if turned else (d, a)
    return Orientation(turned, -1 if down < 0 else 1, -1 if right < 0 else 1)


def hides_transparency(source: Source, scan: Scan, wanted: Collection[int | None]) -> bool:
    """Whether a frame with a wanted pts has transparent parts in the second stream of WebM, which the decoder ignores.

    The header's claim is not enough: Chromium writes it for every recording.
    """
    codec = scan.stream.codec_context.name
    decoder: av.VideoCodecContext | None = None
    missing = set(wanted) if codec in ALPHA_CODECS else set()
    for packet in scan.packets:
        if not missing:
            return False
        if not packet.has_sidedata(BLOCK_ADDITION):
            continue
        source.check_time()
        addition = bytes(memoryview(packet.get_sidedata(BLOCK_ADDITION)))
        if addition[:8] != ALPHA_ID:
            continue
        if decoder is None:
            decoder = cast("av.VideoCodecContext", av.CodecContext.create(codec, "r"))
            decoder.options = decoder_options()
        opacity = av.Packet(addition[8:])
        opacity.pts = packet.pts
        try:
            frames = decoder.decode(opacity)
        except av.FFmpegError:
            continue
        for frame in frames:
            if frame.pts in missing:
                missing.discard(frame.pts)
                plane = frame.planes[0]
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
                    : plane.height, : plane.width
                ]
                if rows.min() < OPAQUE:
                    return True
    return False
