"""The tables of the shipped models and settings, from the logits in the results file, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aia.errors import AIAError
from aia.evaluation import metrics
from aia.evaluation.calibration import CHOSEN_ON, by_kind, calibrate, cross_fit, pool
from aia.evaluation.evaluate import Run, Setting
from aia.evaluation.metrics import Bools, Floats, Indices
from aia.evaluation.shipped import folds, of_setting, shipped
from aia.locations import CHECKPOINTS
from aia.modeling.config import ATTENTIONS, NO_GESTURE, TEMPORALS, AIAConfig

PAIRS = (("swipe up", "swipe down"), ("swipe left", "swipe right"), ("check mark", "caret"))

SHIPPED: tuple[Setting, ...] = tuple(
    (temporal, attention) for temporal in TEMPORALS for attention in ("none", "cinst", "stinc")
)

TSN: tuple[Setting, ...] = tuple(("tsn", attention) for attention in ATTENTIONS if attention != "stinc-2022-06")

PAIR_NAMES = "; ".join(f"{a}, {b}" for a, b in PAIRS)
UNKNOWN = "–"  # a figure that is not in the results file


def tables(runs: Mapping[str, Run], checkpoints: Path = CHECKPOINTS) -> str:
    """The tables of docs/results.md, as far as there are runs for them.

    Raises:
        AIAError: There is no run, or one has other labels.
    """
    check_labels(runs, {*sum(PAIRS, ()), NO_GESTURE}, "the gestures of EgoGestAR")
    parts = _accuracy(runs, checkpoints), _gain(runs), _settings(runs), _unknown(runs, checkpoints)
    return "\n\n".join(part for part in parts if part)


def check_labels(runs: Mapping[str, Run], labels: Collection[str], what: str) -> None:
    """Raises an AIAError if there is no run, or one lacks some of the labels that tables are about."""
    if not runs:
        raise AIAError("The results file holds no run; add one with `python -m aia evaluate RUN --write FILE`.")
    if not all({*labels} <= {*run.labels} for run in runs.values()):
        raise AIAError(
            f"The tables are about {what}, and the results file is about other labels; choose other tables with --task, or "
            "evaluate each model with --data if the labels are your own."
        )


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
    "saw. Held out: the training scenes that a seed's recipe keeps out, a different set for each seed, and clips of other hand "
    f"movements. Order pairs: the test clips of {PAIR_NAMES}, the same strokes backwards or in another order; first the answer "
    "among all labels, then the choice between the two of the pair alone (0.5 is chance)."
)


def _scores(runs: Mapping[str, Run], setting: Setting) -> list[str]:
    """A row: the columns `_SCORES`."""
    own = of_setting(runs, setting)
    return [
        setting_title(setting),
        str(len(own)),
        _spread(own, metrics.top1),
        _spread(own, metrics.macro_f1),
        _spread(own, metrics.top1, "held-out"),
        _spread(own, lambda logits, targets: metrics.pair_accuracy(logits, targets, pair_indices(own[0]))[0]),
        _spread(own, lambda logits, targets: metrics.pair_accuracy(logits, targets, pair_indices(own[0]))[1]),
    ]


def _gain(runs: Mapping[str, Run]) -> str:
    rows = []
    for temporal in TEMPORALS:
        plain = _tested(runs, (temporal, "none"))
        for attention in ("cinst", "stinc"):
            gated = _tested(runs, (temporal, attention))
            cells = [UNKNOWN] * 3
            if is_paired(gated, plain, "test"):
                right = [np.stack([_right(run) for run in tested]) for tested in (gated, plain)]
                gain, low, high = metrics.bootstrap_difference(*right)
                cells = [f"{gain:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{len(gated)}, {len(plain)}"]
            rows.append([f"{setting_title((temporal, attention))} − {setting_title((temporal, 'none'))}", *cells])
    note = (
        "What the gates add to test top-1, with a 95 % interval of a paired bootstrap (10,000 draws of the 40 clips, each "
        "averaged over its seeds). The interval speaks of other clips like these; clips of one scene are not independent, so "
        "it is rather too narrow."
    )
    return f"{note}\n\n{table(['networks', 'difference', '95 % interval', 'seeds'], rows)}"


def _unknown(runs: Mapping[str, Run], checkpoints: Path) -> str:
    """How often unknown clips are rejected, with a column per shipped model; empty without one."""
    chosen = sorted((runs[run] for run in shipped(checkpoints).values() if run in runs), key=_place)
    if not chosen:
        return ""
    columns = [rejection(run, folds(runs, run.setting)) for run in chosen]
    names = list(dict.fromkeys(name for column in columns for name in column))
    many = any(len(folds(runs, run.setting)) > 1 for run in chosen)
    rows = [[name, *(column.get(name, UNKNOWN) for column in columns)] for name in names]
    note = (
        'Rejecting unknown clips: the share of clips that get no gesture\'s name, because the answer is "no gesture" or '
        f"less probable than the threshold. {_HELD[many]} Unknown clips are made by rule "
        "(`aia/synthetic/out_of_distribution.py`). On clips with a star (*) temperature or threshold were chosen, the "
        "others were only measured. ECE: expected calibration error in 15 bins of the answer's probability, on the same "
        "held-out clips. So few clips fill the bins unevenly: a model "
        "that is right exactly as often as it says would show the error in the row below (mean, 95th percentile)."
    )
    return f"{note}\n\n{table(['', *(setting_title(run.setting) for run in chosen)], rows)}"


_HELD = {  # how the held-out clips are answered, by whether there are several seeds
    True: "Held-out clips of every seed are answered with the temperature and threshold that the other seeds' clips give; the "
    "shipped models take what all give.",
    False: "With one seed, temperature and threshold are fitted on the held-out clips below, so their figures are too good.",
}


def _place(run: Run) -> int:
    """The position of a setting among the shipped ones."""
    return SHIPPED.index(run.setting) if run.setting in SHIPPED else len(SHIPPED)


def rejection(run: Run, held: Sequence[Run]) -> dict[str, str]:
    """Row -> cell of one shipped model. `held` as from `folds`."""
    cells: dict[str, str] = {}
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
        *metrics.calibration_noise(fit.scaled, fit.clips)
    )
    for kind, clips in by_kind(pool([run], "unknown")).items():
        star = "*" if kind in CHOSEN_ON else ""
        cells[f"unknown, {kind}{star}: caught"] = _share(own.unanswered(run, clips.logits))
    if "test" in run.splits:
        cells["gestures, test: lost"] = _share(own.unanswered(run, run.splits["test"].logits))
    return cells


def _tested(runs: Mapping[str, Run], setting: Setting) -> list[Run]:
    return [run for run in of_setting(runs, setting) if "test" in run.splits]


def is_paired(own: Sequence[Run], plain: Sequence[Run], split: str) -> bool:
    """Whether there are runs on both sides, and all of them saw the same clips."""
    return bool(own and plain) and len({run.splits[split].clips for run in (*own, *plain)}) == 1


def test_split(run: Run) -> tuple[Floats, Indices]:
    """Logits `[N, classes]` and class indices `[N]` of a run's test clips."""
    return run.splits["test"].logits, run.splits["test"].targets


def _right(run: Run) -> Bools:
    logits, targets = test_split(run)
    right: Bools = logits.argmax(1) == targets
    return right


def pair_indices(run: Run) -> list[tuple[int, int]]:
    """The order pairs as class indices of a run."""
    return [(run.labels.index(a), run.labels.index(b)) for a, b in PAIRS]


def _spread(runs: Sequence[Run], measure: Callable[[Floats, Indices], float], split: str = "test") -> str:
    """Mean ± sample standard deviation over the runs that were evaluated on a split."""
    values = [measure(run.splits[split].logits, run.splits[split].targets) for run in runs if split in run.splits]
    if not values:
        return UNKNOWN
    mean, std = metrics.mean_and_std(values)
    return f"{mean:.3f}" if np.isnan(std) else f"{mean:.3f} ± {std:.3f}"


def _share(chosen: Bools) -> str:
    return f"{chosen.mean():.2f} ({chosen.sum()} of {chosen.size})" if chosen.size else UNKNOWN


def setting_title(setting: Setting) -> str:
    """A network's name in a table, such as "TSN with CinST"."""
    return AIAConfig(("-",), temporal=setting[0], attention=setting[1]).method
