"""Whether maps depend on what a network has learned (Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018).

A network's weights are shuffled part by part, from the head down, and its maps are compared with those of the trained one.
Maps that stay alike show the picture and its borders rather than what was learned.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from tqdm import tqdm

from aia.evaluation.faithfulness import BATCH_SIZE, chosen_block
from aia.evaluation.known_clips import Clips, pick
from aia.evaluation.maps import gate_maps, grad_cam
from aia.evaluation.metrics import Floats, Score, intervals
from aia.modeling import recording
from aia.modeling.blocks import Attention
from aia.modeling.network import AIANet

SHUFFLES = 2  # averaged for every row
MOST_CLIPS = 16
ALIKE = 0.2  # the smallest rank correlation at which two maps have something in common


@dataclass(frozen=True)
class Row:
    """Which weights were shuffled, and the rank correlation of three maps with those of the trained network, -1 to 1.

    Attributes:
        shuffled: The parts of the network.
        gate: Of the block's gate itself.
        difference: Of its difference from its own mean over the clips; each network has its own mean.
        cam: Of Grad-CAM at the block.
    """

    shuffled: str
    gate: Score
    difference: Score
    cam: Score


@dataclass(frozen=True)
class Randomization:
    """The result of `measure_randomization`.

    Attributes:
        model: The name the network was loaded by.
        block: The block whose maps are compared.
        clips: How many.
        groups: Groups that these clips belong to.
        seed: Of the shuffles and the bootstrap.
        rows: The gates' own weights first, then from the head down to everything.
    """

    model: str
    block: str
    clips: int
    groups: int
    seed: int
    rows: tuple[Row, ...] = field(repr=False)

    @property
    def sentence(self) -> str:
        """The result of the last row in one sentence."""
        gate, difference = self.rows[-1].gate.mean, self.rows[-1].difference.mean
        left = max(abs(gate), abs(difference)) >= ALIKE
        return (
            f"With all weights shuffled, the gates' order of the cells correlates with the trained one by {gate:.2f}, and "
            f"that of their difference by {difference:.2f} (1: the same order, 0: no relation): "
            + ("part of the picture is there without learning." if left else "the picture is a result of the training.")
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers as JSON types."""
        return dataclasses.asdict(self)

    def to_markdown(self) -> str:
        """A table and a sentence."""
        return "\n".join(
            [
                f"Rank correlation of the maps at {self.block} with those of a network whose weights are shuffled, {SHUFFLES} "
                f"shuffles, {self.clips} clips in {self.groups} groups, 95 % intervals over groups, seed {self.seed}",
                "",
                "| shuffled | gate itself | difference from its mean over the clips | Grad-CAM there |",
                "|---|---|---|---|",
                *(f"| {r.shuffled} | {r.gate.text()} | {r.difference.text()} | {r.cam.text()} |" for r in self.rows),
                "",
                f"{self.sentence} Shuffling the head, or a part above the block, leaves the gates as they are: they are "
                "computed before the label, so they cannot say what speaks for a label.",
            ]
        )


def measure_randomization(model: AIANet, clips: Clips, *, block: str = "", seed: int = 0) -> Randomization:
    """Compares maps of a trained network with those of the same network with shuffled weights.

    Every tensor of weights keeps its values in a random order, so that their size and spread stay. With every further part,
    the batch norms of all shuffled parts measure their means and variances again, on these clips. Grad-CAM is that of the
    clip's label.

    Args:
        model: With AIA.
        clips: From `aia.evaluation.known_clips.read_clips`.
        block: See `measure_faithfulness`.
        seed: Of the shuffles and the bootstrap.

    Raises:
        AIAError: The model has no such block.
    """
    block = chosen_block(model, block)
    chosen = pick(len(clips.x), MOST_CLIPS)
    x, labels, groups = clips.x[chosen], clips.labels[chosen], [clips.groups[i] for i in chosen]
    trained = plain(model)
    usual = _maps(trained, x, labels, block)
    values: dict[str, list[Floats]] = {}
    with tqdm(total=SHUFFLES * (3 + len(trunk_parts(trained))), desc=f"{model.name} shuffles") as progress:
        for draw in range(SHUFFLES):
            for name, network in _shuffled(trained, x, block, torch.Generator().manual_seed(seed * SHUFFLES + draw)):
                pairs = zip(usual, _maps(network, x, labels, block), strict=True)
                alike = [[rank_correlation(a, b) for a, b in zip(*maps, strict=True)] for maps in pairs]
                values.setdefault(name, []).append(np.array(alike).T)
                progress.update()
    rows = (Row(name, *intervals(np.mean(draws, axis=0), groups, seed)) for name, draws in values.items())
    return Randomization(model.name, block, len(x), len(set(groups)), seed, tuple(rows))


