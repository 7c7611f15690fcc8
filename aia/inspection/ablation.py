"""What if a block's gates were switched off: which blocks matter for one prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aia.errors import AIAError
from aia.modeling import recording
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess
from aia.modeling.recording import Switch
from aia.video.clip import Clip

MODES = ("mean", "identity", "shuffle")
MAX_FRAMES = 160  # frames in one forward pass, those of all its clips together


@dataclass(frozen=True, eq=False)
class BlockEffect:
    """What the network says with one block's gates switched off.

    Attributes:
        block: The block, such as "layer1.0".
        logits: float32 `[classes]`.
        logit_delta: Logit of the ranking's label, less what it is as trained: negative where the gates speak for the label.
        probability: Of the ranking's label, softmax of the logits over the network's temperature.
        label: The label with the largest logit.
    """

    block: str
    logits: np.ndarray
    logit_delta: float
    probability: float
    label: str


@dataclass(frozen=True, eq=False)
class Ranking:
    """Which block's gates matter most for one prediction.

    Attributes:
        label: The label whose logit is followed.
        mode: What the gates were switched to, one of `MODES`.
        logits: As trained, float32 `[classes]`.
        effects: One for each block, from the largest change to the smallest, whatever its sign.
    """

    label: str
    mode: str
    logits: np.ndarray
    effects: tuple[BlockEffect, ...]


def rank_blocks(model: AIANet, clip: Clip, *, mode: str = "mean", label: str | None = None) -> Ranking:
    """Switches each block's gates off in turn and ranks the blocks. Safe to call from several threads on one model.

    The clip as trained runs in every forward pass, beside those with a switch, so that no change is mere rounding.

    Args:
        model: From `aia.load`, with AIA.
        clip: From `aia.read_clip`, of at most `MAX_FRAMES` / 2 frames.
        mode: What all gates of a block are switched to, one of `MODES`; see `aia.Switch`.
        label: The label whose logit is followed; the model's answer by default.

    Raises:
        AIAError: The model has no gates, there is no such mode or label, or the clip has too many frames.
    """
    labels, blocks = model.config.labels, model.block_names
    if not blocks:
        raise AIAError("This model has no gates to switch off; choose one with AIA, such as CinST or STinC.")
    if mode not in MODES:
        raise AIAError(f"Blocks can be ranked by {', '.join(MODES)}, not {mode!r:.60}.")
    if label is not None and label not in labels:
        raise AIAError(f"This model has no label {label!r:.60}; choose one that it has, such as {labels[0]!r}.")
    size = MAX_FRAMES // len(clip.frames) - 1  # blocks in one pass, beside the clip as trained
    if size < 1:
        raise AIAError(f"Blocks can be ranked on at most {MAX_FRAMES // 2} frames, not {len(clip.frames)}; read fewer.")

    x = preprocess(clip.frames, model.config).to(model.device)
    groups = [blocks[start : start + size] for start in range(0, len(blocks), size)]
    passes = [_logits(model, x, [(), *((Switch(mode, block),) for block in group)]) for group in groups]
    logits = passes[0][0]
    followed = int(logits.argmax()) if label is None else labels.index(label)
    effects = [
        BlockEffect(
            block=block,
            logits=switched.numpy(),
            logit_delta=float(switched[followed] - trained[followed]),
            probability=float((switched / model.config.temperature).softmax(0)[followed]),
            label=labels[int(switched.argmax())],
        )
        for group, (trained, *rest) in zip(groups, passes, strict=True)
        for block, switched in zip(group, rest, strict=True)
    ]
    effects.sort(key=lambda effect: -abs(effect.logit_delta))
    return Ranking(labels[followed], mode, logits.numpy(), tuple(effects))


@torch.inference_mode()
def _logits(model: AIANet, x: Tensor, per_clip: Sequence[Sequence[Switch]]) -> Tensor:
    """Logits `[N, classes]` on the CPU of one clip `[1, T, 3, H, W]` under each of N settings of the switches."""
    with recording.recording(per_clip=per_clip):
        return model(x.expand(len(per_clip), *x.shape[1:])).float().cpu()
