"""Computes the logits of trained networks on labeled clips, preprocessed as on the page, and stores them in a file."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import DataLoader

from aia import files
from aia.errors import AIAError
from aia.evaluation import camera_clips, metrics
from aia.evaluation.metrics import Bools, Floats, Indices
from aia.hub.loading import CHECKPOINTS
from aia.modeling.config import AIAConfig, Temporal, none_label
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess
from aia.modeling.recording import Switch, SwitchMode, recording
from aia.synthetic.out_of_distribution import unknown_clips
from aia.training.data import PlainDataset, Sample, class_order, clip_names, is_held_out, read_manifest, split_samples
from aia.training.recipe import Recipe
from aia.training.train import EVAL_BATCH, predict

log = logging.getLogger(__name__)

RESULTS = CHECKPOINTS / "results.json"
SPLITS = ("held-out", "background", "unknown", "rendered")  # as far as a recipe has them
TEST_SPLITS = ("test", "copies", "held", "shuffled")  # only on request
SWITCHED: Mapping[str, SwitchMode] = {"held": "mean", "shuffled": "shuffle"}
DECIMALS = 3  # of the stored logits
Setting: TypeAlias = tuple[Temporal, str]  # temporal and attention of an `AIAConfig`


@dataclass(frozen=True, eq=False)
class Logits:
    """The logits of a network on N clips.

    Attributes:
        clips: Their names, see `clip_names`; "kind/number" for one of `unknown_clips`.
        targets: Indices of their labels, `[N]`.
        logits: `[N, classes]`.
    """

    clips: tuple[str, ...] = field(repr=False)
    targets: Indices = field(repr=False)
    logits: Floats = field(repr=False)

    def where(self, chosen: Bools) -> Logits:
        """The clips for which `chosen`, bool `[N]`, is true."""
        clips = tuple(clip for clip, take in zip(self.clips, chosen, strict=True) if take)
        return Logits(clips, self.targets[chosen], self.logits[chosen])


@dataclass(frozen=True)
class Run:
    """One trained network in the results file.

    Attributes:
        temporal: Of its `AIAConfig`.
        attention: Of its `AIAConfig`.
        seed: Of its recipe.
        labels: In the order of the logits.
        trained: Label -> number of real clips it was trained on.
        splits: Logits of the requested splits: "test", "held-out" (kept from training by the recipe), "background" (all
            clips without a gesture, also those it was trained on) and "unknown" (see `out_of_distribution.py`). Of camera
            movements also "rendered" and "copies", see `camera_clips.py`. For a network with gates and a recipe whose
            clips are made on the device, "held" and "shuffled": the test clips with its gates held at their mean, and mixed
            among the frames.
    """

    temporal: Temporal
    attention: str
    seed: int
    labels: tuple[str, ...] = field(repr=False)
    trained: Mapping[str, int] = field(repr=False)
    splits: Mapping[str, Logits] = field(repr=False)

    @property
    def setting(self) -> Setting:
        """Temporal and attention."""
        return self.temporal, self.attention

    @property
    def name(self) -> str:
        """See `run_name`."""
        return run_name(self.temporal, self.attention, self.seed)

    @property
    def none(self) -> int:
        """The class that refuses a clip, such as "no gesture"."""
        return self.labels.index(none_label(self.labels))


def run_name(temporal: str, attention: str, seed: int) -> str:
    """The name of a run: "->" is written "-to-" and "+" "-plus-", as in "tsn-c-to-st-s0"."""
    return f"{temporal}-{attention.replace('->', '-to-').replace('+', '-plus-')}-s{seed}"


def predictions(model: AIANet, data: str | Path, recipe: Recipe, splits: Iterable[str] = SPLITS) -> dict[str, Logits]:
    """Classifies clips of a data folder, and the unknown clips.

    Args:
        model: Any device.
        data: See `read_manifest`.
        recipe: The model's; only its classes and what it holds out matter.
        splits: See `Run.splits`, or any other split of the data. Empty splits are left out.

    Raises:
        AIAError: The data cannot be read, or the model has other labels than the recipe or gives no finite numbers.
    """
    samples, config = read_manifest(data), model.config
    logits_of: dict[str, Logits] = {}
    recipe = recipe.resolve(class_order(data, samples))
    if config.labels != recipe.config.labels:
        raise AIAError("The model's labels are not those of the recipe; give the recipe it was trained by.")
    for split in splits:
        if split in SWITCHED:
            if not (recipe.resident and model.block_names):
                continue
            chosen = split_of(samples, recipe, "test")
            names = clip_names(chosen)
            with recording([Switch(SWITCHED[split])]):
                answers = _answers(model, chosen, recipe)
        elif split in camera_clips.SPLITS:
            if recipe.augment != "camera":
                continue
            names, clips, labels = camera_clips.read(split, samples, recipe, data, config)
            if not names:
                continue
            answers = [(predict(model, clips), labels)]
        elif split == "unknown":
            if not config.none_label or recipe.augment == "camera":  # an unknown clip has a camera movement, too
                continue
            names, clips = _unknown_inputs(
                AIAConfig(
                    ("-",),
                    num_segments=config.num_segments,
                    input_size=config.input_size,
                    resize=config.resize,
                    mean=config.mean,
                    std=config.std,
                )
            )
            answers = [(predict(model, clips), torch.full((len(names),), config.labels.index(config.none_label)))]
        else:
            chosen = split_of(samples, recipe, split)
            names, answers = clip_names(chosen), _answers(model, chosen, recipe)
        if answers:
            logits, targets = (torch.cat(parts).numpy() for parts in zip(*answers, strict=True))
            if not np.isfinite(logits).all():
                raise AIAError("The model's logits are not finite numbers; train or convert it again.")
            logits_of[split] = Logits(names, targets, logits)
    return logits_of


def _answers(model: AIANet, clips: Sequence[Sample], recipe: Recipe) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Logits and indices of labels, by batches."""
    dataset = PlainDataset(clips, recipe, model.config)
    return [(predict(model, x), y) for x, y in DataLoader(dataset, EVAL_BATCH)]


