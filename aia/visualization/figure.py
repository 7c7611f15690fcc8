"""A view as something to take away: a picture, a film strip, a film, a figure for a paper, a table of its values."""

from __future__ import annotations

import io
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

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

SCALE_WORDS = {"absolute": "scale 0 to 1", "clip": "scale of all blocks", "block": "scale of this block"}
SIDE = 640  # pixels; the longer side of the picture and the film, whatever the size of the clip
STRIP_SIDE = 240  # pixels; the same of one frame in a strip or figure
MIN_WIDTH = 360  # pixels; a narrower picture leaves no room for its legend
TABLE_HEADER = ("frame", "source_index", "seconds", "row", "column", "value")
FIGURE_FORMATS = {  # what matplotlib would write of the time is left out: one view, one file
    "png": {"dpi": 200},
    "svg": {"dpi": 300, "metadata": {"Date": None}},
    "pdf": {"dpi": 300, "metadata": {"CreationDate": None}},
}
_STYLE = {"font.size": 7, "axes.linewidth": 0.6, "svg.fonttype": "none", "svg.hashsalt": "aia", "pdf.fonttype": 42}
_style_lock = threading.Lock()  # matplotlib's settings belong to the whole process


def frame_picture(seen: Inspection, view: View) -> np.ndarray:
    """The view's frame with the map over it and a legend under it, RGB uint8 `[H, W, 3]`; plain without gates.

    Raises:
        AIAError: There is no such view of this inspection.
    """
    view = view.checked(seen)
    return _pictures(seen, view, slice(view.frame, view.frame + 1))[0]


def film(seen: Inspection, view: View, path: str | Path) -> None:
    """Writes all frames as `frame_picture` draws them as an MP4 that plays about as long as the clip.

    Raises:
        AIAError: There is no such view of this inspection.
    """
    pictures = _pictures(seen, view.checked(seen))
    render.write_mp4(Path(path), pictures, render.playback_fps(len(pictures), seen.clip.duration))


