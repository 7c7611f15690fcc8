"""Camera movements: their labels, the rule that finds them in measured steps, and movement rendered over real pictures.

A movement is four numbers: how far the picture's content moves right (in picture widths) and down (in heights), the log of its
enlargement, and its turn (degrees clockwise). The camera's own direction is the opposite: content that moves right is a pan
to the left. A zoom in is made by the lens or by moving forwards; four numbers cannot tell one from the other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

NONE = "none of these"
LABELS = (
    "static",
    *("pan left", "pan right", "tilt up", "tilt down", "zoom in", "zoom out"),
    *("roll counter-clockwise", "roll clockwise"),
    NONE,
)
STATIC, NONE_INDEX = 0, len(LABELS) - 1
PLAIN = np.array((0.18, 0.18, 0.15, 12.0), np.float32)  # the least of each number that makes a plain movement
STILL = np.array((0.04, 0.05, 0.03, 3.0), np.float32)  # the most of each number, summed without sign, that is static
# What a mirror, a quarter turn clockwise and playing backwards do to (right, down, scale, turn).
MIRROR = np.diag((-1.0, 1.0, 1.0, -1.0)).astype(np.float32)
QUARTER = np.array(((0, -1, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)), np.float32)
BACKWARDS = -np.eye(4, dtype=np.float32)


def movement_label(number: int, sign: float) -> int:
    """The label of content that moves by one of the four numbers in one direction."""
    return 1 + 2 * number + (sign < 0)


def label_of(steps: NDArray[np.float32]) -> int | None:
    """The label of measured steps, or None where it is not plain.

    Args:
        steps: `[N, 4 or 5]`, see `camera_tracks.camera_steps`.

    Returns:
        An index into `LABELS`: static; one movement that is large, steady and twice as large as the next; or none of these
        if much moves and little of it remains. Gaps between the thresholds keep doubtful clips out.
    """
    steps = steps[:, :4]
    lost = np.isnan(steps).any(axis=1)
    if len(steps) < 4 or lost.mean() > 0.1:
        return None
    steps = steps[~lost]
    total, unsigned = steps.sum(axis=0), np.abs(steps).sum(axis=0)
    if (unsigned < STILL * np.sqrt(len(steps) / 23).clip(0.5, 1.2)).all():
        return STATIC
    size = np.abs(total) / PLAIN
    order = size.argsort()
    largest, next_largest = order[-1], order[-2]
    plain = size[largest] >= 1 and size[largest] >= 2 * size[next_largest]
    if plain and abs(total[largest]) >= 0.75 * unsigned[largest]:
        return movement_label(int(largest), total[largest])
    if (unsigned[:3] / PLAIN[:3]).max() > 2 and size.max() < 0.6:
        return NONE_INDEX
    return None


def changed(label: int, change: NDArray[np.float32]) -> int:
    """The label of a clip that was mirrored, turned or played backwards; see `MIRROR`, `QUARTER` and `BACKWARDS`."""
    if label in (STATIC, NONE_INDEX):
        return label
    number, sign = divmod(label - 1, 2)
    vector = np.zeros(4, np.float32)
    vector[number] = -1.0 if sign else 1.0
    vector = change @ vector
    largest = int(np.abs(vector).argmax())
    return movement_label(largest, float(vector[largest]))


class Movement(NamedTuple):
    """Rendered movement of B clips.

    Attributes:
        content: Where the picture's content is in each frame, `[B, T, 4]`.
        labels: `[B]`.
        shots: Number of the shot that each frame belongs to, `[B, T]`; other than 0 after a cut.
    """

    content: Tensor
    labels: Tensor
    shots: Tensor


def random_movement(labels: Tensor, frames: int, rng: torch.Generator) -> Movement:
    """Draws a movement for each label.

    Args:
        labels: `[B]`, indices into `LABELS`, on the device of `rng`.
        frames: T.
        rng: Source of all numbers.
    """
    device, count = labels.device, len(labels)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=rng, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, device=device)

    plain = torch.from_numpy(PLAIN).to(device)
    most = torch.tensor((9.0, 7.0, 8.0, 8.0), device=device)  # times the least plain one
    axis = torch.where(
        (labels > 0) & (labels < NONE_INDEX),
        (labels - 1) // 2,
        torch.randint(0, 4, (count,), generator=rng, device=device),
    )
    sign = torch.where(
        (labels > 0) & (labels < NONE_INDEX), 1.0 - 2.0 * ((labels - 1) % 2), uniform(count).round() * 2 - 1
    )
    size = torch.exp(uniform(count) * torch.log(most[axis]))  # from 1: the least that is plain
    rows = torch.arange(count, device=device)

    # Every number has its own monotone progress from 0 to 1, with its own speed, starts and stops.
    speed = torch.exp(0.7 * normal(count, frames - 1, 4) * uniform(count, 1, 1))
    ends = torch.arange(frames - 1, device=device).view(1, -1, 1)
    first = torch.where(uniform(count, 1, 4) < 0.25, uniform(count, 1, 4) * 3, torch.zeros(1, device=device)).floor()
    last = torch.where(uniform(count, 1, 4) < 0.25, uniform(count, 1, 4) * 3, torch.zeros(1, device=device)).floor()
    moving = (ends >= first) & (ends < frames - 1 - last)
    speed = speed * (moving | ~moving.any(1, keepdim=True))  # few frames: the stops could leave nothing
    progress = F.pad(speed.cumsum(1) / speed.sum(1, keepdim=True), (0, 0, 1, 0))  # [B, T, 4]

    amount = uniform(count, 4, low=-0.42, high=0.42) * uniform(count, 1) * size[:, None]  # besides the main movement
    amount[rows, axis] = sign * size
    kind = torch.randint(0, 5, (count,), generator=rng, device=device)  # the kind of "none of these"
    other = (axis + torch.randint(1, 4, (count,), generator=rng, device=device)) % 4
    is_none = labels == NONE_INDEX
    shots = torch.zeros(count, frames, dtype=torch.long, device=device)
    time = torch.linspace(0, 1, frames, device=device)[None, :, None].expand(count, -1, 4)

    there_and_back = 1 - (2 * progress - 1).abs() * uniform(count, 1, 1, low=0.75, high=1.0)
    there_and_back = there_and_back - there_and_back[:, :1]
    progress = torch.where((is_none & (kind == 0))[:, None, None], there_and_back * 1.3, progress)

    two = is_none & (kind == 1)  # two movements of the same size at a time
    partner = (uniform(count).round() * 2 - 1) * size * uniform(count, low=0.8, high=1.25)
    amount[rows[two], other[two]] = partner[two]

    then = is_none & (kind == 2)  # one movement after the other
    amount[rows[then], other[then]] = partner[then]
    half = torch.stack(((2 * time[..., 0]).clamp(max=1), (2 * time[..., 0] - 1).clamp(min=0)), dim=-1)
    for rank, number in enumerate((axis, other)):
        progress[rows[then], :, number[then]] = half[rows[then], :, rank]

    content = progress * amount[:, None] * plain
    wander = (normal(count, frames, 4) * 0.9 * uniform(count, 1, 1, low=0.4)).cumsum(1)
    wander = wander - time * (wander[:, -1:] - wander[:, :1]) - wander[:, :1]  # ends where it began
    content = torch.where((is_none & (kind == 3))[:, None, None], wander * plain, content)

    cut = is_none & (kind == 4)
    for _ in range(2):
        at = torch.randint(1, frames, (count, 1), generator=rng, device=device)
        shots = shots + ((torch.arange(frames, device=device) >= at) & cut[:, None])
    small = torch.where(uniform(count, 1, 1) < 0.6, torch.full((1,), 0.1, device=device), torch.ones(1, device=device))
    content = torch.where(cut[:, None, None], content * small, content)

    content = torch.where((labels == STATIC)[:, None, None], torch.zeros(1, device=device), content)
    shake = normal(count, frames, 4) * plain * torch.tensor((0.05, 0.06, 0.04, 0.05), device=device)
    shake = shake * uniform(count, 1, 1) ** 2 * (uniform(count, 1, 1) < 0.6)
    return Movement(content + shake, labels, shots)


def warp(pictures: Tensor, content: Tensor, size: int, window: Tensor, depth: Tensor, oversample: int = 2) -> Tensor:
    """Shows pictures through a moving window.

    Args:
        pictures: uint8 `[B, T, 3, H, W]`.
        content: Where the content is, `[B, T, 4]`.
        size: Side of the result in pixels.
        window: Center right, center down (-1 to 1 over the picture), width and height (shares of the picture), `[B, 4]`.
        depth: How much more than the middle each place moves, `[B, 1, size, size]`; 0 for a flat scene.
        oversample: The window is sampled this many times finer and averaged, against aliasing.

    Returns:
        float32 `[B, T, 3, size, size]`, 0 to 1.
    """
    count, frames, _, height, width = pictures.shape
    fine, aspect = size * oversample, width / height
    line = (torch.arange(fine, device=pictures.device) + 0.5) / fine * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    place = torch.stack((x * aspect, y), dim=-1)  # [fine, fine, 2], in picture heights
    shift = content[..., :2] * 2 * torch.tensor((aspect, 1.0), device=pictures.device)
    turn, scale = torch.deg2rad(content[..., 3]), torch.exp(-content[..., 2])
    cos, sin = turn.cos() * scale, turn.sin() * scale
    back = torch.stack((torch.stack((cos, sin), -1), torch.stack((-sin, cos), -1)), -2)  # [B, T, 2, 2]
    moved = place[None, None] - shift[:, :, None, None]
    source = torch.einsum("btij,bthwj->bthwi", back, moved)
    if depth.abs().max() > 0:
        deep = F.interpolate(depth, size=(fine, fine), mode="bilinear", align_corners=False)[:, 0, :, :, None]
        source = place + (source - place) * (1 + deep[:, None])
    source = source / torch.tensor((aspect, 1.0), device=pictures.device)
    source = window[:, None, None, None, :2] + source * window[:, None, None, None, 2:]
    flat = F.grid_sample(
        pictures.flatten(0, 1).float() / 255, source.flatten(0, 1), padding_mode="reflection", align_corners=False
    )
    if oversample > 1:
        flat = F.avg_pool2d(flat, oversample)
    return flat.view(count, frames, 3, size, size)
