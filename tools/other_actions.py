"""How many clips of actions that a network was never told about it refuses: two classes at a time are left out of the training.

    python -m tools.other_actions DATA --init TRUNK

prints a Markdown table. A linear head on the frozen features of a trunk stands for a trained network, which would take half an
hour for each pair of classes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from aia.errors import AIAError
from aia.evaluation.report import table
from aia.locations import CHECKPOINTS
from aia.training.data import PlainDataset, Sample, class_order, read_manifest
from aia.training.recipe import Recipe
from aia.training.start import start_network

RECIPE = CHECKPOINTS / "actions-tsn-mobilenetv2-none" / "recipe.json"
FRAMES = 4
LOST = 0.05  # of the clips of known actions
STEPS, BATCH = 800, 256
# Of logits `[N, classes]`, the last class being "none of these"; higher for known actions.
SCORES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "largest probability": lambda logits: logits.softmax(1)[:, :-1].amax(1),
    "largest logit": lambda logits: logits[:, :-1].amax(1),
    "energy": lambda logits: logits[:, :-1].logsumexp(1),
    "1 - probability of none of these": lambda logits: 1 - logits.softmax(1)[:, -1],
}


def features(samples: list[Sample], recipe: Recipe, init: str) -> Tensor:
    """The trunk's features of each frame, `[N, T, width]`."""
    model = start_network(recipe, init).eval().optimize()
    model.head = nn.Identity()  # type: ignore[assignment]
    clips = PlainDataset(samples, recipe)
    with torch.inference_mode():
        return torch.stack([model(clips[i][0][:, None]) for i in tqdm(range(len(clips)), desc="clips")])


def train_head(x: Tensor, y: Tensor, classes: int) -> nn.Linear:
    """A linear head on features of frames `[N, T, width]`, each class drawn equally often; `y` is `[N]`."""
    head = nn.Linear(x.shape[2], classes)
    optimizer = torch.optim.AdamW(head.parameters(), 1e-3, weight_decay=0.05)
    share = (1 / torch.bincount(y, minlength=classes))[y]
    for _ in range(STEPS):
        clip, frame = torch.multinomial(share, BATCH, replacement=True), torch.randint(x.shape[1], (BATCH,))
        loss = F.cross_entropy(head(F.dropout(x[clip, frame], 0.3)), y[clip], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return head


def leave_out(x: Tensor, y: Tensor, trained_on: Tensor, none: int, out: list[int]) -> list[float]:
    """Trains a head without some classes.

    Args:
        x: Features `[N, T, width]`.
        y: Labels `[N]`.
        trained_on: Whether to train on a clip or to measure with it, `[N]`.
        none: The label "none of these".
        out: The labels to leave out.

    Returns:
        Top-1 on the known actions, and the share of the others that each score refuses where it loses `LOST` of the known.
    """
    labels = [*(label for label in range(int(y.max()) + 1) if label not in (*out, none)), none]
    place = torch.full((int(y.max()) + 1,), -1)
    place[labels] = torch.arange(len(labels))
    target = place[y]
    use = trained_on & (target >= 0)
    head = train_head(x[use], target[use], len(labels))
    with torch.no_grad():
        logits = head(x).mean(1)
    is_known = ~trained_on & (target >= 0) & (y != none)
    known, unknown = logits[is_known], logits[~trained_on & (target < 0)]
    top1 = (known.argmax(1) == target[is_known]).float().mean()
    return [float(top1), *(float((s(unknown) < s(known).quantile(LOST)).float().mean()) for s in SCORES.values())]


def main(arguments: list[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.other_actions", description=__doc__.split("\n")[0])
    parser.add_argument("data", help="as for `aia train`")
    parser.add_argument("--init", required=True, help="the trunk's weights, as for `aia train`")
    parser.add_argument("--seeds", type=int, default=3, help="runs to take the mean of (3)")
    options = parser.parse_args(arguments)
    samples = read_manifest(options.data)
    recipe = Recipe.from_file(RECIPE, [f"network.num_segments={FRAMES}"]).resolve(class_order(options.data, samples))
    kinds = list(recipe.classes)
    none = kinds.index(recipe.background)
    samples = [sample for sample in samples if sample.split == "train" and sample.kind in kinds]
    x = features(samples, recipe, options.init)
    y = torch.tensor([kinds.index(sample.kind) for sample in samples])
    trained_on = torch.tensor([sample.scene not in recipe.holdout for sample in samples])
    x = (x - x[trained_on].mean((0, 1))) / (x[trained_on].std((0, 1)) + 1e-3)
    actions = [label for label in range(len(kinds)) if label != none]
    means = []
    for seed in range(options.seeds):
        torch.manual_seed(seed)
        pairs = np.random.default_rng(seed).permutation(actions).reshape(-1, 2).tolist()
        means.append(np.mean([leave_out(x, y, trained_on, none, pair) for pair in tqdm(pairs, desc="pairs")], axis=0))
    rows = [[seed, *(f"{value:.2f}" for value in mean)] for seed, mean in enumerate(means)]
    rows.append(["mean", *(f"{value:.2f}" for value in np.mean(means, axis=0))])
    print(table(["seed", "top-1 of known actions", *(f"refused by {name}" for name in SCORES)], rows))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AIAError as error:
        sys.exit(str(error))
