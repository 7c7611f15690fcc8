"""Draws a view: a picture, a film strip, a film, a figure for a paper, and the table of its values."""

from __future__ import annotations

import dataclasses
import io
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aia import files
from aia.errors import AIAError
from aia.inspection.inspection import Inspection
from aia.visualization import render
from aia.visualization.view import View, limits, values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SCALE_WORDS = {
    "typical": "difference from usual",
    "absolute": "scale 0 to 1",
    "clip": "scale of all blocks",
    "block": "scale of this block",
}
SIDE = 640  # pixels; the longer side of the picture and the film, for clips of any size
STRIP_SIDE = 240  # pixels; the longer side of one frame in a strip or figure
MIN_WIDTH = 360  # pixels; a narrower picture has no room for its legend


class Value(NamedTuple):
    """One value of a view: frame, row and column are 0-based, the index and the time are those of the source clip.

    `value` is the gate, `difference` how much more open than usual it is; None if that is unknown.
    """

    frame: int
    source_index: int
    seconds: float
    row: int
    column: int
    value: float
    difference: float | None


TABLE_HEADER = Value._fields


class FigureFormat(NamedTuple):
    """A format of the paper's figure: a line for menus, and the options of matplotlib's `savefig`."""

    description: str
    options: dict[str, Any]


FIGURE_FORMATS = {  # without the creation time, so that the same view gives the same file
    "png": FigureFormat("for a paper, 200 dpi", {"dpi": 200}),
    "svg": FigureFormat("for the web and for drawing", {"dpi": 300, "metadata": {"Date": None}}),
    "pdf": FigureFormat("for LaTeX and for print", {"dpi": 300, "metadata": {"CreationDate": None}}),
}
_STYLE = {"font.size": 7, "axes.linewidth": 0.6, "svg.fonttype": "none", "svg.hashsalt": "aia", "pdf.fonttype": 42}
_style_lock = threading.Lock()  # matplotlib's settings belong to the whole process


def frame_picture(inspection: Inspection, view: View) -> np.ndarray:
    """The view's frame with the map over it and a legend under it, RGB uint8 `[H, W, 3]`; plain without gates.

    Raises:
        AIAError: The inspection has no such view.
    """
    view = view.checked(inspection)
    picture: np.ndarray = _pictures(inspection, view, slice(view.frame, view.frame + 1))[0]
    return picture


def film(inspection: Inspection, view: View, path: str | Path) -> None:
    """Writes all frames as `frame_picture` draws them as an MP4 that plays about as long as the clip.

    Raises:
        AIAError: The inspection has no such view.
    """
    pictures = _pictures(inspection, view.checked(inspection))
    render.write_mp4(Path(path), pictures, render.playback_fps(len(pictures), inspection.clip.duration))


