"""Measures whether a network relies on the cells that a map marks: deletion and insertion (Petsiuk et al., RISE, BMVC 2018).

Deletion blurs the cells of a clip away, those with the largest value first, and follows the probability of the label.
Insertion starts with the blurred clip and brings them back. A map that marks what the network relies on has a low area under
the first curve and a high one under the second. A map with the opposite sign swaps both: its deletion is the insertion of the
other, read backwards.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from aia.errors import AIAError
from aia.evaluation.deletion import STEPS, Curves, area
from aia.evaluation.known_clips import Clips
from aia.evaluation.maps import gate_maps, grad_cam
from aia.evaluation.metrics import Score, check_seed, intervals
from aia.modeling import recording
from aia.modeling.backbones import BACKBONES
from aia.modeling.network import AIANet
from aia.modeling.reference import COMBINED

RANDOM_DRAWS = 3  # random maps whose curves are averaged
BATCH_SIZE = 4  # clips at a time for Grad-CAM
RANDOM = "random"


@dataclass(frozen=True)
class Row:
    """One order of the cells.

    Attributes:
        name: Which map gives the order.
        deletion: Area under the curve of deletion, 0 to 1; lower is better.
        deletion_gain: Its difference from the random order on the same clips; negative is better.
        insertion: Area under the curve of insertion, 0 to 1; higher is better.
        insertion_gain: Its difference from the random order; positive is better.
        deletion_curve: The label's probability with 0, 1/10, ... and all of the pixels blurred.
        insertion_curve: The label's probability with 0, 1/10, ... and all of the pixels sharp.
    """

    name: str
    deletion: Score
    deletion_gain: Score
    insertion: Score
    insertion_gain: Score
    deletion_curve: tuple[Score, ...] = field(repr=False)
    insertion_curve: tuple[Score, ...] = field(repr=False)

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        lost = _speed(-self.deletion_gain.high, -self.deletion_gain.low)
        back = _speed(self.insertion_gain.low, self.insertion_gain.high)
        return (
            f"{self.name}: if its first cells are blurred first, the answer is lost {lost} than with random cells; if they "
            f"are shown first, it comes back {back}."
        )


def _speed(low: float, high: float) -> str:
    return "sooner" if low > 0 else "later" if high < 0 else "neither sooner nor later"


@dataclass(frozen=True)
class Faithfulness:
    """The result of `measure_faithfulness`.

    Attributes:
        model: The name the network was loaded by.
        title: The network in the paper's words.
        block: The block whose gates are measured.
        size: Height and width of its map in cells.
        clips: Clips that count.
        tried: Clips that they were chosen from.
        groups: Groups that these clips belong to.
        seed: Of the random maps and the bootstrap.
        rows: The orders; the last is random.
    """

    model: str
    title: str
    block: str
    size: tuple[int, int]
    clips: int
    tried: int
    groups: int
    seed: int
    rows: tuple[Row, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types."""
        return dataclasses.asdict(self)

    def to_markdown(self) -> str:
        """The areas as a table, a sentence for each order, and the curves as a second table."""
        height, width = self.size
        full, blurred = self.rows[0].deletion_curve[0].mean, self.rows[0].deletion_curve[-1].mean
        lines = [
            f"{self.title} ({self.model or 'untrained'}), {self.block} with {height} x {width} cells. {self.clips} of "
            f"{self.tried} clips are answered right when sharp and wrong when blurred; they belong to {self.groups} groups. "
            f"The label's probability is {full:.2f} on average when they are sharp, and {blurred:.2f} when blurred. 95 % "
            f"intervals over groups, seed {self.seed}.",
            "",
            "| order of the cells | deletion (lower is better) | against random "
            "| insertion (higher is better) | against random |",
            "|---|---|---|---|---|",
            *(
                f"| {row.name} | {row.deletion.text()} | {row.deletion_gain.text()} | {row.insertion.text()} "
                f"| {row.insertion_gain.text()} |"
                for row in self.rows[:-1]
            ),
            *(f"| {row.name} | {row.deletion.text()} | | {row.insertion.text()} | |" for row in self.rows[-1:]),
            "",
            *(f"* {row.sentence}" for row in self.rows[:-1]),
            "",
            f"| probability | {' | '.join(f'{100 * i // STEPS} %' for i in range(1, STEPS))} |",
            "|---|" + "---|" * (STEPS - 1),
        ]
        for row in self.rows:
            for way, curve in (("blurred", row.deletion_curve), ("sharp", row.insertion_curve)):
                points = " | ".join(point.text(".2f") for point in curve[1:-1])
                lines.append(f"| {row.name}, {way} first | {points} |")
        return "\n".join(lines)


