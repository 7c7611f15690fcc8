"""Read a video file: the right frames, at the right times, or one sentence that says why not.

A file is demuxed once without decoding, which gives the true number of frames, their times and the key frames. The frames
of a clip are chosen by that number. Decoding starts at the key frame before each of them, and every decoded frame is
checked against the list. If the list is wrong (no time stamps, damage, a misleading header), the file is decoded in order
from the start, and only the decoded frames count. Damage that affects no decoded frame is not detected: finding it
would mean decoding every file completely.
"""

from __future__ import annotations

import logging
import math
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from aia import limits
from aia.errors import AIAError
from aia.video.clip import Clip, sample_indices
from aia.video.pictures import HIDDEN_ALPHA, Pictures, hides_transparency
from aia.video.scan import Scan, scan_file, sorted_pts
from aia.video.source import Source

log = logging.getLogger(__name__)

TAIL_PACKETS = 3  # damage that begins this close to the last packet is at the end of the file
JUMP_COST = 4  # frames; a jump that saves no more than this is not worth refilling the decoder
PROOF_FRAMES = 16  # must come exactly as listed before unneeded non-reference frames are skipped
MAX_PASSES = 3  # in order, until the count equals the one used to choose frames: two if decoding is repeatable
FAR_SHARES = 2  # of duration / frames; a longer stretch without a chosen frame counts as left out
REPEATED = "This clip has {}, and the network sees {}: frames are shown more than once."
SQUARE = 1.2  # the most by which the sides of a pixel may differ without a word: less is hardly seen
NOT_SQUARE = (
    "The pixels of this video are not square: a player stretches the picture by {:.2f} in one direction. The page and the "
    "network take it as it is stored."
)
NO_MEMORY = "needs more memory than there is: cut it or save it with smaller pictures."
ASSUMED = "The file does not say when its frames are shown: {:.4g} frames per second are assumed."
LEFT_OUT = (
    "The frames of the video are spread unevenly over its time: those chosen leave out {:.1f} of {:.1f} s, "
    "the longest stretch from {:.1f} to {:.1f} s."
)


def read_clip(
    path: str | Path,
    num_segments: int = 8,
    *,
    max_side: int | None = None,
    cancelled: threading.Event | None = None,
    display_name: str = "",
) -> Clip:
    """Read `num_segments` frames spread evenly over a video by the published rule.

    Args:
        path: A video file, of one of `FORMAT_NAMES`.
        num_segments: The number of frames, 1 to `limits.MAX_SEGMENTS`.
        max_side: Scale pictures down until the longer side has this many pixels; never up.
        cancelled: Another thread sets it to end the reading with an error.
        display_name: What messages call the file; its name without the folder by default.

    Raises:
        AIAError: The file is missing, not a video, damaged beyond use or over a limit, or an argument is out of range.

    Example:
        >>> import aia
        >>> clip = aia.read_clip("assets/examples/circle.mp4", num_segments=4)
        >>> clip.frames.shape, clip.indices.tolist()
        ((4, 240, 320, 3), [8, 26, 43, 61])
    """
    if not isinstance(num_segments, (int, np.integer)) or not 1 <= num_segments <= limits.MAX_SEGMENTS:
        raise AIAError(f"A clip has 1 to {limits.MAX_SEGMENTS} frames, not {num_segments}: choose a number in between.")
    source = Source(Path(path), cancelled=cancelled or threading.Event(), display_name=display_name)
    return _read(source, lambda count: sample_indices(count, num_segments), max_side)


def read_frames(path: str | Path, *, max_side: int | None = None, display_name: str = "") -> Clip:
    """Read every frame of a video, in order; arguments and errors as in `read_clip`.

    Raises:
        AIAError: As in `read_clip`, or the pictures need more than `limits.MAX_PICTURE_BYTES`.
    """
    return _read(Source(Path(path), display_name=display_name), range, max_side)


def iterate_frames(
    path: str | Path, *, max_side: int | None = None, display_name: str = ""
) -> Iterator[tuple[float, np.ndarray]]:
    """Decode a video frame by frame; arguments and errors as in `read_clip`, but without a time limit.

    Yields:
        The presentation time in seconds from the first frame, never before the previous one, and the picture, uint8 [H, W, 3].
    """
    _check_side(max_side)
    source = Source(Path(path), deadline=math.inf, display_name=display_name)
    with source.open() as container:
        scan = scan_file(source, container)
        context, count, time = scan.stream.codec_context, 0, 0.0
        whole = len(scan.packets) not in scan.bad  # else the packet that drains the decoder was not reached
        for packet in scan.packets if whole else [*scan.packets, None]:
            try:
                frames = context.decode(packet)
            except MemoryError:
                raise source.error(NO_MEMORY) from None
            except av.FFmpegError:
                continue
            for frame in frames:
                pictures = Pictures(source, [0], max_side)
                pictures.take(0, frame, context.color_trc)
                assert pictures.frames is not None  # it was wanted
                if frame.pts is None or not scan.pts:
                    time = max(time, count / scan.rate)
                else:
                    time = max(time, (frame.pts - scan.pts[0]) * scan.time_base)
                yield time, pictures.frames[0]
                count += 1
    if not count:
        raise source.error("holds no frame that can be decoded: export or download it again.")


