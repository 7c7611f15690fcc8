"""Clips to train on: labelled by a csv or by their folders, decoded or drawn, kept in a cache."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from aia import files
from aia.errors import AIAError
from aia.modeling.preprocess import preprocess, resized_size
from aia.synthetic.gestures import LABELS, render_gesture
from aia.text_files import read_labels, read_lines, read_table
from aia.training.augment import (
    colours,
    loose_indices,
    mirror_or_reverse,
    multi_scale_crop,
    segment_indices,
    warp_clip,
    without_gesture,
)
from aia.training.recipe import Recipe
from aia.video.clip import sample_indices
from aia.video.reader import read_clip, read_frames

log = logging.getLogger(__name__)

LABELS_FILE = "labels.txt"
# endings of the files that are looked for in the folders of classes
VIDEOS = (
    ".3gp",
    ".asf",
    ".avi",
    ".flv",
    ".gif",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".ts",
    ".webm",
    ".wmv",
)
TRAIN_SPLITS, HELD_OUT_SPLITS = ("train", "background"), ("val", "validation")
SPLITS = ("train", *HELD_OUT_SPLITS, "test")  # as folders
UNUSED_SPLITS = ("exclude", "unknown")  # in a table: left out on purpose
OTHER_NAMES = {"training": "train", "dev": "val", "valid": "val", "testing": "test"}  # of splits in a table


@dataclass(frozen=True)
class Sample:
    """One labelled clip.

    Attributes:
        file: The video, or None for a rendered clip.
        kind: Its class in the data.
        scene: Where it was filmed; may be empty.
        split: "train", "val", "test", ...
        seed: Of a rendered clip.
        still: Whether only one of its frames is used, for a clip without a gesture; see `Recipe.negatives`.
        path: Recorded fingertip that a rendered clip follows, as `render_gesture` takes it; None for an invented one.
    """

    file: Path | None
    kind: str
    scene: str = ""
    split: str = "train"
    seed: int = 0
    still: bool = False
    path: np.ndarray | None = field(default=None, compare=False)


def read_manifest(folder: Path) -> list[Sample]:
    """Reads the clips and labels of a data folder.

    Args:
        folder: Either holds one csv (see `read_table`) with the columns file, label, split and (optional) scene, and the
            videos beside it or in a folder of its name; or the videos of each class lie in a folder named after it,
            `CLASS/...` or `SPLIT/CLASS/...` with the splits train, val (or validation) and test.

    Raises:
        AIAError: Neither, several csv files, a table that cannot be read or a missing video.
    """
    # Hidden files are locks and notes of a spreadsheet program or of macOS.
    tables = sorted(path for path in folder.glob("*.[cCtT][sS][vV]") if not path.name.startswith((".", "~")))
    if len(tables) > 1:
        raise AIAError(f"{folder} holds {len(tables)} csv files; it must hold one, or none and a folder a class.")
    samples = _from_table(tables[0]) if tables else _from_folders(folder)
    if not samples:
        raise AIAError(f"{folder} holds neither a csv (file, label, split) nor videos in a folder for each class.")
    return samples


def _from_table(table: Path) -> list[Sample]:
    videos = table.with_suffix("") if table.with_suffix("").is_dir() else table.parent
    samples, unused = [], {}
    for line, row in read_table(table, ("file", "label", "split"), ("scene",)):
        split = OTHER_NAMES.get(row["split"].lower(), row["split"].lower())
        if not row["label"]:
            unused.setdefault("without a label", []).append(line)
            continue
        if split not in (*SPLITS, *TRAIN_SPLITS, *UNUSED_SPLITS):
            unused.setdefault(f"of the split {row['split'][:40]!r}", []).append(line)
        samples.append(Sample(_video(videos, row["file"], table, line), row["label"], row["scene"], split))
    for what, lines in unused.items():
        log.warning("%s: clips %s are not trained on: line %d, %d in all.", table, what, lines[0], len(lines))
    return samples


def _video(folder: Path, name: str, table: Path, line: int) -> Path:
    """The file that a table names, with any system's separators and accents composed or not."""
    spellings = [spelling for path in (name, name.replace("\\", "/")) for spelling in _spellings(path)]
    found = next((folder / path for path in spellings if name and os.path.isfile(folder / path)), None)  # noqa: PTH113
    if found is None:
        named = f"names {name[:200]!r}, which is not there" if name else "names no file"
        raise AIAError(f"Line {line} of {table} {named}; give paths from {folder}, or whole ones.")
    return found


