"""What the page can do, for its own events and for programs alike: files and names in, results of `aia` out."""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import aia
from aia.locations import ASSETS
from aia.video import worker
from aia.visualization import render, web
from app import learn, text
from app.result import Result
from app.service import disconnect, models

if TYPE_CHECKING:
    from aia.inspection.ablation import Ranking, RankingMode

try:  # ZeroGPU lends a GPU to the decorated function; elsewhere the package is not there
    import spaces

    on_gpu = spaces.GPU(duration=10)
except ImportError:

    def on_gpu(function):
        """Runs the function as it is."""
        return function


EXAMPLES_FOLDER = ASSETS / "examples"
EXAMPLES = {  # file in assets/examples -> label on the page
    "swipe-left": "swipe left",
    "swipe-right": "swipe right",
    "swipe-up": "swipe up",
    "circle": "circle",
    "check-mark": "check mark",
    "caret": "caret",
    "cross": "cross",
    "star": "star",
    "square": "square",
    "no-gesture-waving": "waving (no gesture)",
}
KEPT_SIDE = 640  # pixels; the network sees the frames at full size, a result keeps them no larger

Step = Callable[[float, str], None]  # told how far the work is, 0 to 1, and what is being done


class Gone(aia.AIAError):
    """A clip that is no longer on the server."""


def inspect_video(
    video: str | None,
    model: str,
    offered: Sequence[str],
    *,
    backwards: bool = False,
    switches: Sequence[aia.Switch] = (),
    step: Step = lambda *_: None,
) -> Result:
    """Reads and classifies a clip.

    Raises:
        AIAError: Whatever cannot be done, in a sentence for the visitor.
    """
    check(video, model, offered)
    step(0.1, text.STEP_READ)
    clip = read(video, model, backwards)
    disconnect.raise_if_disconnected("the network")
    step(0.5, text.STEP_RUN)
    seen = _inspect(model, clip, tuple(switches))
    disconnect.raise_if_disconnected("the answer")
    step(0.8, text.STEP_DRAW)
    return Result(video, model, backwards, tuple(switches), replace(seen, clip=_small(clip)))


def rank(video: str | None, model: str, offered: Sequence[str], mode: str, *, backwards: bool = False):
    """Which block's gates matter most; see `aia.rank_blocks`."""
    check(video, model, offered)
    clip = read(video, model, backwards)
    disconnect.raise_if_disconnected("the ranking")
    return _rank(model, clip, mode)


def lesson(video: str, model: str, block: str, unit: str, *, backwards: bool = False) -> str:
    """The stages of one block on a clip; see `app.learn.payload`.

    Raises:
        AIAError: The model has no gates, or no such block or unit.
    """
    net = models.get(model)
    if not net.block_names:
        raise aia.AIAError(text.NOTHING_TO_LEARN)
    block = block or net.config.default_block or net.block_names[0]
    clip = read(video, model, backwards)
    disconnect.raise_if_disconnected("the lesson")
    return _lesson(model, clip, block, unit)


def check(video: str | None, model: str, offered: Sequence[str]) -> None:
    """Refuses a missing clip and a model that the page does not offer.

    Raises:
        AIAError: One of them.
    """
    if not video:
        raise aia.AIAError(text.NO_VIDEO)
    if model not in offered:
        raise aia.AIAError(text.UNKNOWN_MODEL.format(name=str(model)[:100]))


def read(video: str, model: str, backwards: bool = False) -> aia.Clip:
    """The frames that a model takes of a video, read in a process apart: no file can take the page down.

    Raises:
        Gone: The video has been deleted meanwhile.
    """
    frames = models.get(model).config.num_segments
    if not Path(video).is_file():
        raise Gone(text.CLIP_GONE)
    clip = worker.read_clip(video, frames)
    return clip.backwards() if backwards else clip


@on_gpu
def _inspect(model: str, clip: aia.Clip, switches: tuple[aia.Switch, ...]) -> aia.Inspection:
    return models.run(lambda net: aia.inspect(net, clip, switches=switches), model)


@on_gpu
def _rank(model: str, clip: aia.Clip, mode: str) -> Ranking:
    # `rank_blocks` refuses other modes
    return models.run(lambda net: aia.rank_blocks(net, clip, mode=cast("RankingMode", mode)), model)


@on_gpu
def _lesson(model: str, clip: aia.Clip, block: str, unit: str) -> str:
    return models.run(lambda net: learn.payload(net, clip, block, unit), model)


def _small(clip: aia.Clip) -> aia.Clip:
    return replace(clip, frames=render.shrink(clip.frames, KEPT_SIDE))


def switches_for(seen: aia.Inspection, mode: str, where: str, units: Sequence[str]) -> tuple[aia.Switch, ...]:
    """The switches that a visitor asked for.

    Args:
        seen: Of the model whose gates are switched.
        mode: One of `aia.inspection.ablation.MODES`.
        where: "*" for all blocks, or names of blocks separated by commas.
        units: Of C, T, H and W; those that the model lacks are left out.

    Raises:
        AIAError: Nothing is left to switch.
    """
    from aia.inspection import ablation  # brings torch, which the page starts without

    if not seen.blocks:
        raise aia.AIAError(text.NOTHING_TO_SWITCH)
    if mode not in ablation.MODES:
        raise aia.AIAError(f"Gates can be switched to {', '.join(ablation.MODES)}, not {str(mode)[:60]!r}.")
    there = {unit.split(".")[-1] for block in seen.blocks for unit in block.gates}
    chosen = [unit for unit in dict.fromkeys(units) if unit in there]
    blocks = list(dict.fromkeys(block.strip() for block in where.split(",")))
    unknown = next((block for block in blocks if block not in ("*", *(b.name for b in seen.blocks))), None)
    if unknown is not None:
        raise aia.AIAError(text.NO_BLOCK.format(name=unknown[:60], names=", ".join(b.name for b in seen.blocks)))
    if not chosen:
        raise aia.AIAError(text.NO_UNIT.format(units=", ".join(sorted(there))))
    if there <= set(chosen):
        chosen = ["*"]
    return tuple(aia.Switch(mode, block, unit) for block in blocks for unit in chosen)


def example_of(video: str) -> str:
    """The example that a file is (it may lie in a cache); "" for a visitor's own."""
    own = EXAMPLES_FOLDER / Path(video).name
    named = own.stem in EXAMPLES and own.is_file() and Path(video).is_file()
    return own.stem if named and filecmp.cmp(own, video, shallow=False) else ""


def answer(side: Result, *, channels: bool = True) -> tuple[dict, bytes]:
    """What the viewer draws of a result, and the channels' gates apart; see `aia.visualization.web.pack`."""
    packed, gates = web.pack(side.seen, channels=channels)
    about = {
        "title": text.side_title(side),
        "says": text.side_says(side.seen),
        "link": {"model": side.model, "example": example_of(side.video)},
    }
    return packed | about, gates
