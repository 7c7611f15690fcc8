"""Accuracy, calibration and confidence intervals from logits; NumPy only, and all randomness from a seed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aia.errors import AIAError

Floats: TypeAlias = NDArray[np.floating[Any]]
Indices: TypeAlias = NDArray[np.integer[Any]]
Bools: TypeAlias = NDArray[np.bool_]

TEMPERATURES = (0.2, 5.0)  # the range of `fit_temperature`
RESAMPLES = 2000  # of a bootstrap
ROUNDING = 1e-9  # a sum or a difference below it is rounding
_DRAWN = 4_000_000  # counts in memory at a time while groups are resampled
BINS = 15  # of the calibration error, equally wide in [0, 1]


@dataclass(frozen=True)
class Score:
    """A mean over clips and its bootstrap interval of 95 % over clips or groups of them; NaN if there are too few groups."""

    mean: float
    low: float
    high: float

    def text(self, form: str = ".3f") -> str:
        """The mean, and its interval if there is one, for a table."""
        # Adding 0 to a rounded number leaves no minus zero.
        mean, low, high = (f"{round(value, 9) + 0.0:{form}}" for value in (self.mean, self.low, self.high))
        return mean if np.isnan(self.low) else f"{mean} ({low} to {high})"


def softmax(logits: Floats, temperature: float = 1.0) -> Floats:
    """Probabilities `[N, classes]` of logits divided by a temperature."""
    z = logits / temperature
    z = np.exp(z - z.max(axis=1, keepdims=True))
    probabilities: Floats = z / z.sum(axis=1, keepdims=True)
    return probabilities


def top1(logits: Floats, targets: Indices) -> float:
    """Share of clips whose largest logit is that of their class. Logits `[N, classes]`, targets `[N]`."""
    return float((logits.argmax(1) == targets).mean())


def confusion_matrix(logits: Floats, targets: Indices) -> Indices:
    """Counts `[classes, classes]`: rows are true classes, columns are answers."""
    counts = np.zeros((logits.shape[1], logits.shape[1]), int)
    np.add.at(counts, (targets, logits.argmax(1)), 1)
    return counts


def macro_f1(logits: Floats, targets: Indices) -> float:
    """Mean F1 over the classes that occur in the targets, in [0, 1]."""
    counts = confusion_matrix(logits, targets)
    present = counts.sum(1) > 0
    f1 = 2 * counts.diagonal() / np.maximum(counts.sum(0) + counts.sum(1), 1)
    return float(f1[present].mean())


def pair_accuracy(logits: Floats, targets: Indices, pairs: Sequence[tuple[int, int]]) -> tuple[float, float, int]:
    """Accuracy on classes that differ only in the order of their frames.

    Args:
        logits: `[N, classes]`.
        targets: `[N]`.
        pairs: Two classes each, such as up and down; no class in two pairs.

    Returns:
        On the clips of all pairs: top-1 among all classes, accuracy of the choice between the two of the pair (0.5 is
        chance), and the number of clips.
    """
    other = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    chosen = np.isin(targets, list(other))
    z, own = logits[chosen], targets[chosen]
    rival = np.array([other[t] for t in own], int)
    rows = np.arange(len(own))
    return top1(z, own), float((z[rows, own] > z[rows, rival]).mean()), len(own)


class Reliability(NamedTuple):
    """Clips, mean confidence and accuracy in each of `BINS` bins."""

    clips: Indices
    confidence: Floats
    accuracy: Floats


def reliability(probabilities: Floats, targets: Indices) -> Reliability:
    """Clips, mean confidence and accuracy in each of `BINS` bins of the top label's probability; 0 in empty bins."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    total_confidence, total_right = (np.bincount(bins, values, BINS) for values in (confidence, right))
    return Reliability(count, total_confidence / np.maximum(count, 1), total_right / np.maximum(count, 1))


