"""Ranks the blocks by how much a prediction changes when a block's gates are switched off."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from aia.errors import AIAError
from aia.inspection.inspection import clip_for, probabilities
from aia.modeling import recording
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess
from aia.modeling.recording import Switch
from aia.video.clip import Clip

RankingMode = Literal["mean", "identity", "shuffle"]
MODES: tuple[RankingMode, ...] = get_args(RankingMode)
MAX_FRAMES = 160  # frames of all clips in one forward pass


@dataclass(frozen=True, eq=False)
class BlockEffect:
    """The prediction with one block's gates switched off.

    Attributes:
        block: The block, such as "layer1.0".
        logits: float32 `[classes]`.
        logit_delta: Change of the logit of the ranking's label; negative if the gates favor the label.
        probability: Probability of the ranking's label.
        label: The label with the largest logit.
    """

    block: str
    logits: np.ndarray
    logit_delta: float
    probability: float
    label: str

    def __repr__(self) -> str:
        return (
            f"BlockEffect({self.block!r}, logit {self.logit_delta:+.3f}, probability {self.probability:.1%}, "
            f"label {self.label!r:.80})"
        )

    @property
    def change(self) -> float:
        """The old name of `logit_delta`."""
        warnings.warn("Use logit_delta.", DeprecationWarning, stacklevel=2)
        return self.logit_delta

    @property
    def answer(self) -> str:
        """The old name of `label`."""
        warnings.warn("Use label.", DeprecationWarning, stacklevel=2)
        return self.label


@dataclass(frozen=True, eq=False)
class Ranking:
    """Which block's gates matter most for one prediction.

    Attributes:
        label: The label whose logit is compared.
        mode: What the gates were switched to, one of `MODES`.
        logits: Logits with the gates as trained, float32 `[classes]`.
        effects: One for each block, sorted by the size of the change, the largest first.
    """

    label: str
    mode: RankingMode
    logits: np.ndarray
    effects: tuple[BlockEffect, ...]

    def __repr__(self) -> str:
        first = self.effects[0]
        return (
            f"Ranking({self.label!r:.80}, {self.mode!r}, {len(self.effects)} blocks, "
            f"first {first.block!r} {first.logit_delta:+.3f})"
        )


def rank_blocks(
    model: AIANet, clip: Clip | str | os.PathLike[str], *, mode: RankingMode = "mean", label: str | None = None
) -> Ranking:
    """Switches each block's gates off in turn and ranks the blocks. Safe to call from several threads on one model.

    Every forward pass also holds the clip with its gates as trained, so that no change is mere rounding.

    Args:
        model: From `aia.load`, with AIA.
        clip: From `aia.read_clip`, of at most `MAX_FRAMES` / 2 frames; or the path of a video.
        mode: What all gates of a block are switched to, one of `MODES`; see `aia.Switch`.
        label: The label whose logit is compared; the predicted one by default.

    Raises:
        AIAError: The model has no gates, the mode or label does not exist, the video cannot be read or is too narrow for the
            model, the clip has too many frames, or logits are not finite.

    Example:
        >>> import aia
        >>> model = aia.load("tsm-mobilenetv2-cinst", device="cpu")
        >>> ranking = aia.rank_blocks(model, "assets/examples/circle.mp4")
        >>> ranking.label, len(ranking.effects)
        ('circle (counter-clockwise)', 17)
    """
    labels, blocks = model.config.labels, model.block_names
    if not blocks:
        raise AIAError("This model has no gates to switch off; choose one with AIA, such as CinST or STinC.")
    if mode not in MODES:
        raise AIAError(f"Blocks can be ranked by {', '.join(MODES)}, not {mode!r:.60}.")
    if label is not None and label not in labels:
        raise AIAError(f"This model has no label {label!r:.60}; choose one that it has, such as {labels[0]!r}.")
    clip = clip_for(model, clip)
    if 2 * len(clip.frames) > MAX_FRAMES:
        raise AIAError(f"Blocks can be ranked on at most {MAX_FRAMES // 2} frames, not {len(clip.frames)}; read fewer.")

    x = preprocess(clip.frames, model.config).to(model.device)
    pairs = logits_switched(model, x, [(Switch(mode, block),) for block in blocks])
    logits = pairs[0][0]
    probabilities(model, logits)  # refuses numbers that are not finite
    index = int(logits.argmax()) if label is None else labels.index(label)
    effects = [
        BlockEffect(
            block=block,
            logits=switched.numpy(),
            logit_delta=float(switched[index] - trained[index]),
            probability=float(probabilities(model, switched)[index]),
            label=labels[int(switched.argmax())],
        )
        for block, (trained, switched) in zip(blocks, pairs, strict=True)
    ]
    effects.sort(key=lambda effect: -abs(effect.logit_delta))
    return Ranking(labels[index], mode, logits.numpy(), tuple(effects))


def logits_switched(model: AIANet, x: Tensor, settings: Sequence[Sequence[Switch]]) -> list[tuple[Tensor, Tensor]]:
    """Logits of one clip under many settings of its gates, several in one forward pass of at most `MAX_FRAMES` frames.

    Args:
        model: With AIA.
        x: The clip, `[1, T, 3, H, W]`, on the model's device.
        settings: The switches of each.

    Returns:
        For each setting the logits `[classes]` with the gates as trained, from the same forward pass, and with them switched.
    """
    size = max(1, MAX_FRAMES // x.shape[1] - 1)  # settings in one pass, which also holds the clip as trained
    pairs = []
    for start in range(0, len(settings), size):
        trained, *switched = _logits(model, x, [(), *settings[start : start + size]])
        pairs += [(trained, logits) for logits in switched]
    return pairs


@torch.inference_mode()
def _logits(model: AIANet, x: Tensor, per_clip: Sequence[Sequence[Switch]]) -> Tensor:
    """Logits `[N, classes]` on the CPU of one clip `[1, T, 3, H, W]` under each of N settings of the switches."""
    with recording.recording(per_clip=per_clip):
        logits: Tensor = model(x.expand(len(per_clip), *x.shape[1:]))
    return logits.float().cpu()
