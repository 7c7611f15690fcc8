"""Odd and broken video files of every kind. Each is made in milliseconds, and says what reading it gives.

The pictures carry their number (`video_files`), so that a frame out of place shows. Only `theora.ogv` is made beforehand, as
PyAV cannot: the pictures of `write_video(path, 12)`, by `ffmpeg -c:v libtheora -q:v 3 -g 6`.
"""

from __future__ import annotations

import io
import shutil
import struct
import wave
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from encoder import in_encoder
from video_files import REALTIME, cut, picture, place, trim_by_edit_list, turn, upright, write_video

from aia.video import hdr

VP8 = {"codec": "libvpx", "options": REALTIME}
VP9 = {"codec": "libvpx-vp9", "options": REALTIME}
AV1 = {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "lp=1"}}
HEVC = {"codec": "libx265", "options": {"x265-params": "log-level=none"}}
MPEG2 = {"codec": "mpeg2video"}
MPEG4 = {"codec": "mpeg4"}
MJPEG = {"codec": "mjpeg", "pix_fmt": "yuvj420p"}
GIF = {"codec": "gif", "pix_fmt": "rgb8", "rate": 20}
APNG = {"codec": "apng", "pix_fmt": "rgb24", "format": "apng"}
PRORES = {"codec": "prores_ks"}
FASTSTART = {"movflags": "faststart"}
END = "end of the file"
DAMAGED = "damaged"
NO_VIDEO = "no video stream"
NOT_OPENED = "could not be opened"


@dataclass(frozen=True)
class Awkward:
    """One file, and what reading it gives.

    Attributes:
        make: Writes it.
        count: How many frames it has; None for as many as a plain decode finds.
        first: The number that its first frame shows; None where the pictures are beyond reading.
        says: Words of the one warning; empty for none.
        refused: Words of the sentence that is given in place of frames.
        stream: Which of its video streams is read.
        show: What a plain decode makes of a decoded frame.
        off_by: How far a value may be from that.
    """

    make: Callable[[Path], object]
    count: int | None = 12
    first: int | None = 0
    says: str = ""
    refused: str = ""
    stream: int = 0
    show: Callable[[av.VideoFrame], np.ndarray] = upright
    off_by: int = 0


def _coded(*, made: dict | None = None, **expected) -> Awkward:
    """12 frames as `write_video` makes them."""
    return Awkward(lambda path: write_video(path, **{"count": 12, **(made or {})}), **expected)


def _shaped(change: Callable[[Path], object], *, made: dict | None = None, **expected) -> Awkward:
    """60 frames as `write_video` makes them, and then changed."""
    how = {"count": 60, "gop": 12, **(made or {})}
    return Awkward(lambda path: change(write_video(path, **how)), **{"count": how["count"], **expected})


def _bytes(content: bytes, refused: str) -> Awkward:
    return Awkward(lambda path: path.write_bytes(content), refused=refused)


# ---------------------------------------------------------------- ways to make one