def _spellings(path: str) -> tuple[str, ...]:
    return path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD"))


def _from_folders(folder: Path) -> list[Sample]:
    splits = [split for split in SPLITS if (folder / split).is_dir()]
    tops = [(folder / split, split) for split in splits] or [(folder, "train")]
    return [
        Sample(video, kind.name, split=split)
        for top, split in tops
        for kind in _sorted_folders(top)
        for video in sorted(kind.rglob("*"))
        if video.suffix.lower() in VIDEOS and not video.name.startswith(".")
    ]


def _sorted_folders(folder: Path) -> list[Path]:
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in inside if path.is_dir() and not path.name.startswith(".")]


def class_order(folder: Path, samples: Sequence[Sample]) -> list[str]:
    """The classes of a data folder in the order of the logits: that of its labels.txt, else of the alphabet.

    Raises:
        AIAError: labels.txt has a label twice, or lacks one.
    """
    found = sorted({s.kind for s in samples})
    path = folder / LABELS_FILE
    if not path.is_file():
        return found
    labels = read_lines(path)
    if not set(found) <= set(labels):
        labels = list(read_labels(path))
    lacking = next((kind for kind in found if kind not in labels), None)
    if lacking is not None or len(set(labels)) < len(labels):
        raise AIAError(
            f"{LABELS_FILE} must have every class of the data once, one a line"
            + (f"; it lacks {lacking!r}." if lacking is not None else ".")
        )
    return labels


def split_samples(samples: Sequence[Sample], recipe: Recipe) -> tuple[list[Sample], list[Sample]]:
    """The clips to train on and the held-out ones, of the recipe's classes.

    Trained on are the splits train and background; held out of them is what the recipe's `holdout` names, and all of the
    split val (or validation).
    """
    training, held = [], []
    for sample in samples:
        if sample.kind not in recipe.classes:
            continue
        named = sample.scene in recipe.holdout or sample.file.name in recipe.holdout
        if sample.split in HELD_OUT_SPLITS or (named and sample.split in TRAIN_SPLITS):
            held.append(sample)
        elif sample.split in TRAIN_SPLITS:
            training.append(sample)
    return training, held


def load_frames(sample: Sample, recipe: Recipe, cache: Path) -> np.ndarray:
    """The frames of a clip, uint8 `[N, H, W, 3]`: from the cache, decoded or drawn into it, or without one.

    H and W are the recipe's `cache_side`, and with augment "published" the network's own `resize`.
    """
    side, most = recipe.cache_side, recipe.cache_frames
    if not most:
        return _pictures(sample, recipe)
    if sample.file is None:
        key = f"rendered-{sample.kind}-{sample.seed}"
        key += "" if sample.path is None else f"-{hashlib.sha1(sample.path.tobytes()).hexdigest()}"
    else:
        file = sample.file
        key = f"{file.parent.name}-{file.stem}-{file.stat().st_size}-{file.stat().st_mtime_ns}"
    size = side if recipe.augment == "warp" else f"published-{recipe.config.resize}"
    path = cache / f"{hashlib.sha1(f'{key}-{size}-{most}'.encode()).hexdigest()}.npy"
    if not path.is_file():
        frames = _pictures(sample, recipe)
        content = io.BytesIO()  # NumPy would not notice that the end of a file found no space
        np.save(content, frames)
        with files.writing_into(cache) as part:
            (part / path.name).write_bytes(content.getbuffer())
    return np.load(path, mmap_mode="r")


