"""Makes small video files whose frames carry their own number, for the tests of reading and writing video."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from encoder import in_encoder

REALTIME = {"deadline": "realtime", "cpu-used": "8"}
CODECS = {  # by the end of a file's name; the others are H.264
    ".webm": {"codec": "libvpx", "options": REALTIME},
    ".gif": {"codec": "gif", "pix_fmt": "rgb8"},
    ".asf": {"codec": "wmv2"},
}
BITS = 10  # a frame's number is drawn as ten black or white blocks, in two rows of five


def picture(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """Return the RGB picture of one frame, uint8 [H, W, 3]: its number in blocks over a ramp that moves."""
    ramp = (np.arange(width)[None, :] * 2 + np.arange(height)[:, None] + number * 7) % 256
    image = np.stack([ramp, 255 - ramp, np.full_like(ramp, 128)], axis=-1).astype(np.uint8)
    for bit in range(BITS):
        row, column = divmod(bit, 5)
        top, left = row * height // 4, column * width // 5
        image[top : top + height // 4, left : left + width // 5] = 235 if number >> bit & 1 else 20
    return image


def number_of(image: np.ndarray) -> int:
    """Read the number back from a decoded picture of any size, uint8 [H, W, 3], upright."""
    height, width = image.shape[:2]
    number = 0
    for bit in range(BITS):
        row, column = divmod(bit, 5)
        block = image[
            int((row + 0.3) * height / 4) : int((row + 0.7) * height / 4) + 1,
            int((column + 0.3) * width / 5) : int((column + 0.7) * width / 5) + 1,
        ]
        number |= int(block.mean() > 128) << bit
    return number


def write_video(
    path: Path,
    count: int = 30,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (96, 64),
    pix_fmt: str = "yuv420p",
    rate: int = 25,
    ticks: list[int] | None = None,
    options: dict[str, str] | None = None,
    gop: int | None = None,
    bframes: int | None = None,
    container: dict[str, str] | None = None,
    format: str | None = None,
    audio: bool = False,
    turns: int = 0,
    start: int = 0,
    store: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Path:
    """Write `count` numbered frames; `ticks` gives their times in milliseconds (else constant `rate`).

    The pictures lie turned by `turns` quarters counterclockwise, as a phone held upright stores them; `store` may change
    each RGB picture once more, of which a fourth channel is its opacity.
    """
    images = [np.ascontiguousarray(store(np.rot90(picture(start + i, *size), turns))) for i in range(count)]
    times = ticks or range(count), Fraction(1, 1000 if ticks else rate)
    size = size[::-1] if turns % 2 else size
    _encode(path, images, times, codec, size, pix_fmt, rate, options, gop, bframes, container, format, audio)
    return path


@in_encoder
def _encode(
    path: Path,
    images: list[np.ndarray],
    times: tuple[Sequence[int], Fraction],
    codec: str,
    size: tuple[int, int],
    pix_fmt: str,
    rate: int,
    options: dict[str, str] | None,
    gop: int | None,
    bframes: int | None,
    container: dict[str, str] | None,
    format: str | None,
    audio: bool,
) -> None:
    pts, unit = times
    with (
        _place(path, codec) as place,
        av.open(place, "w", format=format, options=container or {}) as output,
    ):
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        if gop is not None:
            stream.codec_context.gop_size = gop
        if bframes is not None:
            stream.codec_context.max_b_frames = bframes
        if unit != Fraction(1, rate):
            stream.codec_context.time_base = unit
        sound = output.add_stream("aac", rate=44100) if audio else None
        for image, time in zip(images, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgba" if image.shape[-1] == 4 else "rgb24")
            frame.pts, frame.time_base = time, unit
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            for index in range(len(images) * 44100 // rate // 1024):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts = 44100, index * 1024
                output.mux(sound.encode(silence))
            output.mux(sound.encode(None))


@contextmanager
def _place(path: Path, codec: str) -> Iterator[str | BinaryIO]:
    """Where to write to. Root becomes another user here: as root, libsvtav1 sets its process to SCHED_FIFO 99."""
    if codec != "libsvtav1" or os.name != "posix" or os.geteuid():
        yield str(path)
        return
    with path.open("wb") as file:
        os.seteuid(65534)  # nobody
        try:
            yield file
        finally:
            os.seteuid(0)


@in_encoder
def timed(
    path: Path,
    ticks: list[int],
    last: int,
    *,
    sound: float = 0,
    sound_from: int = 0,
    bframes: int | None = None,
    **how,
) -> Path:
    """Frames at these milliseconds, the last of which lasts `last` milliseconds.

    With `sound` seconds of silence, which begin after `sound_from` seconds.
    """
    made = {"codec": "libx264", "pix_fmt": "yuv420p", "options": {}, **CODECS.get(path.suffix, {}), **how}
    with av.open(str(path), "w", options=made.get("container", {})) as output:
        stream = output.add_stream(made["codec"], rate=25, options=made["options"])
        stream.width, stream.height, stream.pix_fmt = 96, 64, made["pix_fmt"]
        stream.codec_context.gop_size, stream.codec_context.time_base = 12, Fraction(1, 1000)
        if bframes is not None:
            stream.codec_context.max_b_frames = bframes
        silent = output.add_stream("aac", rate=48000) if sound else None
        packets = []
        for i, (begin, end) in enumerate(zip(ticks, [*ticks[1:], ticks[-1] + last], strict=True)):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            frame.pts, frame.duration, frame.time_base = begin, end - begin, Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        at_end = max(packets, key=lambda packet: packet.pts)
        at_end.duration = round(Fraction(last, 1000) / at_end.time_base)
        for i in range(int(sound * 48000 / 1024)):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, 48000 * sound_from + i * 1024
            packets += silent.encode(frame)
        packets += silent.encode(None) if silent else []
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    return path


@in_encoder
def slow_clip(path: Path, seconds=60, size=(1920, 1080)) -> Path:
    """A clip that takes some seconds to read: one key frame, then the same few changes over and over."""
    tiles = np.random.default_rng(0).integers(0, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    picture = tiles.repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25, options={"g": "600", "qscale": "31"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        frames = [av.VideoFrame.from_ndarray(np.roll(picture, 17 * i, 1), format="rgb24") for i in range(10)]
        first, *rest = [packet for frame in (*frames, None) for packet in stream.encode(frame)]
        for number in range(25 * seconds):
            packet = av.Packet(bytes(rest[number % len(rest)] if number else first))
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), number == 0
            packet.pts = packet.dts = number
            file.mux(packet)
    return path


def turn(path: Path, degrees: int) -> Path:
    """Write a display matrix into an MP4's video track, so that players turn it clockwise by `degrees`."""
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    return place(path, cosine, sine, -sine, cosine)


