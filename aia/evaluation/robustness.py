"""Measures whether a network gives the same answers when its clips are changed, as another camera or another site would.

The idea is that of ImageNet-C (Hendrycks, Dietterich, ICLR 2019), with changes that a visitor's clip may have, each at one
strength. None of them turns a camera movement, an action or a gesture into another one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F
from tqdm import tqdm

from aia.errors import AIAError
from aia.evaluation.known_clips import split_samples_of
from aia.evaluation.metrics import Floats, Indices, Score, check_seed, intervals, softmax, unanswered
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess
from aia.training.data import groups_of
from aia.training.recipe import Recipe
from aia.training.train import predict
from aia.video.reader import read_clip


def _middle(x: Tensor, height: float, width: float) -> Tensor:
    """The middle of a picture: shares of its height and width."""
    cropped: Tensor = F.center_crop(x, [max(1, round(x.shape[-2] * height)), max(1, round(x.shape[-1] * width))])
    return cropped


def _upright(x: Tensor) -> Tensor:
    return _middle(x, 1.0, min(1.0, x.shape[-2] / x.shape[-1] * 9 / 16))


def _with_bars(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    side = max(height, round(width * 4 / 3))
    padded: Tensor = F.pad(x, [0, (side - height) // 2, 0, side - height - (side - height) // 2])
    return padded


def _blurred(x: Tensor) -> Tensor:
    sigma = 0.015 * min(x.shape[-2:])
    size = 2 * round(3 * sigma) + 1
    blurred: Tensor = F.gaussian_blur(x, [size, size], [sigma, sigma])
    return blurred


def _compressed(x: Tensor) -> Tensor:
    return torch.stack([F.jpeg(frame, 10) for frame in x])


# Of a clip uint8 `[T, 3, H, W]`. The first leaves it as it is.
CHANGES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "as filmed": lambda x: x,
    "nearer: the middle 60 %": lambda x: _middle(x, 0.6, 0.6),
    "upright: the middle 9:16": _upright,
    "black bars above and below, 3:4": _with_bars,
    "tilted by 15°, the middle 70 %": lambda x: _middle(F.rotate(x, 15, F.InterpolationMode.BILINEAR), 0.7, 0.7),
    "dark: gamma 2.2": lambda x: F.adjust_gamma(x, 2.2),
    "pale: contrast 0.4": lambda x: F.adjust_contrast(x, 0.4),
    "gray": lambda x: F.rgb_to_grayscale(x, num_output_channels=3),
    "other colors: hue by a quarter": lambda x: F.adjust_hue(x, 0.25),
    "blurred: 1.5 % of the short side": _blurred,
    "compressed: JPEG quality 10": _compressed,
}


@dataclass(frozen=True)
class Row:
    """One change of the clips.

    Attributes:
        name: In `CHANGES`.
        top1: Share of right answers.
        gain: Its difference from the clips as filmed; negative is worse.
        same: Share of clips with the same answer as filmed.
        refused: Share of clips whose answer is "none of these" or below the model's threshold.
    """

    name: str
    top1: Score
    gain: Score
    same: Score
    refused: Score


@dataclass(frozen=True)
class Robustness:
    """The result of `measure_robustness`.

    Attributes:
        model: The name the network was loaded by.
        title: The network in the paper's words.
        split: Of the clips.
        clips: Their number.
        groups: Groups that they belong to.
        seed: Of the bootstrap.
        rows: The changes; the first is none.
    """

    model: str
    title: str
    split: str
    clips: int
    groups: int
    seed: int
    rows: tuple[Row, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types."""
        return dataclasses.asdict(self)

    def to_markdown(self) -> str:
        """A table."""
        lines = [
            f"{self.title} ({self.model or 'untrained'}): {self.clips} clips of the split {self.split}, of {self.groups} "
            f"groups. 95 % intervals over groups, seed {self.seed}.",
            "",
            "| clips | top-1 | against as filmed | same answer | refused |",
            "|---|---|---|---|---|",
        ]
        for i, row in enumerate(self.rows):
            gain = row.gain.text() if i else ""
            lines.append(f"| {row.name} | {row.top1.text()} | {gain} | {row.same.mean:.3f} | {row.refused.mean:.3f} |")
        return "\n".join(lines)


def measure_robustness(
    model: AIANet, data: str | Path, recipe: Recipe, split: str, *, most: int = 100, seed: int = 0
) -> Robustness:
    """Classifies the clips of a split as they are and with each of `CHANGES`.

    Args:
        model: Any network, in eval mode.
        data: See `read_manifest`.
        recipe: The model's.
        split: See `aia.evaluation.evaluate.evaluate`.
        most: Clips to take, see `pick`.
        seed: Of the bootstrap.

    Raises:
        AIAError: The data cannot be read, the model has other labels than the recipe, the split has no clip, or there is no
            such seed or number of clips.
    """
    check_seed(seed)
    if most < 1:
        raise AIAError(f"Robustness is measured on one clip or more, not {most}.")
    config = model.config
    chosen, recipe = split_samples_of(model, data, recipe, split, most)
    kinds = list(recipe.classes)
    answers = []
    for sample in tqdm(chosen, desc=model.name, unit="clip"):
        with sample.local() as file:
            frames = read_clip(file, config.num_segments, display_name=str(sample.video)).frames
        clip = torch.from_numpy(frames).permute(0, 3, 1, 2)
        changed = [change(clip).permute(0, 2, 3, 1).numpy() for change in CHANGES.values()]
        answers.append(predict(model, torch.cat([preprocess(one, config) for one in changed])).numpy())
    targets = np.array([kinds.index(sample.kind) for sample in chosen])
    groups = groups_of(chosen)
    logits = np.stack(answers)
    rows = [Row(name, *intervals(_figures(logits, targets, config, i), groups, seed)) for i, name in enumerate(CHANGES)]
    return Robustness(model.name, config.title, split, len(chosen), len(set(groups)), seed, tuple(rows))


def _figures(logits: Floats, targets: Indices, config: AIAConfig, change: int) -> Floats:
    """The figures of `Row` for each clip, `[N, 4]`, of logits `[N, changes, classes]`."""
    answers = logits.argmax(2)
    right = (answers == targets[:, None]).astype(float)
    same = answers[:, change] == answers[:, 0]
    none = config.labels.index(config.none_label) if config.none_label else -1
    refused = unanswered(softmax(logits[:, change], config.temperature), config.threshold, none)
    return np.column_stack((right[:, change], right[:, change] - right[:, 0], same, refused))
