"""Draws the figures of a survey's report. Their colors are safe for the color-blind, and shapes repeat what colors say."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aia.surveys.statistics import Interval
from aia.surveys.summary import LEVEL, BlockSummary, Summary
from aia.visualization import render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, and a mark for each mode
MODES = {"mean": ("#0072b2", "o"), "identity": ("#d55e00", "s"), "shuffle": ("#009e73", "^")}
WORDS = {"mean": "their mean", "identity": "1 (wide open)", "shuffle": "another frame's"}
PROFILE, GRAY = "#0072b2", "#6b7280"
MOST_CLASSES, MOST_CHANNELS = 12, 24
NAMES = ("blocks", "channels", "classes", "profiles", "right-and-wrong")
_STYLE = {"font.size": 8, "axes.linewidth": 0.6, "text.parse_math": False, "figure.constrained_layout.use": True}
_style_lock = threading.Lock()  # matplotlib's settings belong to the whole process


def draw(summary: Summary) -> dict[str, bytes]:
    """Every figure that the summary has numbers for, as PNG, by its name."""
    import matplotlib.style

    drawings: Sequence[Callable[[Summary], Figure | None]]
    drawings = (_blocks, _channels, _classes, _profiles, _right_and_wrong)
    found = {}
    for name, drawing in zip(NAMES, drawings, strict=True):
        with _style_lock, matplotlib.style.context(_STYLE, after_reset=True):
            figure = drawing(summary)
            if figure is not None:
                content = io.BytesIO()
                figure.savefig(content, format="png", dpi=160, metadata={"Software": None})
                found[name] = content.getvalue()
    return found


def first_channels(summary: Summary, most: int = MOST_CHANNELS) -> list[tuple[BlockSummary, int]]:
    """The channels of all blocks that tell the classes apart best."""
    pairs = [(block, int(channel)) for block in summary.blocks for channel in block.order[:most]]
    return sorted(pairs, key=lambda pair: -pair[0].eta[pair[1]])[:most]


def most_different_profiles(summary: Summary) -> BlockSummary:
    """The block whose profiles differ most in shape between the classes."""

    def difference(block: BlockSummary) -> float:
        shape = block.profiles - np.nanmean(block.profiles, axis=1, keepdims=True)
        spread = np.nanstd(shape, axis=0).mean() if len(shape) else 0.0
        return float(spread)

    return max(summary.blocks, key=difference)


def _rows(summary: Summary, label: str) -> tuple[Figure, Axes]:
    """A row for each block, the first at the top, and a line at 0."""
    figure = _new(6.5, 0.9 + 0.24 * len(summary.blocks))
    axes = figure.add_subplot()
    names = [block.name for block in summary.blocks]
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(0, color=GRAY, linewidth=0.8)
    axes.set_xlabel(label)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.5)
    axes.set_axisbelow(True)
    return figure, axes


def _blocks(summary: Summary) -> Figure | None:
    modes = [mode for mode in MODES if any(mode in block.without for block in summary.blocks)]
    if not modes:
        return None
    graded = summary.accuracy is not None
    label = "change of accuracy without the block's gates, in points" if graded else "answers that change, in %"
    figure, axes = _rows(summary, label)
    for place, mode in enumerate(modes):
        color, mark = MODES[mode]
        rows = [
            (
                number + 0.22 * (place - (len(modes) - 1) / 2),
                (effect.change if graded else effect.flips) or effect.flips,
            )
            for number, block in enumerate(summary.blocks)
            if (effect := block.without.get(mode))
        ]
        _errorbars(axes, rows, color, mark, WORDS[mode])
    axes.legend(title="gates switched to", loc="best", frameon=False)
    return figure


def _errorbars(axes: Axes, rows: Sequence[tuple[float, Interval]], color: str, mark: str, label: str | None) -> None:
    y = [place for place, _ in rows]
    values = 100 * np.array([interval for _, interval in rows])
    ends = np.nan_to_num(np.abs(values[:, 1:] - values[:, :1])).T
    axes.errorbar(values[:, 0], y, xerr=ends, fmt=mark, color=color, markersize=3.5, linewidth=0.9, label=label)


def _channels(summary: Summary) -> Figure | None:
    if len(summary.classes) < 2 or not summary.blocks:
        return None
    figure, axes = _rows(summary, "eta squared of each channel: share of the gate's variance between the classes")
    rng = np.random.default_rng(0)
    for number, block in enumerate(summary.blocks):
        place = number + rng.uniform(-0.25, 0.25, len(block.eta))
        for passes, color, mark in ((False, GRAY, "x"), (True, MODES["mean"][0], "o")):
            own = (block.q <= LEVEL) == passes
            axes.scatter(block.eta[own], place[own], s=7, color=color, marker=mark, linewidths=0.6)
        axes.plot([block.chance.mean()] * 2, [number - 0.4, number + 0.4], color=MODES["identity"][0], linewidth=1.2)
    axes.scatter([], [], s=12, color=MODES["mean"][0], marker="o", label=f"separates the classes (q ≤ {LEVEL:g})")
    axes.scatter([], [], s=12, color=GRAY, marker="x", label="not shown to")
    axes.plot([], [], color=MODES["identity"][0], label="mean with permuted labels")
    axes.legend(loc="best", frameon=False)
    axes.set_xlim(left=0)
    return figure


def _classes(summary: Summary) -> Figure | None:
    channels = first_channels(summary)
    if len(summary.classes) < 2 or not channels:
        return None
    from matplotlib.colors import ListedColormap

    order = np.argsort(-np.array(summary.counts), kind="stable")[:MOST_CHANNELS]
    means = np.array([block.means[order, channel] for block, channel in channels])
    values = (means - np.nanmean(means, axis=1, keepdims=True)).T
    limit = float(np.nanmax(np.abs(values))) or 1.0
    figure = _new(1.9 + 0.22 * len(channels), 1.8 + 0.2 * len(order))
    axes = figure.add_subplot()
    colors = ListedColormap(render.colormap_table(render.DIFFERENCE) / 255)
    image = axes.imshow(values, cmap=colors, vmin=-limit, vmax=limit, aspect="auto")
    axes.set_yticks(range(len(order)), [_short(summary.classes[i]) for i in order])
    names = [f"{_short(block.name)} · {channel}" for block, channel in channels]
    axes.set_xticks(range(len(channels)), names, rotation=90)
    axes.set_xlabel("block · channel, the best separating first")
    figure.colorbar(image, ax=axes, shrink=0.8, label="less the mean of the classes")
    return figure


def _profiles(summary: Summary) -> Figure | None:
    if not summary.blocks or not summary.classes:
        return None
    block = most_different_profiles(summary)
    order = np.argsort(-np.array(summary.counts), kind="stable")[:MOST_CLASSES]
    columns = min(4, len(order))
    rows = -(-len(order) // columns)
    figure = _new(1.7 * columns, 1.4 * rows + 0.4)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    frames = np.arange(1, len(block.profile) + 1)
    for panel, kind in zip(panels.flat, order, strict=False):
        panel.plot(frames, block.profile, color=GRAY, linestyle="--", linewidth=0.9)
        mean, margin = block.profiles[kind], np.nan_to_num(block.margins[kind])
        panel.plot(frames, mean, color=PROFILE, linewidth=1.3)
        panel.fill_between(frames, mean - margin, mean + margin, color=PROFILE, alpha=0.2, linewidth=0)
        panel.set_title(f"{_short(summary.classes[kind])} ({summary.counts[kind]})", fontsize=7.5)
    for panel in panels.flat[len(order) :]:
        panel.set_visible(False)
    figure.supxlabel("frame", fontsize=8)
    figure.supylabel(f"mean gate of {_short(block.name)}", fontsize=8)
    return figure


def _right_and_wrong(summary: Summary) -> Figure | None:
    rows = [(number, block.difference) for number, block in enumerate(summary.blocks) if block.difference]
    if not rows:
        return None
    figure, axes = _rows(summary, "mean gate, right less wrong answers of the same class, in 0.01")
    _errorbars(axes, rows, *MODES["mean"], None)
    return figure


def _new(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