def _read(source: Source, choose: Callable[[int], Sequence[int]], max_side: int | None) -> Clip:
    """Read the frames that `choose` picks from the true number of frames."""
    _check_side(max_side)
    try:
        with source.open(probe=False) as container:
            scan = scan_file(source, container)
            if scan.plannable:
                pictures = Pictures(source, choose(len(scan.pts)), max_side)
                if _decode_planned(source, scan, pictures):
                    return _clip(pictures, scan, scan.pts)
                log.info("the plan for %s did not hold: decoding it in order", source.name)
        return _decode_in_order(source, choose, max_side)
    except MemoryError:
        raise source.error(NO_MEMORY) from None


def _check_side(max_side: int | None) -> None:
    if max_side is not None and max_side < 1:
        raise AIAError(f"Pictures cannot be scaled to {max_side} pixels: give a max_side of at least 1.")


class Run(NamedTuple):
    """A part of the plan: decode these packets, from a key frame on, and take these frames."""

    packets: range
    frames: set[int]


def plan_runs(scan: Scan, wanted: Sequence[int]) -> list[Run]:
    """Plan which packets to decode for the wanted frames."""
    position = {packet.pts: i for i, packet in enumerate(scan.packets)}
    # The last packet that a frame needs is its own, or that of an earlier frame which is stored after it.
    last = list(accumulate((position[pts] for pts in scan.pts), max))
    runs: list[Run] = []
    for index in sorted(set(wanted)):
        after = bisect_right(scan.key_frames, scan.pts[index], key=lambda key_frame: key_frame.pts)
        start, frames = scan.key_frames[after - 1].position, {index}
        if runs and start < runs[-1].packets.stop + JUMP_COST:
            previous = runs.pop()
            start, frames = previous.packets.start, previous.frames | frames
        runs.append(Run(range(start, last[index] + 1), frames))
    return runs


def _decode_planned(source: Source, scan: Scan, pictures: Pictures) -> bool:
    """Decode from key frame to wanted frame; return False as soon as the decoder contradicts the scan."""
    # Decoding in order keeps "SLICE": even if the file is damaged, its frames do not depend on the threads.
    scan.stream.codec_context.thread_type = "FRAME"
    index_of: dict[int | None, int] = {pts: index for index, pts in enumerate(scan.pts)}
    proven = 0
    for run in plan_runs(scan, pictures.indices):
        decoded = _decode_run(source, scan, run, index_of, proven, pictures)
        if decoded is None:
            return False
        proven += decoded
    return True


def _decode_run(
    source: Source, scan: Scan, run: Run, index_of: dict[int | None, int], proven: int, pictures: Pictures
) -> int | None:
    """Decode one run, after `proven` frames that came as listed.

    Returns:
        The number of frames that came as listed in this run, or None if one did not.
    """
    context = scan.stream.codec_context
    context.flush_buffers()
    missing = set(run.frames)
    first = scan.packets[run.packets.start].pts
    assert first is not None  # a scan with an unknown time is not plannable
    due = bisect_left(scan.pts, first)  # the frame that must come next
    decoded = 0
    # The end (None) gets the last frames out of the decoder without feeding it unwanted packets.
    for packet in [*scan.packets[run.packets.start : run.packets.stop], None]:
        source.check_time()
        # In H.264 no other frame needs a non-reference frame, so it may be skipped.
        skim = context.name == "h264" and proven + decoded >= PROOF_FRAMES
        unwanted = packet is not None and index_of.get(packet.pts) not in missing
        context.skip_frame = "NONREF" if skim and unwanted else "DEFAULT"
        try:
            frames = context.decode(packet)
        except MemoryError:  # not a fault of the file
            raise
        except av.FFmpegError:
            return None
        for frame in frames:
            if frame.pts is not None and frame.pts < first:
                continue  # it leads its key frame in an open GOP, and belongs to the run before
            index = index_of.get(frame.pts, -1)
            if index < due or (index > due and not skim) or frame.is_corrupt:
                return None
            pictures.take(index, frame, context.color_trc)
            missing.discard(index)
            due, decoded = index + 1, decoded + 1
            if not missing:
                return decoded  # later frames would lack the packets that were left out
    return None


