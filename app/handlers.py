"""Events of the page -> calls of `aia` -> what the page shows. No tensor is touched here."""

from __future__ import annotations

import logging
import secrets
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

import aia
from aia import export, render
from app import models, text, views

try:  # ZeroGPU lends a GPU to the decorated function; elsewhere the package is not there
    import spaces

    on_gpu = spaces.GPU(duration=10)
except ImportError:

    def on_gpu(function):
        """Runs the function as it is."""
        return function


log = logging.getLogger(__name__)
SHOWN_SIDE = 640  # pixels; the network sees the frames at full size, the page shows and keeps them no larger
EXPORT_SECONDS = 60


@dataclass(frozen=True)
class Look:
    """How the heat map is drawn; an empty block stands for the inspection's first."""

    block: str
    opacity: float
    scale: str
    colour_map: str


@on_gpu
def _inspect(name: str, clip: aia.Clip) -> aia.Inspection:
    return aia.inspect(models.get(name), clip)


def inspect(video: str | None, name: str, offered: list[str], progress: gr.Progress) -> aia.Inspection:
    """Reads and classifies a clip.

    Raises:
        AIAError: Whatever cannot be done, in a sentence for the visitor.
    """
    if not video:
        raise aia.AIAError(text.NO_VIDEO)
    if name not in offered:
        raise aia.AIAError(text.UNKNOWN_MODEL.format(name=str(name)[:100], names=", ".join(offered)))
    progress(0.1, desc=text.STEP_READ)
    model = models.get(name)
    clip = aia.read_clip(video, model.config.num_segments)
    progress(0.5, desc=text.STEP_RUN)
    seen = _inspect(name, clip)
    progress(0.8, desc=text.STEP_DRAW)
    return replace(seen, clip=replace(seen.clip, frames=render.shrink(seen.clip.frames, SHOWN_SIDE)))


def sentence(error: Exception) -> str:
    """What a visitor is told about an error: our own sentences as they are, of a bug only a number to report."""
    if isinstance(error, aia.AIAError):
        return str(error)
    number = secrets.token_hex(4)
    log.error("report %s", number, exc_info=error)
    return text.CRASH.format(id=number)


def show(video: str | None, name: str, look: Look, before: aia.Inspection | None, offered, progress):
    """A new result: every output of the page, in the order of `studio.build`."""
    try:
        seen = inspect(video, name, offered, progress)
        names = [block.name for block in seen.blocks]
        if not before or look.block not in names:  # a block that was chosen stays chosen
            look = replace(look, block=seen.first_block)
        return (
            gr.update(value="", visible=False),
            seen,
            views.result(seen),
            views.strip(text.STRIP, seen.clip.frames, seen.clip.times),
            views.quiet(text.knows(seen.labels)),
            gr.update(visible=bool(names)),
            gr.update(visible=bool(names)),
            gr.update(visible=not names),
            gr.update(choices=text.block_choices(seen), value=look.block or None),
            *pictures(seen, look),
        )
    except Exception as error:
        said = sentence(error) + (text.KEPT if before else "")
        return gr.update(value=views.error(said), visible=True), *[gr.skip()] * 13


def redraw(seen: aia.Inspection | None, block: str, opacity: float, scale: str, colour_map: str):
    """The pictures of another block or with another look; nothing runs through the network again."""
    if seen is None:
        gr.Warning(text.EXPIRED)
    if seen is None or block not in {b.name for b in seen.blocks}:  # the model was changed meanwhile
        return [gr.skip()] * 5
    try:
        return pictures(seen, Look(block, opacity, scale, colour_map))
    except Exception as error:
        raise gr.Error(sentence(error), print_exception=False) from None


def pictures(seen: aia.Inspection, look: Look) -> tuple[str, str, str, str, str]:
    """Sentence, overlay, film strip, channel chart and profile of one block, as HTML."""
    if not seen.blocks:
        return "", "", "", "", ""
    block = seen.block(look.block)
    scale = (0.0, 1.0) if look.scale == text.ABSOLUTE else (block.highlights.low, block.highlights.high)
    drawn = render.overlay(
        seen.clip.frames,
        block.spatiotemporal_map,
        seen_box=seen.seen_box,
        opacity=look.opacity,
        colour_map=look.colour_map,
        scale=scale,
    )
    return (
        views.words(text.what_is_seen(seen, block)),
        views.player(_mp4(seen, drawn), look.colour_map, scale, f"{text.OVERLAY}, {block.name}"),
        views.strip(text.STRIP_DRAWN, drawn, seen.clip.times),
        views.channels(block, look.colour_map),
        views.profile(block, seen.clip.times, look.colour_map),
    )


def _mp4(seen: aia.Inspection, drawn) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "overlay.mp4"
        render.write_mp4(path, drawn, render.playback_fps(len(drawn), seen.clip.duration))
        return path.read_bytes()


def _export_folder() -> Path:
    """A folder that lives a minute: long enough for Gradio to copy the files to its own cache, which it empties."""
    folder = tempfile.TemporaryDirectory(prefix="aia-export-")
    timer = threading.Timer(EXPORT_SECONDS, folder.cleanup)
    timer.daemon = True
    timer.start()
    return Path(folder.name)


def classify_api(video: str | None, name: str, offered: list[str], progress: gr.Progress) -> dict[str, Any]:
    """The endpoint /classify."""
    try:
        seen = inspect(video, name, offered, progress)
    except Exception as error:
        raise gr.Error(sentence(error), print_exception=False) from None
    answer = {"label": seen.label, "sure": seen.sure, "scores": seen.scores, "model": name}
    return {**answer, "frames": seen.clip.indices.tolist()}


def inspect_api(video: str | None, name: str, block: str, offered: list[str], progress: gr.Progress):
    """The endpoint /inspect."""
    try:
        seen = inspect(video, name, offered, progress)
        files = {path.name: str(path) for path in export.save(seen, _export_folder(), block=block or None)}
        shown = seen.block(block or seen.first_block) if seen.blocks else None
    except Exception as error:
        raise gr.Error(sentence(error), print_exception=False) from None
    return export.summary(seen, shown), files["gates.npz"], files["overlay.mp4"]
