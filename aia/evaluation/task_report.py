"""The tables of the models of camera movement and of actions, from the logits in their results files, as Markdown."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aia.evaluation import metrics
from aia.evaluation.calibration import Calibration, by_kind, pool
from aia.evaluation.camera_clips import COPIES
from aia.evaluation.evaluate import Logits, Run, Setting, read_results
from aia.evaluation.metrics import RESAMPLES, Bools, Score, choose_threshold, fit_temperature, intervals, softmax
from aia.evaluation.report import SHIPPED, UNKNOWN, check_labels, is_paired, setting_title, table
from aia.evaluation.shipped import of_setting
from aia.locations import CHECKPOINTS, PACKAGE
from aia.training.recipe import Recipe

TASKS = {"camera": "camera movement", "actions": "14 classes of UCF101"}  # and what their tables are about
PAIRS = (
    ("pan left", "pan right"),
    ("tilt up", "tilt down"),
    ("zoom in", "zoom out"),
    ("roll clockwise", "roll counter-clockwise"),
)
STATIC = "static"
HELD_OUT = ("held-out", "rendered")  # splits
CALIBRATED_ON = (*HELD_OUT, "unknown")
FOLDS = 5
_SCENE = re.compile(r"(.+_g\d+)_c\d+")  # UCF101: clips of one group are cut from one video


def results_file(task: str, checkpoints: Path = CHECKPOINTS) -> Path:
    """The file with the logits of a task's runs."""
    return checkpoints / f"results-{task}.json"


def control_file(checkpoints: Path = CHECKPOINTS) -> Path:
    """The file with the logits of networks that were trained on like those with gates for actions, but without gates."""
    return checkpoints / "results-actions-control.json"


def task_tables(task: str, checkpoints: Path = CHECKPOINTS, runs: Mapping[str, Run] | None = None) -> str:
    """The tables of a task.

    Args:
        task: One of `TASKS`.
        checkpoints: Folder of the shipped results files.
        runs: The runs to show; by default those of the shipped file, beside those of `control_file`.

    Returns:
        Markdown; empty if no runs are given and there is no shipped file.

    Raises:
        AIAError: There is no run, or one has other labels.
    """
    others: Mapping[str, Run] = {}
    if runs is None:
        path, control = results_file(task, checkpoints), control_file(checkpoints)
        if not path.is_file():
            return ""
        runs = read_results(path)
        others = read_results(control) if task == "actions" and control.is_file() else {}
    recipe = Recipe.from_file(PACKAGE / "training" / "configs" / f"{task}.json")
    check_labels(runs, recipe.classes.values(), TASKS[task])
    is_camera = task == "camera"
    parts = [_camera(runs), _camera_gain(runs)] if is_camera else [_actions(runs, others), _actions_gain(runs, others)]
    return "\n\n".join(part for part in [*parts, _refusal(runs)] if part)


def calibrate_task(runs: Sequence[Run]) -> Calibration:
    """Temperature and threshold of a setting, from what its runs held out and, if they have them, the rendered clips.

    The threshold is chosen by `choose_threshold`: it loses few of the clips that a label fits, and refuses others.
    """
    held = _held(runs)
    temperature = round(fit_temperature(held.logits, held.targets), 3)
    none = runs[0].none
    nothing = [held.where(held.targets == none), *([pool(runs, "unknown")] if "unknown" in runs[0].splits else [])]
    threshold = choose_threshold(
        softmax(held.where(held.targets != none).logits, temperature),
        [softmax(part.logits, temperature) for part in nothing if part.clips],
        none,
    )
    return Calibration(temperature, threshold)


def _held(runs: Sequence[Run]) -> Logits:
    parts = [pool(runs, split) for split in HELD_OUT if split in runs[0].splits]
    return Logits(
        tuple(clip for part in parts for clip in part.clips),
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.logits for part in parts]),
    )


def _settings(runs: Mapping[str, Run]) -> list[tuple[Setting, list[Run]]]:
    return [(setting, own) for setting in SHIPPED if (own := of_setting(runs, setting))]


def _over_seeds(runs: Sequence[Run], split: str, measure: Callable[[Run, Logits], float]) -> str:
    values = [measure(run, run.splits[split]) for run in runs if split in run.splits]
    if not values:
        return UNKNOWN
    mean, std = metrics.mean_and_std(values)
    return f"{mean:.3f}" if len(values) == 1 else f"{mean:.3f} ± {std:.3f}"


