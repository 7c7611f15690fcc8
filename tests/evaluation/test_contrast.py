"""Whether a drawing is specific to its clip: what measuring many clips needs."""

import weakref
from collections.abc import Sequence

import pytest
from conftest import clip_of, moving_frames, small_net

import aia
from aia.evaluation.contrast import measure_contrast


class MadeClips(Sequence):
    """Clips that are made when they are asked for, and how many of the earlier ones were still in memory then."""

    def __init__(self, count):
        self.count, self.made, self.kept = count, [], []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index >= self.count:
            raise IndexError
        self.kept.append(sum(clip() is not None for clip in self.made))
        clip = clip_of(moving_frames(8, 32, 32, seed=index))
        self.made.append(weakref.ref(clip))
        return clip


@pytest.mark.slow
def test_a_thousand_clips_need_no_more_memory_for_frames_than_one():
    net = small_net(size=32)
    net.reference = aia.compute_reference(net, [clip_of(moving_frames(8, 32, 32, seed=seed)) for seed in (7, 8, 9)])
    clips = MadeClips(6)
    rows = measure_contrast(net, clips)
    assert [row.block for row in rows] == list(net.block_names)
    assert max(clips.kept) <= 1, "the one before"