def plain(model: AIANet) -> AIANet:
    """A copy of the network without quick forms, which would not let batch norms measure."""
    network = AIANet(model.config)
    network.load_state_dict(model.state_dict())
    return network.to(model.device).eval()


def trunk_parts(model: AIANet) -> list[str]:
    """The names of the trunk's parts with weights, from the input on, such as "conv1", "layer1.0" or "features.0"."""
    parts: list[tuple[str, nn.Module]] = []
    for name, child in model.backbone.named_children():
        units = child.named_children() if isinstance(child, nn.Sequential) else ()
        parts += [(f"{name}.{unit}", part) for unit, part in units] or [(name, child)]
    return [name for name, part in parts if any(True for _ in part.parameters())]


def _shuffled(trained: AIANet, x: Tensor, block: str, noise: torch.Generator) -> Iterator[tuple[str, AIANet]]:
    """Networks with more and more shuffled weights, and which these are."""
    for name, blocks in ((f"gates of {block}", (block,)), ("gates of every block", trained.block_names)):
        network = copy.deepcopy(trained)
        gates = [m for m in network.modules() if isinstance(m, Attention) and m.block in blocks]
        yield name, shuffle(network, gates, x, noise)
    network = copy.deepcopy(trained)
    earlier: list[nn.Module] = [network.head]
    yield "head", shuffle(network, earlier, x, noise)
    for name in reversed(trunk_parts(network)):
        part = network.backbone.get_submodule(name)
        yield f"head to {name}", shuffle(network, [part], x, noise, earlier)
        earlier.append(part)


@torch.no_grad()
def shuffle(
    network: AIANet,
    parts: Sequence[nn.Module],
    x: Tensor,
    noise: torch.Generator,
    earlier: Sequence[nn.Module] = (),
) -> AIANet:
    """Shuffles the weights of some parts of a `plain` network, and lets batch norms measure clips `x` again.

    These are the batch norms of the parts and of those that were shuffled earlier, since their inputs change, too.
    """
    for weights in (weights for part in parts for weights in part.parameters()):
        order = torch.randperm(weights.numel(), generator=noise).to(weights.device)
        weights.copy_(weights.flatten()[order].view_as(weights))
    norms = [module for part in (*earlier, *parts) for module in part.modules() if isinstance(module, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    if norms:
        for batch in torch.split(x, BATCH_SIZE):
            network(batch.to(network.device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def _maps(network: AIANet, x: Tensor, labels: Tensor, block: str) -> tuple[Floats, Floats, Floats]:
    """The gate, its difference from its mean over the clips, and Grad-CAM, `[N, cells]` each."""
    gates, cams = [], []
    for clips, own in zip(torch.split(x, BATCH_SIZE), torch.split(labels, BATCH_SIZE), strict=True):
        with recording.recording() as recorded:
            cams.append(grad_cam(network, clips, (block,), own)[block].cpu())
        gates.append(gate_maps(recorded, network, block))
    gate, cam = (torch.cat(maps).flatten(1).numpy() for maps in (gates, cams))
    return gate, gate - gate.mean(axis=0), cam


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation of two maps `[cells]`, -1 to 1; 0 if one of them is constant and the other is not."""
    if np.array_equal(a, b):
        return 1.0
    ranks_a, ranks_b = (_ranks(values) for values in (a, b))
    spread = ranks_a.std() * ranks_b.std()
    return float((ranks_a * ranks_b).mean() / spread) if spread else 0.0


def _ranks(values: Floats) -> Floats:
    """The place of each value in the order of all, equal values in the middle of theirs; their mean is 0."""
    _, own, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - counts / 2)[own] - len(values) / 2
    return ranks