def _right(logits: Logits) -> Bools:
    right: Bools = logits.logits.argmax(1) == logits.targets
    return right


def _share(of: Callable[[Run, Logits], Bools]) -> Callable[[Run, Logits], float]:
    """Top-1 of some clips."""
    return lambda run, logits: float(_right(logits)[of(run, logits)].mean())


def _is(label: str) -> Callable[[Run, Logits], Bools]:
    return lambda run, logits: logits.targets == run.labels.index(label)


def _moving(run: Run, logits: Logits) -> Bools:
    moving: Bools = ~np.isin(logits.targets, (run.labels.index(STATIC), run.none))
    return moving


def _known(run: Run, logits: Logits) -> Bools:
    known: Bools = logits.targets != run.none
    return known


def _directions(run: Run, logits: Logits) -> Bools:
    """Whether the right one of two opposite directions is the more probable one, for the moving clips."""
    other = {run.labels.index(a): run.labels.index(b) for pair in PAIRS for a, b in (pair, pair[::-1])}
    own = logits.where(_moving(run, logits))
    rows = np.arange(len(own.targets))
    rival = np.array([other[target] for target in own.targets])
    right: Bools = own.logits[rows, own.targets] > own.logits[rows, rival]
    return right


def _pairs(run: Run, logits: Logits) -> float:
    return float(_directions(run, logits).mean())


def _camera(runs: Mapping[str, Run]) -> str:
    header = [
        *("network", "seeds", "real clips", "static", "moving", "directions, real", "copies", "directions, copies"),
        *("rendered, nine labels", "none of these, rendered", "directions, rendered", "gates held", "gates shuffled"),
    ]
    rows = [
        [
            setting_title(setting),
            len(own),
            _over_seeds(own, "test", _share(_known)),
            _over_seeds(own, "test", _share(_is(STATIC))),
            _over_seeds(own, "test", _share(_moving)),
            _over_seeds(own, "test", _pairs),
            _over_seeds(own, "copies", _share(_moving)),
            _over_seeds(own, "copies", _pairs),
            _over_seeds(own, "rendered", _share(_known)),
            _over_seeds(own, "rendered", lambda run, logits: float(_right(logits)[~_known(run, logits)].mean())),
            _over_seeds(own, "rendered", _pairs),
            _over_seeds(own, "held", _share(_moving)),
            _over_seeds(own, "shuffled", _share(_moving)),
        ]
        for setting, own in _settings(runs)
    ]
    return (
        "Top-1, mean ± sample standard deviation over the seeds. Real clips: the test scenes of camera.csv. Directions: the "
        "choice between two opposite movements, of the moving clips; 0.5 is chance. Copies: the moving real clips mirrored, "
        "backwards and turned by a quarter. Rendered: over stills of the scenes that a seed's recipe holds out. Gates held, "
        "gates shuffled: the moving real clips with every gate at its mean over the clip, and with the frames' gates mixed.\n\n"
        f"{table(header, rows)}"
    )


def _camera_gain(runs: Mapping[str, Run]) -> str:
    """How much better AIA tells directions than the same network without it, paired, with intervals over source videos."""
    rows = []
    for setting, own in _settings(runs):
        plain = of_setting(runs, (setting[0], "none"))
        if setting[1] == "none" or not plain:
            continue
        for split, title in (("test", "real"), ("copies", "copies"), ("rendered", "rendered")):
            ours, theirs = ([run for run in side if split in run.splits] for side in (own, plain))
            if split == "rendered":  # every seed has its own stills: only equal seeds have equal clips
                seeds = {run.seed for run in ours} & {run.seed for run in theirs}
                ours, theirs = ([run for run in side if run.seed in seeds] for side in (ours, theirs))
            if is_paired(ours, theirs, split):
                gain = _difference(ours, theirs, split, _directions, _moving)
                rows.append([setting_title(setting), title, f"{len(ours)} and {len(theirs)}", gain.text("+.3f")])
    return (
        "Directions: the gain over the same network without AIA, averaged over the seeds of each, and its 95 % interval "
        "(paired bootstrap over source videos, of rendered clips over clips, which need equal seeds; "
        f"{RESAMPLES:,} draws, seed 0).\n\n{table(['network', 'clips', 'seeds', 'gain'], rows)}"
        if rows
        else ""
    )


