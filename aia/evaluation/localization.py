"""Measures whether the gates point at the hand: maps of every block on drawn clips with known fingertip and hand.

A gate has a large floor, so a map's energy is what exceeds its smallest value in the clip. `targets.py` has the measures.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from aia.errors import AIAError
from aia.evaluation.maps import gate_maps, grad_cam
from aia.evaluation.metrics import Score, check_seed, intervals
from aia.evaluation.targets import FIRST_SEED, GESTURES, TOLERANCE, Target, draw_target, maps_at_fingertip, measure
from aia.modeling import recording
from aia.modeling.backbones import BACKBONES
from aia.modeling.config import AIAConfig
from aia.modeling.network import AIANet
from aia.modeling.reference import COMBINED, Reference

Key = TypeVar("Key")

FEWEST_CLIPS = 20  # every gesture once in each half
BATCH_SIZE = 2  # some GB for a ResNet-50 and its gradients


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: Which map.
        blocks: The blocks that it comes from; two if the halves of the clips chose differently.
        sizes: Height and width of these maps in cells.
        fingertip: The pointing game, 0 to 1.
        reachable: The pointing game's score of maps of this size with their maximum in the fingertip's cell.
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
    """The result of `localize`.

    Attributes:
        model: The name the network was loaded by.
        title: The network in the paper's words.
        clips: Clips that count.
        frames: Frames with the fingertip in the picture.
        seed: As given.
        tolerance: Of the pointing game, in pixels of the input.
        input_size: Side of the input in pixels.
        default_block: The block for the page to show first; "" without AIA. Among the blocks that may be first, it is
            the one whose map, as the page draws it, is on the hand most often.
        rows: The comparison.
        blocks: Every block's maps: the difference from typical, also inverted (only for a model with a reference), the gate
            itself and inverted, its mean over the other clips, the difference from that mean, also inverted, and Grad-CAM.
    """

    model: str
    title: str
    clips: int
    frames: int
    seed: int
    tolerance: float
    input_size: int
    default_block: str
    rows: tuple[Row, ...] = field(repr=False)
    blocks: tuple[Row, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types."""
        return dataclasses.asdict(self)

    def to_markdown(self) -> str:
        """The comparison as a table, and a second one with every block."""
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
                f"| {row.name} | {blocks} | {sizes} | {row.fingertip.text()} | {row.reachable:.2f} | {row.hand.text()} "
                f"| {row.energy.text()} |"
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


def localize(model: AIANet, *, clips: int = 300, seed: int = 0, first: Sequence[str] = ()) -> Localization:
    """Measures where gates, Grad-CAM and baseline maps point, on drawn clips of the ten gestures in turn.

    Hooks the model while it runs, so do not use one that serves requests.

    Args:
        model: Any network, in eval mode; its labels do not matter.
        clips: Their number; those whose fingertip is never in the picture do not count.
        seed: Of the clips.
        first: The blocks that the page may show first, such as the clear ones of `measure_contrast`; empty for all.

    Raises:
        AIAError: Too few clips for two halves, or no such seed.
    """
    check_seed(seed)
    if clips < FEWEST_CLIPS:
        raise AIAError(
            f"Blocks are chosen on one half of the clips and scored on the other: ask for {FEWEST_CLIPS} or more."
        )
    return compare(model, *record_maps(model, clips, seed), seed=seed, first=first)


class Maps(NamedTuple):
    """A network's maps of N drawn clips.

    Attributes:
        targets: The N clips.
        gates: By block, `[N, T, h, w]`.
        cams: Grad-CAM by block and, last, for the trunk's last features, `[N, T, h, w]`.
    """

    targets: list[Target]
    gates: dict[str, Tensor]
    cams: dict[str, Tensor]


def record_maps(model: AIANet, clips: int, seed: int) -> Maps:
    """Runs a network once on every drawn clip. Clips without the fingertip in the picture are left out."""
    last = BACKBONES[model.config.arch].last_features
    labels = islice(cycle(GESTURES), clips)
    drawn = (draw_target(model.config, label, FIRST_SEED * (1 + seed) + i) for i, label in enumerate(labels))
    shown = ((x, target) for x, target in drawn if target.inside.any())
    targets: list[Target] = []
    gates, cams = defaultdict[str, list[Tensor]](list), defaultdict[str, list[Tensor]](list)
    while batch := list(islice(shown, BATCH_SIZE)):
        with recording.recording() as recorded:
            grad_cams = grad_cam(model, torch.cat([x for x, _ in batch]), (*model.block_names, last))
        for layer, maps in grad_cams.items():
            cams[layer].append(maps.cpu())
        for block in model.block_names:
            gates[block].append(gate_maps(recorded, model, block))
        targets += [target for _, target in batch]
    return Maps(targets, *({name: torch.cat(maps) for name, maps in each.items()} for each in (gates, cams)))


