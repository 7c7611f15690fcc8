"""Shows an inspection in a notebook: a figure, and a short piece of HTML."""

from __future__ import annotations

import dataclasses
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from aia.inspection.inspection import Inspection
from aia.visualization import figure, render
from aia.visualization.view import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FRAMES = 12  # in a film strip of a notebook; of longer clips every second, third, ... frame
WIDTH = 1200  # pixels of a film strip, at most


def plot(inspection: Inspection, view: View | None = None, **fields: Any) -> Figure:
    """Draws a view as a figure; see `Inspection.plot`."""
    return figure.figure(inspection, dataclasses.replace(view or View(), **fields))


def html(inspection: Inspection) -> str:
    """The prediction, the frames, and the map of the first block over them, with the pictures inside."""
    clip = inspection.clip
    step = -(-len(clip.frames) // MAX_FRAMES)
    frames = render.shrink(clip.frames[::step], figure.STRIP_SIDE)
    film = render.strip(frames, height=frames.shape[1])
    parts = [
        f"<b>{escape(figure.prediction(inspection))}</b>",
        f"{escape(inspection.title)} · {escape(inspection.model)} · {len(clip.frames)} frames",
        _picture(film, "The frames of the clip"),
    ]
    if inspection.blocks:
        view = View().checked(inspection)
        if view.scale == "absolute":
            view = dataclasses.replace(view, scale="block")  # fills the colors; the legend has the numbers
        strip = figure.strip_picture(inspection, view, step)
        parts.append(_picture(strip, f"The frames with the combined gate of {view.block}"))
    return f"<div>{'<br>'.join(parts)}</div>"


def _picture(picture: np.ndarray, description: str) -> str:
    source = render.data_url(picture, min(WIDTH, picture.shape[1]))
    return f'<img src="{source}" alt="{escape(description)}" style="max-width: 100%">'