def _behead(path: Path, share: float, unit: int = 1) -> None:
    """Takes away the first `share` of a file, whole units of it."""
    data = path.read_bytes()
    path.write_bytes(data[int(len(data) * share) // unit * unit :])


def _overwrite(path: Path, at: float, length: int, value: int = 0) -> None:
    """Writes one value over the bytes from a share of the file on."""
    data = bytearray(path.read_bytes())
    begin = int(len(data) * at)
    data[begin : begin + length] = bytes([value]) * length
    path.write_bytes(data)


def _replace(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def _unsize_packets(path: Path) -> None:
    """States the size of an ASF's packets as FFmpeg does where it cannot go back to the beginning of a file."""
    data = path.read_bytes()
    end = data.partition(bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c"))[2]
    path.write_bytes(data[: len(data) - len(end)] + (50).to_bytes(8, "little") + end[8:])


def _prefix(path: Path, junk: bytes) -> None:
    path.write_bytes(junk + path.read_bytes())


def _joined(path: Path, *parts: dict) -> None:
    """Several files of one stream, end to end."""
    made = [write_video(path.with_name(f"part{i}{path.suffix}"), **part).read_bytes() for i, part in enumerate(parts)]
    path.write_bytes(b"".join(made))


@in_encoder
def _several(path: Path, *, default: int | None, cover: bool = False) -> None:
    """Two video streams: 12 pictures from 0 on, and 20 smaller ones from 100 on; or a cover and the 12 pictures."""
    sizes, starts, counts = [(96, 64), (48, 32)], [0, 100], [12, 20]
    with av.open(str(path), "w") as output:
        art = None
        if cover:
            art = output.add_stream("mjpeg", rate=25)
            art.width, art.height, art.pix_fmt = 320, 240, "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
        streams = [output.add_stream("libx264", rate=25) for _ in range(1 if cover else 2)]
        for i, (stream, size) in enumerate(zip(streams, sizes, strict=False)):
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            if default is not None:
                stream.disposition = av.stream.Disposition.default if i == default else 0
        if art is not None:
            packet = av.Packet(_jpeg(path))
            packet.stream, packet.pts, packet.dts, packet.time_base = art, 0, 0, Fraction(1, 25)
            output.mux(packet)
        for stream, size, start, count in zip(streams, sizes, starts, counts, strict=False):
            for i in range(count):
                frame = av.VideoFrame.from_ndarray(picture(start + i, *size), format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))


def _jpeg(path: Path, orientation: int | None = None) -> bytes:
    """A picture of 320 x 240 as JPEG, with an EXIF orientation if one is given."""
    how = {"codec": "mjpeg", "pix_fmt": "yuvj420p", "format": "mjpeg", "size": (320, 240)}
    data = write_video(path.with_name("one.mjpeg"), 1, **how).read_bytes()
    if orientation is None:
        return data
    tag = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(tag) + 8) + b"Exif\0\0" + tag + data[2:]


@in_encoder
def _packets(path: Path, packets: Sequence[bytes], codec: str, size: tuple[int, int], times: Sequence[int]) -> None:
    """Coded pictures as they are, with times in 1/25 s."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for data, time in zip(packets, times, strict=True):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, time, time, Fraction(1, 25)
            packet.is_keyframe = True
            output.mux(packet)


def _coded_packets(path: Path, **how) -> list[bytes]:
    with av.open(str(write_video(path, **how))) as source:
        return [bytes(packet) for packet in source.demux(video=0) if packet.size]


def _sizes_change(path: Path, how: dict) -> None:
    """The first half 96 x 64, the second 192 x 128, in one stream."""
    small = _coded_packets(path.with_name(f"small{path.suffix}"), count=10, **how)
    large = _coded_packets(path.with_name(f"large{path.suffix}"), count=10, size=(192, 128), start=10, **how)
    _packets(path, small + large, how["codec"].replace("lib", "").replace("vpx-", ""), (96, 64), range(20))


@in_encoder
def _sound(path: Path, codec: str, cover: bool = False) -> None:
    """A second of silence, with a cover if the container takes one."""
    with av.open(str(path), "w", format="mp4" if path.suffix == ".m4a" else None) as output:
        stream = output.add_stream(codec, rate=48000)
        art = None
        if cover:
            art = output.add_stream("mjpeg", rate=25)
            art.width, art.height, art.pix_fmt = 320, 240, "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
        size = stream.codec_context.frame_size or 1024
        if art is not None:
            packet = av.Packet(_jpeg(path))
            packet.stream, packet.pts, packet.dts, packet.time_base = art, 0, 0, Fraction(1, 25)
            output.mux(packet)
        for i in range(48000 // 1024):
            kind = "s16" if codec == "flac" else "fltp"
            values = np.zeros((1, 1024), np.int16 if kind == "s16" else np.float32)
            silence = av.AudioFrame.from_ndarray(values, format=kind, layout="mono")
            silence.sample_rate, silence.pts = 48000, i * size
            output.mux(stream.encode(silence))
        output.mux(stream.encode(None))


def _wav() -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    return content.getvalue()


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("clip.mp4", b"not here" * 99)
    return content.getvalue()


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"\0\0\0\0" * 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) + chunk(b"IDAT", rows)


def _half_clear(image: np.ndarray) -> np.ndarray:
    """The same picture, whose lower half is more and more transparent to the right."""
    alpha = np.full((*image.shape[:2], 1), 255, np.uint8)
    alpha[image.shape[0] // 2 :] = np.linspace(255, 0, image.shape[1]).astype(np.uint8)[None, :, None]
    return np.concatenate([image, alpha], -1)


def _on_white(frame: av.VideoFrame) -> np.ndarray:
    image = frame.to_ndarray(format="rgba").astype(float)
    share = image[..., 3:] / 255
    return np.rint(image[..., :3] * share + 255 * (1 - share)).astype(np.uint8)


def _clear_gif(path: Path) -> None:
    """A GIF by hand: 4 x 4 pixels, the left ones red, the right ones transparent, twice."""
    control = b"\x21\xf9\x04\x09\x05\x00\x01\x00"  # frame is cleared after 0.05 s, colour 1 is transparent
    coded = _lzw([0, 0, 1, 1] * 4)
    image = b"\x2c\0\0\0\0\x04\0\x04\0\0\x02" + bytes([len(coded)]) + coded + b"\0"
    colours = b"\xff\0\0\0\0\0\xff\xff\xff\0\xff\0"
    path.write_bytes(b"GIF89a\x04\0\x04\0\x91\0\0" + colours + (control + image) * 2 + b";")


def _lzw(values: list[int]) -> bytes:
    """Two-bit values as GIF codes them, without ever using the dictionary: a clear code before each two."""
    bits = "".join(f"{code:03b}"[::-1] for i in range(0, len(values), 2) for code in (4, *values[i : i + 2])) + "101"
    bits = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))


def _hdr(transfer: str) -> dict:
    tags = f"log-level=none:transfer={transfer}:colorprim=bt2020:colormatrix=bt2020nc"
    return {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": tags}}


def _toned(transfer: int) -> Callable[[av.VideoFrame], np.ndarray]:
    return lambda frame: hdr.to_srgb(frame.to_ndarray(format="rgb48le"), transfer)


def _named(path: Path) -> None:
    """A good file under whatever name."""
    write_video(path.with_name("plain-name.mp4"), 12).rename(path)


def _unmirrored(undo: Callable[[np.ndarray], np.ndarray]) -> Callable[[av.VideoFrame], np.ndarray]:
    return lambda frame: undo(frame.to_ndarray(format="rgb24"))


def _transposed(image: np.ndarray) -> np.ndarray:
    return image.swapaxes(0, 1)


def _antitransposed(image: np.ndarray) -> np.ndarray:
    return image[::-1, ::-1].swapaxes(0, 1)


MIRRORS = {  # how the pictures are stored (each undoes itself) -> the display matrix that brings them back
    "mirrored.mp4": (np.fliplr, (-1, 0, 0, 1)),
    "upside-down-mirrored.mp4": (np.flipud, (1, 0, 0, -1)),
    "transposed.mp4": (_transposed, (0, 1, 1, 0)),
    "antitransposed.mp4": (_antitransposed, (0, -1, -1, 0)),
}
UNEVEN = [0, 40, 50, 60, 200, 240, 500, 510, 900, 910, 1500, 2900]
LONGEST = "ü" * 125 + "x.mp4"  # 255 bytes

FILES: dict[str, Awkward] = {
    # codecs and containers
    "h264.mp4": _coded(),
    "h264.mkv": _coded(),
    "h264.avi": _coded(),
    "h264.flv": _coded(),
    "h264.3gp": _coded(),
    "h264.asf": _coded(),
    "h264.m2ts": _coded(),
    "hevc.mp4": _coded(made=HEVC),
    "hevc.ts": _coded(made=HEVC),
    "hevc.hevc": _coded(made=HEVC),
    "av1.mp4": _coded(made=AV1),
    "av1.webm": _coded(made=AV1),
    "av1.ivf": _coded(made=AV1),
    "av1.obu": _coded(made=AV1),
    "vp8.webm": _coded(made=VP8),
    "vp8.ivf": _coded(made=VP8),
    "vp8.ogg": _coded(made=VP8),
    "vp9.webm": _coded(made=VP9),
    "vp9.mp4": _coded(made=VP9),
    "mpeg1.mpg": _coded(made={"codec": "mpeg1video"}),
    "mpeg2.mpg": _coded(made=MPEG2),
    "mpeg2.vob": _coded(made=MPEG2),
    "mpeg2.m2v": _coded(made=MPEG2 | {"format": "mpeg2video"}),
    "mpeg2.ts": _coded(made=MPEG2 | {"bframes": 2}),
    "mpeg4.avi": _coded(made=MPEG4 | {"bframes": 2}),
    "mpeg4.mp4": _coded(made=MPEG4),
    "mpeg4.m4v": _coded(made=MPEG4 | {"format": "m4v"}),
    "theora.ogv": Awkward(lambda path: shutil.copy(Path(__file__).parents[1] / "data" / "theora.ogv", path)),
    "prores.mov": _coded(made=PRORES | {"pix_fmt": "yuv422p10le"}),
    "prores-4444.mov": _coded(made=PRORES | {"pix_fmt": "yuv444p10le"}),
    "animation.gif": _coded(made=GIF),
    "animation.apng": _coded(made=APNG),
    "mjpeg.avi": _coded(made=MJPEG),
    "mjpeg.mov": _coded(made=MJPEG | {"pix_fmt": "yuvj444p"}),
    "mjpeg.mjpeg": _coded(made=MJPEG),
    "h263.3gp": _coded(made={"codec": "h263", "size": (128, 96), "rate": 30}),
    "flash.flv": _coded(made={"codec": "flv"}),
    "screen.flv": _coded(made={"codec": "flashsv", "pix_fmt": "bgr24"}),
    "windows.wmv": _coded(made={"codec": "wmv2", "format": "asf"}),
    "divx3.avi": _coded(made={"codec": "msmpeg4"}),
    "cinepak.avi": _coded(made={"codec": "cinepak", "pix_fmt": "rgb24", "count": 4}, count=4),
    "huffyuv.avi": _coded(made={"codec": "huffyuv", "pix_fmt": "yuv422p"}),
    "ffv1.mkv": _coded(made={"codec": "ffv1", "pix_fmt": "yuv444p16le"}),
    "dnxhr.mov": _coded(
        made={"codec": "dnxhd", "pix_fmt": "yuv422p", "size": (256, 128), "options": {"profile": "dnxhr_sq"}}
    ),
    "cineform.mov": _coded(made={"codec": "cfhd", "pix_fmt": "yuv422p10le"}),
    "raw.avi": _coded(made={"codec": "rawvideo"}),
    "png.mov": _coded(made={"codec": "png", "pix_fmt": "rgb48be"}),
    "lossless-rgb.mkv": _coded(made={"codec": "libx264rgb", "pix_fmt": "rgb24"}),
    # depth, sampling, range
    "10-bit.mp4": _coded(made={"pix_fmt": "yuv420p10le"}),
    "422.mp4": _coded(made={"pix_fmt": "yuv422p"}),
    "444-10-bit.mp4": _coded(made={"pix_fmt": "yuv444p10le"}),
    "grey.mp4": _coded(made={"pix_fmt": "gray"}),
    "full-range.mp4": _coded(made={"pix_fmt": "yuvj420p"}),
    "hevc-12-bit.mp4": _coded(made=HEVC | {"pix_fmt": "yuv420p12le"}),
    "hevc-444-12-bit.mp4": _coded(made=HEVC | {"pix_fmt": "yuv444p12le"}),
    "hevc-rgb.mp4": _coded(made=HEVC | {"pix_fmt": "gbrp"}),
    "vp9-444.webm": _coded(made=VP9 | {"pix_fmt": "yuv444p"}),
    "vp9-440.webm": _coded(made=VP9 | {"pix_fmt": "yuv440p"}),
    "av1-10-bit.mp4": _coded(made=AV1 | {"pix_fmt": "yuv420p10le"}),
    "410.mkv": _coded(made={"codec": "ffv1", "pix_fmt": "yuv410p"}),
    # high dynamic range (its colours: tests/video/test_hdr.py)
    "pq.mp4": _coded(made=_hdr("smpte2084"), says="high dynamic range", show=_toned(hdr.PQ)),
    "hlg.mp4": _coded(made=_hdr("arib-std-b67"), says="high dynamic range", show=_toned(hdr.HLG)),
    # transparency
    "alpha.mov": _coded(
        made=PRORES | {"pix_fmt": "yuva444p10le", "store": _half_clear}, says="on white", show=_on_white, off_by=1
    ),
    "alpha-png.mov": _coded(
        made={"codec": "png", "pix_fmt": "rgba", "store": _half_clear}, says="on white", show=_on_white, off_by=1
    ),
    "alpha.webm": _coded(
        made={"codec": "libvpx-vp9", "pix_fmt": "yuva420p", "store": _half_clear, "options": REALTIME},
        says="transparent parts",
    ),
    "opaque-alpha.avi": _coded(made={"codec": "utvideo", "pix_fmt": "gbrap"}),
    "clear.gif": Awkward(_clear_gif, count=2, first=None, says="on white", show=_on_white),
    # sizes
    "odd.mp4": _coded(made={"size": (97, 65), "pix_fmt": "yuv444p"}),
    "odd-420.webm": _coded(made=VP9 | {"size": (97, 65)}),
    "odd.avi": _coded(made=MJPEG | {"size": (97, 65)}),
    "odd-mpeg4.mp4": _coded(made=MPEG4 | {"size": (97, 65)}),
    "odd.gif": _coded(made=GIF | {"size": (97, 65)}),
    "tiny.gif": _coded(made=GIF | {"size": (4, 4)}, first=None),
    "one-pixel.gif": _coded(made=GIF | {"size": (1, 1)}, first=None),
    "thread.mov": _coded(made={"codec": "png", "pix_fmt": "rgb24", "size": (2, 200)}, refused="too narrow"),
    # orientation
    **{
        f"turned-{degrees}.mp4": Awkward(
            lambda path, degrees=degrees: turn(write_video(path, 12, turns=degrees // 90), degrees)
        )
        for degrees in (90, 180, 270)
    },
    **{
        name: Awkward(
            lambda path, store=store, matrix=matrix: place(write_video(path, 12, store=store), *matrix),
            show=_unmirrored(store),
        )
        for name, (store, matrix) in MIRRORS.items()
    },
    "a-little-aslant.mp4": Awkward(lambda path: place(write_video(path, 12), 0.98, 0.17, -0.17, 0.98)),
    "no-matrix.mp4": Awkward(lambda path: place(write_video(path, 12), 0, 0, 0, 0), show=_unmirrored(np.asarray)),
    "exif.avi": Awkward(lambda path: _packets(path, [_jpeg(path, 6)] * 3, "mjpeg", (320, 240), range(3)), 3, None),
    # times
    "variable.mp4": _coded(made={"ticks": UNEVEN}),
    "variable.webm": _coded(made=VP9 | {"ticks": UNEVEN}),
    "late.ts": _coded(made={"container": {"output_ts_offset": "50"}}),
    "late.mkv": _coded(made={"container": {"output_ts_offset": "50"}}),
    "early.mkv": _coded(made={"container": {"output_ts_offset": "-0.2", "avoid_negative_ts": "disabled"}}),
    "no-duration.mkv": _coded(made={"container": {"live": "1"}}),
    "no-duration.webm": _coded(made=VP8 | {"container": {"live": "1"}}),
    "fragments.mp4": _coded(made={"container": {"movflags": "frag_keyframe+empty_moov"}}),
    "no-times.h264": _coded(),
    "states-50-frames.h264": _coded(made={"rate": 50}),
    "trimmed.mp4": _shaped(lambda path: trim_by_edit_list(path, 17 * 512), count=43, first=17),
    "open-gop.ts": _coded(made={"gop": 4, "bframes": 2, "options": {"x264-params": "open-gop=1:b-adapt=0"}}),
    "hidden-frames.webm": _coded(
        made={"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "5"}}
    ),
    "interlaced.mp4": _coded(made={"options": {"x264-params": "tff=1"}}),
    # few frames
    **{f"{count}-frames.mp4": _coded(made={"count": count}, count=count) for count in range(1, 8)},
    "1-frame.gif": _coded(made=GIF | {"count": 1}, refused="still picture"),
    "2-frames.gif": _coded(made=GIF | {"count": 2}, count=2),
    "1-frame.webm": _coded(made=VP9 | {"count": 1}, count=1),
    # what is missing or damaged
    "headless.ts": _shaped(lambda path: _behead(path, 0.3, 188), made={"gop": 20}, count=40, first=20),
    "headless.h264": _shaped(lambda path: _behead(path, 0.3), made={"gop": 20}, count=40, first=20),
    "headless.mpg": _shaped(lambda path: _behead(path, 0.3, 2048), made=MPEG2 | {"gop": 20}, count=40, first=20),
    "headless-hevc.ts": _shaped(
        lambda path: _behead(path, 0.3, 188),
        made={"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=20:scenecut=0"}},
        count=40,
        first=20,
    ),
    "headless.mkv": _shaped(lambda path: _behead(path, 0.3), refused=NOT_OPENED),
    "tailless.mp4": _shaped(lambda path: cut(path, 0.6), made={"container": FASTSTART}, count=None, says=END),
    "tailless.mov": _shaped(lambda path: cut(path, 0.6), made=MJPEG | {"container": FASTSTART}, count=None, says=END),
    "tailless.mkv": _shaped(lambda path: cut(path, 0.6), count=None, says=END),
    "tailless.webm": _shaped(lambda path: cut(path, 0.6), made=VP9, count=None, says=END),
    "tailless.avi": _shaped(lambda path: cut(path, 0.6), made=MPEG4, count=None, says=END),
    "tailless.flv": _shaped(lambda path: cut(path, 0.6), count=None, says=END),
    "tailless.ts": _shaped(lambda path: cut(path, 0.6), count=None, says=END),
    "tailless.gif": _shaped(lambda path: cut(path, 0.6), made=GIF, count=None, says=END),
    "piped.asf": _shaped(lambda path: _unsize_packets(path)),
    "tailless.asf": _shaped(lambda path: cut(path, 0.6), count=None, says=END),
    "tailless.apng": _shaped(lambda path: cut(path, 0.6), made=APNG, count=None, says=END),
    "no-index.mp4": _shaped(lambda path: cut(path, 0.6), refused=NOT_OPENED),
    "hole.mp4": _shaped(
        lambda path: _overwrite(path, 0.4, 300, 255),
        made={"container": FASTSTART},
        first=None,
        count=None,
        says=DAMAGED,
    ),
    "hole.ts": _shaped(lambda path: _overwrite(path, 0.3, 5000), first=None, count=None, says=DAMAGED),
    "junk-before.ts": _shaped(lambda path: _prefix(path, bytes(100))),
    "twice.ts": Awkward(lambda path: _joined(path, {"count": 12}, {"count": 12, "start": 12}), count=24, says=DAMAGED),
    "encrypted.mp4": _coded(
        made={
            "container": {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "00" * 16, "encryption_kid": "1" * 32}
        },
        refused="protected",
    ),
    "unknown-codec.mp4": _shaped(lambda path: _replace(path, b"avc1", b"zzzz"), refused="cannot be decoded here"),
    # several streams, or none to look at
    "two-first.mkv": Awkward(lambda path: _several(path, default=0)),
    "two-second.mkv": Awkward(lambda path: _several(path, default=1), count=20, first=100, stream=1),
    "two-second.mp4": Awkward(lambda path: _several(path, default=1), count=20, first=100, stream=1),
    "cover-and-film.mkv": Awkward(lambda path: _several(path, default=None, cover=True), stream=1),
    "with-sound.mp4": _coded(made={"audio": True}),
    "song.mp3": Awkward(lambda path: _sound(path, "libmp3lame"), refused=NO_VIDEO),
    "song-with-cover.mp3": Awkward(lambda path: _sound(path, "libmp3lame", cover=True), refused=NO_VIDEO),
    "song-with-cover.m4a": Awkward(lambda path: _sound(path, "aac", cover=True), refused=NO_VIDEO),
    "song-with-cover.flac": Awkward(lambda path: _sound(path, "flac", cover=True), refused=NO_VIDEO),
    "sound.wav": _bytes(_wav(), NO_VIDEO),
    # a size that changes
    "changing.h264": Awkward(
        lambda path: _joined(path, {"count": 10}, {"count": 10, "size": (192, 128), "start": 10}),
        20,
        says="size changes",
    ),
    "changing.ivf": Awkward(lambda path: _sizes_change(path, VP9), 20, says="size changes"),
    "changing.avi": Awkward(lambda path: _sizes_change(path, MJPEG), 20, says="size changes"),
    # no video at all
    "empty.mp4": _bytes(b"", NOT_OPENED),
    "text.mp4": _bytes(b"hello " * 999, NOT_OPENED),
    "zeros.mkv": _bytes(bytes(99_999), NOT_OPENED),
    "page.html": _bytes(b"<!doctype html><video src=clip.mp4></video>", NOT_OPENED),
    "paper.pdf": _bytes(b"%PDF-1.7\n" + bytes(999), NOT_OPENED),
    "archive.zip": _bytes(_zip(), NOT_OPENED),
    "picture.png": _bytes(_png(), NOT_OPENED),
    "subtitles.srt": _bytes(b"1\n00:00:00,000 --> 00:00:01,000\nhello\n", NOT_OPENED),
    # names
    "wrong-suffix.txt": Awkward(_named),
    "blanks  in it .mp4": Awkward(_named),
    "-i.mp4": Awkward(_named),
    'it\'s "quoted" `so` $(x).mp4': Awkward(_named),
    "line\nbreak.mp4": Awkward(_named),
    "日本語 ☃ é.mp4": Awkward(_named),
    "100%03d.mp4": Awkward(_named),
    "no-suffix": Awkward(_named),
    ".mp4": Awkward(_named),
    LONGEST: Awkward(_named),
}
