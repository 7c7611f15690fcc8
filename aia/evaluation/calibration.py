"""Temperature and threshold of a setting, from clips that its runs did not train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from aia.evaluation.evaluate import Logits, Run
from aia.evaluation.metrics import Bools, Floats, Indices, choose_threshold, fit_temperature, softmax, unanswered

# Kinds of unknown clips that a threshold is chosen on. The others, with real films among them, are only measured.
CHOSEN_ON = ("camera pan", "idle hand", "noise", "test pattern")


@dataclass(frozen=True)
class Calibration:
    """A model's temperature and threshold. Both go into its config.json.

    Attributes:
        temperature: Logits are divided by it.
        threshold: Less probable answers are rejected, 0 to 1.
    """

    temperature: float
    threshold: float

    def unanswered(self, run: Run, logits: Floats) -> Bools:
        """Whether each clip becomes "no gesture" or unsure, `[N]`."""
        return unanswered(softmax(logits, self.temperature), self.threshold, run.none)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """The held-out clips of all runs of a setting, each answered with a calibration fitted on other clips.

    Attributes:
        clips: Their names, `[N]`; several runs may hold out the same clip.
        targets: Indices of the labels, `[N]`.
        none: The class "no gesture".
        plain: Probabilities of the logits as they are, `[N, classes]`.
        scaled: Probabilities at the temperature that was fitted on the other runs' clips.
        unanswered: Whether the clip becomes "no gesture" or unsure at the other runs' temperature and threshold, `[N]`.
    """

    clips: tuple[str, ...] = field(repr=False)
    targets: Indices = field(repr=False)
    none: int
    plain: Floats = field(repr=False)
    scaled: Floats = field(repr=False)
    unanswered: Bools = field(repr=False)


def pool(runs: Sequence[Run], split: str) -> Logits:
    """A split of the runs that have it as one."""
    parts = [run.splits[split] for run in runs if split in run.splits]
    return Logits(
        tuple(clip for part in parts for clip in part.clips),
        np.concatenate([np.empty(0, int), *(part.targets for part in parts)]),
        np.concatenate([np.empty((0, len(runs[0].labels))), *(part.logits for part in parts)]),
    )


def by_kind(unknown: Logits) -> dict[str, Logits]:
    """Clips of the split "unknown" by kind, in alphabetical order."""
    kinds = np.array([clip.split("/")[0] for clip in unknown.clips])
    return {str(kind): unknown.where(kinds == kind) for kind in np.unique(kinds)}


def calibrate(runs: Sequence[Run]) -> Calibration:
    """Fits a setting's temperature and chooses its threshold.

    Args:
        runs: Of one setting. Each holds out different scenes, so that every clip used here was classified by a network that
            did not see its scene.

    Returns:
        The temperature with the least negative log-likelihood on all held-out clips, and the threshold that catches
        enough held-out clips without a gesture and enough unknown clips of the kinds `CHOSEN_ON`, and loses few held-out
        gestures; see `choose_threshold`.
    """
    held, unknown = pool(runs, "held-out"), by_kind(pool(runs, "unknown"))
    temperature = round(fit_temperature(held.logits, held.targets), 3)
    gesture = held.targets != runs[0].none
    nothing = [held.where(~gesture), *(unknown[kind] for kind in CHOSEN_ON if kind in unknown)]
    threshold = choose_threshold(
        softmax(held.where(gesture).logits, temperature),
        [softmax(kind.logits, temperature) for kind in nothing if kind.clips],
        runs[0].none,
    )
    return Calibration(temperature, threshold)


def cross_fit(runs: Sequence[Run]) -> CrossFit:
    """Answers each run's held-out clips with the calibration of the other runs, since a fit looks too good on its own clips.

    Args:
        runs: Of one setting, each with other scenes held out. A single run is calibrated on its own clips.
    """
    fits = [calibrate([other for other in runs if other is not run] or runs) for run in runs]
    parts = [run.splits["held-out"] for run in runs]
    scaled = [softmax(part.logits, fit.temperature) for part, fit in zip(parts, fits, strict=True)]
    refused = [fit.unanswered(run, part.logits) for run, part, fit in zip(runs, parts, fits, strict=True)]
    held = pool(runs, "held-out")
    return CrossFit(
        held.clips, held.targets, runs[0].none, softmax(held.logits), np.concatenate(scaled), np.concatenate(refused)
    )
