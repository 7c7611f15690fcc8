"""Clips to train on: labeled by a csv or by their folders, decoded or drawn, kept in a cache."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from aia import files
from aia.datasets import shards
from aia.datasets.listing import LABELS_FILE, TABLES, labels_beside, list_clips, spellings
from aia.datasets.places import (
    HELD_OUT_SPLITS,
    OTHER_NAMES,
    SPLITS,
    TRAIN_SPLITS,
    VIDEOS,
    Item,
    data_set,
    is_local,
    local_file,
    split_folders,
)
from aia.errors import AIAError
from aia.modeling.config import AIAConfig
from aia.modeling.preprocess import preprocess, resized_size
from aia.synthetic.gestures import LABELS, render_gesture
from aia.text_files import read_labels, read_lines, read_table
from aia.training.augment import (
    jitter_color,
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

Frames: TypeAlias = NDArray[np.uint8]  # [N, H, W, 3]

UNUSED_SPLITS = ("exclude", "unknown")  # in a table: left out on purpose
GROUPS = ("scene", "group")  # columns of a table, or keys in a shard, that may have `Sample.scene`


@dataclass(frozen=True)
class Sample:
    """One labeled clip.

    Attributes:
        file: The video; None for a drawn clip. If there is an item, only its name; see `local`.
        kind: Its class in the data.
        scene: Where it was filmed, or another group of clips that are alike; may be empty.
        split: "train", "val", "test", ...
        seed: Of a drawn clip.
        still: Whether only one of its frames is used, for a clip without a gesture; see `Recipe.negatives`.
        path: Recorded fingertip that a drawn clip follows, as `render_gesture` takes it; None for an invented one.
        item: Where to read a clip that is not a local file; None for the others.
    """

    file: Path | None
    kind: str
    scene: str = ""
    split: str = "train"
    seed: int = 0
    still: bool = False
    path: NDArray[np.float32] | None = field(default=None, compare=False)
    item: Item | None = None

    @property
    def video(self) -> Path:
        """The file of a clip that is not drawn."""
        assert self.file is not None
        return self.file

    def local(self) -> AbstractContextManager[Path]:
        """The video as a file on this machine, for as long as the block runs."""
        return local_file(self.item) if self.item else nullcontext(self.video)


def read_manifest(data: str | Path, *, unlabeled: bool = False) -> list[Sample]:
    """Reads the clips and labels of a data set.

    Args:
        unlabeled: Whether to include the clips of a table that have no label; their kind is "".
        data: A folder with one csv (see `read_table`) with the columns file, label, split and, if it has one, scene or group
            (the scene if a clip has both), and the videos beside it or in a folder with its name; or a folder of videos for
            each class, `CLASS/...` or `SPLIT/CLASS/...`, with the splits of `aia.datasets.places.split_folders`. Or shards,
            a table, a pattern or the address of any of these; see `aia.datasets.listing.list_clips`.

    Raises:
        AIAError: Nothing is there, there are several csv files, the table cannot be read, or a video is missing.
    """
    data = data_set(data)
    if isinstance(data, Path) and data.is_dir():
        return _from_folder(data, unlabeled)
    if isinstance(data, Path) and data.suffix.lower() in TABLES and data.is_file():
        return _from_table(data, unlabeled)
    return _from_listing(data, unlabeled)


def _from_listing(data: str | Path, unlabeled: bool) -> list[Sample]:
    """If no clip has a split, all are trained on."""
    items = list_clips(data, groups=GROUPS)
    default = "" if any(item.split for item in items) else "train"
    samples = []
    unused: Counter[str] = Counter()  # reason -> clips
    for item in items:
        file = Path(item.address if is_local(item) else item.path)
        if is_local(item) and not os.path.isfile(file):  # noqa: PTH113  to Path, a long name is an error
            raise AIAError(f"{data} names {item.path[:200]!r}, {_lost(file)}; give paths from {file.parent}.")
        split = item.split or default
        if not item.label and not unlabeled:
            unused["without a label"] += 1
            continue
        if split not in (*SPLITS, *TRAIN_SPLITS, *UNUSED_SPLITS):
            unused[f"of the split {split[:40]!r}"] += 1
        elsewhere = None if is_local(item) else item
        samples.append(Sample(file, item.label or "", item.group or "", split, item=elsewhere))
    for reason, count in unused.items():
        log.warning("%s: clips %s are not trained on: %d in all.", data, reason, count)
    if not samples:
        raise AIAError(
            f"{data} has no clip with a label; put the clips of each class into a folder, or name it in a table."
        )
    return samples


def _from_folder(folder: Path, unlabeled: bool) -> list[Sample]:
    # Hidden files are locks and notes of a spreadsheet program or of macOS.
    tables = sorted(path for path in folder.glob("*.[cCtT][sS][vV]") if not path.name.startswith((".", "~")))
    if len(tables) > 1:
        raise AIAError(
            f"{folder} holds {len(tables)} csv files; it must hold one, or none and a folder for each class."
        )
    samples = _from_table(tables[0], unlabeled) if tables else _from_folders(folder)
    if not samples and any(any(folder.glob(pattern + shards.ENDING)) for pattern in ("*", "*/*")):
        return _from_listing(folder, unlabeled)
    if not samples:
        raise AIAError(f"{folder} holds neither a csv (file, label, split) nor videos in a folder for each class.")
    return samples


def _from_table(table: Path, unlabeled: bool) -> list[Sample]:
    videos = table.with_suffix("") if table.with_suffix("").is_dir() else table.parent
    samples: dict[Path, Sample] = {}
    unused: dict[str, list[int]] = {}  # reason -> lines
    for line, row in read_table(table, ("file", "label", "split"), GROUPS):
        split = OTHER_NAMES.get(row["split"].lower(), row["split"].lower())
        if not row["label"] and not unlabeled:
            unused.setdefault("without a label", []).append(line)
            continue
        if split not in (*SPLITS, *TRAIN_SPLITS, *UNUSED_SPLITS):
            unused.setdefault(f"of the split {row['split'][:40]!r}", []).append(line)
        name = row["file"]
        item = Item(name, name) if "://" in name else None  # an address is taken as `list_clips` takes it
        file = Path(name) if item else _video(videos, name, table, line)
        scene = next((row[column] for column in GROUPS if row[column]), "")
        sample = Sample(file, row["label"], scene, split, item=item)
        if samples.setdefault(sample.video, sample) != sample:
            raise AIAError(
                f"Line {line} of {table} names {row['file'][:200]!r} again with another label, split or scene; keep one."
            )
    for reason, lines in unused.items():
        log.warning("%s: clips %s are not trained on: line %d, %d in all.", table, reason, lines[0], len(lines))
    if not samples:
        raise AIAError(f"{table} has no clip with a label; write one into each row.")
    return list(samples.values())


def _video(folder: Path, name: str, table: Path, line: int) -> Path:
    """The file that a table names, with the separators of any system, and accents composed or not."""
    paths = [spelling for path in (name, name.replace("\\", "/")) for spelling in spellings(path)]
    video = next((folder / path for path in paths if name and os.path.isfile(folder / path)), None)  # noqa: PTH113
    if video is None:
        named = f"names {name[:200]!r}, {_lost(*(folder / path for path in paths))}" if name else "names no file"
        raise AIAError(f"Line {line} of {table} {named}; give paths from {folder}, or absolute ones.")
    return video


def _lost(*paths: Path) -> str:
    """Why none of the spellings of a path is a file."""
    return "which is a folder" if any(map(os.path.isdir, paths)) else "which is not there"


def _from_folders(folder: Path) -> list[Sample]:
    filled = [top.name for top in _sorted_folders(folder) if any(map(_videos, (top, *_sorted_folders(top))))]
    splits = split_folders(filled)
    tops = [(folder / name, splits[name]) for name in sorted(splits, key=lambda name: SPLITS.index(splits[name]))]
    others = [name for name in filled if splits and name not in splits]
    samples = [
        Sample(video, kind.name, split=split)
        for top, split in tops or [(folder, "train")]
        for kind in _sorted_folders(top)
        for video in _videos(kind)
    ]
    if others and not samples:
        raise AIAError(
            f"{folder} holds {others[0][:80]!r} beside {tops[0][0].name!r}, which is the name of a split; put the clips of all "
            "classes into SPLIT/CLASS/, or rename the class."
        )
    if others:
        log.warning("%s: folders beside those of the splits are ignored, such as %r.", folder, others[0][:80])
    return samples


def _videos(folder: Path) -> list[Path]:
    inside = sorted(folder.rglob("*"))
    return [path for path in inside if path.suffix.lower() in VIDEOS and not path.name.startswith(".")]


def _sorted_folders(folder: Path) -> list[Path]:
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in inside if path.is_dir() and not path.name.startswith(".")]


def reference_clips(folder: Path, count: int, *, training: bool = True) -> tuple[list[Path], str]:
    """Evenly chosen videos to measure what is typical on, and what they are in a word or two.

    Args:
        folder: As for `read_manifest`; the clips of its training split are taken, those that a recipe holds out among them.
            Or any folder with videos in it.
        count: How many at most.
        training: False for the clips that are not trained on.

    Raises:
        AIAError: The folder has no videos, or its table cannot be read.
    """
    loose = sorted(path for path in folder.glob("*") if path.suffix.lower() in VIDEOS and not path.name.startswith("."))
    is_plain = loose and not any(folder.glob("*.[cCtT][sS][vV]"))
    samples = [] if is_plain else [s for s in read_manifest(folder) if (s.split in TRAIN_SPLITS) == training]
    if any(sample.item for sample in samples):
        raise AIAError(f"The clips of {folder} are in shards or at addresses; give a folder of videos.")
    videos = loose if is_plain else [sample.video for sample in samples]
    chosen = dict.fromkeys(videos[i] for i in sample_indices(len(videos), min(count, len(videos)))) if videos else ()
    return list(chosen), "training clips" if training and not is_plain else "clips"


def class_order(data: str | Path, samples: Sequence[Sample]) -> list[str]:
    """The classes of a data set in the order of the logits: that of its labels.txt, otherwise alphabetical.

    Raises:
        AIAError: labels.txt has a label twice, or lacks one.
    """
    kinds = sorted({sample.kind for sample in samples if sample.split not in UNUSED_SPLITS})
    file = labels_beside(data)
    if file is None:
        return kinds
    labels = read_lines(*file)
    if not set(kinds) <= set(labels):
        labels = list(read_labels(*file))
    lacking = next((kind for kind in kinds if kind not in labels), None)
    if lacking is not None or len(set(labels)) < len(labels):
        raise AIAError(
            f"{LABELS_FILE} must have every class of the data once, one a line"
            + (f"; it lacks {lacking!r}." if lacking is not None else ".")
        )
    return labels


def split_samples(samples: Sequence[Sample], recipe: Recipe) -> tuple[list[Sample], list[Sample]]:
    """The clips to train on and the held-out ones, of the recipe's classes.

    The splits train and background are trained on, except for what the recipe's `holdout` names. That and the split val (or
    validation) are held out.
    """
    known = [sample for sample in samples if sample.kind in recipe.classes]
    held = [sample for sample in known if is_held_out(sample, recipe)]
    return [s for s in known if s.split in TRAIN_SPLITS and not is_held_out(s, recipe)], held


def is_held_out(sample: Sample, recipe: Recipe) -> bool:
    """Whether a recipe keeps a clip of any class from training, to choose the recipe."""
    named = not _names_of(sample).isdisjoint(recipe.holdout)
    return sample.split in HELD_OUT_SPLITS or (named and sample.split in TRAIN_SPLITS)


def _names_of(sample: Sample) -> set[str]:
    """What a recipe's `holdout` may call a clip."""
    file = sample.video.name
    return {sample.scene, file, f"{sample.kind}/{file}"}


