"""Accuracy of a model on labelled clips, each seen just as the page sees it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch

from aia.errors import AIAError
from aia.network import AIANet
from aia.training.data import read_manifest, split_samples
from aia.training.recipe import Recipe
from aia.training.train import decode_all, predict


def evaluate(model: AIANet, data: Path, recipe: Recipe, split: str) -> dict[str, Any]:
    """Classifies a split of a data folder.

    Args:
        model: To evaluate.
        data: See `read_manifest`.
        recipe: Names the label of each class of the data.
        split: "test", ..., or "held-out": what the recipe keeps from training for choosing.

    Returns:
        "clips", "top1", "macro_f1", and "errors": file -> label given.

    Raises:
        AIAError: No clip in the split, or the model has other labels.
    """
    if model.config.labels != recipe.config.labels:
        raise AIAError("The model's labels are not those of the recipe; give the recipe it was trained by.")
    samples = read_manifest(data)
    if split == "held-out":
        samples = split_samples(samples, recipe)[1]
    else:
        samples = [s for s in samples if s.split == split and s.kind in recipe.classes]
    if not samples:
        raise AIAError(f"{data.name} has no clip in the split {split!r}.")
    clips, targets = decode_all(samples, recipe)
    answers = predict(model, clips).argmax(1)
    labels = model.config.labels
    return {
        "clips": len(samples),
        "top1": round((answers == targets).float().mean().item(), 4),
        "macro_f1": round(_macro_f1(answers, targets), 4),
        "errors": {s.file.name: labels[a] for s, a, t in zip(samples, answers, targets, strict=True) if a != t},
    }


def _macro_f1(answers: torch.Tensor, targets: torch.Tensor) -> float:
    """Mean F1 over the classes that occur in the targets."""
    right, given, there = (Counter(x.tolist()) for x in (answers[answers == targets], answers, targets))
    return sum(2 * right[c] / (given[c] + there[c]) for c in there) / len(there)
