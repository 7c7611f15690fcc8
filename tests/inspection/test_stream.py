"""What a stream promises: windows as from an uploaded clip, flat memory, and one answer for each window from any thread."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import moving_frames, others_long, small_net

import aia
from aia.inspection.stream import MAX_FRAMES, MAX_SIDE
from aia.video.clip import sample_indices


def push_all(stream, frames, fps=10.0, start=100.0):
    return [stream.push(frame, start + number / fps) for number, frame in enumerate(frames)]


def assert_same(one: aia.Inspection, other: aia.Inspection) -> None:
    """Two inspections of the same frames hold equal numbers, not only close ones."""
    assert np.array_equal(one.logits, other.logits) and np.array_equal(one.probabilities, other.probabilities)
    assert one.seen_box == other.seen_box and [block.name for block in one.blocks] == [b.name for b in other.blocks]
    for block, same in zip(one.blocks, other.blocks, strict=True):
        assert block.gates.keys() == same.gates.keys()
        assert all(np.array_equal(block.gates[unit], same.gates[unit]) for unit in block.gates)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", others_long([2.5, 1.6, 0.4], 2.5))
def test_a_steady_stream_is_sampled_as_a_video_is_and_inspected_as_a_clip_is(net, seconds):
    frames, stream = moving_frames(40), aia.Stream(net, seconds)
    inspections = push_all(stream, frames)
    count = round(seconds * 10)
    assert inspections[: count - 2] == [None] * (count - 2) and None not in inspections[count - 1 :]
    for last in (count, 27, 40):
        window, inspection = frames[last - count : last], inspections[last - 1]
        assert inspection.clip.indices.tolist() == sample_indices(count, 8)
        assert np.array_equal(inspection.clip.frames, window[inspection.clip.indices])
        assert inspection.clip.times == pytest.approx(inspection.clip.indices / 10)
        assert (inspection.clip.num_frames, inspection.clip.fps) == (count, pytest.approx(10))
        assert inspection.clip.duration == pytest.approx(seconds)
        assert_same(inspection, aia.inspect(net, inspection.clip))


@pytest.mark.slow
def test_a_frozen_window_can_go_through_what_an_uploaded_clip_can(net):
    stream = aia.Stream(net, 1.6)
    inspection = push_all(stream, moving_frames(20))[-1]
    clip = stream.clip()
    assert np.array_equal(clip.frames, inspection.clip.frames)
    switched = aia.inspect(net, clip, switches=[aia.Switch("identity")])
    assert not np.array_equal(switched.logits, inspection.logits)
    assert len(aia.rank_blocks(net, clip).effects) == len(net.block_names)
    assert stream.clip(16).indices.tolist() == list(range(16)) and "8 frames" in repr(clip.backwards())
    other = small_net("stinc", size=64)  # another network on the same window
    assert_same(stream.inspect(other), aia.inspect(other, clip))
    longer = small_net("stinc", size=64)
    longer.config = dataclasses.replace(longer.config, num_segments=16)
    assert_same(stream.inspect(longer), aia.inspect(longer, stream.clip(16)))
    stream.clear()
    assert stream.clip() is None and stream.inspect() is None


def test_an_uneven_stream_is_sampled_by_time(net):
    frames, stream = moving_frames(40), aia.Stream(net, 2.0)
    times = [*np.arange(0, 1, 0.05), *np.arange(1, 2.1, 0.25)]  # first 20 frames a second, then 4
    inspection = [stream.push(frame, time) for frame, time in zip(frames, times, strict=False)][-1]
    middles = inspection.clip.duration * (np.arange(8) + 0.5) / 8
    shown = [max(time for time in times if time - times[1] <= middle + 1e-6) - times[1] for middle in middles]
    assert inspection.clip.times == pytest.approx(shown)
    assert stream.push(frames[0], 9.0) is None and len(stream) == 1  # nothing of the time before a gap is left


@pytest.mark.long
def test_memory_stays_flat_however_many_and_large_the_frames_are(net):
    stream = aia.Stream(net, 2.0, interval=0.5)
    frame = np.zeros((480, 720, 3), np.uint8)
    answers = [stream.push(frame, number / 240) for number in range(1000)]
    assert len(stream) <= MAX_FRAMES
    clip = stream.clip()
    assert clip.frames.shape == (8, 213, MAX_SIDE, 3) and clip.duration == pytest.approx(2, rel=0.05)
    assert sum(answer is not None for answer in answers) == 5  # from 1.9 s to 4.2 s, one each half second
    assert stream.push(np.zeros((720, 480, 3), np.uint8), 5.0) is None and len(stream) == 1  # a camera that was turned


@pytest.mark.slow
def test_threads_share_a_stream(net):
    stream, frames = aia.Stream(net, 1.6), moving_frames(16)
    push_all(stream, frames)
    alone = aia.inspect(net, stream.clip())
    with ThreadPoolExecutor(4) as pool:
        inspections = list(pool.map(lambda _: stream.inspect(), range(4)))
        list(pool.map(lambda frame: stream.add(frame), frames))  # times of the calls, in the order of the calls
    for inspection in inspections:
        assert_same(inspection, alone)


@pytest.mark.parametrize(
    "use",
    [
        lambda net: aia.Stream(net, 0),
        lambda net: aia.Stream(net, 1e-6),
        lambda net: aia.Stream(net, float("nan")),
        lambda net: aia.Stream(net, interval=-1),
        lambda net: aia.Stream(net, max_side=0),
        lambda net: aia.Stream(net).push(np.zeros((48, 64), np.uint8)),
        lambda net: aia.Stream(net).push(np.zeros((48, 64, 3), np.float32)),
        lambda net: aia.Stream(net).push(np.zeros((0, 64, 3), np.uint8)),
        lambda net: aia.Stream(net).push(np.zeros((1, 64, 3), np.uint8)),
        lambda net: aia.Stream(net).push(np.zeros((48, 64, 3), np.uint8), float("nan")),
        lambda net: push_all(aia.Stream(net), moving_frames(2), fps=-10),
        lambda net: aia.Stream(net).clip(0),
    ],
)
def test_what_is_no_stream_gets_one_sentence(net, use):
    with pytest.raises(aia.AIAError, match=r"\.$"):
        use(net)
