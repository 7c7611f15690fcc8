"""Files made to exhaust or to mislead whoever opens them, each from a few bytes. Every function returns the file's content."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from video_files import write_video

HEVC_OPTIONS = {"x265-params": "log-level=none"}


def _written(folder: Path, name: str, **how) -> bytes:
    return write_video(folder / name, **{"count": 12, **how}).read_bytes()


# ---------------------------------------------------------------- parameter sets with another size


def _escaped(payload: bytes) -> bytes:
    """Keeps start codes out of a NAL unit's payload."""
    out = bytearray()
    for byte in payload:
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)
        out.append(byte)
    return bytes(out)


def _resized(nal: bytes, skip: Sequence[int | str], width: int, height: int) -> bytes:
    """A sequence parameter set with other sizes: they stand behind `skip`, numbers of bits or "ue" for one coded number."""
    bits = "".join(f"{byte:08b}" for byte in nal.replace(b"\0\0\3", b"\0\0"))

    def after(at: int, step: int | str) -> int:
        if isinstance(step, int):
            return at + step
        zeros = bits.index("1", at) - at
        return at + 2 * zeros + 1

    at = 0
    for step in skip:
        at = after(at, step)
    end = after(after(at, "ue"), "ue")
    new = "".join(f"{value + 1:b}".rjust(2 * (value + 1).bit_length() - 1, "0") for value in (width, height))
    bits = bits[:at] + new + bits[end:].rstrip("0")  # the last 1 is the stop bit
    bits += "0" * (-len(bits) % 8)
    return _escaped(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)))


HEVC_SPS = (16 + 8 + 96, "ue", "ue")  # header, layers, profile; then its id and the chroma format
H264_SPS = (8 + 24, "ue", "ue", "ue", "ue", 1)  # of the baseline profile, whose frames come in order


def _nals(stream: bytes) -> list[bytes]:
    return [part.rstrip(b"\0") for part in stream.split(b"\0\0\1") if part.strip(b"\0")]


def _stream(nals: Sequence[bytes]) -> bytes:
    return b"".join(b"\0\0\0\1" + nal for nal in nals)


def giant_hevc(folder: Path, width: int = 15360, height: int = 8640) -> bytes:
    """A raw HEVC stream whose header promises 133 million pixels."""
    nals = _nals(_written(folder, "small.hevc", codec="libx265", options=HEVC_OPTIONS))
    return _stream([_resized(nal, HEVC_SPS, width, height) if nal[0] >> 1 == 33 else nal for nal in nals])


def giant_h264(folder: Path, width: int = 15360, height: int = 8640) -> bytes:
    """A raw H.264 stream of that size."""
    nals = _nals(_written(folder, "small.h264", options={"profile": "baseline"}))
    blocks = width // 16 - 1, height // 16 - 1
    return _stream([_resized(nal, H264_SPS, *blocks) if nal[0] & 31 == 7 else nal for nal in nals])


def growing_hevc(folder: Path) -> bytes:
    """Twelve small pictures, and then the giant."""
    return _written(folder, "before.hevc", codec="libx265", options=HEVC_OPTIONS) + giant_hevc(folder)


def growing_h264(folder: Path) -> bytes:
    return _written(folder, "before.h264") + giant_h264(folder)


def lying_mp4(folder: Path) -> bytes:
    """An MP4 whose own header says 96 x 64, and its codec's header 15360 x 8640."""
    data = _written(folder, "small.mp4", codec="libx265", options=HEVC_OPTIONS)
    at = data.index(b"hvcC")
    size = struct.unpack_from(">I", data, at - 4)[0] - 8
    head, arrays, out = data[at + 4 : at + 27], data[at + 27 : at + 4 + size], b""
    while arrays:
        kind, count, length = struct.unpack_from(">BHH", arrays)
        assert count == 1
        nal, arrays = arrays[5 : 5 + length], arrays[5 + length :]
        nal = _resized(nal, HEVC_SPS, 15360, 8640) if kind & 63 == 33 else nal
        out += struct.pack(">BHH", kind, 1, len(nal)) + nal
    return _with_box(data, b"hvcC", head + out)


