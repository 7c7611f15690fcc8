"""Read a video file: the right frames, at the right times, or one sentence that says why not.

The only module that opens video for reading. A file is demuxed once without decoding, which gives the true number of
frames, their times and the key frames. The frames of a clip are chosen on that true number; decoding starts at the key
frame before each of them, and every decoded frame is checked against the list. Where the list does not hold (no time
stamps, damage, a container that lies) the file is decoded from the start, in order, and what comes out is the truth.
Damage that no decoded frame depends on goes unseen: finding it would mean decoding every file whole.

What a header claims (length, transparency, a missing end) is said only if packets, frames or the file's build agree.
"""

from __future__ import annotations

import logging
import math
import os
import struct
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from aia import limits
from aia.errors import AIAError
from aia.video import containers, hdr

log = logging.getLogger(__name__)

# Plain containers only: no playlist, concat script or image sequence, which would open other files or the network.
# The sound formats are here so that the answer to a song is "no video stream".
FORMATS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,gif,apng,flv,ogg,asf,h264,hevc,m4v,mjpeg,av1,obu,ivf,mp3,wav,flac,aac"
FORMAT_NAMES = "MP4, MOV, WebM, MKV, AVI, TS, MPG, GIF, AVIF, FLV, OGV or WMV"  # what people are told of it
PICTURES = ("gif", "apng", "mjpeg")  # a file of one frame is a still picture, as PNG and JPEG are
STATES_END = ("matroska", "flv", "asf", "ogg")  # the header may be the only one to tell how long the last frame lasts
SHORTEST = 1e-3  # seconds; what is said to last less has no length that is worth believing
SLACK_SECONDS = 0.5  # by which the end of a sound may miss the end that the header states
MAX_REORDER = 16  # frames; the most that H.264 and HEVC store out of order
TAIL_PACKETS = 3  # damage that begins this close to the last packet is at the end of the file
PROBE_BYTES = 1 << 18  # that FFmpeg reads ahead for what a header leaves out: at worst as many packets, of a byte each
# Decoders that give one frame for one packet and start afresh at every key frame; the others decode in order.
PLANNABLE_CODECS = frozenset({"h264", "hevc", "vp9", "av1", "libdav1d", "mjpeg"})
# Of one decoder, of which a few may run: each thread holds pictures, and beyond four there is little to gain.
DECODER_THREADS = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
JUMP_COST = 4  # frames; a jump that saves no more than this is not worth refilling the decoder
PROOF_FRAMES = 16  # must come exactly as listed before unneeded non-reference frames are left undecoded
MAX_PASSES = 3  # in order, until the count is the one the frames were chosen on: two, if decoding is repeatable
RATES = 0.1, 1000  # frames a second; a header that tells less or more is not believed
DEFAULT_RATE = 25.0  # frames a second, where neither the frames nor the header tell
RESIZED = "The picture size changes within the file: all frames are shown at the size of the first."
BLOCK_ADDITION, ALPHA_ID = "matroska_block_additional", bytes(7) + b"\1"  # how WebM stores opacity
ALPHA_CODECS = ("vp8", "vp9")  # in a second stream of the same codec
OPAQUE = 240  # of 255; scaling and lossy coding leave opaque pictures below 255, and nobody sees the difference
TRANSPARENT = "Transparent parts of the picture are shown on white."
HIDDEN_ALPHA = "The video has transparent parts: they are shown with the colours that are stored beneath."
TONED = "The video is marked as high dynamic range; it is tone-mapped to sRGB."
STILL = "is a still picture and could not be opened as a video: choose a clip, or an animation of several pictures."
WEBP = "is an animated WebP, which could not be opened as a video: save it as GIF or MP4."
FAR_SHARES = 2  # of duration / frames; a longer stretch without a chosen frame counts as left out
LEFT_OUT = (
    "The frames of the video are spread unevenly over its time: those chosen leave out {:.1f} of {:.1f} s, "
    "the longest stretch from {:.1f} to {:.1f} s."
)


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames read from one video.

    Attributes:
        frames: Pictures, uint8 [T, H, W, 3], RGB, upright, at the source's size unless a `max_side` was given.
        indices: Which frames they are, int64 [T], 0-based in presentation order, within [0, num_frames).
        times: When they are shown, float64 [T], seconds from the file's first frame (which is 0.0).
        fps: Mean frames a second of the whole file: `num_frames / duration`.
        duration: Seconds from the file's first frame to the end of its last one; a longer sound does not count.
        num_frames: How many frames of the file can be decoded.
        warnings: Sentences for a person; empty when all is well.
    """

    frames: np.ndarray
    indices: np.ndarray
    times: np.ndarray
    fps: float
    duration: float
    num_frames: int
    warnings: tuple[str, ...] = ()

    def backwards(self) -> Clip:
        """The same frames, the last first; their `indices` and `times` stay those in the video, so they fall."""
        return replace(self, frames=self.frames[::-1], indices=self.indices[::-1], times=self.times[::-1])


def sample_indices(num_frames: int, num_segments: int) -> list[int]:
    """Return the middle frame of each of `num_segments` equal parts, 0-based; frames repeat in a shorter video.

    The published test-time rule: tick = N / T, frame k is int(tick / 2 + tick * k).

    >>> sample_indices(9, 8)
    [0, 1, 2, 3, 5, 6, 7, 8]
    """
    tick = num_frames / num_segments
    return [int(tick / 2 + tick * k) for k in range(num_segments)]


def read_clip(
    path: str | Path,
    num_segments: int = 8,
    *,
    max_side: int | None = None,
    cancelled: threading.Event | None = None,
    shown: str = "",
) -> Clip:
    """Read `num_segments` frames spread evenly over a video by the published rule.

    Args:
        path: A video file, of one of `FORMAT_NAMES`.
        num_segments: How many frames, 1 to `limits.MAX_SEGMENTS`.
        max_side: Scale pictures down until the longer side has this many pixels; never up.
        cancelled: Set by another thread, it ends the reading with an error.
        shown: What a sentence calls the file; its name without the folder by default.

    Raises:
        AIAError: The file is missing, not a video, damaged beyond use or over a limit, or an argument is out of range.
    """
    if not isinstance(num_segments, (int, np.integer)) or not 1 <= num_segments <= limits.MAX_SEGMENTS:
        raise AIAError(f"A clip has 1 to {limits.MAX_SEGMENTS} frames, not {num_segments}: choose a number in between.")
    source = _Source(Path(path), cancelled=cancelled or threading.Event(), shown=shown)
    return _read(source, lambda count: sample_indices(count, num_segments), max_side)


def read_frames(path: str | Path, *, max_side: int | None = None, shown: str = "") -> Clip:
    """Read every frame of a video, in order; arguments and errors as in `read_clip`.

    Raises:
        AIAError: As in `read_clip`, or the pictures need more than `limits.MAX_PICTURE_BYTES`.
    """
    return _read(_Source(Path(path), shown=shown), range, max_side)


def _read(source: _Source, choose: Callable[[int], Sequence[int]], max_side: int | None) -> Clip:
    """Read the frames that `choose` picks from the true number of frames."""
    if max_side is not None and max_side < 1:
        raise AIAError(f"Pictures cannot be scaled to {max_side} pixels: give a max_side of at least 1.")
    try:
        with source.open(probe=False) as container:
            scan = _scan(source, container)
            if scan.plannable:
                pictures = _Pictures(source, choose(len(scan.pts)), max_side)
                if _decode_planned(source, scan, pictures):
                    return _clip(pictures, scan, scan.pts)
                log.info("the plan for %s did not hold: decoding it in order", source.name)
        return _decode_in_order(source, choose, max_side)
    except MemoryError:
        raise source.error("needs more memory than there is: cut it or save it with smaller pictures.") from None


@dataclass(frozen=True)
class _Source:
    """One file, with the time by which it must be read, and whether anybody still waits for it."""

    path: Path
    deadline: float = field(default_factory=lambda: time.monotonic() + limits.MAX_DECODE_SECONDS)
    cancelled: threading.Event = field(default_factory=threading.Event)
    shown: str = ""

    @property
    def name(self) -> str:
        return (self.shown or self.path.name).encode("utf-8", "replace").decode()  # a name need not be text

    def error(self, sentence: str) -> AIAError:
        return AIAError(f"“{self.name}” {sentence}")

    def too_late(self) -> AIAError:
        return self.error("takes too long to read: shorten it or save it with smaller pictures.")

    def check_time(self) -> None:
        if time.monotonic() > self.deadline or self.cancelled.is_set():
            raise self.too_late()

    def check_picture(self, width: int, height: int) -> None:
        if width * height > limits.MAX_FRAME_PIXELS:
            most = limits.MAX_FRAME_PIXELS / 1e6
            size = f"{width} x {height} pixels, more than {most:.1f} million"
            raise self.error(f"has pictures of {size}: save it with smaller ones.")
        if max(width, height) > limits.MAX_ASPECT * max(1, min(width, height)):
            raise self.error(f"has pictures of {width} x {height} pixels, too narrow to look at: crop them.")

    def check_length(self, seconds: float) -> None:
        if seconds > limits.MAX_SECONDS:
            raise self.error(f"is longer than {limits.MAX_SECONDS} s: cut it to the part you want to look at.")

    def check_file(self) -> None:
        """Refuse what is no file, or too large a one, before anything is opened."""
        try:
            size = self.path.stat().st_size
        except (OSError, ValueError):
            raise self.error("was not found: check the name.") from None
        if not self.path.is_file():
            raise self.error("is not a file: choose a video file.")
        if size > limits.MAX_UPLOAD_BYTES:
            most = limits.MAX_UPLOAD_BYTES // 2**20
            raise self.error(f"is larger than {most} MB: cut it or save it with a lower quality.")

    def open(self, *, probe: bool = True) -> av.container.InputContainer:
        """Open the file and nothing else: no other protocol, and no format that points elsewhere.

        With `probe`, FFmpeg decodes the first frames to learn what a header may leave out. A plan does without: it is
        checked anyway, and a large key frame takes longer than all the rest of the opening.
        """
        self.check_file()
        try:
            return av.open(
                f"file:{self.path.absolute()}",  # so that no name is taken for a protocol or an option
                options={
                    "format_whitelist": FORMATS,
                    "protocol_whitelist": "file",
                    "max_streams": str(limits.MAX_STREAMS),
                    "probesize": str(PROBE_BYTES),
                    "max_pixels": str(2 * limits.MAX_FRAME_PIXELS),
                    **({} if probe else {"skip_frame": "all"}),
                },
                metadata_errors="replace",
                timeout=limits.MAX_SCAN_SECONDS,
            )
        except MemoryError:
            if containers.is_heif(containers.head(self.path)):  # a large photo, in tiles
                raise self.error(STILL) from None
            most = limits.MAX_STREAMS
            raise self.error(
                f"has more than {most} streams, or too much in them: save it again as H.264 MP4."
            ) from None
        except (av.FFmpegError, ValueError, OSError):
            head = containers.head(self.path)
            if containers.is_still(head):
                raise self.error(WEBP if containers.is_webp(head, animated=True) else STILL) from None
            raise self.error(f"could not be opened as a video: choose an intact {FORMAT_NAMES}.") from None

    def video_stream(self, container: av.container.InputContainer) -> av.VideoStream:
        """Return the main moving picture: never cover art."""
        best = container.streams.best("video")
        candidates = [best, *container.streams.video] if best is not None else []
        cover = av.stream.Disposition.attached_pic
        stream = next((s for s in candidates if not s.disposition & cover), None)
        if stream is None:
            raise self.error("has no video stream, only sound or a cover: choose a file with moving pictures.")
        if stream.codec_context is None:
            raise self.error("is in a video format that cannot be decoded here: save it as H.264 MP4.")
        self.check_picture(stream.codec_context.width, stream.codec_context.height)
        # The decoder itself refuses a picture that grows past the header's word, before it takes the memory.
        stream.codec_context.options = {"max_pixels": str(2 * limits.MAX_FRAME_PIXELS)}
        stream.codec_context.thread_count = DECODER_THREADS
        return stream


@dataclass(frozen=True)
class _Scan:
    """What one pass over the packets says, before any decoding; stream and packets live as long as their container.

    Attributes:
        stream: The video stream.
        packets: Its packets in decoding order, the empty one that drains the decoder last.
        count: How many of them should show a frame.
        pts: Presentation times of those frames, sorted, in `time_base`; empty where one is unknown.
        keys: (pts, position in `packets`) of the key frames; empty where a time is unknown.
        bad: Positions in `packets` that could not be read whole.
        cut: Whether the file stops in the middle, or lacks pictures that its index lists.
        tail: (pts, duration) of what is shown last, a duration of 0 where none is known; None where no time is known.
        stated_end: When the last frame ends by the header, in seconds; 0 where it is silent or something contradicts it.
        time_base: Seconds in one step of `pts`.
        rate: Frames a second by the header, or `DEFAULT_RATE`.
    """

    stream: av.VideoStream
    packets: list[av.Packet]
    count: int
    pts: list[int]
    keys: list[tuple[int, int]]
    bad: list[int]
    cut: bool
    tail: tuple[int, int] | None
    stated_end: float
    time_base: float
    rate: float

    @property
    def plannable(self) -> bool:
        """Whether the list looks fit to find frames by; decoding checks it further."""
        return (
            not self.bad
            and self.stream.codec_context.name in PLANNABLE_CODECS
            and bool(self.pts and self.keys)
            and _increasing(self.pts)
            and _increasing([pts for pts, _ in self.keys])
            and self.keys[0][0] <= self.pts[0]
            and not any(packet.has_sidedata("new_extradata") for packet in self.packets)
        )


def _scan(source: _Source, container: av.container.InputContainer) -> _Scan:
    """Demux the whole file once without decoding."""
    if containers.is_heif(containers.head(source.path)) and all(one.frames == 1 for one in container.streams.video):
        raise source.error(STILL)
    stream = source.video_stream(container)
    demuxed = _demux(source, container, stream)
    packets = demuxed.packets
    if any(packet.has_sidedata("encryption_info") for packet in packets):
        raise source.error("is protected against copying: choose a video that is not.")
    full = [packet for packet in packets if packet.size]
    if len(full) == 1 and container.format.name in PICTURES:
        raise source.error(STILL)
    stamped = all(packet.pts is not None for packet in full)
    shown = [packet for packet in full if not packet.is_discard and not packet.is_corrupt]
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    cut = _is_cut(source, container, stream, demuxed)
    scan = _Scan(
        stream=stream,
        packets=packets,
        count=len(shown),
        pts=sorted(packet.pts for packet in shown) if stamped else [],
        keys=[(packet.pts, i) for i, packet in enumerate(packets) if stamped and packet.size and packet.is_keyframe],
        bad=[i for i, packet in enumerate(packets) if packet.is_corrupt] + [len(packets)] * (not demuxed.whole),
        cut=cut,
        tail=demuxed.tail,
        stated_end=0 if cut or not demuxed.whole else _stated_end(container, stream, demuxed),
        time_base=float(stream.time_base),
        rate=rate if RATES[0] <= rate <= RATES[1] else DEFAULT_RATE,
    )
    source.check_length(round(_length(scan, scan.pts) if scan.pts else scan.count / scan.rate, 3))
    return scan


@dataclass(frozen=True)
class _Demuxed:
    """What the packets say one by one.

    Attributes:
        packets: Those of the video stream that hold anything, and the empty one that drains the decoder.
        whole: Whether the file could be read to its end.
        tail: As in `_Scan`.
        sound_end: When the other streams end, in seconds.
    """

    packets: list[av.Packet]
    whole: bool
    tail: tuple[int, int] | None
    sound_end: float


def _demux(source: _Source, container: av.container.InputContainer, stream: av.VideoStream) -> _Demuxed:
    """Read all packets, of which only those of the video stream are kept."""
    packets: list[av.Packet] = []
    ticks: dict[int, float] = {}  # stream -> seconds; a fraction for every packet would take as long as reading it
    first, held, sound_end = math.inf, 0, 0.0
    tail: tuple[int, int] | None = None
    whole = False
    too_late = time.monotonic() + limits.MAX_SCAN_SECONDS
    try:
        for number, packet in enumerate(container.demux()):
            # One file can name the same bytes many times, so its size does not bound what is held.
            if number >= limits.MAX_PACKETS or held > limits.MAX_UPLOAD_BYTES or time.monotonic() > too_late:
                raise source.error("has too many parts to read: save it again as a short MP4.")
            index, pts, size = packet.stream.index, packet.pts, packet.size
            if pts is not None:
                tick = ticks.get(index) or ticks.setdefault(index, float(packet.time_base))
            if index != stream.index:
                if pts is not None:
                    sound_end = max(sound_end, (pts + (packet.duration or 0)) * tick)
                continue
            if size or packet.dts is None:  # else nothing new is shown, and a decoder would take it for the end
                packets.append(packet)
                held += size
            if pts is not None and not packet.is_discard and not packet.is_corrupt:
                if tail is None or pts >= tail[0]:
                    tail = pts, packet.duration or 0
                shown = pts * tick
                first = min(first, shown)
                source.check_length(shown - first)
        whole = True
    except IndexError:
        whole = True  # PyAV trips over a stream that turned up late, when all has been read
    except av.FFmpegError:
        pass
    return _Demuxed(packets, whole, tail, sound_end)


def _is_cut(source: _Source, container: av.container.InputContainer, stream: av.VideoStream, demuxed: _Demuxed) -> bool:
    """Whether the end of the file is missing: by its build, never by the length that a header states alone."""
    name = container.format.name
    if name.startswith("mov,"):
        index = stream.index_entries
        listed = len(index) if len(index) < len(demuxed.packets) else sum(entry.size > 0 for entry in index)
        if listed > sum(packet.size > 0 for packet in demuxed.packets):
            return True
    if name == "flv" and not _stated_end(container, stream, demuxed):
        return False  # nothing is missing, and to go through its tags would take long
    return containers.stops_inside(source.path, name)


def _stated_end(container: av.container.InputContainer, stream: av.VideoStream, demuxed: _Demuxed) -> float:
    """When the last frame ends by the header of a whole file, in seconds; 0 where there is no reason to ask it."""
    if demuxed.tail is None:
        return 0
    name, tick = container.format.name, float(stream.time_base)
    end = sum(demuxed.tail) * tick
    if stream.duration:
        stated = ((stream.start_time or 0) + stream.duration) * tick
    else:
        stated = (container.duration or 0) / av.time_base
    if name.startswith("mov,"):  # each of its frames has a length, which only an edit list changes
        return stated if stated < end or any(packet.is_discard for packet in demuxed.packets) else 0
    longer = name.startswith(STATES_END) and stated > max(end, demuxed.sound_end + SLACK_SECONDS)
    # Nothing else bears it out, so it never is the reason to refuse a file.
    return stated if longer and stated <= limits.MAX_SECONDS else 0


class _Pictures:
    """The wanted frames of a video as RGB, filled while it is decoded.

    Attributes:
        indices: Which frames are wanted, repeats allowed.
        frames: uint8 [T, H, W, 3], one row for each index; None until the first is taken.
        notes: What had to be done to the pictures: of `RESIZED`, `TRANSPARENT`, `TONED`.
    """

    def __init__(self, source: _Source, indices: Sequence[int], max_side: int | None):
        self.source, self.indices, self.max_side = source, list(indices), max_side
        self.frames: np.ndarray | None = None
        self.notes: set[str] = set()
        self._rows: dict[int, list[int]] = {}
        for row, index in enumerate(self.indices):
            self._rows.setdefault(index, []).append(row)

    def take(self, index: int, frame: av.VideoFrame, transfer: int) -> None:
        """Keep the frame if it is wanted: scaled, turned upright, in sRGB; `transfer` says what its values stand for."""
        if index not in self._rows:
            return
        self.source.check_picture(frame.width, frame.height)
        scale = min(1.0, (self.max_side or math.inf) / max(frame.width, frame.height))
        size = (max(1, round(frame.height * scale)), max(1, round(frame.width * scale)))
        turned, down, right = _orientation(frame)
        if self.frames is None:
            upright = size[::-1] if turned else size
            if len(self.indices) * math.prod(size) * 3 > limits.MAX_PICTURE_BYTES:
                raise self.source.error("has more picture data than fits in memory: give a smaller max_side.")
            self.frames = np.empty((len(self.indices), *upright, 3), np.uint8)
        upright = self.frames.shape[1:3]
        fixed = upright[::-1] if turned else upright
        if fixed != size:
            self.notes.add(RESIZED)
        try:
            image = self._srgb(frame, transfer, *fixed)
        except MemoryError:  # no fault of the file
            raise
        except (av.FFmpegError, ValueError):
            kind = frame.format.name
            raise self.source.error(
                f"stores colours so that they cannot be shown ({kind}): save it as H.264 MP4."
            ) from None
        pixels = image.view("V3")[..., 0]  # [H, W]: to turn single bytes would take twice as long
        self.frames.view("V3")[self._rows[index], ..., 0] = (pixels.T if turned else pixels)[::down, ::right]

    def _srgb(self, frame: av.VideoFrame, transfer: int, height: int, width: int) -> np.ndarray:
        if transfer in hdr.TRANSFERS:
            self.notes.add(TONED)
            return hdr.to_srgb(frame.to_ndarray(format="rgb48le", height=height, width=width), transfer)
        if not any(component.is_alpha for component in frame.format.components):
            return frame.to_ndarray(format="rgb24", height=height, width=width)
        image = frame.to_ndarray(format="rgba", height=height, width=width)
        colour, alpha = image[..., :3], image[..., 3:]
        least = alpha.min()
        if least == 255:
            return colour
        if least < OPAQUE:
            self.notes.add(TRANSPARENT)
        return (colour * (alpha / np.float32(255)) + (255 - alpha)).round().astype(np.uint8)


def _orientation(frame: av.VideoFrame) -> tuple[bool, int, int]:
    """How a stored picture becomes upright: whether rows and columns change places, and then the steps through both.

    The display matrix says where a point goes: x to a x + c y, y to b x + d y; angles between are brought to the nearest.
    """
    try:
        data = SideDataContainer(frame).get("DISPLAYMATRIX")  # frame.side_data would tie a knot that keeps the frame
    except ValueError:  # beside it is something that PyAV has no name for (such as EXIF): it still tells the angle
        angle = math.radians(frame.rotation)  # counterclockwise
        a, b, c, d = math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    else:
        if data is None:
            return False, 1, 1
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    down, right = (b, c) if turned else (d, a)
    return turned, -1 if down < 0 else 1, -1 if right < 0 else 1


def _runs(scan: _Scan, wanted: Sequence[int]) -> list[tuple[range, set[int]]]:
    """Plan the decoding: (positions of the packets to decode, from a key frame on; the frames to take of what comes out)."""
    position = {packet.pts: i for i, packet in enumerate(scan.packets)}
    # The last packet that a frame needs: its own, or that of an earlier frame which is stored after it.
    last = list(accumulate((position[pts] for pts in scan.pts), max))
    runs: list[tuple[range, set[int]]] = []
    for index in sorted(set(wanted)):
        start = scan.keys[bisect_right(scan.keys, scan.pts[index], key=lambda key: key[0]) - 1][1]
        taken = {index}
        if runs and start < runs[-1][0].stop + JUMP_COST:
            reached, before = runs.pop()
            start, taken = reached.start, before | taken
        runs.append((range(start, last[index] + 1), taken))
    return runs


def _decode_planned(source: _Source, scan: _Scan, pictures: _Pictures) -> bool:
    """Decode from key frame to wanted frame; return False as soon as the decoder contradicts the list."""
    context = scan.stream.codec_context
    context.thread_type = "FRAME"  # in order it stays "SLICE", whose frames do not depend on threads if there is damage
    index_of = {pts: index for index, pts in enumerate(scan.pts)}
    proven = 0
    for run, wanted in _runs(scan, pictures.indices):
        context.flush_buffers()
        first = scan.packets[run.start].pts
        due = bisect_left(scan.pts, first)  # the frame that must come next
        # The end (None) gets the last frames out of the decoder without feeding it what nobody wants.
        for packet in [*scan.packets[run.start : run.stop], None]:
            source.check_time()
            # In H.264 no other frame needs a non-reference one, so it may stay undecoded.
            skim = context.name == "h264" and proven >= PROOF_FRAMES
            unwanted = packet is not None and index_of.get(packet.pts) not in wanted
            context.skip_frame = "NONREF" if skim and unwanted else "DEFAULT"
            try:
                frames = context.decode(packet)
            except MemoryError:  # no fault of the file
                raise
            except av.FFmpegError:
                return False
            for frame in frames:
                if frame.pts is not None and frame.pts < first:
                    continue  # leads its key frame in an open GOP: it belongs to the run before
                index = index_of.get(frame.pts, -1)
                if index < due or (index > due and not skim) or frame.is_corrupt:
                    return False
                pictures.take(index, frame, context.color_trc)
                wanted.discard(index)
                due, proven = index + 1, proven + 1
                if not wanted:
                    break  # what the end drives out behind them lacks the packets that were left out
            if not wanted:
                break
        else:
            return False
    return True


def _decode_in_order(source: _Source, choose: Callable[[int], Sequence[int]], max_side: int | None) -> Clip:
    """Decode from the first packet to the last; only what comes out counts as a frame."""
    count = 0
    for _ in range(MAX_PASSES):
        with source.open() as container:
            scan = _scan(source, container)
            count = count or max(scan.count, 1)
            pictures = _Pictures(source, choose(count), max_side)
            stamps, failed = _one_pass(source, scan, pictures)
            if not stamps:
                raise source.error("holds no frame that can be decoded: export or download it again.")
            if len(stamps) == count:
                return _clip(pictures, scan, stamps, failed)
            count = len(stamps)
    raise source.error("is damaged and gives other frames each time it is decoded: export or download it again.")


def _one_pass(source: _Source, scan: _Scan, pictures: _Pictures) -> tuple[list[int | None], list[int]]:
    """Decode the whole file; return every frame's pts and the positions of the packets that failed."""
    context = scan.stream.codec_context
    stamps: list[int | None] = []
    failed: list[int] = []
    whole = len(scan.packets) not in scan.bad  # else the packet that drains the decoder was not reached
    for position, packet in enumerate(scan.packets if whole else [*scan.packets, None]):
        source.check_time()
        try:
            frames = context.decode(packet)
        except MemoryError:  # no fault of the file
            raise
        except av.FFmpegError:
            failed.append(position)
            continue
        for frame in frames:
            pictures.take(len(stamps), frame, context.color_trc)
            stamps.append(frame.pts)
    return stamps, failed


