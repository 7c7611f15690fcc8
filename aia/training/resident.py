"""Epochs of clips that stay on the device: each step renders, cuts and colors its batch where the network is.

For recipes with the augment "camera" or "actions". A loader on the CPU cannot keep up with a small network on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from aia.datasets.places import TRAIN_SPLITS, VIDEOS, data_set
from aia.errors import AIAError
from aia.training.action_batches import ActionBatches
from aia.training.bank import Bank
from aia.training.camera import LABELS
from aia.training.camera_batches import CameraBatches, Window, labeled_windows
from aia.training.camera_tracks import camera_steps
from aia.training.data import Sample, groups_of, is_held_out
from aia.training.recipe import Recipe
from aia.video.reader import read_frames

FRAMES_PER_SECOND = 6.0  # kept of a clip
CLIP_SIZE, STILL_SIZE = (160, 214), (240, 320)  # height and width of the frames that are kept
SMALL, SMALL_SHARE = 0.75, 0.5  # the first half of the epochs sees smaller frames: quicker, and other sizes of objects
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, eq=False)
class ResidentClips:
    """Everything that epochs are made of, on one device.

    Attributes:
        recipe: With the augment "camera" or "actions".
        clips: The training clips.
        stills: Pictures to render movement over; a clip of one frame each.
        labels: Index of each clip's label, for "actions".
        windows: Parts of each clip whose movement is plain, for "camera".
        scenes: Of each clip.
    """

    recipe: Recipe
    clips: Bank
    stills: Bank | None
    labels: tuple[int, ...]
    windows: tuple[list[Window], ...]
    scenes: tuple[str, ...]

    @classmethod
    def read(
        cls,
        samples: Sequence[Sample],
        recipe: Recipe,
        data: str | Path,
        device: torch.device,
        *,
        held_out: bool = False,
    ) -> ResidentClips:
        """Decodes the training clips of a data folder and, for "camera", measures how the camera moves in them.

        Args:
            samples: Of the folder, with those without a label; see `read_manifest`.
            recipe: Its `holdout` and the splits say what is trained on.
            data: As for `read_manifest`. Movement is rendered over the pictures in the folder `stills` of a local folder, if
                there is one, otherwise over the clips' own frames.
            device: To keep the frames on.
            held_out: Whether to read what the recipe holds out instead.

        Raises:
            AIAError: No clip is left to train on, or one cannot be read.
        """
        camera = recipe.augment == "camera"
        if camera and tuple(recipe.classes.values()) != LABELS:
            raise AIAError(f"A recipe of camera movement has these classes, in this order: {', '.join(LABELS)}.")
        chosen = [
            s
            for s in samples
            if s.split in TRAIN_SPLITS and is_held_out(s, recipe) == held_out and (camera or s.kind in recipe.classes)
        ]
        if not chosen:
            raise AIAError(f"{data} holds no clip that the recipe {'holds out' if held_out else 'trains on'}.")
        frames = [_frames(sample) for sample in tqdm(chosen, desc="clips", unit="clip", mininterval=5)]
        kinds = list(recipe.classes)
        stills: list[NDArray[np.uint8]] = []
        windows: tuple[list[Window], ...] = ()
        if camera:
            stills = _stills(data, samples, recipe, held_out)
            stills = stills or [_resized(clip[len(clip) // 2], STILL_SIZE)[None] for clip in frames]
            windows = tuple(labeled_windows(camera_steps(_gray(clip))) for clip in frames)
        return cls(
            recipe,
            Bank.of(frames, device),
            Bank.of(stills, device) if camera else None,
            () if camera else tuple(kinds.index(sample.kind) for sample in chosen),
            windows,
            groups_of(chosen),
        )

    def epoch(self, epoch: int, rank: int, processes: int) -> Epoch:
        """The batches of an epoch, this process's share of them."""
        recipe, config = self.recipe, self.recipe.config
        early = epoch < SMALL_SHARE * recipe.epochs
        size = max(32, int(config.input_size * SMALL) // 16 * 16) if early else config.input_size
        common = {"size": size, "frames": config.num_segments, "seed": (recipe.seed * 1009 + epoch) * 64 + rank}
        make: CameraBatches | ActionBatches
        if self.stills is not None:
            make = CameraBatches(self.clips, self.windows, self.scenes, self.stills, **common)
        else:
            make = ActionBatches(self.clips, self.labels, self.scenes, none_label=self._none, **common)
        return Epoch(make, recipe, recipe.batch_size // processes)

    @property
    def _none(self) -> int:
        kinds = list(self.recipe.classes)
        return kinds.index(self.recipe.background) if self.recipe.background else -1


class Epoch:
    """Batches `(x, y)`: x float32 `[B, T, 3, S, S]`, normalized, on the device; y indices of labels `[B]`."""

    def __init__(self, make: CameraBatches | ActionBatches, recipe: Recipe, batch_size: int) -> None:
        self.make, self.recipe, self.batch_size = make, recipe, batch_size

    def __len__(self) -> int:
        return self.recipe.clips_per_epoch // self.recipe.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        config = self.recipe.config
        for _ in range(len(self)):
            x, y = self.make(self.batch_size)
            mean, std = (x.new_tensor(values).view(3, 1, 1) for values in (config.mean, config.std))
            yield (x - mean) / std, y


def _frames(sample: Sample) -> NDArray[np.uint8]:
    """A clip at `FRAMES_PER_SECOND` and `CLIP_SIZE`, `[N, H, W, 3]`."""
    with sample.local() as file:
        clip = read_frames(file, max_side=max(STILL_SIZE), display_name=str(sample.video))
    count = max(1, round(clip.duration * FRAMES_PER_SECOND)) if clip.duration else len(clip.frames)
    chosen = np.linspace(0, len(clip.frames) - 1, min(count, len(clip.frames))).round().astype(int)
    return np.stack([_resized(clip.frames[index], CLIP_SIZE) for index in chosen])


def _gray(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in clip])


def _stills(data: str | Path, samples: Sequence[Sample], recipe: Recipe, held_out: bool) -> list[NDArray[np.uint8]]:
    """The pictures in the folder `stills` to train on, or those that the recipe holds out, by the scenes in their names."""
    kept = {Path(name).stem if name.lower().endswith(VIDEOS) else name for name in recipe.holdout}
    if not held_out:
        kept |= {s.scene or s.video.stem for s in samples if s.split not in TRAIN_SPLITS}
    found = []
    folder = data_set(data)
    for path in sorted(folder.glob("stills/*")) if isinstance(folder, Path) else ():
        if path.suffix.lower() in PICTURES and held_out == any(_scene_in(scene, path.stem) for scene in kept):
            picture = cv2.imread(str(path))
            if picture is not None:
                found.append(_resized(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), STILL_SIZE)[None])
    return found


def _scene_in(scene: str, name: str) -> bool:
    scene, name = (f"_{text.replace('-', '_')}_" for text in (scene, name))
    return scene != "__" and scene in name


def _resized(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    if picture.shape[:2] == size:
        return np.asarray(picture, np.uint8)
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
