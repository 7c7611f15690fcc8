"""Events of the page -> what it then shows: a mapping from the name of a component to its new value."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

import gradio as gr

import aia
from aia.visualization import export
from aia.visualization.view import View, limits
from app import errors, learn, text, viewer
from app.result import Result
from app.service import exports, models, requests
from app.ui import examples, html

log = logging.getLogger(__name__)
FIRST_EXAMPLE = next(iter(requests.EXAMPLES))

Shown = dict[str, Any]
# What a new result changes; what belonged to the one before is emptied.
RESULT = (
    *("problem", "shown", "other", "summary", "sentence", "viewer", "known", "where", "other_model"),
    *("what_if", "ranking", "compared", "lesson", "file", "python"),
)
NOTHING_SAID = gr.update(value="", visible=False)


def _problem(said: str) -> Shown:
    """A sentence above the result, which stays."""
    return {"problem": gr.update(value=html.error(said), visible=True)}


def gone() -> Shown:
    """The server has no result, though the page may show one: it was deleted, or the server was started again."""
    return _problem(text.RESULT_GONE)


def _or_problem(handler: Callable[..., Shown]) -> Callable[..., Shown]:
    """An error becomes a sentence above the result, which stays."""

    @wraps(handler)
    def safe(*args, **kwargs) -> Shown:
        try:
            return {"problem": NOTHING_SAID} | handler(*args, **kwargs)
        except Exception as error:
            return _problem(errors.sentence(error))

    return safe


def show(video: str | None, model: str, offered: Sequence[str], step: requests.Step, *, kept: bool = False) -> Shown:
    """A new result; what was compared with the one before goes. `kept`: one is shown, and stays after an error."""
    try:
        return {"problem": NOTHING_SAID} | _shown(requests.inspect_video(video, model, offered, step=step))
    except Exception as error:
        said = _problem(errors.sentence(error) + (text.KEPT if kept else ""))
        return said | {"video": None} if isinstance(error, requests.Gone) else said  # the box asks for a clip again


def choose(model: str, offered: Sequence[str], own: list[str], refusal: str) -> Shown:
    """What a model knows, once it is on this machine.

    Args:
        model: Any name.
        offered: What the page offers to everybody.
        own: What this visitor has brought in; a new name is added.
        refusal: What a new name is answered with; "" where this visitor may bring it in.

    Raises:
        AIAError: It cannot be had. Then the result before stays as it is.
    """
    if model not in (*offered, *own) and (refusal or not isinstance(model, str)):
        raise aia.AIAError((refusal or text.UNKNOWN_MODEL).format(name=str(model)[:100]))
    models.bring(model)
    labels = models.get(model).config.labels
    if model not in (*offered, *own):
        own.append(model)
    choices = models.choices([*offered, *own])
    return {"known": html.muted(text.knows(labels)), "other_model": gr.update(choices=choices), "own": own}


def load_link(query: dict[str, str], offered: Sequence[str]) -> Shown:
    """The model that a link asks for, or the page's first, and what is prepared of the result of its example.

    The clip's own box stays empty: it invites an upload, and with a clip in it Gradio's player loads 30 MB to trim it.
    """
    example, model, said = _asked(query, offered)
    problem = gr.update(value=html.error(said), visible=True) if said else NOTHING_SAID
    return {"problem": problem, "model": model} | examples.first_paint(example, model)


def run_first_example(query: dict[str, str], offered: Sequence[str]) -> Shown:
    """The result of what `welcome` chose; the model is not touched again: a visitor may have changed it."""
    example, model, _ = _asked(query, offered)
    try:
        side = examples.of_example(example, model)
        return _shown(side) | {"header": html.header(text.device_words(side.seen.device))}
    except Exception as error:
        return _problem(errors.sentence(error))


def _asked(query: dict[str, str], offered: Sequence[str]) -> tuple[str, str, str]:
    """Example and model of a link; what is not here is replaced by the page's first, and a sentence says so."""
    model, example = query.get("model") or offered[0], query.get("example") or FIRST_EXAMPLE
    missing = [
        *([text.OF_MODEL.format(name=model[:100])] if model not in offered else []),
        *([text.OF_EXAMPLE.format(name=example[:60])] if example not in requests.EXAMPLES else []),
    ]
    said = text.OLD_LINK.format(missing=" and ".join(missing)) if missing else ""
    if not missing and "frame" in query and "example" not in query:  # a view of a visitor's own clip
        said = text.CLIPLESS_LINK
    example = example if example in requests.EXAMPLES else FIRST_EXAMPLE
    return example, model if model in offered else offered[0], said


