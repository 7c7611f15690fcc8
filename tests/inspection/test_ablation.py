"""Which block's gates matter: the ranking against what switching by hand says."""

import threading

import numpy as np
import pytest
from conftest import LABELS, clip_of, moving_frames, others_long, small_net

import aia
from aia import AIAError, Switch, rank_blocks
from aia.inspection import ablation


def expect_what_inspect_says(ranking: ablation.Ranking, net: aia.AIANet, clip: aia.Clip) -> None:
    """The ranking holds every block once, with what `aia.inspect` says of it, and in order."""
    plain, followed = aia.inspect(net, clip), LABELS.index(ranking.label)
    assert np.allclose(ranking.logits, plain.logits, atol=1e-5)
    assert sorted(effect.block for effect in ranking.effects) == sorted(net.block_names)
    for effect in ranking.effects:
        inspection = aia.inspect(net, clip, switches=[Switch(ranking.mode, effect.block)])
        assert np.allclose(effect.logits, inspection.logits, atol=1e-5)
        assert effect.logit_delta == pytest.approx(inspection.logits[followed] - plain.logits[followed], abs=1e-5)
        assert effect.probability == pytest.approx(inspection.scores[ranking.label], abs=1e-5)
        assert effect.label == LABELS[effect.logits.argmax()]
    sizes = [abs(effect.logit_delta) for effect in ranking.effects]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize("mode", others_long(ablation.MODES, "mean"))
def test_a_ranking_says_what_switching_block_by_block_says(mode, optimised, clip):
    net = small_net("cinst", "tsn")
    net = net.optimize() if optimised else net
    ranking = rank_blocks(net, clip, mode=mode)
    assert (ranking.mode, ranking.label) == (mode, aia.inspect(net, clip).label)
    expect_what_inspect_says(ranking, net, clip)


@pytest.mark.slow
@pytest.mark.parametrize("label", others_long(LABELS, LABELS[0]))
def test_any_label_can_be_followed(label, net, clip):
    ranking = rank_blocks(net, clip, label=label)
    assert ranking.label == label
    expect_what_inspect_says(ranking, net, clip)


def test_a_block_whose_gates_are_changed_by_nothing_has_no_effect(net, clip):
    one = clip_of(clip.frames[:1])  # a single frame has no other frame's gate to take
    assert all(
        effect.logit_delta == pytest.approx(0, abs=1e-5) for effect in rank_blocks(net, one, mode="shuffle").effects
    )


@pytest.mark.slow
@pytest.mark.parametrize(("count", "passes"), others_long([(8, 1), (30, 2), (80, 8)], (8, 1)))
def test_no_pass_holds_more_frames_than_the_limit_and_passes_change_nothing(count, passes):
    net, clip = small_net(size=32), clip_of(moving_frames(count))
    held = []
    net.register_forward_pre_hook(lambda _, arguments: held.append(arguments[0].shape[:2].numel()))
    ranking = rank_blocks(net, clip)
    assert max(held) <= ablation.MAX_FRAMES and len(held) == passes
    expect_what_inspect_says(ranking, net, clip)


@pytest.mark.slow
@pytest.mark.parametrize("look", [aia.inspect, rank_blocks])
def test_a_clip_backwards_is_seen_as_its_frames_in_that_order(look, net, clip):
    back = look(net, clip.backwards()).logits
    assert np.array_equal(back, look(net, clip_of(clip.frames[::-1].copy())).logits)
    assert not np.allclose(back, look(net, clip).logits, atol=1e-4)


@pytest.mark.long
def test_threads_that_share_a_model_rank_as_if_alone(net):
    jobs = [
        (clip_of(moving_frames(count, seed=count)), mode)
        for count, mode in ((8, "mean"), (5, "identity"), (8, "shuffle"))
    ]
    alone = [rank_blocks(net, clip, mode=mode) for clip, mode in jobs]
    got, start = [None] * len(jobs), threading.Barrier(len(jobs))

    def work(number):
        start.wait()
        got[number] = rank_blocks(net, jobs[number][0], mode=jobs[number][1])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(got, alone, strict=True):
        assert {e.block: e.label for e in one.effects} == {e.block: e.label for e in other.effects}
        changes = {e.block: e.logit_delta for e in other.effects}
        assert all(e.logit_delta == pytest.approx(changes[e.block], abs=1e-4) for e in one.effects)


@pytest.mark.slow
def test_what_cannot_be_ranked_is_refused_in_a_sentence(net, clip):
    with pytest.raises(AIAError, match="no gates to switch off; choose one with AIA"):
        rank_blocks(small_net("none"), clip)
    with pytest.raises(AIAError, match="no label 'up'; choose one that it has, such as 'left'"):
        rank_blocks(net, clip, label="up")
    with pytest.raises(AIAError, match="mean, identity, shuffle, not 'scale'"):
        rank_blocks(net, clip, mode="scale")
    with pytest.raises(AIAError, match="at most 80 frames, not 81"):
        rank_blocks(net, clip_of(moving_frames(81)))
