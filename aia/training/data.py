"""Clips to train on: a folder with a csv of labels, decoded once into a cache, augmented with their labels in mind."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from aia.errors import AIAError
from aia.training.recipe import Recipe
from aia.training.synthetic import LABELS, render_gesture
from aia.video import read_frames, sample_indices

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """One labelled clip.

    Attributes:
        file: The video, or None for a rendered clip.
        kind: Its class in the data.
        scene: Where it was filmed; may be empty.
        split: "train", "test", ...
        seed: Of a rendered clip.
        still: Whether only one of its frames is used, with a camera's movement at most; see `Recipe.negatives`.
    """

    file: Path | None
    kind: str
    scene: str = ""
    split: str = "train"
    seed: int = 0
    still: bool = False


def read_manifest(folder: Path) -> list[Sample]:
    """Reads the labels of a data folder.

    Args:
        folder: Holds one csv with the columns file, label, split and (optional) scene; the videos lie beside the csv or
            in a folder of its name.

    Raises:
        AIAError: No csv, several, a missing column or a missing video.
    """
    tables = sorted(folder.glob("*.csv"))
    if len(tables) != 1:
        raise AIAError(
            f"{folder.name} holds {len(tables)} csv files; it must hold one with the columns file, label, split."
        )
    with tables[0].open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"file", "label", "split"} <= set(rows[0]):
        raise AIAError(f"{tables[0].name} needs the columns file, label and split.")
    videos = folder / tables[0].stem if (folder / tables[0].stem).is_dir() else folder
    samples = [Sample(videos / r["file"], r["label"], r.get("scene") or "", r["split"]) for r in rows]
    missing = next((s.file.name for s in samples if not s.file.is_file()), None)
    if missing:
        raise AIAError(f"{tables[0].name} names {missing}, which is not there.")
    return samples


def split_samples(samples: Sequence[Sample], recipe: Recipe) -> tuple[list[Sample], list[Sample]]:
    """The clips to train on and the held-out ones: the classes of the recipe, from the splits train and background."""
    known = [s for s in samples if s.kind in recipe.classes and s.split in ("train", "background")]
    held = [s for s in known if s.scene in recipe.holdout or s.file.name in recipe.holdout]
    return [s for s in known if s not in held], held


def load_frames(sample: Sample, recipe: Recipe, cache: Path) -> np.ndarray:
    """The frames of a clip, uint8 `[N, side, side, 3]`, from the cache, or decoded or drawn into it."""
    side, most = recipe.cache_side, recipe.cache_frames
    if sample.file is None:
        key = f"rendered-{sample.kind}-{sample.seed}"
    else:
        key = f"{sample.file.stem}-{sample.file.stat().st_size}-{sample.file.stat().st_mtime_ns}"
    path = cache / f"{hashlib.sha1(f'{key}-{side}-{most}'.encode()).hexdigest()}.npy"
    if not path.is_file():
        if sample.file is None:
            label = recipe.classes[sample.kind]
            frames = render_gesture(
                label, sample.seed, height=side, width=side * 4 // 3, fps=None, indices=_sparse
            ).frames
        else:
            frames = read_frames(sample.file, max_side=max(320, side)).frames
            frames = frames[np.unique(sample_indices(len(frames), most))]
        frames = np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames])
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npy")
        np.save(part, frames)
        part.replace(path)  # a run killed while it writes leaves no half clip behind
    return np.load(path, mmap_mode="r")


def _sparse(count: int) -> list[int]:
    """24 frames are enough to sample 8 from, and a third of the drawing."""
    return sorted(set(sample_indices(count, 24)))


def rendered_pool(recipe: Recipe) -> list[Sample]:
    """The rendered clips of a recipe, classes in turn; only labels that the renderer can draw."""
    kinds = [kind for kind, label in recipe.classes.items() if label in LABELS]
    return [Sample(None, kinds[i % len(kinds)], seed=i) for i in range(recipe.rendered_pool)]


class ClipDataset(Dataset):
    """Augmented training clips; the same (seed, epoch, place) gives the same clip.

    Each item is `(x, y)`: x float32 `[T, 3, S, S]`, normalised; y the index of the label, after mirroring and reversal.
    """

    def __init__(self, samples: Sequence[Sample], recipe: Recipe, cache: Path, epoch: int) -> None:
        self.samples, self.recipe, self.cache, self.epoch = samples, recipe, cache, epoch
        self.kinds = list(recipe.classes)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        """Draws the clip at `place` of this epoch."""
        rng = np.random.default_rng((self.recipe.seed, self.epoch, place))
        sample, config = self.samples[place], self.recipe.config
        frames = load_frames(sample, self.recipe, self.cache)
        if sample.still:
            frames, kind = _motionless(frames, config.num_segments, rng), self.recipe.background
        else:
            frames = frames[_random_indices(len(frames), config.num_segments, rng)]
            frames, kind = _mirror_or_reverse(frames, sample.kind, self.recipe, rng)
        x = _colours(_warp(frames, config.input_size, rng), rng)
        x = (x - np.asarray(config.mean, np.float32)) / np.asarray(config.std, np.float32)
        return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), self.kinds.index(kind)


def _random_indices(count: int, segments: int, rng: np.random.Generator) -> np.ndarray:
    """One random frame in each of equal segments (the published rule), of a clip whose ends may be cut a little."""
    start, stop = (0.0, 1.0) if rng.random() < 0.5 else (rng.uniform(0, 0.06), rng.uniform(0.94, 1))
    within = rng.random(segments) if rng.random() < 0.7 else np.full(segments, 0.5)
    places = start + (stop - start) * (np.arange(segments) + within) / segments
    return np.minimum((places * count).astype(int), count - 1)


def _motionless(frames: np.ndarray, segments: int, rng: np.random.Generator) -> np.ndarray:
    """One frame held still, seen by a camera that pans and zooms, or noise in its place: uint8 `[segments, S, S, 3]`."""
    frame, side = frames[rng.integers(len(frames))], frames.shape[1]
    choice = rng.random()
    if choice < 0.2:  # coarse to fine noise, new in each frame or held
        grain = int(rng.choice([4, 12, 40, side]))
        mean, spread = rng.uniform(40, 215), rng.uniform(10, 90)
        count = segments if rng.random() < 0.5 else 1
        noise = np.clip(rng.normal(mean, spread, (count, grain, grain, 3)), 0, 255).astype(np.uint8)
        return np.stack([cv2.resize(noise[i % count], (side, side)) for i in range(segments)])
    if choice < 0.6:
        return np.repeat(frame[None], segments, axis=0)
    start, stop = rng.uniform(-0.12, 0.12, (2, 2)) * side  # the camera's pan in pixels
    zooms = np.exp(rng.uniform(-0.1, 0.2, 2))
    moved = []
    for share in np.linspace(0, 1, segments):
        zoom = zooms[0] + (zooms[1] - zooms[0]) * share
        shift = start + (stop - start) * share + rng.normal(0, 0.004 * side, 2) + side / 2 * (1 - zoom)
        matrix = np.column_stack([np.eye(2) * zoom, shift])
        moved.append(cv2.warpAffine(frame, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101))
    return np.stack(moved)


def _mirror_or_reverse(
    frames: np.ndarray, kind: str, recipe: Recipe, rng: np.random.Generator
) -> tuple[np.ndarray, str]:
    """Mirrors and reverses where the recipe knows what class comes out."""
    choices = [(kind, 1, 1)]
    choices += [(recipe.flip[kind], 1, -1)] if kind in recipe.flip else []
    choices += [(recipe.reverse[kind], -1, 1)] if kind in recipe.reverse else []
    choices += [(recipe.flip_reverse[kind], -1, -1)] if kind in recipe.flip_reverse else []
    new_kind, time_step, column_step = choices[rng.integers(len(choices))]
    return frames[::time_step, :, ::column_step], new_kind


def _warp(frames: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """One random rotation, scale, stretch and shift for the whole clip: uint8 `[T, size, size, 3]`."""
    side = frames.shape[1]
    angle = np.deg2rad(rng.normal(0, 6))
    zoom = size / side * np.exp(rng.uniform(-0.15, 0.25))
    stretch = np.exp(rng.normal(0, 0.1) * np.array([1, -1]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag(zoom * stretch)
    shift = size / 2 * (1 + rng.uniform(-0.15, 0.15, 2)) - matrix @ np.full(2, side / 2)
    whole = np.column_stack([matrix, shift])
    border = int(rng.choice([cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE]))
    return np.stack([cv2.warpAffine(f, whole, (size, size), flags=cv2.INTER_LINEAR, borderMode=border) for f in frames])


def _colours(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One random exposure, contrast, cast and saturation for the clip, blur and noise: float32 in [0, 1]."""
    tone = np.linspace(0, 1, 256) ** np.exp(rng.normal(0, 0.2))
    tone = (tone - 0.5) * np.exp(rng.normal(0, 0.15)) + 0.5 + rng.normal(0, 0.05)
    x = tone.astype(np.float32)[frames]  # a table: a power of each pixel would take most of the time
    grey = x.mean(axis=3, keepdims=True)
    x = grey + (x - grey) * np.float32(0 if rng.random() < 0.1 else np.exp(rng.normal(0, 0.3)))
    x *= np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)
    if rng.random() < 0.2:
        sigma = rng.uniform(0.4, 1.5)
        x = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in x])
    if rng.random() < 0.3:
        x += rng.standard_normal(x.shape, dtype=np.float32) * np.float32(rng.uniform(0.005, 0.04))
    return np.clip(x, 0, 1, out=x)