def _clip(pictures: _Pictures, scan: _Scan, stamps: Sequence[int | None], failed: Sequence[int] = ()) -> Clip:
    """Put the answer together from the pictures and the presentation times of all frames."""
    count = len(stamps)
    shown = _in_order(stamps)
    if shown:
        times = (np.array(shown) - shown[0]) * scan.time_base
        duration = _length(scan, shown)
    else:
        times = np.arange(count) / scan.rate
        duration = count / scan.rate
    warnings = []
    frames = "one frame" if count == 1 else f"{count} frames"
    bad = [*scan.bad, *failed]
    if bad and min(bad) < len(scan.packets) - TAIL_PACKETS:
        warnings.append(f"Parts of the file are damaged: what could be decoded is used, {frames}.")
    elif bad or scan.cut:
        warnings.append(f"The end of the file is damaged or missing: what comes before it is used, {frames}.")
    warnings += _left_out(times, duration, pictures.indices)
    hidden = _hides_transparency(pictures.source, scan, {stamps[index] for index in pictures.indices})
    warnings += [HIDDEN_ALPHA] * hidden + sorted(pictures.notes)
    return Clip(
        frames=pictures.frames,
        indices=np.array(pictures.indices),
        times=times[pictures.indices],
        fps=count / duration,
        duration=duration,
        num_frames=count,
        warnings=tuple(warnings),
    )