def _difference(
    own: Sequence[Run],
    plain: Sequence[Run],
    split: str,
    right: Callable[[Run, Logits], Bools],
    of: Callable[[Run, Logits], Bools],
) -> Score:
    """The difference of right answers, averaged over seeds, with an interval over the source videos of the clips `of`."""
    a, b = (np.mean([right(run, run.splits[split]) for run in side], axis=0) for side in (own, plain))
    first = own[0].splits[split]
    clips = first.where(of(own[0], first)).clips
    return intervals((a - b)[:, None], [_scene(clip) for clip in clips], 0)[0]


def _scene(clip: str) -> str:
    name, _, copy = clip.rpartition("/")
    clip = name if copy in COPIES else clip
    found = _SCENE.match(clip)
    return found[1] if found else clip


def _actions(runs: Mapping[str, Run], control: Mapping[str, Run]) -> str:
    named = [(setting_title(setting), own) for setting, own in _settings(runs)]
    named += [(f"{setting_title(setting)}, trained on", own) for setting, own in _settings(control)]
    header = ["network", "seeds", "test top-1", "test macro-F1", "held-out top-1", "gates held", "gates shuffled"]
    rows = [
        [
            title,
            len(own),
            _over_seeds(own, "test", _share(_known)),
            _over_seeds(own, "test", lambda run, logits: metrics.macro_f1(logits.logits, logits.targets)),
            _over_seeds(own, "held-out", _share(_known)),
            _over_seeds(own, "held", _share(_known)),
            _over_seeds(own, "shuffled", _share(_known)),
        ]
        for title, own in named
    ]
    return (
        "Test: groups 1 to 3 of 14 classes of UCF101. Held out: the groups that the recipe keeps from training, "
        "without the clips of “none of these”. Gates held, gates shuffled: the test clips with every gate at its mean over the "
        "clip, and with the frames' gates mixed.\n\n"
        f"{table(header, rows)}"
    )


def _actions_gain(runs: Mapping[str, Run], control: Mapping[str, Run]) -> str:
    """How many more clips AIA gets right than the same network without it, with intervals over source videos."""

    def right(run: Run, logits: Logits) -> Bools:
        return _right(logits)[_known(run, logits)]

    def gain(split: str, *sides: Sequence[Run]) -> str:
        ours, theirs = ([run for run in side if split in run.splits] for side in sides)
        if not is_paired(ours, theirs, split):
            return UNKNOWN
        return _difference(ours, theirs, split, right, _known).text("+.3f")

    rows = [
        [
            setting_title(setting),
            f"{setting_title((setting[0], 'none'))}{remark}",
            f"{len(own)} and {len(plain)}",
            gain("test", own, plain),
            gain("held-out", own, plain),
        ]
        for setting, own in _settings(runs)
        for of, remark in ((runs, ""), (control, ", trained on"))
        if setting[1] != "none" and (plain := of_setting(of, (setting[0], "none")))
    ]
    trained_on = (
        " Trained on: for as long as the gates were trained, with the same recipe, without gates." if control else ""
    )
    return (
        "The gain over the same network without AIA, averaged over the seeds of each, and its 95 % interval (paired bootstrap "
        f"over source videos; {RESAMPLES:,} draws, seed 0).{trained_on}\n\n"
        f"{table(['network', 'against', 'seeds', 'test clips', 'held-out clips'], rows)}"
        if rows
        else ""
    )


def _refusal(runs: Mapping[str, Run]) -> str:
    """How many clips are refused, rightly and wrongly; empty without held-out clips."""
    held = {name: run for name, run in runs.items() if not run.splits.keys().isdisjoint(HELD_OUT)}
    fitted = {setting_title(setting): _cross_fitted(own) for setting, own in _settings(held)}
    if not fitted:
        return ""
    rows = [[title, *figures] for title, (figures, _) in fitted.items()]
    header = ["network", "others refused", "known clips lost", "ECE", "ECE of a perfectly calibrated model"]
    return (
        "Refusal at the threshold, and calibration error, on the held-out clips of all seeds, in "
        f"{FOLDS} folds: each is answered with the temperature and threshold that the other folds give, and the clips of one "
        "source video are in one fold. Rendered and drawn clips are parted one by one. "
        "Others: clips of the label “none of these” and, if measured, unknown clips. Last column: the error that a perfectly "
        "calibrated model would show with these answers (mean, 95th percentile); the seeds' answers to one clip are drawn "
        "together.\n\n"
        f"{table(header, rows)}{_refused_by_kind({title: kinds for title, (_, kinds) in fitted.items()})}"
    )


