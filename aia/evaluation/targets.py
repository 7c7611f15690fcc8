"""Drawn clips with known fingertip and hand, and how well maps point at them.

Three measures, each the mean over the frames with the fingertip in the picture, then over clips:

* fingertip: the pointing game (Zhang et al., "Top-Down Neural Attention by Excitation Backprop", IJCV 2018): whether the
  map's maximum in a frame is within `TOLERANCE` of the fingertip. Of several equal maxima, the share that is.
* hand: whether the maximum is on the hand. It is fairer to coarse maps, whose cells are wider than a finger.
* energy: the share of a frame's energy inside the hand (Wang et al., "Score-CAM", CVPR Workshops 2020).

Maps are enlarged linearly to the network's input before they are measured, as the page draws them. A constant map scores chance
in all three.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aia.modeling.config import NO_GESTURE, AIAConfig
from aia.modeling.preprocess import preprocess, seen_box
from aia.synthetic.gestures import render_gesture
from aia.synthetic.trajectories import LABELS
from aia.video.clip import sample_indices

# The literature's 15 px at the usual input of 224 px, scaled to the input: about a third of a drawn index finger. Zhang et al.
# allow it around an object's outline; around a point it is stricter.
TOLERANCE = 15 / 224
FIRST_SEED = 1_000_000  # far from the seeds of the training pool
ROUNDING = 1e-6  # smaller differences between the values of a map do not count
GESTURES = tuple(label for label in LABELS if label != NO_GESTURE)


@dataclass(frozen=True, eq=False)
class Target:
    """The hand in a drawn clip, in the network's input. F of its T frames have the fingertip in the picture.

    Attributes:
        inside: Which frames have the fingertip in the part of the picture that the network sees, bool `[T]`.
        tip: Fingertip in these frames, (x, y) in pixels of the input, `[F, 2]`.
        near: Pixels within the tolerance of the fingertip, bool `[F, S, S]`.
        hand: Pixels of the hand without the forearm, bool `[F, S, S]`.
    """

    inside: Tensor = field(repr=False)
    tip: Tensor = field(repr=False)
    near: Tensor = field(repr=False)
    hand: Tensor = field(repr=False)


def draw_target(config: AIAConfig, label: str, seed: int) -> tuple[Tensor, Target]:
    """Draws a clip, samples T frames by the network's rule and preprocesses them as the page does.

    Args:
        config: The network's.
        label: One of `GESTURES`.
        seed: Of the clip.

    Returns:
        The network's input `[1, T, 3, S, S]` and the hand in it.
    """
    drawn = render_gesture(label, seed, fps=None, indices=lambda count: sample_indices(count, config.num_segments))
    left, top, right, bottom = seen_box(drawn.hand.shape[1], drawn.hand.shape[2], config)
    fractions = (drawn.fingertip + 0.5) / drawn.hand.shape[:0:-1]  # (x, y) of pixel centers
    pixels_xy = (fractions - (left, top)) / (right - left, bottom - top) * config.input_size - 0.5
    tip = torch.from_numpy(pixels_xy.astype(np.float32))
    inside = ((tip >= 0) & (tip <= config.input_size - 1)).all(dim=1)  # false for nan: no hand in view
    tip, pixels = tip[inside], torch.arange(config.input_size)
    x, y = tip.T[..., None, None]
    near = (pixels - x) ** 2 + (pixels[:, None] - y) ** 2 <= (TOLERANCE * config.input_size) ** 2
    plain = dataclasses.replace(
        config, mean=(0.0,) * 3, std=(1.0,) * 3
    )  # the mask is resized and cropped like the pictures
    mask = np.repeat(drawn.hand[..., None] * np.uint8(255), 3, axis=3)
    hand = preprocess(mask, plain)[0, inside, 0] >= 0.5
    return preprocess(drawn.frames, config), Target(inside, tip, near, hand)


def measure(maps: Tensor, targets: Sequence[Target]) -> Tensor:
    """Fingertip, hand and energy of each clip, `[N, 3]` in [0, 1].

    Args:
        maps: `[N, T, h, w]`; values above 0 are energy.
        targets: The N clips.
    """
    scores = []
    for values, target in zip(maps, targets, strict=True):
        # linear, since cubic would make values outside the map's range
        large = F.interpolate(values[None], target.hand.shape[1:], mode="bilinear")[0, target.inside]
        peak = (large >= large.amax(dim=(1, 2), keepdim=True) - ROUNDING).float()
        energy = large.where(large > ROUNDING, 0)
        energy[energy.sum(dim=(1, 2)) == 0] = 1  # without energy a map counts as constant
        parts = ((peak, target.near), (peak, target.hand), (energy, target.hand))
        shares = [(weight * region).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)) for weight, region in parts]
        scores.append(torch.stack(shares, dim=1).mean(dim=0))
    return torch.stack(scores)


def maps_at_fingertip(targets: Sequence[Target], size: tuple[int, int]) -> Tensor:
    """Maps `[N, T, h, w]` that are 1 in the fingertip's cell and 0 elsewhere."""
    maps = torch.zeros(len(targets), len(targets[0].inside), *size)
    for values, target in zip(maps, targets, strict=True):
        column, row = ((target.tip + 0.5) / target.hand.shape[-1] * torch.tensor(size[::-1])).long().T
        values[target.inside.nonzero()[:, 0], row, column] = 1
    return maps