def _with_box(data: bytes, kind: bytes, content: bytes) -> bytes:
    """An MP4 whose first box of a kind has other content; the boxes around it grow with it, and the media moves."""
    at = data.index(kind) - 4
    old = struct.unpack_from(">I", data, at)[0]
    grown = len(content) + 8 - old
    out = bytearray(data[:at] + struct.pack(">I", len(content) + 8) + kind + content + data[at + old :])
    for around in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        where = data.index(around) - 4
        if where < at and around != kind:
            struct.pack_into(">I", out, where, struct.unpack_from(">I", out, where)[0] + grown)
    if data.index(b"mdia") > 0 and data.index(b"moov") < data.index(b"mdat"):
        where = out.index(b"stco") + 12
        struct.pack_into(">I", out, where, struct.unpack_from(">I", out, where)[0] + grown)
    for name in (b"hev1", b"hvc1", b"avc1"):
        if kind in (b"hvcC", b"avcC") and name in data:
            where = data.index(name, data.index(b"stsd")) - 4
            struct.pack_into(">I", out, where, struct.unpack_from(">I", out, where)[0] + grown)
    return bytes(out)


def giant_jpeg(folder: Path) -> bytes:
    """Motion JPEG whose pictures claim 65500 x 65500."""
    data = bytearray(_written(folder, "small.mjpeg", codec="mjpeg", pix_fmt="yuvj420p"))
    at = -1
    while (at := data.find(b"\xff\xc0", at + 1)) >= 0:
        struct.pack_into(">HH", data, at + 5, 65500, 65500)
    return bytes(data)


def giant_vp8(folder: Path) -> bytes:
    """VP8 whose key frames claim 16383 x 16383, and its container 96 x 64."""
    data = _written(folder, "small.webm", codec="libvpx", options={"deadline": "realtime", "cpu-used": "8"})
    return data.replace(
        b"\x9d\x01\x2a" + struct.pack("<HH", 96, 64), b"\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383)
    )


def giant_gif() -> bytes:
    """A GIF of two pictures of 4 x 4 pixels on a canvas of 65535 x 65535."""
    pictures = _gif_image(4, 4) * 2
    return b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0" + b"\xff\0\0\0\0\xff" + pictures + b";"


def little_gif() -> bytes:
    """A GIF of two pictures of 4 x 4 pixels, and nothing else."""
    return b"GIF89a" + struct.pack("<HH", 4, 4) + b"\x80\0\0" + b"\xff\0\0\0\0\xff" + _gif_image(4, 4) * 2 + b";"