class _Scored(NamedTuple):
    """The scores of each clip for one map: fingertip, hand, energy and reachable, `[N, 4]`."""

    block: str
    size: tuple[int, int]
    values: Tensor


class _Scorer:
    """Scores maps on clips. The best of several maps is chosen on one half of the clips and scored on the other."""

    def __init__(self, targets: Sequence[Target], seed: int) -> None:
        self.targets, self.seed = targets, seed
        self.half = torch.arange(len(targets)) // len(GESTURES) % 2 == 0  # by tens: every gesture is in both halves
        self._reachable: dict[tuple[int, int], Tensor] = {}

    def score(self, block: str, maps: Tensor) -> _Scored:
        size = maps.shape[2], maps.shape[3]
        if size not in self._reachable:
            self._reachable[size] = measure(maps_at_fingertip(self.targets, size), self.targets)[:, :1]
        return _Scored(block, size, torch.cat((measure(maps, self.targets), self._reachable[size]), dim=1))

    def row(self, name: str, *scored: _Scored) -> Row:
        """A row of one map, or of one scored on the second half and one scored on the first."""
        values = torch.where(self.half[:, None], scored[-1].values, scored[0].values)
        blocks, sizes = dict.fromkeys(s.block for s in scored), dict.fromkeys(s.size for s in scored)
        return _row(name, blocks, sizes, values, self.seed)

    def best(self, scores: Mapping[Key, _Scored]) -> list[Key]:
        """The best on each half by the pointing game, ties by energy."""
        return [
            max(scores, key=lambda key: tuple(scores[key].values[clips].mean(dim=0)[[0, 2]].tolist()))
            for clips in (self.half, ~self.half)
        ]


class _GateScores(NamedTuple):
    """The scores of every block's gate maps; a sign of -1 stands for inverted ones.

    Attributes:
        typical: The difference from typical, which the page draws by default; empty for a model without a reference.
        drawn: The gate itself.
        place: The mean over the other clips: what the position alone explains, since it has not seen the clip.
        beyond: The difference between the two.
    """

    typical: dict[tuple[str, int], _Scored]
    drawn: dict[tuple[str, int], _Scored]
    place: dict[tuple[str, int], _Scored]
    beyond: dict[tuple[str, int], _Scored]


def _score_gates(scorer: _Scorer, gates: Mapping[str, Tensor], reference: Reference | None) -> _GateScores:
    scores = _GateScores({}, {}, {}, {})
    for block, maps in gates.items():
        for sign in (1, -1):
            signed, title = sign * maps, block if sign > 0 else f"{block} inverted"
            if reference:
                usual = torch.from_numpy(reference.blocks[block].map_mean[COMBINED])
                scores.typical[block, sign] = scorer.score(title, sign * (maps - usual))
            others = _mean_of_others(signed)
            scores.drawn[block, sign] = scorer.score(title, _above_floor(signed))
            scores.place[block, sign] = scorer.score(title, _above_floor(others))
            scores.beyond[block, sign] = scorer.score(title, signed - others)
    return scores


