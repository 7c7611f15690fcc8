"""The tables of the shipped models and settings, from the logits in the results file, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aia.errors import AIAError
from aia.evaluation import metrics
from aia.evaluation.calibration import CHOSEN_ON, by_kind, calibrate, cross_fit
from aia.evaluation.evaluate import Run
from aia.evaluation.shipped import folds, of_setting, shipped
from aia.locations import CHECKPOINTS
from aia.modeling.config import ATTENTIONS, NO_GESTURE, AIAConfig

PAIRS = (("swipe up", "swipe down"), ("swipe left", "swipe right"), ("check mark", "caret"))

SHIPPED = tuple((temporal, attention) for temporal in ("tsn", "tsm") for attention in ("none", "cinst", "stinc"))

TSN = tuple(("tsn", attention) for attention in ATTENTIONS if attention != "stinc-2022-06")

PAIR_NAMES = "; ".join(f"{a}, {b}" for a, b in PAIRS)
UNKNOWN = "–"  # a figure that the results file cannot give


def tables(runs: Mapping[str, Run], checkpoints: Path = CHECKPOINTS) -> str:
    """The README's tables, as far as the runs reach: Markdown.

    Raises:
        AIAError: The runs are about other labels.
    """
    labels = {label for run in runs.values() for label in run.labels}
    if not {*sum(PAIRS, ()), NO_GESTURE} <= labels:
        raise AIAError("The tables are about the gestures of EgoGestAR, and the results file is about other labels.")
    parts = _accuracy(runs, checkpoints), _gain(runs), _settings(runs), _unknown(runs, checkpoints)
    return "\n\n".join(part for part in parts if part)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _accuracy(runs: Mapping[str, Run], checkpoints: Path) -> str:
    own = {runs[run].setting: runs[run] for run in shipped(checkpoints).values() if run in runs}
    rows = [
        [*_scores(runs, setting), _spread([own[setting]] if setting in own else [], metrics.top1)]
        for setting in SHIPPED
    ]
    header = [*_SCORES, "test top-1 of the shipped model"]
    return f"{_SCORES_NOTE}\n\n{table(header, rows)}"


def _settings(runs: Mapping[str, Run]) -> str:
    rows = [_scores(runs, setting) for setting in TSN if of_setting(runs, setting)]
    return f"The attention settings on TSN, the same columns:\n\n{table(_SCORES, rows)}"


_SCORES = (
    "network",
    "seeds",
    "test top-1",
    "test macro-F1",
    "held-out top-1",
    "order pairs, among all",
    "order pairs, of two",
)

_SCORES_NOTE = (
    "Mean ± sample standard deviation over the seeds. Test: 40 clips of the ten gestures in four scenes that training never "
    "saw. Held out: the training scenes that a seed's recipe keeps out, other ones for each seed, and clips of other hand "
    f"movements. Order pairs: the test clips of {PAIR_NAMES}, the same strokes backwards or in another order; first the answer "
    "among all labels, then the choice between the two of the pair alone (0.5 is chance)."
)


def _scores(runs: Mapping[str, Run], setting: tuple[str, str]) -> list[str]:
    """A row: the columns `_SCORES`."""
    found = of_setting(runs, setting)
    columns = [
        _spread(found, metrics.top1),
        _spread(found, metrics.macro_f1),
        _spread(found, metrics.top1, "held-out"),
        *(_spread(found, lambda z, t, i=i: metrics.pair_accuracy(z, t, pair_indices(found[0]))[i]) for i in (0, 1)),
    ]
    return [_title(setting), str(len(found)), *columns]


def _gain(runs: Mapping[str, Run]) -> str:
    rows = []
    for temporal in ("tsn", "tsm"):
        plain = _tested(runs, (temporal, "none"))
        for attention in ("cinst", "stinc"):
            gated = _tested(runs, (temporal, attention))
            cells = [UNKNOWN] * 3
            if plain and gated:
                right = [np.stack([_right(run) for run in some]) for some in (gated, plain)]
                gain, low, high = metrics.bootstrap_difference(*right)
                cells = [f"{gain:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{len(gated)}, {len(plain)}"]
            rows.append([f"{_title((temporal, attention))} − {_title((temporal, 'none'))}", *cells])
    note = (
        "What the gates add to test top-1, with a 95 % interval of a paired bootstrap (10,000 draws of the 40 clips, each "
        "averaged over its seeds). The interval speaks of other clips like these; clips of one scene are not independent, so "
        "it is rather too narrow."
    )
    return f"{note}\n\n{table(['networks', 'difference', '95 % interval', 'seeds'], rows)}"


def _unknown(runs: Mapping[str, Run], checkpoints: Path) -> str:
    """Knowing what it does not know: a column for each shipped model; empty without one."""
    chosen = sorted((runs[run] for run in shipped(checkpoints).values() if run in runs), key=_place)
    if not chosen:
        return ""
    columns = [rejection(run, folds(runs, run.setting)) for run in chosen]
    names = list(dict.fromkeys(name for column in columns for name in column))
    many = any(len(folds(runs, run.setting)) > 1 for run in chosen)
    rows = [[name, *(column.get(name, UNKNOWN) for column in columns)] for name in names]
    note = (
        'Knowing what it does not know: the share of clips that get no gesture\'s name, because the answer is "no gesture" or '
        f"less probable than the threshold. {_HELD[many]} Unknown clips are made by rule "
        "(`aia/synthetic/out_of_distribution.py`). On clips with a star (*) temperature or threshold were chosen, the "
        "others were only measured. ECE: expected calibration error in 15 bins of the answer's probability, on the same "
        "held-out clips. So few clips fill the bins unevenly: a model "
        "that is right exactly as often as it says would show the error in the row below (mean, 95th percentile)."
    )
    return f"{note}\n\n{table(['', *(_title(run.setting) for run in chosen)], rows)}"


_HELD = {  # how the held-out clips are answered, by whether there are several seeds
    True: "Held-out clips of every seed are answered with the temperature and threshold that the other seeds' clips give; the "
    "shipped models take what all give.",
    False: "With one seed, temperature and threshold are fitted on the very held-out clips below, which flatters them.",
}


def _place(run: Run) -> int:
    """Where a setting stands among the shipped ones."""
    return SHIPPED.index(run.setting) if run.setting in SHIPPED else len(SHIPPED)


def rejection(run: Run, held: Sequence[Run]) -> dict[str, str]:
    """Row -> cell of one shipped model; `held` as `folds` gives it."""
    cells = {}
    if not held:
        return cells
    own = calibrate(held)
    cells["temperature"], cells["threshold"] = f"{own.temperature:g}", f"{own.threshold:g}"
    fit, star = cross_fit(held), "" if len(held) > 1 else "*"
    nothing = fit.targets == fit.none
    before, after = (metrics.calibration_error(p, fit.targets) for p in (fit.plain, fit.scaled))
    cells[f"other hand movements, held out{star}: caught"] = _share(fit.unanswered[nothing])
    cells[f"gestures, held out{star}: lost"] = _share(fit.unanswered[~nothing])
    cells["ECE as trained"], cells[f"ECE with the temperature{star}"] = f"{before:.3f}", f"{after:.3f}"
    cells["ECE of a perfectly calibrated model"] = "{:.3f} (95 %: {:.3f})".format(
        *metrics.calibration_noise(fit.scaled)
    )
    for kind, clips in by_kind(run.splits["unknown"]).items():
        star = "*" if kind in CHOSEN_ON else ""
        cells[f"unknown, {kind}{star}: caught"] = _share(own.unanswered(run, clips.logits))
    if "test" in run.splits:
        cells["gestures, test: lost"] = _share(own.unanswered(run, run.splits["test"].logits))
    return cells


def _tested(runs: Mapping[str, Run], setting: tuple[str, str]) -> list[Run]:
    return [run for run in of_setting(runs, setting) if "test" in run.splits]


def test_split(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Logits `[N, classes]` and class indices `[N]` of a run's test clips."""
    return run.splits["test"].logits, run.splits["test"].targets


def _right(run: Run) -> np.ndarray:
    logits, targets = test_split(run)
    return logits.argmax(1) == targets


def pair_indices(run: Run) -> list[tuple[int, int]]:
    """The order pairs as class indices of a run."""
    return [(run.labels.index(a), run.labels.index(b)) for a, b in PAIRS]


def _spread(runs: Sequence[Run], measure: Callable[[np.ndarray, np.ndarray], float], split: str = "test") -> str:
    """Mean ± sample standard deviation over the runs that were evaluated on a split."""
    values = [measure(run.splits[split].logits, run.splits[split].targets) for run in runs if split in run.splits]
    if not values:
        return UNKNOWN
    mean, std = metrics.mean_and_std(values)
    return f"{mean:.3f}" if np.isnan(std) else f"{mean:.3f} ± {std:.3f}"


def _share(which: np.ndarray) -> str:
    return f"{which.mean():.2f} ({which.sum()} of {which.size})" if which.size else UNKNOWN


def _title(setting: tuple[str, str]) -> str:
    return AIAConfig(("-",), temporal=setting[0], attention=setting[1]).method