def check_holdout(samples: Sequence[Sample], recipe: Recipe) -> None:
    """Warns of a `holdout` that names no clip, since what was meant is then trained on."""
    lost = sorted({*recipe.holdout}.difference(*map(_names_of, samples)))
    if lost:
        log.warning(
            "The recipe holds out what the data does not have: %s%s.",
            ", ".join(repr(name[:80]) for name in lost[:3]),
            f" and {len(lost) - 3} more" * (len(lost) > 3),
        )


def clip_names(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The name of each clip's file, with as many folders before it as tell the clips apart."""
    names = [sample.video.name for sample in samples]
    for depth in range(2, max((len(sample.video.parts) for sample in samples), default=0) + 1):
        counts = Counter(names)
        names = [
            name if counts[name] == 1 else Path(*sample.video.parts[-depth:]).as_posix()
            for name, sample in zip(names, samples, strict=True)
        ]
    return tuple(names)


def groups_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The scene of each clip; a clip without one is a group of its own."""
    return tuple(sample.scene or str(sample.video) for sample in samples)


def load_frames(sample: Sample, recipe: Recipe, cache: Path) -> Frames:
    """The frames of a clip, uint8 `[N, H, W, 3]`, from the cache. A new clip is decoded or drawn, and added to the cache.

    H and W are the recipe's `cache_side`, or with augment "published" the network's own `resize`.
    """
    side, count = recipe.cache_side, recipe.cache_frames
    if not count:
        return _pictures(sample, recipe)
    if sample.file is None:
        key = f"rendered-{recipe.classes[sample.kind]}-{sample.seed}"
        key += "" if sample.path is None else f"-{hashlib.sha1(sample.path.tobytes()).hexdigest()}"
    elif sample.item:  # asking for its size and time would take a request for each clip
        key = f"{sample.item.address}-{sample.item.span}"
    else:
        file = sample.file
        key = f"{file.resolve()}-{file.stat().st_size}-{file.stat().st_mtime_ns}"
    size = side if recipe.augment == "warp" else f"published-{recipe.config.resize}"
    path = cache / f"{hashlib.sha1(f'{key}-{size}-{count}'.encode()).hexdigest()}.npy"
    frames = _kept(path)
    if frames is None:
        content = io.BytesIO()  # NumPy would not notice a full disk at the end of the file
        np.save(content, _pictures(sample, recipe))
        with files.writing_into(cache) as part:
            (part / path.name).write_bytes(content.getbuffer())
        frames = cast(Frames, np.load(path, mmap_mode="r"))
    return frames


def _kept(path: Path) -> Frames | None:
    """A clip in the cache; None if it is not there or damaged."""
    try:
        frames = np.lib.format.open_memmap(path, mode="r")
    except Exception:  # NumPy raises many kinds of errors for a damaged file
        return None
    return frames if frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[-1] == 3 else None


def _pictures(sample: Sample, recipe: Recipe) -> Frames:
    """Decodes or draws a clip at the size of `load_frames`."""
    warp, side, count = recipe.augment == "warp", recipe.cache_side, recipe.cache_frames
    config = recipe.config
    if sample.file is None:
        label = recipe.classes[sample.kind]
        height = side if warp else resized_size(3, 4, config)[0]
        frames = render_gesture(
            label, sample.seed, height=height, width=height * 4 // 3, fps=None, path=sample.path, indices=_sparse
        ).frames
    else:  # decoded small: twice the longer side is enough for any usual aspect
        with sample.local() as file:
            frames = read_frames(
                file,
                max_side=max(320, side if warp else 2 * max(resized_size(3, 4, config))),
                display_name=str(sample.file),
            ).frames
        frames = frames[np.unique(sample_indices(len(frames), count))] if count else frames
    height, width = (side, side) if warp else resized_size(frames.shape[1], frames.shape[2], config)
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


def _sparse(count: int) -> list[int]:
    """24 frames are enough to sample 8 from, and take a third of the time to draw."""
    return sorted(set(sample_indices(count, 24)))


def rendered_pool(recipe: Recipe, data: str | Path) -> list[Sample]:
    """The drawn clips of a recipe, classes in turn, of all labels that can be drawn.

    Args:
        recipe: Sets their number and the share that follows recorded paths.
        data: Folder with such paths; see `recorded_paths`.

    Raises:
        AIAError: No label can be drawn, or the recipe needs recorded paths and there are none.
    """
    kinds = [kind for kind, label in recipe.classes.items() if label in LABELS]
    if recipe.rendered_pool and not kinds:
        raise AIAError("None of the recipe's labels can be drawn; set its rendered_pool to 0.")
    recorded = recorded_paths(data) if recipe.recorded_fraction else {}
    pool: list[Sample] = []
    for seed in range(recipe.rendered_pool):
        kind, rng = kinds[seed % len(kinds)], np.random.default_rng(seed)
        paths = recorded.get(kind) if rng.random() < recipe.recorded_fraction else None
        pool.append(Sample(None, kind, seed=seed, path=None if paths is None else paths[rng.integers(len(paths))]))
    return pool


def recorded_paths(data: str | Path) -> dict[str, NDArray[np.float32]]:
    """Finger paths drawn by people: class -> `[N, K, 2]`, fractions of the frame.

    Args:
        data: Local folder with one `*_trajectories.npz` as in EgoGestAR: train_xy `[N, K, 2]`, pixels of a 640 x 480 frame, and
            train_label `[N]`.

    Raises:
        AIAError: There is none, or its content is different.
    """
    folder = data_set(data)
    archives = sorted(folder.glob("*_trajectories.npz")) if isinstance(folder, Path) else []
    try:
        with np.load(archives[0], allow_pickle=False) as file:
            xy, labels = file["train_xy"] / np.array((640, 480), np.float32), file["train_label"]
        return {str(kind): xy[labels == kind] for kind in np.unique(labels)}
    except (IndexError, KeyError, OSError, ValueError, EOFError, zipfile.BadZipFile):
        raise AIAError(
            f"{data} holds no readable *_trajectories.npz of recorded paths; set the recipe's recorded_fraction to 0."
        ) from None


class ClipDataset(Dataset[tuple[Tensor, int]]):
    """Augmented training clips. The same (seed, epoch, index) gives the same clip.

    Each item is `(x, y)`: x float32 `[T, 3, S, S]`, normalized; y the index of the label, after mirroring and reversal.
    """

    def __init__(self, samples: Sequence[Sample], recipe: Recipe, cache: Path, epoch: int) -> None:
        self.samples, self.recipe, self.cache, self.epoch = samples, recipe, cache, epoch
        self.kinds = list(recipe.classes)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Augments the clip at `index` of this epoch."""
        rng = np.random.default_rng((self.recipe.seed, self.epoch, index))
        sample, config, warp = self.samples[index], self.recipe.config, self.recipe.augment == "warp"
        frames = load_frames(sample, self.recipe, self.cache)
        if sample.still:
            frames, kind = without_gesture(frames, config.num_segments, rng), self.recipe.background
        else:
            pick = loose_indices if warp else segment_indices
            frames = frames[pick(len(frames), config.num_segments, rng)]
            frames, kind = mirror_or_reverse(frames, sample.kind, self.recipe, rng)
        x: NDArray[Any]
        if warp:
            x = jitter_color(warp_clip(frames, config.input_size, rng), rng)
        else:
            x = multi_scale_crop(frames, config.input_size, rng).astype(np.float32) / 255
        x = (x - np.asarray(config.mean, np.float32)) / np.asarray(config.std, np.float32)
        return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), self.kinds.index(kind)


class PlainDataset(Dataset[tuple[Tensor, int]]):
    """Clips as a network sees them in use: `(x, y)`, x float32 `[T, 3, S, S]`, y the index of the label.

    Args:
        samples: Of the recipe's classes.
        recipe: With named classes.
        config: Of the network, whose preprocessing may differ from the recipe's; that of the recipe by default.
    """

    def __init__(self, samples: Sequence[Sample], recipe: Recipe, config: AIAConfig | None = None) -> None:
        self.samples, self.config, self.kinds = samples, config or recipe.config, list(recipe.classes)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Reads the clip at `index`."""
        sample = self.samples[index]
        with sample.local() as file:
            frames = read_clip(file, self.config.num_segments, display_name=str(sample.video)).frames
        return preprocess(frames, self.config)[0], self.kinds.index(sample.kind)