def place(path: Path, a: float, b: float, c: float, d: float) -> Path:
    """Write a display matrix into an MP4's video track, so that players put point (x, y) at (a x + c y, b x + d y)."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes stand before the matrix
    a, b, c, d = (round(value * (1 << 16)) for value in (a, b, c, d))
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def trim_by_edit_list(path: Path, skip: int) -> Path:
    """Let an MP4's edit list start `skip` ticks of its media later, as a phone's "trim" does."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4 + 4 + 4  # version and flags, number of edits
    length, begin = struct.unpack(">Ii", data[at : at + 8])
    film, media = (struct.unpack_from(">I", data, data.index(name) + 16)[0] for name in (b"mvhd", b"mdhd"))
    data[at : at + 8] = struct.pack(">Ii", length - round(skip * film / media), begin + skip)
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep only the first `share` of a file's bytes, an odd number of them: MPEG-TS cut between packets is whole."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share) | 1])
    return path


def upright(frame: av.VideoFrame) -> np.ndarray:
    """A decoded frame as RGB, turned as its display matrix says (mirrors apart)."""
    return np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))


def every_frame(
    path: Path, stream: int = 0, show: Callable[[av.VideoFrame], np.ndarray] = upright
) -> tuple[list[np.ndarray], list[int | None]]:
    """Decode a file the plain way, in order: pictures, and their raw pts. Errors skip a packet."""
    frames, stamps = [], []
    with av.open(str(path)) as source:
        packets = source.demux(source.streams.video[stream])
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return frames, stamps
                decoded = packet.decode()
            except av.FFmpegError:
                continue
            for frame in decoded:
                frames.append(show(frame))
                stamps.append(frame.pts)
