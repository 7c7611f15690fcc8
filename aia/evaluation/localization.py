"""Do the gates look at the hand? The maps of every block against drawn clips whose fingertip and hand are known.

Three measures, each the mean over the frames with the fingertip in the picture, then over clips:

* fingertip: the pointing game (Zhang et al., "Top-Down Neural Attention by Excitation Backprop", IJCV 2018): does the
  map's maximum in a frame lie within `TOLERANCE` of the fingertip? Of equal maxima, the share that does.
* hand: the same, asking whether the maximum lies on the hand; fairer to coarse maps, whose cells are wider than a finger.
* energy: the share of a frame's energy inside the hand (Wang et al., "Score-CAM", CVPR Workshops 2020).

A gate stands on a large floor, so a map's energy is what exceeds the smallest value that the map has in the clip. Maps are
enlarged linearly to the network's input before anything is measured, as the page draws them. A map that is the same everywhere
scores chance in all three.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aia.errors import AIAError
from aia.inspection.gates import BlockGates
from aia.modeling import recording
from aia.modeling.backbones import BACKBONES
from aia.modeling.config import NO_GESTURE, AIAConfig
from aia.modeling.network import AIANet
from aia.modeling.preprocess import preprocess, seen_box
from aia.synthetic.gestures import render_gesture
from aia.synthetic.trajectories import LABELS
from aia.video.clip import sample_indices

# The literature's 15 px, taken of the usual input of 224 px, so that it is the same share of a smaller one: about a third of a
# drawn index finger. Zhang et al. allow it around an object's outline; around a point it is stricter.
TOLERANCE = 15 / 224
FIRST_SEED = 1_000_000  # far from the seeds of the training pool
FEWEST_CLIPS = 20  # every gesture once in each half
BATCH_SIZE = 2  # some GB for a ResNet-50 and its gradients
RESAMPLES = 2000  # of the bootstrap
ROUNDING = 1e-6  # smaller differences between the values of a map are none
GESTURES = tuple(label for label in LABELS if label != NO_GESTURE)


@dataclass(frozen=True, eq=False)
class Target:
    """Where the hand is in a drawn clip, in the network's input; F of its T frames have the fingertip in the picture.

    Attributes:
        inside: Which frames have the fingertip in the part of the picture that the network sees, bool `[T]`.
        tip: Fingertip of these, (x, y) in pixels of the input, `[F, 2]`.
        near: Pixels within the tolerance of it, bool `[F, S, S]`.
        hand: Pixels of the hand without the forearm, bool `[F, S, S]`.
    """

    inside: Tensor
    tip: Tensor
    near: Tensor
    hand: Tensor


@dataclass(frozen=True)
class Score:
    """A mean over clips and its bootstrap interval of 95 % over clips."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: Which map.
        blocks: The blocks it comes from; two where the halves of the clips chose differently.
        sizes: Height and width of these maps in cells.
        fingertip: The pointing game, 0 to 1.
        reachable: What maps of this size score in it with their maximum in the fingertip's cell.
        hand: Maximum on the hand, 0 to 1.
        energy: Energy in the hand, 0 to 1.
    """

    name: str
    blocks: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    fingertip: Score
    reachable: float
    hand: Score
    energy: Score


@dataclass(frozen=True)
class Localization:
    """What `localize` measured.

    Attributes:
        model: The name the network was loaded by.
        title: The network in the paper's words.
        clips: Clips that count.
        frames: Frames with the fingertip in the picture.
        seed: As given.
        tolerance: Of the pointing game, in pixels of the input.
        input_size: Side of the input in pixels.
        default_block: For the page to show first: the block whose map, as drawn, finds the hand most often beyond what its
            own mean over the other clips finds, since that mean is the same for any clip; "" without AIA.
        rows: The comparison.
        blocks: Every block's maps: the gate as drawn and inverted, its mean over the other clips, what it does beyond that
            mean, as it is and inverted, and Grad-CAM.
    """

    model: str
    title: str
    clips: int
    frames: int
    seed: int
    tolerance: float
    input_size: int
    default_block: str
    rows: tuple[Row, ...]
    blocks: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types."""
        return dataclasses.asdict(self)

    def to_markdown(self) -> str:
        """What was measured, the comparison as a table, and every block in a second one."""
        lines = [
            f"{self.title} ({self.model or 'untrained'}): {self.clips} drawn clips, {self.frames} frames with the fingertip in "
            f"the picture, seed {self.seed}; tolerance {self.tolerance:.1f} of {self.input_size} px; 95 % intervals over clips",
            "",
            "| map | block | cells | fingertip | reachable | on the hand | energy in the hand |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in self.rows:
            sizes = ", ".join(f"{height} x {width}" for height, width in row.sizes)
            blocks = ", ".join(row.blocks)
            lines.append(
                f"| {row.name} | {blocks} | {sizes} | {_text(row.fingertip)} | {row.reachable:.2f} | {_text(row.hand)} "
                f"| {_text(row.energy)} |"
            )
        if self.blocks:
            lines += ["", f"The page's first block by this table: {self.default_block}", ""]
            names = list(dict.fromkeys(row.name for row in self.blocks))
            lines += [f"| fingertip / hand / energy | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
            for block in dict.fromkeys(row.blocks for row in self.blocks):
                own = [row for row in self.blocks if row.blocks == block]
                cells = (f"{row.fingertip.mean:.3f} / {row.hand.mean:.3f} / {row.energy.mean:.3f}" for row in own)
                lines.append(f"| {block[0]} | {' | '.join(cells)} |")
        return "\n".join(lines)


def _text(score: Score) -> str:
    return f"{score.mean:.3f} ({score.low:.3f} to {score.high:.3f})"


def localize(model: AIANet, *, clips: int = 300, seed: int = 0) -> Localization:
    """Measures where the gates, Grad-CAM and maps that know nothing point, on drawn clips of the ten gestures in turn.

    Hooks the model while it runs: not for one that serves requests.

    Args:
        model: Any network, in eval mode; its labels do not matter.
        clips: How many; those whose fingertip is never in the picture do not count.
        seed: Another one gives other clips.

    Raises:
        AIAError: Too few clips for two halves, or no such seed.
    """
    if not 0 <= seed < 2**32:
        raise AIAError(f"A seed is a whole number from 0 to {2**32 - 1}, not {str(seed)[:20]}.")
    if clips < FEWEST_CLIPS:
        raise AIAError(
            f"Blocks are chosen on one half of the clips and scored on the other: ask for {FEWEST_CLIPS} or more."
        )
    return compare(model, *watch(model, clips, seed), seed=seed)


def watch(model: AIANet, clips: int, seed: int) -> tuple[list[Target], dict[str, Tensor], dict[str, Tensor]]:
    """Shows the drawn clips to a network, each once.

    Returns:
        The N clips; the gates' maps by block, and Grad-CAM's by block and for the trunk's last features, which come last:
        `[N, T, h, w]` each.
    """
    last = BACKBONES[model.config.arch].last_features
    labels = islice(cycle(GESTURES), clips)
    drawn = (draw_target(model.config, label, FIRST_SEED * (1 + seed) + i) for i, label in enumerate(labels))
    shown = ((x, target) for x, target in drawn if target.inside.any())
    targets, gates, cams = [], defaultdict(list), defaultdict(list)
    while batch := list(islice(shown, BATCH_SIZE)):
        with recording.recording() as seen:
            found = grad_cam(model, torch.cat([x for x, _ in batch]), (*model.block_names, last))
        for layer, maps in found.items():
            cams[layer].append(maps.cpu())
        for block in model.block_names:
            gates[block].append(gate_maps(seen, model, block))
        targets += [target for _, target in batch]
    return targets, *({name: torch.cat(maps) for name, maps in each.items()} for each in (gates, cams))


def draw_target(config: AIAConfig, label: str, seed: int) -> tuple[Tensor, Target]:
    """Draws a clip, takes T frames of it by the network's rule and prepares them as for the page.

    Args:
        config: The network's.
        label: One of `GESTURES`.
        seed: Of the clip.

    Returns:
        The network's input `[1, T, 3, S, S]`, and where the hand is in it.
    """
    drawn = render_gesture(label, seed, fps=None, indices=lambda count: sample_indices(count, config.num_segments))
    left, top, right, bottom = seen_box(*drawn.hand.shape[1:], config)
    place = (drawn.fingertip + 0.5) / drawn.hand.shape[:0:-1]  # (x, y) as fractions; a pixel's own place is its middle
    tip = (place - (left, top)) / (right - left, bottom - top) * config.input_size - 0.5
    tip = torch.from_numpy(tip.astype(np.float32))
    inside = ((tip >= 0) & (tip <= config.input_size - 1)).all(dim=1)  # false for nan: no hand in view
    tip, pixels = tip[inside], torch.arange(config.input_size)
    x, y = tip.T[..., None, None]
    near = (pixels - x) ** 2 + (pixels[:, None] - y) ** 2 <= (TOLERANCE * config.input_size) ** 2
    plain = dataclasses.replace(config, mean=(0.0,) * 3, std=(1.0,) * 3)  # the mask goes the pictures' own way
    mask = np.repeat(drawn.hand[..., None] * np.uint8(255), 3, axis=3)
    hand = preprocess(mask, plain)[0, inside, 0] >= 0.5
    return preprocess(drawn.frames, config), Target(inside, tip, near, hand)


def grad_cam(model: AIANet, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Grad-CAM (Selvaraju et al., ICCV 2017) of each clip's predicted class, in one backward pass.

    A video network sees the T frames of a clip as T pictures: each has weights of its own, the means of its channels'
    gradients, and the gradient is that of the clip's logit. The network must be in eval mode, where clips do not mix.

    Args:
        model: In eval mode.
        x: Clips `[B, T, 3, H, W]`, normalized.
        layers: Parts of the trunk, such as "features.12", "layer4.0" or "layer4"; their outputs are the features.

    Returns:
        By layer `[B, T, h, w]`, 0 or more; a clip's largest value is 1, or 0 where nothing speaks for the class.
    """
    features: dict[str, Tensor] = {}
    with ExitStack() as hooks, torch.enable_grad():
        for layer in layers:
            keep = partial(_keep, features, layer)
            hooks.enter_context(model.backbone.get_submodule(layer).register_forward_hook(keep))
        logits = model(x.detach().to(model.device).requires_grad_())
        score = logits.max(dim=1).values.sum()  # a clip's features move no other clip's logit
        gradients = torch.autograd.grad(score, [features[layer] for layer in layers])
    maps = {}
    for layer, gradient in zip(layers, gradients, strict=True):
        weights = gradient.mean(dim=(2, 3), keepdim=True)  # [B * T, C, 1, 1]
        cam = (weights * features[layer].detach()).sum(dim=1).relu().unflatten(0, x.shape[:2])  # [B, T, h, w]
        maps[layer] = cam / cam.amax(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(cam.dtype).tiny)
    return maps


def _keep(features: dict[str, Tensor], layer: str, module: nn.Module, inputs: tuple, output: Tensor) -> None:
    features[layer] = output


def gate_maps(seen: recording.Recording, model: AIANet, block: str) -> Tensor:
    """One block's map of each clip of a recorded batch, `[B, T, h, w]`, as the inspection defines it."""
    gates = {
        location.unit: gate.float().cpu().numpy() for location, gate in seen.gates.items() if location.block == block
    }
    clips = [dict(zip(gates, arrays, strict=True)) for arrays in zip(*gates.values(), strict=True)]
    maps = [BlockGates(block, model.config.attention, clip).spatiotemporal_map for clip in clips]
    return torch.from_numpy(np.stack(maps))


def measure(maps: Tensor, targets: Sequence[Target]) -> Tensor:
    """Fingertip, hand and energy of each clip, `[N, 3]` in [0, 1].

    Args:
        maps: `[N, T, h, w]`; what exceeds 0 is energy.
        targets: The N clips.
    """
    scores = []
    for values, target in zip(maps, targets, strict=True):
        # linear: cubic would make values that no gate has
        large = F.interpolate(values[None], target.hand.shape[1:], mode="bilinear")[0, target.inside]
        peak = (large >= large.amax(dim=(1, 2), keepdim=True) - ROUNDING).float()
        energy = large.where(large > ROUNDING, 0)
        energy[energy.sum(dim=(1, 2)) == 0] = 1  # nothing anywhere is the same everywhere
        parts = ((peak, target.near), (peak, target.hand), (energy, target.hand))
        shares = [(weight * region).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)) for weight, region in parts]
        scores.append(torch.stack(shares, dim=1).mean(dim=0))
    return torch.stack(scores)


def compare(
    model: AIANet, targets: Sequence[Target], gates: Mapping[str, Tensor], cams: Mapping[str, Tensor], *, seed: int = 0
) -> Localization:
    """Scores what `watch` saw.

    Whatever is best of several, a block and whether its gate is inverted, is chosen on one half of the clips and scored on
    the other, and the other way round; the intervals do not contain that choice.
    """
    half = torch.arange(len(targets)) // len(GESTURES) % 2 == 0  # by tens: every gesture is in both halves
    reachable = cache(lambda size: measure(_at_fingertip(targets, size), targets)[:, :1])

    def scored(block: str, maps: Tensor) -> _Scored:
        size = tuple(maps.shape[2:])
        return _Scored(block, size, torch.cat((measure(maps, targets), reachable(size)), dim=1))

    def row(name: str, *of: _Scored) -> Row:
        """Of one map, or of one scored on the second half and one scored on the first."""
        values = torch.where(half[:, None], of[-1].values, of[0].values)
        return _row(name, dict.fromkeys(s.block for s in of), dict.fromkeys(s.size for s in of), values, seed)

    def chosen(scores: Mapping[Any, _Scored]) -> list:
        return [_best(scores, clips) for clips in (half, ~half)]

    signed = {(block, sign): sign * maps for block, maps in gates.items() for sign in (1, -1)}
    titles = {(block, sign): block if sign > 0 else f"{block} inverted" for block, sign in signed}
    drawn = {key: scored(titles[key], _above_floor(maps)) for key, maps in signed.items()}
    beyond = {key: scored(titles[key], maps - _of_others(maps)) for key, maps in signed.items()}
    grad_cams = {layer: scored(layer, maps) for layer, maps in cams.items()}

    last, rows = list(cams)[-1], []
    sizes = [grad_cams[last].size]
    if gates:
        best = chosen(drawn)
        sizes = [drawn[key].size for key in best]
        rows += [
            row("gate, as drawn", *(drawn[key] for key in best)),
            row(
                "its mean over the other clips",  # what the place alone explains: it has not seen the clip
                *(scored(titles[key], _above_floor(_of_others(signed[key]))) for key in best),
            ),
            row("gate beyond that mean", *(beyond[key] for key in chosen(beyond))),
            row("Grad-CAM, same block as the first row", *(grad_cams[block] for block, _ in best)),
            row("Grad-CAM, best block", *(grad_cams[block] for block in chosen(grad_cams))),
        ]
    noise = torch.Generator().manual_seed(seed)
    count, segments, side = len(targets), model.config.num_segments, model.config.input_size
    rows += [
        row("Grad-CAM, last features", grad_cams[last]),
        row("centre (Gaussian, deviation S / 4)", scored("", _centre(side).expand(count, segments, -1, -1))),
        # may fall below chance: enlarged noise peaks too often at the borders, where no neighbour lowers it
        row("random", *(scored("", torch.rand(count, segments, *size, generator=noise)) for size in sizes)),
        row("same everywhere: chance", scored("", torch.zeros(count, segments, 1, 1))),
    ]
    places = {block: scored(block, _above_floor(_of_others(maps))) for block, maps in gates.items()}
    gains = {block: (drawn[block, 1].values - places[block].values)[:, 1].mean().item() for block in gates}
    return Localization(
        model=model.name,
        title=model.config.title,
        clips=count,
        frames=sum(len(target.tip) for target in targets),
        seed=seed,
        tolerance=TOLERANCE * side,
        input_size=side,
        default_block=max(gains, key=gains.__getitem__, default=""),
        rows=tuple(rows),
        blocks=tuple(
            row(name, scores._replace(block=block))
            for block, maps in gates.items()
            for name, scores in (
                ("as drawn", drawn[block, 1]),
                ("inverted", drawn[block, -1]),
                ("its mean over the other clips", places[block]),
                ("beyond that mean", beyond[block, 1]),
                ("beyond that mean, inverted", beyond[block, -1]),
                ("Grad-CAM", grad_cams[block]),
            )
        ),
    )


class _Scored(NamedTuple):
    """What each clip scored by one map: fingertip, hand, energy and reachable, `[N, 4]`."""

    block: str
    size: tuple[int, int]
    values: Tensor


def _best(scores: Mapping[Any, _Scored], clips: Tensor) -> Any:
    """The best on some clips by the pointing game, ties by energy."""
    return max(scores, key=lambda key: tuple(scores[key].values[clips].mean(dim=0)[[0, 2]].tolist()))


def _row(name: str, blocks: Iterable[str], sizes: Iterable[tuple[int, int]], values: Tensor, seed: int) -> Row:
    count = len(values)
    rng = np.random.default_rng(seed)  # the same for all rows, so that they can be compared
    picks = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    low, high = np.quantile(picks @ values.numpy() / count, (0.025, 0.975), axis=0)
    mean = values.double().mean(dim=0)
    fingertip, hand, energy, _ = (
        Score(*numbers) for numbers in zip(mean.tolist(), low.tolist(), high.tolist(), strict=True)
    )
    return Row(name, tuple(filter(None, blocks)), tuple(sizes), fingertip, mean[3].item(), hand, energy)


def _above_floor(maps: Tensor) -> Tensor:
    """What exceeds the clip's smallest value, `[N, T, h, w]`."""
    return maps - maps.amin(dim=(1, 2, 3), keepdim=True)


def _of_others(maps: Tensor) -> Tensor:
    """For each clip the mean over all others `[N, T, h, w]`: what a block's map shows whatever the clip, such as borders."""
    return (maps.sum(dim=0) - maps) / (len(maps) - 1)


def _centre(side: int) -> Tensor:
    place = (torch.arange(side) - (side - 1) / 2) / (side / 4)
    return torch.exp(-(place**2 + place[:, None] ** 2) / 2)


def _at_fingertip(targets: Sequence[Target], size: tuple[int, int]) -> Tensor:
    """Maps `[N, T, h, w]` that are 1 in the fingertip's cell and 0 elsewhere."""
    maps = torch.zeros(len(targets), len(targets[0].inside), *size)
    for values, target in zip(maps, targets, strict=True):
        column, row = ((target.tip + 0.5) / target.hand.shape[-1] * torch.tensor(size[::-1])).long().T
        values[target.inside.nonzero()[:, 0], row, column] = 1
    return maps


def __getattr__(name: str) -> Any:
    """The names of version 0.1."""
    renamed = {"localise": localize, "Localisation": Localization}
    if name not in renamed:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"{name} is now {renamed[name].__name__}; the old name goes in 0.3.", DeprecationWarning, stacklevel=2
    )
    return renamed[name]
