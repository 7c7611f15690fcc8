"""Test clips of camera movement that are not files: rendered over held-out stills, and changed copies of test clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from aia.datasets.places import TRAIN_SPLITS
from aia.modeling.config import AIAConfig
from aia.training import camera
from aia.training.camera_batches import CameraBatches, change, transform
from aia.training.data import PlainDataset, Sample, clip_names, is_held_out, read_manifest
from aia.training.recipe import Recipe
from aia.training.resident import ResidentClips

SPLITS = ("rendered", "copies")
RENDERED, SEED = 500, 99  # clips, as many of each label
# Mirrored, backwards and turned clockwise by quarters. The two turned copies turn a pan into the
# same tilt, and a tilt into both pans.
COPIES = {
    "mirrored": (True, False, 0),
    "backwards": (False, True, 0),
    "turned": (False, False, 1),
    "mirrored and turned": (True, False, 3),
}


def read(
    split: str, samples: Sequence[Sample], recipe: Recipe, data: str | Path, config: AIAConfig
) -> tuple[tuple[str, ...], Tensor, Tensor]:
    """The clips of a split.

    Args:
        split: "rendered" or "copies".
        samples: Of the data folder.
        recipe: Of the network, with the augment "camera".
        data: The folder.
        config: Of the network.

    Returns:
        Names, network input float32 `[N, T, 3, S, S]`, and indices of labels `[N]`.

    Raises:
        AIAError: A clip cannot be read.
    """
    return _rendered(recipe, data, config) if split == "rendered" else _copies(samples, recipe, config)


def _rendered(recipe: Recipe, data: str | Path, config: AIAConfig) -> tuple[tuple[str, ...], Tensor, Tensor]:
    samples = read_manifest(data, unlabeled=True)
    if not any(sample.split in TRAIN_SPLITS and is_held_out(sample, recipe) for sample in samples):
        return (), torch.empty(0), torch.empty(0)
    clips = ResidentClips.read(samples, recipe, data, torch.device("cpu"), held_out=True)
    assert clips.stills is not None
    make = CameraBatches(
        clips.clips,
        clips.windows,
        clips.scenes,
        clips.stills,
        size=config.input_size,
        frames=config.num_segments,
        seed=SEED,
    )
    labels = torch.arange(RENDERED) % len(camera.LABELS)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (config.mean, config.std))
    x = torch.cat([(make.over_stills(part) - mean) / std for part in torch.split(labels, 25)])
    kinds = [camera.LABELS[label] for label in labels]
    order = torch.tensor([config.labels.index(kind) for kind in kinds])
    return tuple(f"{kind}/{number // len(camera.LABELS) + 1}" for number, kind in enumerate(kinds)), x, order


def _copies(samples: Sequence[Sample], recipe: Recipe, config: AIAConfig) -> tuple[tuple[str, ...], Tensor, Tensor]:
    still = camera.LABELS[camera.STATIC]
    chosen = [
        s for s in samples if s.split == "test" and s.kind in recipe.classes and s.kind not in (still, camera.NONE)
    ]
    dataset, labels = PlainDataset(chosen, recipe, config), config.labels
    names, clips, targets = [], [], []
    for index, (clip, sample) in enumerate(zip(clip_names(chosen), chosen, strict=True)):
        x, _ = dataset[index]
        for name, copy in COPIES.items():
            names.append(f"{clip}/{name}")
            clips.append(transform(x, *copy))
            moved = camera.changed(camera.LABELS.index(recipe.classes[sample.kind]), change(*copy))
            targets.append(labels.index(camera.LABELS[moved]))
    return tuple(names), torch.stack(clips) if clips else torch.empty(0), torch.tensor(targets)