def _decode_in_order(source: Source, choose: Callable[[int], Sequence[int]], max_side: int | None) -> Clip:
    """Decode from the first packet to the last; only what the decoder returns counts as a frame."""
    count = 0
    for _ in range(MAX_PASSES):
        with source.open() as container:
            scan = scan_file(source, container)
            count = count or max(scan.count, 1)
            pictures = Pictures(source, choose(count), max_side)
            stamps, failed = _decode_all(source, scan, pictures)
            if not stamps:
                raise source.error("holds no frame that can be decoded: export or download it again.")
            if len(stamps) == count:
                return _clip(pictures, scan, stamps, failed)
            count = len(stamps)
    raise source.error("is damaged and gives different frames each time it is decoded: export or download it again.")


def _decode_all(source: Source, scan: Scan, pictures: Pictures) -> tuple[list[int | None], list[int]]:
    """Decode the whole file; return every frame's pts and the positions of the packets that failed."""
    context = scan.stream.codec_context
    stamps: list[int | None] = []
    failed: list[int] = []
    whole = len(scan.packets) not in scan.bad  # else the packet that drains the decoder was not reached
    for position, packet in enumerate(scan.packets if whole else [*scan.packets, None]):
        source.check_time()
        try:
            frames = context.decode(packet)
        except MemoryError:  # not a fault of the file
            raise
        except av.FFmpegError:
            failed.append(position)
            continue
        for frame in frames:
            pictures.take(len(stamps), frame, context.color_trc)
            stamps.append(frame.pts)
    return stamps, failed


def _clip(pictures: Pictures, scan: Scan, stamps: Sequence[int | None], failed: Sequence[int] = ()) -> Clip:
    """Build the clip from the pictures and the presentation times of all frames."""
    assert pictures.frames is not None  # at least one frame was decoded
    count = len(stamps)
    frame_pts = sorted_pts(stamps, scan.time_base)
    if frame_pts:
        times = (np.array(frame_pts) - frame_pts[0]) * scan.time_base
        duration = scan.duration(frame_pts)
    else:
        times = np.arange(count) / scan.rate
        duration = count / scan.rate
    sentences = _damage(scan, failed, count)
    sentences += _left_out(times, duration, pictures.indices)
    sentences += _repeated(count, len(pictures.indices))
    if scan.is_rate_assumed:
        sentences.append(ASSUMED.format(count / duration))
    # As in players, what the container says comes first; what the pictures say is known only now that some are decoded.
    sentences += _not_square(scan.stream.sample_aspect_ratio or scan.stream.codec_context.sample_aspect_ratio)
    if hides_transparency(pictures.source, scan, {stamps[index] for index in pictures.indices}):
        sentences.append(HIDDEN_ALPHA)
    return Clip(
        frames=pictures.frames,
        indices=np.array(pictures.indices),
        times=times[pictures.indices],
        fps=count / duration,
        duration=duration,
        num_frames=count,
        warnings=(*sentences, *sorted(pictures.notes)),
    )


def _repeated(count: int, needed: int) -> list[str]:
    """Say that a clip is shorter than what is taken from it."""
    frames = "one frame" if count == 1 else f"only {count} frames"
    return [REPEATED.format(frames, needed)] if count < needed else []


def _not_square(ratio: Fraction | None) -> list[str]:
    """Say that a player shows other proportions, given the width of a pixel in heights."""
    stretch = max(ratio, 1 / ratio) if ratio else 1
    return [NOT_SQUARE.format(float(stretch))] if stretch > SQUARE else []


def _damage(scan: Scan, failed: Sequence[int], count: int) -> list[str]:
    """Warn of damage, inside the file or at its end."""
    frames = "one frame" if count == 1 else f"{count} frames"
    bad = [*scan.bad, *failed]
    if bad and min(bad) < len(scan.packets) - TAIL_PACKETS:
        return [f"Parts of the file are damaged: what could be decoded is used, {frames}."]
    if bad or scan.cut:
        return [f"The end of the file is damaged or missing: what comes before it is used, {frames}."]
    return []


def _left_out(times: np.ndarray, duration: float, indices: Sequence[int]) -> list[str]:
    """Warn if the chosen frames leave out most of the video's time.

    Frames are chosen by number, so they stand for equal shares of the time only if they are spread evenly. A stretch in
    which no chosen frame is shown counts if it is longer than `FAR_SHARES` of these shares; the warning is given if such
    stretches together are most of the time.
    """
    chosen = np.unique(indices)
    begins = np.append(0, np.append(times, duration)[chosen + 1])
    stretches = np.append(times[chosen], duration) - begins
    lost = stretches[stretches > FAR_SHARES * duration / len(indices)].sum()
    if lost <= duration / 2:
        return []
    longest = stretches.argmax()
    return [LEFT_OUT.format(lost, duration, begins[longest], begins[longest] + stretches[longest])]
