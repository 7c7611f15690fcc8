"""Draws the four gates of one block in one figure, for the README: `python -m tools.draw_gates assets/gates.png`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

import aia
from aia import console, files
from aia.hub import DEFAULT_MODEL
from aia.visualization.render import DIFFERENCE, colormap_table

EXAMPLE = Path(__file__).resolve().parents[1] / "assets" / "examples" / "swipe-right.mp4"
BLOCK = "features.12"
# Pooled axis -> title, and what its gate can say
GATES = {
    "C": "C gate: where and when,\nfor all channels",
    "T": "T gate: where, per channel,\nin all frames alike",
    "H": "H gate: which column\nand when, per channel",
    "W": "W gate: which row\nand when, per channel",
}


def draw(path: str | Path, block_name: str = BLOCK) -> None:
    """Draws the clip and each gate's difference from usual, the mean over channels, in the gate's own shape.

    Args:
        path: A PNG file.
        block_name: A block of the default model.
    """
    inspection = aia.inspect(aia.load(DEFAULT_MODEL, device="cpu"), aia.read_clip(EXAMPLE))
    block = inspection.block(block_name)
    frames = inspection.clip.frames
    middle = len(frames) // 2
    diverging = ListedColormap(colormap_table(DIFFERENCE) / 255.0)
    figure = Figure(figsize=(11, 2.3), dpi=110, layout="constrained")
    axes = figure.subplots(1, 1 + len(GATES))
    axes[0].imshow(frames[middle])
    axes[0].set_title(f"frame {middle + 1} of {len(frames)}\n“{inspection.label}”", fontsize=9)
    axes[0].set_xticks([])
    axes[0].set_yticks([])
    for ax, (gate, title) in zip(axes[1:], GATES.items(), strict=True):
        deviation = block.deviation(gate)  # [T, h, w], repeated along the pooled axes
        limit = block.deviation_limit(gate)
        shown = {"C": deviation[middle], "T": deviation[0], "H": deviation[:, 0, :], "W": deviation[:, :, 0].T}[gate]
        ax.imshow(np.asarray(shown), cmap=diverging, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
        ax.set_title(title, fontsize=9)
        ax.set_xlabel({"W": "frame →"}.get(gate, "column →"), fontsize=8)
        ax.set_ylabel({"H": "← frame"}.get(gate, "← row"), fontsize=8)
        ax.set_box_aspect(0.75)
        ax.set_xticks([])
        ax.set_yticks([])
    legend = figure.colorbar(ScalarMappable(Normalize(-1, 1), diverging), ax=axes[-1], ticks=[-1, 0, 1], shrink=0.62)
    legend.ax.set_yticklabels(["less open\nthan usual", "as usual", "more open\nthan usual"], fontsize=7)
    with files.writing(path) as part:
        figure.savefig(part, format="png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws the figure."""
    parser = argparse.ArgumentParser("python -m tools.draw_gates", description="The four gates of one block.")
    parser.add_argument("path", metavar="FILE.png")
    parser.add_argument("--block", default=BLOCK)
    options = parser.parse_args(arguments)
    return console.run(lambda: draw(options.path, options.block))


if __name__ == "__main__":
    raise SystemExit(main())
