"""What the page can do, for its own events and for programs: files and names in, results of `aia` out."""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import aia
from aia.locations import ASSETS
from aia.video import worker
from aia.visualization import render, web
from app import learn, text
from app.result import Result
from app.service import disconnect, models, references

if TYPE_CHECKING:
    from aia.inspection.ablation import Ranking, RankingMode
    from aia.modeling.recording import SwitchMode
    from app.service.models import LoadedModel

F = TypeVar("F", bound=Callable[..., Any])

try:  # ZeroGPU lends a GPU to the decorated function; elsewhere the package is not installed
    import spaces

    on_gpu = spaces.GPU(duration=10)
except ImportError:

    def on_gpu(function: F) -> F:
        """The function itself."""
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
KEPT_SIDE = 640  # pixels; the network gets the frames at full size, a result keeps smaller ones

Step = Callable[[float, str], None]  # called with the progress, 0 to 1, and what is done next


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

    Args:
        video: Path of the video file; None if the visitor gave none.
        model: A name.
        offered: The names that this visitor may use.
        backwards: Whether the clip is played backwards.
        switches: Changes to the gates.
        step: Told of every step.

    Raises:
        AIAError: It cannot be done; the sentence is for the visitor.
    """
    video = checked(video, model, offered)
    step(0.1, text.STEP_READ)
    loaded = models.get(model)
    clip = _read(video, loaded, backwards)
    disconnect.raise_if_disconnected("the network")
    step(0.5, text.STEP_RUN)
    inspection = _inspect(loaded, clip, tuple(switches)).with_reference(loaded.network.reference)
    disconnect.raise_if_disconnected("the answer")
    step(0.8, text.STEP_DRAW)
    return Result(video, model, backwards, tuple(switches), replace(inspection, clip=_small(clip)))


def rank_blocks(
    video: str | None, model: str, offered: Sequence[str], mode: str, *, backwards: bool = False
) -> Ranking:
    """Which block's gates matter most; see `aia.rank_blocks`.

    Raises:
        AIAError: It cannot be done; the sentence is for the visitor.
    """
    video = checked(video, model, offered)
    loaded = models.get(model)
    clip = _read(video, loaded, backwards)
    disconnect.raise_if_disconnected("the ranking")
    return _rank_blocks(loaded, clip, mode)


def trace_block(
    video: str | None, model: str, offered: Sequence[str], block: str, unit: str, *, backwards: bool = False
) -> str:
    """The stages of one block on a clip; see `app.learn.payload`.

    Raises:
        AIAError: The model has no gates, or no such block or unit.
    """
    video = checked(video, model, offered)
    loaded = models.get(model)
    names = loaded.network.block_names
    if not names:
        raise aia.AIAError(text.NOTHING_TO_LEARN)
    clip = _read(video, loaded, backwards)
    disconnect.raise_if_disconnected("the lesson")
    return _trace_block(loaded, clip, block or loaded.network.config.default_block or names[0], unit)


def checked(video: str | None, model: str, offered: Sequence[str]) -> str:
    """The video, if there is one and the page offers the model.

    Raises:
        AIAError: One of them is missing.
    """
    if not video:
        raise aia.AIAError(text.NO_VIDEO)
    if model not in offered:
        raise aia.AIAError(text.UNKNOWN_MODEL.format(name=str(model)[:100]))
    return video


def _read(video: str, model: LoadedModel, backwards: bool) -> aia.Clip:
    """The frames that a model takes, read in a separate process: no file can take the page down.

    Raises:
        Gone: The video has been deleted meanwhile.
    """
    if not Path(video).is_file():
        raise Gone(text.CLIP_GONE)
    clip = worker.read_clip(video, model.network.config.num_segments)
    return clip.backwards() if backwards else clip


@on_gpu
def _inspect(model: LoadedModel, clip: aia.Clip, switches: tuple[aia.Switch, ...]) -> aia.Inspection:
    # ZeroGPU sends the result from another process: without the reference, which this process has.
    return model.run(lambda network: aia.inspect(network, clip, switches=switches, held=not switches)).with_reference(
        None
    )


@on_gpu
def _rank_blocks(model: LoadedModel, clip: aia.Clip, mode: str) -> Ranking:
    # `rank_blocks` refuses other modes
    return model.run(lambda network: aia.rank_blocks(network, clip, mode=cast("RankingMode", mode)))


@on_gpu
def _trace_block(model: LoadedModel, clip: aia.Clip, block: str, unit: str) -> str:
    return model.run(lambda network: learn.payload(network, clip, block, unit))


def _small(clip: aia.Clip) -> aia.Clip:
    return replace(clip, frames=render.shrink(clip.frames, KEPT_SIDE))


def switches_for(inspection: aia.Inspection, mode: str, where: str, units: Sequence[str]) -> tuple[aia.Switch, ...]:
    """The switches that a visitor asked for.

    Args:
        inspection: A result of the model whose gates are switched.
        mode: One of `aia.inspection.ablation.MODES`.
        where: "*" for all blocks, or names of blocks separated by commas.
        units: Some of C, T, H and W. Units that the model lacks are ignored.

    Raises:
        AIAError: Nothing is left to switch.
    """
    from aia.inspection import ablation  # imports torch; the page starts without it

    if not inspection.blocks:
        raise aia.AIAError(text.NOTHING_TO_SWITCH)
    if mode not in ablation.MODES:
        raise aia.AIAError(f"Gates can be switched to {', '.join(ablation.MODES)}, not {str(mode)[:60]!r}.")
    names = [block.name for block in inspection.blocks]
    available = {unit.split(".")[-1] for block in inspection.blocks for unit in block.gates}
    chosen = [unit for unit in dict.fromkeys(units) if unit in available]
    blocks = list(dict.fromkeys(block.strip() for block in where.split(",")))
    unknown = next((block for block in blocks if block not in ("*", *names)), None)
    if unknown is not None:
        raise aia.AIAError(text.NO_BLOCK.format(name=unknown[:60], names=", ".join(names)))
    if not chosen:
        raise aia.AIAError(text.NO_UNIT.format(units=", ".join(sorted(available))))
    if available <= set(chosen):
        chosen = ["*"]
    return tuple(aia.Switch(cast("SwitchMode", mode), block, unit) for block in blocks for unit in chosen)


def example_of(video: str) -> str:
    """The name of the example that a file is a copy of; "" for a visitor's own clip."""
    example = EXAMPLES_FOLDER / Path(video).name
    comparable = example.stem in EXAMPLES and example.is_file() and Path(video).is_file()
    return example.stem if comparable and filecmp.cmp(example, video, shallow=False) else ""


def answer(result: Result, *, channels: bool = True) -> tuple[dict, bytes]:
    """What the viewer draws of a result, and the gates of the channels as bytes; see `aia.visualization.web.pack`."""
    packed, gates = web.pack(result.inspection, channels=channels)
    captions = {
        "title": text.side_title(result),
        "says": text.side_says(result.inspection),
        "plain": bool(models.without_gates(result.model)),
        "link": {"model": result.model, "example": example_of(result.video)},
        "reference": references.link(result.inspection),
    }
    return packed | captions, gates
