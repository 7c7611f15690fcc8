"""The statistics of a survey's report. NumPy only, and all randomness from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aia.evaluation.metrics import RESAMPLES, ROUNDING, Bools, Floats, Indices, ratio_intervals

PERMUTATIONS = 999
MOST_PERMUTED = 4000  # clips; of more, some are drawn for the permutations
OF_GROUP = 10  # clips of a group before others get their turn, since labels may have to change places within a group
MARGIN = 1.96  # standard errors of a 95 % interval


class Interval(NamedTuple):
    """An estimate and its 95 % interval; the ends are nan if the groups show no spread, as with fewer than two of them."""

    value: float
    low: float
    high: float


class Permuted(NamedTuple):
    """The result of the permutations for each channel.

    Attributes:
        p: Share of label assignments, the real one included, that separate the classes at least as well, `[C]`.
        chance: Mean eta squared over the permutations, `[C]`.
        eta: Eta squared with the real labels, of the same clips: how much of a channel's variance lies between the classes,
            from 0 to 1; 0 for a constant channel, `[C]`.
    """

    p: Floats
    chance: Floats
    eta: Floats


def codes(names: Sequence[str]) -> Indices:
    """Equal names get equal numbers from 0, `[N]`."""
    return np.unique(np.asarray(names), return_inverse=True)[1].reshape(-1)


def mean_intervals(values: Floats, groups: Indices, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Interval]:
    """Means of columns with percentile bootstrap intervals of 95 % over groups.

    Groups are drawn with replacement, with all of their clips.

    Args:
        values: `[N, K]`.
        groups: A number for each clip, `[N]`.
        resamples: Number of draws, each of as many groups as there are.
        seed: Of the draws. The same seed draws the same groups, so the mean of a difference is paired.
    """
    return _intervals(ratio_intervals(values, np.ones(len(values)), groups, resamples=resamples, seed=seed))


def differences_within_classes(
    values: Floats, chosen: Bools, classes: Indices, groups: Indices, *, resamples: int = RESAMPLES, seed: int = 0
) -> list[Interval] | None:
    """How much larger the chosen values of each column are than the others of their class.

    It is the slope of a regression on `chosen` with a constant for each class, so that a difference between the classes has
    no effect. The intervals are those of a bootstrap over groups, of 95 %; only a group with clips of a class that has chosen
    and other clips adds to them.

    Args:
        values: `[N, K]`.
        chosen: `[N]`.
        classes: A number for each row, `[N]`.
        groups: A number for each row, `[N]`.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        None if no class has chosen and other values.
    """
    x = within_classes(chosen[:, None].astype(float), classes)
    weights = np.square(x[:, 0])
    if weights.sum() < ROUNDING:
        return None
    products = x * within_classes(values, classes)
    return _intervals(ratio_intervals(products, weights, groups, resamples=resamples, seed=seed))


def _intervals(ratios: Floats) -> list[Interval]:
    """The columns of `ratio_intervals`. A share of 100 % has no spread, nor has a change that no clip shows."""
    value, low, high = ratios
    ends = np.where(high - low > ROUNDING, (low, high), np.nan)
    return [Interval(*map(float, column)) for column in zip(value, *ends, strict=True)]


def margins(values: Floats, groups: Indices) -> Floats:
    """Half the 95 % interval of each column's mean `[K]`, from the spread of the groups; nan with fewer than two groups.

    It is the linearized form of the bootstrap over groups, for many columns.
    """
    own = np.unique(groups, return_inverse=True)[1].reshape(-1)
    number = int(own.max(initial=-1)) + 1
    if number < 2:
        return np.full(values.shape[1], np.nan)
    residuals = np.zeros((number, values.shape[1]))
    np.add.at(residuals, own, values - values.mean(0))
    error: Floats = np.sqrt(np.square(residuals).sum(0) * number / (number - 1)) / len(values)
    return MARGIN * error


def permute_labels(
    values: Floats, classes: Indices, groups: Indices, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Permuted:
    """Compares each column's eta squared with that of permuted class labels.

    Clips of one group resemble each other whatever their class. So groups whose clips are all of one class change their labels
    as a whole, among each other, and within a group of several classes the labels change places. Of more than
    `MOST_PERMUTED` clips some are drawn, and everything is about these.

    Args:
        values: `[N, C]`.
        classes: A number from 0 for each row, `[N]`.
        groups: A number from 0 for each row, `[N]`.
        permutations: Random label assignments in addition to the real one.
        seed: Of the assignments.
    """
    rng = np.random.default_rng(seed)
    kept = _some_clips(classes, groups, rng)
    standard, classes, groups = (
        _standardized(values[kept]),
        classes[kept],
        np.unique(groups[kept], return_inverse=True)[1],
    )
    number = int(classes.max()) + 1
    observed = _between(standard, classes, number)
    of_group = np.zeros(int(groups.max()) + 1, int)
    of_group[groups] = classes
    several = np.unique(groups[of_group[groups] != classes])  # groups with clips of several classes
    single = np.setdiff1d(groups, several)
    inside = np.flatnonzero(np.isin(groups, several))
    slots = inside[np.argsort(groups[inside], kind="stable")]
    reached, total = np.ones(len(observed)), np.zeros(len(observed))
    for _ in range(permutations):
        drawn = of_group.copy()
        drawn[single] = rng.permutation(of_group[single])
        permuted = drawn[groups]
        permuted[slots] = classes[inside[np.lexsort((rng.random(len(inside)), groups[inside]))]]
        eta = _between(standard, permuted, number)
        reached += eta >= observed - 1e-6
        total += eta
    return Permuted(reached / (permutations + 1), total / max(permutations, 1), observed)


def benjamini_hochberg(p: Floats) -> Floats:
    """Adjusted p-values: reject those up to 0.05, and at most 5 % of the rejected ones are expected to be wrong."""
    p = np.asarray(p, np.float64)
    order = np.argsort(p)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    return adjusted


def class_means(values: Floats, classes: Indices, number: int) -> Floats:
    """The mean of each column in each class, `[number, C]`; nan for a class without a row. Rows of class -1 are left out."""
    known = classes >= 0
    member = _member(classes[known], number)
    with np.errstate(invalid="ignore"):
        means: Floats = (member @ values[known]) / member.sum(1, keepdims=True)
    return means


def within_classes(values: Floats, classes: Indices) -> Floats:
    """Values `[N, K]` less the mean of their class."""
    own = np.unique(classes, return_inverse=True)[1].reshape(-1)
    sums = np.zeros((int(own.max()) + 1, values.shape[1]))
    np.add.at(sums, own, values)
    difference: Floats = values - (sums / np.bincount(own)[:, None])[own]
    return difference


def _standardized(values: Floats) -> Floats:
    """Columns with mean 0 and sum of squares 1; a constant column becomes 0."""
    centered = values - values.mean(0, dtype=np.float64).astype(values.dtype)
    size = np.sqrt(np.square(centered).sum(0, dtype=np.float64))
    constant = size <= 1e-6 * np.sqrt(len(values)) * np.maximum(np.abs(values).max(0), 1e-12)
    scale: Floats = np.where(constant, 0, 1 / np.where(constant, 1, size)).astype(np.float32)
    standard: Floats = centered.astype(np.float32, copy=False) * scale
    return standard


def _between(standard: Floats, classes: Indices, number: int) -> Floats:
    counts = np.bincount(classes, minlength=number)
    sums = _member(classes, number) @ standard
    eta: Floats = np.square(sums, dtype=np.float64).T @ (1 / np.maximum(counts, 1))
    return eta


def _member(classes: Indices, number: int) -> Floats:
    """`[classes, N]`: 1 where a row is of a class."""
    member = np.zeros((number, len(classes)), np.float32)
    member[classes, np.arange(len(classes))] = 1
    return member


def _some_clips(classes: Indices, groups: Indices, rng: np.random.Generator) -> Indices:
    """All rows, or `MOST_PERMUTED` random rows of random groups, but never of one class only if there are more."""
    if len(groups) <= MOST_PERMUTED:
        return np.arange(len(groups))
    order = rng.permutation(len(groups))
    firsts = order[np.unique(classes[order], return_index=True)[1]]  # a row of each class
    order = np.concatenate([firsts, order[~np.isin(order, firsts)]])
    _, start, own = np.unique(groups[order], return_index=True, return_inverse=True)
    by_group = np.lexsort((np.arange(len(order)), start[own]))  # groups by their first row
    sizes = np.bincount(own)[start.argsort()]
    number = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # of each row within its group
    turn = np.argsort(number // OF_GROUP, kind="stable")  # a few rows of each group, then a few more
    kept: Indices = order[by_group[turn[:MOST_PERMUTED]]]
    return kept