def measure_faithfulness(model: AIANet, clips: Clips, *, block: str = "", seed: int = 0) -> Faithfulness:
    """Measures how well the gates of one block, and other maps, order the cells of clips by what the network relies on.

    Hooks the model while it runs, so do not use one that serves requests.

    Args:
        model: With AIA, in eval mode.
        clips: From `aia.evaluation.known_clips.read_clips`.
        block: One of the model's `block_names`; the one that the page shows first by default, or else the last.
        seed: Of the random maps and the bootstrap.

    Raises:
        AIAError: The model has no such block, or there is no such seed.
    """
    check_seed(seed)
    block = chosen_block(model, block)
    maps = orders(model, clips, block)
    gates = maps["gate itself"]
    noise = torch.Generator().manual_seed(seed)
    ties, *draws = (torch.rand(gates.shape, generator=noise) for _ in range(1 + RANDOM_DRAWS))
    curves = {name: np.empty((len(gates), 2, STEPS + 1)) for name in (*maps, RANDOM)}
    for i in tqdm(range(len(gates)), desc=f"{model.name} curves", unit="clip"):
        score = Curves(model, clips.x[i], int(clips.labels[i]), ties[i])
        for name, values in maps.items():
            curves[name][i] = score(values[i])
        curves[RANDOM][i] = np.mean([score(values[i]) for values in draws], axis=0)
    areas = {name: area(values) for name, values in curves.items()}
    rows = []
    for name, own in areas.items():
        table = np.concatenate((own, own - areas[RANDOM], curves[name].reshape(len(own), -1)), axis=1)
        deletion, insertion, deletion_gain, insertion_gain, *points = intervals(table, clips.groups, seed)
        along = tuple(points[: STEPS + 1]), tuple(points[STEPS + 1 :])
        rows.append(Row(name, deletion, deletion_gain, insertion, insertion_gain, *along))
    return Faithfulness(
        model=model.name,
        title=model.config.title,
        block=block,
        size=(gates.shape[2], gates.shape[3]),
        clips=len(gates),
        tried=clips.tried,
        groups=len(set(clips.groups)),
        seed=seed,
        rows=tuple(rows),
    )


def chosen_block(model: AIANet, block: str = "") -> str:
    """The named block, or else the one that the page shows first, or else the last.

    Raises:
        AIAError: The model has no such block, or no AIA.
    """
    if not model.block_names:
        raise AIAError(f"{model.name} has no gates; choose a model with AIA.")
    block = block or model.config.default_block or model.block_names[-1]
    if block not in model.block_names:
        raise AIAError(f"This model has no block {block!r:.60}; choose one of {', '.join(model.block_names)}.")
    return block


def orders(model: AIANet, clips: Clips, block: str) -> dict[str, Tensor]:
    """The maps that order the cells, `[N, T, h, w]`: name -> large where a cell comes first."""
    last = BACKBONES[model.config.arch].last_features
    gates, near, deep = [], [], []
    for x, labels in zip(torch.split(clips.x, BATCH_SIZE), torch.split(clips.labels, BATCH_SIZE), strict=True):
        with recording.recording() as recorded:
            cams = grad_cam(model, x, (block, last), labels)
        gates.append(gate_maps(recorded, model, block))
        near.append(cams[block].cpu())
        deep.append(cams[last].cpu())
    maps = {"gate itself": torch.cat(gates)}
    if model.reference:
        difference = maps["gate itself"] - torch.from_numpy(model.reference.blocks[block].map_mean[COMBINED])
        maps |= {"difference from typical": difference, "size of that difference": difference.abs()}
    maps |= {f"Grad-CAM at {block}": torch.cat(near), "Grad-CAM at the last features": torch.cat(deep)}
    side = torch.linspace(-1, 1, clips.x.shape[-1])
    center = -(side**2 + side[:, None] ** 2)
    return maps | {"centre": center.expand(*clips.x.shape[:2], -1, -1)}
