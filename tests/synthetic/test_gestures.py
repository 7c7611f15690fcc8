import dataclasses

import numpy as np
import pytest

from aia.errors import AIAError
from aia.synthetic.camera_scenes import render_camera
from aia.synthetic.gestures import LABELS, Look, render_gesture
from aia.synthetic.trajectories import IDLE_KINDS, gesture_path, idle_path
from tools.draw_examples import EXAMPLES, write_examples

SMALL = {"height": 72, "width": 96}
DIRECTIONS = {"swipe up": (0, -1), "swipe down": (0, 1), "swipe left": (-1, 0), "swipe right": (1, 0)}


def turned(path):
    """Signed area of a closed path with y down: positive where it turns clockwise on screen."""
    (x, y), (u, v) = path.T, np.roll(path, -1, axis=0).T
    return float((x * v - u * y).sum() / 2)


@pytest.mark.parametrize("label", LABELS)
def test_a_clip_has_the_promised_shapes_and_ranges(label):
    clip = render_gesture(label, 3, **SMALL)
    count = len(clip.times)
    assert clip.frames.shape == (count, 72, 96, 3) and clip.frames.dtype == np.uint8
    assert clip.fingertip.shape == (count, 2) and clip.fingertip.dtype == np.float32
    assert clip.hand.shape == (count, 72, 96) and clip.hand.dtype == bool
    assert clip.label == label
    assert np.allclose(np.diff(clip.times), 1 / 15) and 0.9 <= clip.times[-1] <= 9


def test_the_same_seed_gives_the_same_clip_and_another_seed_another():
    first, again, other = (render_gesture("star", seed, **SMALL) for seed in (5, 5, 6))
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.fingertip, again.fingertip, equal_nan=True)
    assert first.frames.shape != other.frames.shape or not np.array_equal(first.frames, other.frames)