def strip_picture(inspection: Inspection, view: View, step: int = 1) -> np.ndarray:
    """Every `step`-th frame in a row with the map over it, the times and one legend, RGB uint8 `[H, W, 3]`.

    Raises:
        AIAError: The inspection has no such view.
    """
    view, which = view.checked(inspection), slice(None, None, step)
    pictures = _drawn(inspection, view, STRIP_SIDE, which)
    count, height, width = pictures.shape[:3]
    pitch = max(width, 56) + 4  # a time needs 56 pixels
    sheet = Image.new("RGB", (max(count * pitch, MIN_WIDTH), height + 20), render.PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (picture, time) in enumerate(zip(pictures, inspection.clip.times[which], strict=True)):
        middle = number * pitch + pitch // 2
        sheet.paste(Image.fromarray(picture), (middle - width // 2, 0))
        draw.text((middle, height + 10), f"{time:.2f} s", render.INK, ImageFont.load_default(13), anchor="mm")
    strip: np.ndarray = _with_legend(inspection, view, np.asarray(sheet)[None])[0]
    return strip


def table(inspection: Inspection, view: View) -> Iterator[Value]:
    """The values of a view, frame by frame and row by row.

    Raises:
        AIAError: The inspection has no such view.
    """
    times, indices = inspection.clip.times.tolist(), inspection.clip.indices.tolist()
    gates = values(inspection, dataclasses.replace(view, scale="absolute"))
    typical = dataclasses.replace(view, scale="typical")
    known = typical.checked(inspection).scale == "typical"
    differences = values(inspection, typical) if known else np.full(gates.shape, np.nan)
    return (
        Value(
            frame,
            indices[frame],
            round(times[frame], 4),
            row,
            column,
            round(float(value), 6),
            round(float(differences[frame, row, column]), 6) if known else None,
        )
        for (frame, row, column), value in np.ndenumerate(gates)
    )


def paper_figure(inspection: Inspection, view: View, path: str | Path, format: str) -> None:
    """Writes a figure for a paper: the prediction, all frames with the map, the mean gate of each frame, a color bar.

    It is 7 inches wide (two columns). Text stays text in SVG and PDF, and the same view gives the same file.

    Args:
        inspection: An inspection; without gates the figure has the frames alone.
        view: What to draw; its frame is ignored.
        path: The file, which is overwritten if it exists.
        format: One of `FIGURE_FORMATS`.

    Raises:
        AIAError: The inspection has no such view, or no such format.
    """
    if format not in FIGURE_FORMATS:
        raise AIAError(f"A figure can be {', '.join(FIGURE_FORMATS)}; choose one of them.")
    view = view.checked(inspection)
    content = io.BytesIO()  # matplotlib's PDF writer hides why a file cannot be written
    with _style():
        _figure(inspection, view).savefig(content, format=format, **FIGURE_FORMATS[format].options)
    with files.writing(path) as part:
        part.write_bytes(content.getbuffer())


def figure(inspection: Inspection, view: View) -> Figure:
    """Makes the figure that `paper_figure` writes. It belongs to the caller: pyplot does not know it.

    Raises:
        AIAError: The inspection has no such view.
    """
    view = view.checked(inspection)
    with _style():
        drawn = _figure(inspection, view)
        drawn.draw_without_rendering()  # makes all its parts while our settings hold
    return drawn


@contextmanager
def _style() -> Iterator[None]:
    """Our settings of matplotlib, for one thread at a time."""
    import matplotlib.style  # here, because only figures need it

    with _style_lock, matplotlib.style.context(_STYLE, after_reset=True):
        yield


_ALL = slice(None)


def _pictures(inspection: Inspection, view: View, which: slice = _ALL) -> np.ndarray:
    """Frames of full size with map and legend."""
    return _with_legend(inspection, view, _drawn(inspection, view, SIDE, which), inspection.clip.times[which])


def _drawn(inspection: Inspection, view: View, side: int, which: slice = _ALL) -> np.ndarray:
    """Frames with the map over them, the longer side `side` pixels."""
    # first to SIDE, so that the page, which keeps frames of this size, gets the same picture
    frames = render.shrink(render.shrink(inspection.clip.frames[which], SIDE), side)
    height, width = frames.shape[1:3]
    if max(height, width) < side:
        size = (max(1, width * side // max(height, width)), max(1, height * side // max(height, width)))
        frames = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames])
    return overlaid(inspection, view, frames, which) if inspection.blocks else frames


def overlaid(inspection: Inspection, view: View, frames: np.ndarray, which: slice = _ALL) -> np.ndarray:
    """Draws a view's map over the frames `which` of a clip, which are given in any size: RGB uint8 `[T, H, W, 3]`."""
    return render.overlay(
        frames,
        values(inspection, view)[which],
        seen_box=inspection.seen_box,
        opacity=view.opacity,
        colormap=view.checked(inspection).colormap,
        scale=limits(inspection, view),
        smooth=not view.cells,
    )


def _with_legend(
    inspection: Inspection, view: View, pictures: np.ndarray, times: np.ndarray | None = None
) -> np.ndarray:
    """Pictures with a footer: what they show, and the time of each; unchanged without gates."""
    if not inspection.blocks:
        return pictures
    block, gate, channel, _ = words(inspection, view)
    ends = [""] if times is None else [f" · {time:.2f} s" for time in times]
    missing = max(0, MIN_WIDTH - pictures.shape[2])
    pictures = np.pad(pictures, ((0, 0), (0, 0), (missing // 2, missing - missing // 2), (0, 0)), constant_values=255)
    captions = [f"{block} · {gate}\n{channel}{end}" for end in ends]
    return render.with_legend(pictures, captions, colormap=view.colormap, scale=limits(inspection, view))


class ViewWords(NamedTuple):
    """A view in words."""

    block: str
    gate: str
    channel: str
    scale: str


def words(inspection: Inspection, view: View) -> ViewWords:
    """Describes a view of `checked` for a legend."""
    if inspection.block(view.block).num_channels(view.gate) == 1:
        channel = "the same for all channels"
    else:
        channel = "mean over channels" if view.channel is None else f"channel {view.channel}"
    return ViewWords(
        view.block,
        "combined gate" if view.gate == "combined" else f"gate {view.gate}",
        channel,
        "scale {:.3g} to {:.3g}".format(*view.scale) if isinstance(view.scale, tuple) else SCALE_WORDS[view.scale],
    )


# The figure's layout, in inches.
_WIDTH, _PER_ROW, _MAX_HEIGHT = 7.0, 8, 2.0
_LEFT, _RIGHT, _GAP, _LINE = 0.6, 0.95, 0.04, 0.7
_TITLE_LINE, _TIME_LINE, _BELOW = 0.145, 0.18, 0.35


def _figure(inspection: Inspection, view: View) -> Figure:
    from matplotlib.figure import Figure

    title, subtitle = _title(inspection, view)
    pictures = _drawn(inspection, view, STRIP_SIDE)
    left, right, below = (_LEFT, _RIGHT, _GAP + _LINE + _BELOW) if inspection.blocks else (_GAP, _GAP, _GAP)
    rows = -(-len(pictures) // _PER_ROW)
    columns = -(-len(pictures) // rows)
    cell = (_WIDTH - left - right) / columns
    height, width = pictures.shape[1:3]
    inches = min((cell - _GAP) / width, _MAX_HEIGHT / height)  # per pixel
    row_height = height * inches + _TIME_LINE
    head = _TITLE_LINE * (title.count("\n") + subtitle.count("\n") + 2) + 0.12
    total = head + rows * row_height + below
    figure = Figure(figsize=(_WIDTH, total))

    def axes(x: float, y: float, width: float, height: float) -> Axes:
        """Axes at a place, in inches from the left and from the top."""
        return figure.add_axes((x / _WIDTH, 1 - (y + height) / total, width / _WIDTH, height / total))

    def write(x: float, y: float, text: str, **style: Any) -> None:
        figure.text(x / _WIDTH, 1 - y / total, text, va="top", parse_math=False, **style)

    write(left, 0.06, title, fontsize=8.5, weight="bold", linespacing=1.2)
    write(left, 0.06 + _TITLE_LINE * (title.count("\n") + 1), subtitle, linespacing=1.3)
    for number, (picture, time) in enumerate(zip(pictures, inspection.clip.times, strict=True)):
        row, column = divmod(number, columns)
        middle, top = left + (column + 0.5) * cell, head + row * row_height
        frame = axes(middle - width * inches / 2, top, width * inches, height * inches)
        frame.imshow(picture, aspect="auto")
        frame.set_axis_off()
        write(middle, top + height * inches + 0.03, f"{time:.2f} s", ha="center", fontsize=6.5)
    if inspection.blocks:
        top = head + rows * row_height + _GAP
        _draw_line(axes(left, top, _WIDTH - left - right, _LINE), inspection, view)
        _draw_bar(axes(_WIDTH - right + 0.08, head, 0.1, top + _LINE - head), inspection, view)
    return figure


def _title(inspection: Inspection, view: View) -> tuple[str, str]:
    """The prediction, and what the figure shows; both in lines that fit."""
    parts = [inspection.title, *(words(inspection, view) if inspection.blocks else ())]
    parts += ["gates switched"] if inspection.switches else []
    return textwrap.fill(prediction(inspection), 68), textwrap.fill(" · ".join(parts), 120)


def prediction(inspection: Inspection) -> str:
    """The label and its probability in words."""
    label = "".join(letter if letter.isprintable() else " " for letter in inspection.label)
    probability = f"{100 * inspection.probabilities.max():.1f} %"
    return f"{'' if inspection.is_confident else 'not sure; closest: '}{label} ({probability})"


def _draw_line(axes: Axes, inspection: Inspection, view: View) -> None:
    """The mean of each frame. With one row of frames, each point is below its frame."""
    means = values(inspection, view).mean(axis=(1, 2))
    numbers = np.arange(1, len(means) + 1)
    _number_scale(axes, inspection, view)
    if view.scale == "typical":
        axes.axhline(0, color="0.7", linewidth=0.6)
        end = inspection.block(view.block).profile_limit(view.gate, view.channel)
        axes.set_ylim(-end, end)
        axes.set_yticks([-end, 0, end], render.scale_numbers((-end, end)))
    axes.plot(numbers, means, color="0.2", linewidth=1, marker="o", markersize=3)
    axes.set_xlim(0.5, len(means) + 0.5)
    axes.set_xticks(numbers[:: -(-len(means) // 16)])
    axes.set_xlabel("frame", labelpad=1)
    axes.set_ylabel("mean difference" if view.scale == "typical" else "mean gate", labelpad=2)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_bar(axes: Axes, inspection: Inspection, view: View) -> None:
    """The colors and their values."""
    axes.imshow(
        render.colormap_table(view.colormap)[::-1, None], aspect="auto", extent=(0, 1, *_range(inspection, view))
    )
    axes.set_xticks([])
    axes.yaxis.set_label_position("right")
    axes.yaxis.tick_right()
    block, gate, channel, _ = words(inspection, view)
    meaning = "less or more open than usual" if view.scale == "typical" else channel
    axes.set_ylabel(f"{gate}, {block}\n{meaning}", labelpad=3)
    _number_scale(axes, inspection, view)


def _number_scale(axes: Axes, inspection: Inspection, view: View) -> None:
    """The view's scale as the y axis, with its lowest, middle and highest value."""
    low, high = limits(inspection, view)
    axes.set_ylim(_range(inspection, view))
    count = 3 if high > low else 1
    axes.set_yticks([low, (low + high) / 2, high][:count], render.scale_numbers((low, high))[:count])


def _range(inspection: Inspection, view: View) -> tuple[float, float]:
    """The view's limits, which differ even if the gate has one value everywhere."""
    low, high = limits(inspection, view)
    return low, max(high, low + 1e-6)