def strip_picture(seen: Inspection, view: View) -> np.ndarray:
    """All frames beside each other with the map over them, their times and one legend, RGB uint8 `[H, W, 3]`.

    Raises:
        AIAError: There is no such view of this inspection.
    """
    view = view.checked(seen)
    pictures = _drawn(seen, view, STRIP_SIDE)
    count, height, width = pictures.shape[:3]
    step = max(width, 56) + 4  # a time needs 56 pixels
    sheet = Image.new("RGB", (max(count * step, MIN_WIDTH), height + 20), render.PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (picture, time) in enumerate(zip(pictures, seen.clip.times, strict=True)):
        middle = number * step + step // 2
        sheet.paste(Image.fromarray(picture), (middle - width // 2, 0))
        draw.text((middle, height + 10), f"{time:.2f} s", render.INK, ImageFont.load_default(13), anchor="mm")
    return _with_legend(seen, view, np.asarray(sheet)[None])[0]


def table(seen: Inspection, view: View) -> Iterator[tuple[int, int, float, int, int, float]]:
    """The values of a view, in the order of `TABLE_HEADER`: frame, row and column 0-based, the time in the source clip.

    Raises:
        AIAError: There is no such view of this inspection.
    """
    times, indices = seen.clip.times.tolist(), seen.clip.indices.tolist()
    return (
        (frame, indices[frame], round(times[frame], 4), row, column, round(float(value), 6))
        for (frame, row, column), value in np.ndenumerate(values(seen, view))
    )


def paper_figure(seen: Inspection, view: View, path: str | Path, format: str) -> None:
    """Writes a figure for a paper: what was answered, all frames with the map, the gate's mean in each, a colour bar.

    It is 7 inches wide, two columns. Text stays text in SVG and PDF, and the same view gives the same file again.

    Args:
        seen: An inspection; without gates the figure has the frames alone.
        view: What to draw; its frame plays no part.
        path: Written over.
        format: One of `FIGURE_FORMATS`.

    Raises:
        AIAError: There is no such view of this inspection, or no such format.
    """
    import matplotlib.style  # here, because only this figure needs it

    if format not in FIGURE_FORMATS:
        raise AIAError(f"A figure can be {', '.join(FIGURE_FORMATS)}; choose one of them.")
    view = view.checked(seen)
    content = io.BytesIO()  # matplotlib's PDF writer hides why a file cannot be written
    with _style_lock, matplotlib.style.context(_STYLE, after_reset=True):
        _figure(seen, view).savefig(content, format=format, **FIGURE_FORMATS[format])
    with files.writing(path) as part:
        part.write_bytes(content.getbuffer())


_ALL = slice(None)


def _pictures(seen: Inspection, view: View, which: slice = _ALL) -> np.ndarray:
    """Frames of full size with map and legend."""
    return _with_legend(seen, view, _drawn(seen, view, SIDE, which), seen.clip.times[which])


def _drawn(seen: Inspection, view: View, side: int, which: slice = _ALL) -> np.ndarray:
    """Frames with the map over them, the longer side `side` pixels."""
    # by way of SIDE, so that a page that keeps its frames no larger gets the very same picture
    frames = render.shrink(render.shrink(seen.clip.frames[which], SIDE), side)
    height, width = frames.shape[1:3]
    if max(height, width) < side:
        size = (max(1, width * side // max(height, width)), max(1, height * side // max(height, width)))
        frames = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames])
    if not seen.blocks:
        return frames
    return render.overlay(
        frames,
        values(seen, view)[which],
        seen_box=seen.seen_box,
        opacity=view.opacity,
        colour_map=view.colours,
        scale=limits(seen, view),
        smooth=not view.cells,
    )


def _with_legend(seen: Inspection, view: View, pictures: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    """Pictures with a footer that says what they show, each its own time; as they are without gates."""
    if not seen.blocks:
        return pictures
    block, gate, channel, _ = _words(view)
    ends = [""] if times is None else [f" · {time:.2f} s" for time in times]
    missing = max(0, MIN_WIDTH - pictures.shape[2])
    pictures = np.pad(pictures, ((0, 0), (0, 0), (missing // 2, missing - missing // 2), (0, 0)), constant_values=255)
    captions = [f"{block} · {gate}\n{channel}{end}" for end in ends]
    return render.with_legend(pictures, captions, colour_map=view.colours, scale=limits(seen, view))


def _words(view: View) -> tuple[str, str, str, str]:
    """What a view shows: its block, gate, channel and scale."""
    return (
        view.block,
        "combined gate" if view.gate == "combined" else f"gate {view.gate}",
        "mean over channels" if view.channel is None else f"channel {view.channel}",
        SCALE_WORDS.get(view.scale, "scale of both sides"),
    )


# The figure's layout, in inches.
_WIDTH, _PER_ROW, _MAX_HEIGHT = 7.0, 8, 2.0
_LEFT, _RIGHT, _GAP, _LINE = 0.6, 0.95, 0.04, 0.7
_TITLE_LINE, _TIME_LINE, _BELOW = 0.145, 0.18, 0.35


def _figure(seen: Inspection, view: View) -> Figure:
    from matplotlib.figure import Figure

    title, subtitle = _title(seen, view)
    pictures = _drawn(seen, view, STRIP_SIDE)
    left, right, below = (_LEFT, _RIGHT, _GAP + _LINE + _BELOW) if seen.blocks else (_GAP, _GAP, _GAP)
    rows = -(-len(pictures) // _PER_ROW)
    columns = -(-len(pictures) // rows)
    cell = (_WIDTH - left - right) / columns
    height, width = pictures.shape[1:3]
    shown = min((cell - _GAP) / width, _MAX_HEIGHT / height)  # inches a pixel
    row_height = height * shown + _TIME_LINE
    head = _TITLE_LINE * (title.count("\n") + subtitle.count("\n") + 2) + 0.12
    total = head + rows * row_height + below
    figure = Figure(figsize=(_WIDTH, total))

    def axes(x: float, y: float, width: float, height: float) -> Axes:
        """Axes at a place in inches from the left and from the top."""
        return figure.add_axes((x / _WIDTH, 1 - (y + height) / total, width / _WIDTH, height / total))

    def write(x: float, y: float, text: str, **style) -> None:
        figure.text(x / _WIDTH, 1 - y / total, text, va="top", parse_math=False, **style)

    write(left, 0.06, title, fontsize=8.5, weight="bold", linespacing=1.2)
    write(left, 0.06 + _TITLE_LINE * (title.count("\n") + 1), subtitle, linespacing=1.3)
    for number, (picture, time) in enumerate(zip(pictures, seen.clip.times, strict=True)):
        row, column = divmod(number, columns)
        middle, top = left + (column + 0.5) * cell, head + row * row_height
        one = axes(middle - width * shown / 2, top, width * shown, height * shown)
        one.imshow(picture, aspect="auto")
        one.set_axis_off()
        write(middle, top + height * shown + 0.03, f"{time:.2f} s", ha="center", fontsize=6.5)
    if seen.blocks:
        top = head + rows * row_height + _GAP
        _draw_line(axes(left, top, _WIDTH - left - right, _LINE), seen, view)
        _draw_bar(axes(_WIDTH - right + 0.08, head, 0.1, top + _LINE - head), seen, view)
    return figure


def _title(seen: Inspection, view: View) -> tuple[str, str]:
    """The answer, and what the figure shows; both in lines that fit."""
    label = "".join(letter if letter.isprintable() else " " for letter in seen.label)
    answer = f"{'' if seen.is_confident else 'not sure; closest: '}{label} ({100 * seen.probabilities.max():.1f} %)"
    shown = [seen.title, *(_words(view) if seen.blocks else ()), *(["gates switched"] if seen.switches else [])]
    return textwrap.fill(answer, 68), textwrap.fill(" · ".join(shown), 120)


def _draw_line(axes: Axes, seen: Inspection, view: View) -> None:
    """The gate's mean in each frame, on the scale of the colours; of one row of frames each has its point under it."""
    means = values(seen, view).mean(axis=(1, 2))
    numbers = np.arange(1, len(means) + 1)
    axes.plot(numbers, means, color="0.2", linewidth=1, marker="o", markersize=3)
    axes.set_xlim(0.5, len(means) + 0.5)
    axes.set_xticks(numbers[:: -(-len(means) // 16)])
    axes.set_xlabel("frame", labelpad=1)
    axes.set_ylabel("mean gate", labelpad=2)
    axes.spines[["top", "right"]].set_visible(False)
    _number_scale(axes, seen, view)


def _draw_bar(axes: Axes, seen: Inspection, view: View) -> None:
    """The colours and their values."""
    axes.imshow(render.colormap_table(view.colours)[::-1, None], aspect="auto", extent=(0, 1, *_range(seen, view)))
    axes.set_xticks([])
    axes.yaxis.set_label_position("right")
    axes.yaxis.tick_right()
    block, gate, channel, _ = _words(view)
    axes.set_ylabel(f"{gate}, {block}\n{channel}", labelpad=3)
    _number_scale(axes, seen, view)


def _number_scale(axes: Axes, seen: Inspection, view: View) -> None:
    """The view's scale as the y axis, with its lowest, middle and highest value."""
    low, high = limits(seen, view)
    axes.set_ylim(_range(seen, view))
    count = 3 if high > low else 1
    axes.set_yticks([low, (low + high) / 2, high][:count], render.scale_numbers((low, high))[:count])


def _range(seen: Inspection, view: View) -> tuple[float, float]:
    """The view's limits, apart even where the gate is one value everywhere."""
    low, high = limits(seen, view)
    return low, max(high, low + 1e-6)
