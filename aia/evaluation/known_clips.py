"""Labeled clips that a network answers right, to measure what its answers rely on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from aia.errors import AIAError
from aia.evaluation.deletion import blur
from aia.evaluation.evaluate import nothing_in, split_of
from aia.modeling.network import AIANet
from aia.training.data import Sample, class_order, groups_of, read_manifest
from aia.training.recipe import Recipe
from aia.training.train import decode_all, predict


class Clips(NamedTuple):
    """N clips that a network answers right, and only as long as they are sharp.

    Attributes:
        x: As the network takes them, `[N, T, 3, S, S]`.
        labels: Indices of their labels, `[N]`.
        groups: What they have in common with other clips, such as the scene; clips of one group are not independent.
        tried: Clips that the N were chosen from.
    """

    x: Tensor
    labels: Tensor
    groups: tuple[str, ...]
    tried: int


def read_clips(model: AIANet, data: str | Path, recipe: Recipe, split: str, most: int = 100) -> Clips:
    """Reads labeled clips, and keeps those that the network answers right when they are sharp and wrong when they are blurred.

    On the others no order of the cells can be better than another.

    Args:
        model: Any network.
        data: See `read_manifest`.
        recipe: The model's.
        split: See `aia.evaluation.evaluate.evaluate`.
        most: Clips to try, see `pick`.

    Raises:
        AIAError: The data cannot be read, the model has other labels than the recipe, or fewer than two groups are left.
    """
    if most < 2:
        raise AIAError(f"Faithfulness is measured on two clips or more, not {most}.")
    chosen, recipe = split_samples_of(model, data, recipe, split, most)
    x, labels = decode_all(chosen, recipe, model.config)
    return choose(model, x, labels, groups_of(chosen))


def split_samples_of(
    model: AIANet, data: str | Path, recipe: Recipe, split: str, most: int
) -> tuple[list[Sample], Recipe]:
    """At most `most` clips of a split, not decoded, and the recipe with its classes. Arguments as for `read_clips`.

    Raises:
        AIAError: The data cannot be read, the model has other labels than the recipe, or the split has no clip.
    """
    samples = read_manifest(data)
    recipe = recipe.resolve(class_order(data, samples))
    if model.config.labels != recipe.config.labels:
        raise AIAError("The model's labels are not those of the recipe; give the recipe it was trained by.")
    chosen = split_of(samples, recipe, split)
    if not chosen:
        raise nothing_in(data, split)
    return [chosen[i] for i in pick(len(chosen), most)], recipe


def choose(model: AIANet, x: Tensor, labels: Tensor, groups: Sequence[str]) -> Clips:
    """The clips of `read_clips` among N in memory; arguments as the attributes of `Clips`."""
    counts = (predict(model, x).argmax(1) == labels) & (predict(model, blur(x)).argmax(1) != labels)
    kept = tuple(group for group, keep in zip(groups, counts, strict=True) if keep)
    if len(set(kept)) < 2:
        raise AIAError(
            f"Only {len(kept)} of {len(x)} clips, of {len(set(kept))} scenes, are answered right when sharp and wrong when "
            "blurred; give clips of two scenes or more that the model knows."
        )
    return Clips(x[counts], labels[counts], kept, len(x))


def pick(count: int, most: int) -> list[int]:
    """At most `most` indices of a list, random but always the same: every n-th clip might be of one scene."""
    return sorted(np.random.default_rng(0).permutation(count)[:most].tolist())