def _refused_by_kind(fitted: Mapping[str, Mapping[str, Bools]]) -> str:
    """How many of the others are refused, by what they are; empty if they are of one kind."""
    kinds = sorted({kind for refused in fitted.values() for kind in refused})
    rows = [
        [kind, *(f"{own[kind].sum()} of {len(own[kind])}" if kind in own else UNKNOWN for own in fitted.values())]
        for kind in kinds
    ]
    return (
        f"\n\nHow many of the others are refused, by kind of clip.\n\n{table(['clips', *fitted], rows)}"
        if len(kinds) > 1
        else ""
    )


def _cross_fitted(runs: Sequence[Run]) -> tuple[tuple[str, str, str, str], dict[str, Bools]]:
    """The figures of `_refusal`, and whether each of the others is refused, by kind.

    Each fold's clips are answered with a calibration on the clips of the other folds.
    """
    folds = _folds(runs)
    refused: dict[str, list[Bools]] = {}
    lost, scaled, targets, clips = [], [], [], []
    for fold in range(FOLDS):
        fit = calibrate_task([_part(run, folds, fold, inside=False) for run in runs])
        for run in (_part(run, folds, fold, inside=True) for run in runs):
            held = _held([run])
            known = _known(run, held)
            gone = fit.unanswered(run, held.logits)
            refused.setdefault(run.labels[run.none], []).append(gone[~known])
            lost.append(gone[known])
            for kind, unknown in by_kind(run.splits["unknown"]).items() if "unknown" in run.splits else ():
                refused.setdefault(kind, []).append(fit.unanswered(run, unknown.logits))
            scaled.append(softmax(held.logits, fit.temperature))
            targets.append(held.targets)
            clips += [clip for split in HELD_OUT if split in run.splits for clip in _clip_keys(run, split)]
    kinds = {kind: joined for kind, parts in refused.items() if len(joined := np.concatenate(parts))}
    others, known_ones = np.concatenate([*kinds.values(), np.empty(0, bool)]), np.concatenate(lost)
    probabilities = np.concatenate(scaled)
    noise, most = metrics.calibration_noise(probabilities, clips)
    figures = (
        f"{others.sum()} of {len(others)}" if len(others) else UNKNOWN,
        f"{known_ones.sum()} of {len(known_ones)}",
        f"{metrics.calibration_error(probabilities, np.concatenate(targets)):.3f}",
        f"{noise:.3f} (95 %: {most:.3f})",
    )
    return figures, kinds


def _clip_keys(run: Run, split: str) -> list[tuple[object, ...]]:
    """What tells a clip from the others of all seeds. Each seed renders over its own stills: equal names are other clips."""
    seed = (run.seed,) if split == "rendered" else ()
    return [(split, *seed, clip) for clip in run.splits[split].clips]


def _folds(runs: Sequence[Run]) -> dict[str, int]:
    """Source video -> its fold, of all clips that a calibration is fitted on. The clips of one video are never parted."""
    clips = [clip for run in runs for split in CALIBRATED_ON if split in run.splits for clip in run.splits[split].clips]
    return {scene: number % FOLDS for number, scene in enumerate(sorted({_scene(clip) for clip in clips}))}


def _part(run: Run, folds: Mapping[str, int], fold: int, *, inside: bool) -> Run:
    """A run with only the clips of a fold, or only the others, of all that a calibration is fitted on."""
    splits = {split: run.splits[split] for split in CALIBRATED_ON if split in run.splits}
    return dataclasses.replace(
        run,
        splits={
            name: split.where(np.array([(folds[_scene(clip)] == fold) == inside for clip in split.clips], dtype=bool))
            for name, split in splits.items()
        },
    )