@lru_cache(maxsize=1)
def _unknown_inputs(preprocessing: AIAConfig) -> tuple[tuple[str, ...], torch.Tensor]:
    """Names and network input of the unknown clips. They are cached, since drawing takes longer than classifying."""
    clips, names = unknown_clips(preprocessing), []
    numbers = Counter[str]()
    for clip in clips:
        numbers[clip.kind] += 1
        names.append(f"{clip.kind}/{numbers[clip.kind]}")
    return tuple(names), torch.cat([preprocess(clip.frames, preprocessing) for clip in clips])


def split_of(samples: Sequence[Sample], recipe: Recipe, split: str) -> list[Sample]:
    """The clips of one split, see `Run.splits`; the recipe has its classes (`Recipe.resolve`). Warns of clips of others."""
    clips = [s for s in samples if (is_held_out(s, recipe) if split == "held-out" else s.split == split)]
    for kind, count in Counter(clip.kind for clip in clips if clip.kind not in recipe.classes).items():
        log.warning("The model lacks the class %r: clips of it that are left out of %s: %d.", kind[:80], split, count)
    return [clip for clip in clips if clip.kind in recipe.classes]


def measure(model: AIANet, data: str | Path, recipe: Recipe, splits: Iterable[str] = SPLITS) -> Run:
    """Measures a trained network for the results file. Arguments and errors as for `predictions`."""
    samples, config = read_manifest(data), model.config
    resolved = recipe.resolve(class_order(data, samples))
    trained = Counter(resolved.classes[s.kind] for s in split_samples(samples, resolved)[0])
    return Run(
        config.temporal,
        config.attention,
        recipe.seed,
        config.labels,
        dict(trained),
        predictions(model, data, recipe, splits),
    )


def nothing_in(data: str | Path, split: str) -> AIAError:
    """The error of a split without a clip."""
    return AIAError(
        f"{data} has no clip of the model's classes in the split {split!r}; choose another one with --split."
    )


