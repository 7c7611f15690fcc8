"""The learning curves of a run as a picture."""

from __future__ import annotations

import json
from pathlib import Path

from aia import files


def draw_curves(history: Path, picture: Path) -> None:
    """Draws loss, held-out loss and held-out top-1 over the epochs.

    Args:
        history: A run's history.jsonl, one object a line; the held-out values may be missing.
        picture: Overwritten if it exists; its ending sets the format, such as .svg.
    """
    from matplotlib.figure import Figure  # takes a second to import; no window, no global state

    lines = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    epochs = [line["epoch"] for line in lines]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    for axes, name, label in (
        (losses, "loss", "training"),
        (losses, "held_out_loss", "held out"),
        (accuracy, "held_out_top1", "held out"),
    ):
        if all(name in line for line in lines):
            axes.plot(epochs, [line[name] for line in lines], label=label, marker=".")
    losses.set(xlabel="epoch", ylabel="cross-entropy")
    accuracy.set(xlabel="epoch", ylabel="top-1", ylim=(-0.02, 1.02))
    for axes in (losses, accuracy):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    with files.writing(picture) as part:
        figure.savefig(part)
