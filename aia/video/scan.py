"""List the packets of a file without decoding: how many frames it has, when they are shown, and what is damaged.

A claim of the header (the length, a missing end) counts only if packets, frames or the file's structure confirm it. Some
formats tell nowhere else how long the last frame stays: see `STATES_END`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import av
import numpy as np

from aia import limits
from aia.video import containers
from aia.video.source import STILL, Source

PICTURE_FORMATS = ("gif", "apng", "mjpeg")  # a file of one frame is a still picture, like PNG and JPEG
STATES_END = ("matroska", "flv", "asf", "ogg")  # only the header may tell how long the last frame lasts
ONE_LENGTH = ("matroska", "flv")  # FFmpeg adds the start of the first stream to their length
SHORTEST = 1e-3  # seconds; a shorter duration is not believed
SLACK_SECONDS = 0.5  # that the end of the audio may differ from the end that the header states
MAX_REORDER = 16  # frames; the most that H.264 and HEVC store out of order
# Decoders that give one frame for each packet and can start at every key frame; other decoders run in order.
PLANNABLE_CODECS = frozenset({"h264", "hevc", "vp9", "av1", "libdav1d", "mjpeg"})
BARE = ("h264", "hevc", "mjpeg", "obu", "av1")  # streams without a container; FFmpeg gives all of them the same rate
RATES = 0.1, 1000  # frames per second; a header that states less or more is not believed
DEFAULT_RATE = 25.0  # frames per second, if neither the frames nor the header tell


class KeyFrame(NamedTuple):
    """A frame at which decoding can start."""

    pts: int
    position: int


class Tail(NamedTuple):
    """The frame that is shown last."""

    pts: int
    duration: int


@dataclass(frozen=True)
class Scan:
    """What is known from the packets before any decoding; stream and packets live as long as their container.

    Attributes:
        stream: The video stream.
        packets: Its packets in decoding order; the last one is empty and drains the decoder.
        count: How many of them should show a frame.
        pts: Presentation times of those frames, sorted, in units of `time_base`; empty if unknown or impossible.
        key_frames: The key frames, with their positions in `packets`; empty if a time is unknown.
        bad: Positions in `packets` that could not be read whole.
        cut: Whether the file is truncated, or lacks pictures that its index lists.
        tail: The last frame, with a duration of 0 if unknown; None if no time is known.
        stated_end: The end of the last frame according to the header, in seconds; 0 if unknown or contradicted.
        time_base: Seconds in one unit of `pts`.
        rate: Frames per second according to the header, or `DEFAULT_RATE`.
    """

    stream: av.VideoStream
    packets: list[av.Packet[av.VideoStream]] = field(repr=False)
    count: int
    pts: list[int] = field(repr=False)
    key_frames: list[KeyFrame] = field(repr=False)
    bad: list[int] = field(repr=False)
    cut: bool
    tail: Tail | None
    stated_end: float
    time_base: float
    rate: float

    @property
    def plannable(self) -> bool:
        """Whether frames can be located by this list; decoding checks it further."""
        return (
            not self.bad
            and self.stream.codec_context.name in PLANNABLE_CODECS
            and bool(self.pts and self.key_frames)
            and _increasing(self.pts)
            and _increasing([key_frame.pts for key_frame in self.key_frames])
            and self.key_frames[0].pts <= self.pts[0]
            and not any(packet.has_sidedata("new_extradata") for packet in self.packets)
        )

    @property
    def is_rate_assumed(self) -> bool:
        """Whether nothing in the file says when its frames are shown."""
        return self.stream.container.format.name in BARE and _stated_rate(self.stream) is None

    def duration(self, frame_pts: Sequence[int]) -> float:
        """Return the seconds from the first frame to the end of the last.

        The last frame lasts until the end that the header states, if there is reason to trust it; otherwise as long as its
        packet says; otherwise as long as most frames.

        Args:
            frame_pts: The presentation times of all frames, sorted.
        """
        first, last = frame_pts[0] * self.time_base, frame_pts[-1] * self.time_base
        end = sum(self.tail) * self.time_base if self.tail else -math.inf
        if end < last + SHORTEST:
            typical = float(np.median(np.diff(frame_pts))) * self.time_base if len(frame_pts) > 1 else 1 / self.rate
            end = last + typical
        if self.stated_end > last + SHORTEST and abs(self.stated_end - end) > SHORTEST:
            end = self.stated_end
        return end - first


def scan_file(source: Source, container: av.container.InputContainer) -> Scan:
    """Demux the whole file once without decoding.

    Raises:
        AIAError: The file has no usable video stream, is a still picture, or exceeds a limit.
    """
    one_frame_each = all(stream.frames == 1 for stream in container.streams.video)
    if one_frame_each and containers.is_heif(containers.head(source.path)):
        raise source.error(STILL)
    stream = source.video_stream(container)
    demuxed = _demux(source, container, stream)
    packets = demuxed.packets
    if any(packet.has_sidedata("encryption_info") for packet in packets):
        raise source.error("is protected against copying: choose a video that is not.")
    full = [packet for packet in packets if packet.size]
    if len(full) == 1 and container.format.name in PICTURE_FORMATS:
        raise source.error(STILL)
    stamped = all(packet.pts is not None for packet in full)
    displayed = [packet for packet in full if not packet.is_discard and not packet.is_corrupt]
    pts = sorted(packet.pts for packet in displayed if packet.pts is not None) if stamped else []
    key_packets = [(packet.pts, i) for i, packet in enumerate(packets) if packet.size and packet.is_keyframe]
    rate = float(_stated_rate(stream) or stream.average_rate or stream.guessed_rate or 0)
    cut = _is_cut(source, container, stream, demuxed)
    scan = Scan(
        stream=stream,
        packets=packets,
        count=len(displayed),
        pts=[] if _too_fast(pts, _time_base(stream)) else pts,
        key_frames=[KeyFrame(pts, i) for pts, i in key_packets if pts is not None] if stamped else [],
        bad=[i for i, packet in enumerate(packets) if packet.is_corrupt] + [len(packets)] * (not demuxed.whole),
        cut=cut,
        tail=demuxed.tail,
        stated_end=0 if cut or not demuxed.whole else _stated_end(container, stream, demuxed),
        time_base=_time_base(stream),
        rate=rate if RATES[0] <= rate <= RATES[1] else DEFAULT_RATE,
    )
    source.check_length(round(scan.duration(scan.pts) if scan.pts else scan.count / scan.rate, 3))
    return scan


def sorted_pts(stamps: Sequence[int | None], time_base: float) -> Sequence[int]:
    """Return the frames' times in presentation order; empty if they cannot be right.

    AVI has no presentation times: FFmpeg makes them from the rate in the header, and assigns some to a neighboring frame.

    Args:
        stamps: The times of all frames, in decoding order.
        time_base: Seconds in one unit of them.
    """
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < len(stamps) or _too_fast(known, time_base):
        return []
    if _increasing(known):
        return known
    order = np.argsort(known, kind="stable")
    ordered = [known[i] for i in order]
    near = np.abs(order - np.arange(len(order))).max() <= MAX_REORDER
    return ordered if near and _increasing(ordered) else []


class _Demuxed(NamedTuple):
    """The result of reading the packets one by one.

    Attributes:
        packets: The packets of the video stream that hold data, and the empty one that drains the decoder.
        whole: Whether the file could be read to its end.
        tail: As in `Scan`.
        sound_end: When the other streams end, in seconds.
    """

    packets: list[av.Packet[av.VideoStream]]
    whole: bool
    tail: Tail | None
    sound_end: float


def _demux(source: Source, container: av.container.InputContainer, stream: av.VideoStream) -> _Demuxed:
    """Read all packets; keep those of the video stream."""
    packets: list[av.Packet[av.VideoStream]] = []
    # Stream -> seconds; converting a fraction for every packet would double the time.
    ticks = {stream.index: _time_base(stream)}
    first, held_bytes, sound_end = math.inf, 0, 0.0
    tail: tuple[int, int] | None = None
    whole = False
    deadline = time.monotonic() + limits.MAX_SCAN_SECONDS
    try:
        for number, packet in enumerate(container.demux()):
            # One file can refer to the same bytes many times, so its size does not bound what is held.
            if number >= limits.MAX_PACKETS or held_bytes > limits.MAX_UPLOAD_BYTES or time.monotonic() > deadline:
                raise source.error("has too many parts to read: save it again as a short MP4.")
            index, pts, size = packet.stream.index, packet.pts, packet.size
            if pts is not None:
                tick = ticks.get(index) or ticks.setdefault(index, float(packet.time_base))
            if index != stream.index:
                if pts is not None:
                    sound_end = max(sound_end, (pts + (packet.duration or 0)) * tick)
                continue
            if size or packet.dts is None:  # another empty packet shows nothing, and would end the decoding
                packets.append(packet)  # type: ignore[arg-type]  # its stream is `stream`
                held_bytes += size
            if pts is not None and not packet.is_discard and not packet.is_corrupt:
                if tail is None or pts >= tail[0]:
                    tail = pts, packet.duration or 0
                seconds = pts * tick
                first = min(first, seconds)
                source.check_length(seconds - first)
        whole = True
    except IndexError:
        whole = True  # PyAV fails on a stream that appears late, after everything has been read
    except av.FFmpegError:
        pass
    return _Demuxed(packets, whole, Tail(*tail) if tail else None, sound_end)


def _is_cut(source: Source, container: av.container.InputContainer, stream: av.VideoStream, demuxed: _Demuxed) -> bool:
    """Whether the end of the file is missing: judged by its structure, not by the length in the header alone."""
    name = container.format.name
    if name.startswith("mov,"):
        index = stream.index_entries
        listed = len(index) if len(index) < len(demuxed.packets) else sum(entry.size > 0 for entry in index)
        if listed > sum(packet.size > 0 for packet in demuxed.packets):
            return True
    if name == "flv" and not _stated_end(container, stream, demuxed):
        return False  # nothing is missing, and reading all its tags would take long
    return containers.is_truncated(source.path, name)


def _stated_end(container: av.container.InputContainer, stream: av.VideoStream, demuxed: _Demuxed) -> float:
    """The end of the last frame according to the header of a whole file, in seconds; 0 if it adds nothing."""
    if demuxed.tail is None:
        return 0
    name, tick = container.format.name, _time_base(stream)
    end = sum(demuxed.tail) * tick
    if stream.duration and not name.startswith(ONE_LENGTH):
        stated = ((stream.start_time or 0) + stream.duration) * tick
    else:
        stated = (container.duration or 0) / av.time_base
    if name.startswith("mov,"):  # each of its frames has a length, which only an edit list changes
        return stated if stated < end or any(packet.is_discard for packet in demuxed.packets) else 0
    longer = name.startswith(STATES_END) and stated > max(end, demuxed.sound_end + SLACK_SECONDS)
    # Nothing else confirms this end, so it must never be the reason to refuse a file.
    return stated if longer and stated <= limits.MAX_SECONDS else 0


def _time_base(stream: av.VideoStream) -> float:
    assert stream.time_base is not None  # FFmpeg gives one to every stream that it demuxes
    counted, stated = stream.average_rate, _stated_rate(stream)
    return float(stream.time_base * counted / stated if counted and stated else stream.time_base)


def _stated_rate(stream: av.VideoStream) -> Fraction | None:
    """The rate that a bare stream states, in whose place FFmpeg takes its own."""
    rate = stream.codec_context.framerate if stream.container.format.name in BARE else None
    return rate if rate and RATES[0] <= rate <= RATES[1] else None


def _increasing(values: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(values))


def _too_fast(pts: Sequence[int], time_base: float) -> bool:
    """Whether there are more frames in a second than a header may state, so that the times cannot be right."""
    return len(pts) > 1 and (max(pts) - min(pts)) * time_base * RATES[1] < 0.99 * (len(pts) - 1)  # times may be rounded