def _gif_image(width: int, height: int) -> bytes:
    bits = "".join(f"{code:03b}"[::-1] for _ in range(width * height // 2) for code in (4, 0, 0)) + "101"
    bits += "0" * (-len(bits) % 8)
    data = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
    control = b"\x21\xf9\x04\0\x05\0\0\0"  # shown for 0.05 s
    return control + b"\x2c" + struct.pack("<HHHH", 0, 0, width, height) + b"\0\x02" + bytes([len(data)]) + data + b"\0"


# ---------------------------------------------------------------- MP4


def _box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I", 8 + sum(map(len, parts))) + kind + b"".join(parts)


def mp4(
    *,
    frames: int,
    ticks: int,
    media: bytes,
    frame_bytes: int,
    width: int = 96,
    height: int = 64,
    tracks: int = 1,
    elsewhere: bytes = b"",
) -> bytes:
    """An MP4 of MPEG-4 pictures, all of one size and length (in 1/1000 s), with whatever the numbers claim.

    `elsewhere` is a box that names the file in which the media lies.
    """
    identity = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    length = min(frames * ticks, 2**32 - 1)
    head = _box(b"ftyp", b"isom\0\0\2\0isommp41") + _box(b"mdat", media)
    start = len(head) - len(media)
    entry = bytes(6) + b"\0\1" + bytes(16) + struct.pack(">HHII", width, height, 72 << 16, 72 << 16)
    entry = _box(b"mp4v", entry + bytes(4) + b"\0\1" + bytes(32) + b"\0\x18\xff\xff")
    table = _box(
        b"stbl",
        _box(b"stsd", struct.pack(">II", 0, 1), entry),
        _box(b"stts", struct.pack(">IIII", 0, 1, frames, ticks)),
        _box(b"stsc", struct.pack(">IIIII", 0, 1, 1, frames, 1)),
        _box(b"stsz", struct.pack(">III", 0, frame_bytes, frames)),
        _box(b"stco", struct.pack(">III", 0, 1, start)),
    )
    references = _box(b"dinf", _box(b"dref", struct.pack(">II", 0, 1), elsewhere)) if elsewhere else b""
    information = _box(b"minf", _box(b"vmhd", bytes(12)), references, table)
    kind = _box(b"hdlr", bytes(8), b"vide", bytes(13))
    description = _box(b"mdia", _box(b"mdhd", struct.pack(">IIIIII", 0, 0, 0, 1000, length, 0)), kind, information)
    trak = b"".join(
        _box(
            b"trak",
            _box(b"tkhd", struct.pack(">IIIIII", 3, 0, 0, i + 1, 0, length), bytes(16), identity, bytes(8)),
            description,
        )
        for i in range(tracks)
    )
    movie = (
        struct.pack(">IIIII", 0, 0, 0, 1000, length) + b"\0\1\0\0\1\0" + bytes(10) + identity + bytes(24) + b"\0\0\0\2"
    )
    return head + _box(b"moov", _box(b"mvhd", movie), trak)


def ten_hours_mp4() -> bytes:
    """30 MB: two million pictures in ten hours."""
    return mp4(frames=2_000_000, ticks=18, media=bytes(30_000_000), frame_bytes=15)


def crowded_mp4() -> bytes:
    """Two million pictures in a hundred seconds."""
    return mp4(frames=2_000_000, ticks=0, media=bytes(2_000_000), frame_bytes=1)


def countless_mp4() -> bytes:
    """A kilobyte that claims a hundred million pictures."""
    return mp4(frames=100_000_000, ticks=1, media=bytes(100), frame_bytes=1)


def same_bytes_mp4() -> bytes:
    """200 kB that claim ten thousand pictures of a gigabyte each."""
    return mp4(frames=10_000, ticks=1, media=bytes(200_000), frame_bytes=1 << 30)


def streams_mp4() -> bytes:
    """Five thousand streams."""
    return mp4(frames=1, ticks=40, media=bytes(100), frame_bytes=100, tracks=5000)


def elsewhere_mp4(path: str) -> tuple[bytes, bytes]:
    """Two films whose media lies in another file: by a URL, and by an alias as QuickTime writes it."""
    url = _box(b"url ", bytes(4), f"file://{path}".encode(), b"\0")
    name = path.encode()
    alias = bytes(4) + struct.pack(">I", 0) + struct.pack(">HH", 200 + len(name), 2)
    alias += (
        bytes(2) + b"\4disk".ljust(28, b"\0") + bytes(12) + bytes([min(63, len(name))]) + name[:63].ljust(63, b"\0")
    )
    alias += bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    alias += struct.pack(">hH", 2, len(name)) + name + b"\0" * (len(name) % 2) + struct.pack(">hH", -1, 0)
    films = [
        mp4(frames=3, ticks=40, media=bytes(300), frame_bytes=100, elsewhere=box) for box in (url, _box(b"alis", alias))
    ]
    return films[0], films[1]


# ---------------------------------------------------------------- Matroska


def _element(name: str, content: bytes, size: int | None = None) -> bytes:
    """An element of EBML; `size` may be wrong, and -1 is "unknown"."""
    size = len(content) if size is None else size
    coded = b"\x01" + b"\xff" * 7 if size < 0 else struct.pack(">Q", size | 1 << 56)
    return bytes.fromhex(name) + coded + content


def _track(number: int, width: int = 96, height: int = 64) -> bytes:
    picture = _element("B0", struct.pack(">I", width)) + _element("BA", struct.pack(">I", height))
    said = (
        _element("D7", struct.pack(">I", number)) + _element("73C5", struct.pack(">I", number)) + _element("83", b"\1")
    )
    return _element("AE", said + _element("86", b"V_MPEG4/ISO/ASP") + _element("E0", picture))


def matroska(clusters: bytes, *, tracks: int = 1, endless: bool = True, width: int = 96, height: int = 64) -> bytes:
    """A file as a pipe makes it: of unknown size, without duration, index or end."""
    head = _element("1A45DFA3", _element("4282", b"matroska") + _element("4287", b"\4") + _element("4285", b"\2"))
    information = _element("1549A966", _element("2AD7B1", struct.pack(">I", 1_000_000)))
    listed = _element("1654AE6B", b"".join(_track(i + 1, width, height) for i in range(tracks)))
    return head + _element("18538067", information + listed + clusters, -1 if endless else None)


def _cluster(start: int, blocks: int, step: int, content: bytes) -> bytes:
    """Blocks of the first track, `step` milliseconds apart."""
    made = b"".join(_element("A3", b"\x81" + struct.pack(">hB", i * step, 0x80) + content) for i in range(blocks))
    return _element("E7", struct.pack(">Q", start)) + made


def ten_hours_mkv() -> bytes:
    """30 MB from a pipe: two million blocks in ten hours, in clusters of unknown size."""
    body = _cluster(0, 1800, 18, b"\0" * 3)[17:]
    starts = [_element("E7", struct.pack(">Q", i * 1800 * 18)) for i in range(1111)]
    return matroska(b"".join(_element("1F43B675", start + body, -1) for start in starts))


def no_end_mkv() -> bytes:
    """20 MB from a pipe whose clusters all begin at zero: time never passes."""
    return matroska(_element("1F43B675", _cluster(0, 1000, 0, b"\0" * 10), -1) * 900)


def streams_mkv() -> bytes:
    """Ten thousand streams."""
    return matroska(b"", tracks=10_000)


def empty_elements_mkv() -> bytes:
    """10 MB of elements that say nothing."""
    return matroska(_element("EC", b"") * 1_100_000)


def nested_mkv() -> bytes:
    """Groups within groups, 100,000 deep."""
    return matroska(bytes.fromhex("A0") * 100_000)


# ---------------------------------------------------------------- others


def streams_ogg() -> bytes:
    """Ten thousand logical streams that all begin."""
    page = b"OggS\0\2" + bytes(8)
    body = b"\x80theora\3\2\1" + struct.pack(">HH", 6, 4) + bytes(28)
    return b"".join(page + struct.pack("<III", i, 0, 0) + bytes([1, len(body)]) + body for i in range(10_000))


def streams_ts() -> bytes:
    """A transport stream with two hundred programs of ten streams each."""

    def packet(pid: int, payload: bytes) -> bytes:
        return struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10) + (b"\0" + payload).ljust(184, b"\xff")

    def section(table: int, number: int, body: bytes) -> bytes:
        content = struct.pack(">HBBB", number, 0xC1, 0, 0) + body
        whole = struct.pack(">BH", table, 0xB000 | len(content) + 4) + content
        return whole + struct.pack(">I", _crc(whole))

    out = b""
    for first in range(16, 216, 40):
        pids = range(first, first + 40)
        out += packet(0, section(0, 1, b"".join(struct.pack(">HH", pid, 0xE000 | pid) for pid in pids)))
        for pid in pids:
            streams = b"".join(struct.pack(">BHH", 0x1B, 0xE000 | pid + 100 + i, 0xF000) for i in range(10))
            out += packet(pid, section(2, pid, struct.pack(">HH", 0xE000 | pid, 0xF000) + streams))
    return out


def _crc(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 1 << 31 else value << 1) & 0xFFFFFFFF
    return value