def _shown(side: Result) -> Shown:
    seen = side.seen
    return {
        "shown": side,
        "other": None,
        "summary": html.result(seen),
        "sentence": html.words(text.what_is_seen(seen)),
        "viewer": gr.update(value=viewer.value(*requests.answer(side)), other=""),
        "known": html.muted(text.knows(seen.labels)),
        "where": gr.update(choices=text.where_choices(seen), value="*"),
        "other_model": side.model,
        "what_if": "",
        "ranking": "",
        "compared": "",
        "lesson": "",
        "file": gr.update(value=None, visible=False),
        "python": gr.update(value="", visible=False),
    }


def _kept(side: Result | None) -> Result:
    """A result that is asked about again.

    Raises:
        AIAError: It has been deleted meanwhile.
    """
    if side is None:
        raise aia.AIAError(text.RESULT_GONE)
    return side


@_or_problem
def what_if(side: Result | None, mode: str, where: str, units: Sequence[str], step: requests.Step) -> Shown:
    """The same clip with gates switched."""
    side = _kept(side)
    switches = requests.switches_for(side.seen, mode, where, units)
    other = requests.inspect_video(
        side.video, side.model, [side.model], backwards=side.backwards, switches=switches, step=step
    )
    return {
        "other": other,
        "viewer": gr.update(other=viewer.value(*requests.answer(other))),
        "what_if": html.change(side.seen, other.seen, text.side_title(other)),
        "compared": "",
    }


def drop() -> Shown:
    """Side B is taken away."""
    made = {"file": gr.update(value=None, visible=False), "python": gr.update(value="", visible=False), "side": "A"}
    return {"other": None, "viewer": gr.update(other=""), "what_if": "", "compared": "", **made}


@_or_problem
def rank(side: Result | None, mode: str) -> Shown:
    """Which block's gates matter most for this prediction."""
    side = _kept(side)
    return {
        "ranking": html.ranking(requests.rank(side.video, side.model, [side.model], mode, backwards=side.backwards))
    }


@_or_problem
def compare(side: Result | None, model: str, which: str, video: str | None, offered, step: requests.Step) -> Shown:
    """Another model or another clip beside the result."""
    side = _kept(side)
    another = which == text.ANOTHER_CLIP
    if another and not video:
        raise aia.AIAError(text.NO_OTHER_VIDEO)
    try:
        backwards = which == text.BACKWARDS
        other = requests.inspect_video(video if another else side.video, model, offered, backwards=backwards, step=step)
    except requests.Gone as error:
        return _problem(errors.sentence(error)) | ({"other_video": None} if another else {})
    return {
        "other": other,
        "viewer": gr.update(other=viewer.value(*requests.answer(other))),
        "compared": html.comparison(side, other),
        "what_if": "",
    }


@_or_problem
def lesson(side: Result | None, block: str, unit: str) -> Shown:
    """The mechanism on the visitor's own clip."""
    side = _kept(side)
    if not side.seen.blocks:
        return {"lesson": learn.notice(text.NOTHING_TO_LEARN)}
    block = block or side.seen.first_block
    return {"lesson": requests.lesson(side.video, side.model, block, unit, backwards=side.backwards)}


@_or_problem
def make_file(shown: Result | None, other: Result | None, letter: str, state: Any, format: str) -> Shown:
    """One file of the view that the viewer shows of side A or B."""
    side, view = _view_of_side(shown, other, letter, state)
    return {
        "file": gr.update(value=str(export.export_view(side.seen, view, format, exports.export_folder())), visible=True)
    }


@_or_problem
def python(shown: Result | None, other: Result | None, letter: str, state: Any) -> Shown:
    """A program that makes the view again."""
    side, view = _view_of_side(shown, other, letter, state)
    return {"python": gr.update(value=exports.program(side, view), visible=True)}


def _view_of_side(shown: Result | None, other: Result | None, letter: str, state: Any) -> tuple[Result, View]:
    """A side and the view of it that the viewer shows: both sides share one timeline and one scale.

    Raises:
        AIAError: There is no such side.
    """
    side = _kept(shown) if letter == "A" or shown is None else other
    if side is None:
        raise aia.AIAError(text.NO_SIDE_B)
    sides = [one.seen for one in (shown, other) if one]
    view, longest = View.from_state(state or {}), max(len(seen.clip.frames) for seen in sides)
    view = replace(view, frame=int((view.frame + 0.5) * len(side.seen.clip.frames) / longest)).fitted(side.seen)
    gated = [seen for seen in sides if seen.blocks]
    if len(gated) > 1 and view.scale != "absolute":
        ends = [limits(seen, view.fitted(seen)) for seen in gated]
        view = replace(view, scale=(min(low for low, _ in ends), max(high for _, high in ends)))
    return side, view
