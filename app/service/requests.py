"""What the page can do, for its own events and for programs: files and names in, results of `aia` out."""

from __future__ import annotations

import filecmp
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import gradio as gr

import aia
from aia.locations import ASSETS
from aia.video import worker
from aia.visualization import render, web
from app import learn, text
from app.result import Result
from app.service import disconnect, models, references
from app.service.turns import turn

if TYPE_CHECKING:
    from aia.inspection.ablation import Ranking, RankingMode
    from aia.inspection.batch import Classified, Inputs
    from aia.modeling.recording import SwitchMode
    from app.service.models import LoadedModel

F = TypeVar("F", bound=Callable[..., Any])
log = logging.getLogger(__name__)

try:  # ZeroGPU lends a GPU to the decorated function; elsewhere the package is not installed
    import spaces

    ZERO_GPU = True

    def on_gpu(function: F) -> F:
        """The function with a GPU. It runs in another process, and no error arrives from there as it was but as a value."""

        @spaces.GPU(duration=10)
        @wraps(function)
        def answer(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except aia.AIAError as error:
                return error
            except Exception as error:  # a bug; not every exception can be sent
                log.exception("in the process with the GPU")
                return RuntimeError(f"{type(error).__name__}: {error}")

        @wraps(function)
        def answer_or_raise(*arguments: Any) -> Any:
            try:
                answered = answer(*arguments)
            except gr.Error as error:  # of ZeroGPU: no quota or no free GPU
                log.error("ZeroGPU: %s", error, exc_info=error)
                raise aia.AIAError(text.NO_GPU) from None
            if isinstance(answered, Exception):
                raise answered
            return answered

        return cast("F", answer_or_raise)

except ImportError:
    ZERO_GPU = False

    def on_gpu(function: F) -> F:
        """The function, run once its turn has come."""

        @wraps(function)
        def in_turn(*arguments: Any) -> Any:
            with turn():
                return function(*arguments)

        return cast("F", in_turn)


EXAMPLES_FOLDER = ASSETS / "examples"
EXAMPLES_OF = {  # task of a group -> file in assets/examples -> label on the page
    "gestures": {
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
    },
    "camera": {
        "pan-left": "pan left",
        "pan-right": "pan right",
        "tilt-up": "tilt up",
        "zoom-in": "zoom in",
        "zoom-out": "zoom out",
        "roll-clockwise": "roll clockwise",
    },
}
# The groups alternate, so that the first few examples show each.
EXAMPLES = dict(
    example
    for turn in zip_longest(*(examples.items() for examples in EXAMPLES_OF.values()))
    for example in turn
    if example is not None
)
OF_EVERY_CLIP = "camera"  # the group whose labels fit every clip
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
    clip = _read(video, loaded.network.config.num_segments, backwards)
    disconnect.raise_if_disconnected("the network")
    step(0.5, text.STEP_RUN)
    inspection = _inspect(loaded, clip, tuple(switches)).with_reference(loaded.network.reference)
    disconnect.raise_if_disconnected("the answer")
    step(0.8, text.STEP_DRAW)
    return Result(video, model, backwards, tuple(switches), replace(inspection, clip=_small(clip)))


def ask_all(
    video: str | None,
    best: Mapping[str, str],
    *,
    current: str = "",
    step: Step = lambda *_: None,
) -> Result:
    """Asks one model of each group about a clip, which is read once, and looks into what one of them says.

    An example is looked into by its own group; another clip by the first of those that know it (`first_to_show`), else by
    `current`.

    Args:
        video: Path of the video file; None if the visitor gave none.
        best: From `models.asked_models`.
        current: The group that the visitor looks at now, for a clip that no model knows.
        step: Told of every step.

    Raises:
        AIAError: It cannot be done; the sentence is for the visitor.
    """
    clips: dict[int, aia.Clip] = {}
    loaded, asked = _ask(video, best, clips, step)
    answered = [task for task, answer in asked.items() if not isinstance(answer, aia.AIAError)]
    task = first_to_show(asked) or (current if current in answered else answered[0])
    if (own := group_of_example(example_of(str(video)))) in loaded:
        task = own
    disconnect.raise_if_disconnected("the network")
    step(0.7, text.STEP_RUN)
    model = loaded[task]
    clip = clips[model.network.config.num_segments]
    inspection = _inspect(model, clip, ()).with_reference(model.network.reference)
    disconnect.raise_if_disconnected("the answer")
    step(0.9, text.STEP_DRAW)
    return Result(str(video), best[task], False, (), replace(inspection, clip=_small(clip)), asked)


def classify_all(video: str | None, best: Mapping[str, str]) -> dict[str, Classified | aia.AIAError]:
    """What the model of each group says about a clip, or why it says nothing; see `ask_all`."""
    return _ask(video, best, {})[1]


def _ask(
    video: str | None, best: Mapping[str, str], clips: dict[int, aia.Clip], step: Step = lambda *_: None
) -> tuple[dict[str, LoadedModel], dict[str, Classified | aia.AIAError]]:
    """Runs every model that can be loaded. `clips` receives the clip in each number of frames that one of them takes.

    Raises:
        AIAError: There is no clip, it cannot be read, or no model says anything.
    """
    from aia.inspection.batch import Inputs  # imports torch; the page starts without it

    if not video:
        raise aia.AIAError(text.NO_VIDEO)
    step(0.1, text.STEP_READ)
    loaded: dict[str, LoadedModel] = {}
    problems: dict[str, aia.AIAError] = {}
    for task, name in best.items():
        try:
            loaded[task] = models.get(name)
        except aia.AIAError as error:
            problems[task] = error

    def read(segments: int) -> aia.Clip:
        clips[segments] = _read(video, segments)
        return clips[segments]

    inputs = Inputs([model.network.config for model in loaded.values()], read)
    disconnect.raise_if_disconnected("the networks")
    step(0.5, text.STEP_RUN)
    answers = problems | dict(zip(loaded, _predict(tuple(loaded.values()), inputs), strict=True))
    errors = [answer for answer in answers.values() if isinstance(answer, aia.AIAError)]
    if len(errors) == len(answers):
        raise errors[0] if errors else aia.AIAError(text.NOBODY_TO_ASK)
    return loaded, {task: answers[task] for task in best}


def first_to_show(asked: Mapping[str, Classified | aia.AIAError]) -> str:
    """The group with the most probable answer among those that know the clip; "" if none does.

    The camera does something in every clip, so its group comes after the others: they say more if they know the clip.
    """
    known = {
        task: float(answer.probabilities.max())
        for task, answer in asked.items()
        if not isinstance(answer, aia.AIAError) and answer.knows_clip
    }
    return max(known, key=lambda task: (task != OF_EVERY_CLIP, known[task]), default="")


def rank_blocks(video: str | None, model: str, offered: Sequence[str], mode: str) -> Ranking:
    """Which block's gates matter most; see `aia.rank_blocks`.

    Raises:
        AIAError: It cannot be done; the sentence is for the visitor.
    """
    video = checked(video, model, offered)
    loaded = models.get(model)
    clip = _read(video, loaded.network.config.num_segments)
    disconnect.raise_if_disconnected("the ranking")
    return _rank_blocks(loaded, clip, mode)


def trace_block(video: str | None, model: str, offered: Sequence[str], block: str, unit: str) -> str:
    """The stages of one block on a clip; see `app.learn.payload`.

    Raises:
        AIAError: The model has no gates, or no such block or unit.
    """
    video = checked(video, model, offered)
    loaded = models.get(model)
    names = loaded.network.block_names
    if not names:
        raise aia.AIAError(text.NOTHING_TO_LEARN)
    clip = _read(video, loaded.network.config.num_segments)
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


def _read(video: str, segments: int, backwards: bool = False) -> aia.Clip:
    """A clip in so many frames, read in a separate process: no file can take the page down.

    Raises:
        Gone: The video has been deleted.
    """
    if not Path(video).is_file():
        raise Gone(text.CLIP_GONE)
    clip = worker.read_clip(video, segments)
    return clip.backwards() if backwards else clip


@on_gpu
def _inspect(model: LoadedModel, clip: aia.Clip, switches: tuple[aia.Switch, ...]) -> aia.Inspection:
    # ZeroGPU sends the result from another process: without the reference, which this process has.
    return model.run(lambda network: aia.inspect(network, clip, switches=switches, held=not switches)).with_reference(
        None
    )


@on_gpu
def _predict(models: tuple[LoadedModel, ...], inputs: Inputs) -> list[Classified | aia.AIAError]:
    return [_prediction(model, inputs) for model in models]


def _prediction(model: LoadedModel, inputs: Inputs) -> Classified | aia.AIAError:
    from aia.inspection.batch import predict

    try:
        return model.run(lambda network: predict(network, [inputs])[0])
    except aia.AIAError as error:  # there is not enough memory for this one
        return error


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
    name = Path(video).stem
    example = example_file(name)
    comparable = name in EXAMPLES and example.is_file() and Path(video).is_file()
    return name if comparable and filecmp.cmp(example, video, shallow=False) else ""


def example_file(example: str) -> Path:
    """The video of an example. Those of camera movement have a folder of their own."""
    folder = EXAMPLES_FOLDER / "camera" if example in EXAMPLES_OF["camera"] else EXAMPLES_FOLDER
    return folder / f"{example}.mp4"


def group_of_example(example: str) -> str:
    """The task of the group that knows an example; "" for another name."""
    return next((task for task, examples in EXAMPLES_OF.items() if example in examples), "")


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