def compare(
    model: AIANet,
    targets: Sequence[Target],
    gates: Mapping[str, Tensor],
    cams: Mapping[str, Tensor],
    *,
    seed: int = 0,
    first: Sequence[str] = (),
) -> Localization:
    """Scores the maps of `record_maps`.

    The best block, and whether its gate is inverted, are chosen on one half of the clips and scored on the other, and vice
    versa. The intervals do not include that choice.
    """
    scorer = _Scorer(targets, seed)
    scores = _score_gates(scorer, gates, model.reference)
    grad_cams = {layer: scorer.score(layer, maps) for layer, maps in cams.items()}
    shown = scores.typical or scores.drawn
    hand = {block: shown[block, 1].values[:, 1].mean().item() for block in (first or gates)}
    default = max(hand, key=hand.__getitem__, default="")
    return Localization(
        model=model.name,
        title=model.config.title,
        clips=len(targets),
        frames=sum(len(target.tip) for target in targets),
        seed=seed,
        tolerance=TOLERANCE * model.config.input_size,
        input_size=model.config.input_size,
        default_block=default,
        rows=tuple(_comparison(scorer, scores, grad_cams, model.config, default)),
        blocks=tuple(
            scorer.row(name, scored._replace(block=block))
            for block in gates
            for name, scored in (
                *((("from typical", scores.typical[block, 1]),) if scores.typical else ()),
                *((("from typical, inverted", scores.typical[block, -1]),) if scores.typical else ()),
                ("gate", scores.drawn[block, 1]),
                ("inverted", scores.drawn[block, -1]),
                ("its mean over the other clips", scores.place[block, 1]),
                ("beyond that mean", scores.beyond[block, 1]),
                ("beyond that mean, inverted", scores.beyond[block, -1]),
                ("Grad-CAM", grad_cams[block]),
            )
        ),
    )


def _comparison(
    scorer: _Scorer, scores: _GateScores, grad_cams: Mapping[str, _Scored], config: AIAConfig, default: str
) -> Iterator[Row]:
    """The best gates beside Grad-CAM and maps without any knowledge of the clip."""
    last = list(grad_cams)[-1]
    sizes = [grad_cams[last].size]
    if scores.typical:
        yield scorer.row("difference from typical, as the page opens", scores.typical[default, 1])
        yield scorer.row(
            "difference from typical, best block", *(scores.typical[key] for key in scorer.best(scores.typical))
        )
    if scores.drawn:
        best = scorer.best(scores.drawn)
        sizes = [scores.drawn[key].size for key in best]
        yield scorer.row("gate itself", *(scores.drawn[key] for key in best))
        yield scorer.row("its mean over the other clips", *(scores.place[key] for key in best))
        yield scorer.row("gate beyond that mean", *(scores.beyond[key] for key in scorer.best(scores.beyond)))
        yield scorer.row("Grad-CAM, same block as the gate itself", *(grad_cams[block] for block, _ in best))
        yield scorer.row("Grad-CAM, best block", *(grad_cams[block] for block in scorer.best(grad_cams)))
    noise = torch.Generator().manual_seed(scorer.seed)
    count, segments, side = len(scorer.targets), config.num_segments, config.input_size
    yield scorer.row("Grad-CAM, last features", grad_cams[last])
    center = _center(side).expand(count, segments, -1, -1)
    yield scorer.row("centre (Gaussian, deviation S / 4)", scorer.score("", center))
    # May fall below chance: enlarged noise peaks too often at the borders, where it has fewer neighbors.
    random = (torch.rand(count, segments, *size, generator=noise) for size in sizes)
    yield scorer.row("random", *(scorer.score("", maps) for maps in random))
    yield scorer.row("same everywhere: chance", scorer.score("", torch.zeros(count, segments, 1, 1)))


def _row(name: str, blocks: Iterable[str], sizes: Iterable[tuple[int, int]], values: Tensor, seed: int) -> Row:
    # The same clips are drawn for all rows, so that they are comparable.
    fingertip, hand, energy, reachable = intervals(values.double().numpy(), range(len(values)), seed)
    return Row(name, tuple(filter(None, blocks)), tuple(sizes), fingertip, reachable.mean, hand, energy)


def _above_floor(maps: Tensor) -> Tensor:
    """The excess over the clip's smallest value, `[N, T, h, w]`."""
    return maps - maps.amin(dim=(1, 2, 3), keepdim=True)


def _mean_of_others(maps: Tensor) -> Tensor:
    """For each clip the mean over all others, `[N, T, h, w]`: what a block's map shows for any clip, such as borders."""
    return (maps.sum(dim=0) - maps) / (len(maps) - 1)


def _center(side: int) -> Tensor:
    deviations = (torch.arange(side) - (side - 1) / 2) / (side / 4)
    return torch.exp(-(deviations**2 + deviations[:, None] ** 2) / 2)


def __getattr__(name: str) -> Any:
    """The names of version 0.1."""
    renamed: dict[str, Any] = {"localise": localize, "Localisation": Localization, "watch": record_maps}
    if name not in renamed:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"{name} is now {renamed[name].__name__}; the old name will be removed in 0.3.",
        DeprecationWarning,
        stacklevel=2,
    )
    return renamed[name]