def evaluate(model: AIANet, data: str | Path, recipe: Recipe, split: str) -> dict[str, Any]:
    """Accuracy on one split. Arguments as for `predictions`.

    Returns:
        "split", "clips", "top1", "macro_f1" (see `metrics`), and "errors": clip -> predicted label.

    Raises:
        AIAError: The split has no clip, or an error of `predictions`.
    """
    result = predictions(model, data, recipe, [split]).get(split)
    if result is None:
        raise nothing_in(data, split)
    answers, labels = result.logits.argmax(1), model.config.labels
    return {
        "split": split,
        "clips": len(result.clips),
        "top1": round(metrics.top1(result.logits, result.targets), 4),
        "macro_f1": round(metrics.macro_f1(result.logits, result.targets), 4),
        "errors": {c: labels[a] for c, a, t in zip(result.clips, answers, result.targets, strict=True) if a != t},
    }


def recipe_of(model: str | Path, given: str | Path | None = None) -> Recipe:
    """The recipe of a run folder or a shipped model: `given`, or its own recipe.json.

    Raises:
        AIAError: Neither exists, or it is not a valid recipe.
    """
    if given:
        return Recipe.from_file(given)
    for folder in (Path(model), CHECKPOINTS / model):
        if (folder / "recipe.json").is_file():
            return Recipe.from_file(folder / "recipe.json")
    raise AIAError(f"{model} has no recipe.json; give the recipe it was trained by with --recipe.")


def read_results(path: str | Path = RESULTS) -> dict[str, Run]:
    """Reads the results file: name -> run.

    Raises:
        AIAError: It cannot be read or is not a results file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return {name: _run_from(data) for name, data in json.loads(text).items()}
    except OSError:
        raise AIAError(f"{path} cannot be read; make it with `python -m aia evaluate RUN --write FILE`.") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise AIAError(f"{path} is not a results file of `python -m aia evaluate`.") from None


def write_results(runs: Iterable[Run], path: str | Path = RESULTS) -> None:
    """Adds runs to a results file. A run replaces the one of the same name completely, with logits of all splits.

    The file is JSON with a line per run, so that a diff shows which run changed.

    Raises:
        AIAError: The file cannot be read or written, or its runs have other labels.
    """
    runs = tuple(runs)
    runs_by_name = read_results(path) if Path(path).is_file() else {}
    if any(set(old.labels) != set(new.labels) for old in runs_by_name.values() for new in runs):
        raise AIAError(f"{path} holds runs with other labels; give another file.")
    runs_by_name |= {run.name: run for run in runs}
    lines = [
        f"{json.dumps(name)}: {json.dumps(_run_to(runs_by_name[name]), separators=(',', ':'))}"
        for name in sorted(runs_by_name)
    ]
    files.write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _run_to(run: Run) -> dict[str, Any]:
    splits = {
        split: {"clips": s.clips, "targets": s.targets.tolist(), "logits": _rounded(s.logits)}
        for split, s in run.splits.items()
    }
    return {
        "temporal": run.temporal,
        "attention": run.attention,
        "seed": run.seed,
        "labels": run.labels,
        "trained": run.trained,
        "splits": splits,
    }


def _rounded(logits: Floats) -> list[list[float]]:
    return [[round(value, DECIMALS) for value in row] for row in logits.tolist()]  # a float32 prints many digits


def _run_from(data: dict[str, Any]) -> Run:
    splits = {
        split: Logits(tuple(s["clips"]), np.array(s["targets"], int), np.array(s["logits"], float))
        for split, s in data["splits"].items()
        if s["clips"]
    }
    return Run(**{**data, "labels": tuple(data["labels"]), "splits": splits})


def differences(stored: Run, fresh: Run) -> list[str]:
    """Compares a run's stored logits with new ones: a sentence per split."""
    sentences = []
    for split, new in fresh.splits.items():
        old = stored.splits.get(split)
        if old is not None and split == "unknown":  # kinds are left out if their films are not installed
            old, new = (a.where(np.isin(a.clips, b.clips)) for a, b in ((old, new), (new, old)))
        if old is None or old.clips != new.clips or not old.clips:
            sentences.append(f"{split}: other clips than in the results file")
            continue
        changed = [c for c, a, b in zip(old.clips, old.logits.argmax(1), new.logits.argmax(1), strict=True) if a != b]
        answers = f"other answers for {', '.join(changed)}" if changed else "the same answers"
        gap = np.abs(old.logits - new.logits).max()
        sentences.append(f"{split}, {len(new.clips)} clips: {answers}; logits differ by at most {gap:.3f}")
    return sentences