@pytest.mark.parametrize("seed", range(6))
def test_chosen_frames_equal_those_of_the_whole_clip(seed):
    label = LABELS[-1 - seed]
    whole = render_gesture(label, seed, fps=None, **SMALL)
    chosen = np.linspace(0, len(whole.times) - 1, 4).astype(int)
    for indices in (chosen.tolist(), lambda count: np.linspace(0, count - 1, 4).astype(int)):
        part = render_gesture(label, seed, fps=None, indices=indices, **SMALL)
        assert np.array_equal(part.frames, whole.frames[chosen])
        assert np.array_equal(part.hand, whole.hand[chosen])
        assert np.array_equal(part.times, whole.times[chosen])
        assert np.array_equal(part.fingertip, whole.fingertip[chosen], equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize("label", LABELS)
def test_the_fingertip_lies_on_the_hand(label):
    for seed in range(4):
        clip = render_gesture(label, seed, height=96, width=128, indices=lambda count: range(0, count, 5))
        for tip, hand in zip(clip.fingertip, clip.hand, strict=True):
            assert np.isnan(tip).any() != hand.any()
            if hand.any() and (tip > 2).all() and (tip < (126, 94)).all():
                rows, columns = np.nonzero(hand)
                assert np.hypot(columns - tip[0], rows - tip[1]).min() <= 2


def test_the_hand_differs_from_the_surroundings():
    look = Look(skin=(240, 60, 60), tone=(40, 40, 200), shadow=0, shutter=0)
    clip = render_gesture("caret", 0, look=look, **SMALL)
    red = clip.frames[..., 0].astype(int) - clip.frames[..., 2]
    assert red[clip.hand].mean() > 40 > -40 > red[:, :10].mean()


@pytest.mark.parametrize(("label", "direction"), DIRECTIONS.items())
def test_swipes_go_their_way(label, direction):
    for seed in range(20):
        path = gesture_path(label, np.random.default_rng(seed))
        along, across = (path[-1] - path[0]) @ direction, (path[-1] - path[0]) @ direction[::-1]
        assert along > 0.25 and abs(across) < 0.5 * along


@pytest.mark.parametrize(("label", "clockwise"), [("circle (counter-clockwise)", -1), ("square", 1)])
def test_loops_turn_the_right_way_on_screen(label, clockwise):
    assert all(turned(gesture_path(label, np.random.default_rng(seed))) * clockwise > 0 for seed in range(20))


def test_the_drawn_fingertip_follows_the_gesture():
    clip = render_gesture("swipe left", 1, look=Look(), **SMALL)
    assert clip.fingertip[-1, 0] < clip.fingertip[0, 0] - 20


@pytest.mark.parametrize("label", LABELS)
def test_paths_stay_in_the_frame(label):
    for seed in range(20):
        path = gesture_path(label, np.random.default_rng(seed))
        assert path.shape == (200, 2) and path.dtype == np.float32
        assert path.min() >= 0 and path.max() <= 1


def test_a_recorded_path_is_followed_where_it_was_drawn():
    path = np.linspace((0.2, 0.3), (0.8, 0.6), 50)
    clip = render_gesture("swipe right", 0, path=path, look=Look(), **SMALL)
    assert np.allclose(clip.fingertip[[0, -1]], path[[0, -1]] * (96, 72), atol=3)


def test_an_empty_scene_has_no_hand():
    clip = render_gesture("no gesture", 0, look=Look(empty=True), indices=[0, 1], **SMALL)
    assert not clip.hand.any() and np.isnan(clip.fingertip).all()


def test_a_left_hand_comes_from_the_other_side():
    path = np.full((2, 2), (0.5, 0.3))
    sides = []
    for left in (False, True):
        clip = render_gesture("no gesture", 0, look=Look(left=left, bend=1.0), path=path, indices=[0], **SMALL)
        sides.append(np.nonzero(clip.hand[0])[1].mean() - clip.fingertip[0, 0])
    assert sides[0] > 0 > sides[1]


def test_duration_and_rate_are_kept():
    assert len(render_gesture("square", 0, fps=20, duration=2.5, **SMALL).times) == 50


def test_what_is_unknown_is_said():
    with pytest.raises(AIAError, match="thumbs up"):
        render_gesture("thumbs up", 0)
    with pytest.raises(AIAError, match="thumbs up"):
        gesture_path("thumbs up", np.random.default_rng(0))
    with pytest.raises(AIAError, match="dance"):
        idle_path("dance", np.random.default_rng(0))
    with pytest.raises(AIAError, match="indices"):
        render_gesture("caret", 0, indices=[100000], **SMALL)
    with pytest.raises(AIAError, match=r"'office'.*wall, desk"):
        render_gesture("caret", 0, look=Look(backdrop="office"), **SMALL)
    with pytest.raises(AIAError, match=r"'pan up'.*static, pan left"):
        render_camera("pan up", "desk", 0)
    with pytest.raises(AIAError, match=r"'office'.*wall, desk"):
        render_camera("static", "office", 0)


@pytest.mark.parametrize("field", [{"fps": 0}, {"fps": float("nan")}, {"duration": -1}, {"height": 0}, {"width": 7}])
def test_a_clip_that_cannot_be_drawn_is_refused_in_one_sentence(field):
    with pytest.raises(AIAError, match=r"\.$"):
        render_gesture("caret", 0, **{**SMALL, **field})
    with pytest.raises(AIAError, match="seed"):
        render_gesture("caret", -1, **SMALL)
    with pytest.raises(AIAError, match="no frame"):
        render_camera("static", "desk", 0, seconds=0)


@pytest.mark.parametrize("kind", IDLE_KINDS)
def test_idle_paths_stay_in_the_frame(kind):
    path = idle_path(kind, np.random.default_rng(0))
    assert path.shape == (200, 2) and path.min() >= 0 and path.max() <= 1


def test_examples_cover_every_label_and_are_small(tmp_path, monkeypatch):
    assert {example.label for example in EXAMPLES.values()} == set(LABELS)
    short = {"circle": dataclasses.replace(EXAMPLES["circle"], seconds=0.5)}
    monkeypatch.setattr("tools.draw_examples.EXAMPLES", short)
    (path,) = write_examples(tmp_path)
    assert path.name == "circle.mp4" and 1000 < path.stat().st_size < 120_000