def calibration_error(probabilities: Floats, targets: Indices) -> float:
    """Expected calibration error (Guo et al., ICML 2017, arXiv 1706.04599).

    The gap between accuracy and mean confidence (probability of the answer) in each of `BINS` equally wide bins of
    confidence, averaged with the bins' numbers of clips as weights.

    Args:
        probabilities: `[N, classes]`.
        targets: `[N]`.

    Returns:
        0 (confidence equals accuracy) to 1.
    """
    count, confidence, accuracy = reliability(probabilities, targets)
    return float((count * np.abs(accuracy - confidence)).sum() / count.sum())


def calibration_noise(
    probabilities: Floats, clips: Sequence[Hashable] | None = None, *, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The `calibration_error` of a perfectly calibrated model with these answers. It is not 0, since few clips fill a bin.

    Answers of several seeds to one clip are no independent evidence: a draw takes one random number for each clip, and an
    answer is right if its probability exceeds that number. So equally sure answers to one clip are right or wrong together.

    Args:
        probabilities: `[N, classes]`.
        clips: The clip of each answer, `[N]`; by default every answer has a clip of its own.
        draws: How often each answer is drawn as right with its probability.
        seed: Of the draws.

    Returns:
        The mean and the 95th percentile of the error.
    """
    rng, answers = np.random.default_rng(seed), probabilities.argmax(1)
    clips = range(len(answers)) if clips is None else clips
    numbers = {clip: number for number, clip in enumerate(dict.fromkeys(clips))}
    own = [numbers[clip] for clip in clips]
    right = rng.random((draws, len(numbers)))[:, own] < probabilities.max(1)
    errors = [calibration_error(probabilities, np.where(row, answers, -1)) for row in right]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def fit_temperature(logits: Floats, targets: Indices) -> float:
    """The temperature in `TEMPERATURES` with the least negative log-likelihood (Guo et al., arXiv 1706.04599).

    If all N clips were classified right, the likelihood would grow with ever lower temperatures. So, as in Platt's scaling
    (1999), a clip's target is (N + 1) / (N + 2) for its class, and the rest for the strongest other class.
    """
    rows = np.arange(len(logits))
    others = np.where(np.arange(logits.shape[1]) == targets[:, None], -np.inf, logits).max(1)
    share = (len(logits) + 1) / (len(logits) + 2)
    wanted = share * logits[rows, targets] + (1 - share) * others

    def loss(temperature: float) -> float:
        z = logits / temperature
        top = z.max(1)
        return float((np.log(np.exp(z - top[:, None]).sum(1)) + top - wanted / temperature).mean())

    low, high = np.log(TEMPERATURES)
    while high - low > 1e-5:  # the loss is convex in 1 / temperature: it has one minimum
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if loss(np.exp(left)) < loss(np.exp(right)):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def unanswered(probabilities: Floats, threshold: float | Floats, none: int) -> Bools:
    """Whether each clip gets no gesture's name, because the answer is class `none` or less probable than the threshold.

    Args:
        probabilities: `[N, classes]`.
        threshold: One, or `[K, 1]`.
        none: The class "no gesture".

    Returns:
        bool `[N]`, or `[K, N]`.
    """
    rejected: Bools = (probabilities.argmax(1) == none) | (probabilities.max(1) < threshold)
    return rejected


def choose_threshold(
    gestures: Floats,
    nothing: Sequence[Floats],
    none: int,
    *,
    most_lost: float = 0.05,
    least_caught: float = 0.9,
) -> float:
    """Chooses the probability below which an answer is rejected; 0 without clips of both sorts.

    It is the smallest of 0, 0.001, ... that catches enough clips without a gesture of every kind. If that loses too many
    gestures, it is the largest that does not, or that loses none except those whose answer is `none` anyway.

    Args:
        gestures: Probabilities `[N, classes]` of clips that show a gesture.
        nothing: Probabilities of clips that show none, an array for each kind.
        none: The class "no gesture".
        most_lost: Largest share of gesture clips that may become `unanswered`.
        least_caught: Smallest share of each kind of the others that should become so.
    """
    if not len(gestures) or not nothing:
        return 0.0
    grid = np.arange(1000) / 1000
    lost, *caught = (unanswered(p, grid[:, None], none).mean(1) for p in (gestures, *nothing))  # [1000] each
    allowed = lost <= max(most_lost, lost[0])
    enough = allowed & (np.min(caught, axis=0) >= least_caught)
    return float(grid[enough][0] if enough.any() else grid[allowed][-1])


def bootstrap_difference(a: Bools, b: Bools, *, resamples: int = 10_000, seed: int = 0) -> tuple[float, float, float]:
    """How much more often `a` is right than `b` on the same clips, with a 95 % percentile bootstrap interval.

    Clips are drawn with replacement, the same for both, and each is averaged over its seeds. So the interval is about other
    clips like these, not about other seeds.

    Args:
        a: Whether each clip was right, bool `[seeds, N]`.
        b: The same of another setting; its number of seeds may differ.
        resamples: Draws of N clips.
        seed: Of the draws.

    Returns:
        The difference a - b, and the interval's ends, in [-1, 1].
    """
    gain = a.mean(0) - b.mean(0)
    draws = np.random.default_rng(seed).integers(len(gain), size=(resamples, len(gain)))
    low, high = np.percentile(gain[draws].mean(1), (2.5, 97.5))
    return float(gain.mean()), float(low), float(high)


def check_seed(seed: int) -> None:
    """Raises an AIAError if NumPy or PyTorch cannot take a seed."""
    if not 0 <= seed < 2**32:
        raise AIAError(f"A seed is a whole number from 0 to {2**32 - 1}, not {str(seed)[:20]}.")


def intervals(values: Floats, groups: Sequence[str] | Sequence[int], seed: int) -> list[Score]:
    """Means over clips with bootstrap intervals of 95 % over groups, one for each column of `[N, K]`.

    Groups are drawn with replacement, with all of their clips. The same seed draws the same groups. One group
    gives no interval.
    """
    own = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
    ratios = ratio_intervals(values, np.ones(len(values)), own, resamples=RESAMPLES, seed=seed)
    return [Score(*map(float, column)) for column in ratios.T]


def ratio_intervals(values: Floats, weights: Floats, groups: Indices, *, resamples: int, seed: int) -> Floats:
    """The sum of each column over the sum of the weights, with a bootstrap interval of 95 % over the groups with weight.

    Args:
        values: `[N, K]`.
        weights: 0 or more, `[N]`.
        groups: A number for each row, `[N]`.
        resamples: See `resampled_sums`.
        seed: See `resampled_sums`.

    Returns:
        Ratios, low and high ends `[3, K]`; the ends are nan with fewer than two groups that have weight.
    """
    ratios = values.sum(0) / weights.sum()
    ends = np.full((2, len(ratios)), np.nan)
    if len(np.unique(groups[weights > 0])) > 1:
        sums = resampled_sums(np.column_stack([values, weights]), groups, resamples=resamples, seed=seed)
        sums = sums[sums[:, -1] > ROUNDING]
        ends = np.quantile(sums[:, :-1] / sums[:, -1:], (0.025, 0.975), axis=0)
    return np.vstack([ratios, ends])


def resampled_sums(values: Floats, groups: Indices, *, resamples: int, seed: int) -> Floats:
    """Sums of columns over groups that are drawn with replacement, with all of their clips.

    Args:
        values: `[N, K]`.
        groups: A number for each clip, `[N]`.
        resamples: Number of draws, each of as many groups as there are.
        seed: Of the draws. The same seed draws the same groups.

    Returns:
        `[resamples, K]`.
    """
    own = np.unique(groups, return_inverse=True)[1].reshape(-1)
    number = int(own.max()) + 1
    sums = np.zeros((number, values.shape[1]))
    np.add.at(sums, own, values)
    rng, shares = np.random.default_rng(seed), np.full(number, 1 / number)
    step = max(1, _DRAWN // number)
    drawn = [rng.multinomial(number, shares, min(step, resamples - done)) @ sums for done in range(0, resamples, step)]
    return np.concatenate(drawn)


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); the latter is nan for one value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