def _in_order(stamps: Sequence[int | None]) -> Sequence[int]:
    """Return the frames' times in presentation order, or none where they cannot be right.

    AVI has no presentation times: FFmpeg gives some of them to a neighbour.
    """
    if None in stamps:
        return []
    if _increasing(stamps):
        return stamps
    order = np.argsort(stamps, kind="stable")
    shown = [stamps[i] for i in order]
    near = np.abs(order - np.arange(len(order))).max() <= MAX_REORDER
    return shown if near and _increasing(shown) else []


def _length(scan: _Scan, shown: Sequence[int]) -> float:
    """Seconds from the first frame to the end of the last; `shown` are the frames' times in order.

    The last frame lasts until the end that the header states, if there is reason to ask it; else as its packet says; else as
    long as most frames.
    """
    first, last = shown[0] * scan.time_base, shown[-1] * scan.time_base
    end = sum(scan.tail) * scan.time_base if scan.tail else -math.inf
    if end < last + SHORTEST:
        end = last + (float(np.median(np.diff(shown))) * scan.time_base if len(shown) > 1 else 1 / scan.rate)
    if scan.stated_end > last + SHORTEST and abs(scan.stated_end - end) > SHORTEST:
        end = scan.stated_end
    return end - first


def _left_out(times: np.ndarray, duration: float, indices: Sequence[int]) -> list[str]:
    """Say so if the chosen frames leave out most of the video's time.

    Chosen by number, frames stand for equal shares of the time only if they are spread evenly. A stretch in which none of
    the chosen ones is shown counts if it is longer than `FAR_SHARES` of these shares; together they must be most of the time.
    """
    chosen = np.unique(indices)
    begins = np.append(0, np.append(times, duration)[chosen + 1])
    stretches = np.append(times[chosen], duration) - begins
    lost = stretches[stretches > FAR_SHARES * duration / len(indices)].sum()
    if lost <= duration / 2:
        return []
    longest = stretches.argmax()
    return [LEFT_OUT.format(lost, duration, begins[longest], begins[longest] + stretches[longest])]


def _hides_transparency(source: _Source, scan: _Scan, wanted: set[int | None]) -> bool:
    """Whether a wanted frame has transparent parts in the second stream of WebM, which the decoder leaves aside.

    The header's word is not enough: Chromium writes it for every recording.
    """
    context = None
    left = set(wanted) if scan.stream.codec_context.name in ALPHA_CODECS else set()
    for packet in scan.packets:
        if not left:
            return False
        if not packet.has_sidedata(BLOCK_ADDITION):
            continue
        source.check_time()
        addition = memoryview(packet.get_sidedata(BLOCK_ADDITION))
        if addition[:8] != ALPHA_ID:
            continue
        if context is None:
            context = av.CodecContext.create(scan.stream.codec_context.name, "r")
            context.options = {"max_pixels": str(2 * limits.MAX_FRAME_PIXELS)}
        opacity = av.Packet(addition[8:])
        opacity.pts = packet.pts
        try:
            frames = context.decode(opacity)
        except av.FFmpegError:
            continue
        for frame in frames:
            if frame.pts in left:
                left.discard(frame.pts)
                plane = frame.planes[0]
                rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
                if rows.min() < OPAQUE:
                    return True
    return False


def _increasing(values: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(values))
