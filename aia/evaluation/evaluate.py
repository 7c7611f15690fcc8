"""Logits of trained networks on labelled clips, each seen just as the page sees it, and the file that keeps them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from aia import files
from aia.errors import AIAError
from aia.evaluation import metrics
from aia.hub.loading import CHECKPOINTS
from aia.modeling.config import NO_GESTURE, AIAConfig
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess
from aia.synthetic.out_of_distribution import unknown_clips
from aia.training.data import PlainDataset, Sample, class_order, read_manifest, split_samples
from aia.training.recipe import Recipe
from aia.training.train import EVAL_BATCH, predict

RESULTS = CHECKPOINTS / "results.json"
SPLITS = ("held-out", "background", "unknown")  # "test" only where it is asked for by name
DECIMALS = 3  # of the stored logits


@dataclass(frozen=True, eq=False)
class Logits:
    """What a network said to some clips.

    Attributes:
        clips: Names of N clips; "kind/number" for one of `unknown_clips`.
        targets: Indices of their labels, `[N]`.
        logits: `[N, classes]`.
    """

    clips: tuple[str, ...] = field(repr=False)
    targets: np.ndarray = field(repr=False)
    logits: np.ndarray = field(repr=False)

    def where(self, chosen: np.ndarray) -> Logits:
        """The clips at which `chosen`, bool `[N]`, is true."""
        clips = tuple(clip for clip, take in zip(self.clips, chosen, strict=True) if take)
        return Logits(clips, self.targets[chosen], self.logits[chosen])


@dataclass(frozen=True)
class Run:
    """One trained network, as the results file knows it.

    Attributes:
        temporal: Of its `AIAConfig`.
        attention: Of its `AIAConfig`.
        seed: Of its recipe.
        labels: In the order of the logits.
        trained: Label -> real clips it was trained on.
        splits: "test", "held-out" (what the recipe keeps from training), "background" (every clip without a gesture, also
            those it was trained on) and "unknown" (see `unknown.py`) -> logits; only those that were asked for.
    """

    temporal: str
    attention: str
    seed: int
    labels: tuple[str, ...] = field(repr=False)
    trained: Mapping[str, int] = field(repr=False)
    splits: Mapping[str, Logits] = field(repr=False)

    @property
    def setting(self) -> tuple[str, str]:
        """Temporal and attention."""
        return self.temporal, self.attention

    @property
    def name(self) -> str:
        """See `run_name`."""
        return run_name(self.temporal, self.attention, self.seed)

    @property
    def none(self) -> int:
        """The class "no gesture"."""
        return self.labels.index(NO_GESTURE)


def run_name(temporal: str, attention: str, seed: int) -> str:
    """The name of a run: "->" is written "-to-" and "+" "-plus-", as in "tsn-c-to-st-s0"."""
    return f"{temporal}-{attention.replace('->', '-to-').replace('+', '-plus-')}-s{seed}"


def predictions(model: AIANet, data: Path, recipe: Recipe, splits: Iterable[str] = SPLITS) -> dict[str, Logits]:
    """Classifies clips of a data folder, and clips of things that no data folder holds.

    Args:
        model: Any device.
        data: See `read_manifest`.
        recipe: The one the model was trained by.
        splits: See `Run.splits`, or any other split of the data. A split without a clip is left out.

    Raises:
        AIAError: The data cannot be read, or the model has other labels than the recipe.
    """
    samples, config, found = read_manifest(data), model.config, {}
    recipe = recipe.resolve(class_order(data, samples))
    if config.labels != recipe.config.labels:
        raise AIAError("The model's labels are not those of the recipe; give the recipe it was trained by.")
    for split in splits:
        if split == "unknown":
            if NO_GESTURE not in config.labels:
                continue
            sees = ("num_segments", "input_size", "resize", "mean", "std")
            names, clips = _unknown_inputs(AIAConfig(("-",), **{field: getattr(config, field) for field in sees}))
            answers = [(predict(model, clips), torch.full((len(names),), config.labels.index(NO_GESTURE)))]
        else:
            chosen = _of_split(samples, recipe, split)
            names = tuple(s.file.name for s in chosen)
            answers = [(predict(model, x), y) for x, y in DataLoader(PlainDataset(chosen, recipe), EVAL_BATCH)]
        if answers:
            logits, targets = (torch.cat(parts).numpy() for parts in zip(*answers, strict=True))
            found[split] = Logits(names, targets, logits)
    return found


@lru_cache(maxsize=1)
def _unknown_inputs(sees: AIAConfig) -> tuple[tuple[str, ...], torch.Tensor]:
    """Names and network input of the unknown clips; drawing them takes longer than classifying them."""
    clips, names = unknown_clips(sees), []
    numbers = Counter()
    for clip in clips:
        numbers[clip.kind] += 1
        names.append(f"{clip.kind}/{numbers[clip.kind]}")
    return tuple(names), torch.cat([preprocess(clip.frames, sees) for clip in clips])


def _of_split(samples: Sequence[Sample], recipe: Recipe, split: str) -> list[Sample]:
    if split == "held-out":
        return split_samples(samples, recipe)[1]
    return [s for s in samples if s.split == split and s.kind in recipe.classes]


def measure(model: AIANet, data: Path, recipe: Recipe, splits: Iterable[str] = SPLITS) -> Run:
    """A trained network as a line of the results file; arguments and errors as of `predictions`."""
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


def evaluate(model: AIANet, data: Path, recipe: Recipe, split: str) -> dict[str, Any]:
    """Accuracy on one split; arguments as of `predictions`.

    Returns:
        "split", "clips", "top1", "macro_f1" (see `metrics`), and "errors": clip -> label given.

    Raises:
        AIAError: No clip in the split, or what `predictions` raises.
    """
    found = predictions(model, data, recipe, [split]).get(split)
    if found is None:
        raise AIAError(f"{data} has no clip in the split {split!r}.")
    answers, labels = found.logits.argmax(1), model.config.labels
    return {
        "split": split,
        "clips": len(found.clips),
        "top1": round(metrics.top1(found.logits, found.targets), 4),
        "macro_f1": round(metrics.macro_f1(found.logits, found.targets), 4),
        "errors": {c: labels[a] for c, a, t in zip(found.clips, answers, found.targets, strict=True) if a != t},
    }


def recipe_of(model: str | Path, given: str | Path | None = None) -> Recipe:
    """The recipe of a run folder or a shipped model: `given`, or its own recipe.json.

    Raises:
        AIAError: Neither is there, or it is no valid recipe.
    """
    if given:
        return Recipe.from_file(given)
    for folder in (Path(model), CHECKPOINTS / model):
        if (folder / "recipe.json").is_file():
            return Recipe.from_file(folder / "recipe.json")
    raise AIAError(f"{model} has no recipe.json; give the recipe it was trained by with --recipe.")


def read_results(path: str | Path = RESULTS) -> dict[str, Run]:
    """The results file: run -> what it said.

    Raises:
        AIAError: It cannot be read or holds something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return {name: _run_from(data) for name, data in json.loads(text).items()}
    except OSError:
        raise AIAError(f"{path} cannot be read; make it with `python -m aia evaluate RUN --write FILE`.") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise AIAError(f"{path} is no results file of `python -m aia evaluate`.") from None