def _pictures(sample: Sample, recipe: Recipe) -> np.ndarray:
    """Decodes or draws a clip at the size that `load_frames` promises."""
    warp, side, most = recipe.augment == "warp", recipe.cache_side, recipe.cache_frames
    config = recipe.config
    if sample.file is None:
        label = recipe.classes[sample.kind]
        height = side if warp else resized_size(3, 4, config)[0]
        frames = render_gesture(
            label, sample.seed, height=height, width=height * 4 // 3, fps=None, path=sample.path, indices=_sparse
        ).frames
    else:  # no larger than it takes: twice the longer side is enough for any usual aspect
        frames = read_frames(
            sample.file,
            max_side=max(320, side if warp else 2 * max(resized_size(3, 4, config))),
            display_name=str(sample.file),
        ).frames
        frames = frames[np.unique(sample_indices(len(frames), most))] if most else frames
    height, width = (side, side) if warp else resized_size(*frames.shape[1:3], config)
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


def _sparse(count: int) -> list[int]:
    """24 frames are enough to sample 8 from, and a third of the drawing."""
    return sorted(set(sample_indices(count, 24)))


def rendered_pool(recipe: Recipe, data: Path) -> list[Sample]:
    """The rendered clips of a recipe, classes in turn; only labels that the renderer can draw.

    Args:
        recipe: Says how many, and which share follows recorded paths.
        data: Folder that may hold such paths; see `recorded_paths`.

    Raises:
        AIAError: It can draw none of them, or the recipe wants recorded paths and there are none.
    """
    kinds = [kind for kind, label in recipe.classes.items() if label in LABELS]
    if recipe.rendered_pool and not kinds:
        raise AIAError("None of the recipe's labels can be drawn; set its rendered_pool to 0.")
    recorded, pool = recorded_paths(data) if recipe.recorded else {}, []
    for seed in range(recipe.rendered_pool):
        kind, rng = kinds[seed % len(kinds)], np.random.default_rng(seed)
        paths = recorded.get(kind, []) if rng.random() < recipe.recorded else []
        pool.append(Sample(None, kind, seed=seed, path=paths[rng.integers(len(paths))] if len(paths) else None))
    return pool


def recorded_paths(data: Path) -> dict[str, np.ndarray]:
    """Finger paths that people drew: class -> `[N, K, 2]`, fractions of the frame.

    Args:
        data: Holds one `*_trajectories.npz` with train_xy `[N, K, 2]`, pixels of a 640 x 480 frame, and train_label `[N]`, as
            EgoGestAR's.

    Raises:
        AIAError: There is none, or it holds something else.
    """
    files = sorted(data.glob("*_trajectories.npz"))
    try:
        with np.load(files[0], allow_pickle=False) as file:
            xy, labels = file["train_xy"] / np.float32((640, 480)), file["train_label"]
        return {str(kind): xy[labels == kind] for kind in np.unique(labels)}
    except (IndexError, KeyError, OSError, ValueError):
        raise AIAError(
            f"{data} holds no readable *_trajectories.npz of recorded paths; set the recipe's recorded to 0."
        ) from None


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
        sample, config, warp = self.samples[place], self.recipe.config, self.recipe.augment == "warp"
        frames = load_frames(sample, self.recipe, self.cache)
        if sample.still:
            frames, kind = without_gesture(frames, config.num_segments, rng), self.recipe.background
        else:
            pick = loose_indices if warp else segment_indices
            frames = frames[pick(len(frames), config.num_segments, rng)]
            frames, kind = mirror_or_reverse(frames, sample.kind, self.recipe, rng)
        if warp:
            x = colours(warp_clip(frames, config.input_size, rng), rng)
        else:
            x = multi_scale_crop(frames, config.input_size, rng).astype(np.float32) / 255
        x = (x - np.asarray(config.mean, np.float32)) / np.asarray(config.std, np.float32)
        return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), self.kinds.index(kind)


class PlainDataset(Dataset):
    """Clips as the network sees them when it is used: `(x, y)`, x float32 `[T, 3, S, S]`, y the index of the label."""

    def __init__(self, samples: Sequence[Sample], recipe: Recipe) -> None:
        self.samples, self.config, self.kinds = samples, recipe.config, list(recipe.classes)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        """Reads the clip at `place`."""
        sample = self.samples[place]
        frames = read_clip(sample.file, self.config.num_segments, display_name=str(sample.file)).frames
        return preprocess(frames, self.config)[0], self.kinds.index(sample.kind)
