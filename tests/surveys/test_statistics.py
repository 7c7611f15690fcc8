"""The statistics of a survey's report on data whose answer is known."""

import numpy as np
import pytest

from aia.surveys import statistics


def test_eta_squared_is_the_share_of_the_variance_between_the_classes():
    classes = np.repeat([0, 1, 2], 4)
    inside = np.tile([-1.0, 1.0], 6)  # variance 1 in every class
    between = np.repeat([-1.0, 0.0, 1.0], 4)  # variance 2/3
    values = np.column_stack([between, inside, between + inside, np.full(12, 0.3)])
    found = statistics.permute_labels(values, classes, np.arange(12), permutations=0)
    assert found.eta == pytest.approx([1, 0, (2 / 3) / (2 / 3 + 1), 0], abs=1e-6)


def test_permuted_labels_find_the_channel_that_differs_and_what_chance_gives():
    rng = np.random.default_rng(1)
    classes = np.repeat(np.arange(4), 30)
    values = rng.normal(size=(120, 50))
    values[:, 7] += classes
    found = statistics.permute_labels(values, classes, np.arange(120))
    assert found.p[7] == pytest.approx(1 / 1000) and found.chance.mean() == pytest.approx(3 / 119, rel=0.05)
    others = np.delete(found.p, 7)
    assert 0.3 < others.mean() < 0.7 and (others < 0.05).mean() < 0.2
    assert np.flatnonzero(statistics.benjamini_hochberg(found.p) <= 0.05).tolist() == [7]


def test_clips_of_one_group_do_not_pass_for_independent_ones():
    """Eight groups of 20 clips, two for each class: the group explains all, the class nothing."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(8), 20)
    values = rng.normal(size=(8, 100))[groups] + 0.1 * rng.normal(size=(160, 100))
    classes = groups // 2
    naive = statistics.permute_labels(values, classes, np.arange(160), permutations=199).p
    by_group = statistics.permute_labels(values, classes, groups, permutations=199).p
    assert (naive < 0.05).mean() > 0.9 and (by_group < 0.05).mean() < 0.15


def test_labels_change_places_within_groups_that_have_several_classes():
    """The scene opens the gate, and each scene shows both classes equally often."""
    groups, classes = np.repeat(np.arange(10), 6), np.tile([0, 1], 30)
    rng = np.random.default_rng(3)
    scene = 10.0 * rng.normal(size=10)[groups]
    values = np.column_stack([scene + classes + 0.1 * rng.normal(size=60), scene + 0.1 * rng.normal(size=60)])
    found = statistics.permute_labels(values, classes, groups)
    assert found.p[0] == pytest.approx(1 / 1000) and found.p[1] > 0.05


def test_a_group_of_two_classes_does_not_keep_the_labels_of_all_other_groups():
    """40 groups of 5 clips; the class opens one gate, the group both. One label of one group is another."""
    groups = np.repeat(np.arange(40), 5)
    classes = groups % 2
    classes[0] = 1
    rng = np.random.default_rng(6)
    values = rng.normal(size=(40, 200))[groups] + 0.1 * rng.normal(size=(200, 200))
    values[:, 0] += 3 * classes
    found = statistics.permute_labels(values, classes, groups)
    assert found.p[0] == pytest.approx(1 / 1000) and found.chance.mean() == pytest.approx(1 / 39, rel=0.1)
    assert (found.p[1:] < 0.05).mean() < 0.1


def test_eta_squared_and_its_mean_by_chance_are_of_the_same_clips():
    """Of many clips some are drawn: with labels that mean nothing both numbers are (classes - 1) / (drawn clips - 1)."""
    classes = np.arange(40_000) % 11
    values = np.random.default_rng(7).normal(size=(40_000, 100)).astype(np.float32)
    found = statistics.permute_labels(values, classes, np.arange(40_000), permutations=19)
    assert found.eta.mean() == pytest.approx(10 / (statistics.MOST_PERMUTED - 1), rel=0.15)
    assert found.eta.mean() == pytest.approx(found.chance.mean(), rel=0.15)


@pytest.mark.parametrize("sizes", [[5000, 4500], [9000, *[3] * 300], [1] * 9000, [40] * 300])
@pytest.mark.parametrize("nested", [True, False])
def test_of_many_clips_a_sample_of_several_groups_and_classes_is_permuted(sizes, nested):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    classes = (groups == len(sizes) - 1).astype(int) if nested else np.arange(len(groups)) % 2
    for seed in range(3):
        kept = statistics._some_clips(classes, groups, np.random.default_rng(seed))
        assert len(set(kept.tolist())) == len(kept) == statistics.MOST_PERMUTED
        assert len(set(classes[kept])) == 2 and len(set(groups[kept])) >= min(len(sizes), 400)
    values = np.column_stack([classes + 0.0, np.random.default_rng(0).normal(size=len(groups))])
    found = statistics.permute_labels(values, classes, groups, permutations=19)
    assert np.isfinite(found.chance).all()
    if not nested and sizes[0] > 1:
        assert found.p[0] == pytest.approx(1 / 20)


def test_benjamini_and_hochbergs_own_example():
    """Table 1 of their article (1995): of 15 p-values the four smallest are rejected at 5 %."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    q = statistics.benjamini_hochberg(np.array(p)[::-1])[::-1]
    assert (q <= 0.05).sum() == 4 and q[0] == pytest.approx(0.0015) and q[-1] == 1