def write_results(runs: Iterable[Run], path: str | Path = RESULTS) -> None:
    """Adds runs to a results file, or replaces those of the same name whole: no logits of older weights stay.

    JSON, a line for each run: any program can read it, and a change shows which run changed.
    """
    every = read_results(path) if Path(path).is_file() else {}
    every |= {run.name: run for run in runs}
    lines = [f"{json.dumps(name)}: {json.dumps(_run_to(every[name]), separators=(',', ':'))}" for name in sorted(every)]
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


def _rounded(logits: np.ndarray) -> list[list[float]]:
    return [[round(value, DECIMALS) for value in row] for row in logits.tolist()]  # a float32's own digits are many


def _run_from(data: dict[str, Any]) -> Run:
    splits = {
        split: Logits(tuple(s["clips"]), np.array(s["targets"], int), np.array(s["logits"], float))
        for split, s in data["splits"].items()
    }
    return Run(**{**data, "labels": tuple(data["labels"]), "splits": splits})


def differences(stored: Run, fresh: Run) -> list[str]:
    """Compares a run's stored logits with fresh ones: a sentence for each split that both have."""
    said = []
    for split, new in fresh.splits.items():
        old = stored.splits.get(split)
        if old is not None and split == "unknown":  # a kind whose films are not installed is not there
            old, new = (a.where(np.isin(a.clips, b.clips)) for a, b in ((old, new), (new, old)))
        if old is None or old.clips != new.clips or not old.clips:
            said.append(f"{split}: other clips than in the results file")
            continue
        changed = [c for c, a, b in zip(old.clips, old.logits.argmax(1), new.logits.argmax(1), strict=True) if a != b]
        answers = f"other answers for {', '.join(changed)}" if changed else "the same answers"
        gap = np.abs(old.logits - new.logits).max()
        said.append(f"{split}, {len(new.clips)} clips: {answers}; logits differ by at most {gap:.3f}")
    return said