def test_the_bootstrap_draws_groups_and_not_clips():
    """100 clips in 4 groups of equal clips are 4 observations."""
    groups = np.repeat(np.arange(4), 25)
    values = np.array([0.0, 1.0, 0.0, 1.0])[groups][:, None]
    wide, narrow = (statistics.mean_intervals(values, own)[0] for own in (groups, np.arange(100)))
    assert wide.value == narrow.value == 0.5
    assert (wide.low, wide.high) == (0, 1) and narrow.high - narrow.low < 0.25
    again = statistics.mean_intervals(values, groups)[0]
    assert again == wide and statistics.mean_intervals(values, np.zeros(100, int))[0][1:] == pytest.approx(
        (np.nan, np.nan), nan_ok=True
    )


def test_what_is_the_same_in_every_group_has_no_interval():
    """All right, none right, no answer changed, or half of each group right: resamples are all alike and show no spread."""
    half = np.tile([0.0, 1.0], 10)
    values = np.column_stack([np.ones(20), np.zeros(20), half, np.arange(20) < 1])
    found = statistics.mean_intervals(values, np.arange(20) // 2)
    assert [each.value for each in found] == [1, 0, 0.5, 0.05]
    assert [np.isnan(each[1:]).all() for each in found] == [True, True, True, False]


def test_columns_together_have_the_intervals_of_each_alone():
    rng = np.random.default_rng(8)
    values, groups, classes = rng.normal(size=(60, 3)), np.arange(60) // 4, np.arange(60) % 3
    chosen = rng.random(60) < 0.5
    means = statistics.mean_intervals(values, groups)
    differences = statistics.differences_within_classes(values, chosen, classes, groups)
    for number, column in enumerate(values.T[..., None]):
        assert means[number] == pytest.approx(statistics.mean_intervals(column, groups)[0])
        (alone,) = statistics.differences_within_classes(column, chosen, classes, groups)
        assert differences[number] == pytest.approx(alone)


def test_the_margin_of_a_profile_is_close_to_the_bootstraps():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    values = rng.normal(size=60)[groups][:, None] + 0.2 * rng.normal(size=(len(groups), 1))
    drawn = statistics.mean_intervals(values, groups)[0]
    assert statistics.margins(values, groups)[0] == pytest.approx((drawn.high - drawn.low) / 2, rel=0.15)


def test_right_and_wrong_answers_are_compared_within_their_classes():
    """Class 1 has more open gates and more wrong answers; within a class the right ones are 0.1 more open."""
    rng = np.random.default_rng(5)
    classes = np.repeat([0, 1], 200)
    right = rng.random(400) < np.where(classes == 0, 0.9, 0.3)
    gates = 0.3 + 0.4 * classes + 0.1 * right + 0.02 * rng.normal(size=400)
    (found,) = statistics.differences_within_classes(gates[:, None], right, classes, np.arange(400))
    assert gates[right].mean() < gates[~right].mean()
    assert found.low < 0.1 < found.high and found.value == pytest.approx(0.1, abs=0.01)
    assert statistics.differences_within_classes(gates[:, None], classes == 0, classes, np.arange(400)) is None


def test_right_and_wrong_answers_of_one_group_have_a_difference_and_no_interval():
    """Only class 0 has a wrong answer, and all of its clips are of one group: another group could not change the difference."""
    classes, groups = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 2, 3])
    gates, right = np.array([0.1, 0.3, 0.5, 0.2, 0.4, 0.6])[:, None], np.array([False, True, True, True, True, True])
    (found,) = statistics.differences_within_classes(gates, right, classes, groups)
    assert found.value == pytest.approx(0.3) and np.isnan(found[1:]).all()
    groups[2] = 4
    (found,) = statistics.differences_within_classes(gates, right, classes, groups)
    assert found.low < found.value < found.high
